/*
 * The mailbox of a worker: a stack that posters push on with compare-and-swap and the worker takes whole, then
 * turns around, so that mail of one poster arrives in order. Only the poster that finds the stack empty wakes
 * the loop. A turn delivers so much and no more: threads that post faster than the worker delivers make a queue, but do not keep
 * the worker from its sockets, its timers and its end. A closed mailbox holds a sentinel; whoever meets it discards its mail.
 */
#include "net/net_internal.h"
#include <sched.h>

#define MAX_A_TURN 1024

static struct mail closed_mark;

static struct mail *take_in_order(struct mailbox *mailbox, struct mail *leave)
{
    struct mail *taken = atomic_exchange_explicit(&mailbox->head, leave, memory_order_acq_rel);
    struct mail *ordered = NULL;
    while (taken != NULL && taken != &closed_mark) {
        struct mail *next = atomic_load_explicit(&taken->next, memory_order_relaxed);
        atomic_store_explicit(&taken->next, ordered, memory_order_relaxed);
        ordered = taken;
        taken = next;
    }
    return ordered;
}

/* The oldest of the mail that was taken. */
static struct mail *next_taken(struct mailbox *mailbox)
{
    struct mail *mail = mailbox->taken;
    mailbox->taken = atomic_load_explicit(&mail->next, memory_order_relaxed);
    return mail;
}

static void on_wake(uv_async_t *wake)
{
    struct worker *worker = wake->data;
    worker_enter(worker);
    mailbox_deliver(worker, MAX_A_TURN);
    if (atomic_load(&worker->stop_asked))
        worker_on_stop(worker);
}

void mailbox_deliver(struct worker *worker, unsigned most)
{
    struct mailbox *mailbox = &worker->mailbox;
    if (worker->stopping)
        return;
    bool has_looked = false; /* into the stack: once a turn */
    for (unsigned i = 0; i < most; i++) {
        if (mailbox->taken == NULL && !has_looked) {
            mailbox->taken = take_in_order(mailbox, NULL);
            has_looked = true;
        }
        if (mailbox->taken == NULL)
            break;
        struct mail *mail = next_taken(mailbox);
        mail->deliver(mail, worker);
    }
    /* Whoever posted on a stack that was not empty has woken nobody, and the wake-up of who did may have been this one. */
    if (mailbox->taken != NULL ||
        atomic_load_explicit(&mailbox->head, memory_order_acquire) != NULL)
        uv_async_send(&mailbox->wake);
}

int mailbox_init(struct mailbox *mailbox, struct worker *worker)
{
    atomic_init(&mailbox->head, NULL);
    mailbox->wake.data = worker;
    return uv_async_init(worker->loop, &mailbox->wake, on_wake);
}

void mailbox_close(struct mailbox *mailbox)
{
    struct mail *later = take_in_order(mailbox, &closed_mark);
    do {
        while (mailbox->taken != NULL) {
            struct mail *mail = next_taken(mailbox);
            mail->discard(mail);
        }
        mailbox->taken = later;
        later = NULL;
    } while (mailbox->taken != NULL);
    /* A caller may close its loop next: whoever found the box empty has to be done with waking it. */
    while (atomic_load(&mailbox->posters) != 0)
        sched_yield();
}

/* False when the box is closed. */
static bool push(struct mailbox *mailbox, struct mail *mail)
{
    /* Acquire: who discards must see what the worker left behind when it closed the mailbox. */
    struct mail *head = atomic_load_explicit(&mailbox->head, memory_order_acquire);
    do {
        if (head == &closed_mark)
            return false;
        atomic_store_explicit(&mail->next, head, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->head, &head, mail,
                                                    memory_order_acq_rel, memory_order_acquire));
    if (head == NULL)
        uv_async_send(&mailbox->wake);
    return true;
}

void worker_post(struct worker *worker, struct mail *mail)
{
    struct mailbox *mailbox = &worker->mailbox;
    bool is_counted = !worker->owns_loop;
    if (is_counted)
        atomic_fetch_add(&mailbox->posters, 1);
    bool pushed = push(mailbox, mail);
    if (is_counted)
        atomic_fetch_sub(&mailbox->posters, 1);
    if (!pushed)
        mail->discard(mail);
}
