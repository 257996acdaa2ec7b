#include "collector/recover.h"

#include "collector/decide.h"
#include "collector/door.h"
#include "collector/intake.h"
#include "otlp/scan_logs.h"

#include <stdlib.h>

enum { PUMP_EVERY = 256 }; /* frames or decisions */

static const uint64_t repeat_ns = 5 * NS_PER_S; /* in which senders come again */

struct recovering {
    struct worker_shared *shared;
    void (*pump)(void *arg);
    void *pump_arg;
    uint64_t calls;
    uint64_t now_ns;
    struct recovered *out;
    uint64_t last_ns; /* when the frame before came */
    uint64_t spans;
    struct scan_span *sorted; /* by owner, with several workers */
    size_t capacity;
};

static void count_call(struct recovering *r)
{
    if (r->pump && ++r->calls % PUMP_EVERY == 0)
        r->pump(r->pump_arg);
}

static struct worker *owner_of(const struct recovering *r, const uint8_t trace_id[16])
{
    return r->shared->workers[trace_owner(r->shared->key, trace_id, r->shared->count)];
}

/* ---- decisions ---- */

/* Late records say what their trace's own did, which may be forgotten already. */
static void on_decision(void *arg, const struct decision_record *d)
{
    struct recovering *r = arg;
    struct worker *w;

    count_call(r);
    if (d->signal > SIGNAL_TRACES)
        return;
    w = owner_of(r, d->trace_id);
    if (d->late && trace_table_remembered(w->table, d->trace_id))
        return;
    trace_table_remember(w->table, d->trace_id,
                         &(struct trace_decision){.keep = d->keep,
                                                  .label = d->label,
                                                  .config_version = d->config_version,
                                                  .threshold = d->threshold,
                                                  .probability = d->probability,
                                                  .exporters = d->exporters});
}

static size_t find_gone(const struct recovered *r, const char *exporter)
{
    size_t i = 0;

    while (i < r->gone_count && strcmp(r->gone[i].name, exporter) != 0)
        i++;
    return i;
}

/* Nobody is to send it. */
static void on_gone(void *arg, const char *exporter, const struct decision_record *d)
{
    struct recovering *r = arg;
    struct recovered *out = r->out;
    size_t i = find_gone(out, exporter);

    if (i == EXPORTER_MAX)
        return; /* never: the journal knows as many names */
    if (i == out->gone_count) {
        out->gone[i] = (struct recovered_gone){.name = strdup(exporter)};
        if (!out->gone[out->gone_count++].name)
            err_no_memory("an exporter's name");
    }
    out->gone[i].items[decision_signal(d)] += d->payload_spans;
}

/* ---- frames ---- */

/* A span of a decided trace; true: it follows the decision now. */
static bool take_late(struct worker *w, const struct scan_span *s, const struct recovered_frame *f,
                      const struct trace_decision *late)
{
    if (!late->keep)
        return false;
    if (!decider_force_late(w->decider, 1))
        err_no_memory("what the journal holds");
    decider_add_late(w->decider, s, f->frame, late);
    return true;
}

/* Adds one owner's spans; returns how many it took. */
static uint32_t take_run(struct worker *w, const struct scan_span *spans, size_t count,
                         const struct recovered_frame *f, uint64_t first_ns)
{
    struct trace_spans in = {spans, count, f->frame, first_ns};
    struct trace_decision late;
    enum trace_add result;
    uint32_t taken = (uint32_t)count;

    if (count == 0)
        return 0;
    if (!trace_table_force(w->table, count))
        err_no_memory("what the journal holds");
    for (size_t i = 0; (i = trace_table_add_all(w->table, &in, i, &result, &late)) < count; i++) {
        if (result != TRACE_LATE)
            err_no_memory("what the journal holds");
        taken -= !take_late(w, &spans[i], f, &late);
    }
    decider_group_late(w->decider, f->frame);
    *(f->signal == SIGNAL_LOGS ? &w->counts.passed[OTLP_LOGS].recovered : &w->counts.recovered) +=
        taken;
    return taken;
}

static void make_room(struct recovering *r, size_t count)
{
    if (count <= r->capacity)
        return;
    free(r->sorted);
    r->capacity = count * 2;
    r->sorted = malloc(r->capacity * sizeof(*r->sorted));
    if (!r->sorted)
        err_no_memory("what the journal holds");
}

static uint32_t take_all(struct recovering *r, size_t count, const struct recovered_frame *f,
                         uint64_t first_ns)
{
    struct worker *scanner = r->shared->workers[0];
    uint32_t starts[MAX_WORKERS + 1], taken = 0;

    if (r->shared->count == 1)
        return take_run(scanner, scanner->spans, count, f, first_ns);
    make_room(r, count);
    intake_sort(scanner, count, starts, r->sorted);
    for (unsigned o = 0; o < r->shared->count; o++)
        taken += take_run(r->shared->workers[o], r->sorted + starts[o], starts[o + 1] - starts[o],
                          f, first_ns);
    return taken;
}

/* The tables want the order of time, also where clocks were set meanwhile. */
static uint64_t came_ns(struct recovering *r, const struct recovered_frame *f)
{
    uint64_t ns = f->first_ns < r->now_ns ? f->first_ns : r->now_ns;

    r->last_ns = ns > r->last_ns ? ns : r->last_ns;
    return r->last_ns;
}

/* Leaves those of the scanned spans that count in this frame. What was decided says so by its
 * sources: the table may have forgotten it, it holds no more decisions than decision_cache. */
static size_t take_first(const struct worker *scanner, size_t count,
                         const struct recovered_frame *f)
{
    const struct journal *journal = scanner->shared->journal;
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        const struct scan_span *s = &scanner->spans[i];

        if (recovery_is_first(journal, f, s->offset) &&
            !recovery_has_source(journal, s->trace_id, f->source))
            scanner->spans[kept++] = *s;
    }
    return kept;
}

/* Those of log records that are not in the outbox: where no span came nothing was remembered. */
static size_t take_logs(const struct worker *scanner, size_t count, const struct recovered_frame *f)
{
    const struct journal *journal = scanner->shared->journal;
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        const struct scan_span *s = &scanner->spans[i];

        if (scan_log_is_traced(s) && recovery_is_first(journal, f, s->offset) &&
            !recovery_has_source(journal, s->trace_id, f->source))
            scanner->spans[kept++] = *s;
    }
    return kept;
}

static uint32_t on_logs(struct recovering *r, const struct recovered_frame *f)
{
    struct worker *scanner = r->shared->workers[0];
    size_t count;

    if (intake_find_logs(scanner, f->body, true, &count) != ERR_OK)
        err_no_memory("what the journal holds");
    return take_all(r, take_logs(scanner, count, f), f, came_ns(r, f));
}

static uint32_t on_frame(void *arg, const struct recovered_frame *f)
{
    struct recovering *r = arg;
    struct worker *scanner = r->shared->workers[0];
    struct scan_result result;
    size_t left;
    uint32_t taken;

    count_call(r);
    if (f->signal == SIGNAL_LOGS)
        return on_logs(r, f);
    if (f->signal != SIGNAL_TRACES)
        return 0;
    if (intake_scan(scanner, f->body, true, &result) != ERR_OK)
        return 0; /* not what this program wrote: its CRC held, so it is counted as it was */
    result.spans = take_first(scanner, result.spans, f);
    left = door_filter(scanner, f->body, result.spans, r->now_ns); /* as it was when it came */
    scanner->counts.recovered += result.spans - left;
    door_count(scanner);
    taken = take_all(r, left, f, came_ns(r, f));
    r->spans += taken;
    return taken;
}

/* ---- all of it ---- */

static uint64_t finish(const struct worker_shared *shared, uint64_t ready_ns)
{
    uint64_t traces = 0;

    for (unsigned i = 0; i < shared->count; i++) {
        struct worker *w = shared->workers[i];
        struct trace_stats s;

        trace_table_postpone(w->table,
                             ready_ns + earlier_ns(trace_table_wait_ns(w->table), repeat_ns));
        trace_table_stats(w->table, &s);
        traces += s.traces;
    }
    return traces;
}

enum err recover(struct worker_shared *shared, void (*pump)(void *arg), void *arg,
                 struct recovered *out, struct err_info *info)
{
    uint64_t began_ns = clock_now_ns(shared->clock), ready_ns;
    struct recovering r = {
        .shared = shared, .pump = pump, .pump_arg = arg, .now_ns = began_ns, .out = out};
    const struct recovery to = {
        .arg = &r, .decision = on_decision, .frame = on_frame, .gone = on_gone};
    enum err err = journal_recover(shared->journal, &to, began_ns, &out->found, info);

    free(r.sorted);
    if (err != ERR_OK)
        return err;
    ready_ns = clock_now_ns(shared->clock);
    out->spans = r.spans;
    out->traces = finish(shared, ready_ns);
    out->ns = ready_ns - began_ns;
    return ERR_OK;
}

void recovered_fini(struct recovered *r)
{
    for (size_t i = 0; i < r->gone_count; i++)
        free(r->gone[i].name);
}

uint64_t recovered_lost(const struct recovered *r, const char *exporter, enum otlp_signal signal)
{
    size_t i = find_gone(r, exporter);

    return i < r->gone_count ? r->gone[i].items[signal] : 0;
}
