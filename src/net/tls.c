/*
 * TLS through OpenSSL, on the connection's descriptor through a BIO of ours: OpenSSL's own one
 * writes without MSG_NOSIGNAL, so that a peer that has gone would end a process that does not block
 * SIGPIPE. A context is made once and then only read; a session is used by its connection's
 * worker alone, and keeps its context, whose files may have been read anew since.
 */
#include "net/tls.h"
#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/socket.h>

struct tls_context {
    atomic_uint refs;
    SSL_CTX *ssl;
    BIO_METHOD *bio; /* how a session reads and writes its descriptor */
};

/* The public name of OpenSSL's own object: nothing of ours needs to stand around it. */
static SSL *session_of(const struct tls_session *session)
{
    return (SSL *)session;
}

static void log_failure(const char *what, const char *file)
{
    char words[256];
    ERR_error_string_n(ERR_peek_last_error(), words, sizeof words);
    log_write(LOG_ERROR, "TLS: %s %s: %s", what, file, words);
    ERR_clear_error();
}

/* --- The descriptor, as OpenSSL sees it --- */

static int bio_fd(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static bool is_temporary(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int bio_read(BIO *bio, char *data, size_t size, size_t *ret_done)
{
    ssize_t done = recv(bio_fd(bio), data, size, 0);
    BIO_clear_retry_flags(bio);
    if (done > 0) {
        *ret_done = (size_t)done;
        return 1;
    }
    if (done == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    else if (is_temporary(errno))
        BIO_set_retry_read(bio);
    return 0;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *ret_done)
{
    ssize_t done = send(bio_fd(bio), data, size, MSG_NOSIGNAL);
    BIO_clear_retry_flags(bio);
    if (done >= 0) {
        *ret_done = (size_t)done;
        return 1;
    }
    if (is_temporary(errno) || errno == ENOBUFS)
        BIO_set_retry_write(bio);
    return 0;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1; /* nothing is held back */
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static BIO_METHOD *new_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "convene");
    if (method == NULL)
        return NULL;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    return method;
}

/* --- The context --- */

static void set_policy(SSL_CTX *context)
{
    static const unsigned char session_id_context[] = "convene";
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* RELEASE_BUFFERS: 14 instead of 48 kB an idle connection. MOVING_BUFFER and PARTIAL_WRITE: our output is joined
     * anew, at another place, for every attempt. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets carry the sessions */
    SSL_CTX_set_session_id_context(context, session_id_context, sizeof session_id_context - 1);
}

enum cvn_error tls_context_new(const char *cert_file, const char *key_file,
                               struct tls_context **ret)
{
    enum cvn_error error = CVN_ERR_MEMORY;
    struct tls_context *context = mem_zalloc(sizeof *context);
    if (context == NULL)
        return CVN_ERR_MEMORY;
    atomic_init(&context->refs, 1);
    context->bio = new_bio_method();
    context->ssl = SSL_CTX_new(TLS_server_method());
    if (context->bio == NULL || context->ssl == NULL)
        goto fail;
    set_policy(context->ssl);
    error = CVN_ERR_TLS;
    if (SSL_CTX_use_certificate_chain_file(context->ssl, cert_file) != 1) {
        log_failure("certificate", cert_file);
        goto fail;
    }
    if (SSL_CTX_use_PrivateKey_file(context->ssl, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context->ssl) != 1) {
        log_failure("private key", key_file);
        goto fail;
    }
    *ret = context;
    return CVN_OK;

fail:
    tls_context_unref(context);
    return error;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    if (context != NULL)
        atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->bio);
    mem_free(context);
}

/* --- A session --- */

struct tls_session *tls_session_new(struct tls_context *context, int fd)
{
    SSL *session = SSL_new(context->ssl);
    BIO *bio = BIO_new(context->bio);
    if (session == NULL || bio == NULL) {
        BIO_free(bio);
        SSL_free(session);
        return NULL;
    }
    BIO_set_data(bio, (void *)(intptr_t)fd); /* NOLINT(performance-no-int-to-ptr) */
    BIO_set_init(bio, 1);
    SSL_set_bio(session, bio, bio); /* takes it */
    SSL_set_accept_state(session);
    SSL_set_app_data(session, tls_context_ref(context));
    return (struct tls_session *)session;
}

void tls_session_free(struct tls_session *session)
{
    if (session == NULL)
        return;
    struct tls_context *context = SSL_get_app_data(session_of(session));
    SSL_free(session_of(session));
    tls_context_unref(context); /* not before: the descriptor's methods are in it */
}

/* SSL_get_error tells by the thread's queue of errors, in which other code of the application may
 * have left its own. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

static enum tls_result result_of(SSL *session, int result)
{
    enum tls_result answer = TLS_FAILED;
    switch (SSL_get_error(session, result)) {
    case SSL_ERROR_WANT_READ:
        answer = TLS_WANT_READ;
        break;
    case SSL_ERROR_WANT_WRITE:
        answer = TLS_WANT_WRITE;
        break;
    case SSL_ERROR_ZERO_RETURN:
        answer = TLS_CLOSED;
        break;
    default:
        break;
    }
    ERR_clear_error(); /* the queue is the thread's: nothing of this session may reach the next */
    return answer;
}

enum tls_result tls_session_recv(struct tls_session *session, char *data, size_t size,
                                 size_t *ret_done)
{
    forget_errors();
    int result = SSL_read_ex(session_of(session), data, size, ret_done);
    return result == 1 ? TLS_OK : result_of(session_of(session), result);
}

enum tls_result tls_session_send(struct tls_session *session, const char *data, size_t size,
                                 size_t *ret_done)
{
    forget_errors();
    int result = SSL_write_ex(session_of(session), data, size, ret_done);
    return result == 1 ? TLS_OK : result_of(session_of(session), result);
}

bool tls_session_has_pending(const struct tls_session *session)
{
    return SSL_has_pending(session_of(session)) == 1;
}

void tls_session_shutdown(struct tls_session *session)
{
    forget_errors();
    SSL_shutdown(session_of(session));
    ERR_clear_error();
}
