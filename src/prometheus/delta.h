/* delta.h: sums of delta streams, which Prometheus wants cumulative. Private to the room.
 *
 * A stream is a metric with its labels. A point that is as late as the last one was summed before
 * (its batch comes again): the sum is given once more; an older one is refused.
 */
#pragma once

#include "prometheus/native.h"
#include "prometheus/prometheus.h"

enum { DELTA_BUCKETS_MAX = 4096 };

struct delta_histogram {
    uint64_t count;
    double sum;
    bool has_sum;
    size_t bounds_count;
    double *bounds;    /* in the same block as */
    uint64_t *buckets; /* bounds_count + 1 */
};

struct delta_number {
    bool is_double;
    int64_t integer;
    double number;
};

/* What there is now of the stream that these labels are (the name among them). PROM_REASONS: it
 * is in *out; else why not. now_ns: Unix. */
enum prom_reason delta_number_add(struct prom_state *s, const struct prom_config *config,
                                  struct slice labels, const struct metric_point *p,
                                  uint64_t now_ns, double *out);
/* Borrowed until the next call. */
enum prom_reason delta_histogram_add(struct prom_state *s, const struct prom_config *config,
                                     struct slice labels, const struct metric_point *p,
                                     struct slice point, uint64_t now_ns,
                                     const struct delta_histogram **out);
enum prom_reason delta_exponential_add(struct prom_state *s, const struct prom_config *config,
                                       struct slice labels, const struct metric_point *p,
                                       struct slice point, uint64_t now_ns,
                                       const struct expo_sum **out);

/* Whether a series that repeats what does not change (target_info) may be sent with this time: not
 * before what was sent already. At most max_streams are remembered; what is not, may. */
bool delta_may_send(struct prom_state *s, const struct prom_config *config, struct slice labels,
                    int64_t ms, uint64_t now_ns);
