/* invariants.h: what must hold of the simulated collector, at each moment and at the end. */
#pragma once

#include "world.h"

static inline uint64_t lost_of(const struct export_stats *s)
{
    return s->lost_permanent + s->lost_retry_exhausted + s->lost_outbox_full + s->lost_disk_full;
}

static inline uint64_t lost_before_exporters(const struct ledger *l)
{
    return ledger_sum(l->sum.lost, LOST_COUNT);
}

static inline struct place *place_of(const struct ledger_exporter *x)
{
    return &w.place[x->name[strlen("otlp/")] - 'a'];
}

static inline const struct export_stats *stats_of(const struct ledger *l, enum otlp_signal signal,
                                                  size_t i)
{
    return signal == OTLP_TRACES ? &l->exporters[i].stats : &l->passed[signal].exporters[i].stats;
}

/* An exporter counts nothing as delivered that its backend did not take, and loses nothing that no
 * bound and no backend made it lose. */
static inline void check_exporter(const struct ledger *l, size_t i)
{
    const struct place *p = place_of(&l->exporters[i]);
    bool may_shed = w.drops_oldest && has(SMALL_QUEUES | SMALL_DISK | FULL_DISK | FAULTY_DISK);
    uint64_t permanent = 0;

    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        const struct export_stats *s = stats_of(l, (enum otlp_signal)signal, i);

        permanent += s->lost_permanent;
        MUST(s->delivered <= p->taken_in_life[signal],
             "exporter %s counts %llu as delivered, and its backend took %llu",
             l->exporters[i].name, (unsigned long long)s->delivered,
             (unsigned long long)p->taken_in_life[signal]);
        MUST(may_shed || s->lost_outbox_full + s->lost_disk_full == 0,
             "exporter %s lost %llu and %llu", l->exporters[i].name,
             (unsigned long long)s->lost_outbox_full, (unsigned long long)s->lost_disk_full);
        MUST(s->lost_retry_exhausted == 0, "a batch is given up");
    }
    MUST(permanent <= p->refused, "%llu are lost for good, and the backend refused %llu",
         (unsigned long long)permanent, (unsigned long long)p->refused);
}

static inline uint64_t early_traces(const struct ledger *l)
{
    return l->sum.decided[0][TRIGGER_PRESSURE] + l->sum.decided[1][TRIGGER_PRESSURE];
}

/* Bounds, and the order in which what is short is given up. */
static inline void check_bounds(const struct ledger *l)
{
    const struct journal_stats *j = &l->journal;

    /* A small limit may be passed by a little, with files by some of their segments. */
    const uint64_t most =
        memory_limit() + (w.level == LEVEL_MEMORY ? UINT64_C(3) << 19 : UINT64_C(1) << 22);

    MUST(!has(SMALL_MEMORY) || l->memory_peak <= most, "%llu bytes of memory, of %llu",
         (unsigned long long)l->memory_peak, (unsigned long long)memory_limit());
    MUST(!has(SMALL_MEMORY) ||
             has(SMALL_QUEUES | SMALL_DISK | FULL_DISK | FAULTY_DISK | BAD_BACKENDS) ||
             l->receive.refused[REFUSED_MEMORY] == 0 || early_traces(l) > 0,
         "refused for memory before traces are decided early");
    MUST(has(FAULTY_DISK) || j->file_bytes <= j->file_max_bytes, "%llu bytes of files, of %llu",
         (unsigned long long)j->file_bytes, (unsigned long long)j->file_max_bytes);
    MUST(has(FAULTY_DISK | FULL_DISK | SMALL_DISK) || l->receive.refused[REFUSED_DISK] == 0,
         "refused for the disk, of which there is enough");
    MUST(has(SMALL_MEMORY | SMALL_QUEUES | BAD_BACKENDS) || l->receive.refused[REFUSED_MEMORY] == 0,
         "refused for memory, of which there is enough");
}

/* Positions are written 100 ms after they move; those that could not be, within 2 s of when the
 * disk is well. */
static inline void note_settled(const struct ledger *l)
{
    const uint64_t noted_after_ns =
        has(FAULTY_DISK | FULL_DISK | SMALL_DISK) ? 2500 * NS_PER_MS : 300 * NS_PER_MS;
    uint64_t now = world_ns();

    for (size_t i = 0; i < l->exporter_count; i++) {
        struct place *p = place_of(&l->exporters[i]);
        bool is_settled = true;

        if (p->settled_ns && w.well_ns && now - p->settled_ns >= noted_after_ns &&
            now - w.well_ns >= noted_after_ns)
            p->noted_ns = p->settled_ns;
        for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
            const struct export_stats *s = stats_of(l, (enum otlp_signal)signal, i);

            is_settled &= s->queued == 0 && s->in_flight == 0;
        }
        if (is_settled)
            p->settled_ns = now;
    }
}

/* The sum of a family's samples on the page of what is counted. */
static inline uint64_t counted(const struct buf *page, const char *family)
{
    const char *at = (const char *)page->data;
    uint64_t sum = 0;

    while ((at = strstr(at, family)) != NULL) {
        at = strstr(at, "} ") + 2;
        sum += strtoull(at, NULL, 10);
    }
    return sum;
}

/* In each life span_metrics have all spans that came in, and each is one side of a request at most.
 */
static inline void check_counts(const struct ledger *l)
{
    uint64_t came = l->sum.received - l->sum.rejected;
    uint64_t calls, requests;
    struct buf page;

    buf_init(&page, 64 << 20, NULL);
    MUST(collector_write_span_metrics(w.sim.collector, true, &page) == 200, "no page of counts");
    buf_byte(&page, '\0');
    calls = counted(&page, "\ntraces_span_metrics_calls_total{");
    requests = counted(&page, "\ntraces_service_graph_request_total{");
    buf_fini(&page);
    MUST(calls == came, "%llu calls are counted of %llu spans", (unsigned long long)calls,
         (unsigned long long)came);
    MUST(requests <= came + l->sum.recovered, "%llu requests are counted",
         (unsigned long long)requests);
}

static inline void check_now(void)
{
    const struct ledger *l = sim_ledger(&w.sim);
    const struct passed_counts *logs = &l->sum.passed[OTLP_LOGS];

    balanced(&w.sim);
    MUST(l->sum.received >= w.acked_in_life, "%llu spans received, and %llu acknowledged",
         (unsigned long long)l->sum.received, (unsigned long long)w.acked_in_life);
    MUST(has(FAULTY_DISK | POWER_CUTS) || l->sum.lost[LOST_DAMAGED] == 0, "%llu spans are damaged",
         (unsigned long long)l->sum.lost[LOST_DAMAGED]);
    MUST(has(FAULTY_DISK | POWER_CUTS) || logs->lost[LOST_DAMAGED] == 0, "%llu logs are damaged",
         (unsigned long long)logs->lost[LOST_DAMAGED]);
    for (size_t i = 0; i < l->exporter_count; i++)
        check_exporter(l, i);
    check_bounds(l);
    if (has(COUNTING) && collector_phase(w.sim.collector) == PHASE_RUNNING)
        check_counts(l);
    note_settled(l);
    say("received %llu pending %llu dropped %llu", (unsigned long long)l->sum.received,
        (unsigned long long)l->pending, (unsigned long long)ledger_sum(l->sum.dropped, l->labels));
}

/* A life is over: what it counted is remembered. */
static inline void end_life(void)
{
    const struct ledger *l = sim_ledger(&w.sim);

    w.lost += lost_before_exporters(l);
    w.lost_logs += ledger_sum(l->sum.passed[OTLP_LOGS].lost, LOST_COUNT);
    moves += l->sum.moved_spans;
    for (size_t i = 0; i < l->exporter_count; i++)
        for (int signal = 0; signal < OTLP_SIGNALS; signal++)
            place_of(&l->exporters[i])->lost[signal] +=
                lost_of(stats_of(l, (enum otlp_signal)signal, i));
    for (unsigned i = 0; i < EXPORTERS; i++) {
        memset(w.place[i].taken_in_life, 0, sizeof(w.place[i].taken_in_life));
        w.place[i].settled_ns = 0;
    }
    w.acked_in_life = 0;
}

/* What was acknowledged so far may be gone. */
static inline void excuse_all(void)
{
    memset(w.excused, 1, sizeof(w.excused));
    for (unsigned t = 1; t <= TRACES; t++)
        w.excused[t] = w.sent[t] > 0;
    memset(w.item_acked, 0, sizeof(w.item_acked));
}

/* ---- the end ---- */

static inline bool is_anywhere(uint64_t trace)
{
    for (unsigned i = 0; i < EXPORTERS; i++)
        for (unsigned k = 0; k < w.sent[trace]; k++)
            if (w.place[i].spans[trace][k].count)
                return true;
    return false;
}

/* Spans that were acknowledged and did not arrive: of traces that must be kept, and of those of
 * which another span was. */
static inline uint64_t missing_spans(const struct place *p)
{
    uint64_t missing = 0;

    for (uint64_t t = 1; t <= TRACES; t++) {
        if (w.excused[t] || w.since[t] < p->since || kind_of(t) == 0 ||
            (kind_of(t) == 2 && !is_anywhere(t)))
            continue;
        for (unsigned k = 0; k < w.sent[t]; k++)
            if (w.acked[t] >> k & 1 && !p->spans[t][k].count) {
                if (missing++ < 10)
                    say("missing: span %u of trace %llu", k + 1, (unsigned long long)t);
            }
    }
    return missing;
}

/* Of a trace that is never kept, or not always. */
static inline bool may_be_dropped(enum otlp_signal signal, unsigned item)
{
    return signal == OTLP_LOGS && w.item_trace[item] && kind_of(w.item_trace[item]) != 1;
}

static inline uint64_t missing_items(const struct place *p, enum otlp_signal signal)
{
    uint64_t missing = 0;

    for (unsigned i = 0; i < w.items[signal]; i++)
        missing += w.item_acked[signal][i] > p->since && !p->items[signal][i].count &&
                   !may_be_dropped(signal, i);
    return missing;
}

static inline void check_all(void)
{
    const struct ledger *l = sim_ledger(&w.sim);

    MUST(l->passed[OTLP_LOGS].pending == 0, "%llu logs are pending",
         (unsigned long long)l->passed[OTLP_LOGS].pending);
    MUST(l->pending == 0 && ledger_unsettled(l) == 0, "%llu pending, %llu not settled",
         (unsigned long long)l->pending, (unsigned long long)ledger_unsettled(l));
    end_life();
    for (unsigned i = 0; i < EXPORTERS; i++) {
        const struct place *p = &w.place[i];
        uint64_t spans = p->is_on ? missing_spans(p) : 0;

        if (!p->is_on)
            continue;
        MUST(spans <= p->lost[OTLP_TRACES] + w.lost,
             "%llu spans are missing at %c, %llu are counted as lost", (unsigned long long)spans,
             'a' + i, (unsigned long long)(p->lost[OTLP_TRACES] + w.lost));
        for (int signal = OTLP_METRICS; signal < OTLP_SIGNALS; signal++) {
            uint64_t items = missing_items(p, (enum otlp_signal)signal);

            MUST(items <= p->lost[signal] + (signal == OTLP_LOGS ? w.lost_logs : 0),
                 "%llu %s are missing at %c, %llu are counted as lost", (unsigned long long)items,
                 otlp_signal_name((enum otlp_signal)signal), 'a' + i,
                 (unsigned long long)p->lost[signal]);
        }
    }
}
