/*
 * The policy is made on the main thread, from a configuration that may be freed afterwards, and read by any. What is wrong is said once, with
 * the place, and then there is no policy: half a set of keys would be worse than the one before.
 */
#include "auth/auth_policy.h"
#include "observe/log.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_KEY_FILE ((size_t)1 << 20) /* bytes */

struct counted {
    atomic_uint references;
    struct auth_policy policy;
};

static struct counted *counted_of(struct auth_policy *policy)
{
    return (struct counted *)(void *)((char *)policy - offsetof(struct counted, policy));
}

static bool complain(const char *what, const char *where, const char *why)
{
    log_entry(LOG_ERROR, what, LOG_TEXT("where", where), LOG_TEXT("why", why), LOG_END);
    return false;
}

/* --- Files --- */

/* The whole file, to be wiped and freed by the caller; errno when NULL. */
static char *read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return NULL;
    char *data = malloc(MAX_KEY_FILE + 1);
    size_t size = data != NULL ? fread(data, 1, MAX_KEY_FILE + 1, file) : 0;
    int error = data == NULL ? ENOMEM : ferror(file) ? errno : size > MAX_KEY_FILE ? EFBIG : 0;
    fclose(file);
    if (error != 0) {
        free(data);
        errno = error;
        return NULL;
    }
    *ret_size = size;
    return data;
}

static bool add_key_file(struct auth_keys *keys, const char *path)
{
    static const char what[] = "a file of auth.key_files cannot be used";
    size_t size = 0;
    char *data = read_file(path, &size);
    if (data == NULL)
        return complain(what, path, strerror(errno));
    const char *why = auth_keys_add_pem(keys, (cvn_slice){data, size});
    OPENSSL_cleanse(data, size); /* somebody may have given a private key by mistake */
    free(data);
    return why == NULL || complain(what, path, why);
}

/* --- Parts of a policy --- */

static bool copy_list(struct auth_texts *texts, const struct config_list *list)
{
    if (list->count == 0)
        return true;
    texts->items = calloc(list->count, sizeof *texts->items);
    if (texts->items == NULL)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        texts->items[i] = strdup(list->items[i]);
        if (texts->items[i] == NULL)
            return false;
        texts->count++;
    }
    return true;
}

static void release_list(struct auth_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->items[i]);
    free(texts->items);
}

/* Supabase lets every user write into their own user_metadata: it may say what somebody likes to be called, never who they are or what
 * they may do. */
static bool is_written_by_users(const char *path)
{
    static const char *const objects[] = {"user_metadata", "raw_user_meta_data"};
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        size_t size = strlen(objects[i]);
        if (strncmp(path, objects[i], size) == 0 && (path[size] == '\0' || path[size] == '.'))
            return true;
    }
    return false;
}

static bool copy_paths(struct auth_texts *texts, const struct config_list *list, const char *row,
                       bool decides)
{
    for (size_t i = 0; i < list->count; i++) {
        if (decides && is_written_by_users(list->items[i]))
            return complain("a claim path is not to be trusted", row,
                            "users can write to user_metadata themselves; use app_metadata");
        if (list->items[i][0] == '\0')
            return complain("a claim path is empty", row, NULL);
    }
    return copy_list(texts, list) || complain("out of memory", row, NULL);
}

static bool take_claims(struct auth_policy *policy, const struct config *config)
{
    const struct {
        struct auth_texts *texts;
        const struct config_list *list;
        const char *row;
        bool decides;
    } rows[] = {
        {&policy->user_id, &config->auth.claim_user_id, "auth.claim_user_id", true},
        {&policy->email, &config->auth.claim_email, "auth.claim_email", true},
        {&policy->name, &config->auth.claim_name, "auth.claim_name", false},
        {&policy->role, &config->auth.claim_role, "auth.claim_role", true},
        {&policy->org_id, &config->auth.claim_org_id, "auth.claim_org_id", true},
        {&policy->division_ids, &config->auth.claim_division_ids, "auth.claim_division_ids", true},
        {&policy->courses, &config->auth.claim_courses, "auth.claim_courses", true},
        {&policy->scopes, &config->auth.claim_scopes, "auth.claim_scopes", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!copy_paths(rows[i].texts, rows[i].list, rows[i].row, rows[i].decides))
            return false;
    }
    return true;
}

/* "teacher=PROFESSOR"; "anon=NONE" bars whoever is called so. */
static bool take_roles(struct auth_policy *policy, const struct config *config)
{
    const struct config_list *map = &config->auth.role_map;
    policy->roles = calloc(map->count + 1, sizeof *policy->roles);
    if (policy->roles == NULL)
        return complain("out of memory", "auth.role_map", NULL);
    for (size_t i = 0; i < map->count; i++) {
        const char *equals = strrchr(map->items[i], '=');
        struct auth_role_name *role = &policy->roles[i];
        if (equals == NULL || equals == map->items[i] ||
            (strcmp(equals + 1, "NONE") != 0 && !role_parse(equals + 1, &role->role)))
            return complain("a row of auth.role_map is not NAME=ROLE", map->items[i],
                            "ROLE is one of STUDENT, PROFESSOR, ADMIN, SERVICE, NONE");
        role->name = strndup(map->items[i], (size_t)(equals - map->items[i]));
        if (role->name == NULL)
            return complain("out of memory", "auth.role_map", NULL);
        policy->role_count++;
    }
    if (config->auth.default_role != NULL &&
        !role_parse(config->auth.default_role, &policy->default_role))
        return complain("auth.default_role is no role", config->auth.default_role, NULL);
    return true;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool parse_digest(const char *hex, uint8_t ret[32])
{
    if (strlen(hex) != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* "name:sha256-hex"; what is wrong is told by number, because somebody may have written the key itself there. */
static bool take_api_keys(struct auth_policy *policy, const struct config *config)
{
    const struct config_list *list = &config->auth.api_keys;
    policy->api_keys = calloc(list->count + 1, sizeof *policy->api_keys);
    if (policy->api_keys == NULL)
        return complain("out of memory", "auth.api_keys", NULL);
    for (size_t i = 0; i < list->count; i++) {
        const char *colon = strrchr(list->items[i], ':');
        struct auth_api_key *key = &policy->api_keys[i];
        size_t size = colon != NULL ? (size_t)(colon - list->items[i]) : 0;
        char number[32];
        snprintf(number, sizeof number, "number %zu", i + 1);
        if (size == 0 || size > 64 || !parse_digest(colon + 1, key->digest))
            return complain(
                "an entry of auth.api_keys is not NAME:SHA256 (of 1 to 64 characters, and "
                "64 hexadecimal digits)",
                number, NULL);
        key->name = strndup(list->items[i], size);
        if (key->name == NULL)
            return complain("out of memory", "auth.api_keys", NULL);
        policy->api_key_count++;
    }
    return true;
}

static bool take_keys(struct auth_policy *policy, const struct config *config, cvn_slice dev_secret)
{
    const char *why;
    policy->keys = auth_keys_new();
    if (policy->keys == NULL)
        return complain("out of memory", "auth", NULL);
    if (config->auth.secret != NULL) { /* what auth.secret_file holds is here, too */
        why = auth_keys_add_secret(policy->keys, cvn_str(config->auth.secret));
        if (why != NULL)
            return complain("auth.secret cannot be used", "auth.secret", why);
    }
    for (size_t i = 0; i < config->auth.key_files.count; i++) {
        if (!add_key_file(policy->keys, config->auth.key_files.items[i]))
            return false;
    }
    if (dev_secret.size > 0) {
        why = auth_keys_add_secret(policy->keys, dev_secret);
        if (why != NULL)
            return complain("the development mode's secret cannot be used", NULL, why);
    }
    return true;
}

static bool take_algorithms(struct auth_policy *policy, const struct config *config)
{
    const struct config_list *list = &config->auth.algorithms;
    policy->algorithms = list->count == 0 ? AUTH_ANY_ALGORITHM : 0;
    unsigned usable = auth_keys_algorithms(policy->keys);
    if (config->auth.jwks_url != NULL)
        usable |= AUTH_ANY_ALGORITHM & ~AUTH_SECRET_ALGORITHMS;
    for (size_t i = 0; i < list->count; i++) {
        enum auth_algorithm algorithm;
        if (!auth_algorithm_parse(cvn_str(list->items[i]), &algorithm))
            return complain("auth.algorithms names one that is not known", list->items[i], NULL);
        policy->algorithms |= AUTH_BIT(algorithm);
        if ((usable & AUTH_BIT(algorithm)) == 0)
            log_entry(LOG_WARN, "auth.algorithms allows one that no key can be used with",
                      LOG_TEXT("algorithm", list->items[i]),
                      LOG_TEXT("why", (AUTH_BIT(algorithm) & AUTH_SECRET_ALGORITHMS) != 0
                                          ? "a secret must be as long as the digest"
                                          : ""),
                      LOG_END);
    }
    const char *hint = "set auth.secret, auth.key_files or auth.jwks_url";
    if ((usable & policy->algorithms) == 0 && config->auth.required)
        log_entry(LOG_WARN, "there is no key to check tokens with: nobody can be let in",
                  LOG_TEXT("hint", hint), LOG_END);
    return true;
}

static bool fill(struct auth_policy *policy, const struct config *config, cvn_slice dev_secret)
{
    policy->leeway_s = config->auth.leeway_s;
    policy->max_token_bytes = (size_t)config->auth.max_token_bytes;
    if (config->auth.issuer != NULL && (policy->issuer = strdup(config->auth.issuer)) == NULL)
        return complain("out of memory", "auth.issuer", NULL);
    if (!copy_list(&policy->audience, &config->auth.audience))
        return complain("out of memory", "auth.audience", NULL);
    return take_claims(policy, config) && take_roles(policy, config) &&
           take_api_keys(policy, config) && take_keys(policy, config, dev_secret) &&
           take_algorithms(policy, config);
}

struct auth_policy *auth_policy_new(const struct config *config, cvn_slice dev_secret)
{
    struct counted *counted = calloc(1, sizeof *counted);
    if (counted == NULL) {
        complain("out of memory", "auth", NULL);
        return NULL;
    }
    atomic_init(&counted->references, 1);
    if (fill(&counted->policy, config, dev_secret))
        return &counted->policy;
    auth_policy_unref(&counted->policy);
    return NULL;
}

struct auth_policy *auth_policy_ref(struct auth_policy *policy)
{
    atomic_fetch_add_explicit(&counted_of(policy)->references, 1, memory_order_relaxed);
    return policy;
}

void auth_policy_unref(struct auth_policy *policy)
{
    if (policy == NULL ||
        atomic_fetch_sub_explicit(&counted_of(policy)->references, 1, memory_order_acq_rel) != 1)
        return;
    struct auth_texts *const lists[] = {&policy->audience, &policy->user_id,      &policy->email,
                                        &policy->name,     &policy->role,         &policy->org_id,
                                        &policy->courses,  &policy->division_ids, &policy->scopes};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        release_list(lists[i]);
    for (size_t i = 0; i < policy->role_count; i++)
        free(policy->roles[i].name);
    for (size_t i = 0; i < policy->api_key_count; i++)
        free(policy->api_keys[i].name);
    free(policy->roles);
    free(policy->api_keys);
    free(policy->issuer);
    auth_keys_unref(policy->keys);
    free(counted_of(policy));
}
