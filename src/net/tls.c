/*
 * TLS through OpenSSL, directly on the connection's descriptor. The context is made once and then only read; a session
 * is used by its connection's worker alone.
 */
#include "net/tls.h"
#include "base/log.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/* The public names of OpenSSL's own objects: nothing of ours needs to stand around them. */
static SSL_CTX *context_of(struct tls_context *context)
{
    return (SSL_CTX *)context;
}

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

enum cvn_error tls_context_new(const char *cert_file, const char *key_file,
                               struct tls_context **ret)
{
    static const unsigned char session_id_context[] = "convene";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return CVN_ERR_MEMORY;
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
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1) {
        log_failure("certificate", cert_file);
        goto fail;
    }
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        log_failure("private key", key_file);
        goto fail;
    }
    *ret = (struct tls_context *)context;
    return CVN_OK;

fail:
    SSL_CTX_free(context);
    return CVN_ERR_TLS;
}

void tls_context_free(struct tls_context *context)
{
    SSL_CTX_free(context_of(context));
}

struct tls_session *tls_session_new(struct tls_context *context, int fd)
{
    SSL *session = SSL_new(context_of(context));
    if (session == NULL)
        return NULL;
    if (SSL_set_fd(session, fd) != 1) {
        SSL_free(session);
        return NULL;
    }
    SSL_set_accept_state(session);
    return (struct tls_session *)session;
}

void tls_session_free(struct tls_session *session)
{
    SSL_free(session_of(session));
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
    int result = SSL_read_ex(session_of(session), data, size, ret_done);
    return result == 1 ? TLS_OK : result_of(session_of(session), result);
}

enum tls_result tls_session_send(struct tls_session *session, const char *data, size_t size,
                                 size_t *ret_done)
{
    int result = SSL_write_ex(session_of(session), data, size, ret_done);
    return result == 1 ? TLS_OK : result_of(session_of(session), result);
}

bool tls_session_has_pending(const struct tls_session *session)
{
    return SSL_has_pending(session_of(session)) == 1;
}

void tls_session_shutdown(struct tls_session *session)
{
    SSL_shutdown(session_of(session));
    ERR_clear_error();
}
