/*
 * Claims into principals: Supabase's layout and flat ones, role names, lists in each form, and every claim with every wrong type. A claim that is
 * there and wrong refuses the token; nothing that users write themselves decides anything.
 */
#include "auth_rig.h"
#include "auth/auth_claims.h"

static struct auth *auth;

static int setup(void **state)
{
    (void)state;
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    auth = rig_auth(&config);
    assert_non_null(auth);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    auth_free(auth);
    return 0;
}

static struct rig_answer ask(const char *payload)
{
    char *token = rig_token(payload);
    struct rig_answer answer = rig_verify(auth, token, strlen(token));
    free(token);
    return answer;
}

static struct principal *principal_of(const char *payload)
{
    struct rig_answer answer = ask(payload);
    assert_string_equal(answer.why, "");
    return answer.principal;
}

static void expect(const char *payload, enum auth_refusal refusal, const char *why)
{
    struct rig_answer answer = ask(payload);
    principal_unref(answer.principal);
    assert_string_equal(answer.why, why);
    assert_int_equal(answer.refusal, refusal);
}

static void assert_ids(const struct principal_ids *ids, const char *expected)
{
    char text[2048] = "";
    for (size_t i = 0; i < ids->count; i++) {
        strcat(text, ids->items[i]);
        strcat(text, i + 1 < ids->count ? "|" : "");
    }
    assert_string_equal(text, expected);
}

static void reads_supabases_layout(void **state)
{
    (void)state;
    struct principal *p = principal_of("{\"sub\":\"6e3a\",\"aud\":\"authenticated\",\"email\":\"a@"
                                       "b.example\",\"role\":\"authenticated\","
                                       "\"jti\":\"t1\",\"iat\":1700000000,\"exp\":1700003600,\"app_"
                                       "metadata\":{\"provider\":\"email\","
                                       "\"role\":\"PROFESSOR\",\"org_id\":\"o1\",\"division_ids\":["
                                       "\"d1\",\"d2\"],\"courses\":[\"c1\"],"
                                       "\"scopes\":[\"notify\",\"publish\"]},\"user_metadata\":{"
                                       "\"full_name\":\"Ada L\",\"role\":\"ADMIN\","
                                       "\"org_id\":\"o2\"}}");
    assert_string_equal(p->user_id, "6e3a");
    assert_string_equal(p->email, "a@b.example");
    assert_string_equal(p->name, "Ada L");
    assert_string_equal(p->org_id, "o1");
    assert_string_equal(p->jti, "t1");
    assert_int_equal(p->role, ROLE_PROFESSOR);
    assert_ids(&p->division_ids, "d1|d2");
    assert_ids(&p->courses, "c1");
    assert_ids(&p->scopes, "notify|publish");
    assert_int_equal(p->expires_at, 1700003600);
    assert_int_equal(p->issued_at, 1700000000);
    assert_true(principal_has_scope(p, "publish"));
    assert_false(principal_has_scope(p, "publis"));
    assert_true(principal_in_division(p, "d2"));
    assert_false(principal_in_division(p, "c1"));
    assert_true(principal_in_course(p, "c1"));
    assert_false(principal_in_course(p, ""));
    assert_ptr_equal(principal_ref(p), p);
    principal_unref(p);
    assert_string_equal(p->name, "Ada L");
    principal_unref(p);
    principal_unref(NULL);
}

static void reads_flat_claims(void **state)
{
    (void)state;
    struct principal *p =
        principal_of("{\"user_id\":\"u\",\"role\":\"ADMIN\",\"name\":\"Bob\",\"org_id\":17,"
                     "\"division_ids\":\"d1, d2,d3\",\"courses\":[1,\"two\",3],"
                     "\"scope\":\" read  write \"}");
    assert_string_equal(p->user_id, "u");
    assert_string_equal(p->name, "Bob");
    assert_string_equal(p->org_id, "17");
    assert_null(p->email);
    assert_null(p->jti);
    assert_ids(&p->division_ids, "d1|d2|d3");
    assert_ids(&p->courses, "1|two|3");
    assert_ids(&p->scopes, "read|write");
    assert_int_equal(p->expires_at, 0);
    assert_int_equal(p->issued_at, 0);
    principal_unref(p);
}

static void the_first_path_that_is_there_counts(void **state)
{
    (void)state;
    struct principal *p =
        principal_of("{\"sub\":\"a\",\"user_id\":\"b\",\"role\":\"STUDENT\",\"app_metadata\":"
                     "{\"role\":\"ADMIN\",\"org_id\":null},\"org_id\":\"flat\"}");
    assert_string_equal(p->user_id, "a");
    assert_int_equal(p->role, ROLE_ADMIN);
    assert_string_equal(p->org_id, "flat"); /* null is not there */
    principal_unref(p);
    /* ... and if it is wrong, no other one helps. */
    expect("{\"sub\":[],\"user_id\":\"b\",\"role\":\"ADMIN\"}", AUTH_INVALID,
           "the claim for the user's id is wrong");
    expect("{\"sub\":\"\",\"user_id\":\"b\",\"role\":\"ADMIN\"}", AUTH_INVALID,
           "the claim for the user's id is wrong");
    /* A path through what is no object leads nowhere. */
    p = principal_of("{\"sub\":\"a\",\"app_metadata\":\"role\",\"role\":\"STUDENT\"}");
    assert_int_equal(p->role, ROLE_STUDENT);
    principal_unref(p);
}

static void paths_may_be_names_with_dots(void **state)
{
    (void)state;
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    config.auth.claim_role = (struct config_list)LIST("https://x.example/role", "realm.roles");
    struct auth *other = rig_auth(&config);
    static const struct {
        const char *payload;
        enum role role;
    } cases[] = {
        {"{\"sub\":\"a\",\"https://x.example/role\":\"ADMIN\"}", ROLE_ADMIN},
        {"{\"sub\":\"a\",\"realm.roles\":\"ADMIN\",\"realm\":{\"roles\":\"STUDENT\"}}", ROLE_ADMIN},
        {"{\"sub\":\"a\",\"realm\":{\"roles\":[\"offline_access\",\"teacher\",\"ADMIN\"]}}",
         ROLE_PROFESSOR},
        {"{\"sub\":\"a\",\"realm\":{\"roles\":\"service_role\"}}", ROLE_SERVICE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *token = rig_token(cases[i].payload);
        struct rig_answer answer = rig_verify(other, token, strlen(token));
        assert_string_equal(answer.why, "");
        assert_int_equal(answer.principal->role, cases[i].role);
        principal_unref(answer.principal);
        free(token);
    }
    auth_free(other);
}

static void without_a_role_nobody_comes_in(void **state)
{
    (void)state;
    static const char *const roleless[] = {
        "{\"sub\":\"a\"}",
        "{\"sub\":\"a\",\"role\":\"authenticated\"}",
        "{\"sub\":\"a\",\"role\":\"admin\"}",
        "{\"sub\":\"a\",\"role\":\"\"}",
        "{\"sub\":\"a\",\"role\":[]}",
        "{\"sub\":\"a\",\"role\":null}",
        "{\"sub\":\"a\",\"role\":[\"nobody\"]}",
        "{\"sub\":\"a\",\"role\":\"ADMIN \"}",
        "{\"sub\":\"a\",\"user_metadata\":{\"role\":\"ADMIN\"}}"};
    for (size_t i = 0; i < sizeof roleless / sizeof *roleless; i++)
        expect(roleless[i], AUTH_FORBIDDEN, "the token gives no role");
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    config.auth.default_role = "STUDENT";
    struct auth *lenient = rig_auth(&config);
    for (size_t i = 0; i < sizeof roleless / sizeof *roleless; i++) {
        char *token = rig_token(roleless[i]);
        struct rig_answer answer = rig_verify(lenient, token, strlen(token));
        assert_int_equal(answer.refusal, AUTH_OK);
        assert_int_equal(answer.principal->role, ROLE_STUDENT);
        principal_unref(answer.principal);
        free(token);
    }
    auth_free(lenient);
}

/* A name that the map gives to NONE bars, wherever in a list it stands and whatever the default role is. */
static void a_barred_name_bars(void **state)
{
    (void)state;
    static const struct {
        const char *role;
        enum auth_refusal refusal;
    } cases[] = {{"\"anon\"", AUTH_FORBIDDEN},
                 {"[\"anon\",\"ADMIN\"]", AUTH_FORBIDDEN},
                 {"[\"ADMIN\",\"anon\"]", AUTH_FORBIDDEN},
                 {"[\"anonymous\"]", AUTH_OK},
                 {"\"NONE\"", AUTH_OK}};
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    config.auth.default_role = "STUDENT";
    config.auth.role_map = (struct config_list)LIST("anon=NONE");
    struct auth *barring = rig_auth(&config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char payload[128];
        snprintf(payload, sizeof payload, "{\"sub\":\"a\",\"role\":%s}", cases[i].role);
        char *token = rig_token(payload);
        struct rig_answer answer = rig_verify(barring, token, strlen(token));
        principal_unref(answer.principal);
        assert_int_equal(answer.refusal, cases[i].refusal);
        free(token);
    }
    auth_free(barring);
}

/* Each claim with each type that it may not have. */
static void refuses_every_wrong_type(void **state)
{
    (void)state;
    static const struct {
        const char *claim, *why;
        const char *wrong[14];
    } rows[] = {
        {"sub",
         "the claim for the user's id is wrong",
         {"\"\"", "true", "1.5", "1e2", "-1", "[]", "[\"a\"]", "{}", "\"a\\u0001\"", "\"a\\n\"",
          "\"\\u007f\""}},
        {"email",
         "the claim for the e-mail address is wrong",
         {"1", "true", "[\"a@b\"]", "{}", "\"a\\tb\""}},
        {"name", "the claim for the name is wrong", {"1", "false", "[]", "{}", "\"a\\r\\nb\""}},
        {"role",
         "the claim for the role is wrong",
         {"1", "true", "{}", "[1]", "[\"ADMIN\",null]", "0.5"}},
        {"org_id",
         "the claim for the organisation is wrong",
         {"\"\"", "true", "1.5", "-7", "[\"o\"]", "{}", "\"o\\u0000\""}},
        {"division_ids",
         "the claim for the divisions is wrong",
         {"true", "1.5", "-7", "{}", "[[]]", "[null]", "[\"\"]", "[\"a\",1.5]", "[{}]", "\"a\\nb\"",
          "[\"a\\n\"]"}},
        {"courses", "the claim for the courses is wrong", {"false", "{}", "[true]", "\"\\u0002\""}},
        {"scope", "the claim for the scopes is wrong", {"false", "{}", "[true]", "\"a b\\u0002\""}},
        {"jti", "jti is wrong", {"1", "\"\"", "null", "[]", "{}", "true", "\"\\n\""}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t k = 0; k < 14 && rows[i].wrong[k] != NULL; k++) {
            char payload[256];
            bool no_json = strstr(rows[i].wrong[k], "\\u0000") != NULL;
            snprintf(payload, sizeof payload, "{%s%s\"%s\":%s}",
                     strcmp(rows[i].claim, "sub") == 0 ? "" : "\"sub\":\"a\",",
                     strcmp(rows[i].claim, "role") == 0 ? "" : "\"role\":\"ADMIN\",", rows[i].claim,
                     rows[i].wrong[k]);
            expect(payload, AUTH_INVALID,
                   no_json ? "a part of the token is no JSON object" : rows[i].why);
        }
    }
    expect("{\"role\":\"ADMIN\"}", AUTH_INVALID, "the token does not say whose it is");
    expect("{\"sub\":null,\"role\":\"ADMIN\"}", AUTH_INVALID, "the token does not say whose it is");
    struct principal *p =
        principal_of("{\"sub\":\"a\",\"role\":\"ADMIN\",\"email\":\"\",\"name\":null}");
    assert_null(p->email);
    assert_null(p->name);
    principal_unref(p);
}

static char *repeat(const char *piece, size_t count)
{
    char *text = calloc(count, strlen(piece) + 1);
    for (size_t i = 0; i < count; i++)
        strcat(text, piece);
    return text;
}

static void expect_long(const char *format, const char *filling, enum auth_refusal refusal,
                        const char *why)
{
    char payload[8192];
    snprintf(payload, sizeof payload, format, filling);
    expect(payload, refusal, why);
}

static void bounds_ids_texts_and_lists(void **state)
{
    (void)state;
    char *longest = repeat("x", PRINCIPAL_MAX_ID), *longer = repeat("x", PRINCIPAL_MAX_ID + 1);
    static const struct {
        const char *format, *why;
    } ids[] = {
        {"{\"sub\":\"%s\",\"role\":\"ADMIN\"}", "the claim for the user's id is wrong"},
        {"{\"sub\":\"a\",\"role\":\"ADMIN\",\"jti\":\"%s\"}", "jti is wrong"},
        {"{\"sub\":\"a\",\"role\":\"ADMIN\",\"org_id\":\"%s\"}",
         "the claim for the organisation is wrong"},
        {"{\"sub\":\"a\",\"role\":\"ADMIN\",\"courses\":\"a %s\"}",
         "the claim for the courses is wrong"},
        {"{\"sub\":\"a\",\"role\":\"ADMIN\",\"courses\":[\"a\",\"%s\"]}",
         "the claim for the courses is wrong"},
    };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        expect_long(ids[i].format, longest, AUTH_OK, "");
        expect_long(ids[i].format, longer, AUTH_INVALID, ids[i].why);
    }
    free(longest);
    free(longer);
    longest = repeat("x", AUTH_MAX_TEXT);
    longer = repeat("x", AUTH_MAX_TEXT + 1);
    expect_long("{\"sub\":\"a\",\"role\":\"ADMIN\",\"name\":\"%s\"}", longest, AUTH_OK, "");
    expect_long("{\"sub\":\"a\",\"role\":\"ADMIN\",\"name\":\"%s\"}", longer, AUTH_INVALID,
                "the claim for the name is wrong");
    free(longest);
    free(longer);
    /* Three full lists at once, and one too many in each form. */
    char *list = repeat("\"abc\",", PRINCIPAL_MAX_IDS - 1),
         *words = repeat("abc,", PRINCIPAL_MAX_IDS - 1);
    char payload[6000];
    snprintf(payload, sizeof payload,
             "{\"sub\":\"a\",\"role\":\"ADMIN\",\"courses\":[%s1],\"division_ids\":[%s1],\"scope\":"
             "\"%s1\"}",
             list, list, words);
    struct principal *p = principal_of(payload);
    assert_int_equal(p->courses.count, PRINCIPAL_MAX_IDS);
    assert_int_equal(p->division_ids.count, PRINCIPAL_MAX_IDS);
    assert_int_equal(p->scopes.count, PRINCIPAL_MAX_IDS);
    assert_string_equal(p->scopes.items[PRINCIPAL_MAX_IDS - 1], "1");
    principal_unref(p);
    snprintf(payload, sizeof payload, "{\"sub\":\"a\",\"role\":\"ADMIN\",\"courses\":[%s1,2]}",
             list);
    expect(payload, AUTH_INVALID, "the claim for the courses is wrong");
    snprintf(payload, sizeof payload, "{\"sub\":\"a\",\"role\":\"ADMIN\",\"scope\":\"%s1 2\"}",
             words);
    expect(payload, AUTH_INVALID, "the claim for the scopes is wrong");
    free(list);
    free(words);
}

/* "org:A:div:B" must be nobody's but division B's of A. */
static void organisations_and_divisions_have_no_colon(void **state)
{
    (void)state;
    static const char *const colons[] = {"a:b", ":", "a:", ":div:d"};
    for (size_t i = 0; i < sizeof colons / sizeof *colons; i++) {
        expect_long("{\"sub\":\"a\",\"role\":\"ADMIN\",\"org_id\":\"%s\"}", colons[i], AUTH_INVALID,
                    "the claim for the organisation is wrong");
        expect_long("{\"sub\":\"a\",\"role\":\"ADMIN\",\"division_ids\":[\"d\",\"%s\"]}", colons[i],
                    AUTH_INVALID, "the claim for the divisions is wrong");
        expect_long("{\"sub\":\"a\",\"role\":\"ADMIN\",\"division_ids\":\"%s\"}", colons[i],
                    AUTH_INVALID, "the claim for the divisions is wrong");
        expect_long("{\"sub\":\"%s\",\"role\":\"ADMIN\",\"scope\":\"board:*\"}", colons[i], AUTH_OK,
                    "");
    }
}

/* A list of one, the empty list, and a list that is only separators. */
static void reads_short_lists(void **state)
{
    (void)state;
    struct principal *p =
        principal_of("{\"sub\":\"a\",\"role\":\"ADMIN\",\"courses\":7,\"division_ids\":[],"
                     "\"scope\":\" , ,\"}");
    assert_ids(&p->courses, "7");
    assert_int_equal(p->division_ids.count, 0);
    assert_int_equal(p->scopes.count, 0);
    principal_unref(p);
}

static void configurations_that_trust_users_are_refused(void **state)
{
    (void)state;
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    struct config_list *const lists[] = {
        &config.auth.claim_user_id, &config.auth.claim_email,   &config.auth.claim_role,
        &config.auth.claim_org_id,  &config.auth.claim_courses, &config.auth.claim_division_ids,
        &config.auth.claim_scopes};
    const struct config_list wrong[] = {LIST("user_metadata.role"), LIST("sub", "user_metadata"),
                                        LIST("raw_user_meta_data.role"), LIST("")};
    const struct config_list fine = LIST("user_metadata_of_ours.role");
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct config_list right = *lists[i];
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            *lists[i] = wrong[k];
            assert_null(rig_auth(&config));
        }
        *lists[i] = fine;
        struct auth *taken = rig_auth(&config);
        assert_non_null(taken);
        auth_free(taken);
        *lists[i] = right;
    }
    config.auth.role_map = (struct config_list)LIST("teacher=TEACHER");
    assert_null(rig_auth(&config));
    config.auth.role_map = (struct config_list)LIST("=ADMIN");
    assert_null(rig_auth(&config));
    config.auth.role_map = (struct config_list)LIST("ADMIN");
    assert_null(rig_auth(&config));
    config.auth.role_map = (struct config_list){0};
    config.auth.default_role = "GUEST";
    assert_null(rig_auth(&config));
}

static void roles_have_names(void **state)
{
    (void)state;
    enum role role = ROLE_NONE;
    static const enum role all[] = {ROLE_STUDENT, ROLE_PROFESSOR, ROLE_ADMIN, ROLE_SERVICE};
    for (size_t i = 0; i < 4; i++) {
        assert_true(role_parse(role_name(all[i]), &role));
        assert_int_equal(role, all[i]);
    }
    assert_string_equal(role_name(ROLE_NONE), "");
    assert_false(role_parse("", &role));
    assert_false(role_parse("admin", &role));
    assert_int_equal(role, ROLE_SERVICE); /* untouched */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_supabases_layout),
        cmocka_unit_test(reads_flat_claims),
        cmocka_unit_test(the_first_path_that_is_there_counts),
        cmocka_unit_test(paths_may_be_names_with_dots),
        cmocka_unit_test(without_a_role_nobody_comes_in),
        cmocka_unit_test(a_barred_name_bars),
        cmocka_unit_test(refuses_every_wrong_type),
        cmocka_unit_test(bounds_ids_texts_and_lists),
        cmocka_unit_test(organisations_and_divisions_have_no_colon),
        cmocka_unit_test(reads_short_lists),
        cmocka_unit_test(configurations_that_trust_users_are_refused),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
