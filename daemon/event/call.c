/*
 * See call.h. One block of memory holds the call, the event's struct and what its texts decode to. Within its handler a call answers with the
 * library's event itself; what is left open when the handler returns keeps the acknowledgement for later. On the member's worker, but for
 * what call_transact runs on the store's thread.
 */
#include "event/call.h"
#include "event/frame_internal.h"
#include <stdio.h>
#include <stdlib.h>

#define MAX_ANSWER        (4 << 20)
#define PAYLOAD_ALIGNMENT 16

static const char *const codes[] = {
    "VALIDATION", "FORBIDDEN", "NOT_FOUND",      "CONFLICT",    "RATE_LIMITED", "TOO_LARGE",
    "NOT_JOINED", "ROOM_FULL", "TOO_MANY_ROOMS", "UNAVAILABLE", "INTERNAL",
};

const char *call_error_code(enum call_error error)
{
    return codes[error];
}

/* --- Life --- */

static size_t aligned(size_t size)
{
    return (size + PAYLOAD_ALIGNMENT - 1) / PAYLOAD_ALIGNMENT * PAYLOAD_ALIGNMENT;
}

struct call *call_new(struct frame_event *on, struct member *member, const cvn_event *event,
                      size_t payload_bytes)
{
    size_t head = aligned(sizeof(struct call)), payload = aligned(on->descriptor->payload_size);
    struct call *call = calloc(1, head + payload + payload_bytes);
    if (call == NULL)
        return NULL;
    call->on = on;
    call->member = member_ref(member);
    call->event = event;
    call->wants_ack = cvn_event_wants_ack(event);
    call->is_in_handler = true;
    call->started_us = rate_now_us();
    call->number = member->link->event_count++;
    call->payload = (char *)call + head;
    call->memory =
        (struct field_memory){.data = (char *)call + head + payload, .size = payload_bytes};
    return call;
}

static void call_free(struct call *call)
{
    cvn_later_drop(call->later);
    member_unref(call->member);
    free(call);
}

void call_leave_handler(struct call *call)
{
    call->is_in_handler = false;
    if (call->is_answered) {
        call_free(call);
        return;
    }
    if (call->wants_ack)
        call->later =
            cvn_ack_later(call->event); /* NULL for lack of memory: the client's timeout tells it */
    call->event = NULL;
}

/* What its handler still holds must not go before that returns. */
static void end(struct call *call)
{
    call->is_answered = true;
    if (!call->is_in_handler)
        call_free(call);
}

struct member *call_member(const struct call *call)
{
    return call->member;
}

const void *call_payload(const struct call *call)
{
    return call->payload;
}

void *call_payload_writable(struct call *call)
{
    return call->payload;
}

struct field_memory *call_memory(struct call *call)
{
    return &call->memory;
}

bool call_set_op_id(struct call *call, cvn_slice op_id)
{
    if (!cvn_json_string(op_id, call->op_id, sizeof call->op_id) || call->op_id[0] == '\0')
        return false;
    for (const char *c = call->op_id; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return true;
}

const char *call_op_id(const struct call *call)
{
    return call->op_id[0] != '\0' ? call->op_id : NULL;
}

const char *call_correlation_id(const struct call *call)
{
    /* Written when somebody asks: most calls are never logged. */
    struct call *writable = (struct call *)call;
    if (call->correlation_id[0] == '\0')
        snprintf(writable->correlation_id, sizeof writable->correlation_id, "%s-%llu",
                 member_correlation_id(call->member), (unsigned long long)call->number);
    return call->correlation_id;
}

/* --- Answers --- */

static void append_error(cvn_text *text, enum call_error error, const char *field,
                         const char *message, uint32_t retry_after_ms, cvn_slice current)
{
    cvn_text_printf(text, "\"ok\":false,\"error\":{\"code\":\"%s\",\"message\":", codes[error]);
    cvn_text_append_json_string(text, cvn_str(message));
    if (field != NULL) {
        cvn_text_append(text, ",\"field\":");
        cvn_text_append_json_string(text, cvn_str(field));
    }
    if (retry_after_ms > 0)
        cvn_text_printf(text, ",\"retry_after_ms\":%u", retry_after_ms);
    if (current.size > 0) {
        cvn_text_append(text, ",\"current\":");
        cvn_text_append_slice(text, current);
    }
    cvn_text_append(text, "}}");
}

static void count_failure(struct frame_event *on, enum call_error error)
{
    metric_add(on->frame->events, 1, on->nsp->name, on->descriptor->name, codes[error]);
}

/* The event `error`, for who asked for no acknowledgement. */
static void emit_error(struct member *member, const char *event, cvn_slice body)
{
    cvn_text *text = cvn_text_new(MAX_ANSWER);
    if (text == NULL)
        return;
    cvn_text_append(text, "{\"event\":");
    cvn_text_append_json_string(text, cvn_str(event));
    cvn_text_append(text, ",");
    cvn_text_append_slice(text, body);
    if (!cvn_text_failed(text))
        member_emit(member, "error", cvn_text_slice(text));
    cvn_text_free(text);
}

static void send(struct call *call, cvn_slice answer)
{
    if (call->event != NULL)
        cvn_ack_args(call->event, cvn_json_slice(answer));
    else if (call->later != NULL)
        cvn_later_send(call->later, cvn_json_slice(answer));
    call->later = NULL;
}

static void succeed(struct call *call, cvn_slice answer)
{
    send(call, answer);
    series_add(call->on->succeeded, 1);
    series_observe(call->on->seconds, (double)(rate_now_us() - call->started_us) / 1e6);
    end(call);
}

static void fail(struct call *call, enum call_error error, const char *field, const char *message,
                 uint32_t retry_after_ms, cvn_slice current)
{
    cvn_text *text = cvn_text_new(MAX_ANSWER);
    if (text != NULL) {
        cvn_text_append(text, "{");
        append_error(text, error, field, message, retry_after_ms, current);
        cvn_slice answer = cvn_text_slice(text);
        if (cvn_text_failed(text))
            answer = cvn_str("{\"ok\":false,\"error\":{\"code\":\"INTERNAL\",\"message\":\"the "
                             "answer is too large\"}}");
        if (call->wants_ack)
            send(call, answer);
        else
            emit_error(call->member, call->on->descriptor->name,
                       (cvn_slice){answer.data + 1, answer.size - 1});
        cvn_text_free(text);
    }
    count_failure(call->on, error);
    if (error == CALL_INTERNAL)
        log_entry(LOG_ERROR, "an event could not be handled", LOG_TEXT("error", message),
                  LOG_EVENT(call->on->descriptor->name), LOG_NSP(call->on->nsp->name),
                  LOG_USER(member_principal(call->member)->user_id),
                  LOG_CORRELATION(call_correlation_id(call)), LOG_END);
    end(call);
}

void call_succeed_whole(struct call *call, cvn_slice answer)
{
    succeed(call, answer);
}

void call_ok(struct call *call, const char *data)
{
    call_ok_slice(call, cvn_str(data));
}

void call_ok_slice(struct call *call, cvn_slice data)
{
    call_ok_at(call, data, 0, NULL);
}

void call_ok_at(struct call *call, cvn_slice data, uint64_t offset, const char *epoch)
{
    if (data.size == 0 && epoch == NULL) {
        succeed(call, cvn_str("{\"ok\":true}"));
        return;
    }
    cvn_text *text = cvn_text_new(MAX_ANSWER);
    if (text == NULL) {
        /* What was asked for is done; to say less than all is better than to say that it is not. */
        succeed(call, cvn_str("{\"ok\":true}"));
        return;
    }
    cvn_text_append(text, "{\"ok\":true");
    if (data.size > 0) {
        cvn_text_append(text, ",\"data\":");
        cvn_text_append_slice(text, data);
    }
    if (epoch != NULL)
        cvn_text_printf(text, ",\"offset\":%llu,\"epoch\":\"%s\"", (unsigned long long)offset,
                        epoch);
    cvn_text_append(text, "}");
    succeed(call, cvn_text_failed(text) ? cvn_str("{\"ok\":true}") : cvn_text_slice(text));
    cvn_text_free(text);
}

void call_fail(struct call *call, enum call_error error, const char *message)
{
    fail(call, error, NULL, message, 0, (cvn_slice){NULL, 0});
}

void call_fail_field(struct call *call, const char *field, const char *message)
{
    fail(call, CALL_VALIDATION, field, message, 0, (cvn_slice){NULL, 0});
}

void call_fail_later(struct call *call, enum call_error error, const char *message,
                     uint32_t retry_after_ms)
{
    fail(call, error, NULL, message, retry_after_ms, (cvn_slice){NULL, 0});
}

void call_conflict(struct call *call, const char *message, cvn_slice current)
{
    fail(call, CALL_CONFLICT, NULL, message, 0, current);
}

void call_refuse_event(struct frame_event *on, struct member *member, const cvn_event *event,
                       enum call_error error, const char *field, const char *message,
                       uint32_t retry_after_ms)
{
    cvn_slice name = cvn_event_name(event);
    char shown[80];
    size_t shown_size = name.size;
    if (shown_size >= sizeof shown) /* cut between characters: what goes out has to be UTF-8 */
        for (shown_size = sizeof shown - 1;
             shown_size > 0 && ((unsigned char)name.data[shown_size] & 0xc0) == 0x80; shown_size--)
            ;
    snprintf(shown, sizeof shown, "%.*s", (int)shown_size, name.data);
    count_failure(on, error);
    cvn_text *text = cvn_text_new(4096);
    if (text == NULL)
        return;
    append_error(text, error, field, message, retry_after_ms, (cvn_slice){NULL, 0});
    if (!cvn_event_wants_ack(event)) {
        emit_error(member, shown, cvn_text_slice(text));
    } else {
        char answer[512];
        cvn_slice body = cvn_text_slice(text);
        snprintf(answer, sizeof answer, "{%.*s", (int)body.size, body.data);
        cvn_ack(event, answer);
    }
    cvn_text_free(text);
}
