/*
 * The output queue, driven by the input as a list of operations, against a list of units in which a newer one takes the place of the latest of its
 * key that has not been touched. After every operation the queue holds exactly the bytes of the model, and in the end every reference is given back.
 */
#include <stdlib.h>
#include "net/outq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_STEPS 300
#define MAX_UNIT  4
#define MAX_BYTES (MAX_STEPS * MAX_UNIT * 300)

struct unit {
    uint64_t key; /* 0: none */
    unsigned count;
    struct message *messages[MAX_UNIT];
};

struct model {
    struct unit units[MAX_STEPS];
    size_t count;
    size_t sent;   /* bytes from the front that have left */
    size_t pinned; /* bytes from the front that may not change */
};

struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t next(struct input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

static struct unit make(struct input *input, uint64_t key, unsigned followers)
{
    static uint8_t filling;
    struct unit unit = {.key = key, .count = 1 + followers};
    for (unsigned i = 0; i < unit.count; i++) {
        unit.messages[i] = message_new(1 + next(input));
        CHECK(unit.messages[i] != NULL);
        memset(unit.messages[i]->data, filling++, unit.messages[i]->size);
    }
    unit.messages[0]->flags = key != 0 ? MESSAGE_CONFLATE : 0;
    unit.messages[0]->key = key;
    unit.messages[0]->followers = (uint8_t)followers;
    return unit;
}

static size_t size_of(const struct unit *unit)
{
    size_t size = 0;
    for (unsigned i = 0; i < unit->count; i++)
        size += unit->messages[i]->size;
    return size;
}

static void release(const struct unit *unit)
{
    for (unsigned i = 0; i < unit->count; i++) {
        CHECK(atomic_load(&unit->messages[i]->refs) == 1); /* the queue has let go of it */
        message_unref(unit->messages[i]);
    }
}

/* The latest unit of that key, if none of its bytes has left or is pinned. */
static struct unit *replaceable(struct model *model, uint64_t key)
{
    struct unit *found = NULL;
    size_t start = 0, found_start = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (model->units[i].key == key) {
            found = &model->units[i];
            found_start = start;
        }
        start += size_of(&model->units[i]);
    }
    return found != NULL && found_start >= model->sent && found_start >= model->pinned ? found
                                                                                       : NULL;
}

static void send_keyed(struct outq *queue, struct model *model, struct unit unit)
{
    struct unit *old = replaceable(model, unit.key);
    size_t replaced = outq_replace(queue, unit.messages);
    CHECK(replaced == (old != NULL ? size_of(old) : 0));
    if (old != NULL) {
        release(old);
        *old = unit;
    } else {
        CHECK(outq_push_unit(queue, unit.messages));
        model->units[model->count++] = unit;
    }
}

static void compare(const struct outq *queue, const struct model *model)
{
    static char got[MAX_BYTES], expected[MAX_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < model->count; i++)
        for (unsigned j = 0; j < model->units[i].count; j++) {
            const struct message *message = model->units[i].messages[j];
            memcpy(expected + size, message->data, message->size);
            size += message->size;
        }
    CHECK(queue->bytes == size - model->sent);
    CHECK(outq_peek(queue, got, sizeof got) == queue->bytes);
    CHECK(memcmp(got, expected + model->sent, queue->bytes) == 0);
}

static void consume(struct outq *queue, struct model *model, size_t bytes)
{
    bytes = bytes < queue->bytes ? bytes : queue->bytes;
    if (bytes == 0)
        return;
    outq_consume(queue, bytes);
    model->sent += bytes;
    model->pinned = 0;
}

static void step(struct outq *queue, struct model *model, struct input *input)
{
    uint8_t op = next(input);
    switch (op & 7) {
    case 0:
    case 1:
        model->units[model->count] = make(input, 0, 0);
        CHECK(outq_push(queue, model->units[model->count++].messages[0], 0));
        break;
    case 6:
        consume(queue, model, (size_t)next(input) * (1 + (op >> 3)));
        break;
    case 7: {
        size_t bytes = next(input);
        bytes = bytes < queue->bytes ? bytes : queue->bytes;
        outq_pin(queue, bytes);
        model->pinned = model->sent + bytes;
        break;
    }
    default:
        send_keyed(queue, model, make(input, 1 + (op >> 6), op >> 3 & 3));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model model;
    struct input input = {data, size};
    struct outq queue;
    model = (struct model){.count = 0};
    outq_init(&queue);
    for (int i = 0; i < MAX_STEPS && input.size > 0; i++) {
        step(&queue, &model, &input);
        compare(&queue, &model);
    }
    outq_release(&queue);
    for (size_t i = 0; i < model.count; i++)
        release(&model.units[i]);
    return 0;
}
