/*
 * The life of a token on an open socket: a word before it ends (auth_expiring), a new one taken without a break (auth_refresh), the end when none
 * came. On the member's worker.
 */
#include "event/frame_internal.h"
#include "observe/clock.h"
#include <stdio.h>

static int64_t end_ms(const struct member *member)
{
    return (member->principal->expires_at + member->frame->parts.config->auth.leeway_s) * 1000;
}

static int64_t notice_ms(const struct member *member)
{
    return member->principal->expires_at * 1000 -
           (int64_t)member->frame->parts.config->auth.expiring_notice_ms;
}

static void wait_until(struct member *member, int64_t at_ms)
{
    int64_t delay = at_ms - clock_wall_ms();
    if (cvn_timer_start(member->expiry, delay > 0 ? (uint64_t)delay : 0) != CVN_OK)
        expiry_stop(member);
}

static void on_timer(cvn_timer *timer, void *data)
{
    struct member *member = data;
    char json[160];
    (void)timer;
    if (!member->is_expiry_told) {
        member->is_expiry_told = true;
        snprintf(json, sizeof json, "{\"expires_at\":%lld}",
                 (long long)member->principal->expires_at);
        member_emit(member, "auth_expiring", cvn_str(json));
        wait_until(member, end_ms(member));
        return;
    }
    snprintf(json, sizeof json,
             "{\"event\":\"auth_expired\",\"ok\":false,\"error\":{\"code\":\"AUTH_EXPIRED\","
             "\"message\":\"the token "
             "has expired\"}}");
    member_audit(member, "expired", NULL, "AUTH_EXPIRED");
    member_emit(member, "error", cvn_str(json));
    cvn_disconnect(member->socket, false); /* the member may be gone after this */
}

void expiry_start(struct member *member)
{
    expiry_stop(member);
    if (member->principal->expires_at == 0)
        return;
    member->is_expiry_told = false;
    member->expiry = cvn_timer_new(member->frame->parts.server, on_timer, NULL, member);
    if (member->expiry != NULL) {
        wait_until(member, notice_ms(member));
    } else { /* nobody would end it, so it ends now */
        log_entry(LOG_ERROR, "out of memory for a token's timer",
                  LOG_USER(member->principal->user_id), LOG_END);
        cvn_disconnect(member->socket, true);
    }
}

void expiry_stop(struct member *member)
{
    cvn_timer_free(member->expiry);
    member->expiry = NULL;
}

/* --- auth_refresh --- */

struct refresh {
    cvn_slice token;
};

static const struct field refresh_fields[] = {
    FIELD_TEXT(struct refresh, token, 1, 16384, FIELD_REQUIRED, "the new token, of the same user"),
    FIELD_END,
};

struct refresh_answer {
    int64_t expires_at;
};

static const struct field refresh_answer_fields[] = {
    FIELD_INTEGER(struct refresh_answer, expires_at, 0, 1LL << 53, 0,
                  "when the new one expires, in Unix seconds; 0: never"),
    FIELD_END,
};

static void on_verified(enum auth_refusal refusal, struct principal *principal, const char *why,
                        void *data)
{
    struct call *call = data;
    struct member *member = call_member(call);
    char json[64];
    if (refusal == AUTH_UNAVAILABLE) {
        call_fail_later(call, CALL_UNAVAILABLE, "tokens cannot be verified at the moment", 1000);
    } else if (refusal != AUTH_OK) {
        log_entry(LOG_INFO, "a new token was refused", LOG_TEXT("code", auth_refusal_code(refusal)),
                  LOG_TEXT("why", why), LOG_USER(member->principal->user_id), LOG_END);
        member_audit(member, "refresh_refused", NULL, auth_refusal_code(refusal));
        call_fail(call, CALL_FORBIDDEN, auth_refusal_code(refusal));
    } else if (strcmp(principal->user_id, member->principal->user_id) != 0) {
        member_audit(member, "refresh_refused", principal->user_id, "FORBIDDEN");
        call_fail(call, CALL_FORBIDDEN, "the token is somebody else's");
    } else if (!entry_role_may(member->nsp->roles, principal->role)) {
        member_audit(member, "refresh_refused", role_name(principal->role), "FORBIDDEN");
        call_fail(call, CALL_FORBIDDEN, "the new role may not be here");
    } else if (member->link == NULL) {
        call_fail(call, CALL_UNAVAILABLE, "the connection has gone");
    } else {
        bool is_joined = member_set_principal(member, principal);
        member_audit(member, "refresh", NULL, NULL);
        snprintf(json, sizeof json, "{\"expires_at\":%lld}", (long long)principal->expires_at);
        if (is_joined)
            expiry_start(member);
        else
            cvn_disconnect(member->socket, true); /* out of memory; its client comes back */
        call_ok(call, json);
    }
    principal_unref(principal);
}

static void on_refresh(struct call *call, void *state)
{
    const struct refresh *refresh = call_payload(call);
    (void)state;
    auth_verify(call_member(call)->frame->parts.auth, refresh->token, on_verified, call);
}

const struct event_descriptor expiry_events[] = {
    {.name = "auth_refresh",
     .help = "Goes on with a new token of the same user; rooms that it gives no right to are left.",
     .fields = refresh_fields,
     .payload_size = sizeof(struct refresh),
     .answer = refresh_answer_fields,
     .rate_class = "auth_refresh",
     .durability = EVENT_MEMORY,
     .max_bytes = 32768,
     .fn = on_refresh},
    {.name = NULL},
};
