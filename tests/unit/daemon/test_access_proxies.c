/* Who the client is behind proxies: networks, and X-Forwarded-For as honest proxies and as liars write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "access/access_proxies.h"

static bool has(const char *network, const char *address)
{
    struct access_network a, b;
    assert_true(access_network_parse(cvn_str(network), &a));
    assert_true(access_network_of_hop(cvn_str(address), &b));
    return access_network_has(&a, &b);
}

static void test_networks(void **state)
{
    (void)state;
    struct access_network network;
    assert_true(has("10.0.0.0/8", "10.255.255.255"));
    assert_false(has("10.0.0.0/8", "11.0.0.0"));
    assert_true(has("10.1.2.3/8", "10.0.0.1")); /* bits behind the mask do not count */
    assert_true(has("192.0.2.128/25", "192.0.2.255"));
    assert_false(has("192.0.2.128/25", "192.0.2.127"));
    assert_true(has("0.0.0.0/0", "203.0.113.9"));
    assert_false(has("0.0.0.0/0", "2001:db8::1"));
    assert_true(has("::/0", "2001:db8::1"));
    assert_true(has("::/0", "203.0.113.9"));
    assert_true(has("fd00::/8", "fdff::1"));
    assert_false(has("fd00::/8", "fe00::1"));
    assert_true(has("2001:db8:0:8000::/49", "2001:db8:0:ffff::1"));
    assert_false(has("2001:db8:0:8000::/49", "2001:db8:0:7fff::1"));
    assert_true(has("127.0.0.1", "::ffff:127.0.0.1")); /* one peer, two spellings */
    assert_true(has("::ffff:127.0.0.1", "127.0.0.1"));
    assert_true(has("::1/128", "::1"));
    const char *const wrong[] = {"",          "10.0.0.0/",    "10.0.0.0/33", "10.0.0.0/-1",
                                 "10.0.0/8",  "::/129",       "::/0x1",      "10.0.0.0/8 ",
                                 "localhost", "10.0.0.0/255", "/8",          "10.0.0.0/08",
                                 "::1%lo",    "10.0.0.0//8",  "300.0.0.1",   "10.0.0.0/1000"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (access_network_parse(cvn_str(wrong[i]), &network))
            fail_msg("\"%s\" was taken", wrong[i]);
    assert_false(access_network_parse((cvn_slice){"10.0.0.1\0", 9}, &network));
    assert_false(access_network_parse((cvn_slice){NULL, 0}, &network));
}

static void assert_hop(const char *text, const char *expected)
{
    struct access_network hop;
    char printed[ACCESS_ADDRESS_SIZE] = "none";
    if (access_network_of_hop(cvn_str(text), &hop))
        access_network_print(&hop, printed);
    assert_string_equal(printed, expected);
}

static void test_hops(void **state)
{
    (void)state;
    assert_hop("192.0.2.1", "192.0.2.1");
    assert_hop("192.0.2.1:4711", "192.0.2.1");
    assert_hop("[2001:DB8::1]:443", "2001:db8::1");
    assert_hop("[2001:db8::1]", "2001:db8::1");
    assert_hop("2001:db8:0:0:0:0:0:1", "2001:db8::1");
    assert_hop("::ffff:192.0.2.1", "192.0.2.1");
    const char *const wrong[] = {"",      "unknown",     "_hidden",   "[::1", "[::1]x",
                                 "[]",    ":",           "::1]",      "[",    "1.2.3",
                                 "::1%1", "1.2.3.4:5:6", "0x7f.0.0.1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_hop(wrong[i], "none");
}

static void trust(const char *first, const char *second)
{
    const char *items[] = {first, second, NULL};
    struct config *config = calloc(1, sizeof *config);
    assert_non_null(config);
    config->server.trusted_proxies = (struct config_list){items, second != NULL  ? 2
                                                                 : first != NULL ? 1
                                                                                 : 0};
    assert_true(access_proxies_reconfigure(config));
    free(config); /* nothing of it is kept */
}

static void assert_client(const char *peer, const char *forwarded, const char *expected)
{
    char found[ACCESS_ADDRESS_SIZE];
    access_proxies_client(peer, cvn_str(forwarded), found);
    assert_string_equal(found, expected);
}

static void test_clients(void **state)
{
    (void)state;
    assert_client("192.0.2.1", "203.0.113.9", "192.0.2.1"); /* before anything was said */
    trust("10.0.0.0/8", "fd00::/8");
    assert_client("192.0.2.1", "203.0.113.9", "192.0.2.1"); /* not a proxy of ours: a liar */
    assert_client("10.0.0.1", NULL, "10.0.0.1");
    assert_client("10.0.0.1", "", "10.0.0.1");
    assert_client("10.0.0.1", "203.0.113.9", "203.0.113.9");
    assert_client("::ffff:10.0.0.1", "203.0.113.9:1234", "203.0.113.9");
    assert_client("10.0.0.1", "198.51.100.7, 203.0.113.9",
                  "203.0.113.9"); /* the left is invented */
    assert_client("10.0.0.1", "198.51.100.7,203.0.113.9,10.2.2.2 ,\tfd00::5", "203.0.113.9");
    assert_client("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"); /* proxies all the way */
    assert_client("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1");
    assert_client("10.0.0.1", "203.0.113.9, unknown, 10.0.0.7", "10.0.0.7");
    assert_client("10.0.0.1", "203.0.113.9,", "10.0.0.1");
    assert_client("10.0.0.1", ",,,", "10.0.0.1");
    assert_client("10.0.0.1", "<script>", "10.0.0.1");
    assert_client("10.0.0.1", "2001:db8::1", "2001:db8::1");
    assert_client("unix", "203.0.113.9", "");
    trust(NULL, NULL);
    assert_client("10.0.0.1", "203.0.113.9", "10.0.0.1"); /* reloaded */
    trust("nonsense", "10.0.0.1");
    assert_client("10.0.0.1", "203.0.113.9", "203.0.113.9");
    assert_true(access_proxies_trusts("10.0.0.1"));
    assert_false(access_proxies_trusts("10.0.0.2"));
    access_proxies_release();
    assert_client("10.0.0.1", "203.0.113.9", "10.0.0.1");
}

static void test_many_hops(void **state)
{
    (void)state;
    char text[ACCESS_MAX_HOPS * 20 + 100] = "203.0.113.9";
    trust("10.0.0.0/8", NULL);
    for (int i = 0; i < ACCESS_MAX_HOPS - 1; i++)
        strcat(text, ", 10.0.0.1");
    assert_client("10.0.0.1", text, "203.0.113.9");
    strcat(text, ", 10.0.0.1"); /* one more than is looked at */
    assert_client("10.0.0.1", text, "10.0.0.1");
    access_proxies_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_hops),
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_many_hops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
