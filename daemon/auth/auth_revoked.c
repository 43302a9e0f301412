/*
 * Two of the C library's balanced trees (tsearch) below one lock for readers and writers: questions come from all workers at once, changes
 * from an administrator. Bounded; what does not fit is refused, because to forget a revocation would let somebody in. Any thread.
 */
#include "auth/auth_revoked.h"
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct revocation {
    int64_t time; /* of a user: issued_until; of a token: expires_at, 0: never */
    char id[];
};

struct tree {
    void *root;
    size_t count;
};

struct auth_revoked {
    pthread_rwlock_t lock;
    struct tree users, tokens;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct revocation *)a)->id, ((const struct revocation *)b)->id);
}

struct auth_revoked *auth_revoked_new(void)
{
    struct auth_revoked *revoked = calloc(1, sizeof *revoked);
    if (revoked != NULL && pthread_rwlock_init(&revoked->lock, NULL) != 0) {
        free(revoked);
        return NULL;
    }
    return revoked;
}

void auth_revoked_free(struct auth_revoked *revoked)
{
    if (revoked == NULL)
        return;
    tdestroy(revoked->users.root, free);
    tdestroy(revoked->tokens.root, free);
    pthread_rwlock_destroy(&revoked->lock);
    free(revoked);
}

static struct revocation *new_entry(const char *id, int64_t time)
{
    size_t size = strlen(id) + 1;
    struct revocation *entry = malloc(sizeof *entry + size);
    if (entry != NULL) {
        entry->time = time;
        memcpy(entry->id, id, size);
    }
    return entry;
}

/* The entry of that id, put there if need be with `time`; NULL: full, or memory. */
static struct revocation *tree_put(struct tree *tree, const char *id, int64_t time)
{
    struct revocation *entry = new_entry(id, time);
    void *node = NULL;
    if (entry == NULL)
        return NULL;
    if ((node = tfind(entry, &tree->root, compare)) == NULL && tree->count < AUTH_MAX_REVOKED) {
        node = tsearch(entry, &tree->root, compare);
        if (node != NULL) {
            tree->count++;
            return entry;
        }
    }
    free(entry);
    return node != NULL ? *(struct revocation **)node : NULL;
}

bool auth_revoked_add_user(struct auth_revoked *revoked, const char *user_id, int64_t issued_until)
{
    pthread_rwlock_wrlock(&revoked->lock);
    struct revocation *entry = tree_put(&revoked->users, user_id, issued_until);
    if (entry != NULL && entry->time < issued_until)
        entry->time = issued_until;
    pthread_rwlock_unlock(&revoked->lock);
    return entry != NULL;
}

bool auth_revoked_add_token(struct auth_revoked *revoked, const char *jti, int64_t expires_at)
{
    pthread_rwlock_wrlock(&revoked->lock);
    struct revocation *entry = tree_put(&revoked->tokens, jti, expires_at);
    if (entry != NULL && (expires_at == 0 || (entry->time != 0 && entry->time < expires_at)))
        entry->time = expires_at;
    pthread_rwlock_unlock(&revoked->lock);
    return entry != NULL;
}

/* `key` is only compared, by compare_id. */
static int compare_id(const void *id, const void *entry)
{
    return strcmp(id, ((const struct revocation *)entry)->id);
}

static const struct revocation *tree_find(const struct tree *tree, const char *id)
{
    void *const *node = tfind(id, &tree->root, compare_id);
    return node != NULL ? *node : NULL;
}

bool auth_revoked_has(struct auth_revoked *revoked, const struct principal *principal)
{
    pthread_rwlock_rdlock(&revoked->lock);
    const struct revocation *user = tree_find(&revoked->users, principal->user_id);
    bool has = (user != NULL && principal->issued_at <= user->time) ||
               (principal->jti != NULL && tree_find(&revoked->tokens, principal->jti) != NULL);
    pthread_rwlock_unlock(&revoked->lock);
    return has;
}

/* What twalk_r collects: a tree must not change while it is walked. */
struct expired {
    struct revocation *entries[256];
    size_t count;
    int64_t now;
};

static void collect(const void *node, VISIT visit, void *closure)
{
    struct expired *expired = closure;
    struct revocation *entry = *(struct revocation *const *)node;
    if ((visit == postorder || visit == leaf) && entry->time != 0 && entry->time < expired->now &&
        expired->count < sizeof expired->entries / sizeof *expired->entries)
        expired->entries[expired->count++] = entry;
}

void auth_revoked_sweep(struct auth_revoked *revoked, int64_t now)
{
    struct expired expired = {.now = now};
    do { /* a bunch at a time: nobody waits long for the lock */
        expired.count = 0;
        pthread_rwlock_wrlock(&revoked->lock);
        twalk_r(revoked->tokens.root, collect, &expired);
        for (size_t i = 0; i < expired.count; i++) {
            tdelete(expired.entries[i], &revoked->tokens.root, compare);
            free(expired.entries[i]);
            revoked->tokens.count--;
        }
        pthread_rwlock_unlock(&revoked->lock);
    } while (expired.count > 0);
}
