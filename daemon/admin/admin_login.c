/*
 * Who may enter the console: by the user name and password of the configuration, or, when it has none, by the token of an ADMIN; afterwards
 * by the id of the session that either began. The stock UI has fields for a user name and a password only, so the token is put into the latter; a
 * CONNECT payload's `token`, an Authorization header or a cookie, as for other namespaces, will do as well.
 *
 * Attempts are counted by address; a session's id is not an attempt when it is right. Runs on the worker of the socket that asks.
 */
#include "access/access_proxies.h"
#include "access/access_subjects.h"
#include "admin/admin_internal.h"
#include "auth/principal.h"
#include "observe/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_PASSWORD      512
#define MAX_TOKEN         16384
#define MAX_IDLE_SUBJECTS 4096

/* Of an address: how often it may try, and how often the audit trail is told that it tried too often. */
enum { BUCKET_ATTEMPTS, BUCKET_NEWS, BUCKETS };
static const struct config_rate rates[BUCKETS] = {{10, 60000}, {1, 60000}};

struct admin_login {
    struct admin *admin;
    struct admin_sessions *sessions;
    struct admin_passwords *passwords; /* NULL: by token */
    struct subjects *subjects;         /* addresses, with a bucket for attempts */
};

/* Somebody who waits at the door. */
struct visitor {
    struct admin_login *login;
    cvn_socket *socket; /* a reference */
    cvn_next *next;
    char name[ADMIN_MAX_NAME]; /* that was claimed */
};

void admin_identity_free(void *data)
{
    struct admin_identity *identity = data;
    if (identity == NULL)
        return;
    principal_unref(identity->principal);
    explicit_bzero(identity, sizeof *identity);
    free(identity);
}

bool admin_identity_is_good(const struct admin *admin, const struct admin_identity *identity)
{
    if (identity->expires_at != 0 && identity->expires_at <= (int64_t)time(NULL))
        return false;
    return identity->principal == NULL || admin->auth == NULL ||
           !auth_is_revoked(admin->auth, identity->principal);
}

/* --- Yes and no --- */

static void say_no(cvn_next *next, const char *code, uint32_t retry_ms)
{
    char data[128];
    bool is_retryable = retry_ms > 0;
    /* The words by which the UI knows to ask for a password again. */
    const char *message = "invalid credentials";
    if (is_retryable)
        message = strcmp(code, "RATE_LIMITED") == 0 ? "too many attempts" : "unavailable";
    int size = snprintf(data, sizeof data, "{\"code\":\"%s\",\"retryable\":%s", code,
                        is_retryable ? "true" : "false");
    if (is_retryable)
        size += snprintf(data + size, sizeof data - (size_t)size, ",\"retry_after_ms\":%u",
                         (unsigned)retry_ms);
    snprintf(data + size, sizeof data - (size_t)size, "}");
    cvn_next_refuse(next, message, data);
}

/* Says no, and writes it down. */
static void refuse(struct admin *admin, cvn_socket *socket, cvn_next *next, const char *name,
                   const char *code, uint32_t retry_ms)
{
    admin_audit(admin, "admin_login_refused", socket, name, NULL, ADMIN_NAMESPACE, code);
    say_no(next, code, retry_ms);
}

/* Takes the identity over. */
static void accept(struct admin *admin, cvn_socket *socket, cvn_next *next,
                   struct admin_identity *identity)
{
    cvn_socket_set_data(socket, identity, admin_identity_free);
    admin_audit(admin, "admin_login", socket, identity->name, NULL, ADMIN_NAMESPACE, NULL);
    cvn_next_accept(next);
}

static struct visitor *new_visitor(struct admin_login *login, cvn_socket *socket, cvn_next *next,
                                   const char *name)
{
    struct visitor *visitor = calloc(1, sizeof *visitor);
    if (visitor == NULL)
        return NULL;
    visitor->login = login;
    visitor->socket = cvn_socket_ref(socket);
    visitor->next = next;
    snprintf(visitor->name, sizeof visitor->name, "%s", name);
    return visitor;
}

static void free_visitor(struct visitor *visitor)
{
    cvn_socket_unref(visitor->socket);
    free(visitor);
}

/* A new identity with a session of its own. */
static void let_in(struct visitor *visitor, const char *name, struct principal *principal)
{
    struct admin *admin = visitor->login->admin;
    struct admin_identity *identity = calloc(1, sizeof *identity);
    if (identity == NULL) {
        principal_unref(principal);
        refuse(admin, visitor->socket, visitor->next, name, "UNAVAILABLE", 1000);
        return;
    }
    snprintf(identity->name, sizeof identity->name, "%s", name);
    identity->principal = principal;
    identity->expires_at = principal != NULL ? principal->expires_at : 0;
    admin_sessions_add(visitor->login->sessions, identity, (int64_t)time(NULL));
    accept(admin, visitor->socket, visitor->next, identity);
}

/* --- By password --- */

static void on_password(bool is_right, void *data)
{
    struct visitor *visitor = data;
    if (is_right)
        let_in(visitor, visitor->name, NULL);
    else
        refuse(visitor->login->admin, visitor->socket, visitor->next, visitor->name, "AUTH_INVALID",
               0);
    free_visitor(visitor);
}

static void ask_password(struct visitor *visitor, const char *password)
{
    if (!admin_passwords_check(visitor->login->passwords, visitor->name, password,
                               cvn_socket_worker(visitor->socket), on_password, visitor)) {
        refuse(visitor->login->admin, visitor->socket, visitor->next, visitor->name, "RATE_LIMITED",
               1000);
        free_visitor(visitor);
    }
}

/* --- By token --- */

static void on_verified(enum auth_refusal refusal, struct principal *principal, const char *why,
                        void *data)
{
    struct visitor *visitor = data;
    struct admin *admin = visitor->login->admin;
    (void)why;
    if (refusal == AUTH_OK && principal->role == ROLE_ADMIN) {
        let_in(visitor, principal->user_id, principal);
    } else {
        const char *code = refusal == AUTH_OK ? "FORBIDDEN" : auth_refusal_code(refusal);
        refuse(admin, visitor->socket, visitor->next,
               principal != NULL ? principal->user_id : visitor->name, code,
               refusal != AUTH_OK && auth_refusal_is_retryable(refusal) ? 1000 : 0);
        principal_unref(principal);
    }
    free_visitor(visitor);
}

/* --- The middleware --- */

static void get_string(cvn_slice object, const char *key, char *ret, size_t size)
{
    if (!cvn_json_string(cvn_json_get(object, key), ret, size))
        ret[0] = '\0';
}

/* Whether this address may try once more; if not, its client has been told. */
static bool may_try(struct admin_login *login, cvn_socket *socket, cvn_next *next, const char *name)
{
    char address[ACCESS_ADDRESS_SIZE], key[SUBJECTS_ADDRESS_SIZE];
    uint32_t retry_ms = 1000, unused;
    access_proxies_of_socket(socket, address);
    subjects_address_key(address, key);
    struct subject *subject = subjects_enter(login->subjects, key);
    if (subject == NULL) {
        say_no(next, "UNAVAILABLE", retry_ms);
        return false;
    }
    int64_t now_us = rate_now_us();
    struct rate_bucket *buckets = subject->buckets;
    bool is_let = rate_take(&buckets[BUCKET_ATTEMPTS], rates[BUCKET_ATTEMPTS], now_us, &retry_ms);
    bool is_news = !is_let && rate_take(&buckets[BUCKET_NEWS], rates[BUCKET_NEWS], now_us, &unused);
    subjects_leave(login->subjects, subject);
    if (is_news)
        refuse(login->admin, socket, next, name, "RATE_LIMITED", retry_ms);
    else if (!is_let)
        say_no(next, "RATE_LIMITED", retry_ms);
    return is_let;
}

static void try_password(struct admin_login *login, cvn_socket *socket, cvn_next *next,
                         const char *name)
{
    char password[MAX_PASSWORD];
    struct visitor *visitor = new_visitor(login, socket, next, name);
    get_string(cvn_socket_auth(socket), "password", password, sizeof password);
    if (visitor == NULL)
        refuse(login->admin, socket, next, name, "UNAVAILABLE", 1000);
    else
        ask_password(visitor, password);
    explicit_bzero(password, sizeof password);
}

static void try_token(struct admin_login *login, cvn_socket *socket, cvn_next *next,
                      cvn_slice token)
{
    struct visitor *visitor = new_visitor(login, socket, next, "");
    if (visitor == NULL)
        refuse(login->admin, socket, next, "", "UNAVAILABLE", 1000);
    else
        auth_verify(login->admin->auth, token, on_verified, visitor);
}

/* The token that was typed in as a password, else where tokens are looked for. */
static cvn_slice find_token(const struct admin_login *login, const cvn_socket *socket, char *buffer)
{
    get_string(cvn_socket_auth(socket), "password", buffer, MAX_TOKEN);
    return buffer[0] != '\0' ? cvn_str(buffer)
                             : auth_token_of_socket(login->admin->auth, socket, buffer, MAX_TOKEN);
}

static bool try_session(struct admin_login *login, cvn_socket *socket, cvn_next *next)
{
    char id[64];
    get_string(cvn_socket_auth(socket), "sessionId", id, sizeof id);
    struct admin_identity *identity =
        id[0] != '\0' ? admin_sessions_find(login->sessions, id, (int64_t)time(NULL)) : NULL;
    if (identity == NULL || !admin_identity_is_good(login->admin, identity)) {
        admin_identity_free(identity);
        return false;
    }
    accept(login->admin, socket, next, identity);
    return true;
}

static void on_visit(cvn_socket *socket, cvn_next *next, void *data)
{
    struct admin_login *login = data;
    char name[ADMIN_MAX_NAME], buffer[MAX_TOKEN];
    bool is_by_password = login->passwords != NULL;
    cvn_decline_recovery(socket); /* who comes back logs in again */
    if (try_session(login, socket, next))
        return;
    get_string(cvn_socket_auth(socket), "username", name, sizeof name);
    cvn_slice token = is_by_password ? cvn_str("") : find_token(login, socket, buffer);
    bool has_something = is_by_password ? name[0] != '\0' : token.size > 0;
    if (!has_something) {
        say_no(next, "AUTH_REQUIRED", 0);
    } else if (may_try(login, socket, next, name)) {
        if (is_by_password)
            try_password(login, socket, next, name);
        else
            try_token(login, socket, next, token);
    }
    explicit_bzero(buffer, sizeof buffer);
}

struct admin_login *admin_login_new(struct admin *admin, const struct config *config)
{
    const char *username = config->admin.username, *hash = config->admin.password_hash;
    struct admin_login *login = calloc(1, sizeof *login);
    if (login == NULL)
        return NULL;
    login->admin = admin;
    login->sessions = admin_sessions_new();
    login->subjects = subjects_new(BUCKETS, MAX_IDLE_SUBJECTS);
    bool is_ready = login->sessions != NULL && login->subjects != NULL;
    if ((username == NULL) != (hash == NULL)) {
        log_entry(LOG_ERROR, "admin.username and admin.password_hash go together", LOG_END);
        is_ready = false;
    } else if (username != NULL) {
        login->passwords = admin_passwords_new(admin->server, username, hash);
        is_ready = is_ready && login->passwords != NULL;
    } else if (admin->auth == NULL) {
        log_entry(LOG_ERROR, "the admin UI has neither a password nor tokens to go by", LOG_END);
        is_ready = false;
    }
    if (!is_ready || cvn_use(admin->nsp, on_visit, login) != CVN_OK) {
        admin_login_free(login);
        return NULL;
    }
    return login;
}

void admin_login_on_worker_stop(struct admin_login *login, unsigned worker)
{
    if (login->passwords != NULL)
        admin_passwords_on_worker_stop(login->passwords, worker);
}

void admin_login_free(struct admin_login *login)
{
    if (login == NULL)
        return;
    admin_passwords_free(login->passwords);
    admin_sessions_free(login->sessions);
    subjects_free(login->subjects);
    free(login);
}
