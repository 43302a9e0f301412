/*
 * The loop, and the phases of a run: all clients settle; the work starts and warms up; a window of time is measured; what the
 * server still owes must arrive. Only work that was done within the window is counted, and the CPU used within it; latencies at a
 * fixed rate are of what was due within it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include "base/mem.h"
#include "load.h"

#define EVENTS_A_TURN       256
#define OPENING_AT_ONCE     128                /* stays below every server's listen backlog */
#define SETTLE_TIME         (60 * LOAD_SECOND) /* for all clients to connect */
#define MICROSECONDS(nanos) ((double)(nanos) / 1e3)

uint64_t load_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * LOAD_SECOND + (uint64_t)now.tv_nsec;
}

static double own_cpu(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

void load_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("convene-load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void *load_alloc(size_t size)
{
    void *memory = mem_zalloc(size);
    if (memory == NULL)
        load_fail("out of memory");
    return memory;
}

void load_settled(struct load_client *client)
{
    struct load *load = client->load;
    load->settled_count++;
    if (load->settled_count == load->client_count / 10)
        load->rss_settled_tenth = load_proc_rss((int)load->options.pid);
}

void load_count(struct load *load, uint64_t since_ns)
{
    if (load->phase != LOAD_MEASURE)
        return;
    load->now_ns = load_clock();
    load_hist_add(&load->latencies, load->now_ns > since_ns ? load->now_ns - since_ns : 0);
    load->count++;
}

void load_count_due(struct load *load, uint64_t due_ns)
{
    if (load->phase == LOAD_MEASURE)
        load->count++;
    else if (load->phase != LOAD_DRAIN || due_ns >= load->measure_end_ns)
        return;
    if (due_ns < load->measure_start_ns) /* the warm-up's */
        return;
    load->now_ns = load_clock();
    load_hist_add(&load->latencies, load->now_ns > due_ns ? load->now_ns - due_ns : 0);
}

static uint64_t nanos(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static void start_measuring(struct load *load)
{
    load->phase = LOAD_MEASURE;
    load->cpu_start = load_proc_cpu((int)load->options.pid);
    load->own_cpu_start = own_cpu();
    load->measure_start_ns = load_clock();
}

static void stop_measuring(struct load *load)
{
    load->phase = LOAD_DRAIN;
    load->measure_end_ns = load_clock();
    load->own_cpu_used = own_cpu() - load->own_cpu_start;
    load->cpu_used = load_proc_cpu((int)load->options.pid) - load->cpu_start;
    load->rss_end = load_proc_rss((int)load->options.pid);
}

/* Goes on to the next phase when it is time. Returns when this one ends at the latest, 0 when all is done. */
static uint64_t advance(struct load *load, uint64_t *phase_start_ns)
{
    const struct load_options *options = &load->options;
    uint64_t elapsed = load->now_ns - *phase_start_ns;
    enum load_phase phase = load->phase;
    uint64_t length = 0;
    switch (phase) {
    case LOAD_SETTLE:
        length = SETTLE_TIME;
        if (load->settled_count == load->client_count || load->opens_in_start) {
            load->phase = LOAD_WARM;
            if (load->mode->start != NULL)
                load->mode->start(load);
        } else if (elapsed >= length) {
            load_fail("only %u of %u clients have connected and joined", load->settled_count,
                      load->client_count);
        }
        break;
    case LOAD_WARM:
        length = nanos(options->warmup);
        if (elapsed >= length)
            start_measuring(load);
        break;
    case LOAD_MEASURE:
        length = nanos(options->seconds);
        if (elapsed >= length || (options->messages > 0 && load->count >= options->messages))
            stop_measuring(load);
        break;
    case LOAD_DRAIN:
        length = nanos(options->patience);
        if (load->inflight == 0)
            return 0;
        if (elapsed >= length)
            load_fail("%llu messages were lost", (unsigned long long)load->inflight);
        break;
    }
    if (load->phase != phase) {
        *phase_start_ns = load->now_ns;
        return load->now_ns; /* look at once what the new phase wants */
    }
    return *phase_start_ns + length;
}

/* Opens more clients, a bounded number at once. */
static void open_clients(struct load *load)
{
    if (load->opens_in_start)
        return;
    while (load->begun_count < load->client_count &&
           load->begun_count - load->settled_count < OPENING_AT_ONCE)
        load_client_open(&load->clients[load->begun_count++]);
}

static void turn(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_A_TURN];
    uint64_t now_ns = load_clock(), rest = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec timeout = {(time_t)(rest / LOAD_SECOND), (long)(rest % LOAD_SECOND)};
    int count = epoll_pwait2(load->epoll, events, EVENTS_A_TURN, &timeout, NULL);
    if (count < 0 && errno != EINTR)
        load_fail("epoll_pwait2: %s", strerror(errno));
    load->now_ns = load_clock();
    for (int i = 0; i < count; i++)
        load_conn_on_event(load, events[i].data.ptr, events[i].events);
}

static void report(const struct load *load)
{
    const struct load_options *options = &load->options;
    const struct load_hist *hist = &load->latencies;
    double seconds = (double)(load->measure_end_ns - load->measure_start_ns) / 1e9;
    double count = (double)load->count;
    printf("{\"mode\":\"%s\",\"transport\":\"%s\",\"connections\":%u,\"bytes\":%u,"
           "\"seconds\":%.3f,\"count\":%llu",
           load->mode->name, options->polling ? "polling" : "websocket", load->client_count,
           options->bytes, seconds, (unsigned long long)load->count);
    if (load->count > 0)
        printf(",\"per_second\":%.0f", count / seconds);
    if (hist->count > 0)
        printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f",
               MICROSECONDS(load_hist_at(hist, 0.5)), MICROSECONDS(load_hist_at(hist, 0.99)),
               MICROSECONDS(load_hist_at(hist, 0.999)), MICROSECONDS(hist->max));
    if (options->pid != 0)
        printf(",\"server_cpu_s\":%.2f,\"rss_bytes\":%llu", load->cpu_used,
               (unsigned long long)load->rss_end);
    if (options->pid != 0 && load->count > 0)
        printf(",\"server_cpu_us\":%.3f", load->cpu_used * 1e6 / count);
    /* How busy this program was: near 1 it is what bounds the figures. */
    printf(",\"load_busy\":%.2f", seconds > 0 ? load->own_cpu_used / seconds : 0);
    if (load->mode->report != NULL)
        load->mode->report(load, stdout);
    printf("}\n");
}

static void set_up(struct load *load)
{
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load->epoll < 0)
        load_fail("epoll_create1: %s", strerror(errno));
    load->pad = load_alloc(load->options.bytes + 1);
    memset(load->pad, 'x', load->options.bytes);
    load->rss_start = load_proc_rss((int)load->options.pid);
    load->mode->prepare(load);
    load->clients = load_alloc(load->client_count * sizeof *load->clients);
    for (unsigned i = 0; i < load->client_count; i++) {
        struct load_client *client = &load->clients[i];
        *client = (struct load_client){.load = load, .index = i};
        load_conn_init(&client->conns[0], client);
        load_conn_init(&client->conns[1], client);
    }
}

static void tear_down(struct load *load)
{
    for (unsigned i = 0; i < load->client_count; i++) {
        struct load_client *client = &load->clients[i];
        client->state = LOAD_CLOSED;
        for (unsigned side = 0; side < 2; side++) {
            load_conn_close(&client->conns[side], false);
            buf_release(&client->conns[side].in);
            buf_release(&client->conns[side].out);
        }
        buf_release(&client->payload);
        mem_free(client->own);
    }
    mem_free(load->clients);
    mem_free(load->pad);
    mem_free(load->own);
}

void load_run(struct load *load)
{
    set_up(load);
    load->now_ns = load_clock();
    uint64_t phase_start_ns = load->now_ns;
    for (;;) {
        open_clients(load);
        uint64_t wake_ns = advance(load, &phase_start_ns);
        if (wake_ns == 0)
            break;
        if (load->mode->on_turn != NULL) {
            uint64_t due_ns = load->mode->on_turn(load);
            wake_ns = due_ns < wake_ns ? due_ns : wake_ns;
        }
        load_conn_flush_all(load);
        turn(load, wake_ns);
    }
    report(load);
    tear_down(load);
}
