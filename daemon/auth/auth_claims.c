/*
 * Where claims are and what they may be. A path names a member of the claims as it stands, dots included ("https://example.com/role"), or
 * else leads into objects, dots between their keys ("app_metadata.role"). The first path whose value is there (null is not) counts, and its
 * value must be right: a claim of a wrong type is never passed over in favour of a weaker one.
 *
 * Ids become parts of rooms' names and of log lines: 1 to PRINCIPAL_MAX_ID bytes without control characters; numbers are taken as their
 * digits. Any thread.
 */
#include "auth/auth_claims.h"
#include <stdio.h>
#include <stdlib.h>

/* Memory for digits and for the pieces of lists, as much as all fields together can need. */
struct scratch {
    char *at;
    size_t left;
    char *ids[3 * PRINCIPAL_MAX_IDS];
    size_t id_count;
};

static const json_t *follow(const json_t *claims, const char *path)
{
    const json_t *value = json_object_get(claims, path);
    const char *at = path;
    if (value != NULL)
        return value;
    for (value = claims; value != NULL && at != NULL;) {
        const char *dot = strchr(at, '.');
        value = json_object_getn(value, at, dot != NULL ? (size_t)(dot - at) : strlen(at));
        at = dot != NULL ? dot + 1 : NULL;
    }
    return value;
}

static const json_t *find(const json_t *claims, const struct auth_texts *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        const json_t *value = follow(claims, paths->items[i]);
        if (value != NULL && !json_is_null(value))
            return value;
    }
    return NULL;
}

static bool is_sane(const char *text, size_t size, size_t max)
{
    if (size == 0 || size > max)
        return false;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    }
    return true;
}

static char *keep(struct scratch *scratch, const char *text, size_t size)
{
    if (scratch->left <= size)
        return NULL;
    char *copy = memcpy(scratch->at, text, size);
    copy[size] = '\0';
    scratch->at += size + 1;
    scratch->left -= size + 1;
    return copy;
}

static char *read_id(struct scratch *scratch, const json_t *value)
{
    char digits[32];
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        size = (size_t)snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT,
                                json_integer_value(value));
        text = digits;
    }
    return text != NULL && is_sane(text, size, PRINCIPAL_MAX_ID) ? keep(scratch, text, size) : NULL;
}

/* An optional id; false when it is there and wrong. */
static bool take_id(struct scratch *scratch, const json_t *claims, const struct auth_texts *paths,
                    const char **ret)
{
    const json_t *value = find(claims, paths);
    *ret = value != NULL ? read_id(scratch, value) : NULL;
    return value == NULL || *ret != NULL;
}

/* A text for people; an empty one counts as absent. */
static bool take_text(const json_t *claims, const struct auth_texts *paths, const char **ret)
{
    const json_t *value = find(claims, paths);
    *ret = json_string_length(value) > 0 ? json_string_value(value) : NULL;
    return value == NULL ||
           (json_is_string(value) &&
            (*ret == NULL || is_sane(*ret, json_string_length(value), AUTH_MAX_TEXT)));
}

static bool add_id(struct scratch *scratch, struct principal_ids *ids, char *id)
{
    if (id == NULL || ids->count == PRINCIPAL_MAX_IDS)
        return false;
    scratch->ids[scratch->id_count++] = id;
    ids->count++;
    return true;
}

static bool split_ids(struct scratch *scratch, const json_t *value, struct principal_ids *ids)
{
    const char *text = json_string_value(value);
    for (;;) {
        text += strspn(text, " ,");
        size_t size = strcspn(text, " ,");
        if (size == 0)
            return true;
        if (!is_sane(text, size, PRINCIPAL_MAX_ID) ||
            !add_id(scratch, ids, keep(scratch, text, size)))
            return false;
        text += size;
    }
}

/* A list of ids: an array, or a text with spaces or commas between them (RFC 8693's `scope`); a single number is a list of one. */
static bool take_ids(struct scratch *scratch, const json_t *claims, const struct auth_texts *paths,
                     struct principal_ids *ids)
{
    const json_t *value = find(claims, paths);
    *ids = (struct principal_ids){scratch->ids + scratch->id_count, 0};
    if (value == NULL)
        return true;
    if (json_is_string(value))
        return split_ids(scratch, value, ids);
    if (json_is_integer(value))
        return add_id(scratch, ids, read_id(scratch, value));
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!add_id(scratch, ids, read_id(scratch, json_array_get(value, i))))
            return false;
    }
    return json_is_array(value);
}

/* ROLE_NONE for a name that means nothing; *ret_is_barred for one that the map gives to NONE, which no default role helps. */
static enum role role_of(const struct auth_policy *policy, const char *name, bool *ret_is_barred)
{
    enum role role;
    for (size_t i = 0; i < policy->role_count; i++) {
        if (strcmp(name, policy->roles[i].name) != 0)
            continue;
        if (policy->roles[i].role == ROLE_NONE)
            *ret_is_barred = true;
        return policy->roles[i].role;
    }
    return role_parse(name, &role) ? role : ROLE_NONE;
}

/* A name, or a list of names of which the first that means something counts, unless one of them is barred. */
static bool take_role(const json_t *claims, const struct auth_policy *policy, enum role *ret)
{
    const json_t *value = find(claims, &policy->role);
    enum role role = ROLE_NONE;
    bool is_barred = false;
    if (json_is_string(value))
        role = role_of(policy, json_string_value(value), &is_barred);
    else if (value != NULL && !json_is_array(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        if (name == NULL)
            return false;
        enum role meant = role_of(policy, name, &is_barred);
        if (role == ROLE_NONE)
            role = meant;
    }
    *ret = is_barred ? ROLE_NONE : role != ROLE_NONE ? role : policy->default_role;
    return true;
}

/* What is wrong, or NULL. */
static const char *fill(struct scratch *scratch, const json_t *claims,
                        const struct auth_policy *policy, struct principal *principal)
{
    const json_t *jti = json_object_get(claims, "jti");
    if (!take_id(scratch, claims, &policy->user_id, &principal->user_id))
        return "the claim for the user's id is wrong";
    if (principal->user_id == NULL)
        return "the token does not say whose it is";
    if (jti != NULL &&
        (!json_is_string(jti) ||
         !is_sane(json_string_value(jti), json_string_length(jti), PRINCIPAL_MAX_ID)))
        return "jti is wrong";
    principal->jti = json_string_value(jti);
    if (!take_text(claims, &policy->email, &principal->email))
        return "the claim for the e-mail address is wrong";
    if (!take_text(claims, &policy->name, &principal->name))
        return "the claim for the name is wrong";
    if (!take_id(scratch, claims, &policy->org_id, &principal->org_id))
        return "the claim for the organisation is wrong";
    if (!take_ids(scratch, claims, &policy->division_ids, &principal->division_ids))
        return "the claim for the divisions is wrong";
    if (!take_ids(scratch, claims, &policy->courses, &principal->courses))
        return "the claim for the courses is wrong";
    if (!take_ids(scratch, claims, &policy->scopes, &principal->scopes))
        return "the claim for the scopes is wrong";
    if (!take_role(claims, policy, &principal->role))
        return "the claim for the role is wrong";
    return NULL;
}

struct auth_verdict auth_claims_read(const json_t *claims, const struct auth_policy *policy,
                                     const struct principal *times)
{
    struct auth_verdict verdict = {AUTH_UNAVAILABLE, auth_token_no_memory, NULL};
    struct principal principal = {.expires_at = times->expires_at, .issued_at = times->issued_at};
    /* Two ids, three full lists, each with its NUL; texts stay where they are. */
    const size_t size = (2 + 3 * (size_t)PRINCIPAL_MAX_IDS) * (PRINCIPAL_MAX_ID + 1);
    struct scratch *scratch = malloc(sizeof *scratch + size);
    if (scratch == NULL)
        return verdict;
    scratch->at = (char *)(scratch + 1);
    scratch->left = size;
    scratch->id_count = 0;
    const char *why = fill(scratch, claims, policy, &principal);
    if (why != NULL)
        verdict = (struct auth_verdict){AUTH_INVALID, why, NULL};
    else if (principal.role == ROLE_NONE)
        verdict = (struct auth_verdict){AUTH_FORBIDDEN, "the token gives no role", NULL};
    else if ((verdict.principal = principal_new(&principal)) != NULL)
        verdict = (struct auth_verdict){AUTH_OK, NULL, verdict.principal};
    free(scratch);
    return verdict;
}
