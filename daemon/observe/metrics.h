/*
 * Counters and histograms that parts keep, printed as Prometheus text by GET /metrics. Registered at the start on the main thread, counted
 * on any thread without a lock. Names are convened_*, with a unit in the end (_seconds, _bytes) and _total for counters.
 */
#ifndef OBSERVE_METRICS_H
#define OBSERVE_METRICS_H

#include <convene/convene.h>

struct metrics;
struct metric; /* one family: a counter, gauge or histogram, with up to 3 labels */

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* `labels`: names separated by commas ("namespace,event"), NULL for none. At most `max_series` combinations of values are kept; what comes
 * beyond is counted under the values "other". NULL when memory has run out; counting on NULL does nothing. */
struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                               const char *labels, unsigned max_series);
struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                             const char *labels, unsigned max_series);
/* Bounds in seconds, ascending, ending with 0; NULL: 100 us to 10 s. */
struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                                 const char *labels, const double *bounds, unsigned max_series);

/* One combination of label values, looked up once and kept as long as the metrics; any thread. */
struct series;
struct series *metric_series(struct metric *metric, const char *a, const char *b, const char *c);
void series_add(struct series *series, uint64_t n);    /* counter */
void series_set(struct series *series, int64_t value); /* gauge */
void series_move(struct series *series, int64_t by);   /* gauge: up and down */
void series_observe(struct series *series, double seconds);
/* Shorthand: look up and add. */
void metric_add(struct metric *metric, uint64_t n, const char *a, const char *b, const char *c);

/* Numbers that are read when somebody asks (the library's counters): called on a worker by the request for /metrics. */
typedef void (*metrics_collect_fn)(struct metrics *metrics, cvn_text *text, void *data);
bool metrics_collect(struct metrics *metrics, metrics_collect_fn fn, void *data);
/* For collectors: "# HELP", "# TYPE", and one sample. */
void metrics_write_family(cvn_text *text, const char *name, const char *type, const char *help);
void metrics_write_sample(cvn_text *text, const char *name, const char *label_names,
                          const char *const *label_values, double value);

void metrics_print(struct metrics *metrics, cvn_text *text);

#endif
