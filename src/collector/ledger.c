#include "collector/ledger.h"

const char *lost_reason_name(enum lost_reason r)
{
    static const char *const names[LOST_COUNT] = {"memory", "damaged", "disk_full"};

    return names[r];
}

uint64_t ledger_sum(const uint64_t *counts, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += counts[i];
    return sum;
}

static void add_labels(uint64_t *to, const uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

static void add_passed(struct passed_counts *to, const struct passed_counts *from, size_t filters)
{
    to->received += from->received;
    to->rejected += from->rejected;
    to->kept += from->kept;
    to->recovered += from->recovered;
    to->dropped += from->dropped;
    to->alone += from->alone;
    to->rescued += from->rescued;
    add_labels(to->lost, from->lost, LOST_COUNT);
    add_labels(to->filtered, from->filtered, filters);
}

void ledger_add(struct ledger *l, const struct worker_counts *w)
{
    l->sum.received += w->received;
    l->sum.rejected += w->rejected;
    add_labels(l->sum.filtered, w->filtered, l->filters);
    l->sum.recovered += w->recovered;
    add_labels(l->sum.lost, w->lost, LOST_COUNT);
    l->sum.late_kept += w->late_kept;
    l->sum.late_dropped += w->late_dropped;
    l->sum.rescued += w->rescued;
    l->sum.crossed += w->crossed;
    l->sum.exchanges += w->exchanges;
    l->sum.slow_exchanges += w->slow_exchanges;
    if (w->longest_exchange_ns > l->sum.longest_exchange_ns)
        l->sum.longest_exchange_ns = w->longest_exchange_ns;
    l->sum.moved_spans += w->moved_spans;
    l->sum.moved_bytes += w->moved_bytes;
    add_labels(&l->sum.decided[0][0], &w->decided[0][0], (size_t)2 * TRIGGER_COUNT);
    add_labels(l->sum.early, w->early, EARLY_COUNT);
    add_labels(l->sum.kept_traces, w->kept_traces, l->labels);
    add_labels(l->sum.dropped_traces, w->dropped_traces, l->labels);
    add_labels(l->sum.kept, w->kept, l->labels);
    add_labels(l->sum.dropped, w->dropped, l->labels);
    for (int s = 0; s < OTLP_SIGNALS; s++)
        add_passed(&l->sum.passed[s], &w->passed[s], l->filters);
}

const struct export_loss export_losses[EXPORT_LOSSES] = {
    {"permanent", offsetof(struct export_stats, lost_permanent)},
    {"retry_exhausted", offsetof(struct export_stats, lost_retry_exhausted)},
    {"outbox_full", offsetof(struct export_stats, lost_outbox_full)},
    {"disk_full", offsetof(struct export_stats, lost_disk_full)},
    {"damaged", offsetof(struct export_stats, lost_damaged)},
    {"removed", offsetof(struct export_stats, lost_removed)},
};

static int64_t exporter_difference(const struct ledger_exporter *e)
{
    const struct export_stats *s = &e->stats;
    uint64_t lost = 0;

    for (int i = 0; i < EXPORT_LOSSES; i++)
        lost += export_count_at(s, export_losses[i].offset);
    return (int64_t)(s->enqueued + s->recovered - s->queued - s->delivered - s->filtered - lost);
}

static void balance_exporters(struct ledger_exporter *exporters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        exporters[i].unaccounted = exporter_difference(&exporters[i]);
}

static void balance_passed(struct ledger *l, enum otlp_signal signal)
{
    const struct passed_counts *c = &l->sum.passed[signal];
    uint64_t ended = c->rejected + ledger_sum(c->filtered, l->filters) + l->passed[signal].pending +
                     c->dropped + c->kept + ledger_sum(c->lost, LOST_COUNT);

    l->passed[signal].unaccounted = (int64_t)(c->received + c->recovered - ended);
    balance_exporters(l->passed[signal].exporters, l->exporter_count);
}

void ledger_balance(struct ledger *l)
{
    uint64_t ended = l->sum.rejected + ledger_sum(l->sum.filtered, l->filters) + l->pending +
                     ledger_sum(l->sum.lost, LOST_COUNT) + ledger_sum(l->sum.kept, l->labels) +
                     ledger_sum(l->sum.dropped, l->labels);

    l->new_traces = l->table.traces + ledger_sum(&l->sum.decided[0][0], (size_t)2 * TRIGGER_COUNT);
    l->unaccounted = (int64_t)(l->sum.received + l->sum.recovered - ended);
    balance_exporters(l->exporters, l->exporter_count);
    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++)
        balance_passed(l, (enum otlp_signal)s);
}

static uint64_t waiting(const struct ledger_exporter *exporters, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += exporters[i].in_transit + exporters[i].stats.queued;
    return sum;
}

uint64_t ledger_unsettled(const struct ledger *l)
{
    uint64_t sum = waiting(l->exporters, l->exporter_count);

    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++)
        sum += waiting(l->passed[s].exporters, l->exporter_count);
    return sum;
}
