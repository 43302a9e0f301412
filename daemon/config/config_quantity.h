/* Numbers with units: times, sizes, rates. Pure. */
#ifndef CONFIG_CONFIG_QUANTITY_H
#define CONFIG_CONFIG_QUANTITY_H

#include "config/config_table.h"
#include <stdio.h>

/* Each takes one text into a number, or gives what is wrong with it. `unit` is that of a bare number. */
const char *config_quantity_number(const char *text, uint64_t *ret);
const char *config_quantity_size(const char *text, uint64_t *ret_bytes);
const char *config_quantity_time(const char *text, enum config_unit unit, uint64_t *ret_ms);
const char *config_quantity_rate(const char *text, enum config_unit unit, struct config_rate *ret);

/* In the greatest unit that needs no fraction. */
void config_quantity_print_size(FILE *out, uint64_t bytes);
void config_quantity_print_time(FILE *out, uint64_t ms);
void config_quantity_print_rate(FILE *out, struct config_rate rate);

#endif
