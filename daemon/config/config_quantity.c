/* Reads and writes quantities exactly: no floating point, nothing rounded, overflow found. Pure. */
#include "config/config_quantity.h"
#include <inttypes.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* From the greatest down; sizes' names are compared without case. */
static const struct unit times[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000},
                                    {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit sizes[] = {{"GiB", 1ull << 30},
                                    {"GB", 1000000000},
                                    {"MiB", 1ull << 20},
                                    {"MB", 1000000},
                                    {"KiB", 1ull << 10},
                                    {"kB", 1000},
                                    {"B", 1},
                                    {NULL, 0}};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Digits at *at, which moves behind them; false when there are none or too many. */
static bool read_digits(const char **at, uint64_t *ret)
{
    uint64_t number = 0;
    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); (*at)++) {
        if (number > (UINT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(**at - '0');
    }
    *ret = number;
    return true;
}

/* ".25" into 250; three digits are enough for everybody. */
static bool read_thousandths(const char **at, uint64_t *ret)
{
    uint64_t number = 0;
    unsigned digits = 0;
    if (**at != '.') {
        *ret = 0;
        return true;
    }
    for ((*at)++; is_digit(**at) && digits < 3; (*at)++, digits++)
        number = number * 10 + (uint64_t)(**at - '0');
    if (digits == 0 || is_digit(**at))
        return false;
    for (; digits < 3; digits++)
        number *= 10;
    *ret = number;
    return true;
}

static const struct unit *find_unit(const struct unit *units, const char *name)
{
    int (*compare)(const char *, const char *) = units == sizes ? strcasecmp : strcmp;
    for (; units->name != NULL; units++)
        if (compare(units->name, name) == 0)
            return units;
    return NULL;
}

/* `bare`: what a number without unit is multiplied with; 0: it needs one. */
static const char *read_quantity(const char *text, const struct unit *units, uint64_t bare,
                                 const char *wrong, const char *unit_missing, uint64_t *ret)
{
    uint64_t whole, thousandths, factor = bare;
    const char *at = text;
    if (!read_digits(&at, &whole) || !read_thousandths(&at, &thousandths))
        return wrong;
    at += strspn(at, " ");
    if (*at != '\0') {
        const struct unit *unit = find_unit(units, at);
        if (unit == NULL)
            return wrong;
        factor = unit->factor;
    } else if (factor == 0 && (whole != 0 || thousandths != 0)) {
        return unit_missing;
    }
    if (factor != 0 && whole > UINT64_MAX / 2 / factor)
        return "is too large";
    if (thousandths * factor % 1000 != 0)
        return "is no whole number of the smallest unit";
    *ret = whole * factor + thousandths * factor / 1000;
    return NULL;
}

const char *config_quantity_number(const char *text, uint64_t *ret)
{
    uint64_t number;
    const char *at = text;
    if (!read_digits(&at, &number) || *at != '\0')
        return "is not a number";
    *ret = number;
    return NULL;
}

const char *config_quantity_size(const char *text, uint64_t *ret_bytes)
{
    return read_quantity(text, sizes, 1, "is not a size like 1000000, 64kB, 1MB or 16MiB", "",
                         ret_bytes);
}

const char *config_quantity_time(const char *text, enum config_unit unit, uint64_t *ret_ms)
{
    uint64_t bare = unit == CONFIG_UNIT_MS ? 1 : unit == CONFIG_UNIT_S ? 1000 : 0;
    return read_quantity(text, times, bare, "is not a time like 500ms, 25s, 10min, 2h or 1d",
                         "has no unit: write it like 500ms, 25s, 10min, 2h or 1d", ret_ms);
}

const char *config_quantity_rate(const char *text, enum config_unit unit, struct config_rate *ret)
{
    static const char *const wrong = "is not a rate like 10/min, 5/s, 1000/h, 20/10s or off";
    uint64_t count, per = 1, per_ms = 60000;
    const char *at = text;
    if (strcasecmp(text, "off") == 0) {
        *ret = (struct config_rate){0, 0};
        return NULL;
    }
    if (!read_digits(&at, &count))
        return wrong;
    at += strspn(at, " ");
    if (*at == '/') {
        at++;
        at += strspn(at, " ");
        if (is_digit(*at) && (!read_digits(&at, &per) || per == 0))
            return wrong;
        const struct unit *found = find_unit(times, at);
        if (found == NULL)
            return wrong;
        if (per > 86400000 / found->factor)
            return "is spread over more than a day";
        per_ms = per * found->factor;
    } else if (*at != '\0') {
        return wrong;
    } else if (unit != CONFIG_UNIT_PER_MINUTE) {
        return "has no unit: write it like 10/min, 5/s, 1000/h or off";
    }
    if (count == 0)
        return "lets nothing through: write off for no limit";
    if (count > per_ms * 1000)
        return "is more than one a microsecond: write off for no limit";
    *ret = (struct config_rate){(uint32_t)count, (uint32_t)per_ms};
    return NULL;
}

/* `smallest`: the unit without a factor. */
static void print_in(FILE *out, const struct unit *units, uint64_t number, const char *smallest)
{
    for (; units->factor > 1; units++)
        if (number % units->factor == 0) {
            fprintf(out, "%" PRIu64 "%s", number / units->factor, units->name);
            return;
        }
    fprintf(out, "%" PRIu64 "%s", number, smallest);
}

void config_quantity_print_size(FILE *out, uint64_t bytes)
{
    if (bytes == 0)
        fputs("0", out);
    else
        print_in(out, sizes, bytes, "");
}

void config_quantity_print_time(FILE *out, uint64_t ms)
{
    if (ms == 0)
        fputs("0s", out);
    else
        print_in(out, times, ms, "ms");
}

void config_quantity_print_rate(FILE *out, struct config_rate rate)
{
    if (rate.per_ms == 0) {
        fputs("off", out);
        return;
    }
    fprintf(out, "%" PRIu32 "/", rate.count);
    for (const struct unit *unit = times; unit->name != NULL; unit++)
        if (rate.per_ms == unit->factor) {
            fputs(unit->name, out);
            return;
        }
    print_in(out, times, rate.per_ms, "ms");
}
