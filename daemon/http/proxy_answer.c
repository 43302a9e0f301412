/*
 * Answer heads, line by line. Pure. RFC 9112 sections 4, 5 and 6.3.
 *
 * Invariant: what comes out has no control characters, so that writing it again cannot make a second line of it; and one length at most.
 */
#include "http/proxy_answer.h"
#include <string.h>

static bool is_token_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_value_char(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* "HTTP/1.1 200 OK", "HTTP/1.0 404" */
static bool parse_status(struct proxy_answer *answer, const char *line, size_t size)
{
    if (size < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' ||
        (size > 12 && line[12] != ' '))
        return false;
    int status = 0;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        status = status * 10 + (line[i] - '0');
    }
    *answer = (struct proxy_answer){
        .state = PROXY_ANSWER_LINES, .status = status, .length = PROXY_UNKNOWN_LENGTH};
    return status >= 100;
}

static bool parse_length(struct proxy_answer *answer, cvn_slice value)
{
    uint64_t length = 0;
    if (value.size == 0 || value.size > 18) /* fits with certainty */
        return false;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    }
    if (answer->has_length && answer->length != length)
        return false;
    answer->has_length = true;
    answer->length = length;
    return true;
}

static bool is_name(cvn_slice name, const char *wanted)
{
    if (name.size != strlen(wanted))
        return false;
    for (size_t i = 0; i < name.size; i++)
        if ((name.data[i] | 32) != wanted[i] && name.data[i] != wanted[i])
            return false;
    return true;
}

static bool parse_field(struct proxy_answer *answer, const char *line, size_t size)
{
    size_t name = 0, start, end = size;
    while (name < size && is_token_char((unsigned char)line[name]))
        name++;
    if (name == 0 || name == size || line[name] != ':')
        return false;
    for (start = name + 1; start < end && is_blank(line[start]); start++)
        ;
    while (end > start && is_blank(line[end - 1]))
        end--;
    for (size_t i = start; i < end; i++)
        if (!is_value_char((unsigned char)line[i]))
            return false;
    if (answer->field_count == PROXY_ANSWER_MAX_FIELDS ||
        end - start + name > sizeof answer->bytes - answer->size)
        return false;
    char *to = answer->bytes + answer->size;
    memcpy(to, line, name);
    memcpy(to + name, line + start, end - start);
    cvn_slice value = {to + name, end - start};
    if (is_name((cvn_slice){to, name}, "content-length") && !parse_length(answer, value))
        return false;
    if (is_name((cvn_slice){to, name}, "transfer-encoding"))
        answer->is_chunked = true;
    answer->places[answer->field_count].name = (uint16_t)answer->size;
    answer->places[answer->field_count].name_size = (uint16_t)name;
    answer->places[answer->field_count].value = (uint16_t)(answer->size + name);
    answer->places[answer->field_count].value_size = (uint16_t)(end - start);
    answer->field_count++;
    answer->size += name + end - start;
    return true;
}

static void end_head(struct proxy_answer *answer)
{
    if (answer->is_chunked) /* which outweighs any length */
        answer->length = PROXY_UNKNOWN_LENGTH;
    answer->state =
        answer->status < 200 && answer->status != 101 ? PROXY_ANSWER_EMPTY : PROXY_ANSWER_WHOLE;
}

enum proxy_answer_state proxy_answer_line(struct proxy_answer *answer, const char *line,
                                          size_t size)
{
    bool is_right = true;
    if (size > 0 && line[size - 1] == '\n')
        size--;
    if (size > 0 && line[size - 1] == '\r')
        size--;
    switch (answer->state) {
    case PROXY_ANSWER_EMPTY:
        is_right = parse_status(answer, line, size);
        break;
    case PROXY_ANSWER_LINES:
        if (size == 0)
            end_head(answer);
        else
            is_right = parse_field(answer, line, size);
        break;
    default:
        break;
    }
    if (!is_right)
        answer->state = PROXY_ANSWER_WRONG;
    return answer->state;
}

struct proxy_field proxy_answer_field(const struct proxy_answer *answer, size_t index)
{
    return (struct proxy_field){
        .name = {answer->bytes + answer->places[index].name, answer->places[index].name_size},
        .value = {answer->bytes + answer->places[index].value, answer->places[index].value_size},
    };
}

size_t proxy_answer_forward(const struct proxy_answer *answer, struct proxy_field *ret)
{
    struct proxy_field all[PROXY_ANSWER_MAX_FIELDS];
    size_t count = 0;
    for (size_t i = 0; i < answer->field_count; i++)
        all[i] = proxy_answer_field(answer, i);
    for (size_t i = 0; i < answer->field_count; i++)
        if (!proxy_fields_is_hop(all[i].name, all, answer->field_count))
            ret[count++] = all[i];
    return count;
}
