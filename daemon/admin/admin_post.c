/*
 * Work that one worker leaves to another. What is on its way is in a list, because a server that ends does not run what was posted, and
 * payloads must not be lost then. Any thread; the list has a lock, taken twice a post, of which there are few: batches, not events.
 */
#include "admin/admin_internal.h"
#include <stdlib.h>

struct admin_post {
    struct admin_post *previous, *next;
    struct admin_worker *worker;
    void (*run)(struct admin_worker *worker, void *payload);
    void (*drop)(void *payload);
    void *payload;
};

static void enlist(struct admin *admin, struct admin_post *post)
{
    pthread_mutex_lock(&admin->lock);
    post->next = admin->posts;
    if (admin->posts != NULL)
        admin->posts->previous = post;
    admin->posts = post;
    pthread_mutex_unlock(&admin->lock);
}

static void delist(struct admin *admin, struct admin_post *post)
{
    pthread_mutex_lock(&admin->lock);
    if (post->previous != NULL)
        post->previous->next = post->next;
    else
        admin->posts = post->next;
    if (post->next != NULL)
        post->next->previous = post->previous;
    pthread_mutex_unlock(&admin->lock);
}

static void arrive(void *data)
{
    struct admin_post *post = data;
    delist(post->worker->admin, post);
    post->run(post->worker, post->payload);
    free(post);
}

bool admin_post(struct admin *admin, unsigned to,
                void (*run)(struct admin_worker *worker, void *payload), void *payload,
                void (*drop)(void *payload))
{
    struct admin_post *post = calloc(1, sizeof *post);
    if (post != NULL) {
        *post = (struct admin_post){
            .worker = &admin->workers[to], .run = run, .drop = drop, .payload = payload};
        enlist(admin, post);
        if (cvn_post(admin->server, to, arrive, post) == CVN_OK)
            return true;
        delist(admin, post);
    }
    free(post);
    drop(payload);
    return false;
}

void admin_post_release(struct admin *admin)
{
    while (admin->posts != NULL) {
        struct admin_post *post = admin->posts;
        delist(admin, post);
        post->drop(post->payload);
        free(post);
    }
}
