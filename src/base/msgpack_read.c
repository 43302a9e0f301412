/*
 * MessagePack's tokens. Nothing is believed: a length or a count that the rest of the input cannot hold is refused where it stands, before
 * anybody reserves memory for it. Pure.
 */
#include "base/msgpack.h"

#define UNDEFINED_TYPE 0

/* Cuts a number of 1, 2, 4 or 8 bytes off, highest byte first. */
static bool cut_number(cvn_slice *rest, size_t size, uint64_t *ret)
{
    uint64_t number = 0;
    if (rest->size < size)
        return false;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | (unsigned char)rest->data[i];
    *rest = slice_from(*rest, size);
    *ret = number;
    return true;
}

static bool cut_bytes(cvn_slice *rest, uint64_t size, cvn_slice *ret)
{
    if (size > rest->size)
        return false;
    *ret = slice_of(rest->data, (size_t)size);
    *rest = slice_from(*rest, (size_t)size);
    return true;
}

static bool take_signed(struct msgpack_token *token, uint64_t bits, size_t size)
{
    uint64_t sign = (uint64_t)1 << (8 * size - 1);
    bool negative = (bits & sign) != 0;
    token->type = negative ? MSGPACK_NEGATIVE : MSGPACK_UINT;
    token->number = negative ? sign - (bits & (sign - 1)) : bits;
    return true;
}

static bool take_float(struct msgpack_token *token, uint64_t bits, size_t size)
{
    token->type = MSGPACK_FLOAT;
    if (size == 8) {
        memcpy(&token->real, &bits, sizeof token->real);
    } else {
        uint32_t half = (uint32_t)bits;
        float value;
        memcpy(&value, &half, sizeof value);
        token->real = value;
    }
    return true;
}

/* Every value takes a byte at least. */
static bool take_container(struct msgpack_token *token, enum msgpack_type type, uint64_t count,
                           cvn_slice rest)
{
    token->type = type;
    token->number = count;
    return count <= rest.size / (type == MSGPACK_MAP ? 2 : 1);
}

static bool take_bytes(struct msgpack_token *token, enum msgpack_type type, uint64_t size,
                       cvn_slice *rest)
{
    token->type = type;
    return cut_bytes(rest, size, &token->bytes);
}

static bool take_ext(struct msgpack_token *token, bool is_fixed, uint64_t size, cvn_slice *rest)
{
    uint64_t type;
    token->type = MSGPACK_EXT;
    token->is_fixed = is_fixed;
    if (!cut_number(rest, 1, &type) || !cut_bytes(rest, size, &token->bytes))
        return false;
    token->ext = (int8_t)(type < 0x80 ? (int)type : (int)type - 0x100);
    return true;
}

/* The formats from 0xc4 on, in groups that differ in the size of their number only. */
static bool take_sized(struct msgpack_token *token, unsigned lead, cvn_slice *rest)
{
    static const struct group {
        uint8_t first;
        uint8_t size; /* of the number behind the first one's lead; it doubles with each */
    } groups[] = {
        {0xc4, 1} /* bin */,  {0xc7, 1} /* ext */,   {0xca, 4} /* float */,
        {0xcc, 1} /* uint */, {0xd0, 1} /* int */,   {0xd4, 1} /* fixext: no number */,
        {0xd9, 1} /* str */,  {0xdc, 2} /* array */, {0xde, 2} /* map */,
    };
    size_t i = sizeof groups / sizeof *groups - 1;
    while (lead < groups[i].first)
        i--;
    size_t size = (size_t)groups[i].size << (lead - groups[i].first);
    uint64_t number = 0;
    if (groups[i].first != 0xd4 && !cut_number(rest, size, &number))
        return false;
    switch (groups[i].first) {
    case 0xc4:
        return take_bytes(token, MSGPACK_BIN, number, rest);
    case 0xc7:
        return take_ext(token, false, number, rest);
    case 0xca:
        return take_float(token, number, size);
    case 0xcc:
        token->type = MSGPACK_UINT;
        token->number = number;
        return true;
    case 0xd0:
        return take_signed(token, number, size);
    case 0xd4:
        return take_ext(token, true, size, rest);
    case 0xd9:
        return take_bytes(token, MSGPACK_STR, number, rest);
    case 0xdc:
        return take_container(token, MSGPACK_ARRAY, number, *rest);
    default:
        return take_container(token, MSGPACK_MAP, number, *rest);
    }
}

static bool take(struct msgpack_token *token, unsigned lead, cvn_slice *rest)
{
    if (lead < 0x80) {
        token->type = MSGPACK_UINT;
        token->number = lead;
        return true;
    }
    if (lead < 0x90)
        return take_container(token, MSGPACK_MAP, lead & 0x0f, *rest);
    if (lead < 0xa0)
        return take_container(token, MSGPACK_ARRAY, lead & 0x0f, *rest);
    if (lead < 0xc0)
        return take_bytes(token, MSGPACK_STR, lead & 0x1f, rest);
    if (lead >= 0xe0)
        return take_signed(token, lead, 1);
    switch (lead) {
    case 0xc0:
        token->type = MSGPACK_NIL;
        return true;
    case 0xc1:
        return false; /* never used */
    case 0xc2:
        token->type = MSGPACK_FALSE;
        return true;
    case 0xc3:
        token->type = MSGPACK_TRUE;
        return true;
    default:
        return take_sized(token, lead, rest);
    }
}

bool msgpack_next(cvn_slice *rest, struct msgpack_token *ret)
{
    struct msgpack_token token = {0};
    cvn_slice after = *rest;
    uint64_t lead;
    if (!cut_number(&after, 1, &lead) || !take(&token, (unsigned)lead, &after))
        return false;
    *rest = after;
    *ret = token;
    return true;
}

bool msgpack_skip(cvn_slice *rest, cvn_slice *ret_value)
{
    struct msgpack_token token;
    cvn_slice after = *rest;
    uint64_t left =
        1; /* values still to come; never more than there are bytes, so it cannot overflow */
    while (left > 0) {
        if (left > after.size || !msgpack_next(&after, &token))
            return false;
        left--;
        if (token.type == MSGPACK_ARRAY)
            left += token.number;
        else if (token.type == MSGPACK_MAP)
            left += 2 * token.number;
    }
    *ret_value = slice_of(rest->data, rest->size - after.size);
    *rest = after;
    return true;
}

bool msgpack_is_undefined(const struct msgpack_token *token)
{
    return token->type == MSGPACK_EXT && token->is_fixed && token->ext == UNDEFINED_TYPE &&
           token->bytes.size == 1;
}
