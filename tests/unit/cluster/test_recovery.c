/*
 * Connection state recovery across two workers whose loops are turned by hand: what a client finds when it comes back, whichever worker it
 * comes to and whatever it had got; who does not come back; what bounds the memory. A random walk compares it all with a simple
 * model: every event that was for the client arrives exactly once and in the order of its sender.
 */
#include <pthread.h>
#include <convene/sockets.h>
#include "sio/io.h"
#include "cluster/adapter_workers.h"
#include "sio/sio_recovery.h"

#define WINDOW_MS 120000

static cvn_namespace *root;
static char auth_refusal[64]; /* what the middleware says; empty: nothing */
static bool declines;

static void check_auth(cvn_socket *socket, cvn_next *next, void *data)
{
    (void)data;
    if (declines)
        cvn_decline_recovery(socket);
    if (auth_refusal[0] != '\0')
        cvn_next_refuse(next, auth_refusal, NULL);
    else
        cvn_next_accept(next);
}

static void on_joined(cvn_socket *socket, void *data)
{
    (void)data;
    the_io->last = socket;
    world_log(the_io->world, "in%s;", cvn_socket_recovered(socket) ? " again" : "");
}

static struct io *recovery_new(unsigned workers)
{
    struct io *io = io_new(workers);
    io->server.options.recovery.window_ms = WINDOW_MS;
    io->server.options.recovery.heartbeat_ms = 45000;
    io->server.options.recovery.max_bytes = 1 << 20;
    io->server.options.recovery.max_sessions = 100;
    io->server.adapter = adapter_workers_new(&io->server);
    assert_non_null(io->server.adapter);
    root = io_namespace(io, "/");
    cvn_use(root, check_auth, NULL);
    cvn_on_connection(root, on_joined, NULL);
    cvn_on_disconnect(root, io_on_leave, (void *)"left");
    io_namespace(io, "/chat");
    io_start(io);
    auth_refusal[0] = '\0';
    declines = false;
    return io;
}

/* --- A client that remembers what it needs for coming back --- */

struct page {
    struct client *client;
    char sid[SIO_ID_SIZE + 1], pid[SIO_ID_SIZE + 1];
    char offset[64]; /* of the last event it got; empty: none */
    bool recovered;
    int got[256]; /* the numbers of "n" events, in the order in which they came */
    int got_count;
};

/* Takes one packet; false when there is none. *ret_connected when it is CONNECT. */
static bool page_read(struct page *page, bool *ret_connected)
{
    unsigned opcode = 0;
    char *data = NULL, sid[32] = "", pid[32] = "";
    size_t size = 0;
    int number = 0;
    if (!ws_receive(page->client, &opcode, &data, &size))
        return false;
    assert_int_equal(opcode, 1);
    *ret_connected = sscanf(data, "40{\"sid\":\"%20[^\"]\",\"pid\":\"%20[^\"]\"}", sid, pid) == 2;
    if (*ret_connected) {
        page->recovered = strcmp(page->pid, pid) == 0;
        assert_int_equal(page->recovered, strcmp(page->sid, sid) == 0);
        strcpy(page->sid, sid);
        strcpy(page->pid, pid);
        return true;
    }
    int end = 0; /* of one with a key, which brings no offset */
    sscanf(data, "42[\"n\",%d,null]%n", &number, &end);
    if (end == 0 && sscanf(data, "42[\"n\",%d,\"%60[^\"]\"]", &number, page->offset) != 2)
        fail_msg("%s", data);
    assert_true(page->got_count < 256);
    page->got[page->got_count++] = number;
    return true;
}

static void page_read_all(struct page *page)
{
    bool connected;
    while (page_read(page, &connected))
        assert_false(connected);
}

/* Opens a connection and sends CONNECT; the answer has not been read. */
static void page_dial(struct page *page, unsigned worker)
{
    char text[256] = "40";
    page->client = io_client(the_io, worker);
    if (page->pid[0] != '\0' && page->offset[0] != '\0')
        snprintf(text, sizeof text, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", page->pid,
                 page->offset);
    else if (page->pid[0] != '\0')
        snprintf(text, sizeof text, "40{\"pid\":\"%s\"}", page->pid);
    ws_send(page->client, text);
}

/* Connects; the missed events have been read, CONNECT behind them. */
static void page_open(struct page *page, unsigned worker)
{
    bool connected = false;
    page_dial(page, worker);
    while (!connected)
        if (!page_read(page, &connected))
            fail_msg("no CONNECT");
}

static void page_close(struct page *page)
{
    client_free(page->client);
    page->client = NULL;
    world_turn(the_io->world);
}

static void assert_got(struct page *page, const char *expected)
{
    char text[512] = "";
    for (int i = 0; i < page->got_count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d ", page->got[i]);
    assert_string_equal(text, expected);
    page->got_count = 0;
}

static void emit_from(unsigned worker, const cvn_target *target, int number)
{
    char json[16];
    snprintf(json, sizeof json, "%d", number);
    worker_enter(&the_io->world->workers[worker]);
    assert_int_equal(cvn_emit(target, "n", cvn_json(json)), CVN_OK);
}

static void emit_to(int number, const char *room, unsigned flags)
{
    emit_from(0, &(cvn_target){.nsp = root, .rooms = {room}, .flags = flags}, number);
}

static unsigned destroyed;

static void count_destroyed(void *data)
{
    (void)data;
    destroyed++;
}

/* --- Coming back --- */

static void come_back_to(unsigned worker)
{
    struct io *io = recovery_new(2);
    struct page page = {0};
    page_open(&page, 0);
    assert_reported("in;");
    assert_int_equal(cvn_join(io->last, "r"), CVN_OK);
    assert_int_equal(cvn_socket_set_attributes(io->last, "{\"name\":\"A\"}"), CVN_OK);
    cvn_socket_set_data(io->last, &page, count_destroyed);
    destroyed = 0;
    emit_to(1, NULL, 0);
    page_read_all(&page);
    assert_got(&page, "1 ");
    page_close(&page);
    assert_reported("left(transport close);");

    emit_to(2, NULL, 0);
    emit_to(3, "r", 0);
    emit_to(4, "elsewhere", 0);
    emit_to(5, page.sid, 0);
    emit_to(6, "r", CVN_VOLATILE);
    emit_from(0, &(cvn_target){.nsp = root, .except = {"r"}}, 7);
    emit_from(1, &(cvn_target){.nsp = root, .rooms = {"x", "r"}}, 8);
    emit_from(0, &(cvn_target){.nsp = io_namespace(io, "/chat")}, 9);
    world_turn(io->world);
    char sid[SIO_ID_SIZE + 1];
    strcpy(sid, page.sid);
    page_open(&page, worker);
    assert_true(page.recovered);
    assert_got(&page, "2 3 5 8 ");
    assert_reported("in again;");
    assert_int_equal(cvn_socket_worker(io->last), worker);
    assert_string_equal(cvn_socket_id(io->last), sid);
    assert_true(cvn_socket_in_room(io->last, "r"));
    assert_true(slice_eq(cvn_socket_attributes(io->last), SLICE("{\"name\":\"A\"}")));
    assert_ptr_equal(cvn_socket_data(io->last), &page);
    assert_int_equal(destroyed, 0);

    emit_to(10, "r", 0); /* and it goes on */
    page_read_all(&page);
    assert_got(&page, "10 ");
    page_close(&page);
    world_advance(io->world, WINDOW_MS); /* the end of its patience */
    assert_int_equal(destroyed, 1);
    page_open(&page, worker);
    assert_false(page.recovered);
    page_close(&page);
    io_free(io);
}

static void test_same_worker(void **state)
{
    (void)state;
    come_back_to(0);
}

static void test_other_worker(void **state)
{
    (void)state;
    come_back_to(1);
}

/* The reference server needs an event before it can recover; nothing of that kind here. */
static void test_before_any_event(void **state)
{
    struct io *io = recovery_new(2);
    struct page page = {0};
    (void)state;
    page_open(&page, 0);
    page_close(&page);
    emit_to(1, NULL, 0);
    page_open(&page, 1);
    assert_true(page.recovered);
    assert_got(&page, "1 ");
    page_close(&page);
    page_open(&page, 0); /* still with the same offset-less beginnings, had 1 been lost */
    assert_true(page.recovered);
    assert_got(&page, "");
    page_close(&page);
    io_free(io);
}

/* An event in the place of an older one overtakes what was emitted between: that is not taken for arrived. */
static void test_conflated(void **state)
{
    struct io *io = recovery_new(2);
    struct page page = {0};
    bool connected;
    (void)state;
    page_open(&page, 0);
    const cvn_target keyed = {.nsp = root, .conflate = "k"};
    emit_to(1, NULL, 0);
    page_read_all(&page);
    emit_from(0, &keyed, 2);
    emit_to(3, NULL, 0);
    assert_int_equal(cvn_socket_emit_conflated(io->last, "n", cvn_json("4"), "k"), CVN_OK);
    assert_true(page_read(&page, &connected));
    assert_got(&page, "1 4 ");
    page_close(&page); /* 3 was on the way */
    emit_from(0, &keyed, 5);
    emit_to(6, NULL, 0);
    page_open(&page, 1);
    assert_true(page.recovered);
    assert_got(&page, "5 3 6 "); /* the latest, in the place of the first that may be missing */
    page_close(&page);
    emit_from(0, &keyed, 7); /* an offset came behind it: 5 does not come again */
    page_open(&page, 0);
    assert_true(page.recovered);
    assert_got(&page, "7 ");
    assert_int_equal(cvn_socket_emit_conflated(io->last, "n", cvn_json("8"), ""), CVN_ERR_ARGUMENT);
    page_close(&page);
    io_free(io);
}

/* What was sent but did not arrive comes again, from both sides of an earlier recovery. */
static void test_lost_on_the_way(void **state)
{
    struct io *io = recovery_new(2);
    struct page page = {0};
    bool connected;
    (void)state;
    page_open(&page, 0);
    for (int i = 1; i <= 5; i++)
        emit_to(i, NULL, 0);
    assert_true(page_read(&page, &connected));
    assert_true(page_read(&page, &connected));
    page_close(&page); /* 3, 4 and 5 were on the way */
    emit_to(6, NULL, 0);
    page_dial(&page, 1);
    assert_true(page_read(&page, &connected)); /* 3 comes, then the connection breaks again */
    assert_got(&page, "1 2 3 ");
    page_close(&page);
    emit_to(7, NULL, 0);
    world_turn(io->world);
    page_open(&page, 0);
    assert_true(page.recovered);
    assert_got(&page, "4 5 6 7 ");
    emit_from(1, &(cvn_target){.nsp = root}, 8);
    page_read_all(&page);
    page_close(&page);
    page_open(&page, 1);
    assert_got(&page, "8 ");
    page_close(&page);
    io_free(io);
}

/* A room's events from before it joined were never for it. */
static void test_joined_later(void **state)
{
    struct io *io = recovery_new(1);
    struct page page = {0};
    (void)state;
    page_open(&page, 0);
    emit_to(1, NULL, 0);
    page_read_all(&page);
    emit_to(2, "r", 0);
    assert_int_equal(cvn_join(io->last, "r"), CVN_OK);
    page_close(&page);
    emit_to(3, "r", 0);
    page_open(&page, 0);
    assert_got(&page, "1 3 ");
    page_close(&page);
    io_free(io);
}

/* A connection that nobody knows to be dead gives way to the new one. */
static void test_takeover(void **state)
{
    (void)state;
    for (unsigned worker = 0; worker < 2; worker++) {
        struct io *io = recovery_new(2);
        struct page page = {0};
        page_open(&page, 0);
        struct client *old = page.client;
        emit_to(1, NULL, 0);
        page_open(&page, worker);
        assert_true(page.recovered);
        assert_got(&page, "1 ");
        assert_reported("in;left(transport close);in again;");
        assert_ws_text(old, "42[\"n\",1,\"0.1\"]");
        assert_ws_closed(old, 1005);
        emit_to(2, NULL, 0);
        page_read_all(&page);
        assert_got(&page, "2 ");
        client_free(old);
        page_close(&page);
        io_free(io);
    }
}

/* A string that a volatile event ends with is no offset: the offset comes behind it. */
static void test_volatile_strings(void **state)
{
    struct io *io = recovery_new(1);
    struct page page = {0};
    (void)state;
    page_open(&page, 0);
    worker_enter(&io->world->workers[0]);
    assert_int_equal(
        cvn_emit(&(cvn_target){.nsp = root, .flags = CVN_VOLATILE}, "v", cvn_json("\"text\"")),
        CVN_OK);
    assert_ws_text(page.client, "42[\"v\",\"text\",\"0.1\"]");
    assert_int_equal(cvn_socket_emit(io->last, "d", cvn_json(NULL)), CVN_OK);
    assert_ws_text(page.client, "42[\"d\",\"2.1\"]");
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root}, "v", cvn_json(" ")), CVN_OK);
    assert_ws_text(page.client, "42[\"v\", \"0.2\"]");
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root}, "v", cvn_json("1,")), CVN_ERR_JSON);
    strcpy(page.offset, "0.1");
    page_close(&page);
    page_dial(&page, 0);
    assert_ws_text(page.client, "42[\"d\",\"2.1\"]");
    assert_ws_text(page.client, "42[\"v\", \"0.2\"]");
    page_close(&page);
    io_free(io);
}

/* --- Who may not --- */

static void test_refused(void **state)
{
    struct io *io = recovery_new(2);
    struct page page = {0};
    (void)state;
    page_open(&page, 0);
    page_close(&page);
    assert_reported("in;left(transport close);");
    emit_to(1, NULL, 0);
    for (unsigned worker = 0; worker < 2;
         worker++) { /* asked again, and refused; nothing is lost */
        strcpy(auth_refusal, "token expired");
        page_dial(&page, worker);
        assert_ws_text(page.client, "44{\"message\":\"token expired\"}");
        assert_ws_silent(page.client);
        page_close(&page);
        assert_reported("");
    }
    auth_refusal[0] = '\0';
    page_open(&page, 0);
    assert_true(page.recovered);
    assert_got(&page, "1 ");
    page_close(&page);
    assert_reported("in again;left(transport close);");

    declines = true;
    page_open(&page, 1);
    assert_false(page.recovered);
    assert_got(&page, "");
    assert_reported("in;");
    page_close(&page);
    io_free(io);
}

/* Refused on a worker that knows the client's last event, too: what it missed is not what that worker's log has behind it. */
static void test_refused_elsewhere(void **state)
{
    struct io *io = recovery_new(2);
    struct page page = {0}, watching = {0};
    (void)state;
    page_open(&page, 0);
    page_open(&watching, 1);
    emit_to(1, NULL, 0);
    page_read_all(&page);
    page_close(&page);
    emit_to(2, NULL, 0);
    strcpy(auth_refusal, "no");
    page_dial(&page, 1);
    assert_ws_text(page.client, "44{\"message\":\"no\"}");
    page_close(&page);
    auth_refusal[0] = '\0';
    emit_to(3, NULL, 0);
    world_turn(io->world);
    page_open(&page, 1);
    assert_true(page.recovered);
    assert_got(&page, "1 2 3 ");
    page_close(&page);
    page_close(&watching);
    io_free(io);
}

static void emit_farewell(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket;
    (void)reason;
    (void)data;
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root}, "n", cvn_json("77")), CVN_OK);
}

/* What the disconnect handlers of the only socket emit finds nobody, but its session. */
static void test_emitted_while_leaving(void **state)
{
    struct io *io = recovery_new(1);
    struct page page = {0};
    (void)state;
    io->server.started = false; /* one more handler */
    cvn_on_disconnect(root, emit_farewell, NULL);
    io->server.started = true;
    page_open(&page, 0);
    page_close(&page);
    page_open(&page, 0);
    assert_true(page.recovered);
    assert_got(&page, "77 ");
    page_close(&page);
    io_free(io);
}

/* An emit that reached the new worker, which had nobody to keep it for, before the session left the old one, which has not seen it: then
 * the client is told that it was not recovered. */
static void test_gap_between_workers(void **state)
{
    struct io *io = recovery_new(2);
    struct page page = {0};
    struct sio_op op = {.type = SIO_OP_EMIT, .nsp = root, .position = {2, 1}};
    (void)state;
    page_open(&page, 0);
    page_close(&page);
    assert_int_equal(sio_encode_event(SLICE("/"), "n", NULL, cvn_json("1,\"2.1\""),
                                      &io->server.options.emits, &op.frames),
                     CVN_OK);
    sio_op_apply(&io->workers[1], &op);
    page_open(&page, 1);
    assert_false(page.recovered);
    sio_op_apply(&io->workers[0], &op);
    sio_frames_release(&op.frames);
    page_close(&page);
    io_free(io);
}

static void test_not_to_be_had(void **state)
{
    static const char *const auths[] = {
        "{\"pid\":\"AAAAAAAAAAAAAAAAAAAA\"}",
        "{\"pid\":\"\"}",
        "{\"pid\":5}",
        "{\"pid\":null}",
        "{\"pid\":\"%s\\u0041\"}",
        "{\"pid\":[\"%s\"]}",
    };
    struct io *io = recovery_new(2);
    struct page page = {0}, other = {0};
    char text[256], connect[300];
    (void)state;
    page_open(&page, 0);
    strcpy(other.pid, page.pid);
    page_close(&page);
    for (size_t i = 0; i < sizeof auths / sizeof *auths; i++) {
        struct client *client = io_client(io, i % 2);
        snprintf(text, sizeof text, "40");
        snprintf(text + 2, sizeof text - 2, auths[i], page.pid);
        ws_send(client, text);
        const char *answer = io_read(client);
        assert_memory_equal(answer, "40{\"sid\":\"", 10);
        assert_null(strstr(answer, page.pid));
        client_free(client);
    }
    struct client *client = io_client(io, 0); /* another namespace's */
    snprintf(connect, sizeof connect, "40/chat,{\"pid\":\"%s\"}", page.pid);
    ws_send(client, connect);
    assert_null(strstr(io_read(client), page.pid));
    client_free(client);
    /* What is no offset counts as none. */
    emit_to(1, NULL, 0);
    static const char *const offsets[] = {"x", "0", ".", "0.", "0.1g", "99999.1", "0.-1", "ffff.1"};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        strcpy(page.offset, offsets[i]);
        page_open(&page, i % 2);
        assert_true(page.recovered);
        assert_got(&page, "1 ");
        page_close(&page);
    }
    io_free(io);
}

/* Leaving on purpose, being thrown out, misbehaving: no way back. */
static void test_ended_on_purpose(void **state)
{
    struct io *io = recovery_new(2);
    (void)state;
    for (int how = 0; how < 5; how++) {
        struct page page = {0};
        page_open(&page, 0);
        worker_enter(&io->world->workers[0]);
        switch (how) {
        case 0:
            ws_send(page.client, "41");
            break;
        case 1:
            cvn_disconnect(io->last, false);
            break;
        case 2:
            cvn_disconnect(io->last, true);
            break;
        case 3:
            ws_send(page.client, "4?");
            break;
        default:
            break;
        }
        page_close(&page);
        if (how == 4) { /* thrown out while away */
            worker_enter(&io->world->workers[1]);
            assert_int_equal(
                cvn_sockets_disconnect(&(cvn_target){.nsp = root, .rooms = {page.sid}}, false),
                CVN_OK);
            world_turn(io->world);
        }
        page_open(&page, how % 2);
        assert_false(page.recovered);
        page_close(&page);
    }
    io_free(io);
}

/* --- Bounds --- */

static void test_too_much_missed(void **state)
{
    struct io *io = recovery_new(2);
    struct page page = {0}, lucky = {0};
    bool connected;
    (void)state;
    io->server.options.recovery.max_bytes = 4000;
    page_open(&page, 0);
    page_open(&lucky, 0);
    page_close(&page);
    for (int i = 1; i <= 40; i++)
        emit_to(i, NULL, 0);
    assert_true(io->workers[0].log_bytes <= 4000);
    page_open(&page, 0);
    assert_false(page.recovered);
    assert_got(&page, "");
    page_close(&page);
    for (int i = 1; i <= 38; i++) /* whose gap is young enough finds it */
        assert_true(page_read(&lucky, &connected));
    page_close(&lucky);
    lucky.got_count = 0;
    page_open(&lucky, 1);
    assert_true(lucky.recovered);
    assert_got(&lucky, "39 40 ");
    page_close(&lucky);
    io_free(io);
}

/* A client that got nothing for long has missed nothing that its heartbeat did not prove. */
static void test_quiet_for_long(void **state)
{
    struct io *io = recovery_new(1);
    struct page page = {0};
    (void)state;
    page_open(&page, 0);
    emit_to(1, NULL, 0);
    page_read_all(&page);
    assert_true(io->workers[0].log_bytes > 0);
    world_advance(io->world, WINDOW_MS + 45000 + 2);
    assert_int_equal(io->workers[0].log_bytes, 0); /* without any further emit */
    page_close(&page);
    emit_to(2, NULL, 0);
    page_open(&page, 0);
    assert_true(page.recovered);
    assert_got(&page, "1 2 ");
    page_close(&page);
    io_free(io);
}

static void test_too_many_sessions(void **state)
{
    struct io *io = recovery_new(1);
    struct page pages[3] = {{0}};
    (void)state;
    io->server.options.recovery.max_sessions = 2;
    for (int i = 0; i < 3; i++)
        page_open(&pages[i], 0);
    for (int i = 0; i < 3; i++)
        page_close(&pages[i]);
    assert_int_equal(io->workers[0].parked_count, 2);
    for (int i = 0; i < 3; i++) {
        page_open(&pages[i], 0);
        assert_int_equal(pages[i].recovered, i > 0); /* the oldest had to go */
    }
    for (int i = 0; i < 3; i++)
        page_close(&pages[i]);
    io_free(io);
}

/* Nobody there, nobody away: nothing is kept. */
static void test_nobody_costs_nothing(void **state)
{
    struct io *io = recovery_new(2);
    (void)state;
    emit_to(1, NULL, 0);
    world_turn(io->world);
    assert_int_equal(io->workers[0].log_bytes + io->workers[1].log_bytes, 0);
    io_free(io);
}

/* --- Without memory --- */

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t failing = 0; failing < 120; failing++) {
        struct io *io = recovery_new(2);
        struct page page = {0};
        bool connected = false;
        page_open(&page, 0);
        assert_int_equal(cvn_join(io->last, "r"), CVN_OK);
        mem_fail_after(failing, 1);
        for (int i = 1; i <= 3; i++) {
            char json[16];
            snprintf(json, sizeof json, "%d", i);
            worker_enter(&io->world->workers[i % 2]);
            (void)cvn_emit(&(cvn_target){.nsp = root, .rooms = {"r"}}, "n", cvn_json(json));
        }
        page_close(&page);
        page.client = client_new_on(io->world, 1);
        mem_fail_after(0, 0);
        client_free(page.client);
        page_dial(&page, 1);
        while (page_read(&page, &connected) && !connected)
            continue;
        assert_true(connected);
        /* Recovered means that nothing is missing but what was never emitted. */
        if (page.recovered)
            for (int i = 1; i < page.got_count; i++)
                assert_true(page.got[i] > 0);
        page_close(&page);
        io_free(io);
    }
}

/* --- The model --- */

static uint64_t seed;

static unsigned pick(unsigned below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(seed >> 33) % below;
}

struct outside {
    const cvn_target *target;
    int number;
};

static void *emit_outside(void *data)
{
    const struct outside *outside = data;
    char json[16];
    snprintf(json, sizeof json, "%d", outside->number);
    assert_int_equal(cvn_emit(outside->target, "n", cvn_json(json)), CVN_OK);
    return NULL;
}

#define SENDERS 3 /* two workers and a thread */

static void walk(void)
{
    struct io *io = recovery_new(2);
    struct page page = {0};
    int expected[SENDERS] = {0}, sent[SENDERS] = {0}; /* each sender counts for itself */
    bool connected;
    page_open(&page, pick(2));
    assert_int_equal(cvn_join(io->last, "r"), CVN_OK);
    for (int step = 0; step < 60; step++) {
        static const char *const rooms[] = {NULL, "r", "nobody"};
        unsigned choice = pick(10), sender = pick(SENDERS), room = pick(3);
        const cvn_target target = {.nsp = root, .rooms = {rooms[room]}};
        if (choice < 6) {
            int number = (int)sender * 1000 + (room < 2 ? ++sent[sender] : 999);
            if (sender < 2) {
                emit_from(sender, &target, number);
            } else {
                struct outside outside = {&target, number};
                pthread_t thread;
                assert_int_equal(pthread_create(&thread, NULL, emit_outside, &outside), 0);
                assert_int_equal(pthread_join(thread, NULL), 0);
            }
        } else if (choice < 8) { /* one loop turns, the other does not */
            uv_run(io->world->workers[pick(2)].loop, UV_RUN_NOWAIT);
        } else if (page.client != NULL) {
            for (unsigned count = pick(4); count > 0 && page_read(&page, &connected); count--)
                assert_false(connected);
            if (pick(2) == 0)
                page_close(&page);
            else
                client_free(page.client), page.client = NULL; /* not noticed yet */
        } else {
            page_open(&page, pick(2));
            assert_true(page.recovered);
        }
    }
    if (page.client == NULL)
        page_open(&page, pick(2));
    world_turn(io->world);
    page_read_all(&page);
    for (int i = 0; i < page.got_count; i++) {
        int sender = page.got[i] / 1000;
        assert_int_equal(page.got[i] % 1000, ++expected[sender]);
    }
    assert_memory_equal(expected, sent, sizeof sent);
    page_close(&page);
    io_free(io);
}

static void test_random_walks(void **state)
{
    (void)state;
    for (seed = 1; seed <= 60; seed++) {
        uint64_t first = seed;
        walk();
        seed = first;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_worker),
        cmocka_unit_test(test_other_worker),
        cmocka_unit_test(test_before_any_event),
        cmocka_unit_test(test_conflated),
        cmocka_unit_test(test_lost_on_the_way),
        cmocka_unit_test(test_joined_later),
        cmocka_unit_test(test_takeover),
        cmocka_unit_test(test_volatile_strings),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_elsewhere),
        cmocka_unit_test(test_emitted_while_leaving),
        cmocka_unit_test(test_gap_between_workers),
        cmocka_unit_test(test_not_to_be_had),
        cmocka_unit_test(test_ended_on_purpose),
        cmocka_unit_test(test_too_much_missed),
        cmocka_unit_test(test_quiet_for_long),
        cmocka_unit_test(test_too_many_sessions),
        cmocka_unit_test(test_nobody_costs_nothing),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_random_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
