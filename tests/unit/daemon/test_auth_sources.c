/* Where tokens are: the order of the four places, the forms of each, and what is there but can be no token. */
#include "auth_rig.h"
#include "auth/auth_sources.h"

/* Lists every place; NULL leaves one out. */
static void expect(const char *payload, const char *authorization, const char *query,
                   const char *cookies, const char *expected)
{
    char buffer[32];
    const char *texts[] = {payload, authorization, query, cookies};
    char *copies[4]; /* of their own size, so that a byte too many that is read is found */
    cvn_slice slices[4];
    for (size_t i = 0; i < 4; i++) {
        size_t size = texts[i] != NULL ? strlen(texts[i]) : 0;
        copies[i] = malloc(size + 1);
        copies[i] = realloc(copies[i], size > 0 ? size : 1);
        memcpy(copies[i], texts[i] != NULL ? texts[i] : "", size);
        slices[i] = (cvn_slice){size > 0 ? copies[i] : NULL, size};
    }
    const struct auth_sources sources = {slices[0], slices[1], slices[2], slices[3]};
    cvn_slice token = auth_sources_find(&sources, "session", buffer, sizeof buffer);
    assert_int_equal(token.size, strlen(expected));
    if (token.size > 0)
        assert_memory_equal(token.data, expected, token.size);
    for (size_t i = 0; i < 4; i++)
        free(copies[i]);
}

static void takes_the_first_place_that_has_one(void **state)
{
    (void)state;
    expect("{\"token\":\"p\"}", "Bearer a", "q", "session=c", "p");
    expect("{}", "Bearer a", "q", "session=c", "a");
    expect("{}", "Basic a", "q", "session=c", "q");
    expect("{}", NULL, NULL, "session=c", "c");
    expect("{}", NULL, NULL, NULL, "");
    expect(NULL, NULL, NULL, NULL, "");
}

static void reads_the_payload(void **state)
{
    (void)state;
    expect("{\"token\":\"\"}", "Bearer a", NULL, NULL,
           "a"); /* how clients say that they have none */
    expect("{\"token\":null}", "Bearer a", NULL, NULL, "a");
    expect("{\"Token\":\"p\"}", NULL, NULL, NULL, "");
    expect("{\"token\":\"a\\u002eb\"}", NULL, NULL, NULL, "a.b");
    expect("{ \"x\" : {\"token\":\"no\"} , \"token\" : \"yes\" }", NULL, NULL, NULL, "yes");
    /* What is no text stands in nobody's way, but is no token either. */
    expect("{\"token\":7}", "Bearer a", NULL, NULL, "7");
    expect("{\"token\":{\"a\":1}}", "Bearer a", NULL, NULL, "{\"a\":1}");
    expect("{\"token\":\"\\u0000\"}", NULL, NULL, NULL, "\"\\u0000\"");
    expect("{\"token\":\"\\u0041123456789012345678901234567890123456789\"}", NULL, NULL, NULL,
           "\"\\u0041123456789012345678901234567890123456789\""); /* longer than the buffer */
}

static void reads_the_header(void **state)
{
    (void)state;
    expect(NULL, "bearer a.b", NULL, NULL, "a.b");
    expect(NULL, "BEARER   a.b  ", NULL, NULL, "a.b");
    expect(NULL, " Bearer a", NULL, NULL, "a");
    expect(NULL, "Bearer", NULL, NULL, "");
    expect(NULL, "Bearer ", NULL, NULL, "");
    expect(NULL, "Bearera", NULL, NULL, "");
    expect(NULL, "a.b.c", NULL, NULL, "");
    expect(NULL, "Bearer a b", NULL, NULL, "a b"); /* no token, and refused as one */
}

static void reads_the_query(void **state)
{
    (void)state;
    expect(NULL, NULL, "a%2Eb%2ec", NULL, "a.b.c");
    expect(NULL, NULL, "a%2", NULL, "a%2");
    expect(NULL, NULL, "a%", NULL, "a%");
    expect(NULL, NULL, "a%zzb", NULL, "a%zzb");
    expect(NULL, NULL, "%2", NULL, "%2");
    expect(NULL, NULL, "%41", NULL, "A");
    expect(NULL, NULL, "%41123456789012345678901234567890", NULL,
           "A123456789012345678901234567890");
    expect(NULL, NULL, "%4112345678901234567890123456789012", NULL,
           "%4112345678901234567890123456789012"); /* longer than the buffer */
}

static void reads_cookies(void **state)
{
    (void)state;
    expect(NULL, NULL, NULL, "a=1; session=x.y; b=2", "x.y");
    expect(NULL, NULL, NULL, "session=x;session=y", "x");
    expect(NULL, NULL, NULL, "xsession=no; sessionx=no; session2=no", "");
    expect(NULL, NULL, NULL, "Session=no", "");
    expect(NULL, NULL, NULL, "session", "");
    expect(NULL, NULL, NULL, "session=", "");
    expect(NULL, NULL, NULL, ";;;; session = x ;", "x");
    expect(NULL, NULL, NULL, "session=\"x.y\"", "x.y");
    expect(NULL, NULL, NULL, "session=\"", "\"");
    expect(NULL, NULL, NULL, "session=a%2Eb", "a.b");
    expect(NULL, NULL, NULL, "other=session=no; session=yes=", "yes=");
    expect(NULL, NULL, NULL, "a=\"; session=x; b=\"",
           "x"); /* quotes do not hide what is behind ; */
    expect(NULL, NULL, NULL, "=session", "");
}

/* Without a name no cookie is looked at. */
static void cookies_need_a_name(void **state)
{
    (void)state;
    char buffer[8];
    const struct auth_sources sources = {.cookies = cvn_str("session=x")};
    assert_int_equal(auth_sources_find(&sources, NULL, buffer, sizeof buffer).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_first_place_that_has_one),
        cmocka_unit_test(reads_the_payload),
        cmocka_unit_test(reads_the_header),
        cmocka_unit_test(reads_the_query),
        cmocka_unit_test(reads_cookies),
        cmocka_unit_test(cookies_need_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
