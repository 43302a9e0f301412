/*
 * The application decides who may join: POST access.webhook_url with {user_id, role, org_id, division_ids, kind, id, action: "join"}, signed
 * (X-Convene-Signature: sha256=<hex of HMAC-SHA256 of the body with access.webhook_secret>). It answers 200 {"allow": bool, "permission"?, "ttl_s"?}; answers are
 * remembered for ttl_s or access.webhook_cache_ms. Everything else, silence too, is "cannot be found out".
 */
#ifndef ACCESS_WEBHOOK_H
#define ACCESS_WEBHOOK_H

#include "access/access_guard.h"

struct access_webhook;

/* As access_guard_ask. */
void access_webhook_ask(struct access_webhook *webhook, struct principal *principal,
                        enum resource_kind kind, const char *id, guard_fn fn, void *data);

#endif
