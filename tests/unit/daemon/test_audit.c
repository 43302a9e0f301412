/* The audit trail: entries chained in order, across restarts, losses and failures of the disk, and what the verifier finds. */
#include "store_rig.h"
#include "store_faults.h"
#include "observe/audit_verify.h"

#define CANONICAL_EXAMPLE "996ba0e3a39c9c23c121183a8b614e95b1c98b2a4430762965165d7c04d06347"

static int set_up(void **state)
{
    (void)state;
    faults_set(FAULT_NONE, 0);
    log_forget();
    directory_make();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    faults_set(FAULT_NONE, 0);
    directory_remove();
    return 0;
}

/* --- A trail that is being written --- */

struct trail {
    struct store *store;
    struct audit *audit;
};

static void trail_open(struct trail *trail)
{
    trail->store = store_open(directory);
    assert_non_null(trail->store);
    trail->audit = audit_new(trail->store, directory);
    assert_non_null(trail->audit);
    assert_true(store_migrate(trail->store, items_steps, 1));
    assert_true(store_start(trail->store, NULL));
}

static void trail_close(struct trail *trail)
{
    audit_free(trail->audit);
    store_close(trail->store);
}

static void say(struct trail *trail, int number)
{
    char subject[32];
    snprintf(subject, sizeof subject, "room:%d", number);
    audit_write_at(trail->audit,
                   &(struct audit_entry){.action = "join", .user_id = "u1", .subject = subject},
                   1700000000000 + number);
}

/* Until everything that was written is with the disk: the writer does things in order, and answers before it goes on. */
static void settle(struct trail *trail)
{
    struct audit_stats stats;
    do {
        static int64_t number = 1000000;
        struct job job = {.number = number++};
        write_now(trail->store, insert_item, &job);
        audit_get_stats(trail->audit, &stats);
    } while (stats.waiting > 0);
}

static void write_trail(int first, int count)
{
    struct trail trail;
    trail_open(&trail);
    for (int i = 0; i < count; i++)
        say(&trail, first + i);
    trail_close(&trail);
}

/* --- What the verifier says --- */

static struct audit_report report_with(const struct audit_anchor *anchors, size_t count)
{
    struct audit_report report;
    struct store *store = store_open_readonly(directory);
    assert_non_null(store);
    audit_verify(store, anchors, count, &report);
    store_close(store);
    return report;
}

static struct audit_report report_now(void)
{
    struct audit_anchor anchor;
    enum audit_anchor_result found = audit_anchor_read(directory, &anchor);
    return report_with(&anchor, found == AUDIT_ANCHOR_READ ? 1 : 0);
}

static void assert_fault(enum audit_fault fault, int64_t seq, int64_t last)
{
    struct audit_report report = report_now();
    assert_int_equal(report.fault, fault);
    assert_int_equal(report.seq, seq);
    assert_int_equal(report.last, last);
}

static void assert_whole(int64_t entries)
{
    struct audit_report report = report_now();
    assert_int_equal(report.fault, AUDIT_WHOLE);
    assert_int_equal(report.entries, entries);
    assert_int_equal(report.head.seq, entries);
}

/* As somebody who has the file does, and knows about the triggers. */
static void tamper(const char *sql)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    assert_int_equal(sqlite3_open(file_in(STORE_FILE), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "DROP TRIGGER IF EXISTS audit_no_update;"
                                  "DROP TRIGGER IF EXISTS audit_no_delete",
                                  NULL, NULL, &error),
                     SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s", error);
    sqlite3_close(db);
}

/* --- Writing --- */

static void test_entries_are_chained(void **state)
{
    (void)state;
    struct trail trail;
    struct audit_stats stats;
    trail_open(&trail);
    for (int i = 0; i < 1000; i++)
        say(&trail, i);
    settle(&trail);
    audit_get_stats(trail.audit, &stats);
    assert_int_equal(stats.written_total, 1000);
    assert_int_equal(stats.head, 1000);
    assert_int_equal(stats.lost_total, 0);
    assert_whole(1000); /* beside the one that writes */
    trail_close(&trail);
    assert_whole(1000);
    assert_true(log_says("audit head"));
}

static void test_the_chain_survives_restarts(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        write_trail(i * 10, i == 3 ? 0 : 10);
    assert_whole(40);
    struct audit_anchor anchor;
    assert_int_equal(audit_anchor_read(directory, &anchor), AUDIT_ANCHOR_READ);
    assert_int_equal(anchor.seq, 40); /* brought up to date at every end */
}

static bool read_entry(struct store_tx *tx, void *data)
{
    struct audit_row *row = ((struct job *)data)->data;
    if (!audit_row_walk(tx) || !audit_row_next(tx, row))
        return false;
    assert_int_equal(row->seq, 1);
    assert_int_equal(row->time_ms, 1234);
    assert_int_equal(row->fields[AUDIT_ACTION].size, 7);
    assert_memory_equal(row->fields[AUDIT_ACTION].data, "connect", 7);
    assert_null(row->fields[AUDIT_USER_ID].data);
    assert_non_null(row->fields[AUDIT_SUBJECT].data);
    assert_int_equal(row->fields[AUDIT_SUBJECT].size, 0);
    /* 512 bytes would end in the middle of a character of two. */
    assert_int_equal(row->fields[AUDIT_NSP].size, AUDIT_MAX_TEXT - 1);
    assert_int_equal(row->fields[AUDIT_CODE].size, AUDIT_MAX_TEXT);
    return true;
}

static void test_fields(void **state)
{
    (void)state;
    char umlauts[1201] = "x", letters[1201];
    struct trail trail;
    struct audit_row row;
    for (int i = 0; i < 599; i++)
        memcpy(umlauts + 1 + i * 2, "\xc3\xa4", 3);
    memset(letters, 'y', sizeof letters - 1);
    letters[sizeof letters - 1] = '\0';
    trail_open(&trail);
    audit_write_at(
        trail.audit,
        &(struct audit_entry){.action = "connect", .subject = "", .nsp = umlauts, .code = letters},
        1234);
    audit_write(NULL, &(struct audit_entry){.action = "nowhere"});
    audit_sweep(NULL);
    settle(&trail);
    struct job job = {.data = &row};
    assert_int_equal(read_now(trail.store, read_entry, &job), STORE_OK);
    trail_close(&trail);
    assert_whole(1);
}

/* The canonical form is a promise to those who verify an export by other means: docs/audit.md has this example. */
static void test_canonical_form(void **state)
{
    (void)state;
    char hex[AUDIT_HEX_SIZE];
    unsigned char hash[AUDIT_HASH_SIZE];
    struct audit_row row = {.seq = 1, .time_ms = 1700000000000};
    row.fields[AUDIT_ACTION] = cvn_str("join");
    row.fields[AUDIT_USER_ID] = cvn_str("u1");
    row.fields[AUDIT_SUBJECT] = cvn_str("board:7");
    row.fields[AUDIT_NSP] = cvn_str("/workspace");
    assert_true(audit_row_hash(&row, hash));
    audit_hex(hash, hex);
    assert_string_equal(hex, CANONICAL_EXAMPLE);
    /* An absent field is not an empty one. */
    row.fields[AUDIT_CODE] = cvn_str("");
    assert_true(audit_row_hash(&row, hash));
    audit_hex(hash, hex);
    assert_string_not_equal(hex, CANONICAL_EXAMPLE);
}

static void *write_many(void *data)
{
    for (int i = 0; i < 500; i++)
        say(data, i);
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct trail trail;
    pthread_t threads[4];
    trail_open(&trail);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &trail), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    trail_close(&trail);
    assert_whole(2000);
}

/* --- Losses --- */

static void test_losses_are_said(void **state)
{
    (void)state;
    struct trail trail;
    struct stopper stopper;
    struct audit_stats stats;
    trail_open(&trail);
    stopper_put(&stopper, trail.store);
    for (int i = 0; i < AUDIT_MAX_WAITING + 25; i++)
        say(&trail, i);
    audit_get_stats(trail.audit, &stats);
    assert_int_equal(stats.lost_total, 25);
    assert_int_equal(stats.waiting, AUDIT_MAX_WAITING);
    assert_true(log_says("entries of the audit trail are lost"));
    gate_pass(&stopper.go);
    settle(&trail);
    say(&trail, 0);
    trail_close(&trail);
    stopper_release(&stopper);
    struct audit_report report = report_now();
    assert_int_equal(report.fault, AUDIT_WHOLE);
    assert_int_equal(report.losses, 25);
    assert_int_equal(report.entries, AUDIT_MAX_WAITING + 2);
}

static void test_a_full_disk(void **state)
{
    (void)state;
    struct trail trail;
    struct audit_stats stats;
    trail_open(&trail);
    say(&trail, 1);
    settle(&trail);
    faults_set(FAULT_FULL, 0);
    for (int i = 2; i < 50; i++)
        say(&trail, i);
    struct job job = {.number = 1};
    assert_int_equal(write_now(trail.store, insert_item, &job), STORE_UNAVAILABLE);
    audit_get_stats(trail.audit, &stats);
    assert_int_equal(stats.head, 1);
    assert_int_equal(stats.lost_total, 0);
    faults_set(FAULT_NONE, 0);
    audit_sweep(trail.audit); /* tried again, in order */
    settle(&trail);
    trail_close(&trail);
    assert_whole(49);
}

static void test_an_end_on_a_full_disk(void **state)
{
    (void)state;
    struct trail trail;
    trail_open(&trail);
    say(&trail, 1);
    settle(&trail);
    faults_set(FAULT_FULL, 0);
    say(&trail, 2);
    trail_close(&trail);
    assert_true(log_says("ends without its last entries"));
    faults_set(FAULT_NONE, 0);
    assert_whole(1);
}

/* --- What the verifier finds --- */

static void test_changed(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "UPDATE audit SET user_id='u2' WHERE seq=5",
        "UPDATE audit SET user_id=NULL WHERE seq=5",
        "UPDATE audit SET code='' WHERE seq=5",
        "UPDATE audit SET time_ms=time_ms+1 WHERE seq=5",
        "UPDATE audit SET subject='u1', user_id=subject WHERE seq=5",
        "UPDATE audit SET hash=zeroblob(32) WHERE seq=5",
        "UPDATE audit SET hash=x'00' WHERE seq=5",
        "UPDATE audit SET prev_hash=zeroblob(32) WHERE seq=5",
        "UPDATE audit SET action='joi', user_id='nu1' WHERE seq=5",
    };
    write_trail(0, 10);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        tamper("CREATE TABLE aside AS SELECT * FROM audit");
        tamper(changes[i]);
        assert_fault(AUDIT_CHANGED, 5, 0);
        tamper("DELETE FROM audit; INSERT INTO audit SELECT * FROM aside; DROP TABLE aside");
        assert_whole(10);
    }
}

static void test_removed(void **state)
{
    (void)state;
    write_trail(0, 20);
    tamper("DELETE FROM audit WHERE seq=7");
    assert_fault(AUDIT_MISSING, 7, 7);
    tamper("DELETE FROM audit WHERE seq BETWEEN 3 AND 12");
    assert_fault(AUDIT_MISSING, 3, 12);
    tamper("DELETE FROM audit WHERE seq < 3");
    assert_fault(AUDIT_MISSING, 1, 12);
    tamper("DELETE FROM audit");
    assert_fault(AUDIT_CUT, 0, 20);
}

static void test_reordered(void **state)
{
    (void)state;
    write_trail(0, 10);
    tamper("UPDATE audit SET seq=-4 WHERE seq=4; UPDATE audit SET seq=4 WHERE seq=5;"
           "UPDATE audit SET seq=5 WHERE seq=-4");
    assert_fault(AUDIT_CHANGED, 4, 0); /* the number is part of what is hashed */
}

/* Somebody who knows how the hashes are made writes an entry anew: the next one gives it away. */
static void write_anew(int64_t seq)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    struct audit_row row = {.seq = seq, .time_ms = 1};
    row.fields[AUDIT_ACTION] = cvn_str("nothing");
    tamper("SELECT 1");
    assert_int_equal(sqlite3_open(file_in(STORE_FILE), &db), SQLITE_OK);
    sqlite3_prepare_v2(db, "SELECT hash FROM audit WHERE seq=?1", -1, &stmt, NULL);
    sqlite3_bind_int64(stmt, 1, seq - 1);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        memcpy(row.prev_hash, sqlite3_column_blob(stmt, 0), AUDIT_HASH_SIZE);
    sqlite3_finalize(stmt);
    assert_true(audit_row_hash(&row, row.hash));
    sqlite3_prepare_v2(db,
                       "REPLACE INTO audit (seq, time_ms, action, prev_hash, hash)"
                       " VALUES (?1, 1, 'nothing', ?2, ?3)",
                       -1, &stmt, NULL);
    sqlite3_bind_int64(stmt, 1, seq);
    sqlite3_bind_blob(stmt, 2, row.prev_hash, AUDIT_HASH_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 3, row.hash, AUDIT_HASH_SIZE, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static void test_written_anew(void **state)
{
    (void)state;
    write_trail(0, 10);
    write_anew(6);
    assert_fault(AUDIT_UNCHAINED, 7, 0);
    for (int64_t seq = 7; seq <= 9; seq++)
        write_anew(seq);
    assert_fault(AUDIT_UNCHAINED, 10, 0);
    write_anew(10);
    assert_fault(AUDIT_REPLACED, 10, 0); /* but the anchor knows it */
    write_anew(0);
    assert_fault(AUDIT_UNCHAINED, 0, 0);
}

static void test_cut(void **state)
{
    (void)state;
    write_trail(0, 10);
    struct audit_anchor tenth = report_now().head;
    tamper("DELETE FROM audit WHERE seq > 8");
    assert_fault(AUDIT_CUT, 8, 10);
    /* Without the file, only somebody who has kept the head can tell. */
    assert_int_equal(unlink(file_in(AUDIT_ANCHOR_FILE)), 0);
    assert_int_equal(report_now().fault, AUDIT_WHOLE);
    assert_int_equal(report_with(&tenth, 1).fault, AUDIT_CUT);
    tenth.seq = -1;
    assert_int_equal(report_with(&tenth, 1).fault, AUDIT_NOT_FOUND);
}

/* A daemon that starts on a trail that was cut goes on, moves the anchor, and has said so in the trail itself. */
static void test_cut_and_gone_on(void **state)
{
    (void)state;
    write_trail(0, 10);
    tamper("DELETE FROM audit WHERE seq > 9"); /* so that the new head has the anchor's number */
    log_forget();
    write_trail(10, 0);
    assert_true(log_says("lacks its anchored entry"));
    assert_fault(AUDIT_CUT_EARLIER, 10, 0);
    write_trail(11, 5);
    assert_fault(AUDIT_CUT_EARLIER, 10, 0);
}

static void test_append_only(void **state)
{
    (void)state;
    sqlite3 *db = NULL;
    write_trail(0, 3);
    assert_int_equal(sqlite3_open(file_in(STORE_FILE), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM audit", NULL, NULL, NULL), SQLITE_CONSTRAINT);
    assert_int_equal(sqlite3_exec(db, "UPDATE audit SET code='x'", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT);
    sqlite3_close(db);
    assert_whole(3);
}

static void test_anchor_file(void **state)
{
    (void)state;
    static const char hex[] = "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff";
    struct audit_anchor anchor = {.seq = 77}, other = {.seq = 0};
    char text[100];
    assert_int_equal(audit_anchor_read(directory, &anchor), AUDIT_ANCHOR_MISSING);
    for (size_t i = 0; i < AUDIT_HASH_SIZE; i++)
        anchor.hash[i] = (unsigned char)(i * 7);
    assert_true(audit_anchor_write(directory, &anchor));
    assert_int_equal(audit_anchor_read(directory, &other), AUDIT_ANCHOR_READ);
    assert_memory_equal(&anchor, &other, sizeof anchor);
    assert_false(audit_anchor_write("/nonexistent", &anchor));
    static const char *const bad[] = {"", "\n", "x\n", "12 \n", "12 0011\n", "12\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(file_in(AUDIT_ANCHOR_FILE), bad[i], strlen(bad[i]));
        assert_int_equal(audit_anchor_read(directory, &other), AUDIT_ANCHOR_UNREADABLE);
    }
    assert_int_equal(other.seq, 77);
    snprintf(text, sizeof text, "12:%s", hex);
    assert_true(audit_anchor_parse(cvn_str(text), &other));
    assert_int_equal(other.seq, 12);
    assert_int_equal(other.hash[10], 0xaa);
    assert_true(audit_anchor_parse(cvn_str(hex), &other));
    assert_int_equal(other.seq, -1);
    text[40] = 'g';
    assert_false(audit_anchor_parse(cvn_str(text), &other));
    snprintf(text, sizeof text, "0:%s", hex);
    assert_false(audit_anchor_parse(cvn_str(text), &other));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_entries_are_chained),
        TEST(test_the_chain_survives_restarts),
        TEST(test_fields),
        TEST(test_canonical_form),
        TEST(test_many_threads),
        TEST(test_losses_are_said),
        TEST(test_a_full_disk),
        TEST(test_an_end_on_a_full_disk),
        TEST(test_changed),
        TEST(test_removed),
        TEST(test_reordered),
        TEST(test_written_anew),
        TEST(test_cut),
        TEST(test_cut_and_gone_on),
        TEST(test_append_only),
        TEST(test_anchor_file),
    };
    faults_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
