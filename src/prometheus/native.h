/* native.h: exponential histograms, and their form as Prometheus's native ones. Private to the
 * room.
 */
#pragma once

#include "base/buf.h"
#include "otlp/metric_view.h"

enum {
    NATIVE_SCALE_MAX = 8,
    NATIVE_SCALE_MIN = -4,
    NATIVE_BUCKETS_MAX = 16384, /* buckets with something in them, of one sign */
    EXPO_BUCKETS = 160,         /* of one sign of a sum of deltas: then it becomes coarser */
};

/* Buckets of one sign: where they are, and a walk over the counts. */
struct native_buckets {
    struct metric_numbers counts; /* of a point */
    const uint64_t *dense;        /* of a sum: `dense_count` of them; NULL: counts */
    size_t dense_count;
    int32_t offset;
};

struct native_histogram {
    uint64_t count, zero_count;
    double sum, zero_threshold;
    int32_t scale;
    struct native_buckets positive, negative;
    bool is_stale;
    int64_t ms;
};

/* The point as it came. */
void native_of_point(struct slice point, const struct metric_point *p, struct native_histogram *h);

/* Appends a Histogram message of remote write. False: it is too coarse, or has too many buckets or
 * none of the indexes that there are; what was appended is to be cut off. */
bool native_put(struct buf *out, const struct native_histogram *h);

/* A sum of exponential histograms. Its buckets are EXPO_BUCKETS numbers each. */
struct expo_side {
    int32_t offset;
    uint32_t used;
    uint64_t counts[EXPO_BUCKETS];
};
struct expo_sum {
    uint64_t count, zero_count;
    double sum, zero_threshold;
    int32_t scale;
    bool has_sum;
    struct expo_side positive, negative;
};
/* The sum becomes coarser where the point is, or where it has too many buckets. False: it would
 * have to be coarser than native ones can be; the sum is as it was. */
bool expo_add(struct expo_sum *sum, const struct metric_point *p, struct slice point);
