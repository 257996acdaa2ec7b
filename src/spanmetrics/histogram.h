/* histogram.h: durations in buckets: a base-2 exponential histogram (OpenTelemetry's data model),
 * or explicit bounds.
 *
 * Counts never fail and take no memory once made: of an exponential one the scale is halved until
 * what came fits into its buckets. Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_BUCKETS_MIN = 80, /* so many hold every duration at scale 0 */
    HISTOGRAM_BUCKETS_MAX = 320,
    HISTOGRAM_BOUNDS_MAX = 64,
    HISTOGRAM_SCALE_MAX = 20,
};

/* What all histograms of a collector have in common. */
struct histogram_shape {
    double unit_ns;   /* a bucket's bounds are in this unit: 1e6 or 1e9 */
    unsigned buckets; /* how many counts there are: bounds + 1, or max_size */
    bool explicit;
    uint64_t bounds_ns[HISTOGRAM_BOUNDS_MAX]; /* ascending; the upper bound is part of a bucket */
};

struct histogram {
    int32_t scale; /* of an exponential one: counts[i] is of (b^(start+i), b^(start+i+1)] units, */
    int32_t start; /* where b = 2^(2^-scale) */
    uint64_t zero; /* durations of 0 */
    uint64_t counts[];
};

static inline size_t histogram_bytes(const struct histogram_shape *shape)
{
    return sizeof(struct histogram) + shape->buckets * sizeof(uint64_t);
}

/* Empties it, also one that was never anything. */
void histogram_clear(struct histogram *h, const struct histogram_shape *shape);

void histogram_add(struct histogram *h, const struct histogram_shape *shape, uint64_t duration_ns);

/* Adds all that `from` has. */
void histogram_merge(struct histogram *to, const struct histogram_shape *shape,
                     const struct histogram *from);

/* The first and the last index with a count; false: there is none. */
bool histogram_range(const struct histogram *h, const struct histogram_shape *shape, int32_t *low,
                     int32_t *high);

/* The bucket that a value > 0 of an exponential histogram is in. */
int32_t histogram_index(double value, int32_t scale);
