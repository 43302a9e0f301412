/* `convened audit`: what an operator sees, and exports that other programs can read. */
#include "store_rig.h"
#include "observe/audit_export.h"
#include <jansson.h>

static char *out; /* what the command wrote to standard output */
static size_t out_size;

static int set_up(void **state)
{
    (void)state;
    log_forget();
    directory_make();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(out);
    out = NULL;
    directory_remove();
    return 0;
}

/* Runs the command with its arguments in one text, separated by blanks; "%" stands for the directory. */
static int run(const char *line)
{
    char words[2000], *argv[20], *rest = words;
    int argc = 0;
    size_t size = 0;
    for (const char *at = line; *at != '\0'; at++)
        size += (size_t)snprintf(words + size, sizeof words - size, *at == '%' ? "%s" : "%.1s",
                                 *at == '%' ? directory : at);
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL && argc < 19;)
        argv[argc++] = word;
    argv[argc] = NULL;
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int old = dup(1);
    dup2(fileno(file), 1);
    int status = audit_command(argc, argv);
    fflush(stdout);
    dup2(old, 1);
    close(old);
    free(out);
    out_size = (size_t)lseek(fileno(file), 0, SEEK_END);
    out = malloc(out_size + 1);
    assert_non_null(out);
    assert_int_equal(pread(fileno(file), out, out_size, 0), out_size);
    out[out_size] = '\0';
    fclose(file);
    return status;
}

static const char *const nasty[] = {
    "plain",
    "with \"quotes\", commas",
    "line\nbreak\r\n",
    "=HYPERLINK(\"http://x\")",
    "@sum",
    "-1",
    "+1",
    "\ttab",
    "\x01\x1f",
    "\xf0\x9f\x98\x80",
    "broken \xff\xc3",
    "",
    "'",
};
#define NASTY (sizeof nasty / sizeof *nasty)

/* As it is kept: UTF-8. */
static const char *kept(size_t i)
{
    return strcmp(nasty[i], "broken \xff\xc3") == 0 ? "broken \xef\xbf\xbd\xef\xbf\xbd" : nasty[i];
}

static void write_trail(void)
{
    struct store *store = store_open(directory);
    struct audit *audit = audit_new(store, directory);
    assert_non_null(audit);
    for (size_t i = 0; i < NASTY; i++)
        audit_write_at(audit,
                       &(struct audit_entry){.action = "join",
                                             .user_id = nasty[i],
                                             .code = i % 2 == 0 ? NULL : "FORBIDDEN"},
                       1700000000000 + (int64_t)i * 1000);
    assert_true(store_start(store, NULL));
    audit_free(audit);
    store_close(store);
}

static void test_usage(void **state)
{
    (void)state;
    assert_int_equal(run("audit"), 2);
    assert_int_equal(run("audit nonsense"), 2);
    assert_int_equal(run("audit --help"), 0);
    assert_non_null(strstr(out, "usage:"));
    assert_int_equal(run("audit verify --help"), 0);
    assert_int_equal(run("audit verify --nonsense"), 2);
    assert_int_equal(run("audit verify --data"), 2);
    assert_int_equal(run("audit verify extra --data %"), 2);
    assert_int_equal(run("audit verify --data % --expect-head zz"), 2);
    assert_int_equal(run("audit verify --data % --since 2026-01-01"), 2);
    assert_int_equal(run("audit export --data % --since yesterday"), 2);
    assert_int_equal(run("audit export --data % --format xml"), 2);
    assert_int_equal(run("audit verify --data /nonexistent"), 1);
    assert_int_equal(run("audit verify --data %"), 1); /* no database there */
}

static void test_verify(void **state)
{
    (void)state;
    char line[300], head[100];
    write_trail();
    assert_int_equal(run("audit verify --data %"), 0);
    assert_non_null(strstr(out, "the audit trail is whole: 13 entries\n"));
    assert_non_null(strstr(out, "from 2023-11-14T22:13:20.000Z to 2023-11-14T22:13:32.000Z\n"));
    const char *at = strstr(out, "head 13:");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "head %99s", head), 1);
    snprintf(line, sizeof line, "audit verify --data %% --expect-head %s", head);
    assert_int_equal(run(line), 0);
    snprintf(line, sizeof line, "audit verify --data %% --expect-head %s", strchr(head, ':') + 1);
    assert_int_equal(run(line), 0);
    /* An entry that was never there. */
    head[70 - 10] = head[70 - 10] == '0' ? '1' : '0';
    snprintf(line, sizeof line, "audit verify --data %% --expect-head %s", head);
    assert_int_equal(run(line), 1);
    assert_non_null(strstr(out, "entry 13 is not the one that was there"));
    snprintf(line, sizeof line, "audit verify --data %% --expect-head 99%s", strchr(head, ':'));
    assert_int_equal(run(line), 1);
    assert_non_null(strstr(out, "the last entry is 13, but entry 99 was there"));
    write_file(file_in("audit.head"), "nonsense\n", 9);
    assert_int_equal(run("audit verify --data %"), 1);
    assert_non_null(strstr(out, "audit.head cannot be read"));
    unlink(file_in("audit.head"));
    assert_int_equal(run("audit verify --data %"), 0);
}

/* Where the daemon's own configuration says the data are. */
static void test_directory_of_the_configuration(void **state)
{
    (void)state;
    char yaml[400];
    write_trail();
    int size = snprintf(yaml, sizeof yaml, "server:\n  data_dir: %s\n", directory);
    write_file(file_in("convened.yaml"), yaml, (size_t)size);
    assert_int_equal(run("audit verify --config %/convened.yaml"), 0);
    assert_non_null(strstr(out, "13 entries"));
    assert_int_equal(run("audit verify --config %/nonexistent.yaml"), 2);
}

/* Computed again from the export alone. */
static void assert_hash(const json_t *entry)
{
    struct audit_row row = {.seq = json_integer_value(json_object_get(entry, "seq")),
                            .time_ms = json_integer_value(json_object_get(entry, "time_ms"))};
    unsigned char hash[AUDIT_HASH_SIZE];
    char hex[AUDIT_HEX_SIZE];
    for (int i = 0; i < AUDIT_FIELDS; i++) {
        const json_t *field = json_object_get(entry, audit_field_names[i]);
        if (json_is_string(field))
            row.fields[i] = (cvn_slice){json_string_value(field), json_string_length(field)};
    }
    const char *prev = json_string_value(json_object_get(entry, "prev_hash"));
    assert_true(audit_hex_parse(cvn_str(prev), row.prev_hash));
    assert_true(audit_row_hash(&row, hash));
    audit_hex(hash, hex);
    assert_string_equal(json_string_value(json_object_get(entry, "hash")), hex);
}

static void test_jsonl(void **state)
{
    (void)state;
    size_t count = 0;
    write_trail();
    assert_int_equal(run("audit export --data %"), 0);
    for (char *rest = out, *line; (line = strtok_r(rest, "\n", &rest)) != NULL; count++) {
        json_error_t error;
        json_t *entry = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        if (entry == NULL)
            fail_msg("%s: %s", line, error.text);
        assert_int_equal(json_integer_value(json_object_get(entry, "seq")), count + 1);
        assert_int_equal(json_integer_value(json_object_get(entry, "time_ms")),
                         1700000000000 + (int64_t)count * 1000);
        assert_true(count < NASTY);
        assert_string_equal(json_string_value(json_object_get(entry, "user_id")), kept(count));
        assert_true(json_is_null(json_object_get(entry, "code")) == (count % 2 == 0));
        assert_true(json_is_null(json_object_get(entry, "nsp")));
        assert_hash(entry);
        json_decref(entry);
    }
    assert_int_equal(count, NASTY);
}

/* One field of RFC 4180 from `*at`; false when it was absent rather than empty. */
static bool csv_field(const char **at, char *ret)
{
    bool is_quoted = **at == '"';
    if (is_quoted)
        (*at)++;
    for (; is_quoted ? **at != '"' || (*at)[1] == '"' : strchr(",\r\n", **at) == NULL; (*at)++) {
        if (is_quoted && **at == '"')
            (*at)++;
        *ret++ = **at;
    }
    *ret = '\0';
    if (is_quoted)
        (*at)++;
    return is_quoted;
}

static void test_csv(void **state)
{
    (void)state;
    static const char head[] = "seq,time,time_ms,action,user_id,subject,nsp,address,code,"
                               "correlation_id,prev_hash,hash\r\n";
    char field[600], expected[600];
    write_trail();
    assert_int_equal(run("audit export --format csv --data %"), 0);
    assert_memory_equal(out, head, sizeof head - 1);
    const char *at = out + sizeof head - 1;
    for (size_t i = 0; i < NASTY; i++) {
        for (int column = 0; column < 12; column++) {
            bool is_there = csv_field(&at, field);
            if (column == 4) {
                bool is_formula = nasty[i][0] != '\0' && strchr("=+-@\t", nasty[i][0]) != NULL;
                snprintf(expected, sizeof expected, "%s%s", is_formula ? "'" : "", kept(i));
                assert_true(is_there);
                assert_string_equal(field, expected);
            } else if (column == 8) {
                assert_int_equal(is_there, i % 2 == 1);
            } else if (column == 11) {
                assert_int_equal(strlen(field), 64);
            }
            assert_memory_equal(at, column < 11 ? "," : "\r\n", column < 11 ? 1 : 2);
            at += column < 11 ? 1 : 2;
        }
    }
    assert_int_equal(*at, '\0');
}

static size_t lines_of(const char *command)
{
    size_t count = 0;
    assert_int_equal(run(command), 0);
    for (size_t i = 0; i < out_size; i++)
        count += out[i] == '\n';
    return count;
}

static void test_since_until(void **state)
{
    (void)state;
    write_trail();
    assert_int_equal(lines_of("audit export --data % --since 1700000003000"), 10);
    assert_int_equal(lines_of("audit export --data % --until 1700000003000"), 3);
    assert_int_equal(
        lines_of("audit export --data % --since 2023-11-14T22:13:22Z --until 2023-11-14T22:13:23Z"),
        1);
    assert_int_equal(lines_of("audit export --data % --since 2023-11-15"), 0);
}

/* Somebody closes the other end of the pipe, or the disk is full: not a success. */
static void test_output_that_fails(void **state)
{
    (void)state;
    char *argv[] = {(char *)"audit", (char *)"export", (char *)"--data", directory, NULL};
    write_trail();
    fflush(stdout);
    int old = dup(1), full = open("/dev/full", O_WRONLY);
    assert_true(full >= 0);
    dup2(full, 1);
    int status = audit_command(4, argv);
    clearerr(stdout);
    dup2(old, 1);
    close(old);
    close(full);
    assert_int_equal(status, 1);
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"0", 0},
        {"1700000000123", 1700000000123},
        {"1970-01-01", 0},
        {"2026-11-21", 1795219200000},
        {"2026-11-21T10:00:00", 1795255200000},
        {"2026-11-21 10:00:00Z", 1795255200000},
        {"2026-11-21T10:00:00.5Z", 1795255200500},
        {"2026-11-21T10:00:00.123456+01:30", 1795255200123 - 5400000},
        {"2026-11-21T10:00:00-00:30", 1795255200000 + 1800000},
        {"2024-02-29", 1709164800000},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2016-12-31T23:59:60Z", 1483228800000},
    };
    static const char *const bad[] = {
        "",
        "x",
        "2026",
        "2026-13-01",
        "2026-00-01",
        "2026-02-30",
        "2023-02-29",
        "2026-1-1",
        "2026-11-21T",
        "2026-11-21T10:00",
        "-1",
        "2026-11-32",
        "2026-11-00",
        "2026-11-21T24:00:00Z",
        "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00+1",
        "2026-11-21Z",
        "1700000000000000000000",
        "12 ",
        "2026-11-21T10:00:00Zx",
        "2026-11-21T10:61:00Z",
    };
    char text[AUDIT_TIME_SIZE];
    int64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ms = -77;
        if (!audit_time_parse(good[i].text, &ms) || (strlen(good[i].text) > 4 && ms != good[i].ms))
            fail_msg("%s: %lld", good[i].text, (long long)ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* digits alone are milliseconds */
        if (strspn(bad[i], "0123456789") == strlen(bad[i]) && bad[i][0] != '\0' &&
            strlen(bad[i]) < 19)
            continue;
        ms = -77;
        if (audit_time_parse(bad[i], &ms) || ms != -77)
            fail_msg("%s", bad[i]);
    }
    audit_time(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    audit_time(INT64_MAX, text);
    assert_true(strlen(text) < sizeof text);
    audit_time(INT64_MIN, text);
    assert_true(strlen(text) < sizeof text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_usage),
        TEST(test_verify),
        TEST(test_directory_of_the_configuration),
        TEST(test_jsonl),
        TEST(test_csv),
        TEST(test_since_until),
        TEST(test_output_that_fails),
        TEST(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
