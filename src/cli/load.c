#include "cli/load.h"

#include "base/clock.h"
#include "base/gzip_out.h"
#include "base/units.h"
#include "cli/bench_pool.h"

#include <stdlib.h>
#include <string.h>

/* Where bodies come from, and which are due. */
struct source {
    const struct load_options *options;
    struct load_report *report;
    uint64_t start_ns;
    double due; /* traces that may be made by now */
    struct bench_pool *pool;
    struct gzip_out *gzip; /* NULL: bodies go as they are */
    struct buf plain;      /* the body that is compressed */
    struct traffic traffic;
    struct traffic_trace trace; /* the shop's present one */
    size_t next_body;           /* of it */
    bool finishing;             /* no new trace is begun */
    bool ended;
};

static bool source_init(struct source *s, const struct load_options *o, struct load_report *report)
{
    const struct clock *c = clock_system();

    *s = (struct source){.options = o, .report = report, .start_ns = clock_now_ns(c)};
    traffic_init(&s->traffic, o->seed);
    traffic_trace_init(&s->trace);
    buf_init(&s->plain, o->sender.max_body, NULL);
    s->gzip = o->sender.gzip ? gzip_out_new() : NULL;
    if (!o->bench)
        return s->gzip || !o->sender.gzip;
    s->pool = bench_pool_new(o->seed, clock_unix_ns(c), o->bench_spans);
    if (s->pool && o->traces)
        bench_pool_limit(s->pool, o->traces);
    return s->pool && (s->gzip || !o->sender.gzip);
}

static void source_fini(struct source *s)
{
    traffic_trace_fini(&s->trace);
    bench_pool_free(s->pool);
    gzip_out_free(s->gzip);
    buf_fini(&s->plain);
}

/* How many traces the rate allows by now. A receiver that was slow is not flooded afterwards: at
 * most a second is made up for. */
static bool source_is_due(struct source *s, uint64_t now_ns)
{
    const struct load_options *o = s->options;
    double due = (double)(now_ns - s->start_ns) / 1e9 * o->traces_per_second;
    double made = (double)s->report->traces;

    if (o->traces_per_second <= 0)
        return true;
    if (due - made > o->traces_per_second + 1) {
        s->start_ns += (uint64_t)((due - made - o->traces_per_second) / o->traces_per_second * 1e9);
        return true;
    }
    return made < due;
}

static uint64_t bench_fill(struct source *s, struct buf *body)
{
    if (!bench_pool_next(s->pool, body)) {
        s->ended = true;
        return 0;
    }
    s->report->traces = bench_pool_traces(s->pool);
    return s->options->bench_spans;
}

static enum err shop_next_trace(struct source *s)
{
    enum err e = traffic_next(&s->traffic, clock_unix_ns(clock_system()), &s->trace);

    s->next_body = 0;
    s->report->traces++;
    s->report->by_kind[s->trace.kind]++;
    return e;
}

static uint64_t shop_fill(struct source *s, struct buf *body)
{
    uint64_t spans = s->trace.body_spans[s->next_body];
    struct slice bytes = buf_slice(&s->trace.bodies[s->next_body]);

    buf_append(body, bytes.data, bytes.len);
    s->next_body++;
    return spans;
}

/* True if there is a body to send now; makes the next trace where the last one is out. */
static bool source_ready(struct source *s, uint64_t now_ns)
{
    if (s->ended)
        return false;
    if (s->next_body < s->trace.count)
        return true;
    if (s->finishing || (!s->pool && s->options->traces && s->report->traces >= s->options->traces))
        s->ended = true;
    if (s->ended || !source_is_due(s, now_ns))
        return false;
    if (!s->pool && shop_next_trace(s))
        s->ended = true;
    return !s->ended;
}

static uint64_t source_fill(struct source *s, struct buf *body)
{
    struct buf *to = s->gzip ? &s->plain : body;
    uint64_t spans;

    buf_clear(&s->plain);
    spans = s->pool ? bench_fill(s, to) : shop_fill(s, to);
    if (spans && s->gzip)
        gzip_out_write(s->gzip, buf_slice(to), body);
    return spans;
}

static void source_send(struct source *s, struct sender *sender, uint64_t now_ns)
{
    while (source_ready(s, now_ns)) {
        struct buf *body = sender_slot(sender);
        uint64_t spans;

        if (!body)
            return;
        spans = source_fill(s, body);
        if (!spans)
            return;
        s->report->spans += spans;
        s->report->requests++;
        sender_submit(sender, spans);
    }
}

static void run(struct source *s, struct sender *sender, const _Atomic bool *stop)
{
    const struct clock *c = clock_system();
    uint64_t now = clock_now_ns(c), duration = s->options->duration_ns, grace;
    uint64_t end = duration < NEVER_NS - now ? now + duration : NEVER_NS;

    while (!*stop && now < end && !(s->ended && !sender_open(sender))) {
        source_send(s, sender, now);
        sender_step(sender, now, s->options->traces_per_second > 0 ? NS_PER_MS : 20 * NS_PER_MS);
        now = clock_now_ns(c);
    }
    /* the parts of a trace that has begun to leave */
    s->finishing = true;
    for (grace = now + 10 * NS_PER_S; now < grace && !*stop; now = clock_now_ns(c)) {
        source_send(s, sender, now);
        if (s->ended && !sender_open(sender))
            break;
        sender_step(sender, now, 20 * NS_PER_MS);
    }
}

bool load_parse_rate(const char *text, double *traces_per_second)
{
    char *end;

    *traces_per_second = strtod(text, &end);
    return end != text && !*end && *traces_per_second >= 0 && *traces_per_second <= 1e6;
}

bool load_parse_protocol(const char *text, bool *grpc)
{
    *grpc = strcmp(text, "grpc") == 0;
    return *grpc || strcmp(text, "http/protobuf") == 0;
}

bool load_parse_duration(const char *text, uint64_t *ns)
{
    return units_duration(slice_str(text), ns) == ERR_OK && *ns > 0;
}

enum err load_run(const struct load_options *o, const _Atomic bool *stop,
                  struct load_report *report, struct err_info *info)
{
    struct source source;
    struct sender *sender = NULL;
    uint64_t start;
    enum err e = sender_new(&o->sender, &sender, info);

    *report = (struct load_report){0};
    if (e)
        return e;
    if (source_init(&source, o, report)) {
        start = source.start_ns;
        run(&source, sender, stop);
        sender_give_up(sender);
        report->elapsed_ns = clock_now_ns(clock_system()) - start;
        report->sender = *sender_stats(sender);
        report->p50_ns = sender_quantile_ns(sender, 0.5);
        report->p99_ns = sender_quantile_ns(sender, 0.99);
    } else {
        e = err_fail(info, ERR_FULL, "out of memory");
    }
    source_fini(&source);
    sender_free(sender);
    return e;
}
