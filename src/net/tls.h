/* TLS 1.2 and 1.3 on a non-blocking descriptor, through OpenSSL. A context is shared by all workers and
 * kept by its sessions; a session belongs to its connection. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/slice.h"

struct tls_context;
struct tls_session;

/* PEM files: certificate chain and private key. CVN_ERR_TLS (logged with OpenSSL's words), CVN_ERR_MEMORY. */
enum cvn_error tls_context_new(const char *cert_file, const char *key_file,
                               struct tls_context **ret) __attribute__((warn_unused_result));
/* Any thread; NULL is accepted. */
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/* A server session on `fd`; NULL when memory has run out. Never raises SIGPIPE. */
struct tls_session *tls_session_new(struct tls_context *context, int fd);
void tls_session_free(struct tls_session *session);

enum tls_result { TLS_OK, TLS_WANT_READ, TLS_WANT_WRITE, TLS_CLOSED, TLS_FAILED };
/* As recv and send: on TLS_OK *ret_done (> 0) bytes were moved. A send that wanted to wait must be repeated
 * with the same bytes in front (they may lie elsewhere). */
enum tls_result tls_session_recv(struct tls_session *session, char *data, size_t size,
                                 size_t *ret_done);
enum tls_result tls_session_send(struct tls_session *session, const char *data, size_t size,
                                 size_t *ret_done);
/* Bytes decrypted but not yet received: the descriptor may stay silent although there is more. */
bool tls_session_has_pending(const struct tls_session *session);
/* Sends close_notify if possible. */
void tls_session_shutdown(struct tls_session *session);

#endif
