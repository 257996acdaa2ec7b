#include "spanmetrics/histogram.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void histogram_clear(struct histogram *h, const struct histogram_shape *shape)
{
    memset(h, 0, histogram_bytes(shape));
    h->scale = HISTOGRAM_SCALE_MAX;
}

/* Of a power of two the logarithm is exact; of others it is as near as makes no difference. */
int32_t histogram_index(double value, int32_t scale)
{
    double index = (double)(1 << scale);
    int32_t whole;
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    if ((bits & (UINT64_C(0xfffffffffffff))) == 0) /* no fraction: durations are normal numbers */
        return (int32_t)((bits >> 52) - 1023) * (1 << scale) - 1;
    index *= log2(value);
    whole = (int32_t)index; /* towards 0 */
    return index > whole ? whole : whole - 1;
}

bool histogram_range(const struct histogram *h, const struct histogram_shape *shape, int32_t *low,
                     int32_t *high)
{
    unsigned first = 0, last = shape->buckets;

    while (first < shape->buckets && h->counts[first] == 0)
        first++;
    if (first == shape->buckets)
        return false;
    while (h->counts[last - 1] == 0)
        last--;
    *low = h->start + (int32_t)first;
    *high = h->start + (int32_t)last - 1;
    return true;
}

/* Moves the counts to where they belong at `scale` with `start` in front. */
static void rebin(struct histogram *h, const struct histogram_shape *shape, int32_t scale,
                  int32_t start)
{
    uint64_t counts[HISTOGRAM_BUCKETS_MAX] = {0};
    int shift = h->scale - scale;

    for (unsigned i = 0; i < shape->buckets; i++)
        if (h->counts[i])
            counts[((h->start + (int32_t)i) >> shift) - start] += h->counts[i];
    memcpy(h->counts, counts, shape->buckets * sizeof(*counts));
    h->scale = scale;
    h->start = start;
}

/* Makes room for the buckets low to high of `scale`, which is at most its own, beside what it has.
 */
static void make_room(struct histogram *h, const struct histogram_shape *shape, int32_t scale,
                      int32_t low, int32_t high)
{
    int32_t size = (int32_t)shape->buckets, own_low, own_high;

    if (histogram_range(h, shape, &own_low, &own_high)) {
        own_low >>= h->scale - scale;
        own_high >>= h->scale - scale;
        low = own_low < low ? own_low : low;
        high = own_high > high ? own_high : high;
    }
    while (high - low >= size) {
        low >>= 1;
        high >>= 1;
        scale--;
    }
    assert(scale >= 0);
    rebin(h, shape, scale, low - (size - (high - low + 1)) / 2);
}

static void add_exponential(struct histogram *h, const struct histogram_shape *shape, double value)
{
    int32_t index = histogram_index(value, h->scale), scale = h->scale;

    if ((uint32_t)(index - h->start) >= shape->buckets) {
        make_room(h, shape, scale, index, index);
        index >>= scale - h->scale;
    }
    h->counts[index - h->start]++;
}

void histogram_add(struct histogram *h, const struct histogram_shape *shape, uint64_t duration_ns)
{
    unsigned i = 0;

    if (shape->explicit) {
        while (i < shape->buckets - 1 && duration_ns > shape->bounds_ns[i])
            i++;
        h->counts[i]++;
    } else if (duration_ns == 0) {
        h->zero++;
    } else {
        add_exponential(h, shape, (double)duration_ns / shape->unit_ns);
    }
}

static void merge_exponential(struct histogram *to, const struct histogram_shape *shape,
                              const struct histogram *from)
{
    int32_t low, high, scale = from->scale < to->scale ? from->scale : to->scale;

    if (!histogram_range(from, shape, &low, &high))
        return;
    make_room(to, shape, scale, low >> (from->scale - scale), high >> (from->scale - scale));
    for (int32_t i = low; i <= high; i++)
        to->counts[(i >> (from->scale - to->scale)) - to->start] += from->counts[i - from->start];
}

void histogram_merge(struct histogram *to, const struct histogram_shape *shape,
                     const struct histogram *from)
{
    to->zero += from->zero;
    if (!shape->explicit) {
        merge_exponential(to, shape, from);
        return;
    }
    for (unsigned i = 0; i < shape->buckets; i++)
        to->counts[i] += from->counts[i];
}
