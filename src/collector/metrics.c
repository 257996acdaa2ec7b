/* The page of /metrics: spans, traces, requests, the process; other files write the other parts. */
#include "admin/admin.h"
#include "collector/bias.h"
#include "collector/collector.h"
#include "collector/parts.h"
#include "collector/process.h"
#include "policy/processor.h"

#include <inttypes.h>
#include <stdio.h>

/* What one page is written from. */
struct page {
    struct metrics m;
    struct collector *c;
    const struct ledger *l;
    const struct labels *labels;
};

static void by_label(struct page *p, const char *name, const char *help, const uint64_t *values)
{
    metrics_family(&p->m, name, METRIC_COUNTER, help);
    for (size_t i = 0; i < p->l->labels; i++)
        if (values[i])
            metrics_sample(&p->m, (double)values[i], "policy",
                           labels_policy(p->labels, (uint16_t)i), "reason",
                           labels_reason(p->labels, (uint16_t)i), (char *)0);
}

/* One sample is there from the start: what nobody has filtered is 0. */
static void write_filtered(struct page *p)
{
    const struct labels *filters = collector_policy_shared(p->c)->filters;
    const uint64_t *values = p->l->sum.filtered;

    metrics_family(&p->m, "moontail_filtered_spans_total", METRIC_COUNTER,
                   "Spans dropped by processors, and by head_sampling.");
    if (ledger_sum(values, p->l->filters) == 0)
        metrics_sample(&p->m, 0, "processor", "none", "reason", "none", (char *)0);
    for (size_t i = 0; i < p->l->filters; i++)
        if (values[i])
            metrics_sample(&p->m, (double)values[i], "processor",
                           labels_policy(filters, (uint16_t)i), "reason",
                           labels_reason(filters, (uint16_t)i), (char *)0);
}

static void write_spans(struct page *p)
{
    const struct worker_counts *s = &p->l->sum;

    metrics_counter(&p->m, "moontail_received_spans_total",
                    "Spans of requests that were taken, rejected ones included.", s->received);
    metrics_counter(&p->m, "moontail_recovered_spans_total",
                    "Spans read back from the journal at the start, damaged ones included.",
                    s->recovered);
    metrics_counter(
        &p->m, "moontail_rejected_spans_total",
        "Spans refused by themselves (wrong ids, invalid UTF-8) in requests that were taken.",
        s->rejected);
    write_filtered(p);
    metrics_gauge(&p->m, "moontail_pending_spans", "Spans that wait for their trace's decision.",
                  (double)p->l->pending);
    by_label(p, "moontail_dropped_spans_total", "Spans of dropped traces.", s->dropped);
    by_label(p, "moontail_kept_spans_total", "Spans of kept traces.", s->kept);
    metrics_family(&p->m, "moontail_lost_spans_total", METRIC_COUNTER,
                   "Acknowledged spans that were lost.");
    for (int i = 0; i < LOST_COUNT; i++)
        metrics_sample(&p->m, (double)s->lost[i], "reason", lost_reason_name((enum lost_reason)i),
                       (char *)0);
    metrics_family(&p->m, "moontail_late_spans_total", METRIC_COUNTER,
                   "Spans that came after their trace's decision and followed it.");
    metrics_sample(&p->m, (double)s->late_kept, "verdict", "keep", (char *)0);
    metrics_sample(&p->m, (double)s->late_dropped, "verdict", "drop", (char *)0);
    metrics_counter(
        &p->m, "moontail_rescued_spans_total",
        "Spans of dropped traces that were sent after all; they stay counted as dropped.",
        s->rescued);
}

static void write_traces(struct page *p)
{
    const struct worker_counts *s = &p->l->sum;
    uint64_t by_trigger;

    metrics_gauge(&p->m, "moontail_pending_traces", "Traces that wait for their decision.",
                  (double)p->l->table.traces);
    metrics_gauge(&p->m, "moontail_pending_bytes", "Bytes of the spans that wait.",
                  (double)p->l->table.bytes);
    metrics_family(&p->m, "moontail_decided_traces_total", METRIC_COUNTER,
                   "Traces decided, by completeness and by what made the decision due.");
    for (int complete = 0; complete < 2; complete++)
        for (int t = 0; t < TRIGGER_COUNT; t++)
            metrics_sample(&p->m, (double)s->decided[complete][t], "complete",
                           complete ? "true" : "false", "trigger",
                           trace_trigger_name((enum trace_trigger)t), (char *)0);
    metrics_family(&p->m, "moontail_early_decided_traces_total", METRIC_COUNTER,
                   "Traces decided before their deadline because a bound was reached.");
    for (int t = TRIGGER_PRESSURE; t <= TRIGGER_TOO_LARGE; t++) {
        by_trigger = s->decided[0][t] + s->decided[1][t];
        metrics_sample(&p->m, (double)by_trigger, "reason",
                       trace_trigger_name((enum trace_trigger)t), (char *)0);
    }
    metrics_gauge(&p->m, "moontail_remembered_decisions", "Decisions that late spans would follow.",
                  (double)p->l->table.remembered);
    metrics_counter(&p->m, "moontail_forgotten_decisions_total",
                    "Decisions dropped from the cache.", p->l->table.forgotten);
}

static void write_requests(struct page *p)
{
    const struct receive_stats *r = &p->l->receive;

    metrics_counter(&p->m, "moontail_requests_total", "Requests answered with success.",
                    r->requests);
    metrics_family(&p->m, "moontail_refused_requests_total", METRIC_COUNTER,
                   "Requests answered otherwise, by reason.");
    for (int i = 0; i < REFUSED_COUNT; i++)
        metrics_sample(&p->m, (double)r->refused[i], "reason",
                       receive_refusal_name((enum receive_refusal)i), (char *)0);
    metrics_counter(&p->m, "moontail_paused_requests_total", "Requests that waited for memory.",
                    r->paused);
    metrics_gauge(&p->m, "moontail_connections", "Open connections of senders.",
                  (double)r->connections);
    metrics_counter(&p->m, "moontail_accepted_connections_total", "Connections accepted.",
                    r->accepted_connections);
    metrics_counter(&p->m, "moontail_received_bytes_total", "Bytes read from senders.", r->bytes);
    metrics_gauge(&p->m, "moontail_worker_loop_max_seconds",
                  "The longest turn of a worker: nothing else came in on it meanwhile.",
                  (double)p->l->turns.longest_ns / (double)NS_PER_S);
    metrics_gauge(
        &p->m, "moontail_worker_loop_stalled_max_seconds",
        "The longest that a turn of a worker stood still: it neither ran nor waited for a CPU.",
        (double)p->l->turns.stalled_ns / (double)NS_PER_S);
    metrics_gauge(
        &p->m, "moontail_worker_loop_cpu_max_seconds",
        "The most CPU time that a turn of a worker took; those under 2 ms are not looked at.",
        (double)p->l->turns.cpu_ns / (double)NS_PER_S);
    metrics_counter(&p->m, "moontail_worker_busy_turns_total",
                    "Turns of workers that took over 5 ms of CPU time.", p->l->turns.busy);
    metrics_counter(&p->m, "moontail_worker_slow_turns_total", "Turns of workers over 5 ms.",
                    p->l->turns.slow);
    metrics_counter(&p->m, "moontail_crossed_spans_total",
                    "Spans handed from one worker to another.", p->l->sum.crossed);
}

static void write_ledgers(struct page *p, uint64_t age_ns)
{
    char name[128];

    metrics_family(&p->m, "moontail_unaccounted_spans", METRIC_GAUGE,
                   "What the ledger cannot explain; 0 at all times.");
    metrics_sample(&p->m, (double)p->l->unaccounted, "ledger", "spans", (char *)0);
    for (size_t i = 0; i < p->l->exporter_count; i++) {
        snprintf(name, sizeof(name), "export/%s", p->l->exporters[i].name);
        metrics_sample(&p->m, (double)p->l->exporters[i].unaccounted, "ledger", name, (char *)0);
    }
    metrics_gauge(&p->m, "moontail_ledger_age_seconds", "How old the counts of this page are.",
                  (double)age_ns / (double)NS_PER_S);
}

static void write_policy_errors(struct page *p)
{
    const struct policy_shared *shared = collector_policy_shared(p->c);
    const char *policy, *kind;
    uint64_t count;
    size_t at = 0;

    metrics_family(&p->m, "moontail_policy_errors_total", METRIC_COUNTER,
                   "Calls of policies that failed, by kind.");
    while (policy_errors_next(shared, &at, &policy, &kind, &count))
        metrics_sample(&p->m, (double)count, "policy", policy, "kind", kind, (char *)0);
    metrics_family(&p->m, "moontail_processor_errors_total", METRIC_COUNTER,
                   "Calls of processors that failed, by kind.");
    for (at = 0; processor_errors_next(shared, &at, &policy, &kind, &count);)
        metrics_sample(&p->m, (double)count, "processor", policy, "kind", kind, (char *)0);
    metrics_counter(&p->m, "moontail_truncated_strings_total", "Strings that processors cut.",
                    atomic_load_explicit(&shared->truncated, memory_order_relaxed));
    metrics_family(&p->m, "moontail_redacted_values_total", METRIC_COUNTER,
                   "Secrets that processors took out, by rule.");
    for (at = 0; processor_redacted_next(shared, &at, &policy, &kind, &count);)
        metrics_sample(&p->m, (double)count, "processor", policy, "rule", kind, (char *)0);
}

static void write_overflow(void *arg, const struct cell_stats *s)
{
    metrics_sample(arg, (double)s->overflows, "component", s->component, "kind",
                   cell_kind_name(s->kind), "name", s->name, (char *)0);
}

static void write_keys(void *arg, const struct cell_stats *s)
{
    metrics_sample(arg, s->keys, "component", s->component, "kind", cell_kind_name(s->kind), "name",
                   s->name, (char *)0);
}

static void write_state(struct page *p)
{
    metrics_family(&p->m, "moontail_state_keys", METRIC_GAUGE,
                   "Keys that a limit, seen or counter of a script has.");
    cells_each(p->c->cells, write_keys, &p->m);
    metrics_family(&p->m, "moontail_state_overflow_total", METRIC_COUNTER,
                   "Calls with a key beyond max_keys, which all such keys shared one cell.");
    cells_each(p->c->cells, write_overflow, &p->m);
}

static void write_quarantine(struct page *p)
{
    const struct policy_shared *shared = collector_policy_shared(p->c);
    const char *policy;
    size_t at = 0;
    bool out;

    metrics_family(&p->m, "moontail_policy_quarantined", METRIC_GAUGE,
                   "1: the policy failed too often and is not asked.");
    while (policy_quarantine_next(shared, &at, &policy, &out))
        metrics_sample(&p->m, out, "policy", policy, (char *)0);
}

static void write_memory(struct page *p)
{
    const struct config *config = collector_config(p->c);

    metrics_gauge(&p->m, "moontail_memory_bytes", "Memory counted by the memory limiter.",
                  (double)p->l->memory_used);
    metrics_gauge(&p->m, "moontail_memory_limit_bytes", "memory_limiter.limit.",
                  (double)config->memory.limit);
    metrics_gauge(&p->m, "moontail_memory_soft_limit_bytes",
                  "Above it the oldest traces are decided early.",
                  (double)(config->memory.limit - config->memory.spike_limit));
}

static void write_build(struct page *p)
{
    const struct config *config = collector_config(p->c);
    const struct reload_outcome *last = collector_last_reload(p->c);

    metrics_family(&p->m, "moontail_config_info", METRIC_GAUGE, "The configuration that runs.");
    metrics_sample(&p->m, 1, "hash", config->hash, (char *)0);
    metrics_gauge(&p->m, "moontail_config_last_reload_successful",
                  "1: the last configuration given was taken.", !last || last->is_taken);
    metrics_counter(&p->m, "moontail_reload_exchanges_total",
                    "Times that a worker took what a reload had made for it.", p->l->sum.exchanges);
    metrics_counter(&p->m, "moontail_reload_slow_exchanges_total",
                    "Those that took it over a millisecond without its waits for a CPU.",
                    p->l->sum.slow_exchanges);
    metrics_gauge(&p->m, "moontail_reload_exchange_max_seconds", "The longest of them.",
                  (double)p->l->sum.longest_exchange_ns / (double)NS_PER_S);
    metrics_gauge(&p->m, "moontail_config_last_reload_success_timestamp_seconds",
                  "When the running configuration was taken, Unix time.",
                  (double)collector_configured_unix_ns(p->c) / (double)NS_PER_S);
    metrics_family(&p->m, "moontail_build_info", METRIC_GAUGE, "The program.");
    metrics_sample(&p->m, 1, "version", MOONTAIL_VERSION, (char *)0);
}

static void write_process(struct page *p)
{
    struct process_figures f;

    process_figures_read(&f);
    metrics_family(&p->m, "process_cpu_seconds_total", METRIC_COUNTER,
                   "CPU time of the process, user and system.");
    metrics_sample(&p->m, f.cpu_seconds, (char *)0);
    metrics_gauge(&p->m, "process_resident_memory_bytes", "Resident memory.",
                  (double)f.resident_bytes);
    metrics_gauge(&p->m, "process_virtual_memory_bytes", "Virtual memory.",
                  (double)f.virtual_bytes);
    metrics_gauge(&p->m, "process_open_fds", "Open file descriptors.", (double)f.open_fds);
    metrics_gauge(&p->m, "process_max_fds", "Most file descriptors allowed.", (double)f.max_fds);
    metrics_gauge(&p->m, "process_start_time_seconds", "When the process started, Unix time.",
                  (double)collector_started_unix_ns(p->c) / (double)NS_PER_S);
    /* The same under the collector's names. */
    metrics_family(&p->m, "otelcol_process_cpu_seconds_total", METRIC_COUNTER,
                   "Alias of process_cpu_seconds_total.");
    metrics_sample(&p->m, f.cpu_seconds, (char *)0);
    metrics_gauge(&p->m, "otelcol_process_memory_rss", "Alias of process_resident_memory_bytes.",
                  (double)f.resident_bytes);
}

/* As of the last time that they were gathered: for their own page, or to send them. */
static void write_span_metrics(struct page *p)
{
    struct spanmetrics_stats stats;

    if (!p->c->shared.span_metrics)
        return;
    spanmetrics_stats(p->c->shared.span_metrics, &stats);
    metrics_gauge(&p->m, "moontail_span_metrics_series",
                  "Series of span_metrics, the overflow series not counted.", (double)stats.series);
    metrics_counter(&p->m, "moontail_span_metrics_spans_total", "Spans that span_metrics counted.",
                    stats.calls);
    metrics_counter(&p->m, "moontail_span_metrics_overflow_spans_total",
                    "Of these, spans in the overflow series: beyond max_series, or without memory.",
                    stats.overflow);
}

static void write_service_graph(struct page *p)
{
    struct spanmetrics_stats stats;

    if (!p->c->shared.service_graph)
        return;
    spanmetrics_stats(p->c->shared.service_graph, &stats);
    metrics_gauge(&p->m, "moontail_service_graph_series",
                  "Series of service_graph, the overflow series not counted.",
                  (double)stats.series);
    metrics_counter(&p->m, "moontail_service_graph_requests_total",
                    "Requests that service_graph counted.", stats.calls);
    metrics_counter(
        &p->m, "moontail_service_graph_overflow_requests_total",
        "Of these, requests in the overflow series: beyond max_edges, or without memory.",
        stats.overflow);
    metrics_counter(
        &p->m, "moontail_service_graph_unpaired_spans_total",
        "Spans of servers and consumers whose parent is no client or producer of their trace.",
        stats.unpaired);
}

int collector_write_metrics(void *collector, bool openmetrics, struct buf *out)
{
    struct page p = {.m = {.out = out, .openmetrics = openmetrics}, .c = collector};
    uint64_t age_ns;

    if (collector_phase(p.c) == PHASE_RECOVERING) {
        buf_str(out, "recovering: there is no ledger yet\n");
        return 503;
    }
    p.l = collector_ledger(p.c, collector_now_ns(p.c), &age_ns);
    p.labels = collector_labels(p.c);
    write_spans(&p);
    write_traces(&p);
    write_requests(&p);
    metrics_write_exporters(&p.m, p.l, &p.c->recovered);
    write_ledgers(&p, age_ns);
    metrics_write_journal(&p.m, p.l, &p.c->recovered);
    metrics_write_items(&p.m, p.l, &p.c->recovered, collector_policy_shared(p.c)->filters);
    write_policy_errors(&p);
    write_quarantine(&p);
    write_state(&p);
    write_span_metrics(&p);
    write_service_graph(&p);
    bias_write_metrics(p.c, &p.m);
    write_memory(&p);
    write_build(&p);
    write_process(&p);
    metrics_write_aliases(&p.m, p.l, p.labels);
    metrics_write_item_aliases(&p.m, p.l);
    metrics_end(&p.m);
    return 200;
}
