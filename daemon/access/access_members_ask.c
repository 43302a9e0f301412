/* The judge `members` of access_guard.h, put in terms of access_members_find. On a worker. */
#include "access/access_members.h"
#include <stdlib.h>

struct question {
    guard_fn fn;
    void *data;
};

static void on_found(enum store_result result, const char *permission, void *data)
{
    struct question *question = data;
    if (result != STORE_OK)
        question->fn(GUARD_UNAVAILABLE, "", question->data);
    else if (permission == NULL)
        question->fn(GUARD_DENIED, "", question->data);
    else
        question->fn(GUARD_ALLOWED, permission, question->data);
    free(question);
}

void access_members_ask(struct access_members *members, struct principal *principal,
                        enum resource_kind kind, const char *id, guard_fn fn, void *data)
{
    struct question *question = malloc(sizeof *question);
    if (question == NULL) {
        fn(GUARD_UNAVAILABLE, "", data);
        return;
    }
    *question = (struct question){fn, data};
    access_members_find(members, resource_name(kind), id, principal->user_id, on_found, question);
}
