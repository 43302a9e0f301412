/*
 * A worker that runs on the test's own thread, and connections on socket pairs whose other end the test holds. A test waits for what it
 * expects with UNTIL; a deadline fails it. Time that must pass is given to the wheel.
 */
#ifndef TEST_NET_RIG_H
#define TEST_NET_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/net_internal.h"

#define DEADLINE_MS 30000

struct rig {
    struct worker worker;
    uv_timer_t deadline;
};

/* What a connection told its owner. */
struct ear {
    struct conn *conn; /* NULL after on_close */
    struct buf_of_test {
        char *data;
        size_t size;
    } heard;
    size_t data_calls, drains, closes;
    size_t highs, lows; /* on_water */
    enum conn_reason reason;
    void (*also_on_data)(struct ear *ear, const char *data, size_t size);
};

static void rig_on_deadline(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("waited in vain");
}

static inline void rig_start(struct rig *rig)
{
    assert_int_equal(worker_init(&rig->worker, 0, NULL), CVN_OK);
    uv_timer_init(rig->worker.loop, &rig->deadline);
    uv_timer_start(&rig->deadline, rig_on_deadline, DEADLINE_MS, 0);
}

/* Closes every connection and runs the loop dry. */
static inline void rig_end(struct rig *rig)
{
    uv_close((uv_handle_t *)&rig->deadline, NULL);
    worker_stop(&rig->worker);
    worker_run(&rig->worker);
    worker_release(&rig->worker);
}

/* Turns that do not block: the end of a turn, before which the loop would sleep, is where most of what is waited for happens. */
#define UNTIL(rig, condition)                                                                      \
    do {                                                                                           \
        while (!(condition))                                                                       \
            uv_run((rig)->worker.loop, UV_RUN_NOWAIT);                                             \
    } while (0)

/* Some turns without blocking: for what must not happen. */
static inline void rig_turns(struct rig *rig, int count)
{
    for (int i = 0; i < count; i++)
        uv_run(rig->worker.loop, UV_RUN_NOWAIT);
}

static void ear_on_data(struct conn *conn, char *data, size_t size)
{
    struct ear *ear = conn_owner(conn);
    assert_ptr_equal(worker_current(), conn_worker(conn));
    ear->heard.data = realloc(ear->heard.data, ear->heard.size + size);
    assert_non_null(ear->heard.data);
    memcpy(ear->heard.data + ear->heard.size, data, size);
    ear->heard.size += size;
    ear->data_calls++;
    if (ear->also_on_data != NULL)
        ear->also_on_data(ear, data, size);
    memset(data, 'X', size); /* it may be changed in place */
}

static void ear_on_drain(struct conn *conn)
{
    struct ear *ear = conn_owner(conn);
    ear->drains++;
}

static void ear_on_water(struct conn *conn, bool is_high)
{
    struct ear *ear = conn_owner(conn);
    assert_int_equal(ear->highs - ear->lows, is_high ? 0 : 1); /* in turns */
    assert_int_equal(conn_is_high(conn), is_high);
    *(is_high ? &ear->highs : &ear->lows) += 1;
}

static void ear_on_close(struct conn *conn, enum conn_reason reason)
{
    struct ear *ear = conn_owner(conn);
    ear->conn = NULL;
    ear->closes++;
    ear->reason = reason;
}

static const struct conn_events ear_events = {ear_on_data, ear_on_drain, ear_on_close,
                                              ear_on_water};
static const struct conn_limits wide_limits = {.high_water = 1 << 20, .max = 16 << 20};

static inline void make_pair(int type, int ret[2])
{
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret), 0);
}

/* A connection on one end of a pair; the other end is *ret_peer. */
static inline void ear_open_on(struct worker *worker, struct ear *ear,
                               const struct conn_limits *limits, int type, int *ret_peer)
{
    int ends[2];
    make_pair(type, ends);
    *ear = (struct ear){0};
    ear->conn = conn_adopt(worker, ends[0], limits, NULL);
    assert_non_null(ear->conn);
    conn_set_owner(ear->conn, &ear_events, ear);
    *ret_peer = ends[1];
}

static inline void ear_open(struct rig *rig, struct ear *ear, const struct conn_limits *limits,
                            int type, int *ret_peer)
{
    ear_open_on(&rig->worker, ear, limits, type, ret_peer);
}

static inline void ear_free(struct ear *ear)
{
    free(ear->heard.data);
}

static inline bool ear_heard(const struct ear *ear, const char *text)
{
    return ear->heard.size == strlen(text) && memcmp(ear->heard.data, text, strlen(text)) == 0;
}

/* --- A stream of messages that say which they are: the key and a number that rises, then a pattern --- */

#define NUMBERED_SIZE 1000
#define NUMBERED_KEYS 5 /* 1 to 5; key 0: a message without one */

struct numbered {
    char part[NUMBERED_SIZE]; /* of a message that has not come whole */
    size_t size;
    uint64_t last[NUMBERED_KEYS + 1];
    uint64_t received;
};

static inline bool numbered_send(struct conn *conn, uint64_t key, uint64_t number)
{
    struct message *message = message_new(NUMBERED_SIZE);
    size_t replaced = 0;
    assert_non_null(message);
    memset(message->data, (int)(key + number), NUMBERED_SIZE);
    memcpy(message->data, &key, 8);
    memcpy(message->data + 8, &number, 8);
    message->flags = key != 0 ? MESSAGE_CONFLATE : 0;
    message->key = key;
    bool is_sent =
        key != 0 ? conn_send_conflated(conn, &message, &replaced) : conn_send(conn, message, 0);
    assert_true(replaced == 0 || replaced == NUMBERED_SIZE);
    message_unref(message);
    return is_sent;
}

/* Of those without a key not one is missing; of each key the numbers rise. */
static inline void numbered_check(struct numbered *numbered)
{
    uint64_t key, number;
    memcpy(&key, numbered->part, 8);
    memcpy(&number, numbered->part + 8, 8);
    assert_true(key <= NUMBERED_KEYS);
    assert_true(key == 0 ? number == numbered->last[0] + 1 : number > numbered->last[key]);
    for (size_t i = 16; i < NUMBERED_SIZE; i++)
        assert_int_equal((unsigned char)numbered->part[i], (unsigned char)(key + number));
    numbered->last[key] = number;
    numbered->received++;
}

static inline void numbered_receive(struct numbered *numbered, const char *data, size_t size)
{
    while (size > 0) {
        size_t part = NUMBERED_SIZE - numbered->size;
        if (part > size)
            part = size;
        memcpy(numbered->part + numbered->size, data, part);
        numbered->size += part;
        data += part;
        size -= part;
        if (numbered->size == NUMBERED_SIZE) {
            numbered_check(numbered);
            numbered->size = 0;
        }
    }
}

static inline struct message *message_of(const char *text)
{
    struct message *message = message_copy(cvn_str(text));
    assert_non_null(message);
    return message;
}

#endif
