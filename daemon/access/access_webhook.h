/*
 * The application decides who may join: POST access.webhook_url with {action: "join", user_id, role, org_id, division_ids, kind, id}. Two headers say who
 * asks and when: X-Convene-Timestamp (Unix seconds) and X-Convene-Signature: sha256=<hex of HMAC-SHA256 of "<timestamp>.<body>" with access.webhook_secret>,
 * so that an old question cannot be asked again by somebody else. It answers 200 {"allow": bool, "permission"?, "ttl_s"?}. Yes is remembered for ttl_s or
 * access.webhook_cache_ms, no as well, but WEBHOOK_MAX_NO_MS at most. Everything else, silence too, is "cannot be found out", for WEBHOOK_FAILED_MS.
 *
 * Each worker has its own questions and its own memory: nothing is shared, nothing is locked.
 */
#ifndef ACCESS_WEBHOOK_H
#define ACCESS_WEBHOOK_H

#include "access/access_guard.h"

#define WEBHOOK_MAX_NO_MS     10000
#define WEBHOOK_FAILED_MS     1000
#define WEBHOOK_MAX_TTL_S     86400
#define WEBHOOK_MAX_ANSWER    ((size_t)16 * 1024) /* bytes */
#define WEBHOOK_MAX_QUESTIONS 256  /* under way on a worker; further ones cannot be found out */
#define WEBHOOK_MAX_WAITING   4096 /* that wait for those, likewise */
#define WEBHOOK_CACHE         8192 /* answers that a worker remembers */

struct access_webhook;
struct outgoing;

/* Before the server starts, and after `outgoing` was made. access.webhook_url is set. NULL: memory, or the server runs. */
struct access_webhook *access_webhook_new(const struct config *config, cvn_server *server,
                                          struct outgoing *outgoing);
/* When the server has stopped. NULL is accepted. */
void access_webhook_free(struct access_webhook *webhook);

/* As access_guard_ask. Those who ask the same at once share one question. When the worker ends, whoever waits is answered. */
void access_webhook_ask(struct access_webhook *webhook, struct principal *principal,
                        enum resource_kind kind, const char *id, guard_fn fn, void *data);

/* --- Pure, for tests --- */

/* The header's value, "sha256=" and 64 digits. False: memory. */
#define WEBHOOK_SIGNATURE_SIZE 72
bool access_webhook_sign(const char *secret, int64_t timestamp, cvn_slice body,
                         char ret[WEBHOOK_SIGNATURE_SIZE]);

#define WEBHOOK_PERMISSION_SIZE 33
struct webhook_verdict {
    enum guard_answer answer;
    char permission[WEBHOOK_PERMISSION_SIZE];
    bool has_ttl;
    uint32_t ttl_s;
};
/* Reads the body of a 200. NULL, or what is wrong with it. */
const char *access_webhook_read(cvn_slice body, struct webhook_verdict *ret);

#endif
