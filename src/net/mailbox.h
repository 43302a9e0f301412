/*
 * A worker's mailbox: any thread posts, the worker's loop delivers, in the order of posting per
 * poster. Lock-free multi-producer queue plus one uv_async wake-up per batch.
 */
#ifndef NET_MAILBOX_H
#define NET_MAILBOX_H

#include <stdatomic.h>
#include <uv.h>

struct worker;

/* Embedded at the front of whatever is sent. deliver() runs once on the receiving worker and owns the
 * mail from then on. When the worker has already stopped, discard() runs instead, on any thread. */
struct mail {
    _Atomic(struct mail *) next;
    void (*deliver)(struct mail *mail, struct worker *worker);
    void (*discard)(struct mail *mail);
};

struct mailbox {
    _Atomic(struct mail *) head;
    struct mail *taken;  /* the worker's: out of the stack, in order, not delivered yet */
    atomic_uint posters; /* inside worker_post just now; counted on a caller's loop only */
    uv_async_t wake;
};

/* --- The worker's side; others use worker_post --- */

/* A libuv error, or 0. */
int mailbox_init(struct mailbox *mailbox, struct worker *worker);
/* Delivers what has come, so many at most; the rest in a later turn. On the worker. */
void mailbox_deliver(struct worker *worker, unsigned most);
/* Discards what waits and whatever is posted from now on. When it returns nobody touches the handle any
 * more, which stays for the worker to close. */
void mailbox_close(struct mailbox *mailbox);

#endif
