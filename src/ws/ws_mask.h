/* Masking (RFC 6455 section 5.3), eight bytes or more at a time. Pure. */
#ifndef WS_MASK_H
#define WS_MASK_H

#include <stddef.h>
#include <stdint.h>

/* XORs `data` in place with the mask, whose first byte meets data[0]. */
void ws_mask_apply(char *data, size_t size, const uint8_t mask[4]);

#endif
