/*
 * The timing wheel against a plain array: whatever fires must be the earliest there is, and nothing due may stay. Random
 * timers at every scale of 64-bit time, callbacks that arm, cancel and free, jumps, and time that is set but not yet done.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/wheel.h"

/* --- Simple timers, whose firing is written down --- */

struct note {
    struct timer timer;
    char name;
};

static char fired[200];
static size_t fired_count;

static void note_fire(struct timer *timer)
{
    assert_false(timer_is_armed(timer));
    assert_true(fired_count + 1 < sizeof fired);
    fired[fired_count++] = CONTAINER_OF(timer, struct note, timer)->name;
    fired[fired_count] = '\0';
}

/* What has fired since the last call. */
static const char *taken(void)
{
    static char copy[sizeof fired];
    for (size_t i = 0; i <= fired_count; i++)
        copy[i] = i < fired_count ? fired[i] : '\0';
    fired_count = 0;
    return copy;
}

#define NOTE(letter)                                                                               \
    {                                                                                              \
        .timer = {.fire = note_fire}, .name = (letter)                                             \
    }

static void test_simple(void **state)
{
    struct wheel wheel;
    struct note a = NOTE('a'), b = NOTE('b'), c = NOTE('c');
    (void)state;
    wheel_init(&wheel, 1000);
    assert_true(wheel_next_ms(&wheel) == WHEEL_NEVER);
    wheel_advance(&wheel, 1000);
    wheel_arm(&wheel, &a.timer, 10);
    wheel_arm(&wheel, &b.timer, 5);
    wheel_arm(&wheel, &c.timer, 100);
    assert_true(timer_is_armed(&a.timer));
    assert_int_equal(wheel.armed, 3);
    assert_true(wheel_next_ms(&wheel) <= 1005);
    wheel_advance(&wheel, 1004);
    assert_string_equal(taken(), "");
    wheel_advance(&wheel, 1005);
    assert_string_equal(taken(), "b");
    wheel_advance(&wheel, 1005);
    assert_string_equal(taken(), "");
    wheel_advance(&wheel, 900); /* time never goes back */
    assert_int_equal(wheel.now_ms, 1005);
    wheel_advance(&wheel, 5000);
    assert_string_equal(taken(), "ac");
    assert_int_equal(wheel.armed, 0);
    assert_true(wheel_next_ms(&wheel) == WHEEL_NEVER);
}

static void test_rearm_and_cancel(void **state)
{
    struct wheel wheel;
    struct note a = NOTE('a'), b = NOTE('b');
    (void)state;
    wheel_init(&wheel, 0);
    wheel_cancel(&wheel, &a.timer); /* never armed */
    wheel_arm(&wheel, &a.timer, 10);
    wheel_arm(&wheel, &a.timer, 20); /* moved, not doubled */
    assert_int_equal(wheel.armed, 1);
    wheel_arm(&wheel, &b.timer, 30);
    wheel_arm(&wheel, &b.timer, 3);
    wheel_advance(&wheel, 19);
    assert_string_equal(taken(), "b");
    wheel_advance(&wheel, 20);
    assert_string_equal(taken(), "a");
    wheel_arm(&wheel, &a.timer, 5);
    wheel_cancel(&wheel, &a.timer);
    wheel_cancel(&wheel, &a.timer);
    assert_false(timer_is_armed(&a.timer));
    assert_int_equal(wheel.armed, 0);
    wheel_advance(&wheel, 1000000);
    assert_string_equal(taken(), "");
}

/* Delay 0 after the time has been done: the next advance, even to the same time, and not before. */
static void test_overdue(void **state)
{
    struct wheel wheel;
    struct note a = NOTE('a'), b = NOTE('b'), c = NOTE('c');
    (void)state;
    wheel_init(&wheel, 77);
    wheel_arm(&wheel, &a.timer, 0);
    wheel_arm(&wheel, &b.timer, 0);
    wheel_arm(&wheel, &c.timer, 1);
    assert_true(wheel_next_ms(&wheel) <= 77);
    wheel_cancel(&wheel, &a.timer); /* leaves the list of overdue ones */
    wheel_advance(&wheel, 77);
    assert_string_equal(taken(), "b");
    wheel_arm(&wheel, &a.timer, 0);
    wheel_advance(&wheel, 78); /* overdue ones come first, being due first */
    assert_string_equal(taken(), "ac");
    wheel_arm(&wheel, &a.timer, 0);
    wheel_arm(&wheel, &a.timer, 4); /* moved out of the list */
    wheel_advance(&wheel, 78);
    assert_string_equal(taken(), "");
    wheel_advance(&wheel, 82);
    assert_string_equal(taken(), "a");
}

/* Time that has been set, not advanced: delays count from it, and nothing fires until the advance. */
static void test_set_now(void **state)
{
    struct wheel wheel;
    struct note a = NOTE('a'), b = NOTE('b'), c = NOTE('c'), d = NOTE('d');
    (void)state;
    wheel_init(&wheel, 100);
    wheel_arm(&wheel, &a.timer, 50);
    wheel_set_now(&wheel, 200);
    assert_string_equal(taken(), "");
    assert_true(wheel_next_ms(&wheel) <= 150);
    wheel_set_now(&wheel, 10); /* ignored */
    wheel_arm(&wheel, &b.timer, 0);
    wheel_arm(&wheel, &c.timer, 1);
    wheel_arm(&wheel, &d.timer, 10);
    assert_int_equal(b.timer.due_ms, 200);
    assert_int_equal(d.timer.due_ms, 210);
    wheel_advance(&wheel, 150); /* earlier than now: now it is */
    assert_string_equal(taken(), "ab");
    wheel_advance(&wheel, 209);
    assert_string_equal(taken(), "c");
    wheel_advance(&wheel, 210);
    assert_string_equal(taken(), "d");
}

/* The last moments of 64-bit time, and delays that reach beyond them. */
static void test_end_of_time(void **state)
{
    struct wheel wheel;
    struct note a = NOTE('a'), b = NOTE('b'), c = NOTE('c');
    (void)state;
    wheel_init(&wheel, UINT64_MAX - 100);
    wheel_arm(&wheel, &a.timer, 99);
    wheel_arm(&wheel, &b.timer, UINT64_MAX);
    wheel_arm(&wheel, &c.timer, 3);
    assert_true(b.timer.due_ms == WHEEL_NEVER);
    wheel_advance(&wheel, UINT64_MAX - 2);
    assert_string_equal(taken(), "c");
    wheel_advance(&wheel, UINT64_MAX - 1);
    assert_string_equal(taken(), "a");
    wheel_advance(&wheel, UINT64_MAX);
    assert_string_equal(taken(), "b");
    wheel_arm(&wheel, &a.timer, 5);
    wheel_advance(&wheel, UINT64_MAX);
    assert_string_equal(taken(), "a");

    wheel_init(&wheel, 0); /* from one end to the other in one step */
    wheel_arm(&wheel, &a.timer, UINT64_MAX - 1);
    wheel_arm(&wheel, &b.timer, UINT64_MAX);
    wheel_arm(&wheel, &c.timer, (uint64_t)1 << 63);
    wheel_advance(&wheel, UINT64_MAX);
    assert_string_equal(taken(), "cab");
}

/* Each single delay around the powers of two, from each moment around them: never early, never late. */
static void test_edges(void **state)
{
    (void)state;
    for (unsigned from = 0; from < 64; from++)
        for (unsigned delay = 0; delay < 63; delay++)
            for (int variant = 0; variant < 9; variant++) {
                struct wheel wheel;
                struct note a = NOTE('a');
                uint64_t start = ((uint64_t)1 << from) + (uint64_t)(variant % 3) - 1;
                uint64_t after = ((uint64_t)1 << delay) + (uint64_t)(variant / 3) - 1;
                if (after == 0 || start > UINT64_MAX - after)
                    continue;
                wheel_init(&wheel, start);
                wheel_arm(&wheel, &a.timer, after);
                wheel_advance(&wheel, start + after - 1);
                if (fired_count != 0)
                    fail_msg("early: %llu + %llu", (unsigned long long)start,
                             (unsigned long long)after);
                assert_true(wheel_next_ms(&wheel) ==
                            start + after); /* nothing else is in its way */
                wheel_advance(&wheel, start + after);
                assert_string_equal(taken(), "a");
            }
}

/* --- Callbacks that change the wheel --- */

struct actor {
    struct timer timer;
    struct wheel *wheel;
    struct actor *other;
    void (*act)(struct actor *actor);
    int count;
};

static void actor_fire(struct timer *timer)
{
    struct actor *actor = CONTAINER_OF(timer, struct actor, timer);
    actor->count++;
    if (actor->act != NULL)
        actor->act(actor);
}

static void cancel_other(struct actor *actor)
{
    wheel_cancel(actor->wheel, &actor->other->timer);
}

static void free_other(struct actor *actor)
{
    wheel_cancel(actor->wheel, &actor->other->timer);
    mem_free(actor->other);
}

static void free_self(struct actor *actor)
{
    mem_free(actor);
}

static void repeat(struct actor *actor)
{
    wheel_arm(actor->wheel, &actor->timer, 0);
}

static void repeat_later(struct actor *actor)
{
    wheel_arm(actor->wheel, &actor->timer, 10);
}

static void postpone_other(struct actor *actor)
{
    wheel_arm(actor->wheel, &actor->other->timer, 50);
}

static struct actor *new_actor(struct wheel *wheel, void (*act)(struct actor *), uint64_t delay)
{
    struct actor *actor = mem_zalloc(sizeof *actor);
    assert_non_null(actor);
    actor->timer.fire = actor_fire;
    actor->wheel = wheel;
    actor->act = act;
    wheel_arm(wheel, &actor->timer, delay);
    return actor;
}

/* The victim is due in the same millisecond, in the same slot, or overdue with its killer: it never fires. */
static void test_callbacks_cancel(void **state)
{
    static const uint64_t delays[][2] = {{5, 5},   {5, 6},       {5, 5000},
                                         {70, 70}, {4096, 4096}, {0, 0},
                                         {0, 1},   {4095, 4097}, {300000, 300000}};
    (void)state;
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++)
        for (int frees = 0; frees < 2; frees++) {
            struct wheel wheel;
            wheel_init(&wheel, 3);
            struct actor *killer =
                new_actor(&wheel, frees ? free_other : cancel_other, delays[i][0]);
            struct actor *victim = new_actor(&wheel, NULL, delays[i][1]);
            struct actor *witness = new_actor(&wheel, NULL, delays[i][1]);
            killer->other = victim;
            wheel_advance(&wheel, 1000000);
            assert_int_equal(killer->count, 1);
            assert_int_equal(witness->count, 1);
            assert_int_equal(wheel.armed, 0);
            if (!frees) {
                assert_int_equal(victim->count, 0);
                mem_free(victim);
            }
            mem_free(killer);
            mem_free(witness);
        }
}

static void test_callbacks_free(void **state)
{
    struct wheel wheel;
    (void)state;
    wheel_init(&wheel, 0);
    for (unsigned i = 0; i < 500; i++)
        new_actor(&wheel, free_self, i * i % 300);
    wheel_advance(&wheel, 150);
    wheel_advance(&wheel, 300);
    assert_int_equal(wheel.armed, 0);
}

/* Delay 0 in a callback does not run within the same advance for ever; a period counts from now, so it does not pile up. */
static void test_callbacks_rearm(void **state)
{
    struct wheel wheel;
    (void)state;
    wheel_init(&wheel, 0);
    struct actor *actor = new_actor(&wheel, repeat, 0);
    for (int i = 1; i <= 5; i++) {
        wheel_advance(&wheel, 0);
        assert_int_equal(actor->count, i);
    }
    wheel_cancel(&wheel, &actor->timer);
    actor->act = repeat_later;
    wheel_arm(&wheel, &actor->timer, 10);
    actor->count = 0;
    wheel_advance(&wheel, 1000); /* 100 periods in one jump */
    assert_int_equal(actor->count, 1);
    assert_int_equal(actor->timer.due_ms, 1010);
    wheel_advance(&wheel, 1010);
    assert_int_equal(actor->count, 2);
    wheel_cancel(&wheel, &actor->timer);

    struct actor *other = new_actor(&wheel, NULL, 5);
    actor->act = postpone_other; /* while both wait in the same batch */
    actor->other = other;
    wheel_arm(&wheel, &other->timer, 5);
    wheel_arm(&wheel, &actor->timer, 4);
    wheel_advance(&wheel, 1015);
    assert_int_equal(actor->count, 3);
    assert_int_equal(other->count, 0);
    wheel_advance(&wheel, 1064);
    assert_int_equal(other->count, 0);
    wheel_advance(&wheel, 1065);
    assert_int_equal(other->count, 1);
    mem_free(actor);
    mem_free(other);
}

/* --- The model --- */

#define TIMERS 200

struct subject {
    struct timer timer;
    bool armed;
    uint64_t due_ms;
    unsigned armed_in; /* the advance in which it was armed */
};

static struct wheel model_wheel;
static struct subject subjects[TIMERS];
static unsigned advance_number;
static bool is_advancing;
static uint64_t seed;
static unsigned long fired_total;

static uint64_t random64(void)
{
    seed ^= seed << 13; /* xorshift64 */
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Any magnitude is as likely as any other. */
static uint64_t random_delay(unsigned bits)
{
    unsigned shift = 63 - (unsigned)(random64() % bits);
    return random64() % 8 == 0 ? 0 : random64() >> shift;
}

static unsigned delay_bits;

static void subject_arm(struct subject *subject)
{
    uint64_t delay = random_delay(delay_bits), now = model_wheel.now_ms;
    wheel_arm(&model_wheel, &subject->timer, delay);
    subject->armed = true;
    subject->due_ms = delay > UINT64_MAX - now ? UINT64_MAX : now + delay;
    subject->armed_in = advance_number;
    assert_true(subject->timer.due_ms == subject->due_ms);
}

static void subject_cancel(struct subject *subject)
{
    wheel_cancel(&model_wheel, &subject->timer);
    subject->armed = false;
}

static uint64_t earliest(void)
{
    uint64_t due = UINT64_MAX;
    for (size_t i = 0; i < TIMERS; i++)
        if (subjects[i].armed && subjects[i].due_ms < due)
            due = subjects[i].due_ms;
    return due;
}

static void subject_fire(struct timer *timer)
{
    struct subject *subject = CONTAINER_OF(timer, struct subject, timer);
    assert_true(is_advancing && subject->armed && !timer_is_armed(timer));
    assert_true(subject->due_ms <= model_wheel.now_ms);
    assert_true(subject->due_ms == earliest()); /* in order of due time */
    subject->armed = false;
    fired_total++;
    for (unsigned i = 0; i < 2; i++) {
        struct subject *other = random64() % 4 == 0 ? subject : &subjects[random64() % TIMERS];
        if (random64() % 3 == 0)
            subject_arm(other);
        else if (random64() % 5 == 0)
            subject_cancel(other);
    }
}

static void check_state(void)
{
    size_t armed = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(timer_is_armed(&subjects[i].timer), subjects[i].armed);
        armed += subjects[i].armed;
    }
    assert_int_equal(model_wheel.armed, armed);
    uint64_t next = wheel_next_ms(&model_wheel);
    assert_true(armed == 0 ? next == WHEEL_NEVER : next <= earliest());
}

static void advance(uint64_t now_ms)
{
    advance_number++;
    is_advancing = true;
    wheel_advance(&model_wheel, now_ms);
    is_advancing = false;
    for (size_t i = 0; i < TIMERS; i++) /* only what callbacks armed may still be due */
        assert_true(!subjects[i].armed || subjects[i].due_ms > model_wheel.now_ms ||
                    subjects[i].armed_in == advance_number);
    advance_number++;
}

static uint64_t forward(uint64_t from, uint64_t by)
{
    return by > UINT64_MAX - from ? UINT64_MAX : from + by;
}

static void test_model(void **state)
{
    static const uint64_t starts[] = {
        0, 63, 4095, 1700000000000, ((uint64_t)1 << 36) - 5, UINT64_MAX - 100000};
    (void)state;
    fired_total = 0;
    for (unsigned round = 1; round <= 60; round++) {
        seed = round * 0x9e3779b97f4a7c15u;
        delay_bits = round % 3 == 0 ? 64 : round % 3 == 1 ? 14 : 26;
        wheel_init(&model_wheel, starts[round % 6]);
        for (size_t i = 0; i < TIMERS; i++)
            subjects[i] = (struct subject){.timer = {.fire = subject_fire}};
        for (unsigned step = 0; step < 400; step++) {
            struct subject *subject = &subjects[random64() % TIMERS];
            switch (random64() % 8) {
            case 0:
            case 1:
            case 2:
            case 3:
                subject_arm(subject);
                break;
            case 4:
                subject_cancel(subject);
                break;
            case 5:
                wheel_set_now(&model_wheel,
                              forward(model_wheel.now_ms, random_delay(delay_bits / 2)));
                break;
            case 6: /* to just before, or at, what comes next */
                if (model_wheel.armed > 0)
                    advance(earliest() - (earliest() > 0 && random64() % 2 == 0));
                break;
            default:
                advance(forward(model_wheel.now_ms, random_delay(delay_bits) / 4));
                break;
            }
            check_state();
        }
    }
    assert_true(fired_total > 5000); /* or the model has tested nothing */
}

/* An event loop that sleeps until wheel_next_ms: it gets to every timer, with few needless awakenings. */
static void test_follow_next(void **state)
{
    (void)state;
    for (unsigned round = 1; round <= 20; round++) {
        static struct note notes[100];
        struct wheel wheel;
        unsigned awakenings = 0;
        seed = round * 0x9e3779b97f4a7c15u;
        wheel_init(&wheel, random64() >> 20);
        for (size_t i = 0; i < 100; i++) {
            notes[i] = (struct note)NOTE('x');
            wheel_arm(&wheel, &notes[i].timer, 1 + random_delay(40));
        }
        for (size_t i = 0; i < 100; i += 3) /* what is cancelled may cost an awakening, no more */
            wheel_cancel(&wheel, &notes[i].timer);
        while (wheel.armed > 0) {
            uint64_t next = wheel_next_ms(&wheel);
            assert_true(next > wheel.now_ms);
            wheel_advance(&wheel, next);
            assert_true(++awakenings < 100 * WHEEL_LEVELS);
        }
        assert_int_equal(fired_count, 66);
        taken();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),           cmocka_unit_test(test_rearm_and_cancel),
        cmocka_unit_test(test_overdue),          cmocka_unit_test(test_set_now),
        cmocka_unit_test(test_end_of_time),      cmocka_unit_test(test_edges),
        cmocka_unit_test(test_callbacks_cancel), cmocka_unit_test(test_callbacks_free),
        cmocka_unit_test(test_callbacks_rearm),  cmocka_unit_test(test_model),
        cmocka_unit_test(test_follow_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
