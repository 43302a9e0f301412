/* The output queue against a plain array of the same bytes, over random pushes, looks and partial consumption. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "base/mem.h"
#include "net/outq.h"

#define MAX_BYTES (4 << 20)
#define SCRATCH   65536

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % limit;
}

static char model[MAX_BYTES];
static size_t model_start, model_end;

static void push_random(struct outq *queue)
{
    static const uint32_t sizes[] = {1, 10, 100, 4095, 4096, 4097, 70000};
    size_t size = random_below(sizes[random_below(7)] + 1);
    struct message *message = message_new(size);
    assert_non_null(message);
    for (size_t i = 0; i < size; i++)
        message->data[i] = (char)random_below(256);
    size_t skip = random_below((uint32_t)size + 1);
    if (model_end + size > MAX_BYTES) {
        message_unref(message);
        return;
    }
    assert_true(outq_push(queue, message, skip));
    memcpy(model + model_end, message->data + skip, size - skip);
    model_end += size - skip;
    message_unref(message);
}

static void check(const struct outq *queue)
{
    static char scratch[SCRATCH];
    struct iovec vectors[8];
    size_t max = 1 + random_below(8), scratch_size = 5000 + random_below(SCRATCH - 5000);
    assert_int_equal(queue->bytes, model_end - model_start);
    size_t count = outq_gather(queue, vectors, max, scratch, scratch_size);
    assert_true(count <= max);
    assert_int_equal(count == 0, queue->bytes == 0);
    size_t at = model_start;
    for (size_t i = 0; i < count; i++) {
        assert_true(vectors[i].iov_len > 0 && vectors[i].iov_len <= model_end - at);
        assert_memory_equal(vectors[i].iov_base, model + at, vectors[i].iov_len);
        at += vectors[i].iov_len;
    }
    size_t peeked = outq_peek(queue, scratch, scratch_size);
    assert_int_equal(peeked, queue->bytes < scratch_size ? queue->bytes : scratch_size);
    assert_memory_equal(scratch, model + model_start, peeked);
}

static void test_random(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 40; seed++) {
        struct outq queue;
        outq_init(&queue);
        random_state = seed;
        model_start = model_end = 0;
        for (int step = 0; step < 400; step++) {
            if (random_below(100) < 60)
                push_random(&queue);
            else if (queue.bytes > 0) {
                size_t bytes =
                    random_below(4) == 0 ? queue.bytes : random_below((uint32_t)queue.bytes + 1);
                outq_consume(&queue, bytes);
                model_start += bytes;
            }
            check(&queue);
        }
        outq_release(&queue);
    }
}

static void test_small_ones_are_joined(void **state)
{
    struct outq queue;
    struct iovec vectors[4];
    char scratch[1000];
    (void)state;
    outq_init(&queue);
    struct message *message = message_copy(SLICE("0123456789"));
    for (int i = 0; i < 50; i++)
        assert_true(outq_push(&queue, message, 0));
    assert_int_equal(outq_gather(&queue, vectors, 4, scratch, sizeof scratch), 1);
    assert_int_equal(vectors[0].iov_len, 500);
    assert_ptr_equal(vectors[0].iov_base, scratch);
    outq_release(&queue);
    assert_int_equal(message->refs, 1);
    message_unref(message);
}

static void test_large_ones_stay_where_they_lie(void **state)
{
    struct outq queue;
    struct iovec vectors[4];
    char scratch[1000];
    (void)state;
    outq_init(&queue);
    struct message *small = message_copy(SLICE("small")), *large = message_new(100000);
    memset(large->data, 'l', large->size);
    assert_true(outq_push(&queue, small, 0) && outq_push(&queue, large, 0) &&
                outq_push(&queue, small, 0));
    assert_int_equal(outq_gather(&queue, vectors, 4, scratch, sizeof scratch), 3);
    assert_ptr_equal(vectors[1].iov_base, large->data);
    outq_consume(&queue, 5 + 1);
    assert_int_equal(outq_gather(&queue, vectors, 4, scratch, sizeof scratch), 2);
    assert_ptr_equal(vectors[0].iov_base, large->data + 1);
    outq_release(&queue);
    message_unref(small);
    message_unref(large);
}

static void test_memory_runs_out(void **state)
{
    struct outq queue;
    (void)state;
    outq_init(&queue);
    struct message *message = message_copy(SLICE("x"));
    mem_fail_after(0, UINT64_MAX);
    for (int i = 0; i < OUTQ_INLINE; i++) /* these need none */
        assert_true(outq_push(&queue, message, 0));
    assert_false(outq_push(&queue, message, 0));
    mem_fail_after(0, 0);
    assert_int_equal(queue.count, OUTQ_INLINE);
    assert_int_equal(queue.bytes, OUTQ_INLINE);
    assert_int_equal(message->refs, 1 + OUTQ_INLINE);
    assert_true(outq_push(&queue, message, 0));
    outq_release(&queue);
    assert_int_equal(message->refs, 1);
    message_unref(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_small_ones_are_joined),
        cmocka_unit_test(test_large_ones_stay_where_they_lie),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
