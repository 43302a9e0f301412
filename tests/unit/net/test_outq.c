/*
 * The output queue against a plain array of the same bytes, over random pushes, looks and partial consumption; and with keys against a
 * list of units in which a newer one takes the place of the latest of its key that nobody has touched.
 */
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

/* --- Messages with keys --- */

#define MODEL_UNITS 4000
#define MAX_UNIT    5

struct model_unit {
    uint64_t key; /* 0: none */
    unsigned count;
    struct message *messages[MAX_UNIT];
    size_t start; /* of its first byte, among all bytes of the model */
    bool is_touched;
};

static struct model_unit units[MODEL_UNITS];
static size_t unit_count;
static size_t sent; /* bytes of the model that were consumed */

static size_t unit_size(const struct model_unit *unit)
{
    size_t size = 0;
    for (unsigned i = 0; i < unit->count; i++)
        size += unit->messages[i]->size;
    return size;
}

static struct model_unit random_unit(uint64_t key)
{
    struct model_unit unit = {.key = key, .count = key != 0 ? 1 + random_below(MAX_UNIT) : 1};
    for (unsigned i = 0; i < unit.count; i++) {
        struct message *message = message_new(1 + random_below(random_below(20) == 0 ? 6000 : 40));
        assert_non_null(message);
        for (size_t j = 0; j < message->size; j++)
            message->data[j] = (char)random_below(256);
        unit.messages[i] = message;
    }
    if (key != 0) {
        unit.messages[0]->flags = MESSAGE_CONFLATE;
        unit.messages[0]->key = key;
        unit.messages[0]->followers = (uint8_t)(unit.count - 1);
    }
    return unit;
}

static void free_unit(const struct model_unit *unit)
{
    for (unsigned i = 0; i < unit->count; i++) {
        assert_int_equal(unit->messages[i]->refs, 1); /* the queue has let go */
        message_unref(unit->messages[i]);
    }
}

static void place_units(void)
{
    size_t start = 0;
    for (size_t i = 0; i < unit_count; i++) {
        units[i].start = start;
        start += unit_size(&units[i]);
    }
}

/* Bytes of the model from `sent` on are what the queue holds. */
static void check_units(const struct outq *queue)
{
    static char got[MAX_BYTES], expected[MAX_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < unit_count; i++)
        for (unsigned j = 0; j < units[i].count; j++) {
            memcpy(expected + size, units[i].messages[j]->data, units[i].messages[j]->size);
            size += units[i].messages[j]->size;
        }
    assert_int_equal(queue->bytes, size - sent);
    assert_int_equal(outq_peek(queue, got, sizeof got), size - sent);
    assert_memory_equal(got, expected + sent, size - sent);
}

/* The latest unit of the key, if it is still whole. */
static struct model_unit *replaceable(uint64_t key)
{
    for (size_t i = unit_count; i-- > 0;)
        if (units[i].key == key)
            return units[i].is_touched ? NULL : &units[i];
    return NULL;
}

static void send_unit(struct outq *queue, bool is_short_of_memory)
{
    uint64_t key = 1 + random_below(6);
    struct model_unit unit = random_unit(key), *old = replaceable(key);
    size_t old_size = old != NULL ? unit_size(old) : 0;
    if (is_short_of_memory)
        mem_fail_after(0, UINT64_MAX);
    size_t replaced = outq_replace(queue, unit.messages);
    bool is_pushed = replaced == 0 && (old == NULL || is_short_of_memory) &&
                     outq_push_unit(queue, unit.messages);
    mem_fail_after(0, 0);
    if (replaced > 0) {
        assert_non_null(old);
        assert_int_equal(replaced, old_size);
        free_unit(old);
        unit.start = old->start;
        *old = unit;
        place_units();
    } else if (is_pushed) {
        unit.start =
            unit_count > 0 ? units[unit_count - 1].start + unit_size(&units[unit_count - 1]) : 0;
        units[unit_count++] = unit;
    } else {
        assert_true(is_short_of_memory);
        free_unit(&unit);
    }
}

static void touch_until(size_t end)
{
    for (size_t i = 0; i < unit_count; i++)
        if (units[i].start < end)
            units[i].is_touched = true;
}

static void test_random_units(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 30; seed++) {
        struct outq queue;
        outq_init(&queue);
        random_state = seed;
        unit_count = sent = 0;
        for (int step = 0; step < 600; step++) {
            uint32_t what = random_below(100);
            if (what < 25) {
                units[unit_count] = random_unit(0);
                units[unit_count].start =
                    unit_count > 0 ? units[unit_count - 1].start + unit_size(&units[unit_count - 1])
                                   : 0;
                assert_true(outq_push(&queue, units[unit_count].messages[0], 0));
                unit_count++;
            } else if (what < 75) {
                send_unit(&queue, what < 28);
            } else if (what < 80 && queue.bytes > 0) {
                size_t pinned = random_below((uint32_t)queue.bytes + 1);
                outq_pin(&queue, pinned);
                touch_until(sent + pinned); /* for good: a unit pinned is sent next */
                check_units(&queue);
                outq_consume(&queue, pinned);
                sent += pinned;
            } else if (queue.bytes > 0) {
                size_t bytes = random_below(10) == 0 ? queue.bytes
                                                     : random_below(1 + (uint32_t)queue.bytes / 3);
                outq_consume(&queue, bytes);
                sent += bytes;
                touch_until(sent);
            }
            check_units(&queue);
        }
        outq_release(&queue);
        for (size_t i = 0; i < unit_count; i++)
            free_unit(&units[i]);
    }
}

static struct message *keyed(const char *text, uint64_t key)
{
    struct message *message = message_copy(cvn_str(text));
    assert_non_null(message);
    message->flags = MESSAGE_CONFLATE;
    message->key = key;
    return message;
}

/* What a lower layer has seen stays as it is, even if not a byte has left; what is behind it does not. */
static void test_pinned(void **state)
{
    struct outq queue;
    char got[16];
    (void)state;
    outq_init(&queue);
    struct message *first = keyed("aa", 1), *second = keyed("bb", 2), *newer_first = keyed("AA", 1),
                   *newer_second = keyed("BB", 2);
    assert_true(outq_push_unit(&queue, &first) && outq_push_unit(&queue, &second));
    outq_pin(&queue, 1);
    assert_int_equal(outq_replace(&queue, &newer_first), 0);
    assert_int_equal(outq_replace(&queue, &newer_second), 2);
    outq_pin(&queue, 2); /* ends where the second begins */
    assert_int_equal(outq_replace(&queue, &second), 2);
    outq_pin(&queue, 3);
    assert_int_equal(outq_replace(&queue, &newer_second), 0);
    assert_int_equal(outq_peek(&queue, got, sizeof got), 4);
    assert_memory_equal(got, "aabb", 4);
    outq_consume(&queue, 2); /* nothing is pinned any more */
    assert_int_equal(outq_replace(&queue, &newer_second), 2);
    assert_int_equal(outq_replace(&queue, &newer_first), 0);
    assert_true(outq_push_unit(&queue, &newer_first));
    outq_consume(&queue, 1);
    assert_int_equal(outq_replace(&queue, &second), 0); /* begun */
    assert_int_equal(outq_replace(&queue, &first), 2);
    assert_int_equal(outq_peek(&queue, got, sizeof got), 3);
    assert_memory_equal(got, "Baa", 3);
    outq_release(&queue);
    message_unref(first);
    message_unref(second);
    message_unref(newer_first);
    message_unref(newer_second);
}

/* However many keys pass through, the queue holds no more than what waits in it. */
static void test_keys_are_forgotten(void **state)
{
    struct outq queue;
    struct message *message = keyed("x", 0);
    (void)state;
    outq_init(&queue);
    for (uint64_t key = 1; key <= 10000; key++) {
        message->key = key * 0x9e3779b97f4a7c15;
        assert_int_equal(outq_replace(&queue, &message), 0);
        assert_true(outq_push_unit(&queue, &message));
        if (queue.count == 3)
            outq_consume(&queue, 1);
        assert_int_equal(conflation_capacity(queue.conflation), 8);
    }
    outq_release(&queue);
    message_unref(message);
}

static void test_front(void **state)
{
    struct outq queue;
    (void)state;
    outq_init(&queue);
    assert_null(outq_front(&queue));
    assert_null(outq_pop(&queue));
    struct message *messages[20];
    for (int i = 0; i < 20; i++) {
        messages[i] = message_copy(SLICE("abc"));
        assert_true(outq_push(&queue, messages[i], 0));
    }
    for (int i = 0; i < 20; i++) {
        assert_ptr_equal(outq_front(&queue), messages[i]);
        assert_int_equal(queue.bytes, (size_t)(20 - i) * 3);
        assert_ptr_equal(outq_pop(&queue), messages[i]);
        message_unref(messages[i]); /* what pop handed over */
        message_unref(messages[i]);
    }
    assert_null(outq_pop(&queue));
    outq_release(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_small_ones_are_joined),
        cmocka_unit_test(test_large_ones_stay_where_they_lie),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_random_units),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_keys_are_forgotten),
        cmocka_unit_test(test_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
