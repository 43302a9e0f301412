/*
 * The opening handshake: the first byte chooses method, version and body of a request, the lines behind it are its fields. The
 * verdict is what a model says that counts and compares the fields by the letter of RFC 6455 section 4.2.1; a good request gets
 * the answer whose digest OpenSSL computes another way, in a buffer that has just the room, and none in one that has less.
 */
#include <stdio.h>
#include <stdlib.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include "ws/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_LINES ((size_t)4000)

struct request {
    bool is_get, has_body;
    unsigned minor;
    size_t size;
    char text[2 * MAX_LINES + 200];
};

static void add(struct request *request, const void *bytes, size_t size)
{
    CHECK(request->size + size <= sizeof request->text);
    if (size > 0)
        memcpy(request->text + request->size, bytes, size);
    request->size += size;
}

static void add_text(struct request *request, const char *text)
{
    add(request, text, strlen(text));
}

/* Each line of the input is a field; the usual ones a good request needs may come from a bit each. */
static void build(uint8_t choice, const uint8_t *lines, size_t size, struct request *ret)
{
    static const char *const bodies[] = {"", "", "Content-Length: 0\r\n", "Content-Length: 1\r\n",
                                         "Transfer-Encoding: chunked\r\n"};
    const char *body = bodies[choice / 32 % 5];
    ret->size = 0;
    ret->is_get = choice % 8 != 7;
    ret->minor = choice / 8 % 4 == 3 ? 0 : 1;
    ret->has_body = choice / 32 % 5 >= 3;
    add_text(ret, ret->is_get ? "GET" : "POST");
    add_text(ret,
             ret->minor == 1 ? " /?a HTTP/1.1\r\nHost: a\r\n" : " /?a HTTP/1.0\r\nHost: a\r\n");
    add_text(ret, body);
    if (choice % 8 < 4)
        add_text(ret, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    for (size_t start = 0, i = 0; i <= size; i++) {
        if (i < size && lines[i] != '\n')
            continue;
        if (i > start) {
            add(ret, lines + start, i - start);
            add_text(ret, "\r\n");
        }
        start = i + 1;
    }
    add_text(ret, "\r\n");
}

/* --- The model --- */

static char small(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_word(cvn_slice text, const char *word) /* `word` in small letters */
{
    if (text.size != strlen(word))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (small(text.data[i]) != word[i])
            return false;
    return true;
}

/* Whether the word is in one of the lists of that name. */
static bool model_lists(const struct http_head *head, const char *name, const char *word)
{
    for (size_t i = 0; i < head->field_count; i++) {
        cvn_slice value = head->fields[i].value;
        if (!is_word(head->fields[i].name, name))
            continue;
        for (size_t from = 0, to = 0; from <= value.size; from = to + 1) {
            for (to = from; to < value.size && value.data[to] != ','; to++)
                continue;
            if (is_word(slice_trim(slice_of(value.data + from, to - from)), word))
                return true;
        }
    }
    return false;
}

static size_t model_count(const struct http_head *head, const char *name, cvn_slice *ret_value)
{
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (is_word(head->fields[i].name, name)) {
            *ret_value = head->fields[i].value;
            count++;
        }
    }
    return count;
}

static bool model_key(cvn_slice key)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.size != 24 || memcmp(key.data + 22, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < 22; i++)
        if (key.data[i] == '\0' || strchr(letters, key.data[i]) == NULL)
            return false;
    return true;
}

static int model_check(const struct http_head *head, const struct request *request)
{
    cvn_slice version, key;
    if (!request->is_get || request->minor == 0 || !model_lists(head, "upgrade", "websocket") ||
        !model_lists(head, "connection", "upgrade"))
        return 400;
    /* A field of the input may be the request's framing, too. */
    if (request->has_body || head->chunked || (head->has_length && head->content_length > 0))
        return 400;
    if (model_count(head, "sec-websocket-version", &version) != 1 || !is_word(version, "13"))
        return 426;
    return model_count(head, "sec-websocket-key", &key) == 1 && model_key(key) ? 0 : 400;
}

/* --- The answer --- */

static void check_answer(const struct http_head *head)
{
    static const char extra[] = "X-Extra: 1\r\n";
    char expected[300], key[64], accept[32];
    unsigned char digest[SHA_DIGEST_LENGTH];
    cvn_slice value = {NULL, 0};
    model_count(head, "sec-websocket-key", &value);
    int size =
        snprintf(key, sizeof key, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", SLICE_ARG(value));
    SHA1((const unsigned char *)key, (size_t)size, digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, SHA_DIGEST_LENGTH);
    size = snprintf(expected, sizeof expected,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                    accept, extra);
    struct buf buf;
    buf_init(&buf, (size_t)size);
    CHECK(ws_handshake_answer(&buf, head, cvn_str(extra)));
    CHECK(slice_eq(buf_slice(&buf), slice_of(expected, (size_t)size)));
    buf_release(&buf);
    buf_init(&buf, (size_t)size - 1);
    CHECK(!ws_handshake_answer(&buf, head, cvn_str(extra)));
    CHECK(buf.failed && buf.size == 0);
    buf_release(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct request request;
    static struct http_head head;
    size_t used;
    int status;
    if (size < 1 || size > MAX_LINES)
        return 0;
    build(data[0], data + 1, size - 1, &request);
    char *copy = malloc(request.size);
    CHECK(copy != NULL);
    memcpy(copy, request.text, request.size);
    if (http_head_decode(slice_of(copy, request.size), &head, &used, &status) == HTTP_COMPLETE) {
        CHECK(ws_handshake_is_wanted(&head) ==
              (request.is_get && model_lists(&head, "upgrade", "websocket")));
        status = ws_handshake_check(&head);
        CHECK(status == model_check(&head, &request));
        if (status == 0)
            check_answer(&head);
    }
    free(copy);
    return 0;
}
