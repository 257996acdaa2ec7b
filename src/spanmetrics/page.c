/* The totals as Prometheus reads them. Names are those that the collector's Prometheus exporter
 * makes of the same metrics. An exponential histogram is written with bounds at the powers of two,
 * where buckets of every scale meet, so that those of all series can be added. */
#include "spanmetrics/parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LABELS_MAX = 16 << 10 };

struct page {
    const struct spanmetrics *m;
    struct buf *out;
    bool openmetrics;
    bool brief; /* durations without buckets */
    uint32_t count;
    char prefix[128];
    const char *unit;  /* in names */
    int32_t low, high; /* of exponential histograms: powers of two */
    struct buf labels; /* of the series that is being written, without braces */
};

/* ---- labels ---- */

static void put_name(struct buf *out, const char *name)
{
    for (; *name; name++) {
        bool is_letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');

        buf_byte(out, is_letter || (*name >= '0' && *name <= '9') ? (uint8_t)*name : '_');
    }
}

static void put_label(struct buf *out, const char *name, struct slice text)
{
    if (out->len)
        buf_byte(out, ',');
    if (*name >= '0' && *name <= '9')
        buf_str(out, "key_");
    put_name(out, name);
    buf_str(out, "=\"");
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\n') {
            buf_str(out, "\\n");
            continue;
        }
        if (text.data[i] == '\\' || text.data[i] == '"')
            buf_byte(out, '\\');
        buf_byte(out, text.data[i]);
    }
    buf_byte(out, '"');
}

static void put_labels(struct page *p, uint32_t i)
{
    struct labels_view labels;

    buf_clear(&p->labels);
    if (i == OVERFLOW_SERIES) {
        put_label(&p->labels, "otel_metric_overflow", slice_str("true"));
        return;
    }
    key_read(p->m, key_of(p->m, i), &labels);
    put_label(&p->labels, "service_name", labels.service);
    put_label(&p->labels, "span_name", labels.name);
    put_label(&p->labels, "span_kind", slice_str(key_kind_name(labels.kind)));
    put_label(&p->labels, "status_code", slice_str(key_status_name(labels.status)));
    for (unsigned d = 0; d < p->m->dimension_count; d++)
        if (labels.dimensions[d].data)
            put_label(&p->labels, p->m->dimensions[d], labels.dimensions[d]);
}

/* The series' labels, with what comes behind them. */
static void put_sample(struct page *p, const char *name, const char *more)
{
    buf_printf(p->out, "%s%s{", p->prefix, name);
    buf_append(p->out, p->labels.data, p->labels.len);
    buf_printf(p->out, "%s} ", more);
}

/* ---- calls ---- */

static void put_family(struct page *p, const char *name, const char *type, const char *help)
{
    buf_printf(p->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", p->prefix, name, help, p->prefix, name,
               type);
}

static const struct series *series_at(const struct page *p, uint32_t i)
{
    const struct series *s = p->m->totals.series[i];

    return s && s->calls > 0 ? s : NULL;
}

static void write_calls(struct page *p)
{
    put_family(p, p->openmetrics ? "_calls" : "_calls_total", "counter",
               "Spans received, before any sampling.");
    for (uint32_t i = 0; i <= p->count; i++) {
        if (!series_at(p, i))
            continue;
        put_labels(p, i);
        put_sample(p, "_calls_total", "");
        buf_printf(p->out, "%" PRIu64 "\n", series_at(p, i)->calls);
    }
}

/* ---- durations ---- */

static void put_exemplar(struct page *p, const struct exemplar *e, double unit_ns)
{
    buf_str(p->out, " # {trace_id=\"");
    for (int i = 0; i < 16; i++)
        buf_printf(p->out, "%02x", e->trace_id[i]);
    buf_printf(p->out, "\",span_id=\"%016" PRIx64 "\"} %.17g %" PRIu64 ".%03u", e->span_id,
               (double)e->duration_ns / unit_ns, e->unix_ns / 1000000000,
               (unsigned)(e->unix_ns / 1000000 % 1000));
}

/* A bucket of durations over `above` units, up to `bound`. */
static void put_bucket(struct page *p, const struct series *s, double above, double bound,
                       uint64_t count)
{
    double unit_ns = p->m->options.shape.unit_ns;
    double exemplar = (double)s->exemplar.duration_ns / unit_ns;
    char name[48], le[32], more[48];
    size_t len = isinf(bound) ? (size_t)snprintf(le, sizeof(le), "+Inf")
                              : print_shortest(bound, le, sizeof(le));

    snprintf(name, sizeof(name), "_duration_%s_bucket", p->unit);
    snprintf(more, sizeof(more), ",le=\"%.*s\"", (int)len, le);
    put_sample(p, name, more);
    buf_printf(p->out, "%" PRIu64, count);
    if (p->openmetrics && s->exemplar.span_id && exemplar > above && exemplar <= bound)
        put_exemplar(p, &s->exemplar, unit_ns);
    buf_byte(p->out, '\n');
}

static void put_explicit(struct page *p, const struct series *s)
{
    const struct histogram_shape *shape = &p->m->options.shape;
    uint64_t count = 0;
    double above = -1, bound;

    for (unsigned i = 0; i + 1 < shape->buckets; i++) {
        bound = (double)shape->bounds_ns[i] / shape->unit_ns;
        count += s->histogram.counts[i];
        put_bucket(p, s, above, bound, count);
        above = bound;
    }
    put_bucket(p, s, above, INFINITY, s->calls);
}

/* How many are at most 2^power units. */
static uint64_t count_to(const struct histogram *h, const struct histogram_shape *shape,
                         int32_t power)
{
    uint64_t count = h->zero;

    for (unsigned i = 0; i < shape->buckets; i++)
        if ((h->start + (int32_t)i) >> h->scale < power)
            count += h->counts[i];
    return count;
}

static void put_exponential(struct page *p, const struct series *s)
{
    double above = -1;

    for (int32_t power = p->low; power <= p->high; power++) {
        put_bucket(p, s, above, ldexp(1, power),
                   count_to(&s->histogram, &p->m->options.shape, power));
        above = ldexp(1, power);
    }
    put_bucket(p, s, above, INFINITY, s->calls);
}

static void put_buckets(struct page *p, const struct series *s)
{
    if (p->m->options.shape.explicit)
        put_explicit(p, s);
    else
        put_exponential(p, s);
}

/* The powers of two between which all durations are. */
static void find_range(struct page *p)
{
    bool is_first = true;

    for (uint32_t i = 0; i <= p->count; i++) {
        const struct series *s = series_at(p, i);
        int32_t low, high;

        if (!s || !histogram_range(&s->histogram, &p->m->options.shape, &low, &high))
            continue;
        low = (low >> s->histogram.scale) + 1;
        high = (high >> s->histogram.scale) + 1;
        p->low = is_first || low < p->low ? low : p->low;
        p->high = is_first || high > p->high ? high : p->high;
        is_first = false;
    }
}

static void write_durations(struct page *p)
{
    const struct histogram_shape *shape = &p->m->options.shape;
    char name[40], sample[48];

    p->high = -1;
    if (!shape->explicit)
        find_range(p);
    snprintf(name, sizeof(name), "_duration_%s", p->unit);
    put_family(p, name, p->brief ? "summary" : "histogram",
               p->brief ? "Durations of these spans; with buckets the page would be too large."
                        : "Durations of these spans.");
    for (uint32_t i = 0; i <= p->count; i++) {
        const struct series *s = series_at(p, i);

        if (!s)
            continue;
        put_labels(p, i);
        if (!p->brief)
            put_buckets(p, s);
        snprintf(sample, sizeof(sample), "%s_sum", name);
        put_sample(p, sample, "");
        buf_printf(p->out, "%.17g\n", (double)s->sum_ns / shape->unit_ns);
        snprintf(sample, sizeof(sample), "%s_count", name);
        put_sample(p, sample, "");
        buf_printf(p->out, "%" PRIu64 "\n", s->calls);
    }
}

static void write_all(struct page *p)
{
    write_calls(p);
    write_durations(p);
    if (p->openmetrics)
        buf_str(p->out, "# EOF\n");
}

void spanmetrics_write_page(const struct spanmetrics *m, bool openmetrics, struct buf *out)
{
    struct page p = {.m = m,
                     .out = out,
                     .openmetrics = openmetrics,
                     .count = atomic_load_explicit(&m->count, memory_order_acquire),
                     .unit = m->options.shape.unit_ns == 1e9 ? "seconds" : "milliseconds"};
    struct buf prefix;

    buf_init(&prefix, sizeof(p.prefix) - 1, NULL);
    put_name(&prefix, m->prefix);
    if (prefix.len)
        memcpy(p.prefix, prefix.data, prefix.len);
    buf_fini(&prefix);
    buf_init(&p.labels, LABELS_MAX, NULL);
    write_all(&p);
    if (!buf_ok(out)) {
        buf_clear(out);
        p.brief = true;
        write_all(&p);
    }
    buf_fini(&p.labels);
}
