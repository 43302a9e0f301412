/*
 * Accept-Encoding, with its weights. Pure; any thread. RFC 9110 sections 12.4.2 and 12.5.3.
 *
 * Weights are counted in thousandths, as finely as they may be written; NONE is one that was not mentioned.
 */
#include "http/http_encoding.h"

#define NONE (-1)
#define FULL 1000 /* q=1 */

struct weights {
    int gzip, deflate, identity, any;
};

/* "0", "0.5", "1.000": at most three digits behind the dot. NONE when malformed or above 1. */
static int weight_of(cvn_slice text)
{
    int weight, unit = FULL / 10;
    if (text.size == 0 || text.size > 5 || (text.data[0] != '0' && text.data[0] != '1'))
        return NONE;
    weight = text.data[0] == '1' ? FULL : 0;
    if (text.size > 1 && text.data[1] != '.')
        return NONE;
    for (size_t i = 2; i < text.size; i++, unit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return NONE;
        weight += (text.data[i] - '0') * unit;
    }
    return weight <= FULL ? weight : NONE;
}

/* The weight of "gzip;q=0.5", and its name without it. */
static int element_weight(cvn_slice element, cvn_slice *ret_name)
{
    size_t semicolon = slice_find(element, ';');
    *ret_name = slice_trim(slice_of(element.data, semicolon));
    if (semicolon == element.size)
        return FULL;
    cvn_slice parameter = slice_trim(slice_from(element, semicolon + 1));
    if (parameter.size < 2 || (parameter.data[0] | 0x20) != 'q' || parameter.data[1] != '=')
        return NONE;
    return weight_of(slice_from(parameter, 2));
}

static void note_element(struct weights *weights, cvn_slice element)
{
    cvn_slice name;
    int weight = element_weight(element, &name);
    if (weight == NONE)
        return;
    if (slice_eq_nocase(name, SLICE("gzip")) || slice_eq_nocase(name, SLICE("x-gzip")))
        weights->gzip = weight;
    else if (slice_eq_nocase(name, SLICE("deflate")))
        weights->deflate = weight;
    else if (slice_eq_nocase(name, SLICE("identity")))
        weights->identity = weight;
    else if (slice_eq(name, SLICE("*")))
        weights->any = weight;
}

/* The star stands for what is not mentioned; what neither is, is not taken. */
static int effective(int weight, const struct weights *weights)
{
    if (weight != NONE)
        return weight;
    return weights->any != NONE ? weights->any : 0;
}

enum http_encoding http_encoding_choose(const struct http_head *head)
{
    struct weights weights = {NONE, NONE, NONE, NONE};
    for (size_t i = 0; i < head->field_count; i++) {
        if (!slice_eq_nocase(head->fields[i].name, SLICE("accept-encoding")))
            continue;
        cvn_slice rest = head->fields[i].value;
        while (rest.size > 0) {
            size_t comma = slice_find(rest, ',');
            note_element(&weights, slice_of(rest.data, comma));
            rest = slice_from(rest, comma < rest.size ? comma + 1 : comma);
        }
    }
    int gzip = effective(weights.gzip, &weights), deflate = effective(weights.deflate, &weights);
    int best = gzip >= deflate ? gzip : deflate;
    if (best == 0 || weights.identity > best)
        return HTTP_IDENTITY;
    return gzip >= deflate ? HTTP_GZIP : HTTP_DEFLATE;
}

cvn_slice http_encoding_name(enum http_encoding encoding)
{
    switch (encoding) {
    case HTTP_GZIP:
        return SLICE("gzip");
    case HTTP_DEFLATE:
        return SLICE("deflate");
    default:
        return SLICE("identity");
    }
}
