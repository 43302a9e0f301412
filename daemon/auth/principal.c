/*
 * Principals: one block of memory each, with everything it points to, so that nothing in it can go on its own. It is never written after
 * principal_new has returned; only its counter changes, atomically, so any thread may hold, drop and read one.
 */
#include "auth/principal.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct counted {
    atomic_uint references;
    struct principal principal; /* what callers hold points here */
};

static const char *const role_names[] = {"", "STUDENT", "PROFESSOR", "ADMIN", "SERVICE"};

static struct counted *counted_of(struct principal *principal)
{
    return (struct counted *)(void *)((char *)principal - offsetof(struct counted, principal));
}

static size_t text_size(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static size_t ids_text_size(const struct principal_ids *ids)
{
    size_t size = 0;
    for (size_t i = 0; i < ids->count; i++)
        size += text_size(ids->items[i]);
    return size;
}

static const char *copy_text(const char *text, char **at)
{
    if (text == NULL)
        return NULL;
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

static struct principal_ids copy_ids(const struct principal_ids *ids, char ***slots, char **at)
{
    struct principal_ids copy = {*slots, ids->count};
    for (size_t i = 0; i < ids->count; i++) {
        size_t size = strlen(ids->items[i]) + 1;
        copy.items[i] = memcpy(*at, ids->items[i], size);
        *at += size;
    }
    *slots += ids->count;
    return copy;
}

struct principal *principal_new(const struct principal *from)
{
    size_t slots_count = from->division_ids.count + from->courses.count + from->scopes.count;
    size_t size = sizeof(struct counted) + slots_count * sizeof(char *) + text_size(from->user_id) +
                  text_size(from->email) + text_size(from->name) + text_size(from->org_id) +
                  text_size(from->jti) + ids_text_size(&from->division_ids) +
                  ids_text_size(&from->courses) + ids_text_size(&from->scopes);
    struct counted *counted = malloc(size);
    if (counted == NULL)
        return NULL;
    char **slots = (char **)(void *)(counted + 1);
    char *at = (char *)(slots + slots_count);
    atomic_init(&counted->references, 1);
    counted->principal = *from;
    counted->principal.user_id = copy_text(from->user_id, &at);
    counted->principal.email = copy_text(from->email, &at);
    counted->principal.name = copy_text(from->name, &at);
    counted->principal.org_id = copy_text(from->org_id, &at);
    counted->principal.jti = copy_text(from->jti, &at);
    counted->principal.division_ids = copy_ids(&from->division_ids, &slots, &at);
    counted->principal.courses = copy_ids(&from->courses, &slots, &at);
    counted->principal.scopes = copy_ids(&from->scopes, &slots, &at);
    return &counted->principal;
}

struct principal *principal_ref(struct principal *principal)
{
    atomic_fetch_add_explicit(&counted_of(principal)->references, 1, memory_order_relaxed);
    return principal;
}

void principal_unref(struct principal *principal)
{
    if (principal == NULL)
        return;
    struct counted *counted = counted_of(principal);
    if (atomic_fetch_sub_explicit(&counted->references, 1, memory_order_acq_rel) == 1)
        free(counted);
}

const char *role_name(enum role role)
{
    size_t index = (size_t)role;
    return index < sizeof role_names / sizeof *role_names ? role_names[index] : "";
}

bool role_parse(const char *name, enum role *ret)
{
    for (size_t i = ROLE_STUDENT; i <= ROLE_SERVICE; i++) {
        if (strcmp(name, role_names[i]) == 0) {
            *ret = (enum role)i;
            return true;
        }
    }
    return false;
}

static bool ids_have(const struct principal_ids *ids, const char *id)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (strcmp(ids->items[i], id) == 0)
            return true;
    }
    return false;
}

bool principal_has_scope(const struct principal *principal, const char *scope)
{
    return ids_have(&principal->scopes, scope);
}

bool principal_in_division(const struct principal *principal, const char *division_id)
{
    return ids_have(&principal->division_ids, division_id);
}

bool principal_in_course(const struct principal *principal, const char *course_id)
{
    return ids_have(&principal->courses, course_id);
}
