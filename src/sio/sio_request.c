/*
 * Requests on their home worker, and the replies that workers send there. A reply of the home worker itself is taken directly, others come
 * as mail; those of one worker arrive in their order. A reply to a request that has ended meanwhile is dropped. Everything runs on the
 * worker named; the table belongs to the home worker alone.
 */
#include "sio/sio_request.h"
#include "sio/sio_adapter.h"
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
    size_t asked, settled;   /* sockets */
    bool ended;
    enum cvn_error error;
    struct list answers; /* of struct answer */
    struct list remotes; /* of struct cvn_remote_socket */
    size_t count, bytes; /* in either list */
};

/* One socket's acknowledgement, in one allocation. */
struct answer {
    struct list link;
    char id[SIO_ID_SIZE + 1];
    cvn_args args;
    size_t size;
    cvn_slice attachments[];
};

struct cvn_remote_socket {
    struct list link;
    char id[SIO_ID_SIZE + 1];
    unsigned worker;
    struct sio_handshake *handshake; /* references */
    struct message *auth, *attributes;
    size_t room_count; /* without its own id's */
    char rooms[];      /* names, each with a NUL */
};

/* From a worker to the home of a request. */
struct reply {
    struct mail mail;
    struct sio_server *server;
    struct sio_origin origin;
    bool is_first;         /* of this worker: tells how many were asked */
    size_t asked, settled; /* settled: of them, for whom no answer will come later */
    enum cvn_error error;
    struct answer *answer; /* or NULL */
    struct list remotes;   /* of struct cvn_remote_socket */
};

/* --- Pieces --- */

static struct answer *answer_new(const char *id, cvn_args args)
{
    size_t bytes = args.json.size;
    for (size_t i = 0; i < args.attachment_count; i++)
        bytes += args.attachments[i].size;
    struct answer *answer =
        mem_zalloc(sizeof *answer + args.attachment_count * sizeof(cvn_slice) + bytes);
    if (answer == NULL)
        return NULL;
    memcpy(answer->id, id, SIO_ID_SIZE);
    answer->size = bytes;
    char *to = (char *)(answer->attachments + args.attachment_count);
    if (args.json.size > 0)
        memcpy(to, args.json.data, args.json.size);
    answer->args.json = slice_of(to, args.json.size);
    to += args.json.size;
    for (size_t i = 0; i < args.attachment_count; i++) {
        if (args.attachments[i].size > 0)
            memcpy(to, args.attachments[i].data, args.attachments[i].size);
        answer->attachments[i] = slice_of(to, args.attachments[i].size);
        to += args.attachments[i].size;
    }
    answer->args.attachments = answer->attachments;
    answer->args.attachment_count = args.attachment_count;
    return answer;
}

static struct cvn_remote_socket *remote_new(const struct cvn_socket *socket)
{
    size_t size = 0;
    for (uint32_t i = 0; i < socket->room_count; i++)
        size += socket->rooms[i].room->name_size + 1;
    struct cvn_remote_socket *remote = mem_zalloc(sizeof *remote + size);
    if (remote == NULL)
        return NULL;
    memcpy(remote->id, socket->id, SIO_ID_SIZE);
    remote->worker = socket->local->worker->worker->index;
    remote->handshake = sio_handshake_ref(socket->handshake);
    remote->auth = socket->auth != NULL ? message_ref(socket->auth) : NULL;
    remote->attributes = socket->attributes != NULL ? message_ref(socket->attributes) : NULL;
    remote->room_count = socket->room_count;
    char *to = remote->rooms;
    for (uint32_t i = 0; i < socket->room_count; i++) {
        const struct sio_room *room = socket->rooms[i].room;
        memcpy(to, room->name, room->name_size + 1);
        to += room->name_size + 1;
    }
    return remote;
}

static void free_remotes(struct list *remotes)
{
    while (!list_is_empty(remotes)) {
        struct cvn_remote_socket *remote =
            CONTAINER_OF(remotes->next, struct cvn_remote_socket, link);
        list_remove(&remote->link);
        sio_handshake_unref(remote->handshake);
        message_unref(remote->auth);
        message_unref(remote->attributes);
        mem_free(remote);
    }
}

static void free_answers(struct list *answers)
{
    while (!list_is_empty(answers)) {
        struct answer *answer = CONTAINER_OF(answers->next, struct answer, link);
        list_remove(&answer->link);
        mem_free(answer);
    }
}

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
            const struct answer *answer = CONTAINER_OF(node, struct answer, link);
            items[answers.count++] = (cvn_answer){answer->id, answer->args};
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
    free_answers(&request->answers);
    free_remotes(&request->remotes);
    mem_free(request);
}

static void tell(struct sio_request *request)
{
    if (request->end.on_answers != NULL)
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
    free_remotes(&reply->remotes);
    mem_free(reply);
}

static void take_answer(struct sio_request *request, struct reply *reply)
{
    struct answer *answer = reply->answer;
    if (answer == NULL)
        return;
    if (answer->size > SIO_REQUEST_MAX_BYTES - request->bytes) {
        request->error = CVN_ERR_LIMIT;
        return;
    }
    reply->answer = NULL;
    list_append(&request->answers, &answer->link);
    request->bytes += answer->size;
    request->count++;
}

static void take_reply(struct sio_worker *home, struct reply *reply)
{
    struct sio_request *request =
        map_get(&home->requests,
                slice_of((const char *)&reply->origin.request, sizeof reply->origin.request));
    if (request != NULL && !request->ended) {
        if (reply->is_first)
            request->workers_left--;
        request->asked += reply->asked;
        request->settled += reply->settled;
        if (request->error == CVN_OK)
            request->error = reply->error;
        take_answer(request, reply);
        LIST_FOR_EACH (node, &reply->remotes)
            request->count++;
        list_splice(&request->remotes, &reply->remotes);
        if (request->workers_left == 0 && request->settled == request->asked)
            finish(request, CVN_OK);
    }
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
static struct reply *reply_new(struct sio_worker *worker, const struct sio_op *op)
{
    struct reply *reply = mem_zalloc(sizeof *reply);
    if (reply == NULL)
        return NULL;
    reply->server = worker->server;
    reply->origin = op->origin;
    list_init(&reply->remotes);
    return reply;
}

static void send_reply(struct sio_worker *worker, struct reply *reply)
{
    struct sio_worker *home = worker->server->workers[reply->origin.worker];
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
    struct reply *reply = reply_new(worker, op);
    if (reply != NULL) {
        reply->settled = 1;
        reply->error = error;
        if (error == CVN_OK) {
            reply->answer = answer_new(socket->id, args);
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
    const struct sio_op *op = asking->op;
    struct reply *reply = asking->reply;
    uint64_t id = ack_id(op);
    enum cvn_error error = CVN_ERR_MEMORY;
    struct sio_op *kept = sio_op_ref(op);
    reply->asked++;
    if (kept != NULL)
        error = sio_ack_add(socket, id, op->timeout_ms, on_socket_ack, kept);
    if (error == CVN_OK && sio_socket_send(socket, &op->frames)) {
        if (op->event != NULL)
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
    sio_op_unref(kept);
}

static void look_at(struct cvn_socket *socket, void *data)
{
    struct reply *reply = ((const struct asking *)data)->reply;
    struct cvn_remote_socket *remote = remote_new(socket);
    if (remote != NULL)
        list_append(&reply->remotes, &remote->link);
    else
        reply->error = CVN_ERR_MEMORY;
}

void sio_request_answer(struct sio_worker *worker, const struct sio_op *op)
{
    struct asking asking = {.op = op, .reply = reply_new(worker, op)};
    if (asking.reply == NULL)
        return;
    asking.reply->is_first = true;
    sio_select_each(worker, op, op->type == SIO_OP_EMIT ? ask : look_at, &asking);
    send_reply(worker, asking.reply);
    sio_outgoing_tell_all(&asking.heard, op->event, op->args);
}

/* --- Beginning --- */

static struct sio_request *request_new(struct sio_worker *home, const struct sio_op *op,
                                       const struct sio_request_end *end)
{
    struct sio_request *request = mem_zalloc(sizeof *request);
    if (request == NULL)
        return NULL;
    request->id = op->origin.request;
    request->home = home;
    request->end = *end;
    request->workers_left = op->flags & CVN_LOCAL_WORKER ? 1 : home->server->worker_count;
    request->timer.fire = on_timeout;
    list_init(&request->answers);
    list_init(&request->remotes);
    if (!map_put(&home->requests, request)) {
        mem_free(request);
        return NULL;
    }
    return request;
}

static enum cvn_error begin_at_home(struct sio_worker *home, const struct sio_op *op,
                                    const struct sio_request_end *end)
{
    struct sio_adapter *adapter = home->server->adapter;
    struct sio_request *request = request_new(home, op, end);
    if (request == NULL)
        return CVN_ERR_MEMORY;
    wheel_arm(&home->worker->wheel, &request->timer, op->timeout_ms);
    enum cvn_error error = adapter->publish(adapter, op);
    if (error != CVN_OK) {
        wheel_cancel(&home->worker->wheel, &request->timer);
        worker_task_cancel(&request->task);
        request_free(request);
    }
    return error;
}

/* A request from a thread without a worker, on its way to one. */
struct errand {
    struct mail mail;
    struct sio_op *op; /* a reference */
    struct sio_request_end end;
};

/* The application has already been told that the request runs: now a failure is its end. */
static void tell_failure(const struct sio_request_end *end, enum cvn_error error)
{
    if (end->on_answers != NULL)
        end->on_answers(error, &(cvn_answers){0}, end->data);
    else
        end->on_sockets(error, NULL, 0, end->data);
}

static void errand_free(struct errand *errand)
{
    sio_op_unref(errand->op);
    mem_free(errand);
}

static void on_errand(struct mail *mail, struct worker *worker)
{
    struct errand *errand = CONTAINER_OF(mail, struct errand, mail);
    struct sio_worker *home = errand->op->nsp->server->workers[worker->index];
    enum cvn_error error = begin_at_home(home, errand->op, &errand->end);
    if (error != CVN_OK)
        tell_failure(&errand->end, error);
    errand_free(errand);
}

static void on_errand_discarded(struct mail *mail)
{
    struct errand *errand = CONTAINER_OF(mail, struct errand, mail);
    tell_failure(&errand->end, CVN_ERR_STATE);
    errand_free(errand);
}

static enum cvn_error send_home(struct sio_worker *home, const struct sio_op *op,
                                const struct sio_request_end *end)
{
    struct errand *errand = mem_zalloc(sizeof *errand);
    if (errand == NULL)
        return CVN_ERR_MEMORY;
    errand->end = *end;
    errand->op = sio_op_ref(op);
    if (errand->op == NULL) {
        mem_free(errand);
        return CVN_ERR_MEMORY;
    }
    errand->mail.deliver = on_errand;
    errand->mail.discard = on_errand_discarded;
    worker_post(home->worker, &errand->mail);
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
    const struct sio_server *server = op->nsp->server;
    struct sio_worker *self = sio_server_own_worker(server);
    return self != NULL ? begin_at_home(self, op, end) : send_home(server->workers[0], op, end);
}

/* --- What a socket was like --- */

const char *cvn_remote_id(const cvn_remote_socket *remote)
{
    return remote->id;
}

unsigned cvn_remote_worker(const cvn_remote_socket *remote)
{
    return remote->worker;
}

const char *cvn_remote_room(const cvn_remote_socket *remote, size_t index)
{
    if (index == 0)
        return remote->id;
    if (index > remote->room_count)
        return NULL;
    const char *name = remote->rooms;
    for (size_t i = 1; i < index; i++)
        name += strlen(name) + 1;
    return name;
}

cvn_slice cvn_remote_attributes(const cvn_remote_socket *remote)
{
    return remote->attributes != NULL ? message_payload(remote->attributes) : SLICE("{}");
}

void sio_request_append_handshake(const cvn_remote_socket *remote, struct buf *buf)
{
    cvn_slice auth = remote->auth != NULL ? message_payload(remote->auth) : SLICE("{}");
    sio_handshake_append_json(remote->handshake, auth, buf);
}
