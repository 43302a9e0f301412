/*
 * Who is a member of what: (kind, id, user) with a permission, in the store, kept by the admin API and asked by the guard `members` at every join. Answers
 * are remembered, the noes too; a change forgets the answer it concerns before whoever made it is told, so what is asked after that sees it.
 */
#ifndef ACCESS_MEMBERS_H
#define ACCESS_MEMBERS_H

#include "access/access_guard.h"
#include "store/store.h"

#define ACCESS_MEMBER_MAX_KIND       32    /* bytes: "board", "course", ... of [a-z_] */
#define ACCESS_MEMBER_MAX_ID         256   /* bytes, no control characters */
#define ACCESS_MEMBER_MAX_USER       128   /* likewise */
#define ACCESS_MEMBER_MAX_PERMISSION 32    /* bytes of [a-z_]: "view", "comment", "edit", ... */
#define ACCESS_MEMBERS_MAX_PAGE      1000  /* rows of one list */
#define ACCESS_MEMBERS_CACHE         32768 /* answers that are remembered */

struct access_member {
    const char *kind, *id, *user_id;
    const char *permission;
    const char *added_by; /* NULL: unknown */
    int64_t added_at;     /* Unix seconds */
};

/* Brings the table along. Main thread, before store_start. NULL: said to the log. */
struct access_members *access_members_new(struct store *store);
/* After store_close. NULL is accepted. */
void access_members_free(struct access_members *members);

/* Whether the names are within their bounds, what the functions below demand. */
bool access_member_is_valid(const char *kind, const char *id, const char *user_id,
                            const char *permission);

/* All functions: any thread. `fn` is called exactly once, on the worker that asked (another thread that asked: on the store's). It may be called before the
 * function returns. Texts are valid during the call. Anything but STORE_OK: not known, not done. */

/* `permission` is NULL when the user is no member. */
typedef void (*access_member_fn)(enum store_result result, const char *permission, void *data);
void access_members_find(struct access_members *members, const char *kind, const char *id,
                         const char *user_id, access_member_fn fn, void *data);

/* The guard's question (access_guard_ask): the permission is what the member has. */
void access_members_ask(struct access_members *members, struct principal *principal,
                        enum resource_kind kind, const char *id, guard_fn fn, void *data);

/* `is_changed`: false when it was so already. */
typedef void (*access_change_fn)(enum store_result result, bool is_changed, void *data);
/* Adds the member or changes the permission. STORE_ABORTED: a name is not within its bounds. */
void access_members_put(struct access_members *members, const struct access_member *member,
                        access_change_fn fn, void *data);
void access_members_remove(struct access_members *members, const char *kind, const char *id,
                           const char *user_id, access_change_fn fn, void *data);
/* Everybody, for a resource that is gone. */
void access_members_remove_all(struct access_members *members, const char *kind, const char *id,
                               access_change_fn fn, void *data);

/* Ordered by user (by id); `has_more`: ask again after the last one. */
typedef void (*access_list_fn)(enum store_result result, const struct access_member *items,
                               size_t count, bool has_more, void *data);
/* The members of a resource, those after `after` (a user; NULL: from the first), at most `limit` (and ACCESS_MEMBERS_MAX_PAGE). */
void access_members_list(struct access_members *members, const char *kind, const char *id,
                         const char *after, size_t limit, access_list_fn fn, void *data);
/* What a user is a member of, of one kind, those after `after` (an id). */
void access_members_list_of(struct access_members *members, const char *user_id, const char *kind,
                            const char *after, size_t limit, access_list_fn fn, void *data);

struct access_members_stats {
    uint64_t hits, misses;
    size_t cached;
};
void access_members_get_stats(struct access_members *members, struct access_members_stats *ret);

#endif
