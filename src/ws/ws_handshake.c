/*
 * The opening handshake, server side: is this head a correct one, and what is the answer. Pure; any thread.
 * RFC 6455 sections 4.2.1, 4.2.2 and 11.3.
 *
 * SHA-1 is fetched from OpenSSL once per process: looking the algorithm up costs several times what hashing 60 bytes does.
 */
#include "ws/ws_handshake.h"
#include "base/base64.h"

#include <openssl/evp.h>
#include <pthread.h>

#define KEY_SIZE    24 /* characters: 16 bytes in base64 */
#define DIGEST_SIZE 20

static const char accept_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static pthread_once_t sha1_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha1; /* lives as long as the process */

static void fetch_sha1(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

/* The value of field `name` if it comes exactly once; NULL data otherwise. */
static cvn_slice only_field(const struct http_head *head, cvn_slice name)
{
    cvn_slice value = {NULL, 0};
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (slice_eq_nocase(head->fields[i].name, name)) {
            value = head->fields[i].value;
            count++;
        }
    }
    return count == 1 ? value : (cvn_slice){NULL, 0};
}

static bool is_base64_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

/* 16 bytes of base64 are 22 characters and two of padding. */
static bool is_key_valid(cvn_slice key)
{
    if (key.size != KEY_SIZE || key.data[22] != '=' || key.data[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        if (!is_base64_char(key.data[i]))
            return false;
    }
    return true;
}

bool ws_handshake_is_wanted(const struct http_head *head)
{
    return head->method == HTTP_GET &&
           http_head_has_token(head, SLICE("Upgrade"), SLICE("websocket"));
}

int ws_handshake_check(const struct http_head *head)
{
    if (!ws_handshake_is_wanted(head) || head->minor_version != 1 ||
        !http_head_has_token(head, SLICE("Connection"), SLICE("Upgrade")))
        return 400;
    if (head->chunked || (head->has_length && head->content_length > 0))
        return 400; /* its bytes would be taken for frames */
    if (!slice_eq(only_field(head, SLICE("Sec-WebSocket-Version")), SLICE("13")))
        return 426;
    if (!is_key_valid(only_field(head, SLICE("Sec-WebSocket-Key"))))
        return 400;
    return 0;
}

/* Section 4.2.2, item 5.4: the digest of the key as sent and a constant. */
static bool digest_key(cvn_slice key, uint8_t ret[DIGEST_SIZE])
{
    char text[KEY_SIZE + sizeof accept_guid - 1];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    if (key.size != KEY_SIZE || pthread_once(&sha1_once, fetch_sha1) != 0 || sha1 == NULL)
        return false;
    memcpy(text, key.data, KEY_SIZE);
    memcpy(text + KEY_SIZE, accept_guid, sizeof accept_guid - 1);
    if (EVP_Digest(text, sizeof text, digest, &digest_size, sha1, NULL) != 1 ||
        digest_size != DIGEST_SIZE)
        return false;
    memcpy(ret, digest, DIGEST_SIZE);
    return true;
}

bool ws_handshake_answer(struct buf *buf, const struct http_head *head, cvn_slice extra)
{
    uint8_t digest[DIGEST_SIZE];
    size_t start = buf->size;
    if (!digest_key(http_head_get(head, SLICE("Sec-WebSocket-Key")), digest)) {
        buf->failed = true; /* OpenSSL is out of memory or has no SHA-1 */
        return false;
    }
    buf_append(buf, SLICE("HTTP/1.1 101 Switching Protocols\r\n"
                          "Upgrade: websocket\r\n"
                          "Connection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: "));
    base64_append(buf, slice_of(digest, sizeof digest));
    buf_append(buf, SLICE("\r\n"));
    buf_append(buf, extra);
    buf_append(buf, SLICE("\r\n"));
    if (buf->failed)
        buf->size = start; /* no half of an answer */
    return !buf->failed;
}
