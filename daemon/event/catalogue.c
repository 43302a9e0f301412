/* See catalogue.h. The document is written straight from the tables, in their order, so it is the same at every printing. Pure. */
#include "event/catalogue.h"
#include "access/access_limits.h"
#include "event/call.h"
#include "event/frame_internal.h"
#include <stdio.h>

#ifndef CONVENE_VERSION
#define CONVENE_VERSION "unknown"
#endif

#define KEY_SIZE 300

/* What goes through a channel: from clients, to them, and the answers to what came from them. */
enum side { FROM_CLIENT, TO_CLIENT, ANSWER };
static const char *const side_names[] = {"client", "server", "ack"};

struct catalogue {
    cvn_text *text;
    const struct module *const *modules;
    const struct config *config;
    bool has_items; /* of the map or list that is being written: a comma is due */
};

/* --- What the frame itself sends, in every namespace --- */

struct own_fields {
    cvn_slice event, room, code, error;
    int64_t expires_at;
    bool ok;
};

static const struct field error_fields[] = {
    FIELD_TEXT(struct own_fields, event, 0, 200, FIELD_REQUIRED, "the event that was refused"),
    FIELD_BOOLEAN_AS("ok", struct own_fields, ok, FIELD_REQUIRED, 0, "false"),
    FIELD_JSON(struct own_fields, error, 4194304, FIELD_REQUIRED,
               "as in an acknowledgement: code, message, ..."),
    FIELD_END,
};

static const struct field expiring_fields[] = {
    FIELD_INTEGER_REQUIRED(struct own_fields, expires_at, 0, 1LL << 53, "Unix seconds"),
    FIELD_END,
};

static const struct field closed_fields[] = {
    FIELD_TEXT(struct own_fields, room, 1, 300, FIELD_REQUIRED, "kind and id, as \"board:42\""),
    FIELD_TEXT(struct own_fields, code, 1, 40, FIELD_REQUIRED, "why: FORBIDDEN"),
    FIELD_END,
};

static const struct emit_descriptor own_emits[] = {
    {"error", "An event was refused whose sender asked for no acknowledgement.", error_fields,
     EVENT_MEMORY},
    {"auth_expiring", "The token is about to expire: answer with auth_refresh to stay connected.",
     expiring_fields, EVENT_MEMORY},
    {"room_closed", "A joined room was left because the right to be there has gone.", closed_fields,
     EVENT_MEMORY},
    {NULL, NULL, NULL, EVENT_MEMORY},
};

/* --- Pieces --- */

static void append(struct catalogue *catalogue, const char *piece)
{
    cvn_text_append(catalogue->text, piece);
}

static void append_quoted(struct catalogue *catalogue, const char *value)
{
    cvn_text_append_json_string(catalogue->text, cvn_str(value));
}

static void begin_item(struct catalogue *catalogue)
{
    if (catalogue->has_items)
        append(catalogue, ",");
    catalogue->has_items = true;
}

static void append_member(struct catalogue *catalogue, const char *name, const char *value)
{
    append(catalogue, ",");
    append_quoted(catalogue, name);
    append(catalogue, ":");
    append_quoted(catalogue, value);
}

/* Keys of the document's maps have letters, digits, dots, hyphens and underscores only (AsyncAPI 3.0, Components Object). */
static void channel_key(const char *nsp, char ret[KEY_SIZE])
{
    snprintf(ret, KEY_SIZE, "%s", strcmp(nsp, "/") == 0 ? "root" : nsp + 1);
    for (char *c = ret; *c != '\0'; c++)
        if (strchr("/|:", *c) != NULL)
            *c = '.';
}

static void message_key(const char *nsp, enum side side, const char *event, char ret[KEY_SIZE])
{
    char channel[KEY_SIZE];
    channel_key(nsp, channel);
    if (snprintf(ret, KEY_SIZE, "%.200s.%s.%.80s", channel, side_names[side], event) >= KEY_SIZE)
        ret[KEY_SIZE - 1] = '\0';
}

static bool is_disabled(const struct catalogue *catalogue, const char *nsp)
{
    if (catalogue->config == NULL)
        return false;
    const struct config_list *disabled = &catalogue->config->server.disabled_namespaces;
    for (size_t i = 0; i < disabled->count; i++)
        if (strcmp(disabled->items[i], nsp) == 0)
            return true;
    return false;
}

/* Whether an earlier module has the same namespace. */
static bool is_repeated(const struct catalogue *catalogue, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(catalogue->modules[i]->nsp, catalogue->modules[index]->nsp) == 0)
            return true;
    return false;
}

/* --- Walking: every event of a namespace, the frame's own first --- */

typedef void (*event_visit)(struct catalogue *catalogue, const char *nsp,
                            const struct module *module, const struct event_descriptor *event);
typedef void (*emit_visit)(struct catalogue *catalogue, const char *nsp,
                           const struct emit_descriptor *emit);

static void visit_events(struct catalogue *catalogue, const char *nsp, const struct module *module,
                         const struct event_descriptor *events, event_visit fn)
{
    for (; events != NULL && events->name != NULL; events++)
        fn(catalogue, nsp, module, events);
}

static void visit_emits(struct catalogue *catalogue, const char *nsp,
                        const struct emit_descriptor *emits, emit_visit fn)
{
    for (; emits != NULL && emits->name != NULL; emits++)
        fn(catalogue, nsp, emits);
}

static void visit_namespace(struct catalogue *catalogue, const char *nsp, event_visit on_event,
                            emit_visit on_emit)
{
    visit_events(catalogue, nsp, NULL, expiry_events, on_event);
    visit_emits(catalogue, nsp, own_emits, on_emit);
    for (size_t i = 0; catalogue->modules[i] != NULL; i++) {
        const struct module *module = catalogue->modules[i];
        if (strcmp(module->nsp, nsp) != 0)
            continue;
        visit_events(catalogue, nsp, module, module->events, on_event);
        visit_emits(catalogue, nsp, module->emits, on_emit);
    }
}

static void visit_all(struct catalogue *catalogue, event_visit on_event, emit_visit on_emit)
{
    catalogue->has_items = false;
    for (size_t i = 0; catalogue->modules[i] != NULL; i++)
        if (!is_disabled(catalogue, catalogue->modules[i]->nsp) && !is_repeated(catalogue, i))
            visit_namespace(catalogue, catalogue->modules[i]->nsp, on_event, on_emit);
}

/* --- Channels --- */

static void append_message_reference(struct catalogue *catalogue, const char *nsp, enum side side,
                                     const char *event)
{
    char key[KEY_SIZE];
    message_key(nsp, side, event, key);
    begin_item(catalogue);
    append_quoted(catalogue, key);
    cvn_text_printf(catalogue->text, ":{\"$ref\":\"#/components/messages/%s\"}", key);
}

static void channel_event(struct catalogue *catalogue, const char *nsp, const struct module *module,
                          const struct event_descriptor *event)
{
    (void)module;
    append_message_reference(catalogue, nsp, FROM_CLIENT, event->name);
    append_message_reference(catalogue, nsp, ANSWER, event->name);
}

static void channel_emit(struct catalogue *catalogue, const char *nsp,
                         const struct emit_descriptor *emit)
{
    append_message_reference(catalogue, nsp, TO_CLIENT, emit->name);
}

static void append_channels(struct catalogue *catalogue)
{
    bool has_channel = false;
    for (size_t i = 0; catalogue->modules[i] != NULL; i++) {
        const struct module *module = catalogue->modules[i];
        char key[KEY_SIZE];
        if (is_disabled(catalogue, module->nsp) || is_repeated(catalogue, i))
            continue;
        channel_key(module->nsp, key);
        append(catalogue, has_channel ? "," : "");
        has_channel = true;
        append_quoted(catalogue, key);
        append(catalogue, ":{\"address\":");
        append_quoted(catalogue, module->nsp);
        append_member(catalogue, "description", module->help);
        append(catalogue, ",\"messages\":{");
        catalogue->has_items = false;
        visit_namespace(catalogue, module->nsp, channel_event, channel_emit);
        append(catalogue, "}}");
    }
}

/* --- Operations --- */

static void append_operation(struct catalogue *catalogue, const char *action, const char *nsp,
                             enum side side, const char *event)
{
    char key[KEY_SIZE], channel[KEY_SIZE];
    message_key(nsp, side, event, key);
    channel_key(nsp, channel);
    begin_item(catalogue);
    append_quoted(catalogue, key);
    cvn_text_printf(catalogue->text,
                    ":{\"action\":\"%s\",\"channel\":{\"$ref\":\"#/channels/%s\"},"
                    "\"messages\":[{\"$ref\":\"#/channels/%s/messages/%s\"}]",
                    action, channel, channel, key);
}

static void append_roles(struct catalogue *catalogue, unsigned roles)
{
    bool has_role = false;
    append(catalogue, ",\"x-convene-roles\":[");
    for (int role = ROLE_STUDENT; role <= ROLE_SERVICE; role++) {
        if (roles != 0 && !(roles & ROLE_BIT(role)))
            continue;
        append(catalogue, has_role ? "," : "");
        append_quoted(catalogue, role_name((enum role)role));
        has_role = true;
    }
    append(catalogue, "]");
}

static const char *durability_name(enum event_durability durability)
{
    static const char *const names[] = {"ephemeral", "memory", "durable"};
    return names[durability];
}

static void operation_event(struct catalogue *catalogue, const char *nsp,
                            const struct module *module, const struct event_descriptor *event)
{
    char channel[KEY_SIZE], answer[KEY_SIZE];
    channel_key(nsp, channel);
    message_key(nsp, ANSWER, event->name, answer);
    append_operation(catalogue, "receive", nsp, FROM_CLIENT, event->name);
    append_member(catalogue, "summary", event->help);
    cvn_text_printf(catalogue->text,
                    ",\"reply\":{\"channel\":{\"$ref\":\"#/channels/"
                    "%s\"},\"messages\":[{\"$ref\":\"#/channels/%s/messages/%s\"}]}",
                    channel, channel, answer);
    append_roles(catalogue, event->roles != 0 ? event->roles : module != NULL ? module->roles : 0);
    if (event->scope != NULL)
        append_member(catalogue, "x-convene-scope", event->scope);
    append_member(catalogue, "x-convene-rate-class",
                  event->rate_class != NULL ? event->rate_class : "default");
    append_member(catalogue, "x-convene-durability", durability_name(event->durability));
    append(catalogue, event->takes_op_id ? ",\"x-convene-op-id\":true}" : "}");
}

static void operation_emit(struct catalogue *catalogue, const char *nsp,
                           const struct emit_descriptor *emit)
{
    append_operation(catalogue, "send", nsp, TO_CLIENT, emit->name);
    append_member(catalogue, "summary", emit->help);
    append_member(catalogue, "x-convene-durability", durability_name(emit->durability));
    append(catalogue, "}");
}

/* --- Messages --- */

static void begin_message(struct catalogue *catalogue, const char *nsp, enum side side,
                          const char *event)
{
    char key[KEY_SIZE];
    message_key(nsp, side, event, key);
    begin_item(catalogue);
    append_quoted(catalogue, key);
    append(catalogue, ":{\"name\":");
    append_quoted(catalogue, event);
}

static void message_event(struct catalogue *catalogue, const char *nsp, const struct module *module,
                          const struct event_descriptor *event)
{
    (void)module;
    begin_message(catalogue, nsp, FROM_CLIENT, event->name);
    append_member(catalogue, "summary", event->help);
    append(catalogue, event->takes_op_id ? ",\"payload\":{\"allOf\":[" : ",\"payload\":");
    field_append_schema(event->fields, catalogue->text);
    append(catalogue,
           event->takes_op_id ? ",{\"$ref\":\"#/components/schemas/idempotent\"}]}}" : "}");
    begin_message(catalogue, nsp, ANSWER, event->name);
    append(catalogue,
           ",\"payload\":{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"ok\":{\"const\":true},"
           "\"offset\":{\"type\":\"integer\",\"minimum\":0},\"epoch\":{\"type\":\"string\"}");
    if (event->answer != NULL) {
        append(catalogue, ",\"data\":");
        field_append_schema(event->answer, catalogue->text);
    }
    append(catalogue, "},\"required\":[\"ok\"");
    append(catalogue, event->answer != NULL ? ",\"data\"" : "");
    append(catalogue, "]},{\"$ref\":\"#/components/schemas/refusal\"}]}}");
}

static void message_emit(struct catalogue *catalogue, const char *nsp,
                         const struct emit_descriptor *emit)
{
    begin_message(catalogue, nsp, TO_CLIENT, emit->name);
    append_member(catalogue, "summary", emit->help);
    append(catalogue, ",\"payload\":");
    field_append_schema(emit->fields, catalogue->text);
    append(catalogue, "}");
}

static void append_refusal_schema(struct catalogue *catalogue)
{
    append(catalogue, "\"refusal\":{\"type\":\"object\",\"properties\":{\"ok\":{\"const\":false},"
                      "\"error\":{\"type\":\"object\","
                      "\"properties\":{\"code\":{\"type\":\"string\",\"enum\":[");
    for (int error = CALL_VALIDATION; error <= CALL_INTERNAL; error++) {
        append(catalogue, error > 0 ? "," : "");
        append_quoted(catalogue, call_error_code((enum call_error)error));
    }
    append(catalogue, "]},\"message\":{\"type\":\"string\"},\"field\":{\"type\":\"string\"},"
                      "\"retry_after_ms\":{\"type\":\"integer\",\"minimum\":1},\"current\":{}},"
                      "\"required\":[\"code\",\"message\"]}},\"required\":[\"ok\",\"error\"]}");
}

/* What events of which the same one is not applied twice take beside their own fields. */
static void append_idempotent_schema(struct catalogue *catalogue)
{
    static const char *const names[] = {"op_id", "opId"};
    append(catalogue, ",\"idempotent\":{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < 2; i++) {
        append(catalogue, i > 0 ? "," : "");
        append_quoted(catalogue, names[i]);
        append(catalogue,
               ":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64,\"pattern\":"
               "\"^[^\\\\u0000-\\\\u001f\\\\u007f]*$\",\"x-convene-max-bytes\":64,\"description\":"
               "\"made by the client: the same one within 24 hours is not applied again\"}");
    }
    append(catalogue, "}}");
}

/* --- The whole --- */

bool catalogue_print(const struct module *const *modules, const struct config *config,
                     cvn_text *text)
{
    struct catalogue catalogue = {.text = text, .modules = modules, .config = config};
    append(&catalogue,
           "{\"asyncapi\":\"3.0.0\",\"info\":{\"title\":\"Convene\",\"version\":\"" CONVENE_VERSION
           "\",\"description\":\"Events over Socket.IO. Each channel is a namespace; each client "
           "event takes one object and answers its "
           "acknowledgement. In what clients send, a member that is null counts as absent, and "
           "lengths with x-convene-max-bytes are of "
           "UTF-8.\"},\"defaultContentType\":\"application/json\",\"channels\":{");
    append_channels(&catalogue);
    append(&catalogue, "},\"operations\":{");
    visit_all(&catalogue, operation_event, operation_emit);
    append(&catalogue, "},\"components\":{\"messages\":{");
    visit_all(&catalogue, message_event, message_emit);
    append(&catalogue, "},\"schemas\":{");
    append_refusal_schema(&catalogue);
    append_idempotent_schema(&catalogue);
    append(&catalogue, "}}}\n");
    return !cvn_text_failed(text);
}
