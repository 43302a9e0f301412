/*
 * Is it JSON? One pass, no recursion: the open containers are bits on a stack of fixed size. RFC 8259, but that \u escapes may be
 * lone surrogates, as in JavaScript. Pure; the hottest function of the server after the frame decoder.
 */
#include "base/json.h"
#include "base/utf8.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

struct scanner {
    const char *at, *end;
    unsigned depth;
    uint64_t is_object[JSON_MAX_DEPTH / 64]; /* a bit an open container */
};

static void skip_space(struct scanner *scanner)
{
    while (scanner->at < scanner->end && (*scanner->at == ' ' || *scanner->at == '\t' ||
                                          *scanner->at == '\n' || *scanner->at == '\r'))
        scanner->at++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* To the next quote, backslash or control character. */
static void skip_plain(struct scanner *scanner)
{
    const char *at = scanner->at;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'),
                  highest_control = _mm_set1_epi8(0x1f);
    for (; scanner->end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i special = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
            _mm_cmpeq_epi8(_mm_min_epu8(bytes, highest_control), bytes));
        int mask = _mm_movemask_epi8(special);
        if (mask != 0) {
            scanner->at = at + __builtin_ctz((unsigned)mask);
            return;
        }
    }
#endif
    while (at < scanner->end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    scanner->at = at;
}

static bool skip_escape(struct scanner *scanner)
{
    if (scanner->end - scanner->at < 2)
        return false;
    char kind = scanner->at[1];
    scanner->at += 2;
    if (kind != 'u')
        return kind != '\0' && strchr("\"\\/bfnrt", kind) != NULL;
    for (int i = 0; i < 4; i++, scanner->at++)
        if (scanner->at == scanner->end || !is_hex(*scanner->at))
            return false;
    return true;
}

/* A string from its opening quote on. */
static bool skip_string(struct scanner *scanner)
{
    if (scanner->at == scanner->end || *scanner->at != '"')
        return false;
    scanner->at++;
    for (;;) {
        skip_plain(scanner);
        if (scanner->at == scanner->end)
            return false;
        if (*scanner->at == '"') {
            scanner->at++;
            return true;
        }
        if (*scanner->at != '\\' || !skip_escape(scanner))
            return false;
    }
}

static bool skip_digits(struct scanner *scanner)
{
    const char *start = scanner->at;
    while (scanner->at < scanner->end && is_digit(*scanner->at))
        scanner->at++;
    return scanner->at > start;
}

static bool skip_number(struct scanner *scanner)
{
    if (*scanner->at == '-')
        scanner->at++;
    if (scanner->at < scanner->end && *scanner->at == '0')
        scanner->at++;
    else if (!skip_digits(scanner))
        return false;
    if (scanner->at < scanner->end && *scanner->at == '.') {
        scanner->at++;
        if (!skip_digits(scanner))
            return false;
    }
    if (scanner->at < scanner->end && (*scanner->at == 'e' || *scanner->at == 'E')) {
        scanner->at++;
        if (scanner->at < scanner->end && (*scanner->at == '+' || *scanner->at == '-'))
            scanner->at++;
        if (!skip_digits(scanner))
            return false;
    }
    return true;
}

static bool skip_literal(struct scanner *scanner, cvn_slice literal)
{
    if ((size_t)(scanner->end - scanner->at) < literal.size ||
        memcmp(scanner->at, literal.data, literal.size) != 0)
        return false;
    scanner->at += literal.size;
    return true;
}

static bool skip_scalar(struct scanner *scanner)
{
    switch (*scanner->at) {
    case '"':
        return skip_string(scanner);
    case 't':
        return skip_literal(scanner, SLICE("true"));
    case 'f':
        return skip_literal(scanner, SLICE("false"));
    case 'n':
        return skip_literal(scanner, SLICE("null"));
    default:
        return (*scanner->at == '-' || is_digit(*scanner->at)) && skip_number(scanner);
    }
}

static void push(struct scanner *scanner, bool object)
{
    uint64_t bit = (uint64_t)1 << (scanner->depth & 63);
    uint64_t *word = &scanner->is_object[scanner->depth >> 6];
    if (bit == 1)
        *word = 0;
    *word = object ? *word | bit : *word & ~bit;
    scanner->depth++;
}

static bool in_object(const struct scanner *scanner)
{
    unsigned top = scanner->depth - 1;
    return scanner->is_object[top >> 6] >> (top & 63) & 1;
}

static bool skip_key(struct scanner *scanner)
{
    skip_space(scanner);
    if (!skip_string(scanner))
        return false;
    skip_space(scanner);
    if (scanner->at == scanner->end || *scanner->at != ':')
        return false;
    scanner->at++;
    return true;
}

/* One value with all that is nested in it; white space before it is skipped. */
static bool skip_value(struct scanner *scanner, unsigned max_depth)
{
    for (;;) {
        skip_space(scanner);
        if (scanner->at == scanner->end)
            return false;
        char c = *scanner->at;
        if (c == '{' || c == '[') {
            if (scanner->depth == max_depth)
                return false;
            push(scanner, c == '{');
            scanner->at++;
            skip_space(scanner);
            if (scanner->at == scanner->end)
                return false;
            if (*scanner->at != (c == '{' ? '}' : ']')) {
                if (c == '{' && !skip_key(scanner))
                    return false;
                continue; /* its first value */
            }
        } else if (!skip_scalar(scanner)) {
            return false;
        }
        /* Behind a value, or at the bracket that closes an empty container. */
        for (;;) {
            if (scanner->depth == 0)
                return true;
            skip_space(scanner);
            if (scanner->at == scanner->end)
                return false;
            bool object = in_object(scanner);
            c = *scanner->at++;
            if (c == ',') {
                if (object && !skip_key(scanner))
                    return false;
                break; /* the next value */
            }
            if (c != (object ? '}' : ']'))
                return false;
            scanner->depth--;
        }
    }
}

static bool start(struct scanner *scanner, cvn_slice text, unsigned *max_depth)
{
    scanner->at = text.data;
    scanner->end = text.data + text.size;
    scanner->depth = 0;
    if (*max_depth > JSON_MAX_DEPTH)
        *max_depth = JSON_MAX_DEPTH;
    return utf8_is_valid(text);
}

bool json_is_valid(cvn_slice text, unsigned max_depth)
{
    struct scanner scanner;
    if (text.size == 0 || !start(&scanner, text, &max_depth) || !skip_value(&scanner, max_depth))
        return false;
    skip_space(&scanner);
    return scanner.at == scanner.end;
}

bool json_is_valid_list(cvn_slice text, unsigned max_depth)
{
    struct scanner scanner;
    if (text.size == 0)
        return true;
    if (!start(&scanner, text, &max_depth))
        return false;
    skip_space(&scanner);
    if (scanner.at == scanner.end)
        return true;
    for (;;) {
        if (!skip_value(&scanner, max_depth))
            return false;
        skip_space(&scanner);
        if (scanner.at == scanner.end)
            return true;
        if (*scanner.at++ != ',')
            return false;
    }
}
