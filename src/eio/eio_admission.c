/*
 * Handshakes on which the layer above decides later. The request is parked below; its connection holds what the client sends meanwhile, within
 * the bounds of the HTTP layer. When the decision is there, or its time is up, the request comes again from its head (eio_handshake.c).
 *
 * Two hold an admission: the request, until it comes again or its client leaves; and whoever is to decide. Either may be first. Runs on
 * the instance's worker; a decision that comes after that worker has ended finds no request any more and only frees.
 */
#include "eio/eio_session.h"
#include "base/mem.h"

static void admission_resume(struct eio_admission *admission, enum eio_decision decision)
{
    struct http_request *request = admission->request;
    admission->decision = (uint8_t)decision;
    if (request == NULL)
        return;
    wheel_cancel(&admission->server->worker->wheel, &admission->timer);
    if (request->parked) /* else on_allow is still running and sees it on its return */
        http_request_resume(request);
}

static void admission_on_timer(struct timer *timer)
{
    struct eio_admission *admission = CONTAINER_OF(timer, struct eio_admission, timer);
    admission_resume(admission, EIO_DECIDED_TIMEOUT);
}

struct eio_admission *eio_admission_new(struct eio_server *server, struct http_request *request)
{
    struct eio_admission *admission = mem_zalloc(sizeof *admission);
    if (admission == NULL)
        return NULL;
    admission->server = server;
    admission->request = request;
    admission->refs = 2;
    admission->timer.fire = admission_on_timer;
    wheel_arm(&server->worker->wheel, &admission->timer, server->options->allow_timeout_ms);
    server->waiting++;
    request->user = admission;
    return admission;
}

struct eio_admission *eio_admission_take(struct http_request *request)
{
    struct eio_admission *admission = request->user;
    if (admission == NULL)
        return NULL;
    wheel_cancel(&admission->server->worker->wheel, &admission->timer);
    admission->server->waiting--;
    admission->request = NULL;
    request->user = NULL;
    return admission;
}

void eio_admission_unref(struct eio_admission *admission)
{
    if (admission == NULL || --admission->refs > 0)
        return;
    mem_free(admission->denial);
    mem_free(admission);
}

void eio_admission_decide(struct eio_admission *admission, bool is_allowed,
                          struct eio_denial *denial)
{
    if (admission->decision == EIO_UNDECIDED) {
        admission->denial = denial;
        admission_resume(admission, is_allowed ? EIO_DECIDED_ALLOW : EIO_DECIDED_DENY);
    } else {
        mem_free(denial); /* too late */
    }
    eio_admission_unref(admission);
}
