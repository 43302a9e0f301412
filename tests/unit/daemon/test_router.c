/* The router in a real server, asked over loopback: who answers what, for whom, and in which words. Tokens are judged by a fake auth. */
#include "server/client.h"
#include "http/cors.h"
#include "http/route_path.h"
#include "http/router.h"

/* --- A fake auth: tokens are names; "slow-NAME" is known a turn later --- */

struct verdict {
    enum auth_refusal refusal;
    enum role role;
    auth_fn fn;
    void *data;
};

static cvn_server *server;

const char *auth_refusal_code(enum auth_refusal refusal)
{
    static const char *const codes[] = {
        "", "AUTH_REQUIRED", "AUTH_INVALID", "AUTH_EXPIRED", "FORBIDDEN", "UNAVAILABLE"};
    return codes[refusal];
}

static void tell_verdict(void *data)
{
    struct verdict *verdict = data;
    struct principal *principal = NULL;
    if (verdict->refusal == AUTH_OK)
        principal = principal_new(&(struct principal){.user_id = "someone", .role = verdict->role});
    verdict->fn(verdict->refusal, principal, "because", verdict->data);
    free(verdict);
}

void auth_verify(struct auth *auth, cvn_slice token, auth_fn fn, void *data)
{
    static const struct {
        const char *token;
        enum auth_refusal refusal;
        enum role role;
    } known[] = {
        {"student", AUTH_OK, ROLE_STUDENT},       {"admin", AUTH_OK, ROLE_ADMIN},
        {"service", AUTH_OK, ROLE_SERVICE},       {"expired", AUTH_EXPIRED, ROLE_NONE},
        {"offline", AUTH_UNAVAILABLE, ROLE_NONE},
    };
    struct verdict *verdict = calloc(1, sizeof *verdict);
    (void)auth;
    *verdict = (struct verdict){AUTH_INVALID, ROLE_NONE, fn, data};
    bool is_slow = token.size > 5 && memcmp(token.data, "slow-", 5) == 0;
    if (is_slow)
        token = (cvn_slice){token.data + 5, token.size - 5};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (token.size != strlen(known[i].token) ||
            memcmp(token.data, known[i].token, token.size) != 0)
            continue;
        verdict->refusal = known[i].refusal;
        verdict->role = known[i].role;
    }
    if (!is_slow)
        tell_verdict(verdict);
    else if (cvn_post(server, 0, tell_verdict, verdict) != CVN_OK)
        abort();
}

cvn_slice auth_token_of_request(const struct auth *auth, const cvn_http_request *request,
                                char *buffer, size_t size)
{
    cvn_slice value = cvn_http_header(request, "authorization");
    (void)auth;
    if (value.size <= 7 || value.size - 7 > size)
        return (cvn_slice){NULL, 0};
    memcpy(buffer, value.data + 7, value.size - 7); /* gone when the router frees its buffer */
    return (cvn_slice){buffer, value.size - 7};
}

bool auth_api_key(struct auth *auth, cvn_slice key, struct principal **ret)
{
    (void)auth;
    if (key.size != 7 || memcmp(key.data, "the-key", 7) != 0)
        return false;
    *ret = principal_new(&(struct principal){.user_id = "service/shop", .role = ROLE_SERVICE});
    return true;
}

/* --- Paths --- */

static void assert_path(const char *pattern, const char *path, const char *expected)
{
    struct route_values values;
    char found[1200] = "none";
    if (route_path_match(pattern, cvn_str(path), &values)) {
        found[0] = '\0';
        for (size_t i = 0; i < values.count; i++) {
            strcat(found, values.bytes + values.starts[i]);
            strcat(found, "|");
        }
    }
    assert_string_equal(found, expected);
}

static void test_paths(void **state)
{
    (void)state;
    assert_path("/health", "/health", "");
    assert_path("/health", "/health/", "none");
    assert_path("/health", "/healthy", "none");
    assert_path("/health", "/heal", "none");
    assert_path("/health", "", "none");
    assert_path("/health", "health", "none");
    assert_path("/health", "/he%61lth", "");
    assert_path("/", "/", "");
    assert_path("/", "//", "none");
    assert_path("/a/:id/b", "/a/1/b", "1|");
    assert_path("/a/:id/b", "/a//b", "none");
    assert_path("/a/:id/b", "/a/%31%2f..%2F2/b", "1/../2|");
    assert_path("/a/:id/b", "/a/x/../b", "none");
    assert_path("/a/:id", "/a/Gr%C3%BC%C3%9Fe%20+",
                "Gr\xc3\xbc\xc3\x9f"
                "e +|");
    const char *const wrong[] = {"/a/%",   "/a/%4",  "/a/%zz", "/a/%00", "/a/%ff",
                                 "/a/%0a", "/a/%7f", "/a/",    "/a",     "/a/%ed%a0%80"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_path("/a/:id", wrong[i], "none");
    assert_path("/:a/:b/:c/:d/end", "/1/22/333/4444/end", "1|22|333|4444|");
    assert_path("/:a/:b/:c/:d/:e", "/1/2/3/4/5", "none"); /* more than there is room for */
    char longest[300] = "/a/";
    memset(longest + 3, 'x', ROUTE_MAX_VALUE);
    struct route_values values;
    assert_true(route_path_match("/a/:id", cvn_str(longest), &values));
    strcat(longest, "x");
    assert_false(route_path_match("/a/:id", cvn_str(longest), &values));
}

static void assert_cors(const char *origin, const char *host, enum cors_verdict expected)
{
    static const char *const list[] = {"https://app.example", "https://*.wild.example",
                                       "http://local.example:8080"};
    assert_int_equal(cors_check(list, 3, cvn_str(origin), cvn_str(host)), expected);
}

static void test_origins(void **state)
{
    (void)state;
    assert_cors(NULL, "a", CORS_NONE);
    assert_cors("http://a", "a", CORS_SAME);
    assert_cors("https://A:443", "a", CORS_SAME);
    assert_cors("http://a:443", "a", CORS_REFUSED);
    assert_cors("https://a:8443", "a:8443", CORS_SAME);
    assert_cors("HTTPS://App.Example", "a", CORS_LISTED);
    assert_cors("http://app.example", "a", CORS_REFUSED);
    assert_cors("https://app.example.evil", "a", CORS_REFUSED);
    assert_cors("https://x.y.wild.example", "a", CORS_LISTED);
    assert_cors("https://wild.example", "a", CORS_REFUSED);
    assert_cors("https://.wild.example", "a", CORS_REFUSED);
    assert_cors("https://evil/.wild.example", "a", CORS_REFUSED);
    assert_cors("https://evilwild.example", "a", CORS_REFUSED);
    assert_cors("http://local.example:8080", "a", CORS_LISTED);
    assert_cors("http://local.example", "a", CORS_REFUSED);
    assert_cors("null", "a", CORS_REFUSED);
    assert_cors("", "a", CORS_REFUSED);
    assert_cors("https://app.example ", "a", CORS_REFUSED);
    assert_cors("http://", "", CORS_REFUSED);
    const char *any = "*";
    assert_int_equal(cors_check(&any, 1, cvn_str("null"), cvn_str("a")), CORS_ANY);
}

/* --- A server --- */

static struct router *router;
static struct metrics *metrics;
static struct config *config;
static struct client *client;

static void on_show(struct request *request, void *data)
{
    char json[1024], q[32];
    bool has_q = request_query(request, "q", q, sizeof q);
    cvn_slice field = request_field(request, "X-Extra"), body = request_body(request);
    snprintf(json, sizeof json, "%s|%s|%s|%d:%s|%d|%.*s|%.*s|%s|%d", (const char *)data,
             request->params[0] ? request->params[0] : "-",
             request->params[1] ? request->params[1] : "-", has_q, q,
             request_has_query(request, "unnamed"), (int)field.size, field.data ? field.data : "",
             (int)body.size, body.data ? body.data : "",
             request->principal ? request->principal->user_id : "-",
             request->principal ? (int)request->principal->role : -1);
    request_answer_text(request, 200, "text/plain", cvn_str(json));
}

static void on_address(struct request *request, void *data)
{
    (void)data;
    request_answer_text(request, 200, "text/plain", cvn_str(request->address));
}

static void on_json(struct request *request, void *data)
{
    (void)data;
    json_t *json = request_json(request);
    if (json != NULL)
        request_answer_json(request, 201, json);
}

static void on_busy(struct request *request, void *data)
{
    (void)data;
    request_refuse(request, 429, "RATE_LIMITED", "\"later\"", 1500);
}

static const struct route routes[] = {
    {"GET", "/show/:a/:b", ROUTE_ANYONE, on_show, "", "q"},
    {"GET", "/user", ROUTE_USER, on_show, "", "p,q"},
    {"POST", "/user", ROUTE_USER, on_show, "", "p,q"},
    {"DELETE", "/user", ROUTE_ADMIN, on_show, "", NULL},
    {"GET", "/backend", ROUTE_BACKEND, on_show, "", NULL},
    {"GET", "/operator", ROUTE_OPERATOR, on_show, "", NULL},
    {"GET", "/address", ROUTE_ANYONE, on_address, "", NULL},
    {"POST", "/json", ROUTE_ANYONE, on_json, "", NULL},
    {"GET", "/busy", ROUTE_ANYONE, on_busy, "", NULL},
};

static bool fall_back(cvn_http_request *request, void *data)
{
    cvn_slice path = cvn_http_path(request);
    (void)data;
    if (path.size < 5 || memcmp(path.data, "/app/", 5) != 0)
        return false;
    cvn_http_respond(request, 200, "text/plain", cvn_str("the application"));
    return true;
}

static char one[] = "one", two[] = "two"; /* data of the tables */
static const char *const origins[] = {"https://app.example", NULL};
static int set_up(void **state)
{
    const cvn_options options = {.host = "127.0.0.1", .workers = 1};
    (void)state;
    config = calloc(1, sizeof *config);
    config->server.origins = (struct config_list){origins, 1};
    access_proxies_reconfigure(config);
    metrics = metrics_new();
    server = cvn_server_new(&options);
    router = router_new(config, NULL, server);
    assert_non_null(router);
    router_measure(router, metrics);
    assert_true(router_add(router, routes, 4, one));
    assert_true(router_add(router, routes + 4, sizeof routes / sizeof *routes - 4, two));
    assert_false(router_add(router, &(const struct route){"GET", "x", ROUTE_ANYONE, on_show, "", 0},
                            1, NULL));
    assert_false(router_add(
        router, &(const struct route){"GET", "/:a/:b/:c/:d/:e", ROUTE_ANYONE, on_show, "", 0}, 1,
        NULL));
    assert_true(router_add_fallback(router, fall_back, NULL));
    cvn_on_http(server, router_serve, router);
    cvn_on_http_head(server, router_serve_head, router);
    assert_int_equal(cvn_server_start(server), CVN_OK);
    client = client_new(cvn_server_port(server));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    client_free(client);
    cvn_server_free(server);
    router_free(router);
    metrics_free(metrics);
    access_proxies_release();
    free(config);
    return 0;
}

static struct response *get(const char *target, const char *fields)
{
    return http_exchange(client, "GET", target, fields, NULL);
}

static void assert_refused(const struct response *response, int status, const char *code)
{
    char expected[128];
    snprintf(expected, sizeof expected, "{\"ok\":false,\"error\":{\"code\":\"%s\",\"message\":\"",
             code);
    assert_int_equal(response->status, status);
    if (strncmp(response->body, expected, strlen(expected)) != 0)
        fail_msg("expected %s, found %s", expected, response->body);
}

static void assert_no_header(const struct response *response, const char *name)
{
    if (strcasestr(response->head, name) != NULL)
        fail_msg("%s in %s", name, response->head);
}

/* A fallback has the request before its body, which may be larger than what a route gets. */
static void test_fallbacks_at_the_head(void **state)
{
    struct client *sender = client_new(cvn_server_port(server));
    (void)state;
    http_send(sender, "POST", "/app/upload", "Content-Length: 100000000\r\n", NULL);
    assert_response(http_receive(sender, true), 200, "the application");
    assert_ended(sender); /* nobody waits for all of that */
    client_free(sender);
    sender = client_new(cvn_server_port(server));
    http_send(sender, "POST", "/json", "Content-Length: 100000000\r\n", NULL);
    client_write(sender, "{", 1);
    assert_int_equal(http_receive(sender, true)->status, 413);
    client_free(sender);
}

static void test_routes(void **state)
{
    (void)state;
    assert_response(get("/show/x/%2Fy%20?q=a%20b+c&unnamed=1", "X-Extra: field\r\n"), 200,
                    "one|x|/y |1:a b c|0|field||-|-1");
    assert_response(get("/show/1/2?q=%zz", ""), 200, "one|1|2|0:|0|||-|-1");
    assert_response(get("/show/1/2?q=01234567890123456789012345678901", ""), 200,
                    "one|1|2|0:|0|||-|-1"); /* does not fit */
    assert_refused(get("/nothing", ""), 404, "NOT_FOUND");
    assert_response(get("/app/anything", ""), 200, "the application");
    assert_response(http_exchange(client, "OPTIONS", "/app/x", "", NULL), 200, "the application");
    struct response *response = http_exchange(client, "PUT", "/user", "", NULL);
    assert_refused(response, 405, "METHOD_NOT_ALLOWED");
    assert_header(response, "Allow: GET, HEAD, POST, DELETE, OPTIONS");
    http_send(client, "HEAD", "/show/1/2", "", NULL);
    response = http_receive(client, false);
    assert_int_equal(response->status, 200);
    assert_header(response, "Content-Length: 19");
    assert_header(response, "Cache-Control: no-store");
    assert_header(response, "X-Content-Type-Options: nosniff");
    response = get("/busy", "");
    assert_response(
        response, 429,
        "{\"ok\":false,\"error\":{\"code\":\"RATE_LIMITED\",\"message\":\"\\\"later\\\"\","
        "\"retry_after_ms\":1500}}");
    assert_header(response, "Retry-After: 2");
    size_t cursor = 0, count = 0;
    while (router_next_route(router, &cursor) != NULL)
        count++;
    assert_int_equal(count, sizeof routes / sizeof *routes);
}

static void test_bodies(void **state)
{
    (void)state;
    assert_response(http_exchange(client, "POST", "/json", "", "{\"a\":[1]}"), 201, "{\"a\":[1]}");
    assert_response(http_exchange(client, "POST", "/json", "", NULL), 201, "{}");
    assert_refused(http_exchange(client, "POST", "/json", "", "[1]"), 400, "VALIDATION");
    assert_refused(http_exchange(client, "POST", "/json", "", "{\"a\":1,\"a\":2}"), 400,
                   "VALIDATION");
    assert_refused(http_exchange(client, "POST", "/json", "", "{} x"), 400, "VALIDATION");
    assert_refused(http_exchange(client, "POST", "/json", "", "{"), 400, "VALIDATION");
}

static void test_correlation(void **state)
{
    (void)state;
    assert_header(get("/nothing", "X-Request-ID: my.id-1\r\n"), "X-Request-ID: my.id-1");
    assert_header(get("/show/1/2", "X-Request-ID: my.id-2\r\n"), "X-Request-ID: my.id-2");
    struct response *response = get("/show/1/2", "X-Request-ID: <script>\r\n");
    assert_no_header(response, "script");
    assert_non_null(strcasestr(response->head, "\r\nX-Request-ID: "));
}

#define BEARER(token) "Authorization: Bearer " token "\r\n"

static void test_tokens(void **state)
{
    (void)state;
    struct response *response = get("/user", "");
    assert_refused(response, 401, "AUTH_REQUIRED");
    assert_header(response, "WWW-Authenticate: Bearer realm=\"convened\"");
    assert_refused(get("/user", BEARER("wrong")), 401, "AUTH_INVALID");
    assert_refused(get("/user", BEARER("expired")), 401, "AUTH_EXPIRED");
    response = get("/user", BEARER("offline"));
    assert_refused(response, 503, "UNAVAILABLE");
    assert_header(response, "Retry-After: 1");
    assert_response(get("/user?q=1", BEARER("student")), 200, "one|-|-|1:1|0|||someone|1");
    assert_refused(http_exchange(client, "DELETE", "/user", BEARER("student"), NULL), 403,
                   "FORBIDDEN");
    assert_int_equal(http_exchange(client, "DELETE", "/user", BEARER("admin"), NULL)->status, 200);
    assert_refused(http_exchange(client, "DELETE", "/user", BEARER("service"), NULL), 403,
                   "FORBIDDEN");
    /* The answer about the token comes after the library's handler has returned. */
    assert_response(http_exchange(client, "POST", "/user?x=1&q=%41&p=2",
                                  BEARER("slow-student") "X-Extra: field\r\n", "{\"body\":1}"),
                    200, "one|-|-|1:A|0|field|{\"body\":1}|someone|1");
    assert_refused(http_exchange(client, "POST", "/user", BEARER("slow-wrong"), "{}"), 401,
                   "AUTH_INVALID");
    assert_refused(http_exchange(client, "DELETE", "/user", BEARER("slow-student"), NULL), 403,
                   "FORBIDDEN");
    http_send(client, "GET", "/user", BEARER("slow-student"), NULL);
    client_free(client); /* nobody is there any more when the answer is known */
    client = client_new(cvn_server_port(server));
    assert_int_equal(get("/user", BEARER("student"))->status, 200);
}

static void test_backends(void **state)
{
    (void)state;
    assert_refused(get("/backend", ""), 401, "AUTH_REQUIRED");
    assert_refused(get("/backend", BEARER("student")), 403, "FORBIDDEN");
    assert_int_equal(get("/backend", BEARER("service"))->status, 200);
    assert_int_equal(get("/backend", BEARER("admin"))->status, 200);
    assert_response(get("/backend", "X-API-Key: the-key\r\n"), 200,
                    "two|-|-|0:|0|||service/shop|4");
    assert_response(get("/backend", BEARER("the-key")), 200, "two|-|-|0:|0|||service/shop|4");
    assert_refused(get("/backend", "X-API-Key: the-kex\r\n"), 401, "AUTH_INVALID");
    assert_refused(get("/backend", "X-API-Key: \r\n" BEARER("admin")), 401, "AUTH_INVALID");
    assert_refused(get("/user", "X-API-Key: the-key\r\n"), 401, "AUTH_REQUIRED");
}

static void test_operators(void **state)
{
    (void)state;
    assert_int_equal(get("/operator", "")->status, 200); /* loopback */
    assert_refused(get("/operator", "X-Forwarded-For: 127.0.0.1\r\n"), 401, "AUTH_REQUIRED");
    assert_refused(get("/operator", "Via: 1.1 proxy\r\n"), 401, "AUTH_REQUIRED");
    assert_refused(get("/operator", BEARER("student")), 403, "FORBIDDEN");
    assert_int_equal(get("/operator", BEARER("admin"))->status, 200);
    config->operations.metrics_token = "scrape-me";
    assert_true(router_reconfigure(router, config));
    assert_refused(get("/operator", ""), 401, "AUTH_REQUIRED");
    assert_refused(get("/operator", BEARER("scrape-m")), 401, "AUTH_INVALID");
    assert_int_equal(get("/operator", BEARER("scrape-me"))->status, 200);
    assert_int_equal(get("/operator", "Authorization: bEARER scrape-me\r\n")->status, 200);
    assert_int_equal(get("/operator", BEARER("admin"))->status, 200);
    config->operations.metrics_token = NULL;
    config->operations.metrics_public = true;
    assert_true(router_reconfigure(router, config));
    assert_int_equal(get("/operator", "Via: 1.1 proxy\r\n")->status, 200);
    config->operations.metrics_public = false;
    assert_true(router_reconfigure(router, config));
}

static void test_addresses(void **state)
{
    (void)state;
    const char *const networks[] = {"127.0.0.0/8", NULL};
    assert_response(get("/address", "X-Forwarded-For: 203.0.113.9\r\n"), 200, "127.0.0.1");
    config->server.trusted_proxies = (struct config_list){networks, 1};
    assert_true(access_proxies_reconfigure(config));
    assert_response(get("/address", "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n"), 200,
                    "203.0.113.9");
    /* HAProxy adds a field of its own behind the client's. */
    assert_response(get("/address", "X-Forwarded-For: 198.51.100.1\r\nx-forwarded-for: "
                                    "203.0.113.9\r\n"),
                    200, "203.0.113.9");
    assert_response(get("/address", "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For:\r\n"), 200,
                    "127.0.0.1");
    config->server.trusted_proxies.count = 0;
    assert_true(access_proxies_reconfigure(config));
}

static void test_browsers(void **state)
{
    (void)state;
    struct response *response = get("/show/1/2", "Origin: https://app.example\r\n");
    assert_header(response, "Access-Control-Allow-Origin: https://app.example");
    assert_header(response, "Vary: Origin");
    assert_no_header(response, "allow-credentials");
    response =
        get("/user", "Origin: https://app.example\r\n"); /* a page may read the refusal, too */
    assert_int_equal(response->status, 401);
    assert_header(response, "Access-Control-Allow-Origin: https://app.example");
    response = get("/show/1/2", "Origin: https://evil.example\r\n");
    assert_int_equal(response->status, 200);
    assert_no_header(response, "access-control");
    assert_refused(http_exchange(client, "POST", "/user",
                                 "Origin: https://evil.example\r\n" BEARER("student"), "{}"),
                   403, "FORBIDDEN");
    assert_int_equal(http_exchange(client, "POST", "/user",
                                   "Origin: http://localhost\r\n" BEARER("student"), "{}")
                         ->status,
                     200);

    http_send(client, "OPTIONS", "/user",
              "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n"
              "Access-Control-Request-Headers: authorization\r\n",
              NULL);
    response = http_receive(client, false);
    assert_int_equal(response->status, 204);
    assert_header(response, "Access-Control-Allow-Methods: GET, HEAD, POST, DELETE, OPTIONS");
    assert_header(response, "Access-Control-Allow-Headers: authorization");
    http_send(client, "OPTIONS", "/user",
              "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n", NULL);
    response = http_receive(client, false);
    assert_int_equal(response->status, 204);
    assert_no_header(response, "access-control");

    config->auth.cookie = "session";
    assert_true(router_reconfigure(router, config));
    assert_header(get("/show/1/2", "Origin: https://app.example\r\n"),
                  "Access-Control-Allow-Credentials: true");
    const char *const any[] = {"*", NULL};
    config->server.origins = (struct config_list){any, 1};
    assert_true(router_reconfigure(router, config));
    response = get("/show/1/2", "Origin: https://evil.example\r\n");
    assert_header(response, "Access-Control-Allow-Origin: *");
    assert_no_header(response, "allow-credentials");
    config->server.origins = (struct config_list){origins, 1};
    config->auth.cookie = NULL;
    assert_true(router_reconfigure(router, config));
}

static void test_measured(void **state)
{
    (void)state;
    cvn_text *text = cvn_text_new(1 << 20);
    metrics_print(metrics, text);
    cvn_text_append_slice(text, (cvn_slice){"", 1});
    const char *found = cvn_text_slice(text).data;
    assert_non_null(strstr(found,
                           "convened_http_requests_total{method=\"GET\",route=\"/show/:a/:b\","
                           "status=\"200\"} "));
    assert_non_null(strstr(found, "{method=\"other\",route=\"none\",status=\"404\"} "));
    assert_non_null(strstr(found, "_duration_seconds_count{route=\"/busy\"} 1\n"));
    assert_null(strstr(found, "/nothing"));
    cvn_text_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),       cmocka_unit_test(test_origins),
        cmocka_unit_test(test_routes),      cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_correlation), cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_backends),    cmocka_unit_test(test_operators),
        cmocka_unit_test(test_addresses),   cmocka_unit_test(test_browsers),
        cmocka_unit_test(test_measured),    cmocka_unit_test(test_fallbacks_at_the_head),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
