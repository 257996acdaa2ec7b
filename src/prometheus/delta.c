#include "prometheus/delta.h"

#include "base/hash.h"

#include <stdlib.h>

enum stream_kind { STREAM_NONE, STREAM_NUMBER, STREAM_HISTOGRAM, STREAM_EXPONENTIAL, STREAM_TIME };
enum { FIRST_SLOTS = 256, SWEEPS_A_STALE = 4 };

/* A stream is known by 128 bits of its labels, keyed. */
struct stream {
    uint64_t hash, check;
    uint64_t last_ns; /* of its last point */
    uint64_t seen_ns; /* when that came */
    union {
        struct delta_number number;
        struct delta_histogram *histogram;
        struct expo_sum *exponential;
        int64_t ms;
    };
    uint8_t kind; /* STREAM_NONE: the slot is free */
};

struct prom_state {
    struct memory *memory;
    struct hash_key key, check_key;
    struct stream *slots; /* open addressing; a power of two, at most half of them used */
    size_t slot_count, used;
    uint64_t swept_ns;
};

struct prom_state *prom_state_new(struct memory *memory)
{
    struct prom_state *s = calloc(1, sizeof(*s));

    if (!s)
        err_no_memory("the sums of delta metrics");
    s->memory = memory;
    s->key = hash_key_random();
    s->check_key = hash_key_random();
    return s;
}

static void stream_fini(struct prom_state *s, struct stream *stream)
{
    if (stream->kind == STREAM_HISTOGRAM)
        counted_free(s->memory, stream->histogram);
    else if (stream->kind == STREAM_EXPONENTIAL)
        counted_free(s->memory, stream->exponential);
}

void prom_state_free(struct prom_state *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->slot_count; i++)
        stream_fini(s, &s->slots[i]);
    counted_free(s->memory, s->slots);
    free(s);
}

size_t prom_state_streams(const struct prom_state *s)
{
    return s->used;
}

/* ---- the table ---- */

/* The slot of the stream, or the free one where it belongs. */
static struct stream *slot_of(struct stream *slots, size_t count, uint64_t hash, uint64_t check)
{
    size_t at = hash & (count - 1);

    while (slots[at].kind && !(slots[at].hash == hash && slots[at].check == check))
        at = (at + 1) & (count - 1);
    return &slots[at];
}

/* Moves what is not stale into `count` slots. False without memory. */
static bool rebuild(struct prom_state *s, size_t count, uint64_t oldest_ns)
{
    struct stream *slots = counted_alloc(s->memory, count * sizeof(*slots));

    if (!slots)
        return false;
    memset(slots, 0, count * sizeof(*slots));
    s->used = 0;
    for (size_t i = 0; i < s->slot_count; i++) {
        struct stream *stream = &s->slots[i];

        if (!stream->kind)
            continue;
        if (stream->seen_ns < oldest_ns) {
            stream_fini(s, stream);
            continue;
        }
        *slot_of(slots, count, stream->hash, stream->check) = *stream;
        s->used++;
    }
    counted_free(s->memory, s->slots);
    s->slots = slots;
    s->slot_count = count;
    return true;
}

static void forget_stale(struct prom_state *s, const struct prom_config *config, uint64_t now_ns)
{
    if (s->used == 0 || now_ns - s->swept_ns < config->max_stale_ns / SWEEPS_A_STALE)
        return;
    s->swept_ns = now_ns;
    if (now_ns > config->max_stale_ns)
        (void)!rebuild(s, s->slot_count, now_ns - config->max_stale_ns);
}

static bool has_room(struct prom_state *s, const struct prom_config *config)
{
    if (s->used >= config->max_streams)
        return false;
    if (2 * (s->used + 1) <= s->slot_count)
        return true;
    return rebuild(s, s->slot_count ? 2 * s->slot_count : FIRST_SLOTS, 0);
}

/* The stream; NULL: there is no room for it. A new one has kind STREAM_NONE until it has its first
 * point. Streams of different kinds with the same labels are different ones. */
static struct stream *stream_of(struct prom_state *s, const struct prom_config *config,
                                enum stream_kind kind, struct slice labels, uint64_t now_ns)
{
    uint64_t hash = hash_bytes(s->key, labels.data, labels.len) + (uint64_t)kind;
    uint64_t check = hash_bytes(s->check_key, labels.data, labels.len);
    struct stream *found;

    forget_stale(s, config, now_ns);
    if (s->slot_count) {
        found = slot_of(s->slots, s->slot_count, hash, check);
        if (found->kind)
            return found;
    }
    if (!has_room(s, config))
        return NULL;
    found = slot_of(s->slots, s->slot_count, hash, check);
    *found = (struct stream){.hash = hash, .check = check};
    return found;
}

/* What a point of this time means. */
enum point_is { POINT_NEW, POINT_AGAIN, POINT_OLD };

static enum point_is take_time(struct prom_state *s, struct stream *stream, enum stream_kind kind,
                               const struct metric_point *p, uint64_t now_ns)
{
    bool is_new = stream->kind == STREAM_NONE;

    if (!is_new && p->time_ns < stream->last_ns)
        return POINT_OLD;
    stream->seen_ns = now_ns;
    if (!is_new && p->time_ns == stream->last_ns)
        return POINT_AGAIN;
    stream->last_ns = p->time_ns;
    stream->kind = (uint8_t)kind;
    s->used += is_new;
    return POINT_NEW;
}

/* ---- numbers ---- */

static void add_number(struct delta_number *sum, const struct metric_number *n)
{
    if (n->type == NUMBER_DOUBLE && !sum->is_double) {
        sum->is_double = true;
        sum->number = (double)sum->integer;
    }
    if (sum->is_double)
        sum->number += n->type == NUMBER_DOUBLE ? n->number : (double)n->integer;
    else
        sum->integer = (int64_t)((uint64_t)sum->integer + (uint64_t)n->integer);
}

enum prom_reason delta_number_add(struct prom_state *s, const struct prom_config *config,
                                  struct slice labels, const struct metric_point *p,
                                  uint64_t now_ns, double *out)
{
    struct stream *stream = stream_of(s, config, STREAM_NUMBER, labels, now_ns);

    if (!stream)
        return PROM_OVERFLOW;
    switch (take_time(s, stream, STREAM_NUMBER, p, now_ns)) {
    case POINT_OLD:
        return PROM_OUT_OF_ORDER;
    case POINT_NEW:
        add_number(&stream->number, &p->value);
        break;
    case POINT_AGAIN:
        break;
    }
    *out = stream->number.is_double ? stream->number.number : (double)stream->number.integer;
    return PROM_REASONS;
}

/* ---- histograms ---- */

static size_t count_bounds(struct slice point)
{
    struct metric_numbers bounds = metric_bounds(point);
    double bound;
    size_t n = 0;

    while (metric_bounds_next(&bounds, &bound))
        n++;
    return n;
}

static bool has_bounds(const struct delta_histogram *h, struct slice point)
{
    struct metric_numbers bounds = metric_bounds(point);
    double bound;
    size_t n = 0;

    while (metric_bounds_next(&bounds, &bound)) {
        if (n == h->bounds_count || h->bounds[n] != bound)
            return false;
        n++;
    }
    return n == h->bounds_count;
}

/* An empty one with the bounds of the point; NULL without memory. */
static struct delta_histogram *histogram_new(struct prom_state *s, struct slice point, size_t n)
{
    size_t size = sizeof(struct delta_histogram) + n * sizeof(double) + (n + 1) * sizeof(uint64_t);
    struct delta_histogram *h = counted_alloc(s->memory, size);
    struct metric_numbers bounds = metric_bounds(point);

    if (!h)
        return NULL;
    memset(h, 0, size);
    h->has_sum = true;
    h->bounds_count = n;
    h->bounds = (double *)(void *)(h + 1);
    h->buckets = (uint64_t *)(void *)(h->bounds + n);
    for (size_t i = 0; i < n && metric_bounds_next(&bounds, &h->bounds[i]);)
        i++;
    return h;
}

static void add_histogram(struct delta_histogram *h, const struct metric_point *p,
                          struct slice point)
{
    struct metric_numbers counts = metric_bucket_counts(point);
    uint64_t count;

    for (size_t i = 0; i <= h->bounds_count && metric_counts_next(&counts, &count); i++)
        h->buckets[i] += count;
    h->count += p->count;
    h->sum += p->sum;
    h->has_sum &= p->has_sum;
}

/* Where bounds changed it begins anew, which is seen as a reset. */
static bool ready_histogram(struct prom_state *s, struct stream *stream, struct slice point)
{
    struct delta_histogram *made;

    if (stream->kind == STREAM_HISTOGRAM && has_bounds(stream->histogram, point))
        return true;
    made = histogram_new(s, point, count_bounds(point));
    if (!made)
        return false;
    if (stream->kind == STREAM_HISTOGRAM)
        counted_free(s->memory, stream->histogram);
    stream->histogram = made;
    return true;
}

enum prom_reason delta_histogram_add(struct prom_state *s, const struct prom_config *config,
                                     struct slice labels, const struct metric_point *p,
                                     struct slice point, uint64_t now_ns,
                                     const struct delta_histogram **out)
{
    struct stream *stream;

    if (count_bounds(point) > DELTA_BUCKETS_MAX)
        return PROM_TOO_LARGE;
    stream = stream_of(s, config, STREAM_HISTOGRAM, labels, now_ns);
    if (!stream)
        return PROM_OVERFLOW;
    if (stream->kind && p->time_ns < stream->last_ns)
        return PROM_OUT_OF_ORDER;
    if (!(stream->kind && p->time_ns == stream->last_ns) && !ready_histogram(s, stream, point))
        return PROM_OVERFLOW;
    if (take_time(s, stream, STREAM_HISTOGRAM, p, now_ns) == POINT_NEW)
        add_histogram(stream->histogram, p, point);
    *out = stream->histogram;
    return PROM_REASONS;
}

static struct expo_sum *exponential_new(struct prom_state *s)
{
    struct expo_sum *sum = counted_alloc(s->memory, sizeof(*sum));

    if (sum)
        memset(sum, 0, sizeof(*sum));
    return sum;
}

enum prom_reason delta_exponential_add(struct prom_state *s, const struct prom_config *config,
                                       struct slice labels, const struct metric_point *p,
                                       struct slice point, uint64_t now_ns,
                                       const struct expo_sum **out)
{
    struct stream *stream = stream_of(s, config, STREAM_EXPONENTIAL, labels, now_ns);
    struct expo_sum *sum;

    if (!stream)
        return PROM_OVERFLOW;
    if (stream->kind && p->time_ns < stream->last_ns)
        return PROM_OUT_OF_ORDER;
    sum = stream->kind ? stream->exponential : exponential_new(s);
    if (!sum)
        return PROM_OVERFLOW;
    if (!(stream->kind && p->time_ns == stream->last_ns) && !expo_add(sum, p, point)) {
        if (!stream->kind)
            counted_free(s->memory, sum);
        return PROM_SCALE;
    }
    stream->exponential = sum;
    (void)take_time(s, stream, STREAM_EXPONENTIAL, p, now_ns);
    *out = sum;
    return PROM_REASONS;
}

bool delta_may_send(struct prom_state *s, const struct prom_config *config, struct slice labels,
                    int64_t ms, uint64_t now_ns)
{
    struct stream *stream = stream_of(s, config, STREAM_TIME, labels, now_ns);

    if (!stream)
        return true;
    if (stream->kind && ms < stream->ms)
        return false;
    s->used += !stream->kind;
    stream->kind = STREAM_TIME;
    stream->ms = ms;
    stream->seen_ns = now_ns;
    return true;
}
