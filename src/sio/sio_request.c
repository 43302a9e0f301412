/*
 * Requests on their home worker, and the replies that workers and other nodes send there. A reply of the home worker itself is taken directly,
 * others come as mail; those of one worker arrive in their order. A reply to a request that has ended meanwhile is dropped. Everything runs
 * on the worker named; the table belongs to the home worker alone.
 *
 * A request that another node makes is one here as well: what our workers reply is passed on, the count once they have all counted, then every
 * answer as it comes.
 */
#include "sio/sio_request.h"
#include "sio/sio_adapter.h"
#include "sio/sio_asker.h"
#include "sio/sio_outgoing.h"
#include "sio/sio_select.h"
#include "base/mem.h"

struct sio_request {
    uint64_t id; /* its key in the home's table */
    struct sio_worker *home;
    struct sio_request_end end;
    struct timer timer;
    struct worker_task task; /* tells the application, outside of whatever happens now */
    unsigned workers_left;   /* that have not yet said how many they ask */
    unsigned peers_left;     /* the same of other nodes */
    size_t asked, settled;   /* sockets, or nodes */
    uint8_t type;            /* enum sio_op_type */
    bool ended;
    bool is_counted; /* the asker knows how many are asked */
    enum cvn_error error;
    struct list answers; /* of struct sio_answer */
    struct list remotes; /* of struct cvn_remote_socket */
    size_t count, bytes; /* in either list */
    size_t failed;       /* settled without an answer, and the asker does not know yet */
    enum cvn_error failure;
    enum cvn_error count_error; /* a worker could not ask its sockets */
};

/* From a worker, or from a thread that has heard of another node, to the home of a request. */
struct reply {
    struct mail mail;
    struct sio_server *server;
    struct sio_origin origin;
    bool is_first;         /* of this worker or node: tells how many were asked */
    bool from_peer;        /* of another node */
    uint8_t type;          /* then: what it answers, enum sio_op_type */
    bool is_end;           /* nothing will come: the op did not go out */
    size_t asked, settled; /* settled: of them, for whom no answer will come later */
    enum cvn_error error;
    struct sio_answer *answer; /* or NULL */
    struct list remotes;       /* of struct cvn_remote_socket */
};

/* --- The table --- */

static cvn_slice request_key(const void *value)
{
    const struct sio_request *request = value;
    return slice_of((const char *)&request->id, sizeof request->id);
}

void sio_request_init(struct sio_worker *worker)
{
    map_init(&worker->requests, request_key);
}

/* --- The end of a request --- */

static void tell_answers(const struct sio_request *request)
{
    enum cvn_error error = request->error;
    cvn_answers answers = {.asked = request->asked};
    cvn_answer *items = NULL;
    if (request->count > 0) {
        items = mem_alloc(request->count * sizeof *items);
        if (items == NULL)
            error = CVN_ERR_MEMORY;
    }
    if (items != NULL)
        LIST_FOR_EACH (node, &request->answers) {
            const struct sio_answer *answer = CONTAINER_OF(node, struct sio_answer, link);
            items[answers.count++] = (cvn_answer){answer->id, answer->args, answer->node};
        }
    answers.items = items;
    request->end.on_answers(error, &answers, request->end.data);
    mem_free(items);
}

static void tell_sockets(const struct sio_request *request)
{
    enum cvn_error error = request->error;
    size_t count = 0;
    const cvn_remote_socket **items = NULL;
    if (request->count > 0) {
        items = mem_alloc(request->count * sizeof(cvn_remote_socket *));
        if (items == NULL)
            error = CVN_ERR_MEMORY;
    }
    if (items != NULL)
        LIST_FOR_EACH (node, &request->remotes)
            items[count++] = CONTAINER_OF(node, struct cvn_remote_socket, link);
    request->end.on_sockets(error, items, count, request->end.data);
    mem_free((void *)items);
}

static void request_free(struct sio_request *request)
{
    map_remove(&request->home->requests, request_key(request));
    sio_answer_free_all(&request->answers);
    sio_remote_free_all(&request->remotes);
    mem_free(request->end.asker);
    mem_free(request);
}

static void tell(struct sio_request *request)
{
    if (request->end.asker != NULL) {
        if (request->type == SIO_OP_FETCH)
            sio_asker_tell_sockets(request->home->server, request->end.asker, request->error,
                                   &request->remotes);
    } else if (request->end.on_answers != NULL)
        tell_answers(request);
    else
        tell_sockets(request);
    request_free(request);
}

static void on_task(struct worker_task *task)
{
    tell(CONTAINER_OF(task, struct sio_request, task));
}

static void finish(struct sio_request *request, enum cvn_error error)
{
    struct worker *worker = request->home->worker;
    if (request->ended)
        return;
    request->ended = true;
    if (request->error == CVN_OK)
        request->error = error;
    wheel_cancel(&worker->wheel, &request->timer);
    request->task.run = on_task;
    worker_defer(worker, &request->task);
}

static void on_timeout(struct timer *timer)
{
    finish(CONTAINER_OF(timer, struct sio_request, timer), CVN_ERR_TIMEOUT);
}

void sio_request_end_all(struct sio_worker *worker)
{
    size_t cursor = 0;
    struct sio_request *request;
    while ((request = map_next(&worker->requests, &cursor)) != NULL) {
        if (!request->ended)
            request->error = CVN_ERR_STATE;
        tell(request);
        cursor = 0; /* the table has changed */
    }
    map_release(&worker->requests);
}

/* --- Replies --- */

static void reply_free(struct reply *reply)
{
    mem_free(reply->answer);
    sio_remote_free_all(&reply->remotes);
    mem_free(reply);
}

/* False: there is none, or it would be too much. */
static bool take_answer(struct sio_request *request, struct reply *reply)
{
    struct sio_answer *answer = reply->answer;
    if (answer == NULL)
        return false;
    if (answer->size > SIO_REQUEST_MAX_BYTES - request->bytes) {
        request->error = CVN_ERR_LIMIT;
        return false;
    }
    reply->answer = NULL;
    list_append(&request->answers, &answer->link);
    request->bytes += answer->size;
    request->count++;
    return true;
}

/* Other nodes' descriptions are bounded, as nobody knows what comes from there. */
static void take_remotes(struct sio_request *request, struct reply *reply)
{
    while (!list_is_empty(&reply->remotes)) {
        struct cvn_remote_socket *remote =
            CONTAINER_OF(reply->remotes.next, struct cvn_remote_socket, link);
        if (reply->from_peer && remote->size > SIO_REQUEST_MAX_BYTES - request->bytes) {
            request->error = CVN_ERR_LIMIT;
            return;
        }
        if (reply->from_peer)
            request->bytes += remote->size;
        list_remove(&remote->link);
        list_append(&request->remotes, &remote->link);
        request->count++;
    }
}

/* Passes on what has come, once all workers have counted: the count first. */
static void tell_asker(struct sio_request *request)
{
    struct sio_server *server = request->home->server;
    const struct sio_asker *asker = request->end.asker;
    if (request->workers_left > 0 || request->type == SIO_OP_FETCH)
        return;
    if (!request->is_counted)
        sio_asker_tell_count(server, asker, request->count_error, request->asked);
    request->is_counted = true;
    LIST_FOR_EACH (node, &request->answers) {
        const struct sio_answer *answer = CONTAINER_OF(node, struct sio_answer, link);
        sio_asker_tell_ack(server, asker, CVN_OK, answer->id, answer->args);
    }
    sio_answer_free_all(&request->answers);
    request->bytes = request->count = 0;
    for (; request->failed > 0; request->failed--)
        sio_asker_tell_ack(server, asker, request->failure, "", cvn_json(NULL));
}

static void take_reply(struct sio_worker *home, struct reply *reply)
{
    struct sio_request *request =
        map_get(&home->requests,
                slice_of((const char *)&reply->origin.request, sizeof reply->origin.request));
    if (request == NULL || request->ended ||
        (reply->from_peer && (request->end.asker != NULL || reply->type != request->type)))
        goto out;
    if (reply->is_first && !reply->from_peer)
        request->workers_left--;
    else if (reply->is_first && request->peers_left > 0)
        request->peers_left--; /* one that was not expected is as welcome */
    if (reply->is_first && reply->settled == 0 && reply->error != CVN_OK)
        request->count_error = reply->error;
    request->asked += reply->asked;
    request->settled += reply->settled;
    if (request->error == CVN_OK)
        request->error = reply->error;
    if (!take_answer(request, reply))
        request->failed += reply->settled;
    request->failure = request->error;
    take_remotes(request, reply);
    if (request->end.asker != NULL)
        tell_asker(request);
    if (reply->is_end || (request->workers_left == 0 && request->peers_left == 0 &&
                          request->settled >= request->asked))
        finish(request, CVN_OK);
out:
    reply_free(reply);
}

static void on_reply(struct mail *mail, struct worker *worker)
{
    struct reply *reply = CONTAINER_OF(mail, struct reply, mail);
    take_reply(reply->server->workers[worker->index], reply);
}

static void on_reply_discarded(struct mail *mail)
{
    reply_free(CONTAINER_OF(mail, struct reply, mail));
}

/* NULL when memory has run out: the request then ends by its timeout. */
static struct reply *reply_new(struct sio_server *server, struct sio_origin origin)
{
    struct reply *reply = mem_zalloc(sizeof *reply);
    if (reply == NULL)
        return NULL;
    reply->server = server;
    reply->origin = origin;
    list_init(&reply->remotes);
    return reply;
}

/* `worker` is the calling thread's; NULL: it is none's. */
static void send_reply(const struct sio_worker *worker, struct reply *reply)
{
    struct sio_worker *home = reply->server->workers[reply->origin.worker];
    if (home == worker) {
        take_reply(home, reply);
        return;
    }
    reply->mail.deliver = on_reply;
    reply->mail.discard = on_reply_discarded;
    worker_post(home->worker, &reply->mail);
}

/* --- Asking the sockets of one worker --- */

struct asking {
    const struct sio_op *op;
    struct reply *reply;
    struct sio_collected heard; /* asked, and catch-all listeners are to know */
};

/* The same for all sockets that are asked: their packets are one. */
static uint64_t ack_id(const struct sio_op *op)
{
    return SIO_REQUEST_FIRST_ACK_ID + op->origin.request % SIO_REQUEST_FIRST_ACK_ID;
}

/* `data` is a reference to the op. */
static void on_socket_ack(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    struct sio_op *op = data;
    struct sio_worker *worker = socket->local->worker;
    struct reply *reply = reply_new(worker->server, op->origin);
    if (reply != NULL) {
        reply->settled = 1;
        reply->error = error;
        if (error == CVN_OK) {
            reply->answer = sio_answer_new(slice_of(socket->id, SIO_ID_SIZE), SLICE(""), args);
            if (reply->answer == NULL)
                reply->error = CVN_ERR_MEMORY;
        }
        send_reply(worker, reply);
    }
    sio_op_unref(op);
}

static void ask(struct cvn_socket *socket, void *data)
{
    struct asking *asking = data;
    struct sio_op *op = sio_op_ref(asking->op);
    struct reply *reply = asking->reply;
    uint64_t id = ack_id(op);
    reply->asked++;
    enum cvn_error error = sio_ack_add(socket, id, op->timeout_ms, on_socket_ack, op);
    if (error == CVN_OK && sio_socket_send(socket, &op->frames)) {
        if (sio_outgoing_is_heard(op->nsp))
            sio_collect(&asking->heard, socket);
        return;
    }
    if (error == CVN_OK) { /* volatile, and it does not keep up: as if it was never asked */
        sio_ack_remove(socket, id);
        reply->asked--;
    } else {
        reply->settled++;
        reply->error = error;
    }
    sio_op_unref(op);
}

static void look_at(struct cvn_socket *socket, void *data)
{
    struct reply *reply = ((const struct asking *)data)->reply;
    struct cvn_remote_socket *remote = sio_remote_new(socket);
    if (remote != NULL)
        list_append(&reply->remotes, &remote->link);
    else
        reply->error = CVN_ERR_MEMORY;
}

void sio_request_answer(struct sio_worker *worker, const struct sio_op *op)
{
    struct sio_op *kept = sio_op_ref(op); /* one copy for all who are asked */
    struct asking asking = {.op = kept, .reply = reply_new(worker->server, op->origin)};
    if (asking.reply == NULL)
        goto out;
    asking.reply->is_first = true;
    if (kept != NULL)
        sio_select_each(worker, kept, op->type == SIO_OP_EMIT ? ask : look_at, &asking);
    else
        asking.reply->error = CVN_ERR_MEMORY;
    send_reply(worker, asking.reply);
    sio_outgoing_tell_all(&asking.heard, op->event, op->args);
out:
    sio_op_unref(kept);
}

/* --- Answers of other nodes --- */

/* Takes the sockets of a peer's answer, which has been checked. */
static void add_remotes(struct reply *reply, const cvn_cluster_answer *answer)
{
    for (size_t i = 0; i < answer->socket_count; i++) {
        struct cvn_remote_socket *remote =
            sio_remote_new_foreign(answer->from, &answer->sockets[i]);
        if (remote == NULL) {
            reply->error = CVN_ERR_MEMORY;
            return;
        }
        list_append(&reply->remotes, &remote->link);
    }
}

enum cvn_error sio_request_receive(struct sio_server *server, struct sio_origin origin,
                                   const cvn_cluster_answer *answer)
{
    struct reply *reply = reply_new(server, origin);
    if (reply == NULL)
        return CVN_ERR_MEMORY;
    reply->from_peer = true;
    reply->error = answer->error;
    reply->is_first = answer->type != CVN_CLUSTER_ACK;
    reply->type = answer->type == CVN_CLUSTER_SOCKETS      ? SIO_OP_FETCH
                  : answer->type == CVN_CLUSTER_SERVER_ACK ? SIO_OP_SERVER_EMIT
                                                           : SIO_OP_EMIT;
    if (answer->type == CVN_CLUSTER_CLIENT_COUNT)
        reply->asked = answer->client_count;
    if (answer->type == CVN_CLUSTER_ACK || answer->type == CVN_CLUSTER_SERVER_ACK)
        reply->settled = 1;
    if (reply->settled == 1 && answer->error == CVN_OK) {
        reply->answer = sio_answer_new(answer->socket_id, answer->from, answer->args);
        if (reply->answer == NULL)
            reply->error = CVN_ERR_MEMORY;
    }
    if (answer->type == CVN_CLUSTER_SOCKETS)
        add_remotes(reply, answer);
    enum cvn_error error = reply->error != answer->error ? reply->error : CVN_OK;
    send_reply(sio_server_own_worker(server), reply);
    return error;
}

/* --- Beginning --- */

/* A request on its way to its home, or already there. */
struct errand {
    struct mail mail;
    struct sio_server *server;
    uint64_t id;
    unsigned workers, peers; /* whose first replies it waits for */
    uint32_t timeout_ms;
    uint8_t type; /* enum sio_op_type */
    struct sio_request_end end;
};

static struct sio_request *request_new(struct sio_worker *home, const struct errand *errand)
{
    struct sio_request *request = mem_zalloc(sizeof *request);
    if (request == NULL)
        return NULL;
    request->id = errand->id;
    request->home = home;
    request->end = errand->end;
    request->type = errand->type;
    request->workers_left = errand->workers;
    request->peers_left = errand->peers;
    if (errand->type == SIO_OP_SERVER_EMIT)
        request->asked = errand->peers; /* nodes themselves */
    request->timer.fire = on_timeout;
    list_init(&request->answers);
    list_init(&request->remotes);
    if (!map_put(&home->requests, request)) {
        mem_free(request);
        return NULL;
    }
    wheel_arm(&home->worker->wheel, &request->timer, errand->timeout_ms);
    if (errand->workers + errand->peers == 0)
        finish(request, CVN_OK); /* nobody will say anything */
    return request;
}

/* Who will reply to `op`. */
static void count_repliers(const struct sio_op *op, struct errand *errand)
{
    const struct sio_server *server = op->nsp->server;
    struct sio_adapter *adapter = server->adapter;
    if (op->type != SIO_OP_SERVER_EMIT)
        errand->workers = op->flags & CVN_LOCAL_WORKER ? 1 : server->worker_count;
    if (sio_adapter_leaves_node(op))
        errand->peers = adapter->peers(adapter, sio_namespace_name(op->nsp));
}

static enum cvn_error publish(const struct sio_op *op)
{
    struct sio_adapter *adapter = op->nsp->server->adapter;
    return adapter->publish(adapter, op);
}

static enum cvn_error begin_at_home(struct sio_worker *home, const struct sio_op *op,
                                    const struct errand *errand)
{
    struct sio_request *request = request_new(home, errand);
    if (request == NULL)
        return CVN_ERR_MEMORY;
    enum cvn_error error = publish(op);
    if (error != CVN_OK) {
        wheel_cancel(&home->worker->wheel, &request->timer);
        worker_task_cancel(&request->task);
        request->end.asker = NULL; /* the caller's again */
        request_free(request);
    }
    return error;
}

/* The application has already been told that the request runs: now a failure is its end. */
static void tell_failure(const struct sio_request_end *end, enum cvn_error error)
{
    if (end->asker != NULL)
        mem_free(end->asker); /* it waits for nothing, like one whose node has died */
    else if (end->on_answers != NULL)
        end->on_answers(error, &(cvn_answers){0}, end->data);
    else
        end->on_sockets(error, NULL, 0, end->data);
}

static void on_errand(struct mail *mail, struct worker *worker)
{
    struct errand *errand = CONTAINER_OF(mail, struct errand, mail);
    if (request_new(errand->server->workers[worker->index], errand) == NULL)
        tell_failure(&errand->end, CVN_ERR_MEMORY);
    mem_free(errand);
}

static void on_errand_discarded(struct mail *mail)
{
    struct errand *errand = CONTAINER_OF(mail, struct errand, mail);
    tell_failure(&errand->end, CVN_ERR_STATE);
    mem_free(errand);
}

/*
 * From a thread without a worker. The request is posted home before the op goes out, so it is there before any reply; and the op goes out from
 * this thread, in the order of its other ops.
 */
static enum cvn_error begin_elsewhere(const struct sio_op *op, const struct errand *template)
{
    struct sio_server *server = op->nsp->server;
    struct errand *errand = mem_dup(template, sizeof *template);
    struct reply *failure = reply_new(server, op->origin); /* so that it can be told */
    if (errand == NULL || failure == NULL) {
        mem_free(errand);
        mem_free(failure);
        return CVN_ERR_MEMORY;
    }
    errand->mail.deliver = on_errand;
    errand->mail.discard = on_errand_discarded;
    worker_post(server->workers[op->origin.worker]->worker, &errand->mail);
    failure->error = publish(op);
    failure->is_end = true;
    if (failure->error != CVN_OK)
        send_reply(NULL, failure);
    else
        reply_free(failure);
    return CVN_OK;
}

enum cvn_error sio_request_number(struct sio_op *op, uint64_t *ret_ack_id)
{
    struct sio_server *server = op->nsp->server;
    const struct sio_worker *self = sio_server_own_worker(server);
    if (op->nsp->rule != NULL || (self == NULL && (op->flags & CVN_LOCAL_WORKER)))
        return CVN_ERR_ARGUMENT;
    op->origin.request = 1 + atomic_fetch_add(&server->last_request, 1);
    op->origin.worker = self != NULL ? self->worker->index : 0;
    if (op->timeout_ms == 0)
        op->timeout_ms = SIO_REQUEST_TIMEOUT_MS;
    *ret_ack_id = ack_id(op);
    return CVN_OK;
}

enum cvn_error sio_request_begin(const struct sio_op *op, const struct sio_request_end *end)
{
    struct sio_server *server = op->nsp->server;
    struct sio_worker *self = sio_server_own_worker(server);
    struct errand errand = {
        .server = server,
        .id = op->origin.request,
        .timeout_ms = op->timeout_ms,
        .type = op->type,
        .end = *end,
    };
    count_repliers(op, &errand);
    return self != NULL ? begin_at_home(self, op, &errand) : begin_elsewhere(op, &errand);
}
