/*
 * Sessions of the console: an id that the UI keeps in its browser and shows instead of a password when its page is loaded again. In memory only, so few
 * that a look at all of them is nothing; a new one takes the place of the oldest. Any thread, under a lock.
 */
#include "admin/admin_internal.h"
#include "auth/principal.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_SESSIONS 64
#define LIFETIME_S   86400 /* the reference's, with its Redis store */
#define ID_BYTES     16
#define ID_SIZE      (2 * ID_BYTES)

struct session {
    char id[ID_SIZE + 1]; /* "": none */
    int64_t ends_at;
    struct admin_identity identity;
};

struct admin_sessions {
    pthread_mutex_t lock;
    struct session items[MAX_SESSIONS];
};

struct admin_sessions *admin_sessions_new(void)
{
    struct admin_sessions *sessions = calloc(1, sizeof *sessions);
    if (sessions != NULL)
        pthread_mutex_init(&sessions->lock, NULL);
    return sessions;
}

static void forget(struct session *session)
{
    principal_unref(session->identity.principal);
    explicit_bzero(session, sizeof *session);
}

void admin_sessions_free(struct admin_sessions *sessions)
{
    if (sessions == NULL)
        return;
    for (size_t i = 0; i < MAX_SESSIONS; i++)
        forget(&sessions->items[i]);
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}

static bool make_id(char ret[ID_SIZE + 1])
{
    unsigned char bytes[ID_BYTES];
    if (getentropy(bytes, sizeof bytes) != 0)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static void copy_identity(struct admin_identity *to, const struct admin_identity *from)
{
    *to = *from;
    if (from->principal != NULL)
        to->principal = principal_ref(from->principal);
}

void admin_sessions_add(struct admin_sessions *sessions, struct admin_identity *identity,
                        int64_t now)
{
    char id[ID_SIZE + 1];
    if (!make_id(id))
        return; /* then it goes without */
    pthread_mutex_lock(&sessions->lock);
    struct session *oldest = &sessions->items[0];
    for (size_t i = 1; i < MAX_SESSIONS; i++)
        if (sessions->items[i].ends_at < oldest->ends_at) /* free ones: 0 */
            oldest = &sessions->items[i];
    forget(oldest);
    copy_identity(&oldest->identity, identity);
    memcpy(oldest->id, id, sizeof id);
    oldest->ends_at = now + LIFETIME_S;
    if (identity->expires_at != 0 && identity->expires_at < oldest->ends_at)
        oldest->ends_at = identity->expires_at;
    pthread_mutex_unlock(&sessions->lock);
    memcpy(identity->session, id, sizeof id);
}

struct admin_identity *admin_sessions_find(struct admin_sessions *sessions, const char *id,
                                           int64_t now)
{
    struct admin_identity *identity = NULL;
    if (strlen(id) != ID_SIZE)
        return NULL;
    pthread_mutex_lock(&sessions->lock);
    for (size_t i = 0; i < MAX_SESSIONS; i++) {
        struct session *session = &sessions->items[i];
        if (session->id[0] != '\0' && session->ends_at <= now)
            forget(session);
        if (session->id[0] != '\0' && CRYPTO_memcmp(session->id, id, ID_SIZE) == 0 &&
            identity == NULL && (identity = calloc(1, sizeof *identity)) != NULL)
            copy_identity(identity, &session->identity);
    }
    pthread_mutex_unlock(&sessions->lock);
    if (identity != NULL)
        identity->session[0] = '\0'; /* it knows it */
    return identity;
}
