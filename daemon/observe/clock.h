/* What time it is, for all of the daemon. Any thread. Parts whose tests move time are given it instead of asking. */
#ifndef OBSERVE_CLOCK_H
#define OBSERVE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);   /* since 1970 */
int64_t clock_steady_ms(void); /* never goes back; since an arbitrary moment */
int64_t clock_steady_us(void);

#endif
