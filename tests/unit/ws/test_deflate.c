/*
 * Compressed twins: when there is one, what it holds, that it is made once, and that threads share it. A pair of workers' states
 * stands for the workers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>
#include "base/mem.h"
#include "ws/ws_decode.h"
#include "ws/ws_deflate.h"
#include "ws/ws_encode.h"

#define THRESHOLD 100

static int off(void **state)
{
    (void)state;
    mem_fail_after(0, 0);
    return 0;
}

/* `size` bytes that shrink. */
static struct message *make_message(enum ws_opcode opcode, size_t size)
{
    struct message *message = ws_encode_new(opcode, size);
    assert_non_null(message);
    for (size_t i = 0; i < size; i++)
        message->data[message->prefix + i] = (char)('a' + i % 17);
    return message;
}

/* It is one compressed frame of the same kind that comes to the same bytes. */
static void assert_twin(struct message *twin, const struct message *message)
{
    struct ws_decoder decoder;
    struct ws_frame frame;
    struct inflater inflater;
    struct buf whole;
    enum ws_status status;
    size_t used;
    assert_ptr_not_equal(twin, message);
    assert_true(twin->size < message->size);
    ws_decode_init(&decoder, SIZE_MAX, false);
    decoder.allow_rsv1 = true;
    assert_int_equal(ws_decode(&decoder, twin->data, twin->size, &frame, &used, &status), WS_FRAME);
    assert_int_equal(used, twin->size);
    assert_true(frame.rsv1 && frame.fin);
    assert_int_equal(frame.opcode, (uint8_t)message->data[0] & 15);
    assert_int_equal(twin->prefix, twin->size - frame.size);
    assert_int_equal(twin->flags, message->flags);
    inflater_init(&inflater);
    buf_init(&whole, message->size);
    assert_int_equal(inflater_run(&inflater, slice_of(frame.payload, frame.size), &whole),
                     INFLATER_DONE);
    assert_true(slice_eq(buf_slice(&whole), message_payload(message)));
    buf_release(&whole);
    inflater_release(&inflater);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, THRESHOLD - 1, THRESHOLD, 5000, 70000, 3000000};
    struct ws_deflate deflate;
    (void)state;
    ws_deflate_init(&deflate, THRESHOLD);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (enum ws_opcode opcode = WS_TEXT; opcode <= WS_BINARY; opcode++) {
            struct message *message = make_message(opcode, sizes[i]);
            message->flags |= MESSAGE_VOLATILE;
            struct message *out = ws_deflate_outgoing(&deflate, message, 15);
            if (sizes[i] < THRESHOLD)
                assert_ptr_equal(out, message);
            else
                assert_twin(out, message);
            message_unref(message);
        }
    }
    ws_deflate_release(&deflate);
}

static void test_made_once(void **state)
{
    struct ws_deflate workers[2];
    (void)state;
    ws_deflate_init(&workers[0], THRESHOLD);
    ws_deflate_init(&workers[1], THRESHOLD);
    struct message *message = make_message(WS_TEXT, 2000);
    struct message *twin = ws_deflate_outgoing(&workers[0], message, 15);
    uint64_t before = mem_allocation_count();
    for (int i = 0; i < 10; i++)
        assert_ptr_equal(ws_deflate_outgoing(&workers[i % 2], message, 15), twin);
    assert_int_equal(mem_allocation_count(), before); /* nobody compressed anything */
    assert_null(workers[1].full.stream);
    message_unref(message);
    ws_deflate_release(&workers[0]);
    ws_deflate_release(&workers[1]);
}

static void test_not_compressed(void **state)
{
    struct ws_deflate deflate;
    (void)state;
    ws_deflate_init(&deflate, 1);
    uint64_t before = mem_allocation_count();
    struct message *message = make_message(WS_TEXT, 2000);
    message->flags |= MESSAGE_NO_COMPRESS;
    assert_ptr_equal(ws_deflate_outgoing(&deflate, message, 15), message);
    message_unref(message);
    for (enum ws_opcode opcode = WS_CLOSE; opcode <= WS_PONG; opcode++) {
        message = make_message(opcode, 125);
        assert_ptr_equal(ws_deflate_outgoing(&deflate, message, 15), message);
        message_unref(message);
    }
    assert_int_equal(mem_allocation_count() - before, 4); /* the messages alone */
    assert_null(deflate.full.stream);
    ws_deflate_release(&deflate);
}

/* What does not shrink goes as it is, and is tried once only. */
static void test_noise(void **state)
{
    struct ws_deflate deflate;
    unsigned seed = 3;
    (void)state;
    ws_deflate_init(&deflate, 1);
    for (size_t size = 1; size < 5000; size += 777) {
        struct message *message = make_message(WS_BINARY, size);
        for (size_t i = 0; i < size; i++) {
            seed = seed * 1103515245u + 12345u;
            message->data[message->prefix + i] = (char)(seed >> 16);
        }
        assert_ptr_equal(ws_deflate_outgoing(&deflate, message, 15), message);
        uint64_t before = mem_allocation_count();
        assert_ptr_equal(ws_deflate_outgoing(&deflate, message, 15), message);
        assert_int_equal(mem_allocation_count(), before);
        message_unref(message);
    }
    ws_deflate_release(&deflate);
}

/* One twin for all whose window holds the message, one for all others. */
static void test_windows(void **state)
{
    struct ws_deflate deflate;
    (void)state;
    ws_deflate_init(&deflate, 1);
    for (size_t size = 256; size <= 65536; size *= 2) {
        for (size_t more = 0; more < 2; more++) {
            struct message *message = make_message(WS_TEXT, size + more);
            struct message *full = ws_deflate_outgoing(&deflate, message, 15);
            struct message *small = ws_deflate_outgoing(&deflate, message, 9);
            assert_twin(full, message);
            assert_twin(small, message);
            assert_int_equal(full == small, size + more <= 512);
            for (unsigned bits = 9; bits <= 15; bits++) {
                bool holds = bits == 15 || size + more <= (size_t)1 << bits;
                assert_ptr_equal(ws_deflate_outgoing(&deflate, message, bits),
                                 holds ? full : small);
            }
            message_unref(message);
        }
    }
    ws_deflate_release(&deflate);
}

/* Without memory it goes as it is; later messages shrink again. */
static void test_memory(void **state)
{
    struct ws_deflate deflate;
    uint64_t failures = 0;
    (void)state;
    ws_deflate_init(&deflate, 1);
    for (bool made = false; !made; failures++) {
        struct message *message = make_message(WS_TEXT, 2000);
        mem_fail_after(failures, 1);
        struct message *out = ws_deflate_outgoing(&deflate, message, 15);
        made = out != message;
        mem_fail_after(0, 0);
        if (made)
            assert_twin(out, message);
        assert_true(failures < 100);
        message_unref(message);
    }
    assert_true(failures > 3);
    ws_deflate_release(&deflate);
    ws_deflate_release(&deflate);
}

/* --- Threads --- */

#define THREADS  4
#define MESSAGES 300

struct lane {
    pthread_t thread;
    struct message **messages;
    struct message *twins[MESSAGES];
};

/* A worker that has a receiver for every message. */
static void *run_lane(void *data)
{
    struct lane *lane = data;
    struct ws_deflate deflate;
    ws_deflate_init(&deflate, THRESHOLD);
    for (int i = 0; i < MESSAGES; i++) {
        lane->twins[i] =
            message_ref(ws_deflate_outgoing(&deflate, lane->messages[i], i % 3 == 0 ? 9 : 15));
        message_unref(lane->messages[i]);
    }
    ws_deflate_release(&deflate);
    return NULL;
}

static void test_threads(void **state)
{
    static struct message *messages[MESSAGES];
    static struct lane lanes[THREADS];
    (void)state;
    for (int i = 0; i < MESSAGES; i++)
        messages[i] = make_message(WS_TEXT, (size_t)i * 7);
    for (int i = 0; i < THREADS; i++) {
        lanes[i].messages = messages;
        for (int j = 0; j < MESSAGES; j++)
            message_ref(messages[j]);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(lanes[i].thread, NULL), 0);
    for (int i = 0; i < MESSAGES; i++) {
        for (int j = 0; j < THREADS; j++) {
            assert_ptr_equal(lanes[j].twins[i], lanes[0].twins[i]);
            if (i * 7 >= THRESHOLD)
                assert_twin(lanes[j].twins[i], messages[i]);
            if (j > 0)
                message_unref(lanes[j].twins[i]);
        }
        message_unref(messages[i]);
        message_unref(lanes[0].twins[i]); /* outlives its message, if it is not the message */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),          cmocka_unit_test(test_made_once),
        cmocka_unit_test(test_not_compressed), cmocka_unit_test(test_noise),
        cmocka_unit_test(test_windows),        cmocka_unit_test_teardown(test_memory, off),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
