/*
 * See dev_tokens.h. What is asked for becomes claims where the configuration looks for them first, signed with the random secret (auth_issue).
 *
 * Against pages elsewhere that use the developer's browser: the peer is on loopback and no proxy speaks for it; Host names loopback (so a name
 * that is rebound to 127.0.0.1 is refused); Origin, where there is one, does, too; Sec-Fetch-Site (W3C Fetch Metadata) is not that of another
 * site; and the body is application/json, which no form and no "simple" request of the Fetch standard can send. Routes run on their workers;
 * nothing changes after the start.
 */
#include "http/dev_tokens.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_LIFETIME_S 3600
#define MAX_LIFETIME_S     (30 * 24 * 3600)
#define MAX_TEXT           256 /* bytes of a name or an address, as in the claims */
#define MAX_CLAIM_DEPTH    8

struct dev_tokens {
    const struct config *config;
    struct auth *auth;
};

/* The users to pick from, as POST /dev/token takes them; `description` is for people. */
static const char ready_users[] =
    "{\"users\":["
    "{\"description\":\"Student at acme, in maths and physics\",\"user\":{\"user_id\":\"ada\","
    "\"name\":\"Ada Student\",\"email\":\"ada@acme.example\",\"role\":\"STUDENT\","
    "\"org_id\":\"acme\",\"division_ids\":[\"science\"],\"courses\":[\"math-101\",\"physics-7\"]}},"
    "{\"description\":\"Professor at acme, teaches maths and art\",\"user\":{\"user_id\":\"paul\","
    "\"name\":\"Paul Professor\",\"email\":\"paul@acme.example\",\"role\":\"PROFESSOR\","
    "\"org_id\":\"acme\",\"division_ids\":[\"science\",\"arts\"],"
    "\"courses\":[\"math-101\",\"art-12\"]}},"
    "{\"description\":\"Administrator of acme, with its divisions and courses\",\"user\":{"
    "\"user_id\":\"alma\",\"name\":\"Alma Admin\",\"email\":\"alma@acme.example\","
    "\"role\":\"ADMIN\",\"org_id\":\"acme\",\"division_ids\":[\"science\",\"arts\",\"office\"],"
    "\"courses\":[\"math-101\",\"physics-7\",\"art-12\"]}},"
    "{\"description\":\"Student of another organisation: sees nobody of acme\",\"user\":{"
    "\"user_id\":\"grace\",\"name\":\"Grace Guest\",\"email\":\"grace@globex.example\","
    "\"role\":\"STUDENT\",\"org_id\":\"globex\",\"division_ids\":[\"labs\"],"
    "\"courses\":[\"globex-intro\"]}}]}";

/* --- Who may ask --- */

static bool is_loopback(cvn_slice hop)
{
    static const char *const networks[] = {"127.0.0.0/8", "::1"};
    struct access_network address, loopback;
    if (!access_network_of_hop(hop, &address))
        return false;
    for (size_t i = 0; i < 2; i++)
        if (access_network_parse(cvn_str(networks[i]), &loopback) &&
            access_network_has(&loopback, &address))
            return true;
    return false;
}

static bool begins(cvn_slice text, const char *start)
{
    size_t size = strlen(start);
    for (size_t i = 0; i < size; i++)
        if (i >= text.size ||
            (text.data[i] >= 'A' && text.data[i] <= 'Z' ? text.data[i] + 32 : text.data[i]) !=
                start[i])
            return false;
    return true;
}

/* "" or ":" and one to five digits. */
static bool is_port(cvn_slice text)
{
    if (text.size == 0)
        return true;
    if (text.data[0] != ':' || text.size < 2 || text.size > 6)
        return false;
    for (size_t i = 1; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

bool dev_tokens_is_local_authority(cvn_slice authority)
{
    static const char name[] = "localhost";
    if (begins(authority, name))
        return is_port(
            (cvn_slice){authority.data + sizeof name - 1, authority.size - (sizeof name - 1)});
    return authority.size > 0 && is_loopback(authority);
}

bool dev_tokens_is_local_origin(cvn_slice origin)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(schemes[i]);
        if (begins(origin, schemes[i]))
            return dev_tokens_is_local_authority(
                (cvn_slice){origin.data + size, origin.size - size});
    }
    return false;
}

static bool is_text(cvn_slice text, const char *other)
{
    return text.size == strlen(other) && begins(text, other);
}

static bool is_json(cvn_slice type)
{
    static const char wanted[] = "application/json";
    size_t size = sizeof wanted - 1;
    return begins(type, wanted) &&
           (type.size == size || type.data[size] == ';' || type.data[size] == ' ');
}

/* NULL: the request may be answered; else why not. */
static const char *why_not(const struct request *request)
{
    cvn_slice origin = request_field(request, "origin");
    cvn_slice site = request_field(request, "sec-fetch-site");
    if (!is_loopback(cvn_str(cvn_http_address(request->http))) ||
        access_proxies_spoke(request->http))
        return "only this machine itself may ask, and through no proxy";
    if (!dev_tokens_is_local_authority(request_field(request, "host")))
        return "ask for localhost or a loopback address, by no other name";
    if (origin.data != NULL && !dev_tokens_is_local_origin(origin))
        return "pages elsewhere may not ask";
    if (site.data != NULL && !is_text(site, "same-origin") && !is_text(site, "same-site") &&
        !is_text(site, "none"))
        return "pages of other sites may not ask";
    return NULL;
}

static bool admit(struct request *request)
{
    const char *why = why_not(request);
    if (why == NULL)
        return true;
    log_entry(LOG_WARN, "a request to the development mode was refused", LOG_TEXT("why", why),
              LOG_TEXT("address", request->address), LOG_CORRELATION(request->correlation_id),
              LOG_END);
    request_refuse(request, 403, "FORBIDDEN", why, 0);
    return false;
}

/* --- What is asked for --- */

enum kind { TEXT, ID, ORG, ROLE, IDS, PLAIN_IDS, LIFETIME };

struct member {
    const char *name;
    enum kind kind;
    size_t paths; /* where in struct config the claim's paths are; 0: it is no claim */
};

#define PATHS(field) offsetof(struct config, auth.claim_##field)
static const struct member members[] = {
    {"user_id", ID, PATHS(user_id)},  {"name", TEXT, PATHS(name)},
    {"email", TEXT, PATHS(email)},    {"role", ROLE, PATHS(role)},
    {"org_id", ORG, PATHS(org_id)},   {"division_ids", PLAIN_IDS, PATHS(division_ids)},
    {"courses", IDS, PATHS(courses)}, {"scopes", IDS, PATHS(scopes)},
    {"lifetime_s", LIFETIME, 0},
};
#define MEMBER_COUNT (sizeof members / sizeof *members)

static bool is_clean(const json_t *value, size_t max, bool may_have_colon)
{
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    if (text == NULL || size == 0 || size > max)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f || (text[i] == ':' && !may_have_colon))
            return false;
    return true;
}

static bool are_ids(const json_t *value, bool may_have_colon)
{
    if (!json_is_array(value) || json_array_size(value) > PRINCIPAL_MAX_IDS)
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!is_clean(json_array_get(value, i), PRINCIPAL_MAX_ID, may_have_colon))
            return false;
    return true;
}

/* NULL: it is good; else what it has to be. */
static const char *check(enum kind kind, const json_t *value)
{
    enum role role;
    switch (kind) {
    case TEXT:
        return is_clean(value, MAX_TEXT, true)
                   ? NULL
                   : "must be a text of 1 to 256 bytes without control characters";
    case ID:
        return is_clean(value, PRINCIPAL_MAX_ID, true)
                   ? NULL
                   : "must be an id of 1 to 128 bytes without control characters";
    case ORG:
        return is_clean(value, PRINCIPAL_MAX_ID, false)
                   ? NULL
                   : "must be an id of 1 to 128 bytes without control characters and colons";
    case ROLE:
        return json_is_string(value) && role_parse(json_string_value(value), &role)
                   ? NULL
                   : "must be STUDENT, PROFESSOR, ADMIN or SERVICE";
    case IDS:
        return are_ids(value, true) ? NULL : "must be a list of at most 256 ids";
    case PLAIN_IDS:
        return are_ids(value, false) ? NULL : "must be a list of at most 256 ids without colons";
    case LIFETIME:
        return json_is_integer(value) && json_integer_value(value) >= 1 &&
                       json_integer_value(value) <= MAX_LIFETIME_S
                   ? NULL
                   : "must be a whole number of 1 to 2592000 seconds";
    }
    return "is not known";
}

static bool is_member(const char *name)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++)
        if (strcmp(members[i].name, name) == 0)
            return true;
    return false;
}

/* False: the request has been refused. */
static bool check_wish(struct request *request, json_t *wish)
{
    char words[160];
    const char *name, *wrong = NULL;
    json_t *value;
    json_object_foreach(wish, name, value)
    {
        if (!is_member(name)) {
            snprintf(words, sizeof words, "%.60s: there is no such member", name);
            request_refuse(request, 400, "VALIDATION", words, 0);
            return false;
        }
    }
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        value = json_object_get(wish, members[i].name);
        bool is_needed = members[i].kind == ID || members[i].kind == ROLE;
        wrong = value != NULL ? check(members[i].kind, value) : is_needed ? "is missing" : NULL;
        if (wrong == NULL)
            continue;
        snprintf(words, sizeof words, "%s %s", members[i].name, wrong);
        request_refuse(request, 400, "VALIDATION", words, 0);
        return false;
    }
    return true;
}

/* --- Claims --- */

/* Puts a value where a path leads, objects made on the way; where something else stands in the way, or the path is a URL, as a member with
 * all of its name, which auth_claims.c reads as well. */
static bool put(json_t *claims, const char *path, json_t *value)
{
    json_t *at = claims;
    const char *name = path, *dot;
    char key[128];
    unsigned depth = 0;
    if (strstr(path, "://") != NULL)
        return json_object_set(claims, path, value) == 0;
    for (; (dot = strchr(name, '.')) != NULL; name = dot + 1) {
        if (++depth > MAX_CLAIM_DEPTH || (size_t)(dot - name) >= sizeof key)
            return json_object_set(claims, path, value) == 0;
        snprintf(key, sizeof key, "%.*s", (int)(dot - name), name);
        json_t *inner = json_object_get(at, key);
        if (inner == NULL) {
            inner = json_object();
            if (json_object_set_new(at, key, inner) != 0)
                return false;
        }
        if (!json_is_object(inner))
            return json_object_set(claims, path, value) == 0;
        at = inner;
    }
    return json_object_set(at, name, value) == 0;
}

static json_t *make_claims(const struct config *config, const json_t *wish)
{
    json_t *claims = json_object();
    for (size_t i = 0; claims != NULL && i < MEMBER_COUNT; i++) {
        json_t *value = json_object_get(wish, members[i].name);
        if (value == NULL || members[i].paths == 0)
            continue;
        const struct config_list *paths =
            (const struct config_list *)((const char *)config + members[i].paths);
        if (paths->count > 0 && !put(claims, paths->items[0], value)) {
            json_decref(claims);
            claims = NULL;
        }
    }
    return claims;
}

static char *issue(const struct dev_tokens *tokens, const json_t *wish, uint32_t lifetime_s)
{
    json_t *claims = make_claims(tokens->config, wish);
    char *text = json_dumps(claims, JSON_COMPACT);
    char *token = text != NULL ? auth_issue(tokens->auth, cvn_str(text), lifetime_s) : NULL;
    free(text);
    json_decref(claims);
    return token;
}

/* --- Routes --- */

static void on_token(struct request *request, void *data)
{
    const struct dev_tokens *tokens = data;
    if (!admit(request))
        return;
    if (!is_json(request_field(request, "content-type"))) {
        request_refuse(request, 415, "VALIDATION", "the content type has to be application/json",
                       0);
        return;
    }
    json_t *wish = request_json(request);
    if (wish == NULL)
        return;
    if (check_wish(request, wish)) {
        const json_t *wanted = json_object_get(wish, "lifetime_s");
        uint32_t lifetime_s =
            wanted != NULL ? (uint32_t)json_integer_value(wanted) : DEFAULT_LIFETIME_S;
        int64_t expires_at = (int64_t)time(NULL) + lifetime_s;
        char *token = issue(tokens, wish, lifetime_s);
        log_entry(LOG_INFO, "a token of the development mode was issued",
                  LOG_TEXT("user_id", json_string_value(json_object_get(wish, "user_id"))),
                  LOG_TEXT("role", json_string_value(json_object_get(wish, "role"))), LOG_END);
        request_answer_json(request, 200,
                            token != NULL ? json_pack("{s:s,s:I}", "token", token, "expires_at",
                                                      (json_int_t)expires_at)
                                          : NULL);
        free(token);
    }
    json_decref(wish);
}

static void on_users(struct request *request, void *data)
{
    (void)data;
    if (admit(request))
        request_answer(request, 200, cvn_str(ready_users));
}

static void on_page(struct request *request, void *data)
{
    (void)data;
    request_add_field(request, "Location", "/dev/");
    request_answer_text(request, 302, "text/plain; charset=utf-8", cvn_str("see /dev/\n"));
}

static const struct route routes[] = {
    {"GET", "/dev", ROUTE_ANYONE, on_page, "to the page for developers", NULL},
    {"GET", "/dev/users", ROUTE_ANYONE, on_users, "users to pick from, with --dev", NULL},
    {"POST", "/dev/token", ROUTE_ANYONE, on_token, "a token for any user, with --dev", NULL},
};

/* --- Life --- */

struct dev_tokens *dev_tokens_new(const struct config *config, struct auth *auth,
                                  struct router *router)
{
    struct dev_tokens *tokens = calloc(1, sizeof *tokens);
    if (tokens == NULL)
        return NULL;
    *tokens = (struct dev_tokens){config, auth};
    if (!router_add(router, routes, sizeof routes / sizeof *routes, tokens)) {
        dev_tokens_free(tokens);
        return NULL;
    }
    return tokens;
}

void dev_tokens_free(struct dev_tokens *tokens)
{
    free(tokens);
}
