/* The ledger: each thread copies its block while all stand still; main sums them up. */
#include "collector/parts.h"

static const uint64_t rendezvous_ns = 50 * NS_PER_MS;

void snapshot_worker(void *worker)
{
    worker_snapshot(worker);
}

void snapshot_journal(void *collector)
{
    struct collector *c = collector;

    journal_stats(c->journal, &c->journal_stats);
}

void snapshot_export(void *collector)
{
    struct collector *c = collector;

    c->export_count = export_count(c->export);
    for (size_t i = 0; i < c->export_count; i++)
        for (int s = 0; s < OTLP_SIGNALS; s++)
            export_stats(c->export, i, (enum otlp_signal)s, &c->export_stats[s][i]);
}

static bool take_snapshots(struct collector *c)
{
    if (c->rendezvous)
        return rendezvous_hold(c->rendezvous, c->rendezvous_loops, c->rendezvous_count,
                               rendezvous_ns);
    for (unsigned i = 1; i < c->task_count; i++)
        if (c->tasks[i].snapshot)
            c->tasks[i].snapshot(c->tasks[i].arg);
    return true;
}

static void gather(struct collector *c)
{
    for (int i = 0; i < METRICS_SOURCES; i++)
        if (c->metrics_sources[i].m)
            spanmetrics_gather(c->metrics_sources[i].m, clock_unix_ns(c->host.clock));
    if (c->shared.audit)
        audit_gather(c->shared.audit, collector_now_ns(c));
}

bool snapshot_gather(struct collector *c)
{
    bool taken;

    c->shared.gathers = true; /* the rendezvous makes it seen */
    taken = take_snapshots(c);
    c->shared.gathers = false;
    if (taken)
        gather(c);
    return taken;
}

static void sum_receive(struct receive_stats *to, const struct receive_stats *from)
{
    to->requests += from->requests;
    for (int i = 0; i < REFUSED_COUNT; i++)
        to->refused[i] += from->refused[i];
    to->connections += from->connections;
    to->open_bytes += from->open_bytes;
    to->accepted_connections += from->accepted_connections;
    to->bytes += from->bytes;
    to->paused += from->paused;
}

static void sum_table(struct trace_stats *to, const struct trace_stats *from)
{
    to->traces += from->traces;
    to->spans += from->spans;
    to->logs += from->logs;
    to->bytes += from->bytes;
    to->remembered += from->remembered;
    to->forgotten += from->forgotten;
    to->memory += from->memory;
}

static void sum_exporters(const struct collector *c, enum otlp_signal signal,
                          struct ledger_exporter *to)
{
    for (size_t i = 0; i < c->export_count; i++) {
        to[i] = (struct ledger_exporter){
            .name = c->exporter_names[i],
            .in_transit = c->journal_stats.in_transit[signal][i],
            .stats = c->export_stats[signal][i],
        };
        to[i].stats.enqueued = c->journal_stats.enqueued[signal][i];
    }
}

/* Requests are counted for all signals together. */
static void add_requests(struct ledger_exporter *to, const struct ledger_exporter *from,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i].stats.requests += from[i].stats.requests;
        to[i].stats.failures += from[i].stats.failures;
    }
}

static void sum_turns(struct loop_turns *to, struct loop_turns from)
{
    to->slow += from.slow;
    if (from.longest_ns > to->longest_ns)
        to->longest_ns = from.longest_ns;
    if (from.stalled_ns > to->stalled_ns)
        to->stalled_ns = from.stalled_ns;
    if (from.cpu_ns > to->cpu_ns)
        to->cpu_ns = from.cpu_ns;
    to->busy += from.busy;
}

static void sum_up(struct collector *c, struct ledger *l)
{
    struct passed_counts *logs = &l->sum.passed[OTLP_LOGS];

    *l = (struct ledger){.labels = labels_count(c->labels),
                         .filters = labels_count(c->policies.filters),
                         .exporter_count = c->export_count,
                         .journal = c->journal_stats,
                         .memory_used = memory_used(c->memory),
                         .memory_peak = (uint64_t)atomic_load(&c->memory->peak)};
    l->sum.recovered = l->sum.lost[LOST_DAMAGED] = c->recovered.found.damaged_items;
    logs->recovered = logs->lost[LOST_DAMAGED] = c->recovered.found.damaged_logs;
    for (unsigned i = 0; i < c->shared.count; i++) {
        struct worker *w = c->workers[i];

        ledger_add(l, &w->snapshot_counts);
        l->pending += w->snapshot_pending;
        l->passed[OTLP_LOGS].pending += w->snapshot_pending_logs;
        sum_table(&l->table, &w->snapshot_table);
        sum_receive(&l->receive, &w->snapshot_receive);
        sum_turns(&l->turns, loop_turns(w->loop));
    }
    sum_exporters(c, OTLP_TRACES, l->exporters);
    for (int signal = OTLP_METRICS; signal < OTLP_SIGNALS; signal++) {
        sum_exporters(c, (enum otlp_signal)signal, l->passed[signal].exporters);
        add_requests(l->exporters, l->passed[signal].exporters, l->exporter_count);
    }
    ledger_balance(l);
}

const struct ledger *collector_ledger(struct collector *c, uint64_t now_ns, uint64_t *age_ns)
{
    if (snapshot_gather(c)) {
        sum_up(c, &c->ledger);
        c->ledger.taken_ns = now_ns;
    }
    *age_ns = now_ns - c->ledger.taken_ns;
    return &c->ledger;
}
