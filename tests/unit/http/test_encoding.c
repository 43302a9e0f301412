/* Accept-Encoding: what is chosen for which words and weights, in one field or several; values end at an unmapped page. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "http/http_encoding.h"
#include "support/guard.h"

static void assert_chosen(const char *first, const char *second, enum http_encoding expected)
{
    struct http_head head = {.field_count = 0};
    const char *values[] = {first, second};
    char *copies[2] = {NULL, NULL};
    head.fields[head.field_count++] = (struct http_field){SLICE("Host"), SLICE("gzip")};
    for (size_t i = 0; i < 2; i++) {
        if (values[i] == NULL)
            continue;
        copies[i] = guard_copy(values[i], strlen(values[i]));
        head.fields[head.field_count++] =
            (struct http_field){i == 0 ? SLICE("accept-encoding") : SLICE("Accept-Encoding"),
                                slice_of(copies[i], strlen(values[i]))};
    }
    enum http_encoding chosen = http_encoding_choose(&head);
    if (chosen != expected)
        fail_msg("\"%s\": %d", first != NULL ? first : "(none)", (int)chosen);
    for (size_t i = 0; i < 2; i++)
        if (values[i] != NULL)
            guard_free(copies[i], strlen(values[i]));
}

static void test_choices(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum http_encoding chosen;
    } cases[] = {
        {"gzip", HTTP_GZIP},
        {"GZip", HTTP_GZIP},
        {"x-gzip", HTTP_GZIP},
        {"deflate", HTTP_DEFLATE},
        {"gzip, deflate", HTTP_GZIP},
        {"deflate, gzip", HTTP_GZIP},
        {"gzip, deflate, br, zstd", HTTP_GZIP}, /* browsers */
        {"gzip,deflate,br", HTTP_GZIP},
        {"br", HTTP_IDENTITY},
        {"", HTTP_IDENTITY},
        {"identity", HTTP_IDENTITY},
        {"*", HTTP_GZIP},
        {"gzip;q=0.5, deflate;q=0.8", HTTP_DEFLATE},
        {"gzip;q=0.8, deflate;q=0.8", HTTP_GZIP},
        {"gzip;q=0.800, deflate;q=0.801", HTTP_DEFLATE},
        {"gzip ; q=0.5 , deflate ; Q=1.000", HTTP_DEFLATE},
        {"gzip;q=0", HTTP_IDENTITY},
        {"gzip;q=0.000", HTTP_IDENTITY},
        {"gzip;q=0, deflate", HTTP_DEFLATE},
        {"gzip;q=0, *", HTTP_DEFLATE},
        {"gzip;q=0, *;q=0.1", HTTP_DEFLATE},
        {"deflate;q=0.1, *;q=0.5", HTTP_GZIP},
        {"*;q=0", HTTP_IDENTITY},
        {"gzip;q=0.1, *;q=0", HTTP_GZIP},
        {"identity;q=0.5, gzip;q=0.4", HTTP_IDENTITY},
        {"identity;q=0.5, gzip;q=0.5", HTTP_GZIP},
        {"identity, gzip", HTTP_GZIP},
        {"identity;q=0, gzip;q=0", HTTP_IDENTITY}, /* somehow it must be answered */
        {"gzip;q=.5", HTTP_IDENTITY},              /* malformed: passed over */
        {"gzip;q=", HTTP_IDENTITY},
        {"gzip;q=2", HTTP_IDENTITY},
        {"gzip;q=1.001", HTTP_IDENTITY},
        {"gzip;q=0.1234", HTTP_IDENTITY},
        {"gzip;q=0.x", HTTP_IDENTITY},
        {"gzip;q=-1", HTTP_IDENTITY},
        {"gzip;q=00", HTTP_IDENTITY},
        {"gzip;", HTTP_IDENTITY},
        {"gzip;level=3", HTTP_IDENTITY},
        {"gzip;q=1;x=y", HTTP_IDENTITY},
        {"gzip;q=9, deflate", HTTP_DEFLATE},
        {"gzip;q=1.", HTTP_GZIP}, /* allowed */
        {"gzip;q=0.", HTTP_IDENTITY},
        {",, ,gzip,,", HTTP_GZIP},
        {"gzip2", HTTP_IDENTITY},
        {"gzi", HTTP_IDENTITY},
        {"gzip deflate", HTTP_IDENTITY},
        {"gzip;q=0, gzip", HTTP_GZIP}, /* the later word */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_chosen(cases[i].value, NULL, cases[i].chosen);
}

static void test_fields(void **state)
{
    (void)state;
    assert_chosen(NULL, NULL, HTTP_IDENTITY);
    assert_chosen("br", "deflate", HTTP_DEFLATE);
    assert_chosen("deflate", "gzip", HTTP_GZIP);
    assert_chosen("gzip;q=0", "*", HTTP_DEFLATE);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(slice_eq(http_encoding_name(HTTP_GZIP), SLICE("gzip")));
    assert_true(slice_eq(http_encoding_name(HTTP_DEFLATE), SLICE("deflate")));
    assert_true(slice_eq(http_encoding_name(HTTP_IDENTITY), SLICE("identity")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
