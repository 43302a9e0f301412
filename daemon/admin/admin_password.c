/*
 * Passwords against the hash in the configuration, by crypt(3). A good hash takes a tenth of a second and more, so this has a thread of its
 * own, and few may wait. A wrong name costs the same time as a wrong password.
 *
 * A question belongs to the thread from the queue until it is answered; then to the worker that asked. A worker that ends takes its
 * questions with it, under the lock; so nothing is posted to a server that may have gone.
 */
#include "admin/admin_internal.h"
#include "observe/log.h"
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define MAX_QUESTIONS 16 /* asked and not answered */

enum question_state { QUESTION_WAITING, QUESTION_RUNNING, QUESTION_ANSWERED };

struct question {
    struct question *next;
    struct admin_passwords *passwords;
    enum question_state state;
    bool is_abandoned; /* its worker has ended: the thread frees it */
    bool is_right;
    unsigned worker;
    admin_password_fn fn;
    void *data;
    char username[ADMIN_MAX_NAME];
    char password[CRYPT_MAX_PASSPHRASE_SIZE];
};

struct admin_passwords {
    cvn_server *server;
    char username[ADMIN_MAX_NAME];
    char hash[CRYPT_OUTPUT_SIZE];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_ending;
    size_t count;
    struct question *questions; /* oldest first */
    struct crypt_data crypt;    /* the thread's */
};

static void free_question(struct question *question)
{
    explicit_bzero(question, sizeof *question);
    free(question);
}

/* With the lock. */
static void take_out(struct admin_passwords *passwords, const struct question *question)
{
    struct question **at = &passwords->questions;
    while (*at != question)
        at = &(*at)->next;
    *at = question->next;
    passwords->count--;
}

/* --- The thread --- */

/* Compares without telling by its time where they differ. */
static bool is_same(const char *one, const char *other)
{
    unsigned char digests[2][EVP_MAX_MD_SIZE];
    return EVP_Digest(one, strlen(one), digests[0], NULL, EVP_sha256(), NULL) &&
           EVP_Digest(other, strlen(other), digests[1], NULL, EVP_sha256(), NULL) &&
           CRYPTO_memcmp(digests[0], digests[1], 32) == 0;
}

static bool is_right(struct admin_passwords *passwords, const struct question *question)
{
    const char *made =
        crypt_rn(question->password, passwords->hash, &passwords->crypt, sizeof passwords->crypt);
    bool is_password = made != NULL && made[0] != '*' && is_same(made, passwords->hash);
    bool is_user = is_same(question->username, passwords->username);
    explicit_bzero(&passwords->crypt, sizeof passwords->crypt);
    return is_password && is_user;
}

static void on_answer(void *data)
{
    struct question *question = data;
    struct admin_passwords *passwords = question->passwords;
    pthread_mutex_lock(&passwords->lock);
    take_out(passwords, question);
    pthread_mutex_unlock(&passwords->lock);
    question->fn(question->is_right, question->data);
    free_question(question);
}

static struct question *find_waiting(struct admin_passwords *passwords)
{
    struct question *question = passwords->questions;
    while (question != NULL && question->state != QUESTION_WAITING)
        question = question->next;
    return question;
}

static void *run(void *data)
{
    struct admin_passwords *passwords = data;
    pthread_mutex_lock(&passwords->lock);
    while (!passwords->is_ending) {
        struct question *question = find_waiting(passwords);
        if (question == NULL) {
            pthread_cond_wait(&passwords->changed, &passwords->lock);
            continue;
        }
        question->state = QUESTION_RUNNING;
        pthread_mutex_unlock(&passwords->lock);
        question->is_right = is_right(passwords, question);
        explicit_bzero(question->password, sizeof question->password);
        pthread_mutex_lock(&passwords->lock);
        question->state = QUESTION_ANSWERED;
        if (question->is_abandoned) {
            take_out(passwords, question);
            free_question(question);
        } else if (cvn_post(passwords->server, question->worker, on_answer, question) != CVN_OK) {
            log_entry(LOG_WARN, "the answer to an admin's password was lost", LOG_END);
        }
    }
    pthread_mutex_unlock(&passwords->lock);
    return NULL;
}

/* --- The workers --- */

bool admin_passwords_check(struct admin_passwords *passwords, const char *username,
                           const char *password, unsigned worker, admin_password_fn fn, void *data)
{
    struct question *question = calloc(1, sizeof *question), **last = &passwords->questions;
    if (question == NULL || strlen(password) >= sizeof question->password ||
        strlen(username) >= sizeof question->username) {
        free(question);
        return false;
    }
    question->passwords = passwords;
    question->worker = worker;
    question->fn = fn;
    question->data = data;
    memcpy(question->username, username, strlen(username) + 1);
    memcpy(question->password, password, strlen(password) + 1);
    pthread_mutex_lock(&passwords->lock);
    bool is_taken = passwords->count < MAX_QUESTIONS;
    if (is_taken) {
        while (*last != NULL)
            last = &(*last)->next;
        *last = question;
        passwords->count++;
        pthread_cond_signal(&passwords->changed);
    }
    pthread_mutex_unlock(&passwords->lock);
    if (!is_taken)
        free_question(question);
    return is_taken;
}

/* One that belongs to the worker and is not abandoned yet; with the lock. */
static struct question *find_of(struct admin_passwords *passwords, unsigned worker)
{
    struct question *question = passwords->questions;
    while (question != NULL && (question->worker != worker || question->is_abandoned))
        question = question->next;
    return question;
}

void admin_passwords_on_worker_stop(struct admin_passwords *passwords, unsigned worker)
{
    struct question *question;
    pthread_mutex_lock(&passwords->lock);
    while ((question = find_of(passwords, worker)) != NULL) {
        admin_password_fn fn = question->fn;
        void *data = question->data;
        if (question->state == QUESTION_RUNNING) {
            question->is_abandoned = true;
        } else {
            take_out(passwords, question);
            free_question(question);
        }
        pthread_mutex_unlock(&passwords->lock);
        fn(false, data);
        pthread_mutex_lock(&passwords->lock);
    }
    pthread_mutex_unlock(&passwords->lock);
}

/* --- Beginning and end --- */

static bool is_usable(const char *username, const char *hash)
{
    if (strlen(username) >= ADMIN_MAX_NAME || strlen(hash) >= CRYPT_OUTPUT_SIZE) {
        log_entry(LOG_ERROR, "admin.username or admin.password_hash is too long", LOG_END);
        return false;
    }
    int check = crypt_checksalt(hash);
    if (check == CRYPT_SALT_INVALID || check == CRYPT_SALT_METHOD_DISABLED) {
        log_entry(LOG_ERROR, "admin.password_hash is none that crypt(3) knows", LOG_END);
        return false;
    }
    if (check == CRYPT_SALT_METHOD_LEGACY || check == CRYPT_SALT_TOO_CHEAP)
        log_entry(LOG_WARN, "admin.password_hash is of a kind that is too cheap to guess", LOG_END);
    return true;
}

struct admin_passwords *admin_passwords_new(cvn_server *server, const char *username,
                                            const char *hash)
{
    if (!is_usable(username, hash))
        return NULL;
    struct admin_passwords *passwords = calloc(1, sizeof *passwords);
    if (passwords == NULL)
        return NULL;
    passwords->server = server;
    memcpy(passwords->username, username, strlen(username) + 1);
    memcpy(passwords->hash, hash, strlen(hash) + 1);
    pthread_mutex_init(&passwords->lock, NULL);
    pthread_cond_init(&passwords->changed, NULL);
    if (pthread_create(&passwords->thread, NULL, run, passwords) != 0) {
        log_entry(LOG_ERROR, "no thread for the admins' passwords", LOG_END);
        free(passwords);
        return NULL;
    }
    return passwords;
}

void admin_passwords_free(struct admin_passwords *passwords)
{
    if (passwords == NULL)
        return;
    pthread_mutex_lock(&passwords->lock);
    passwords->is_ending = true;
    pthread_cond_signal(&passwords->changed);
    pthread_mutex_unlock(&passwords->lock);
    pthread_join(passwords->thread, NULL);
    while (passwords->questions != NULL) {
        struct question *question = passwords->questions;
        take_out(passwords, question);
        free_question(question);
    }
    pthread_cond_destroy(&passwords->changed);
    pthread_mutex_destroy(&passwords->lock);
    explicit_bzero(passwords, sizeof *passwords);
    free(passwords);
}
