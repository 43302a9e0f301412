/*
 * Events from node to node. Sending: any thread, straight to the adapter. Receiving: the handlers run on worker 0, so one at a time and in
 * the order in which the adapter brought them.
 */
#include "sio/sio_serverside.h"
#include "sio/sio_target.h"
#include "base/mem.h"

/* --- Sending --- */

enum cvn_error sio_serverside_check(const struct sio_server *server, cvn_slice event, cvn_args args)
{
    if (event.size == 0 || event.size > SIO_MAX_EVENT_NAME || sio_packet_is_reserved(event))
        return CVN_ERR_ARGUMENT;
    return sio_encode_check_args(args, &server->options.emits);
}

static enum cvn_error emit(cvn_namespace *nsp, const char *event, cvn_args args,
                           uint32_t timeout_ms, const struct sio_request_end *end)
{
    enum cvn_error error = sio_target_check(nsp);
    if (error == CVN_OK && nsp->rule != NULL)
        error = CVN_ERR_ARGUMENT; /* a parent is none of the namespaces that the others have */
    if (error == CVN_OK)
        error = sio_serverside_check(nsp->server, cvn_str(event), args);
    if (error != CVN_OK)
        return error;
    struct sio_op op = {
        .type = SIO_OP_SERVER_EMIT,
        .nsp = nsp,
        .event = event,
        .args = args,
        .timeout_ms = timeout_ms,
    };
    struct sio_adapter *adapter = nsp->server->adapter;
    uint64_t unused;
    if (end == NULL)
        return adapter->publish(adapter, &op);
    error = sio_request_number(&op, &unused);
    return error != CVN_OK ? error : sio_request_begin(&op, end);
}

enum cvn_error cvn_server_side_emit(cvn_namespace *nsp, const char *event, cvn_args args)
{
    return emit(nsp, event, args, 0, NULL);
}

enum cvn_error cvn_server_side_emit_ack(cvn_namespace *nsp, const char *event, cvn_args args,
                                        uint32_t timeout_ms, cvn_answers_fn fn, void *data)
{
    if (fn == NULL)
        return CVN_ERR_ARGUMENT;
    return emit(nsp, event, args, timeout_ms,
                &(struct sio_request_end){.on_answers = fn, .data = data});
}

/* --- Receiving --- */

/* An answer put off. */
struct cvn_server_later {
    struct sio_server *server;
    struct sio_asker *asker;
};

struct cvn_server_event {
    struct mail mail;
    struct sio_op *op;       /* a reference */
    struct sio_asker *asker; /* NULL: nobody waits, or has been answered */
    bool wants_answer;
    cvn_slice node;
    char node_text[];
};

static void event_free(struct cvn_server_event *event)
{
    sio_op_unref(event->op);
    mem_free(event->asker);
    mem_free(event);
}

static void run_handlers(struct cvn_server_event *event)
{
    struct cvn_namespace *nsp = event->op->nsp;
    const struct sio_handlers *handlers =
        sio_handlers_of_server_event(nsp->handlers, cvn_str(event->op->event));
    for (size_t i = 0; handlers != NULL && i < handlers->count; i++)
        handlers->items[i].fn.server_side(nsp, event, handlers->items[i].data);
    if (event->asker != NULL)
        sio_asker_tell_event(nsp->server, event->asker,
                             handlers == NULL ? CVN_ERR_NOT_FOUND : CVN_ERR_STATE, cvn_json(NULL));
}

static void on_event(struct mail *mail, struct worker *worker)
{
    struct cvn_server_event *event = CONTAINER_OF(mail, struct cvn_server_event, mail);
    (void)worker;
    run_handlers(event);
    event_free(event);
}

static void on_event_discarded(struct mail *mail)
{
    event_free(CONTAINER_OF(mail, struct cvn_server_event, mail));
}

enum cvn_error sio_serverside_receive(const struct sio_op *op, cvn_slice node,
                                      struct sio_asker *asker)
{
    struct sio_server *server = op->nsp->server;
    struct cvn_server_event *event = mem_zalloc(sizeof *event + node.size);
    if (event == NULL)
        return CVN_ERR_MEMORY;
    event->op = sio_op_ref(op);
    if (event->op == NULL) {
        mem_free(event);
        return CVN_ERR_MEMORY;
    }
    if (node.size > 0)
        memcpy(event->node_text, node.data, node.size);
    event->node = slice_of(event->node_text, node.size);
    event->asker = asker;
    event->wants_answer = asker != NULL;
    event->mail.deliver = on_event;
    event->mail.discard = on_event_discarded;
    worker_post(server->workers[0]->worker, &event->mail);
    return CVN_OK;
}

/* --- What handlers do with it --- */

cvn_slice cvn_server_event_name(const cvn_server_event *event)
{
    return cvn_str(event->op->event);
}

cvn_args cvn_server_event_args(const cvn_server_event *event)
{
    return event->op->args;
}

cvn_slice cvn_server_event_node(const cvn_server_event *event)
{
    return event->node;
}

bool cvn_server_event_wants_answer(const cvn_server_event *event)
{
    return event->wants_answer;
}

static enum cvn_error answer(struct sio_server *server, const struct sio_asker *asker,
                             cvn_args args)
{
    enum cvn_error error = sio_encode_check_args(args, &server->options.emits);
    return error != CVN_OK ? error : sio_asker_tell_event(server, asker, CVN_OK, args);
}

/* The handlers see a const event. */
static struct sio_asker *take_asker(const cvn_server_event *event)
{
    struct cvn_server_event *own = (struct cvn_server_event *)event;
    struct sio_asker *asker = own->asker;
    own->asker = NULL;
    return asker;
}

enum cvn_error cvn_server_event_answer(const cvn_server_event *event, cvn_args args)
{
    if (!event->wants_answer)
        return CVN_OK;
    if (event->asker == NULL)
        return CVN_ERR_STATE;
    enum cvn_error error = answer(event->op->nsp->server, event->asker, args);
    if (error == CVN_OK)
        mem_free(take_asker(event));
    return error;
}

cvn_server_later *cvn_server_event_later(const cvn_server_event *event)
{
    if (event->asker == NULL)
        return NULL;
    struct cvn_server_later *later = mem_zalloc(sizeof *later);
    if (later == NULL)
        return NULL;
    later->server = event->op->nsp->server;
    later->asker = take_asker(event);
    return later;
}

static void later_free(cvn_server_later *later)
{
    mem_free(later->asker);
    mem_free(later);
}

enum cvn_error cvn_server_later_send(cvn_server_later *later, cvn_args args)
{
    enum cvn_error error = answer(later->server, later->asker, args);
    if (error == CVN_ERR_JSON || error == CVN_ERR_LIMIT) {
        cvn_server_later_drop(later); /* tells the other server, too */
        return error;
    }
    later_free(later);
    return error;
}

void cvn_server_later_drop(cvn_server_later *later)
{
    if (later == NULL)
        return;
    sio_asker_tell_event(later->server, later->asker, CVN_ERR_STATE, cvn_json(NULL));
    later_free(later);
}
