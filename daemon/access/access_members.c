/*
 * The table of members and the jobs that ask and change it. A job carries copies of its names, and its function runs on the store's thread; its end runs on
 * the worker that asked, where the cache is brought up to date before anybody is told. Any thread may begin one.
 */
#include "access/access_members.h"
#include "access/access_member_cache.h"
#include "observe/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct store_migration migrations[] = {
    {"members", 1,
     "CREATE TABLE members (kind TEXT NOT NULL, id TEXT NOT NULL, user_id TEXT NOT NULL,"
     " permission TEXT NOT NULL, added_by TEXT, added_at INTEGER NOT NULL,"
     " PRIMARY KEY (kind, id, user_id)) STRICT, WITHOUT ROWID;"
     "CREATE INDEX members_by_user ON members (user_id, kind, id)"},
};

struct access_members {
    struct store *store;
    struct access_member_cache *cache;
};

struct access_members *access_members_new(struct store *store)
{
    struct access_members *members = calloc(1, sizeof *members);
    if (members == NULL)
        return NULL;
    members->store = store;
    members->cache = access_member_cache_new(ACCESS_MEMBERS_CACHE);
    if (members->cache != NULL &&
        store_migrate(store, migrations, sizeof migrations / sizeof *migrations))
        return members;
    log_entry(LOG_ERROR, "the members cannot be read", LOG_END);
    access_members_free(members);
    return NULL;
}

void access_members_free(struct access_members *members)
{
    if (members == NULL)
        return;
    access_member_cache_free(members->cache);
    free(members);
}

void access_members_get_stats(struct access_members *members, struct access_members_stats *ret)
{
    access_member_cache_get_stats(members->cache, ret);
}

/* --- Names --- */

static bool is_word(const char *text, size_t max)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    return size > 0 && size <= max && text[size] == '\0';
}

static bool is_name(const char *text, size_t max)
{
    size_t size = strnlen(text, max + 1);
    if (size == 0 || size > max)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

bool access_member_is_valid(const char *kind, const char *id, const char *user_id,
                            const char *permission)
{
    return is_word(kind, ACCESS_MEMBER_MAX_KIND) && is_name(id, ACCESS_MEMBER_MAX_ID) &&
           is_name(user_id, ACCESS_MEMBER_MAX_USER) &&
           is_word(permission, ACCESS_MEMBER_MAX_PERMISSION);
}

struct names {
    char kind[ACCESS_MEMBER_MAX_KIND + 1];
    char id[ACCESS_MEMBER_MAX_ID + 1];
    char user_id[ACCESS_MEMBER_MAX_USER + 1];
};

/* Names that are valid already, or "" for those that a question leaves open. */
static void set_names(struct names *names, const char *kind, const char *id, const char *user_id)
{
    snprintf(names->kind, sizeof names->kind, "%s", kind);
    snprintf(names->id, sizeof names->id, "%s", id);
    snprintf(names->user_id, sizeof names->user_id, "%s", user_id);
}

static void bind_names(struct store_tx *tx, const struct names *names)
{
    store_bind_text(tx, 1, cvn_str(names->kind));
    store_bind_text(tx, 2, cvn_str(names->id));
    store_bind_text(tx, 3, cvn_str(names->user_id));
}

/* --- One member --- */

struct find {
    struct access_members *members;
    struct names names;
    char permission[ACCESS_MEMBER_MAX_PERMISSION + 1];
    uint64_t ticket;
    access_member_fn fn;
    void *data;
};

static bool find_member(struct store_tx *tx, void *job)
{
    struct find *find = job;
    bind_names(tx, &find->names);
    if (!store_query(tx, "SELECT permission FROM members WHERE kind=?1 AND id=?2 AND user_id=?3"))
        return false;
    if (store_next(tx)) {
        cvn_slice permission = store_text(tx, 0);
        snprintf(find->permission, sizeof find->permission, "%.*s", (int)permission.size,
                 permission.data);
    }
    return !store_has_failed(tx);
}

static void tell(access_member_fn fn, const char *permission, void *data)
{
    fn(STORE_OK, permission[0] != '\0' ? permission : NULL, data);
}

static void on_found(enum store_result result, void *job)
{
    struct find *find = job;
    struct access_member_key key;
    if (result == STORE_OK) {
        key = access_member_key_of(find->names.kind, find->names.id, find->names.user_id);
        access_member_cache_put(find->members->cache, &key, find->permission, find->ticket);
        tell(find->fn, find->permission, find->data);
    } else {
        find->fn(result, NULL, find->data);
    }
    free(find);
}

void access_members_find(struct access_members *members, const char *kind, const char *id,
                         const char *user_id, access_member_fn fn, void *data)
{
    struct access_member_key key;
    char permission[ACCESS_MEMBER_MAX_PERMISSION + 1];
    uint64_t ticket = 0;
    if (!access_member_is_valid(kind, id, user_id, "any")) {
        fn(STORE_OK, NULL, data); /* nobody can have put it there */
        return;
    }
    key = access_member_key_of(kind, id, user_id);
    if (access_member_cache_get(members->cache, &key, permission, &ticket)) {
        tell(fn, permission, data);
        return;
    }
    struct find *find = calloc(1, sizeof *find);
    if (find != NULL) {
        find->members = members;
        set_names(&find->names, kind, id, user_id);
        find->ticket = ticket;
        find->fn = fn;
        find->data = data;
        if (store_read(members->store, find_member, on_found, find))
            return;
    }
    free(find);
    fn(STORE_BUSY, NULL, data);
}

/* --- Changes --- */

struct change {
    struct access_members *members;
    struct names names;
    char permission[ACCESS_MEMBER_MAX_PERMISSION + 1];
    char added_by[ACCESS_MEMBER_MAX_USER + 1]; /* "": unknown */
    int64_t added_at;
    int64_t rows;
    bool is_for_all;
    access_change_fn fn;
    void *data;
};

static bool put_member(struct store_tx *tx, void *job)
{
    struct change *change = job;
    bind_names(tx, &change->names);
    store_bind_text(tx, 4, cvn_str(change->permission));
    if (change->added_by[0] != '\0')
        store_bind_text(tx, 5, cvn_str(change->added_by));
    else
        store_bind_null(tx, 5);
    store_bind_integer(tx, 6, change->added_at);
    return store_exec(tx,
                      "INSERT INTO members (kind, id, user_id, permission, added_by, added_at)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (kind, id, user_id) DO UPDATE"
                      " SET permission=excluded.permission, added_by=excluded.added_by,"
                      " added_at=excluded.added_at WHERE permission<>excluded.permission",
                      &change->rows);
}

static bool remove_member(struct store_tx *tx, void *job)
{
    struct change *change = job;
    bind_names(tx, &change->names);
    return store_exec(tx, "DELETE FROM members WHERE kind=?1 AND id=?2 AND user_id=?3",
                      &change->rows);
}

static bool remove_members(struct store_tx *tx, void *job)
{
    struct change *change = job;
    store_bind_text(tx, 1, cvn_str(change->names.kind));
    store_bind_text(tx, 2, cvn_str(change->names.id));
    return store_exec(tx, "DELETE FROM members WHERE kind=?1 AND id=?2", &change->rows);
}

static void on_changed(enum store_result result, void *job)
{
    struct change *change = job;
    struct access_member_key key;
    /* Whatever the result: one that failed may yet have reached the disk. */
    if (change->is_for_all) {
        access_member_cache_clear(change->members->cache);
    } else {
        key = access_member_key_of(change->names.kind, change->names.id, change->names.user_id);
        access_member_cache_drop(change->members->cache, &key);
    }
    change->fn(result, result == STORE_OK && change->rows > 0, change->data);
    free(change);
}

static struct change *change_new(struct access_members *members, access_change_fn fn, void *data)
{
    struct change *change = calloc(1, sizeof *change);
    if (change == NULL)
        return NULL;
    change->members = members;
    change->fn = fn;
    change->data = data;
    return change;
}

/* `change` may be NULL: there was no memory. */
static void hand_over(struct access_members *members, store_fn what, struct change *change,
                      access_change_fn fn, void *data)
{
    if (change != NULL && store_write(members->store, what, on_changed, change))
        return;
    free(change);
    fn(STORE_BUSY, false, data);
}

void access_members_put(struct access_members *members, const struct access_member *member,
                        access_change_fn fn, void *data)
{
    bool is_valid =
        access_member_is_valid(member->kind, member->id, member->user_id, member->permission) &&
        (member->added_by == NULL || is_name(member->added_by, ACCESS_MEMBER_MAX_USER));
    if (!is_valid) {
        fn(STORE_ABORTED, false, data);
        return;
    }
    struct change *change = change_new(members, fn, data);
    if (change != NULL) {
        set_names(&change->names, member->kind, member->id, member->user_id);
        snprintf(change->permission, sizeof change->permission, "%s", member->permission);
        snprintf(change->added_by, sizeof change->added_by, "%s",
                 member->added_by != NULL ? member->added_by : "");
        change->added_at = member->added_at;
    }
    hand_over(members, put_member, change, fn, data);
}

void access_members_remove(struct access_members *members, const char *kind, const char *id,
                           const char *user_id, access_change_fn fn, void *data)
{
    if (!access_member_is_valid(kind, id, user_id, "any")) {
        fn(STORE_ABORTED, false, data);
        return;
    }
    struct change *change = change_new(members, fn, data);
    if (change != NULL)
        set_names(&change->names, kind, id, user_id);
    hand_over(members, remove_member, change, fn, data);
}

void access_members_remove_all(struct access_members *members, const char *kind, const char *id,
                               access_change_fn fn, void *data)
{
    if (!access_member_is_valid(kind, id, "any", "any")) {
        fn(STORE_ABORTED, false, data);
        return;
    }
    struct change *change = change_new(members, fn, data);
    if (change != NULL) {
        set_names(&change->names, kind, id, "");
        change->is_for_all = true;
    }
    hand_over(members, remove_members, change, fn, data);
}

/* --- Lists --- */

struct row {
    struct names names;
    char permission[ACCESS_MEMBER_MAX_PERMISSION + 1];
    char added_by[ACCESS_MEMBER_MAX_USER + 1];
    bool has_added_by;
    int64_t added_at;
};

struct list {
    struct names names; /* what is asked for, and after what */
    size_t limit, count;
    bool has_more;
    struct row *rows;            /* one more than the limit */
    struct access_member *items; /* into the rows */
    access_list_fn fn;
    void *data;
};

static void list_free(struct list *list)
{
    if (list == NULL)
        return;
    free(list->rows);
    free(list->items);
    free(list);
}

static void read_text(struct store_tx *tx, unsigned column, char *ret, size_t size)
{
    cvn_slice text = store_text(tx, column);
    snprintf(ret, size, "%.*s", (int)text.size, text.data);
}

static bool read_rows(struct store_tx *tx, struct list *list)
{
    while (store_next(tx)) {
        if (list->count == list->limit) {
            list->has_more = true;
            break;
        }
        struct row *row = &list->rows[list->count++];
        read_text(tx, 0, row->names.kind, sizeof row->names.kind);
        read_text(tx, 1, row->names.id, sizeof row->names.id);
        read_text(tx, 2, row->names.user_id, sizeof row->names.user_id);
        read_text(tx, 3, row->permission, sizeof row->permission);
        row->has_added_by = !store_is_null(tx, 4);
        read_text(tx, 4, row->added_by, sizeof row->added_by);
        row->added_at = store_integer(tx, 5);
    }
    return !store_has_failed(tx);
}

static bool list_members(struct store_tx *tx, void *job)
{
    struct list *list = job;
    bind_names(tx, &list->names);
    store_bind_integer(tx, 4, (int64_t)list->limit + 1);
    return store_query(tx, "SELECT kind, id, user_id, permission, added_by, added_at FROM members"
                           " WHERE kind=?1 AND id=?2 AND user_id>?3 ORDER BY user_id LIMIT ?4") &&
           read_rows(tx, list);
}

static bool list_of_user(struct store_tx *tx, void *job)
{
    struct list *list = job;
    bind_names(tx, &list->names);
    store_bind_integer(tx, 4, (int64_t)list->limit + 1);
    return store_query(tx, "SELECT kind, id, user_id, permission, added_by, added_at FROM members"
                           " WHERE user_id=?3 AND kind=?1 AND id>?2 ORDER BY id LIMIT ?4") &&
           read_rows(tx, list);
}

static void on_listed(enum store_result result, void *job)
{
    struct list *list = job;
    for (size_t i = 0; i < list->count; i++) {
        const struct row *row = &list->rows[i];
        list->items[i] = (struct access_member){
            .kind = row->names.kind,
            .id = row->names.id,
            .user_id = row->names.user_id,
            .permission = row->permission,
            .added_by = row->has_added_by ? row->added_by : NULL,
            .added_at = row->added_at,
        };
    }
    if (result == STORE_OK)
        list->fn(STORE_OK, list->items, list->count, list->has_more, list->data);
    else
        list->fn(result, NULL, 0, false, list->data);
    list_free(list);
}

static struct list *list_new(size_t limit, access_list_fn fn, void *data)
{
    struct list *list = calloc(1, sizeof *list);
    if (list == NULL)
        return NULL;
    list->limit = limit < ACCESS_MEMBERS_MAX_PAGE ? limit : ACCESS_MEMBERS_MAX_PAGE;
    list->rows = calloc(list->limit + 1, sizeof *list->rows);
    list->items = calloc(list->limit + 1, sizeof *list->items);
    list->fn = fn;
    list->data = data;
    if (list->rows != NULL && list->items != NULL)
        return list;
    list_free(list);
    return NULL;
}

static void ask(struct access_members *members, store_fn what, struct list *list, access_list_fn fn,
                void *data)
{
    if (list != NULL && store_read(members->store, what, on_listed, list))
        return;
    list_free(list);
    fn(STORE_BUSY, NULL, 0, false, data);
}

void access_members_list(struct access_members *members, const char *kind, const char *id,
                         const char *after, size_t limit, access_list_fn fn, void *data)
{
    if (!access_member_is_valid(kind, id, "any", "any")) {
        fn(STORE_OK, NULL, 0, false, data);
        return;
    }
    struct list *list = list_new(limit, fn, data);
    if (list != NULL)
        set_names(&list->names, kind, id, after != NULL ? after : "");
    ask(members, list_members, list, fn, data);
}

void access_members_list_of(struct access_members *members, const char *user_id, const char *kind,
                            const char *after, size_t limit, access_list_fn fn, void *data)
{
    if (!access_member_is_valid(kind, "any", user_id, "any")) {
        fn(STORE_OK, NULL, 0, false, data);
        return;
    }
    struct list *list = list_new(limit, fn, data);
    if (list != NULL)
        set_names(&list->names, kind, after != NULL ? after : "", user_id);
    ask(members, list_of_user, list, fn, data);
}
