/*
 * An entry as one JSON object a line, or as a row of RFC 4180's CSV. All that the hash is taken over is in both, so an export can be verified without
 * the database. Pure.
 */
#include "observe/audit_export.h"
#include <ctype.h>
#include <stdlib.h>
#include <time.h>

void audit_export_head(enum audit_format format, cvn_text *text)
{
    if (format != AUDIT_CSV)
        return;
    cvn_text_append(text, "seq,time,time_ms");
    for (int i = 0; i < AUDIT_FIELDS; i++)
        cvn_text_printf(text, ",%s", audit_field_names[i]);
    cvn_text_append(text, ",prev_hash,hash\r\n");
}

static void put_json(const struct audit_row *row, const char *time, const char *prev,
                     const char *hash, cvn_text *text)
{
    cvn_text_printf(text, "{\"seq\":%lld,\"time\":\"%s\",\"time_ms\":%lld", (long long)row->seq,
                    time, (long long)row->time_ms);
    for (int i = 0; i < AUDIT_FIELDS; i++) {
        cvn_text_printf(text, ",\"%s\":", audit_field_names[i]);
        if (row->fields[i].data != NULL)
            cvn_text_append_json_string(text, row->fields[i]);
        else
            cvn_text_append(text, "null");
    }
    cvn_text_printf(text, ",\"prev_hash\":\"%s\",\"hash\":\"%s\"}\n", prev, hash);
}

/*
 * Always in quotes when it is there, so that an absent field and an empty one differ. A text that a spreadsheet would take for a formula gets an apostrophe
 * in front: names are chosen by strangers, and exports are opened by administrators.
 */
static void put_csv_field(cvn_slice field, cvn_text *text)
{
    size_t from = 0;
    if (field.data == NULL)
        return;
    cvn_text_append(text, "\"");
    if (field.size > 0 && memchr("=+-@\t\r", field.data[0], 6) != NULL)
        cvn_text_append(text, "'");
    for (size_t i = 0; i < field.size; i++) {
        if (field.data[i] != '"')
            continue;
        cvn_text_append_slice(text, (cvn_slice){field.data + from, i + 1 - from});
        from = i; /* once more */
    }
    cvn_text_append_slice(text, (cvn_slice){field.data + from, field.size - from});
    cvn_text_append(text, "\"");
}

void audit_export_row(enum audit_format format, const struct audit_row *row, cvn_text *text)
{
    char time[AUDIT_TIME_SIZE], prev[AUDIT_HEX_SIZE], hash[AUDIT_HEX_SIZE];
    audit_time(row->time_ms, time);
    audit_hex(row->prev_hash, prev);
    audit_hex(row->hash, hash);
    if (format == AUDIT_JSONL) {
        put_json(row, time, prev, hash, text);
        return;
    }
    cvn_text_printf(text, "%lld,%s,%lld", (long long)row->seq, time, (long long)row->time_ms);
    for (int i = 0; i < AUDIT_FIELDS; i++) {
        cvn_text_append(text, ",");
        put_csv_field(row->fields[i], text);
    }
    cvn_text_printf(text, ",%s,%s\r\n", prev, hash);
}

/* --- Times --- */

/* Exactly `count` digits. */
static bool take_number(const char **at, int count, int *ret)
{
    int number = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return false;
        number = number * 10 + (**at - '0');
    }
    *ret = number;
    return true;
}

static bool take(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool take_fraction(const char **at, int *ret_ms)
{
    int ms = 0, digits = 0;
    if (!take(at, '.'))
        return true;
    for (; isdigit((unsigned char)**at); (*at)++, digits++)
        if (digits < 3)
            ms = ms * 10 + (**at - '0');
    for (int i = digits; i < 3; i++)
        ms *= 10;
    *ret_ms = ms;
    return digits > 0;
}

static bool take_offset(const char **at, int *ret_minutes)
{
    int hours, minutes, sign = **at == '-' ? -1 : 1;
    if (**at == '\0' || take(at, 'Z') || take(at, 'z'))
        return true;
    if (!take(at, '+') && !take(at, '-'))
        return false;
    if (!take_number(at, 2, &hours) || !take(at, ':') || !take_number(at, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return true;
}

static bool parse_milliseconds(const char *text, int64_t *ret)
{
    size_t size = strspn(text, "0123456789");
    if (size == 0 || size > 18 || text[size] != '\0')
        return false;
    *ret = strtoll(text, NULL, 10);
    return true;
}

bool audit_time_parse(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0};
    int year, month, ms = 0, offset_minutes = 0;
    const char *at = text;
    if (parse_milliseconds(text, ret_ms))
        return true;
    if (!take_number(&at, 4, &year) || !take(&at, '-') || !take_number(&at, 2, &month) ||
        !take(&at, '-') || !take_number(&at, 2, &tm.tm_mday))
        return false;
    if (*at != '\0' && ((!take(&at, 'T') && !take(&at, ' ')) || !take_number(&at, 2, &tm.tm_hour) ||
                        !take(&at, ':') || !take_number(&at, 2, &tm.tm_min) || !take(&at, ':') ||
                        !take_number(&at, 2, &tm.tm_sec) || !take_fraction(&at, &ms) ||
                        !take_offset(&at, &offset_minutes)))
        return false;
    if (*at != '\0' || month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    int day = tm.tm_mday, leap = tm.tm_sec == 60;
    tm.tm_sec -= leap;
    time_t seconds = timegm(&tm); /* turns the 30th of February into one of March */
    if (tm.tm_mday != day)
        return false;
    *ret_ms = ((int64_t)seconds + leap - offset_minutes * 60) * 1000 + ms;
    return true;
}
