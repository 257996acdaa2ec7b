/* The totals as Prometheus reads them. Names are those that the collector's Prometheus exporter
 * makes of the same metrics. An exponential histogram is written with bounds at the powers of two,
 * where buckets of every scale meet, so that those of all series can be added. */
#include "spanmetrics/parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LABELS_MAX = 32 << 10 };

/* What is said of durations: as much as the page has room for. */
enum detail { WITH_BUCKETS, WITHOUT_BUCKETS, WITHOUT_DURATIONS };

struct page {
    const struct spanmetrics *m;
    struct buf *out;
    bool openmetrics;
    enum detail detail;
    uint32_t count;
    char prefix[128];
    const char *unit;  /* in names */
    int32_t low, high; /* of exponential histograms: powers of two */
    struct buf labels; /* of the series that is being written, without braces */
};

/* ---- labels ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char in_name(char c)
{
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

    if (is_letter || is_digit(c))
        return c;
    return '_';
}

static void put_name(struct buf *out, const char *name)
{
    for (; *name; name++)
        buf_byte(out, (uint8_t)in_name(*name));
}

bool spanmetrics_same_label(const char *a, const char *b)
{
    for (; *a && *b && in_name(*a) == in_name(*b); a++)
        b++;
    return *a == *b;
}

static void put_label(struct buf *out, const char *name, struct slice text)
{
    if (out->len)
        buf_byte(out, ',');
    if (is_digit(*name))
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

static void put_page_label(void *arg, const char *name, struct slice text, bool is_boolean)
{
    (void)is_boolean;
    put_label(arg, name, text);
}

static void put_labels(struct page *p, uint32_t i)
{
    buf_clear(&p->labels);
    each_label(p->m, i, put_page_label, &p->labels);
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

static uint64_t calls_of(const struct series *s)
{
    return s->calls;
}

static uint64_t failed_of(const struct series *s)
{
    return s->failed;
}

static void write_counter(struct page *p, const struct metric_names *names,
                          uint64_t (*count)(const struct series *))
{
    char name[64];

    snprintf(name, sizeof(name), "%s_total", names->page);
    put_family(p, p->openmetrics ? names->page : name, "counter", names->help);
    for (uint32_t i = 0; i <= p->count; i++) {
        const struct series *s = series_at(p, i);

        if (!s || count(s) == 0)
            continue;
        put_labels(p, i);
        put_sample(p, name, "");
        buf_printf(p->out, "%" PRIu64 "\n", count(s));
    }
}

/* ---- durations ---- */

/* What the buckets of a series are written from. */
struct line {
    char name[64]; /* of the metric, behind the prefix */
    const struct durations *durations;
    const struct exemplar *exemplar;
};

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
static void put_bucket(struct page *p, const struct line *l, double above, double bound,
                       uint64_t count)
{
    double unit_ns = p->m->options.shape.unit_ns;
    double exemplar = (double)l->exemplar->duration_ns / unit_ns;
    char name[80], le[NUMBER_TEXT], more[48];
    size_t len = isinf(bound) ? (size_t)snprintf(le, sizeof(le), "+Inf") : number_text(le, bound);

    snprintf(name, sizeof(name), "%s_bucket", l->name);
    snprintf(more, sizeof(more), ",le=\"%.*s\"", (int)len, le);
    put_sample(p, name, more);
    buf_printf(p->out, "%" PRIu64, count);
    if (p->openmetrics && l->exemplar->span_id && exemplar > above && exemplar <= bound)
        put_exemplar(p, l->exemplar, unit_ns);
    buf_byte(p->out, '\n');
}

static void put_explicit(struct page *p, const struct line *l)
{
    const struct histogram_shape *shape = &p->m->options.shape;
    uint64_t count = 0;
    double above = -1, bound;

    for (unsigned i = 0; i + 1 < shape->buckets; i++) {
        bound = (double)shape->bounds_ns[i] / shape->unit_ns;
        count += l->durations->histogram.counts[i];
        put_bucket(p, l, above, bound, count);
        above = bound;
    }
    put_bucket(p, l, above, INFINITY, l->durations->count);
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

static void put_exponential(struct page *p, const struct line *l)
{
    double above = -1;

    for (int32_t power = p->low; power <= p->high; power++) {
        put_bucket(p, l, above, ldexp(1, power),
                   count_to(&l->durations->histogram, &p->m->options.shape, power));
        above = ldexp(1, power);
    }
    put_bucket(p, l, above, INFINITY, l->durations->count);
}

static void put_buckets(struct page *p, const struct line *l)
{
    if (p->m->options.shape.explicit)
        put_explicit(p, l);
    else
        put_exponential(p, l);
}

/* The powers of two between which all durations are. */
static void find_range(struct page *p, unsigned side)
{
    bool is_first = true;

    p->low = 0;
    p->high = -1;
    for (uint32_t i = 0; i <= p->count; i++) {
        const struct series *s = series_at(p, i);
        const struct histogram *h = s ? &durations_of(p->m, s, side)->histogram : NULL;
        int32_t low, high;

        if (!h || !histogram_range(h, &p->m->options.shape, &low, &high))
            continue;
        low = (low >> h->scale) + 1;
        high = (high >> h->scale) + 1;
        p->low = is_first || low < p->low ? low : p->low;
        p->high = is_first || high > p->high ? high : p->high;
        is_first = false;
    }
}

static void put_durations(struct page *p, const struct line *l)
{
    char sample[80];

    if (p->detail == WITH_BUCKETS)
        put_buckets(p, l);
    snprintf(sample, sizeof(sample), "%s_sum", l->name);
    put_sample(p, sample, "");
    buf_printf(p->out, "%.17g\n", durations_sum(p->m, l->durations));
    snprintf(sample, sizeof(sample), "%s_count", l->name);
    put_sample(p, sample, "");
    buf_printf(p->out, "%" PRIu64 "\n", l->durations->count);
}

static void write_durations(struct page *p, unsigned side)
{
    const struct metric_names *names = &p->m->family->durations[side];
    struct line line;
    char help[128];

    if (!p->m->options.shape.explicit)
        find_range(p, side);
    snprintf(line.name, sizeof(line.name), "%s_%s", names->page, p->unit);
    snprintf(help, sizeof(help), "%s%s", names->help,
             p->detail == WITHOUT_BUCKETS ? "; with buckets the page would be too large." : ".");
    put_family(p, line.name, p->detail == WITHOUT_BUCKETS ? "summary" : "histogram", help);
    for (uint32_t i = 0; i <= p->count; i++) {
        const struct series *s = series_at(p, i);

        if (!s || durations_of(p->m, s, side)->count == 0)
            continue;
        line.durations = durations_of(p->m, s, side);
        line.exemplar = &s->exemplar;
        put_labels(p, i);
        put_durations(p, &line);
    }
}

/* ---- the page ---- */

static void write_family(struct page *p)
{
    const struct family *family = p->m->family;

    write_counter(p, &family->calls, calls_of);
    if (family->failed.page)
        write_counter(p, &family->failed, failed_of);
    for (unsigned side = 0; side < family->sides && p->detail != WITHOUT_DURATIONS; side++)
        write_durations(p, side);
}

static void write_one(const struct spanmetrics *m, bool openmetrics, enum detail detail,
                      struct buf *out)
{
    struct page p = {.m = m,
                     .out = out,
                     .openmetrics = openmetrics,
                     .detail = detail,
                     .count = key_table_count(&m->keys),
                     .unit = m->options.shape.unit_ns == 1e9 ? "seconds" : "milliseconds"};
    struct buf prefix;

    buf_init(&prefix, sizeof(p.prefix) - 1, NULL);
    if (is_digit(*m->prefix))
        buf_byte(&prefix, '_');
    put_name(&prefix, m->prefix);
    if (prefix.len)
        memcpy(p.prefix, prefix.data, prefix.len);
    buf_fini(&prefix);
    buf_init(&p.labels, LABELS_MAX, NULL);
    write_family(&p);
    buf_fini(&p.labels);
}

static void write_all(const struct spanmetrics *const *all, size_t count, bool openmetrics,
                      enum detail detail, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < count; i++)
        if (all[i])
            write_one(all[i], openmetrics, detail, out);
    if (openmetrics)
        buf_str(out, "# EOF\n");
}

void spanmetrics_write_page(const struct spanmetrics *const *all, size_t count, bool openmetrics,
                            struct buf *out)
{
    for (enum detail detail = WITH_BUCKETS; detail <= WITHOUT_DURATIONS; detail++) {
        write_all(all, count, openmetrics, detail, out);
        if (buf_ok(out))
            return;
    }
}
