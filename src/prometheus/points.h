/* points.h: data points as samples. Private to the room. */
#pragma once

#include "prometheus/delta.h"
#include "prometheus/labels.h"
#include "prometheus/series.h"

enum {
    BOUND_CACHE = 64,
    POINT_BUCKETS_MAX = 16384,
    NS_PER_MILLISECOND = 1000000,
};

/* The text of a bound, kept because many points have the same bounds. */
struct bound_text {
    uint64_t bits;
    uint16_t len;
    char text[30]; /* longer ones are not kept */
};

struct prom_writer {
    struct prom_config config;
    struct series_table series;
    struct series_table families; /* metadata that was said: labels are whole messages */
    struct label_set labels;
    struct label_list list; /* of the point */
    struct label_mark of_resource, of_scope;
    struct buf name;     /* of the metric */
    struct buf suffixed; /* with _sum and the like */
    struct buf identity; /* of a delta stream */
    struct buf exemplar;
    struct bound_text bounds[BOUND_CACHE];
    struct prom_request requests[PROM_REQUESTS_MAX];
    struct series_out out;
    /* of the batch: */
    struct prom_state *state;
    uint64_t unix_ns;
    uint64_t latest_ns; /* of the points of the resource */
};

/* Adds the samples of one point. PROM_REASONS: it did; else why not. The metric's name is in
 * w->name, the labels of resource and scope in w->labels. */
enum prom_reason points_add(struct prom_writer *w, const struct metric_view *metric,
                            struct slice resource, struct slice point);

/* One of a point of that series. Where its labels would be too long together, the ids alone stay.
 */
void exemplar_add(struct prom_writer *w, uint32_t series, const struct metric_exemplar *e);

/* No number is 0. */
static inline double number_as_double(const struct metric_number *n)
{
    return n->type == NUMBER_INT ? (double)n->integer : n->type == NUMBER_DOUBLE ? n->number : 0;
}
