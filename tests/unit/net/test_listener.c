/* Listening sockets on loopback: addresses, ports shared or not, what waits when one closes, and running out of descriptors. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include "net/listener.h"
#include "rig.h"

struct hall {
    struct rig rig;
    struct listener *listener;
    unsigned accepted, closed;
    char address[64];
    unsigned port;
    bool no_delay;
};

static void hall_on_data(struct conn *conn, char *data, size_t size)
{
    (void)conn;
    (void)data;
    (void)size;
}

static void hall_on_close(struct conn *conn, enum conn_reason reason)
{
    struct hall *hall = conn_owner(conn);
    (void)reason;
    hall->closed++;
}

static const struct conn_events hall_events = {hall_on_data, NULL, hall_on_close, NULL};

static void on_accept(struct conn *conn, void *app)
{
    struct hall *hall = app;
    int value = 0;
    socklen_t size = sizeof value;
    hall->accepted++;
    snprintf(hall->address, sizeof hall->address, "%s", conn_peer_address(conn));
    hall->port = conn_peer_port(conn);
    getsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &value, &size);
    hall->no_delay = value != 0;
    assert_false(conn_is_secure(conn));
    conn_set_owner(conn, &hall_events, hall);
}

static enum cvn_error open_at(struct hall *hall, const char *host, uint16_t port, bool exclusive,
                              struct listener **ret)
{
    struct listener_options options = {.host = host,
                                       .port = port,
                                       .backlog = 128,
                                       .exclusive = exclusive,
                                       .limits = &wide_limits,
                                       .on_accept = on_accept,
                                       .app = hall};
    return listener_open(&hall->rig.worker, &options, ret);
}

static void hall_open(struct hall *hall, const char *host)
{
    memset(hall, 0, sizeof *hall);
    rig_start(&hall->rig);
    assert_int_equal(open_at(hall, host, 0, true, &hall->listener), CVN_OK);
    assert_true(listener_port(hall->listener) != 0);
}

static void hall_end(struct hall *hall)
{
    listener_close(hall->listener);
    rig_end(&hall->rig);
    assert_int_equal(hall->accepted, hall->closed);
}

static int call_v4(uint16_t port, uint16_t *ret_own_port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    getsockname(fd, (struct sockaddr *)&address, &size);
    *ret_own_port = ntohs(address.sin_port);
    return fd;
}

static void test_accepts_with_addresses(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "0.0.0.0", "::"}; /* :: takes IPv4, too */
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct hall hall;
        uint16_t own_port;
        hall_open(&hall, hosts[i]);
        int fd = call_v4(listener_port(hall.listener), &own_port);
        assert_true(fd >= 0);
        UNTIL(&hall.rig, hall.accepted == 1);
        assert_string_equal(hall.address, "127.0.0.1");
        assert_int_equal(hall.port, own_port);
        assert_true(hall.no_delay);
        close(fd);
        UNTIL(&hall.rig, hall.closed == 1);
        hall_end(&hall);
    }
}

static void test_accepts_ipv6(void **state)
{
    struct hall hall;
    (void)state;
    hall_open(&hall, "::1");
    struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                   .sin6_port = htons(listener_port(hall.listener)),
                                   .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    UNTIL(&hall.rig, hall.accepted == 1);
    assert_string_equal(hall.address, "::1");
    close(fd);
    hall_end(&hall);
}

static void test_refuses_bad_hosts(void **state)
{
    static const char *const hosts[] = {"",      "localhost", "127.0.0.1:80",
                                        "1.2.3", "[::1]",     "::1%nowhere"};
    struct hall hall;
    struct listener *listener = NULL;
    (void)state;
    hall_open(&hall, "127.0.0.1");
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        assert_int_equal(open_at(&hall, hosts[i], 0, true, &listener), CVN_ERR_ARGUMENT);
    errno = 0;
    assert_int_equal(open_at(&hall, "203.0.113.7", 0, true, &listener), CVN_ERR_SYSTEM);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_null(listener);
    hall_end(&hall);
}

static void test_ports_are_shared_on_purpose_only(void **state)
{
    struct hall hall;
    struct listener *other = NULL;
    (void)state;
    hall_open(&hall, "127.0.0.1");
    uint16_t port = listener_port(hall.listener);
    errno = 0;
    assert_int_equal(open_at(&hall, "127.0.0.1", port, true, &other), CVN_ERR_SYSTEM);
    assert_int_equal(errno, EADDRINUSE);
    assert_null(other);
    assert_int_equal(open_at(&hall, "127.0.0.1", port, false, &other), CVN_OK);
    assert_int_equal(listener_port(other), port);
    listener_close(other);
    listener_close(hall.listener);
    hall.listener = NULL;
    assert_int_equal(open_at(&hall, "127.0.0.1", port, true, &hall.listener),
                     CVN_OK); /* free at once */
    hall_end(&hall);
}

static void test_drain_takes_who_waits(void **state)
{
    struct hall hall;
    int callers[50];
    uint16_t own_port;
    (void)state;
    hall_open(&hall, "127.0.0.1");
    uint16_t port = listener_port(hall.listener);
    for (int i = 0; i < 50; i++) /* the loop does not run: the kernel completes these */
        assert_true((callers[i] = call_v4(port, &own_port)) >= 0);
    listener_drain(hall.listener);
    assert_int_equal(hall.accepted, 50);
    listener_close(hall.listener);
    hall.listener = NULL;
    assert_int_equal(call_v4(port, &own_port), -1);
    for (int i = 0; i < 50; i++)
        close(callers[i]);
    hall_end(&hall);
}

static void test_rests_without_descriptors(void **state)
{
    struct hall hall;
    struct rlimit saved, none;
    uint16_t own_port;
    (void)state;
    hall_open(&hall, "127.0.0.1");
    int caller = call_v4(listener_port(hall.listener), &own_port);
    assert_true(caller >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = saved.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    rig_turns(&hall.rig, 20);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
    assert_int_equal(hall.accepted, 0);
    assert_true(wheel_next_ms(&hall.rig.worker.wheel) !=
                WHEEL_NEVER); /* rests instead of spinning */
    wheel_advance(&hall.rig.worker.wheel, worker_now_ms(&hall.rig.worker) + 60000);
    UNTIL(&hall.rig, hall.accepted == 1);
    close(caller);
    hall_end(&hall);
}

static void test_memory_runs_out(void **state)
{
    struct hall hall;
    struct listener *listener = NULL;
    uint16_t own_port;
    char byte;
    (void)state;
    hall_open(&hall, "127.0.0.1");
    mem_fail_after(0, 1);
    assert_int_equal(open_at(&hall, "127.0.0.1", 0, true, &listener), CVN_ERR_MEMORY);
    mem_fail_after(0, 0);
    int caller = call_v4(listener_port(hall.listener), &own_port);
    mem_fail_after(0, UINT64_MAX);
    rig_turns(&hall.rig, 20);
    mem_fail_after(0, 0);
    assert_int_equal(hall.accepted, 0);
    assert_true(recv(caller, &byte, 1, 0) <= 0); /* this caller pays */
    close(caller);
    caller = call_v4(listener_port(hall.listener), &own_port);
    UNTIL(&hall.rig, hall.accepted == 1);
    close(caller);
    hall_end(&hall);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_with_addresses),
        cmocka_unit_test(test_accepts_ipv6),
        cmocka_unit_test(test_refuses_bad_hosts),
        cmocka_unit_test(test_ports_are_shared_on_purpose_only),
        cmocka_unit_test(test_drain_takes_who_waits),
        cmocka_unit_test(test_rests_without_descriptors),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
