/* Which fields go on to the application, which end here, and what is written anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "http/proxy_fields.h"

static char out[65536];
static size_t puts_left;

static bool put(cvn_slice name, cvn_slice value, void *data)
{
    size_t used = strlen(out);
    assert_ptr_equal(data, out);
    if (puts_left-- == 0)
        return false;
    snprintf(out + used, sizeof out - used, "%.*s=%.*s|", (int)name.size, name.data,
             (int)value.size, value.data);
    return true;
}

/* "Name: value" lines. */
static size_t parse(const char *text, struct proxy_field *ret)
{
    size_t count = 0;
    while (*text != '\0') {
        size_t name = strcspn(text, ":"), line = strcspn(text, "\n");
        const char *value = text + name + 1 + (text[name + 1] == ' ');
        assert_true(count < PROXY_MAX_FIELDS && name < line);
        ret[count++] = (struct proxy_field){.name = {text, name},
                                            .value = {value, (size_t)(text + line - value)}};
        text += line + (text[line] == '\n');
    }
    return count;
}

static struct proxy_hop hop(void)
{
    return (struct proxy_hop){
        .peer = "192.0.2.7", .host = cvn_str("a.example"), .request_id = "id", .via = "me"};
}

static void expect(const struct proxy_hop *from, const char *fields, const char *expected)
{
    struct proxy_field parsed[PROXY_MAX_FIELDS];
    size_t count = parse(fields, parsed);
    out[0] = '\0';
    puts_left = 1000;
    assert_true(proxy_fields_forward(parsed, count, from, put, out));
    assert_string_equal(out, expected);
}

#define OWN                                                                                        \
    "X-Forwarded-For=192.0.2.7|X-Forwarded-Proto=http|X-Forwarded-Host=a.example|Via=1.1 me|"      \
    "X-Request-ID=id|"

static void test_plain(void **state)
{
    struct proxy_hop from = hop();
    (void)state;
    expect(&from, "", OWN);
    expect(&from, "Host: a.example\nCookie: a=b; c=d\nX-Empty:\nAccept: x\naccept: y\n",
           "Host=a.example|Cookie=a=b; c=d|X-Empty=|Accept=x|accept=y|" OWN);
    from.host = (cvn_slice){NULL, 0};
    from.is_secure = true;
    expect(&from, "",
           "X-Forwarded-For=192.0.2.7|X-Forwarded-Proto=https|Via=1.1 me|X-Request-ID=id|");
}

static void test_hop_by_hop(void **state)
{
    struct proxy_hop from = hop();
    (void)state;
    expect(&from,
           "Connection: close, X-Mine ,\tx-yours\nconnection: ,,Late\nX-Mine: 1\nX-YOURS: 2\n"
           "late: 3\nX-Mine-Too: 4\nKeep-Alive: timeout=5\nProxy-Connection: x\nTE: trailers\n"
           "Trailer: X\nTransfer-Encoding: chunked\nUpgrade: h2c\nHTTP2-Settings: x\n"
           "Content-Length: 3\nExpect: 100-continue\nProxy-Authorization: x\n",
           "X-Mine-Too=4|" OWN);
    /* Naming them is no way to take away what we write, nor the Host. */
    expect(&from, "Connection: X-Forwarded-For, Via, Host\nHost: a.example\n",
           "Host=a.example|" OWN);
}

static void test_upgrade(void **state)
{
    struct proxy_hop from = hop();
    (void)state;
    from.upgrades = true;
    expect(
        &from,
        "Connection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: k\n"
        "Sec-WebSocket-Version: 13\n",
        "Sec-WebSocket-Key=k|Sec-WebSocket-Version=13|Connection=Upgrade|Upgrade=websocket|" OWN);
}

/* Another HTTP is no protocol to change over to: what is asked under it nobody would see. */
static void test_protocols(void **state)
{
    static const struct {
        const char *fields;
        bool may;
    } cases[] = {{"Upgrade: websocket\n", true},
                 {"Upgrade: raw/1, tea\n", true},
                 {"Upgrade: h2c\n", false},
                 {"Upgrade: websocket, H2C\n", false},
                 {"Upgrade: websocket\nupgrade: HTTP/2.0\n", false},
                 {"Upgrade: TLS/1.0\n", false},
                 {"Upgrade: h\n", true},
                 {"X: h2c\n", true}};
    struct proxy_field fields[PROXY_MAX_FIELDS];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(proxy_fields_may_upgrade(fields, parse(cases[i].fields, fields)),
                         cases[i].may);
}

/* Nothing that an untrusted client says of others comes through, in no spelling. */
static void test_untrusted(void **state)
{
    struct proxy_hop from = hop();
    (void)state;
    expect(&from,
           "X-Forwarded-For: 6.6.6.6\nx_forwarded_for: 6.6.6.6\nX-Forwarded_Proto: https\n"
           "X-Forwarded-Host: evil\nX-Forwarded-Port: 1\nX-Real-IP: 6.6.6.6\nX_Real_IP: 6\n"
           "Forwarded: for=6.6.6.6\nX-Request-ID: theirs\nX_Request_ID: theirs\n"
           "X-Forwarded-Ssl: on\nX-Forwarded-Scheme: https\nX-Forwarded-Server: s\n",
           OWN);
}

static void test_trusted(void **state)
{
    struct proxy_hop from = hop();
    (void)state;
    from.is_trusted = true;
    expect(&from, "", OWN);
    expect(&from,
           "X-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: b.example\n"
           "X-Forwarded-For: 2.2.2.2, 3.3.3.3\nX-Forwarded-Port: 443\nX-Real-IP: 1.1.1.1\n",
           "X-Forwarded-Port=443|X-Real-IP=1.1.1.1|"
           "X-Forwarded-For=1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.7|X-Forwarded-Proto=https|"
           "X-Forwarded-Host=b.example|Via=1.1 me|X-Request-ID=id|");
    /* A proxy that is trusted may let pass what a client has written. */
    expect(&from, "x_forwarded_for: 6.6.6.6\nX_Real_IP: 6.6.6.6\nX-Forwarded_Proto: https\n", OWN);
    expect(&from, "Forwarded: for=1.1.1.1;proto=https\n",
           "X-Forwarded-For=192.0.2.7|X-Forwarded-Proto=http|X-Forwarded-Host=a.example|"
           "Forwarded=for=1.1.1.1;proto=https, for=192.0.2.7;proto=http|Via=1.1 me|"
           "X-Request-ID=id|");
    from.peer = "2001:db8::7";
    expect(&from, "Forwarded: for=x\n",
           "X-Forwarded-For=2001:db8::7|X-Forwarded-Proto=http|X-Forwarded-Host=a.example|"
           "Forwarded=for=x, for=\"[2001:db8::7]\";proto=http|Via=1.1 me|X-Request-ID=id|");
}

static void test_via(void **state)
{
    struct proxy_field fields[PROXY_MAX_FIELDS];
    struct proxy_hop from = hop();
    (void)state;
    expect(&from, "Via: 1.0 first\nVia: 1.1 second (words)\n",
           "X-Forwarded-For=192.0.2.7|X-Forwarded-Proto=http|X-Forwarded-Host=a.example|"
           "Via=1.0 first, 1.1 second (words), 1.1 me|X-Request-ID=id|");
    size_t count = parse("Via: 1.1 a, 1.1 convened-1 \nVia: 1.1 b\nX: 1.1 convened-2\n", fields);
    assert_true(proxy_fields_is_loop(fields, count, "convened-1"));
    assert_false(proxy_fields_is_loop(fields, count, "convened-2"));
    assert_false(proxy_fields_is_loop(fields, count, "convened-11"));
    assert_false(proxy_fields_is_loop(fields, 0, "convened-1"));
}

/* Values that have grown too long, and a receiver without memory, are told at once. */
static void test_limits(void **state)
{
    static char long_value[PROXY_MAX_VALUE - 8];
    struct proxy_hop from = hop();
    (void)state;
    from.is_trusted = true;
    memset(long_value, '1', sizeof long_value);
    struct proxy_field field = {.name = cvn_str("X-Forwarded-For"),
                                .value = {long_value, sizeof long_value}};
    out[0] = '\0';
    puts_left = 1000;
    assert_false(proxy_fields_forward(&field, 1, &from, put, out));
    field.value.size -= 4; /* with ", 192.0.2.7" it just fits */
    field.value.size = PROXY_MAX_VALUE - strlen(", 192.0.2.7");
    static char fits[PROXY_MAX_VALUE];
    memset(fits, '1', sizeof fits);
    field.value.data = fits;
    assert_true(proxy_fields_forward(&field, 1, &from, put, out));
    field = (struct proxy_field){.name = cvn_str("A"), .value = cvn_str("b")};
    for (size_t n = 0; n < 6; n++) {
        puts_left = n;
        assert_false(proxy_fields_forward(&field, 1, &from, put, out));
    }
    puts_left = 6;
    assert_true(proxy_fields_forward(&field, 1, &from, put, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),   cmocka_unit_test(test_hop_by_hop),
        cmocka_unit_test(test_upgrade), cmocka_unit_test(test_untrusted),
        cmocka_unit_test(test_trusted), cmocka_unit_test(test_via),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_protocols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
