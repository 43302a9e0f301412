/* Which authorities and origins are this machine, so that a token may be asked for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "http/dev_tokens.h"

static void test_authorities(void **state)
{
    static const char *const local[] = {"localhost", "localhost:1",    "LocalHost:65535",
                                        "127.0.0.1", "127.0.0.1:3000", "127.255.0.9",
                                        "[::1]",     "[::1]:3000",     "[::ffff:127.0.0.1]:80"};
    static const char *const others[] = {"",
                                         "localhost.",
                                         "localhost:",
                                         "localhost:123456",
                                         "localhost:12a",
                                         "localhost.evil.example",
                                         "localhostx",
                                         "evil.localhost",
                                         "evil.example",
                                         "127.0.0.1.evil.example",
                                         "128.0.0.1",
                                         "126.255.255.255",
                                         "10.0.0.1:3000",
                                         "0.0.0.0",
                                         "[::]",
                                         "[::2]:80",
                                         "user@127.0.0.1",
                                         "127.0.0.1 evil",
                                         "2130706433",
                                         "0x7f.1",
                                         "localhost@evil.example",
                                         "[::1].evil.example"};
    (void)state;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!dev_tokens_is_local_authority(cvn_str(local[i])))
            fail_msg("%s is this machine", local[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (dev_tokens_is_local_authority(cvn_str(others[i])))
            fail_msg("%s is not this machine", others[i]);
    assert_false(dev_tokens_is_local_authority((cvn_slice){NULL, 0}));
    assert_false(dev_tokens_is_local_authority((cvn_slice){"localhost\0.evil", 15}));
}

static void test_origins(void **state)
{
    static const char *const local[] = {"http://localhost", "https://localhost:3000",
                                        "HTTP://127.0.0.1:1", "http://[::1]:3000"};
    static const char *const others[] = {"",
                                         "null",
                                         "localhost",
                                         "file://localhost",
                                         "http://",
                                         "http://evil.example",
                                         "ftp://127.0.0.1",
                                         "http://localhost/",
                                         "http://localhost, http://evil.example",
                                         "http://evil.example#localhost"};
    (void)state;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!dev_tokens_is_local_origin(cvn_str(local[i])))
            fail_msg("%s is this machine", local[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (dev_tokens_is_local_origin(cvn_str(others[i])))
            fail_msg("%s is not this machine", others[i]);
    assert_false(dev_tokens_is_local_origin((cvn_slice){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorities),
        cmocka_unit_test(test_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
