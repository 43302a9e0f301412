/*
 * What is counted, and how it is printed (Prometheus text format 0.0.4). Families are registered on the main thread and never go.
 * A family's series are found without a lock in a table of fixed size, which is never more than half full: an entry is
 * published with release and never changes. New ones are made under the family's mutex. Each series has its numbers several times,
 * a cache line apart, and a thread counts on one of them; who prints adds them up.
 */
#include "observe/metrics.h"
#include "observe/log.h"
#include "observe/text.h"
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define MAX_LABELS  3
#define MAX_VALUE   128   /* bytes of a label's value; what is longer counts as "other" */
#define MAX_BOUNDS  32    /* of a histogram */
#define MAX_SERIES  65536 /* of a family */
#define SHARDS      8
#define CACHE_LINE  64
#define NUMBER_SIZE 32
#define MAX_SECONDS                                                                                \
    1e6 /* what an observation adds to the sum at most, lest broken clocks wrap it */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct series {
    struct metric *metric;
    uint32_t hash;
    size_t label_size;
    char *labels; /* values, each with its NUL */
    /* SHARDS times metric->stride: a counter's or gauge's number; a histogram's buckets (the last is +Inf) and the sum in
     * nanoseconds. A gauge uses the first only. */
    _Atomic uint64_t *numbers;
};

struct metric {
    struct metric *next;
    enum metric_type type;
    char *name, *help;
    size_t label_count;
    char *label_names[MAX_LABELS];
    double bounds[MAX_BOUNDS];
    size_t bound_count;
    size_t stride; /* numbers of one shard, in whole cache lines */
    uint32_t seed;
    pthread_mutex_t mutex;           /* making a series */
    unsigned max_series, slot_mask;  /* of slots */
    _Atomic(struct series *) *slots; /* open addressing */
    _Atomic(struct series *) *order; /* as they were made; the last is for "other" */
    _Atomic unsigned count;
    struct series *other; /* made with the family: when it is needed memory may have run out */
    _Atomic bool has_other;
};

struct collector {
    struct collector *next;
    metrics_collect_fn fn;
    void *data;
};

struct metrics {
    struct metric *first, **last;
    struct collector *collectors, **last_collector;
};

static const double default_bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                        0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                        1,      2.5,     5,      10,    0};

/* --- Names and values --- */

static bool is_name(const char *name, bool with_colons)
{
    if (name[0] == '\0' || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (; *name != '\0'; name++) {
        bool is_letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
        bool is_digit = *name >= '0' && *name <= '9';
        if (!is_letter && !is_digit && *name != '_' && !(with_colons && *name == ':'))
            return false;
    }
    return true;
}

/* --- Making --- */

struct metrics *metrics_new(void)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL)
        return NULL;
    metrics->last = &metrics->first;
    metrics->last_collector = &metrics->collectors;
    return metrics;
}

static void free_series(struct series *series)
{
    if (series == NULL)
        return;
    free(series->labels);
    free((void *)series->numbers);
    free(series);
}

static void free_metric(struct metric *metric)
{
    if (metric == NULL)
        return;
    unsigned count = atomic_load(&metric->count);
    for (unsigned i = 0; i < count; i++)
        free_series(atomic_load(&metric->order[i]));
    free_series(metric->other);
    for (size_t i = 0; i < metric->label_count; i++)
        free(metric->label_names[i]);
    free((void *)metric->slots);
    free((void *)metric->order);
    free(metric->name);
    free(metric->help);
    pthread_mutex_destroy(&metric->mutex);
    free(metric);
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (struct metric *metric = metrics->first, *next; metric != NULL; metric = next) {
        next = metric->next;
        free_metric(metric);
    }
    for (struct collector *collector = metrics->collectors, *next; collector != NULL;
         collector = next) {
        next = collector->next;
        free(collector);
    }
    free(metrics);
}

static struct series *make_series(struct metric *metric, const char *labels, size_t size,
                                  uint32_t hash)
{
    struct series *series = calloc(1, sizeof *series);
    if (series == NULL)
        return NULL;
    size_t bytes = metric->stride * (metric->type == METRIC_GAUGE ? 1 : SHARDS) * sizeof(uint64_t);
    series->metric = metric;
    series->hash = hash;
    series->label_size = size;
    series->labels = malloc(size + 1);
    series->numbers = aligned_alloc(CACHE_LINE, bytes);
    if (series->labels == NULL || series->numbers == NULL) {
        free_series(series);
        return NULL;
    }
    memcpy(series->labels, labels, size);
    for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
        atomic_init(&series->numbers[i], 0);
    return series;
}

/* Takes "namespace,event" apart; false for names that are none, too many of them, or memory. */
static bool take_label_names(struct metric *metric, const char *labels)
{
    while (labels != NULL && *labels != '\0') {
        size_t size = strcspn(labels, ",");
        if (metric->label_count == MAX_LABELS)
            return false;
        char *name = strndup(labels, size);
        if (name == NULL)
            return false;
        metric->label_names[metric->label_count++] = name;
        if (!is_name(name, false) || strncmp(name, "__", 2) == 0 || strcmp(name, "le") == 0)
            return false;
        labels += size + (labels[size] == ',');
    }
    return true;
}

static bool take_bounds(struct metric *metric, const double *bounds)
{
    metric->stride = CACHE_LINE / sizeof(uint64_t);
    if (metric->type != METRIC_HISTOGRAM)
        return true;
    if (bounds == NULL)
        bounds = default_bounds;
    for (; *bounds > 0; bounds++) {
        if (metric->bound_count == MAX_BOUNDS || !isfinite(*bounds) ||
            (metric->bound_count > 0 && *bounds <= metric->bounds[metric->bound_count - 1]))
            return false;
        metric->bounds[metric->bound_count++] = *bounds;
    }
    size_t numbers = metric->bound_count + 2;
    metric->stride = (numbers + metric->stride - 1) / metric->stride * metric->stride;
    return true;
}

static bool make_tables(struct metric *metric, unsigned max_series)
{
    char other[MAX_LABELS * sizeof "other"];
    unsigned slots = 2;
    metric->max_series = max_series == 0 ? 1 : max_series > MAX_SERIES ? MAX_SERIES : max_series;
    if (metric->label_count == 0)
        metric->max_series = 1;
    while (slots < metric->max_series * 2)
        slots *= 2;
    metric->slot_mask = slots - 1;
    metric->slots = calloc(slots, sizeof *metric->slots);
    metric->order = calloc(metric->max_series, sizeof *metric->order);
    for (size_t i = 0; i < metric->label_count; i++)
        memcpy(other + i * sizeof "other", "other", sizeof "other");
    metric->other = make_series(metric, other, metric->label_count * sizeof "other", 0);
    return metric->slots != NULL && metric->order != NULL && metric->other != NULL;
}

/* The family of that name, when it was registered before. */
static struct metric *find_metric(const struct metrics *metrics, const char *name)
{
    for (struct metric *metric = metrics->first; metric != NULL; metric = metric->next)
        if (strcmp(metric->name, name) == 0)
            return metric;
    return NULL;
}

static struct metric *make_metric(struct metrics *metrics, enum metric_type type, const char *name,
                                  const char *help, const char *labels, const double *bounds,
                                  unsigned max_series)
{
    if (metrics == NULL)
        return NULL;
    if (!is_name(name, true) || find_metric(metrics, name) != NULL) {
        log_entry(LOG_ERROR, "a metric's name is wrong or taken", LOG_TEXT("metric", name),
                  LOG_END);
        return NULL;
    }
    struct metric *metric = calloc(1, sizeof *metric);
    if (metric == NULL)
        return NULL;
    pthread_mutex_init(&metric->mutex, NULL);
    metric->type = type;
    metric->name = strdup(name);
    metric->help = strdup(help);
    if (getrandom(&metric->seed, sizeof metric->seed, GRND_NONBLOCK) != sizeof metric->seed)
        metric->seed = (uint32_t)(uintptr_t)metric; /* worse, not wrong: the tables are bounded */
    if (metric->name == NULL || metric->help == NULL || !take_label_names(metric, labels) ||
        !take_bounds(metric, bounds) || !make_tables(metric, max_series)) {
        log_entry(LOG_ERROR, "a metric cannot be made", LOG_TEXT("metric", name), LOG_END);
        free_metric(metric);
        return NULL;
    }
    *metrics->last = metric;
    metrics->last = &metric->next;
    if (metric->label_count == 0) /* there from the start, at zero */
        metric_series(metric, NULL, NULL, NULL);
    return metric;
}

struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                               const char *labels, unsigned max_series)
{
    return make_metric(metrics, METRIC_COUNTER, name, help, labels, NULL, max_series);
}

struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                             const char *labels, unsigned max_series)
{
    return make_metric(metrics, METRIC_GAUGE, name, help, labels, NULL, max_series);
}

struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                                 const char *labels, const double *bounds, unsigned max_series)
{
    return make_metric(metrics, METRIC_HISTOGRAM, name, help, labels, bounds, max_series);
}

bool metrics_collect(struct metrics *metrics, metrics_collect_fn fn, void *data)
{
    struct collector *collector = metrics != NULL ? calloc(1, sizeof *collector) : NULL;
    if (collector == NULL)
        return false;
    collector->fn = fn;
    collector->data = data;
    *metrics->last_collector = collector;
    metrics->last_collector = &collector->next;
    return true;
}

/* --- Finding a series --- */

/* The values one behind the other, each with its NUL, and their hash (FNV-1a with a random start). False for what is no value. */
static bool join_values(const struct metric *metric, const char *const values[MAX_LABELS],
                        char *ret, size_t *ret_size, uint32_t *ret_hash)
{
    uint32_t hash = 2166136261u ^ metric->seed;
    size_t size = 0;
    for (size_t i = 0; i < metric->label_count; i++) {
        const char *value = values[i] != NULL ? values[i] : "";
        size_t length = strnlen(value, MAX_VALUE + 1);
        if (length > MAX_VALUE || !text_is_utf8(value, length))
            return false;
        for (size_t at = 0; at <= length; at++) {
            ret[size++] = value[at];
            hash = (hash ^ (unsigned char)value[at]) * 16777619u;
        }
    }
    *ret_size = size;
    *ret_hash = hash;
    return true;
}

/* Where the series is, or would be. */
static struct series *look_up(struct metric *metric, const char *labels, size_t size, uint32_t hash,
                              unsigned *ret_slot)
{
    unsigned slot = hash & metric->slot_mask;
    for (;; slot = (slot + 1) & metric->slot_mask) {
        struct series *series = atomic_load_explicit(&metric->slots[slot], memory_order_acquire);
        if (series == NULL || (series->hash == hash && series->label_size == size &&
                               memcmp(series->labels, labels, size) == 0)) { /* size 0: no labels */
            *ret_slot = slot;
            return series;
        }
    }
}

static struct series *other_series(struct metric *metric)
{
    atomic_store_explicit(&metric->has_other, true, memory_order_relaxed);
    return metric->other;
}

struct series *metric_series(struct metric *metric, const char *a, const char *b, const char *c)
{
    char labels[MAX_LABELS * (MAX_VALUE + 1)];
    size_t size = 0;
    uint32_t hash = 0;
    unsigned slot;
    if (metric == NULL)
        return NULL;
    if (!join_values(metric, (const char *const[MAX_LABELS]){a, b, c}, labels, &size, &hash))
        return other_series(metric);
    /* Who says "other" means the series that is kept for the rest. */
    if (size > 0 && size == metric->other->label_size &&
        memcmp(labels, metric->other->labels, size) == 0)
        return other_series(metric);
    struct series *series = look_up(metric, labels, size, hash, &slot);
    if (series != NULL)
        return series;
    if (atomic_load_explicit(&metric->count, memory_order_relaxed) == metric->max_series)
        return other_series(metric);
    pthread_mutex_lock(&metric->mutex);
    series = look_up(metric, labels, size, hash, &slot);
    unsigned count = atomic_load(&metric->count);
    if (series == NULL && count < metric->max_series) {
        series = make_series(metric, labels, size, hash);
        if (series != NULL) {
            atomic_store(&metric->order[count], series);
            atomic_store(&metric->slots[slot], series);
            atomic_store(&metric->count, count + 1);
        }
    }
    pthread_mutex_unlock(&metric->mutex);
    return series != NULL ? series : other_series(metric);
}

/* --- Counting --- */

/* The numbers that this thread counts on. */
static _Atomic uint64_t *own_numbers(struct series *series)
{
    static _Atomic unsigned threads;
    static _Thread_local unsigned shard = SHARDS;
    if (shard == SHARDS)
        shard = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SHARDS;
    return series->numbers + series->metric->stride * shard;
}

void series_add(struct series *series, uint64_t n)
{
    if (series != NULL && series->metric->type == METRIC_COUNTER)
        atomic_fetch_add_explicit(own_numbers(series), n, memory_order_relaxed);
}

void series_set(struct series *series, int64_t value)
{
    if (series != NULL && series->metric->type == METRIC_GAUGE)
        atomic_store_explicit(series->numbers, (uint64_t)value, memory_order_relaxed);
}

void series_move(struct series *series, int64_t by)
{
    if (series != NULL && series->metric->type == METRIC_GAUGE)
        atomic_fetch_add_explicit(series->numbers, (uint64_t)by, memory_order_relaxed);
}

void series_observe(struct series *series, double seconds)
{
    if (series == NULL || series->metric->type != METRIC_HISTOGRAM)
        return;
    const struct metric *metric = series->metric;
    _Atomic uint64_t *numbers = own_numbers(series);
    size_t bucket = 0;
    if (!(seconds > 0)) /* a clock that went back, or no number */
        seconds = 0;
    while (bucket < metric->bound_count && seconds > metric->bounds[bucket])
        bucket++;
    double nanoseconds = seconds < MAX_SECONDS ? seconds * 1e9 : MAX_SECONDS * 1e9;
    atomic_fetch_add_explicit(&numbers[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&numbers[metric->bound_count + 1], (uint64_t)(nanoseconds + 0.5),
                              memory_order_relaxed);
}

void metric_add(struct metric *metric, uint64_t n, const char *a, const char *b, const char *c)
{
    series_add(metric_series(metric, a, b, c), n);
}

/* --- Printing --- */

static void append_escaped(cvn_text *text, const char *value, bool is_label)
{
    while (*value != '\0') {
        size_t plain = strcspn(value, is_label ? "\\\n\"" : "\\\n");
        cvn_text_append_slice(text, (cvn_slice){value, plain});
        value += plain;
        if (*value == '\0')
            break;
        cvn_text_append(text, *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\");
        value++;
    }
}

void metrics_write_family(cvn_text *text, const char *name, const char *type, const char *help)
{
    cvn_text_printf(text, "# HELP %s ", name);
    append_escaped(text, help, false);
    cvn_text_printf(text, "\n# TYPE %s %s\n", name, type);
}

/* The shortest decimal that is read as the same number. */
static void format_value(char ret[NUMBER_SIZE], double value)
{
    if (isnan(value)) {
        snprintf(ret, NUMBER_SIZE, "NaN");
    } else if (isinf(value)) {
        snprintf(ret, NUMBER_SIZE, "%cInf", value > 0 ? '+' : '-');
    } else if (value == trunc(value) && fabs(value) < 9007199254740992.0) {
        snprintf(ret, NUMBER_SIZE, "%" PRId64, (int64_t)value);
    } else {
        for (int digits = 6; digits <= 17; digits++) {
            snprintf(ret, NUMBER_SIZE, "%.*g", digits, value);
            if (strtod(ret, NULL) == value)
                break;
        }
    }
}

/* {namespace="/chat",event="message"}; `le` may be NULL. */
static void append_labels(cvn_text *text, size_t count, const char *const *names,
                          const char *const *values, const char *le)
{
    if (count == 0 && le == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        cvn_text_printf(text, "%c%s=\"", i == 0 ? '{' : ',', names[i]);
        append_escaped(text, values[i], true);
        cvn_text_append(text, "\"");
    }
    if (le != NULL)
        cvn_text_printf(text, "%cle=\"%s\"", count == 0 ? '{' : ',', le);
    cvn_text_append(text, "}");
}

void metrics_write_sample(cvn_text *text, const char *name, const char *label_names,
                          const char *const *label_values, double value)
{
    char number[NUMBER_SIZE];
    cvn_text_append(text, name);
    char separator = '{';
    for (size_t i = 0; label_names != NULL && *label_names != '\0'; i++) {
        size_t size = strcspn(label_names, ",");
        const char *label = label_values[i] != NULL ? label_values[i] : "";
        cvn_text_printf(text, "%c%.*s=\"", separator, (int)size, label_names);
        append_escaped(text, text_is_utf8(label, strlen(label)) ? label : "invalid", true);
        cvn_text_append(text, "\"");
        separator = ',';
        label_names += size + (label_names[size] == ',');
    }
    format_value(number, value);
    cvn_text_printf(text, "%s %s\n", separator == ',' ? "}" : "", number);
}

static void print_histogram(cvn_text *text, const struct metric *metric, const uint64_t *numbers,
                            const char *const *names, const char *const *values)
{
    uint64_t count = 0;
    char number[NUMBER_SIZE];
    for (size_t i = 0; i <= metric->bound_count; i++) {
        count += numbers[i];
        format_value(number, i < metric->bound_count ? metric->bounds[i] : INFINITY);
        cvn_text_printf(text, "%s_bucket", metric->name);
        append_labels(text, metric->label_count, names, values, number);
        cvn_text_printf(text, " %" PRIu64 "\n", count);
    }
    format_value(number, (double)numbers[metric->bound_count + 1] / 1e9);
    cvn_text_printf(text, "%s_sum", metric->name);
    append_labels(text, metric->label_count, names, values, NULL);
    cvn_text_printf(text, " %s\n%s_count", number, metric->name);
    append_labels(text, metric->label_count, names, values, NULL);
    cvn_text_printf(text, " %" PRIu64 "\n", count);
}

static void print_series(cvn_text *text, const struct metric *metric, const struct series *series)
{
    const char *names[MAX_LABELS], *values[MAX_LABELS], *at = series->labels;
    uint64_t numbers[MAX_BOUNDS + 2] = {0};
    size_t used = metric->type == METRIC_HISTOGRAM ? metric->bound_count + 2 : 1;
    for (size_t i = 0; i < metric->label_count; i++) {
        names[i] = metric->label_names[i];
        values[i] = at;
        at += strlen(at) + 1;
    }
    for (size_t shard = 0; shard < (metric->type == METRIC_GAUGE ? 1 : SHARDS); shard++)
        for (size_t i = 0; i < used; i++)
            numbers[i] += atomic_load_explicit(&series->numbers[metric->stride * shard + i],
                                               memory_order_relaxed);
    if (metric->type == METRIC_HISTOGRAM) {
        print_histogram(text, metric, numbers, names, values);
        return;
    }
    cvn_text_append(text, metric->name);
    append_labels(text, metric->label_count, names, values, NULL);
    if (metric->type == METRIC_GAUGE)
        cvn_text_printf(text, " %" PRId64 "\n", (int64_t)numbers[0]);
    else
        cvn_text_printf(text, " %" PRIu64 "\n", numbers[0]);
}

void metrics_print(struct metrics *metrics, cvn_text *text)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    for (struct metric *metric = metrics->first; metric != NULL; metric = metric->next) {
        metrics_write_family(text, metric->name, types[metric->type], metric->help);
        unsigned count = atomic_load_explicit(&metric->count, memory_order_acquire);
        for (unsigned i = 0; i < count; i++)
            print_series(text, metric, atomic_load(&metric->order[i]));
        if (atomic_load_explicit(&metric->has_other, memory_order_relaxed))
            print_series(text, metric, metric->other);
    }
    for (struct collector *collector = metrics->collectors; collector != NULL;
         collector = collector->next)
        collector->fn(metrics, text, collector->data);
}
