#include "prometheus/native.h"

#include "otlp/wire.h"
#include "otlp/write.h"

#include <math.h>

#define STALE_BITS UINT64_C(0x7ff0000000000002)

/* Fields of Histogram. */
enum {
    COUNT_INT = 1,
    SUM = 3,
    SCHEMA = 4,
    ZERO_THRESHOLD = 5,
    ZERO_COUNT_INT = 6,
    NEGATIVE_SPANS = 8,
    NEGATIVE_DELTAS = 9,
    POSITIVE_SPANS = 11,
    POSITIVE_DELTAS = 12,
    TIMESTAMP = 15,
};
enum { GAP_MAX = 2 }; /* empty buckets that are cheaper than a span */

void native_of_point(struct slice point, const struct metric_point *p, struct native_histogram *h)
{
    *h = (struct native_histogram){
        .count = p->count,
        .zero_count = p->zero_count,
        .sum = p->has_sum ? p->sum : (double)NAN,
        .zero_threshold = p->zero_threshold,
        .scale = p->scale,
        .is_stale = p->flags & METRIC_NO_VALUE,
    };
    h->positive.counts = metric_exponential_counts(point, false, &h->positive.offset);
    h->negative.counts = metric_exponential_counts(point, true, &h->negative.offset);
}

static uint64_t zigzag64(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* ---- buckets ---- */

/* Buckets of a point become spans with deltas: the deltas go to `deltas`, the spans to `out`. */
struct spans {
    struct buf *out;
    uint32_t field;
    struct buf deltas;
    int64_t first, next; /* indexes: where the open span begins, and behind it */
    int64_t end;         /* behind the last span that was written */
    uint64_t last_count;
    uint32_t used;
    bool is_open, had_one;
};

static void close_span(struct spans *s)
{
    size_t start;

    if (!s->is_open)
        return;
    start = otlp_write_begin(s->out, s->field);
    wire_put_uint(s->out, 1, zigzag64(s->had_one ? s->first - s->end : s->first));
    wire_put_uint(s->out, 2, (uint64_t)(s->next - s->first));
    otlp_write_end(s->out, start);
    s->end = s->next;
    s->had_one = true;
    s->is_open = false;
}

static void put_delta(struct spans *s, uint64_t count)
{
    wire_put_varint(&s->deltas, zigzag64((int64_t)(count - s->last_count)));
    s->last_count = count;
    s->next++;
}

static bool add_bucket(struct spans *s, int64_t index, uint64_t count)
{
    if (index < INT32_MIN || index > INT32_MAX || ++s->used > NATIVE_BUCKETS_MAX)
        return false;
    if (s->is_open && index - s->next > GAP_MAX)
        close_span(s);
    while (s->is_open && s->next < index)
        put_delta(s, 0);
    if (!s->is_open) {
        s->is_open = true;
        s->first = s->next = index;
    }
    put_delta(s, count);
    return true;
}

static bool next_count(struct native_buckets *b, size_t i, uint64_t *count)
{
    if (!b->dense)
        return metric_counts_next(&b->counts, count);
    if (i == b->dense_count)
        return false;
    *count = b->dense[i];
    return true;
}

/* All buckets, 2^down of them as one. */
static bool add_buckets(struct spans *s, struct native_buckets b, int down)
{
    int64_t index = 0;
    uint64_t count, sum = 0;

    for (size_t i = 0; next_count(&b, i, &count); i++) {
        /* Prometheus's bucket i ends where that of OTLP begins. */
        int64_t at = (((int64_t)b.offset + (int64_t)i) >> down) + 1;

        if (at != index && sum && !add_bucket(s, index, sum))
            return false;
        sum = at == index ? sum + count : count;
        index = at;
    }
    return !sum || add_bucket(s, index, sum);
}

static bool put_buckets(struct buf *out, uint32_t field, struct native_buckets b, int down)
{
    struct spans s = {.out = out, .field = field};
    bool good;

    buf_init(&s.deltas, 1 << 20, NULL);
    good = add_buckets(&s, b, down);
    close_span(&s);
    if (s.deltas.len)
        wire_put_bytes(out, field + 1, buf_slice(&s.deltas));
    good = good && buf_ok(&s.deltas);
    buf_fini(&s.deltas);
    return good;
}

bool native_put(struct buf *out, const struct native_histogram *h)
{
    const int down = h->scale > NATIVE_SCALE_MAX ? h->scale - NATIVE_SCALE_MAX : 0;
    double threshold = h->zero_threshold > 0 ? h->zero_threshold : 1e-128;

    if (h->scale < NATIVE_SCALE_MIN || down > 32)
        return false;
    wire_put_uint(out, COUNT_INT, h->is_stale ? STALE_BITS : h->count);
    wire_put_fixed64(out, SUM, h->is_stale ? STALE_BITS : bits_of(h->sum));
    wire_put_uint(out, SCHEMA, zigzag64(h->scale - down));
    wire_put_fixed64(out, ZERO_THRESHOLD, bits_of(threshold));
    wire_put_uint(out, ZERO_COUNT_INT, h->is_stale ? 0 : h->zero_count);
    if (!h->is_stale && !(put_buckets(out, NEGATIVE_SPANS, h->negative, down) &&
                          put_buckets(out, POSITIVE_SPANS, h->positive, down)))
        return false;
    wire_put_uint(out, TIMESTAMP, (uint64_t)h->ms);
    return buf_ok(out);
}

/* ---- sums ---- */

/* Indexes of what is in the buckets, at the scale they have. */
struct range {
    int64_t low, high; /* high < low: nothing */
};

static struct range range_of_side(const struct expo_side *s)
{
    return (struct range){s->offset, (int64_t)s->offset + s->used - 1};
}

static struct range range_of_point(struct slice point, bool is_negative)
{
    struct range r = {1, 0};
    struct metric_numbers counts;
    int32_t offset;
    uint64_t count;

    counts = metric_exponential_counts(point, is_negative, &offset);
    for (int64_t i = offset; metric_counts_next(&counts, &count); i++) {
        if (!count)
            continue;
        r.low = r.high < r.low ? i : r.low;
        r.high = i;
    }
    return r;
}

static struct range coarser(struct range r, int down)
{
    return r.high < r.low ? r : (struct range){r.low >> down, r.high >> down};
}

static struct range both(struct range a, struct range b)
{
    if (a.high < a.low)
        return b;
    if (b.high < b.low)
        return a;
    return (struct range){a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high};
}

static bool fits(struct range r)
{
    return r.high < r.low ||
           (r.high - r.low < EXPO_BUCKETS && r.low >= INT32_MIN && r.high <= INT32_MAX);
}

/* Moves a side to `to`, of buckets 2^down as wide. */
static void widen(struct expo_side *s, struct range to, int down)
{
    struct expo_side wide = {.offset = (int32_t)to.low};

    if (to.high < to.low)
        return;
    wide.used = (uint32_t)(to.high - to.low + 1);
    for (uint32_t i = 0; i < s->used; i++)
        wide.counts[(((int64_t)s->offset + i) >> down) - to.low] += s->counts[i];
    *s = wide;
}

static void add_side(struct expo_side *s, struct slice point, bool is_negative, int down)
{
    struct metric_numbers counts;
    int32_t offset;
    uint64_t count;

    counts = metric_exponential_counts(point, is_negative, &offset);
    for (int64_t i = offset; metric_counts_next(&counts, &count); i++)
        if (count)
            s->counts[(i >> down) - s->offset] += count;
}

bool expo_add(struct expo_sum *sum, const struct metric_point *p, struct slice point)
{
    const bool is_first = sum->count == 0 && !sum->positive.used && !sum->negative.used;
    const struct range positive = range_of_point(point, false),
                       negative = range_of_point(point, true);
    int scale = p->scale > NATIVE_SCALE_MAX ? NATIVE_SCALE_MAX : p->scale;
    struct range above, below;

    if (p->scale > 40)
        return false;
    if (!is_first && sum->scale < scale)
        scale = sum->scale;
    for (;; scale--) {
        int down = is_first ? 0 : sum->scale - scale;

        if (scale < NATIVE_SCALE_MIN)
            return false;
        above =
            both(coarser(range_of_side(&sum->positive), down), coarser(positive, p->scale - scale));
        below =
            both(coarser(range_of_side(&sum->negative), down), coarser(negative, p->scale - scale));
        if (fits(above) && fits(below))
            break;
    }
    widen(&sum->positive, above, is_first ? 0 : sum->scale - scale);
    widen(&sum->negative, below, is_first ? 0 : sum->scale - scale);
    add_side(&sum->positive, point, false, p->scale - scale);
    add_side(&sum->negative, point, true, p->scale - scale);
    sum->scale = scale;
    sum->count += p->count;
    sum->zero_count += p->zero_count;
    sum->zero_threshold = fmax(sum->zero_threshold, p->zero_threshold);
    sum->has_sum = (is_first || sum->has_sum) && p->has_sum;
    sum->sum += p->sum;
    return true;
}
