/* Shared messages: contents, the prefix, twins, memory that runs out, and references that many threads take and give back at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/message.h"
#include "support/guard.h"

static int off(void **state)
{
    (void)state;
    mem_fail_after(0, 0);
    return 0;
}

static void test_new(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 70000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct message *message = message_new(sizes[i]);
        assert_non_null(message);
        assert_int_equal(atomic_load(&message->refs), 1);
        assert_int_equal(message->prefix, 0);
        assert_int_equal(message->flags, 0);
        assert_int_equal(message->size, sizes[i]);
        memset(message->data, 'a', sizes[i]); /* all of it may be written */
        assert_int_equal(message_payload(message).size, sizes[i]);
        message_unref(message);
    }
    message_unref(NULL);
}

static void test_copy(void **state)
{
    char *bytes = guard_copy("a\0b", 3);
    (void)state;
    struct message *message = message_copy(slice_of(bytes, 3));
    guard_free(bytes, 3); /* the message does not look there again */
    assert_non_null(message);
    assert_int_equal(message->size, 3);
    assert_int_equal(message->prefix, 0);
    assert_int_equal(message->flags, 0);
    assert_memory_equal(message->data, "a\0b", 3);
    message_unref(message);

    message = message_copy(slice_of(NULL, 0));
    assert_non_null(message);
    assert_int_equal(message_payload(message).size, 0);
    message_unref(message);
}

static void test_prefix(void **state)
{
    struct message *message = message_copy(SLICE("headpayload"));
    (void)state;
    assert_non_null(message);
    message->prefix = 4;
    assert_true(slice_eq(message_payload(message), SLICE("payload")));
    message->prefix = 11;
    assert_int_equal(message_payload(message).size, 0);
    message_unref(message);
}

static void test_references(void **state)
{
    struct message *message = message_copy(SLICE("abc"));
    (void)state;
    assert_non_null(message);
    assert_ptr_equal(message_ref(message), message);
    assert_int_equal(atomic_load(&message->refs), 2);
    message_unref(message);
    assert_int_equal(atomic_load(&message->refs), 1);
    assert_memory_equal(message->data, "abc", 3); /* still there */
    message_unref(message);
}

static void test_memory(void **state)
{
    volatile size_t too_much = SIZE_MAX - sizeof(struct message) + 1, nearly = SIZE_MAX / 2 + 1;
    (void)state;
    mem_fail_after(0, 2);
    assert_null(message_new(10));
    assert_null(message_copy(SLICE("abc")));
    struct message *message = message_copy(SLICE("abc"));
    assert_non_null(message);
    message_unref(message);
    assert_null(message_new(too_much));
    assert_null(message_new(nearly));
}

static void test_shrink(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 1000; size += 50) {
        struct message *message = message_new(1000);
        assert_non_null(message);
        memset(message->data, 's', 1000);
        message->prefix = 2;
        message->flags = MESSAGE_BINARY;
        if (size == 500)
            mem_fail_after(0, 1); /* then it keeps what it has */
        message = message_shrink(message, size);
        mem_fail_after(0, 0);
        assert_int_equal(message->size, size);
        assert_int_equal(message->prefix, 2);
        assert_int_equal(message->flags, MESSAGE_BINARY);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(message->data[i], 's');
        message_unref(message);
    }
}

static void test_twins(void **state)
{
    struct message *message = message_copy(SLICE("abc")), *twin = message_copy(SLICE("a"));
    struct message *late = message_copy(SLICE("b"));
    (void)state;
    assert_true(message != NULL && twin != NULL && late != NULL);
    assert_null(message_twin(message, MESSAGE_DEFLATED));
    assert_null(message_twin(message, MESSAGE_DEFLATED_SMALL));
    assert_ptr_equal(message_keep_twin(message, MESSAGE_DEFLATED, twin), twin);
    assert_ptr_equal(message_twin(message, MESSAGE_DEFLATED), twin);
    /* Who comes late gets the first one, and its own is freed (or LeakSanitizer finds it). */
    assert_ptr_equal(message_keep_twin(message, MESSAGE_DEFLATED, late), twin);
    assert_ptr_equal(message_keep_twin(message, MESSAGE_DEFLATED, message), twin);
    assert_int_equal(atomic_load(&twin->refs), 1);
    /* "None" is remembered, and costs no reference. */
    assert_ptr_equal(message_keep_twin(message, MESSAGE_DEFLATED_SMALL, message), message);
    assert_ptr_equal(message_twin(message, MESSAGE_DEFLATED_SMALL), message);
    assert_int_equal(atomic_load(&message->refs), 1);
    /* A twin that somebody still holds outlives its message. */
    message_ref(twin);
    message_unref(message);
    assert_int_equal(atomic_load(&twin->refs), 1);
    assert_memory_equal(twin->data, "a", 1);
    message_unref(twin);
}

/* --- Threads: each gets one reference, takes and drops many, reads the bytes, drops its own --- */

#define THREADS 4
#define ROUNDS  20000

static void *user(void *shared)
{
    struct message *message = shared;
    uintptr_t sum = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct message *again = message_ref(message);
        sum += (unsigned char)again->data[(size_t)i % again->size];
        message_unref(message);
        message = again;
    }
    message_unref(message);
    return (void *)sum;
}

/* Whoever is last frees: now the maker, now a thread. A wrong order of memory accesses is ThreadSanitizer's to find. */
static void test_threads(void **state)
{
    (void)state;
    for (int maker_last = 0; maker_last < 2; maker_last++) {
        pthread_t threads[THREADS];
        struct message *message = message_new(100);
        assert_non_null(message);
        memset(message->data, 3, message->size);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, user, message_ref(message)), 0);
        if (!maker_last)
            message_unref(message);
        for (int i = 0; i < THREADS; i++) {
            void *sum = NULL;
            assert_int_equal(pthread_join(threads[i], &sum), 0);
            assert_int_equal((uintptr_t)sum, 3 * ROUNDS);
        }
        if (maker_last) {
            assert_int_equal(atomic_load(&message->refs), 1);
            message_unref(message);
        }
    }
}

/* All make a twin at once: all go on with the same one. */
static void *twin_maker(void *shared)
{
    struct message *message = shared, *kept = NULL;
    struct message *twin = message_copy(SLICE("a twin"));
    if (twin != NULL) {
        kept = message_keep_twin(message, MESSAGE_DEFLATED, twin);
        if (kept != message_twin(message, MESSAGE_DEFLATED) || memcmp(kept->data, "a twin", 6) != 0)
            kept = NULL;
        else
            message_unref(message_ref(kept));
    }
    message_unref(message);
    return kept;
}

static void test_twins_of_threads(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        pthread_t threads[THREADS];
        void *kept[THREADS];
        struct message *message = message_copy(SLICE("shared"));
        assert_non_null(message);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, twin_maker, message_ref(message)),
                             0);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], &kept[i]), 0);
            assert_non_null(kept[i]);
            assert_ptr_equal(kept[i], kept[0]);
        }
        message_unref(message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_references),
        cmocka_unit_test_teardown(test_memory, off),
        cmocka_unit_test_teardown(test_shrink, off),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_twins_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
