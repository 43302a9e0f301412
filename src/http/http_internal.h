/* What the files of http/ tell each other and nobody else. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "http/http_stream.h"
#include "http/http_chunked.h"

enum http_phase {
    HTTP_PHASE_HEAD,    /* waits for, or is in the midst of, a request head */
    HTTP_PHASE_BODY,    /* the body was asked for and is coming */
    HTTP_PHASE_STREAM,  /* the body is coming and handed on in pieces */
    HTTP_PHASE_RAW,     /* another protocol: bytes are handed on as they are */
    HTTP_PHASE_PENDING, /* the layer above owes the answer */
    HTTP_PHASE_DRAIN,   /* answered; the rest of the body is thrown away */
    HTTP_PHASE_PARKED,  /* on_head is to come again, when the layer above says so */
    HTTP_PHASE_UPGRADE, /* handed over, leaves when processing is done */
    HTTP_PHASE_MOVE,    /* on its way to another worker */
    HTTP_PHASE_END      /* nothing is read any more */
};

/* A head that must outlive the bytes it came in: a body is being waited for. */
struct http_saved_head {
    struct http_head head; /* points into bytes */
    char bytes[];
};

/* The body of the current request, as far as the layer above has not got it. */
struct http_body {
    bool chunked;         /* and not read to its end */
    bool expected;        /* "Expect: 100-continue": the client may never send it */
    uint64_t left;        /* by Content-Length */
    size_t max;           /* of what was asked for */
    struct buf collected; /* what came so far */
    struct http_chunked decoder;
    struct http_saved_head *saved; /* NULL while the head is still in the bytes being processed */
};

enum http_answer {
    HTTP_ANSWER_NONE, /* has not begun */
    HTTP_ANSWER_BODILESS,
    HTTP_ANSWER_SIZED,
    HTTP_ANSWER_CHUNKED,
    HTTP_ANSWER_UNTIL_END /* of the connection */
};

/* What a request needs that is read or answered in pieces. */
struct http_stream {
    struct http_conn *http;
    uint64_t left;      /* of a sized answer */
    struct timer stall; /* the client does not read */
    uint8_t answer;     /* enum http_answer */
    bool is_paused;     /* the layer above wants no pieces now */
    bool wants_drain;   /* was told to wait for it */
    bool keep_alive;    /* behind the answer that has begun */
};

struct http_conn {
    struct conn *conn;
    const struct http_events *events;
    const struct http_limits *limits;
    void *app;
    struct http_request request;
    struct http_body body;
    struct http_stream *stream; /* NULL: nothing goes in pieces */
    struct buf in;              /* carried over: not even allocated while the connection idles */
    size_t tried;               /* bytes of `in` that are known to be no whole head */
    struct timer timer;
    struct worker_task task; /* process what is carried over */
    struct worker *move_to;
    uint8_t phase;   /* enum http_phase */
    bool processing; /* inside the loop of http_conn.c: it goes on by itself */
    bool in_head;    /* the timer runs for a head that has begun */
    bool resumed;    /* parked no longer: the next look at the input calls on_head */
    bool keep_alive;
    bool wants_upgrade;
    unsigned minor_version;
};

/* Bytes that are being consumed. */
struct http_input {
    char *data;
    size_t size;
};

static inline void http_input_consume(struct http_input *input, size_t count)
{
    input->data += count;
    input->size -= count;
}

/* --- http_conn.c --- */

/* The next request may come. */
void http_conn_expect_head(struct http_conn *http);
/* Winds up the timer for a body. */
void http_conn_arm_body(struct http_conn *http);
/* The request that the layer above knows ends without its answer. */
void http_conn_abort_request(struct http_conn *http);
/* Ends the connection in order; nothing is read any more. */
void http_conn_finish(struct http_conn *http);
/* How long a client may take to read what is queued for it. */
uint64_t http_conn_patience_ms(const struct http_conn *http);
/* Forgets the request that was answered or moved away. */
void http_conn_reset_request(struct http_conn *http);

/* --- http_body.c --- */

/* Whether some of the request's body has not been consumed. */
bool http_body_is_unread(const struct http_body *body);
/* Consumes what has come of a body that was asked for, and delivers it when it is whole. False when
 * more bytes are needed or the connection ends. */
bool http_body_process(struct http_conn *http, struct http_input *input);
/* The same for a body that nobody wants. */
bool http_body_drain(struct http_conn *http, struct http_input *input);
/* Puts the head of the request whose body is coming into memory of its own. */
bool http_body_save_head(struct http_conn *http);
/* Frees what is held for the body. */
void http_body_forget(struct http_body *body);

/* Whether the body, as far as it was not read, leaves the connection usable. */
bool http_body_is_drainable(const struct http_body *body);

/* --- http_stream.c --- */

/* Consume what has come and hand it on; false when more is needed, or it is paused, or over. */
bool http_stream_process(struct http_conn *http, struct http_input *input);
bool http_stream_process_raw(struct http_conn *http, struct http_input *input);
/* The body will not come to its end: refuses, or cuts an answer that has begun. */
void http_stream_break(struct http_conn *http, int status);
/* Tells whoever waits for it that the queue is empty. */
void http_stream_tell_drain(struct http_conn *http);
void http_stream_release(struct http_conn *http);

/* --- http_respond.c --- */

/* The answer has been queued: on to the next request, or to the end. */
void http_respond_is_done(struct http_conn *http, bool keep_alive);

/* Refuses what the layer above has not seen, or was told of by on_abort: in a few words, or none,
 * and with the end of the connection. */
void http_respond_refusal(struct http_conn *http, int status, bool with_words);

#endif
