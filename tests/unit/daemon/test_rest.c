/* The daemon's own endpoints in a real server with real clients: health, readiness by a real store, numbers, rooms, broadcast, metrics. */
#include "server/client.h"
#include "http/census.h"
#include "http/rest.h"
#include "store_faults.h"
#include <sys/stat.h>

#define WORKERS 2

static cvn_server *server;
static struct router *router;
static struct metrics *metrics;
static struct store *store;
static struct rest *rest;
static struct config *config;
static struct client *client;
static uint16_t port;
static char dir[] = "/tmp/test_rest_XXXXXX";

/* --- Fakes: tokens are roles; the audit trail is a note --- */

const char *auth_refusal_code(enum auth_refusal refusal)
{
    return refusal == AUTH_REQUIRED ? "AUTH_REQUIRED" : "FORBIDDEN";
}

void auth_verify(struct auth *auth, cvn_slice token, auth_fn fn, void *data)
{
    enum role role = token.size == 5 ? ROLE_ADMIN : ROLE_STUDENT;
    (void)auth;
    fn(AUTH_OK, principal_new(&(struct principal){.user_id = "boss", .role = role}), "", data);
}

cvn_slice auth_token_of_request(const struct auth *auth, const cvn_http_request *request,
                                char *buffer, size_t size)
{
    cvn_slice value = cvn_http_header(request, "authorization");
    (void)auth, (void)buffer, (void)size;
    return value.size > 7 ? (cvn_slice){value.data + 7, value.size - 7} : (cvn_slice){NULL, 0};
}

bool auth_api_key(struct auth *auth, cvn_slice key, struct principal **ret)
{
    (void)auth, (void)key, (void)ret;
    return false;
}

void audit_write(struct audit *audit, const struct audit_entry *entry)
{
    (void)audit;
    note("audit %s %s %s %s %s", entry->action, entry->user_id, entry->subject,
         entry->nsp != NULL ? entry->nsp : "-", entry->address);
}

void audit_get_stats(struct audit *audit, struct audit_stats *ret)
{
    (void)audit;
    *ret = (struct audit_stats){.written_total = 12, .lost_total = 3, .waiting = 4};
}

/* --- A server with rooms --- */

static void on_join(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[64];
    (void)data;
    if (!cvn_json_string(cvn_event_arg(event, 0), room, sizeof room) ||
        cvn_join(socket, room) != CVN_OK)
        abort();
    cvn_ack(event, "1");
}

static int set_up(void **state)
{
    const cvn_options options = {.host = "127.0.0.1", .workers = WORKERS};
    static const char *const disabled[] = {"/off", NULL};
    (void)state;
    faults_install();
    assert_non_null(mkdtemp(dir));
    notes_open();
    config = calloc(1, sizeof *config);
    config->server.polling = true;
    config->server.polling_interval_ms = 5000;
    config->server.disabled_namespaces = (struct config_list){disabled, 1};
    config->limits.max_connections = 77;
    assert_true(access_proxies_reconfigure(config));
    server = cvn_server_new(&options);
    metrics = metrics_new();
    store = store_open(dir);
    assert_non_null(store);
    router = router_new(config, NULL, server);
    router_measure(router, metrics);
    rest = rest_new(&(struct rest_parts){config, server, router, store, metrics, NULL});
    assert_non_null(rest);
    cvn_on(cvn_of(server, "/"), "join", on_join, NULL);
    cvn_on(cvn_of(server, "/chat"), "join", on_join, NULL);
    cvn_of(server, "/off");
    cvn_of(server, "/admin");
    cvn_on(cvn_of_pattern(server, "^/doc-[0-9]+$"), "join", on_join, NULL);
    cvn_on_http(server, router_serve, router);
    assert_true(store_start(store, server));
    assert_int_equal(cvn_server_start(server), CVN_OK);
    port = cvn_server_port(server);
    client = client_new(port);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    client_free(client);
    cvn_server_stop(server);
    cvn_server_wait(server);
    store_close(store);
    rest_free(rest);
    cvn_server_free(server);
    router_free(router);
    metrics_free(metrics);
    access_proxies_release();
    free(config);
    notes_close();
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

#define ADMIN   "Authorization: Bearer admin\r\n"
#define STUDENT "Authorization: Bearer student\r\n"

static json_t *exchange(const char *method, const char *target, const char *fields,
                        const char *body, int status)
{
    struct response *response = http_exchange(client, method, target, fields, body);
    if (response->status != status)
        fail_msg("%s %s: %d %s", method, target, response->status, response->body);
    json_t *json = json_loads(response->body, JSON_REJECT_DUPLICATES, NULL);
    if (json == NULL)
        fail_msg("%s %s: no JSON: %s", method, target, response->body);
    return json;
}

static json_t *get(const char *target, const char *fields, int status)
{
    return exchange("GET", target, fields, NULL, status);
}

static const json_t *at(const json_t *json, const char *a, const char *b)
{
    json = json_object_get(json, a);
    return b != NULL ? json_object_get(json, b) : json;
}

static void assert_number(const json_t *json, const char *a, const char *b, json_int_t expected)
{
    if (!json_is_integer(at(json, a, b)))
        fail_msg("no number %s.%s", a, b != NULL ? b : "");
    assert_int_equal(json_integer_value(at(json, a, b)), expected);
}

static void assert_word(const json_t *json, const char *a, const char *b, const char *expected)
{
    if (!json_is_string(at(json, a, b)))
        fail_msg("no text %s.%s", a, b != NULL ? b : "");
    assert_string_equal(json_string_value(at(json, a, b)), expected);
}

static void test_health(void **state)
{
    (void)state;
    json_t *json = get("/health", "", 200);
    assert_word(json, "status", NULL, "ok");
    assert_number(json, "workers", NULL, WORKERS);
    assert_number(json, "connections", NULL, 0);
    assert_number(json, "polling", NULL, 0);
    assert_number(json, "sockets", NULL, 0);
    assert_true(json_integer_value(at(json, "uptime_s", NULL)) >= 0);
    json_decref(json);

    json = get("/health/websocket", "", 200);
    assert_word(json, "status", NULL, "ready");
    assert_int_equal(json_array_size(at(json, "reasons", NULL)), 0);
    json_decref(json);
    json = get("/api/v1/websocket/health", "", 200);
    assert_word(json, "status", NULL, "healthy");
    json_decref(json);
    json_decref(get("/health/websocket/detailed", "", 401));
    json_decref(get("/health/websocket/detailed", STUDENT, 403));
    json_decref(exchange("POST", "/health", "", "", 405));
}

static void test_realtime(void **state)
{
    (void)state;
    json_t *json = get("/api/realtime/status", "", 200);
    assert_word(json, "status", NULL, "ok");
    assert_true(json_is_true(at(json, "websocket", NULL)));
    assert_number(json, "polling_interval_ms", NULL, 5000);
    assert_int_equal(json_array_size(at(json, "transports", NULL)), 2);
    const json_t *list = at(json, "namespaces", NULL);
    assert_int_equal(json_array_size(list), 2); /* not the operator's, not those that are off */
    json_decref(json);

    json_decref(exchange("POST", "/api/realtime/ping", "", "{}", 401));
    json = exchange("POST", "/api/realtime/ping", STUDENT, "{\"client_time\":12.5}", 200);
    assert_true(json_is_true(at(json, "ok", NULL)));
    assert_word(json, "data", "user_id", "boss");
    assert_true(json_real_value(at(json, "data", "client_time")) == 12.5);
    assert_true(json_integer_value(at(json, "data", "server_time_ms")) > 0);
    json_decref(json);
    json_decref(exchange("POST", "/api/realtime/ping", STUDENT, NULL, 200));
    json_decref(exchange("POST", "/api/realtime/ping", STUDENT, "{\"client_time\":[]}", 400));
    json_decref(exchange("POST", "/api/realtime/ping", STUDENT, "{\"client_time\":\"\"}", 400));
    json_decref(exchange("POST", "/api/realtime/ping", STUDENT, "[", 400));
}

/* --- Clients in rooms --- */

#define CLIENTS 6

static struct client *members[CLIENTS];

static void join(struct client *member, const char *packet_start, const char *room,
                 const char *ack_start)
{
    char packet[128];
    snprintf(packet, sizeof packet, "42%s1[\"join\",\"%s\"]", packet_start, room);
    ws_send(member, packet);
    snprintf(packet, sizeof packet, "43%s1[1]", ack_start);
    assert_ws_text(member, packet);
}

/* Three in /, two in /chat, one in a dynamic namespace; spread over the workers as the kernel likes. */
static void enter(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        const char *nsp = i < 3 ? "" : i < 5 ? "/chat," : "/doc-7,";
        char packet[64];
        members[i] = ws_open(port);
        snprintf(packet, sizeof packet, "40%s", nsp);
        ws_send(members[i], packet);
        const char *answer = ws_read(members[i]);
        assert_memory_equal(answer, packet, strlen(packet));
        snprintf(packet, sizeof packet, "user:u%d", i % 3);
        join(members[i], nsp, packet, nsp);
        join(members[i], nsp, i == 5 ? "doc:7" : "lobby", nsp);
    }
}

/* Until the server has noticed. */
static void await_empty(void)
{
    for (json_int_t left = 1; left > 0;) {
        json_t *json = get("/health", "", 200);
        left = json_integer_value(at(json, "connections", NULL)) +
               json_integer_value(at(json, "sockets", NULL));
        json_decref(json);
    }
}

static void leave(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        client_free(members[i]);
        members[i] = NULL;
    }
    await_empty();
}

static void test_numbers(void **state)
{
    (void)state;
    enter();
    json_decref(get("/api/v1/websocket/stats", STUDENT, 403));
    json_t *json = get("/api/v1/websocket/stats", ADMIN, 200);
    assert_word(json, "status", NULL, "operational");
    assert_number(json, "server_stats", "connections", CLIENTS);
    assert_number(json, "server_stats", "peak_connections", CLIENTS);
    assert_number(json, "server_stats", "max_connections", 77);
    assert_number(json, "manager_stats", "total_connections", CLIENTS);
    assert_number(json, "manager_stats", "users", 3);
    /* user:u0..2 in / and user:u0,1 in /chat, user:u2 in /doc-7; the lobby twice; doc:7 */
    assert_number(json, "manager_stats", "rooms", 3 + 2 + 1 + 2 + 1);
    assert_number(json, "manager_stats", "messages_received", CLIENTS * 2);
    assert_number(at(json, "manager_stats", "namespaces"), "/", "sockets", 3);
    assert_number(at(json, "manager_stats", "namespaces"), "dynamic", "sockets", 1);
    json_decref(json);

    json = get("/api/v1/websocket/rooms", ADMIN, 200);
    assert_number(json, "total_rooms", NULL, 9);
    const json_t *rooms = at(json, "rooms", NULL);
    assert_int_equal(json_array_size(rooms), 9);
    assert_word(json_array_get(rooms, 0), "room", NULL, "lobby");
    assert_word(json_array_get(rooms, 0), "namespace", NULL, "/");
    assert_number(json_array_get(rooms, 0), "members", NULL, 3);
    assert_number(json_array_get(rooms, 1), "members", NULL, 2);
    assert_true(json_is_false(at(json, "truncated", NULL)));
    json_decref(json);
    json = get("/api/v1/websocket/rooms?namespace=%2Fchat&prefix=user%3A&limit=1", ADMIN, 200);
    assert_number(json, "matching_rooms", NULL, 2);
    assert_int_equal(json_array_size(at(json, "rooms", NULL)), 1);
    assert_true(json_is_true(at(json, "truncated", NULL)));
    json_decref(json);
    const char *const wrong[] = {"limit=0", "limit=1001", "limit=x",
                                 "limit=",  "prefix=%ff", "limit=-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char target[64];
        snprintf(target, sizeof target, "/api/v1/websocket/rooms?%s", wrong[i]);
        json_decref(get(target, ADMIN, 400));
    }

    json = get("/health/websocket/detailed", ADMIN, 200);
    assert_word(json, "status", NULL, "ready");
    assert_number(json, "rooms", "total", 9);
    assert_number(json, "quality", "events_in", CLIENTS * 2);
    assert_true(json_real_value(at(json, "quality", "websocket_share")) == 1);
    assert_number(at(json, "quality", "closed"), "slow consumer", NULL, 0);
    assert_number(at(json, "namespaces", NULL), "/chat", "sockets", 2);
    json_decref(json);
    leave();
}

static void test_broadcast(void **state)
{
    (void)state;
    enter();
    const char *target = "/api/v1/websocket/broadcast";
    json_decref(exchange("POST", target, STUDENT, "{\"event\":\"x\"}", 403));
    json_t *json = exchange("POST", target, ADMIN,
                            "{\"event\":\"notice\",\"data\":{\"text\":\"\\u00fc\"}}", 200);
    assert_word(json, "data", "namespace", "/");
    json_decref(json);
    assert_note("audit admin_broadcast boss notice / 127.0.0.1");
    for (int i = 0; i < 3; i++)
        assert_ws_text(members[i], "42[\"notice\",{\"text\":\"\xc3\xbc\"}]");
    json_decref(exchange("POST", target, ADMIN,
                         "{\"event\":\"one\",\"rooms\":[\"user:u1\"],\"namespace\":\"/chat\"}",
                         200));
    assert_note("audit admin_broadcast boss one /chat 127.0.0.1");
    assert_ws_text(members[4], "42/chat,[\"one\",null]");
    json_decref(exchange("POST", target, ADMIN,
                         "{\"event_type\":\"board_updated\",\"data\":[1],\"namespace\":\"/chat\","
                         "\"room\":\"lobby\"}",
                         200));
    assert_note("audit admin_broadcast boss board_updated /chat 127.0.0.1");
    const char *envelope = "42/chat,[\"board_updated\",{\"event_type\":\"board_updated\",\"data\":["
                           "1],\"user_id\":\"boss\",\"timestamp\":\"20";
    for (int i = 3; i < 5; i++)
        assert_memory_equal(ws_read(members[i]), envelope, strlen(envelope));
    json_decref(exchange("POST", target, ADMIN, "{\"event_type\":\"x\"}", 404)); /* /workspace */
    const char *const wrong[] = {"{}",
                                 "{\"event\":\"\"}",
                                 "{\"event\":1}",
                                 "{\"event\":\"connect\"}",
                                 "{\"event\":\"a\",\"event_type\":\"b\"}",
                                 "{\"event\":\"a\",\"rooms\":[]}",
                                 "{\"event\":\"a\",\"rooms\":[1]}",
                                 "{\"event\":\"a\",\"room\":\"\"}",
                                 "{\"event\":\"a\",\"namespace\":\"chat\"}",
                                 "{\"event\":\"a\",\"volatile\":true}",
                                 "not json"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        json_decref(exchange("POST", target, ADMIN, wrong[i], 400));
    assert_no_note();
    leave();
}

static void test_level(void **state)
{
    (void)state;
    const char *target = "/api/v1/admin/log-level";
    json_decref(exchange("POST", target, STUDENT, "{\"level\":\"debug\"}", 403));
    json_decref(exchange("POST", target, ADMIN, "{\"level\":\"loud\"}", 400));
    json_decref(exchange("POST", target, ADMIN, "{}", 400));
    json_t *json = exchange("POST", target, ADMIN, "{\"level\":\"error\"}", 200);
    assert_word(json, "data", "previous", "info");
    json_decref(json);
    assert_note("audit admin_log_level boss error - 127.0.0.1");
    assert_int_equal(log_get_level(), LOG_ERROR);
    json = get(target, ADMIN, 200);
    assert_word(json, "data", "level", "error");
    json_decref(json);
}

static void assert_line(const char *text, const char *line)
{
    char whole[256];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(text, whole) == NULL)
        fail_msg("no \"%s\" in %s", line, text);
}

static void test_metrics(void **state)
{
    (void)state;
    enter();
    struct response *response = http_exchange(client, "GET", "/metrics", "", NULL);
    assert_int_equal(response->status, 200);
    assert_header(response, "Content-Type: text/plain; version=0.0.4; charset=utf-8");
    assert_line(response->body, "convened_connections{transport=\"websocket\"} 6");
    assert_line(response->body, "convened_connections{transport=\"polling\"} 0");
    assert_line(response->body, "convened_namespace_sockets{namespace=\"/chat\"} 2");
    assert_line(response->body, "convened_namespace_sockets{namespace=\"dynamic\"} 1");
    assert_line(response->body, "convened_ready 1");
    assert_line(response->body, "convened_store_available 1");
    assert_line(response->body, "convened_audit_entries_total 12");
    assert_line(response->body, "convened_audit_entries_lost_total 3");
    assert_line(response->body, "convened_audit_entries_waiting 4");
    assert_line(response->body, "convened_connections_limit 77");
    assert_null(strstr(response->body, "certificate"));
    assert_non_null(strstr(response->body, "\nprocess_resident_memory_bytes "));
    assert_non_null(strstr(response->body, "convened_namespace_events_total{namespace=\"/\","
                                           "direction=\"in\"} "));
    assert_null(strstr(response->body, "/doc-7"));
    assert_non_null(strstr(response->body, "convened_namespace_events_total{namespace=\"dynamic\","
                                           "direction=\"in\"} "));
    assert_line(response->body, "convened_connections_closed_total{reason=\"ping timeout\"} 0");
    assert_line(response->body, "convened_transport_upgrades_total{result=\"failed\"} 0");
    assert_line(response->body, "convened_send_queue_bytes 0");
    assert_line(response->body, "convened_sockets_recovered_total 0");
    response = http_exchange(client, "GET", "/metrics", "X-Forwarded-For: 1.2.3.4\r\n", NULL);
    assert_int_equal(response->status, 401);
    leave();
}

/* --- The census by itself --- */

#define ASKERS 50

static struct census *census;

static void on_census(const struct census_result *result, void *data)
{
    note("%s %zu", (const char *)data, result != NULL ? result->room_count : 0);
}

static void ask_many(void *data)
{
    for (int i = 0; i < ASKERS; i++)
        census_ask(census, 1000, on_census, data);
}

static void ask_later(void *data)
{
    census_ask(census, 1000 + CENSUS_AGE_MS, on_census, data);
}

static void test_census(void **state)
{
    static char first[] = "first", later[] = "later";
    (void)state;
    census = census_new(server);
    enter();
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(cvn_post(server, i, ask_many, first), CVN_OK);
    for (int i = 0; i < ASKERS * WORKERS; i++)
        assert_note("first 9");
    join(members[0], "", "another", "");
    assert_int_equal(cvn_post(server, 1, ask_many, first), CVN_OK);
    for (int i = 0; i < ASKERS; i++)
        assert_note("first 9"); /* remembered */
    assert_int_equal(cvn_post(server, 1, ask_later, later), CVN_OK);
    assert_note("later 10");
    census_free(census);
    leave();
}

/* More rooms than one slice looks at. */
static void test_large_census(void **state)
{
    static char large[] = "large";
    struct client *member = ws_open(port);
    (void)state;
    census = census_new(server);
    ws_send(member, "40/chat,");
    ws_read(member);
    for (int i = 0; i < 900; i++) {
        char packet[64];
        snprintf(packet, sizeof packet, "42/chat,[\"join\",\"room-%d\"]", i);
        ws_send(member, packet);
    }
    join(member, "/chat,", "last", "/chat,");
    enter();
    assert_int_equal(cvn_post(server, 0, ask_later, large), CVN_OK);
    assert_note("large 910");
    census_free(census);
    client_free(member);
    leave();
}

/* --- A disk that is full, and has room again --- */

static bool write_something(struct store_tx *tx, void *job)
{
    (void)job;
    return store_exec(tx, "CREATE TABLE something (id INTEGER)", NULL);
}

static void on_something(enum store_result result, void *job)
{
    (void)job;
    note("store %d", result == STORE_OK);
}

static void assert_reason(const char *target, const char *status)
{
    json_t *json = get(target, "", 503);
    assert_word(json, "status", NULL, status);
    assert_int_equal(json_array_size(at(json, "reasons", NULL)), 1);
    assert_string_equal(json_string_value(json_array_get(at(json, "reasons", NULL), 0)),
                        "store unavailable");
    json_decref(json);
}

static void test_full_disk(void **state)
{
    (void)state;
    faults_set(FAULT_FULL, 0);
    json_decref(get("/health/websocket", "", 200)); /* nobody has noticed: it can be read */
    assert_true(store_write(store, write_something, on_something, NULL));
    assert_note("store 0");
    assert_reason("/health/websocket", "not_ready");
    assert_reason("/api/v1/websocket/health", "unhealthy");
    json_decref(get("/health", "", 200)); /* no reason to restart it */
    assert_line(http_exchange(client, "GET", "/metrics", "", NULL)->body,
                "convened_store_available 0");
    assert_line(http_exchange(client, "GET", "/metrics", "", NULL)->body, "convened_ready 0");
    json_t *json = get("/api/v1/websocket/stats", ADMIN, 200);
    assert_word(json, "status", NULL, "degraded");
    json_decref(json);
    faults_set(FAULT_NONE, 0);
    json_decref(get("/health/websocket", "", 200)); /* asking finds out */
    assert_line(http_exchange(client, "GET", "/metrics", "", NULL)->body,
                "convened_store_available 1");
}

/* The last: nothing is ready any more. */
static void test_drain(void **state)
{
    (void)state;
    rest_drain(rest);
    json_t *json = get("/health/websocket", "", 503);
    assert_word(json, "status", NULL, "not_ready");
    assert_string_equal(json_string_value(json_array_get(at(json, "reasons", NULL), 0)),
                        "draining");
    json_decref(json);
    json = get("/api/v1/websocket/health", "", 503);
    assert_word(json, "status", NULL, "unhealthy");
    json_decref(json);
    json = get("/health", "", 200); /* it lives */
    json_decref(json);
    json = get("/api/realtime/status", "", 200);
    assert_word(json, "status", NULL, "unavailable");
    json_decref(json);
    assert_line(http_exchange(client, "GET", "/metrics", "", NULL)->body, "convened_ready 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health),    cmocka_unit_test(test_realtime),
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_level),     cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_census),    cmocka_unit_test(test_large_census),
        cmocka_unit_test(test_full_disk), cmocka_unit_test(test_drain),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
