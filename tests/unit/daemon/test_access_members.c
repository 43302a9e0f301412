/* Members: the table against a model, answers that are remembered and never stale, lists in pages, and failures of the disk. */
#include "store_rig.h"
#include "store_faults.h"
#include "access/access_member_cache.h"

static struct store *store;
static struct access_members *members;

static void open_all(void)
{
    store = store_open(directory);
    assert_non_null(store);
    members = access_members_new(store);
    assert_non_null(members);
    assert_true(store_start(store, NULL));
}

static void close_all(void)
{
    store_close(store);
    access_members_free(members);
}

static int set_up(void **state)
{
    (void)state;
    faults_set(FAULT_NONE, 0);
    log_forget();
    directory_make();
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    faults_set(FAULT_NONE, 0);
    close_all();
    directory_remove();
    return 0;
}

/* --- Questions and changes that are waited for --- */

struct asked {
    struct gate gate;
    enum store_result result;
    bool is_member, is_changed, has_more;
    char permission[64];
    size_t count;
    char names[5000]; /* of a list: "kind/id/user/permission/by/at " each */
};

static void on_found(enum store_result result, const char *permission, void *data)
{
    struct asked *asked = data;
    asked->result = result;
    asked->is_member = permission != NULL;
    snprintf(asked->permission, sizeof asked->permission, "%s",
             permission != NULL ? permission : "");
    gate_pass(&asked->gate);
}

static void on_changed(enum store_result result, bool is_changed, void *data)
{
    struct asked *asked = data;
    asked->result = result;
    asked->is_changed = is_changed;
    gate_pass(&asked->gate);
}

static void on_listed(enum store_result result, const struct access_member *items, size_t count,
                      bool has_more, void *data)
{
    struct asked *asked = data;
    size_t size = 0;
    asked->result = result;
    asked->count = count;
    asked->has_more = has_more;
    asked->names[0] = '\0';
    for (size_t i = 0; i < count && size < sizeof asked->names - 600; i++)
        size += (size_t)snprintf(
            asked->names + size, sizeof asked->names - size, "%s/%s/%s/%s/%s/%d ", items[i].kind,
            items[i].id, items[i].user_id, items[i].permission,
            items[i].added_by != NULL ? items[i].added_by : "-", (int)items[i].added_at);
    gate_pass(&asked->gate);
}

static void await(struct asked *asked)
{
    gate_wait(&asked->gate);
    gate_close(&asked->gate);
}

/* The permission, "" for none, NULL when it is not known. */
static const char *find(const char *kind, const char *id, const char *user)
{
    static _Thread_local struct asked asked;
    gate_open(&asked.gate);
    access_members_find(members, kind, id, user, on_found, &asked);
    await(&asked);
    return asked.result == STORE_OK ? asked.permission : NULL;
}

static struct asked put(const char *kind, const char *id, const char *user, const char *permission)
{
    struct asked asked;
    gate_open(&asked.gate);
    access_members_put(members,
                       &(struct access_member){.kind = kind,
                                               .id = id,
                                               .user_id = user,
                                               .permission = permission,
                                               .added_by = "root",
                                               .added_at = 7},
                       on_changed, &asked);
    await(&asked);
    return asked;
}

static struct asked take_away(const char *kind, const char *id, const char *user)
{
    struct asked asked;
    gate_open(&asked.gate);
    if (user != NULL)
        access_members_remove(members, kind, id, user, on_changed, &asked);
    else
        access_members_remove_all(members, kind, id, on_changed, &asked);
    await(&asked);
    return asked;
}

static struct access_members_stats stats(void)
{
    struct access_members_stats stats;
    access_members_get_stats(members, &stats);
    return stats;
}

/* --- Tests --- */

static void test_members(void **state)
{
    (void)state;
    assert_string_equal(find("board", "b1", "ann"), "");
    struct asked asked = put("board", "b1", "ann", "view");
    assert_int_equal(asked.result, STORE_OK);
    assert_true(asked.is_changed);
    assert_string_equal(find("board", "b1", "ann"), "view");
    assert_string_equal(find("board", "b1", "ben"), "");
    assert_string_equal(find("doc", "b1", "ann"), "");
    assert_false(put("board", "b1", "ann", "view").is_changed);
    assert_true(put("board", "b1", "ann", "edit").is_changed);
    assert_string_equal(find("board", "b1", "ann"), "edit");
    assert_true(take_away("board", "b1", "ann").is_changed);
    assert_string_equal(find("board", "b1", "ann"), "");
    assert_false(take_away("board", "b1", "ann").is_changed);
    put("board", "b1", "ann", "view");
    put("board", "b1", "ben", "view");
    put("board", "b2", "ben", "view");
    assert_string_equal(find("board", "b1", "ben"), "view");
    assert_true(take_away("board", "b1", NULL).is_changed);
    assert_string_equal(find("board", "b1", "ann"), "");
    assert_string_equal(find("board", "b1", "ben"), "");
    close_all();
    open_all();
    assert_string_equal(find("board", "b2", "ben"), "view");
    assert_string_equal(find("board", "b1", "ben"), "");
}

static void test_names(void **state)
{
    (void)state;
    char long_id[ACCESS_MEMBER_MAX_ID + 2], long_user[ACCESS_MEMBER_MAX_USER + 2];
    memset(long_id, 'i', sizeof long_id);
    memset(long_user, 'u', sizeof long_user);
    long_id[ACCESS_MEMBER_MAX_ID] = long_user[ACCESS_MEMBER_MAX_USER] = '\0';
    assert_int_equal(put("analysis", long_id, long_user, "view").result, STORE_OK);
    assert_string_equal(find("analysis", long_id, long_user), "view");
    assert_string_equal(find("analysis", long_id, "x"), "");
    long_id[ACCESS_MEMBER_MAX_ID] = 'i';
    long_id[ACCESS_MEMBER_MAX_ID + 1] = '\0';
    const char *const bad[][4] = {
        {"", "b", "u", "view"},          {"Board", "b", "u", "view"},
        {"board", "", "u", "view"},      {"board", "b", "", "view"},
        {"board", "b\n", "u", "view"},   {"board", "b", "u\x7f", "view"},
        {"board", "b", "u", ""},         {"board", "b", "u", "view edit"},
        {"board", long_id, "u", "view"}, {"a\nb", "b", "u", "view"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(access_member_is_valid(bad[i][0], bad[i][1], bad[i][2], bad[i][3]));
        assert_int_equal(put(bad[i][0], bad[i][1], bad[i][2], bad[i][3]).result, STORE_ABORTED);
        assert_string_equal(find(bad[i][0], bad[i][1], bad[i][2]), "");
    }
    assert_int_equal(take_away("board", "", "u").result, STORE_ABORTED);
    assert_int_equal(take_away("board", "", NULL).result, STORE_ABORTED);
    /* Ids are bytes: quotes and percent signs mean nothing. */
    assert_int_equal(put("board", "b'; DROP TABLE members; --", "%", "view").result, STORE_OK);
    assert_string_equal(find("board", "b'; DROP TABLE members; --", "%"), "view");
    assert_string_equal(find("board", "b'; DROP TABLE members; --", "u"), "");
}

static void test_answers_are_remembered(void **state)
{
    (void)state;
    put("board", "b1", "ann", "view");
    for (int i = 0; i < 10; i++) {
        assert_string_equal(find("board", "b1", "ann"), "view");
        assert_string_equal(find("board", "b1", "ben"), "");
    }
    assert_int_equal(stats().misses, 2);
    assert_int_equal(stats().hits, 18);
    assert_int_equal(stats().cached, 2);
    /* So a join needs no disk. */
    put("board", "b1", "dan", "view"); /* what SQLite remembered is old now */
    faults_set(FAULT_READ, 0);
    assert_string_equal(find("board", "b1", "ann"), "view");
    assert_null(find("board", "b1", "cyd"));
    faults_set(FAULT_NONE, 0);
    assert_string_equal(find("board", "b1", "cyd"), "");
}

static void test_changes_that_fail(void **state)
{
    (void)state;
    put("board", "b1", "ann", "view");
    assert_string_equal(find("board", "b1", "ann"), "view");
    faults_set(FAULT_FULL, 0);
    struct asked asked = take_away("board", "b1", "ann");
    assert_int_equal(asked.result, STORE_UNAVAILABLE);
    assert_false(asked.is_changed);
    faults_set(FAULT_NONE, 0);
    assert_string_equal(find("board", "b1", "ann"), "view");
    assert_true(take_away("board", "b1", "ann").is_changed);
}

static void assert_list(const struct asked *asked, bool has_more, const char *names)
{
    assert_int_equal(asked->result, STORE_OK);
    assert_int_equal(asked->has_more, has_more);
    assert_string_equal(asked->names, names);
}

static struct asked list(const char *kind, const char *id, const char *after, size_t limit)
{
    struct asked asked;
    gate_open(&asked.gate);
    access_members_list(members, kind, id, after, limit, on_listed, &asked);
    await(&asked);
    return asked;
}

static struct asked list_of(const char *user, const char *kind, const char *after, size_t limit)
{
    struct asked asked;
    gate_open(&asked.gate);
    access_members_list_of(members, user, kind, after, limit, on_listed, &asked);
    await(&asked);
    return asked;
}

static void test_lists(void **state)
{
    (void)state;
    struct asked asked;
    put("board", "b1", "cyd", "view");
    put("board", "b1", "ann", "edit");
    put("board", "b1", "ben", "view");
    put("board", "b2", "ann", "view");
    put("doc", "b1", "ann", "comment");
    asked = list("board", "b1", NULL, 2);
    assert_list(&asked, true, "board/b1/ann/edit/root/7 board/b1/ben/view/root/7 ");
    asked = list("board", "b1", "ben", 2);
    assert_list(&asked, false, "board/b1/cyd/view/root/7 ");
    asked = list("board", "b1", NULL, 3);
    assert_int_equal(asked.count, 3);
    assert_false(asked.has_more);
    asked = list("board", "b1", NULL, 0);
    assert_list(&asked, true, "");
    asked = list("board", "nowhere", NULL, SIZE_MAX);
    assert_list(&asked, false, "");
    asked = list("", "b1", NULL, 5);
    assert_list(&asked, false, "");
    asked = list_of("ann", "board", NULL, 1);
    assert_list(&asked, true, "board/b1/ann/edit/root/7 ");
    asked = list_of("ann", "board", "b1", 5);
    assert_list(&asked, false, "board/b2/ann/view/root/7 ");
    asked = list_of("", "board", NULL, 5);
    assert_list(&asked, false, "");
    put("board", "b3", "ann", "view");
    faults_set(FAULT_READ, 0);
    assert_int_equal(list("board", "b1", NULL, 5).result, STORE_UNAVAILABLE);
}

static void test_a_full_queue(void **state)
{
    (void)state;
    struct job *jobs = calloc(STORE_MAX_WAITING, sizeof *jobs);
    struct stopper stopper;
    stopper_put(&stopper, store);
    for (int i = 0; i < STORE_MAX_WAITING; i++)
        assert_true(store_write(store, insert_item, on_job_done, &jobs[i])); /* there is no table */
    assert_int_equal(put("board", "b1", "ann", "view").result, STORE_BUSY);
    gate_pass(&stopper.go);
    close_all();
    stopper_release(&stopper);
    free(jobs);
    open_all();
    assert_string_equal(find("board", "b1", "ann"), "");
}

/* --- The guard's question --- */

/* Instead of access_guard.c. */
const char *resource_name(enum resource_kind kind)
{
    return kind == RESOURCE_BOARD ? "board" : "doc";
}

struct answered {
    struct gate gate;
    enum guard_answer answer;
    char permission[64];
};

static void on_answer(enum guard_answer answer, const char *permission, void *data)
{
    struct answered *answered = data;
    answered->answer = answer;
    snprintf(answered->permission, sizeof answered->permission, "%s", permission);
    gate_pass(&answered->gate);
}

static void assert_answer(enum resource_kind kind, const char *user, enum guard_answer answer,
                          const char *permission)
{
    struct answered answered;
    struct principal principal = {.user_id = user, .role = ROLE_STUDENT};
    gate_open(&answered.gate);
    access_members_ask(members, &principal, kind, "b1", on_answer, &answered);
    gate_wait(&answered.gate);
    gate_close(&answered.gate);
    assert_int_equal(answered.answer, answer);
    assert_string_equal(answered.permission, permission);
}

static void test_guard(void **state)
{
    (void)state;
    put("board", "b1", "ann", "edit");
    for (int i = 0; i < 2; i++) { /* from the store, and from memory */
        assert_answer(RESOURCE_BOARD, "ann", GUARD_ALLOWED, "edit");
        assert_answer(RESOURCE_BOARD, "ben", GUARD_DENIED, "");
        assert_answer(RESOURCE_DOC, "ann", GUARD_DENIED, "");
    }
    put("board", "b2", "ann", "edit");
    faults_set(FAULT_READ, 0);
    assert_answer(RESOURCE_BOARD, "cyd", GUARD_UNAVAILABLE, "");
}

/* --- Never stale --- */

static atomic_bool is_over;

static void *ask_on(void *data)
{
    (void)data;
    while (!atomic_load(&is_over))
        if (find("board", "b1", "ann") == NULL)
            abort();
    return NULL;
}

/* While others ask for it all the time, so that it is remembered again and again: after a change nobody hears the old answer. */
static void test_changes_are_seen_at_once(void **state)
{
    (void)state;
    pthread_t threads[3];
    atomic_store(&is_over, false);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on, NULL), 0);
    for (int i = 0; i < 300; i++) {
        switch (i % 3) {
        case 0:
            assert_true(put("board", "b1", "ann", "view").is_changed);
            assert_string_equal(find("board", "b1", "ann"), "view");
            break;
        case 1:
            assert_true(put("board", "b1", "ann", "edit").is_changed);
            assert_string_equal(find("board", "b1", "ann"), "edit");
            break;
        default:
            assert_true(take_away("board", "b1", i % 2 == 0 ? "ann" : NULL).is_changed);
            assert_string_equal(find("board", "b1", "ann"), "");
        }
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* --- The cache by itself --- */

static void key_of(struct access_member_key *key, int number)
{
    char id[32];
    snprintf(id, sizeof id, "b%d", number);
    *key = access_member_key_of("board", id, "ann");
}

static bool has(struct access_member_cache *cache, int number)
{
    struct access_member_key key;
    char permission[ACCESS_MEMBER_MAX_PERMISSION + 1];
    uint64_t ticket;
    key_of(&key, number);
    return access_member_cache_get(cache, &key, permission, &ticket);
}

static void remember(struct access_member_cache *cache, int number)
{
    struct access_member_key key;
    char permission[ACCESS_MEMBER_MAX_PERMISSION + 1];
    uint64_t ticket;
    key_of(&key, number);
    if (!access_member_cache_get(cache, &key, permission, &ticket))
        access_member_cache_put(cache, &key, "view", ticket);
}

static void test_the_cache_is_bounded(void **state)
{
    (void)state;
    struct access_members_stats counts;
    struct access_member_cache *cache = access_member_cache_new(10);
    for (int i = 0; i < 10; i++)
        remember(cache, i);
    assert_true(has(cache, 0)); /* used again: not the oldest any more */
    remember(cache, 10);
    remember(cache, 11);
    access_member_cache_get_stats(cache, &counts);
    assert_int_equal(counts.cached, 10);
    assert_true(has(cache, 0));
    assert_false(has(cache, 1));
    assert_false(has(cache, 2));
    assert_true(has(cache, 3));
    for (int i = 0; i < 1000; i++)
        remember(cache, i % 37);
    access_member_cache_get_stats(cache, &counts);
    assert_int_equal(counts.cached, 10);
    access_member_cache_clear(cache);
    access_member_cache_get_stats(cache, &counts);
    assert_int_equal(counts.cached, 0);
    remember(cache, 1);
    assert_true(has(cache, 1));
    access_member_cache_free(cache);
    access_member_cache_free(NULL);
}

static void test_tickets(void **state)
{
    (void)state;
    struct access_member_key key, other;
    char permission[ACCESS_MEMBER_MAX_PERMISSION + 1];
    uint64_t ticket = 0;
    struct access_member_cache *cache = access_member_cache_new(10);
    key_of(&key, 1);
    key_of(&other, 2);
    assert_false(access_member_cache_get(cache, &key, permission, &ticket));
    access_member_cache_drop(cache, &key); /* a change while the store is asked */
    access_member_cache_put(cache, &key, "view", ticket);
    assert_false(has(cache, 1));
    assert_false(access_member_cache_get(cache, &key, permission, &ticket));
    access_member_cache_drop(cache, &other); /* of something else, in another shard */
    access_member_cache_put(cache, &key, "view", ticket);
    access_member_cache_put(cache, &key, "edit", ticket); /* asked for twice */
    assert_true(access_member_cache_get(cache, &key, permission, &ticket));
    assert_string_equal(permission, "view");
    key_of(&key, 3);
    assert_false(access_member_cache_get(cache, &key, permission, &ticket));
    access_member_cache_clear(cache);
    access_member_cache_put(cache, &key, "view", ticket);
    assert_false(has(cache, 3));
    access_member_cache_free(cache);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_members),
        TEST(test_names),
        TEST(test_answers_are_remembered),
        TEST(test_changes_that_fail),
        TEST(test_lists),
        TEST(test_a_full_queue),
        TEST(test_guard),
        TEST(test_changes_are_seen_at_once),
        cmocka_unit_test(test_the_cache_is_bounded),
        cmocka_unit_test(test_tickets),
    };
    faults_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
