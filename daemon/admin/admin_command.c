/*
 * What an admin may do: move sockets in and out of rooms, disconnect them, emit to them. The arguments are the protocol's:
 *
 *     join (nsp, room, filter?)   leave (nsp, room, filter?)   _disconnect (nsp, close, filter?)   emit (nsp, filter | null, event, ...args)
 *
 * `filter` is a room or a socket's id; without one all sockets of the namespace are meant, on all nodes. Each is written to the audit trail, refused
 * ones with why. An acknowledgement, which the UI does not ask for, says the same. Runs on the admin's worker.
 */
#include "access/access_proxies.h"
#include "admin/admin_internal.h"
#include "observe/log.h"
#include <stdio.h>

/* One command on its way. */
struct command {
    struct admin *admin;
    cvn_socket *socket;
    const cvn_event *event;
    cvn_namespace *nsp;        /* a reference; NULL: there is none */
    char name[ADMIN_MAX_NAME]; /* the admin's, who may be gone afterwards */
    char nsp_name[ADMIN_MAX_NAME], filter[ADMIN_MAX_NAME];
    cvn_target target;
    const char *code; /* of a refusal; NULL so far */
};

void admin_audit(struct admin *admin, const char *action, const cvn_socket *socket,
                 const char *name, const char *subject, const char *nsp, const char *code)
{
    char address[ACCESS_ADDRESS_SIZE];
    access_proxies_of_socket(socket, address);
    const struct audit_entry entry = {
        .action = action,
        .user_id = name != NULL && name[0] != '\0' ? name : NULL,
        .subject = subject,
        .nsp = nsp,
        .address = address,
        .code = code,
    };
    audit_write(admin->audit, &entry);
    log_entry(code != NULL ? LOG_WARN : LOG_INFO, action, LOG_USER(name), LOG_NSP(nsp),
              LOG_TEXT("subject", subject), LOG_TEXT("code", code),
              LOG_TEXT("address", entry.address), LOG_END);
}

static bool get_name(const cvn_event *event, size_t index, char ret[ADMIN_MAX_NAME])
{
    return cvn_json_string(cvn_event_arg(event, index), ret, ADMIN_MAX_NAME) && ret[0] != '\0';
}

/* The filter may be missing, null or empty. */
static bool get_filter(const cvn_event *event, size_t index, char ret[ADMIN_MAX_NAME])
{
    cvn_slice value = cvn_event_arg(event, index);
    cvn_json_type type = cvn_json_type_of(value);
    ret[0] = '\0';
    return type == CVN_JSON_NONE || type == CVN_JSON_NULL ||
           cvn_json_string(value, ret, ADMIN_MAX_NAME);
}

/* Reads the namespace and the filter. */
static void begin(struct command *command, struct admin *admin, cvn_socket *socket,
                  const cvn_event *event, size_t filter_at)
{
    const struct admin_identity *identity = cvn_socket_data(socket);
    *command = (struct command){.admin = admin, .socket = socket, .event = event};
    snprintf(command->name, sizeof command->name, "%s", identity->name);
    if (!get_name(event, 0, command->nsp_name) || !get_filter(event, filter_at, command->filter)) {
        command->code = "VALIDATION";
        return;
    }
    command->nsp = cvn_find_namespace(admin->server, command->nsp_name);
    if (command->nsp == NULL)
        command->code = "NOT_FOUND";
    command->target = (cvn_target){.nsp = command->nsp};
    if (command->filter[0] != '\0')
        command->target.rooms[0] = command->filter;
}

/* Writes down what became of it, and answers. */
static void end(struct command *command, const char *action, const char *what, enum cvn_error error)
{
    char subject[2 * ADMIN_MAX_NAME + 8], answer[96];
    if (command->code == NULL && error != CVN_OK)
        command->code = error == CVN_ERR_MEMORY ? "UNAVAILABLE" : "VALIDATION";
    snprintf(subject, sizeof subject, "%s%s%s", what, what[0] != '\0' ? " of " : "",
             command->filter[0] != '\0' ? command->filter : "all");
    admin_audit(command->admin, action, command->socket, command->name, subject, command->nsp_name,
                command->code);
    snprintf(answer, sizeof answer,
             command->code != NULL ? "{\"ok\":false,\"error\":{\"code\":\"%s\"}}" : "{\"ok\":true}",
             command->code);
    cvn_ack(command->event, answer);
    cvn_namespace_unref(command->nsp);
}

static void on_join(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct command command;
    char room[ADMIN_MAX_NAME];
    enum cvn_error error = CVN_OK;
    begin(&command, data, socket, event, 2);
    if (!get_name(event, 1, room))
        command.code = "VALIDATION";
    if (command.code == NULL)
        error = cvn_sockets_join(&command.target, room);
    end(&command, "admin_join", room, error);
}

static void on_leave(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct command command;
    char room[ADMIN_MAX_NAME];
    enum cvn_error error = CVN_OK;
    begin(&command, data, socket, event, 2);
    if (!get_name(event, 1, room))
        command.code = "VALIDATION";
    if (command.code == NULL)
        error = cvn_sockets_leave(&command.target, room);
    end(&command, "admin_leave", room, error);
}

static void on_disconnect(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct command command;
    enum cvn_error error = CVN_OK;
    bool close = cvn_json_type_of(cvn_event_arg(event, 1)) == CVN_JSON_TRUE;
    begin(&command, data, socket, event, 2);
    cvn_socket_ref(socket); /* it may be meant itself */
    if (command.code == NULL)
        error = cvn_sockets_disconnect(&command.target, close);
    end(&command, "admin_disconnect", close ? "connection" : "", error);
    cvn_socket_unref(socket);
}

/* The arguments from number 3 on, as they came. */
static cvn_args rest_of(const cvn_event *event)
{
    cvn_args args = cvn_event_args(event);
    const char *end = args.json.data + args.json.size;
    cvn_slice first = cvn_args_at(args, 3);
    args.json =
        first.size > 0 ? (cvn_slice){first.data, (size_t)(end - first.data)} : (cvn_slice){NULL, 0};
    return args;
}

static void on_emit(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct command command;
    char name[ADMIN_MAX_NAME];
    enum cvn_error error = CVN_OK;
    begin(&command, data, socket, event, 1);
    if (!get_name(event, 2, name))
        command.code = "VALIDATION";
    if (command.code == NULL)
        error = cvn_emit(&command.target, name, rest_of(event));
    end(&command, "admin_emit", name, error);
}

void admin_command_register(struct admin *admin)
{
    cvn_on(admin->nsp, "join", on_join, admin);
    cvn_on(admin->nsp, "leave", on_leave, admin);
    cvn_on(admin->nsp, "_disconnect", on_disconnect, admin);
    cvn_on(admin->nsp, "emit", on_emit, admin);
}
