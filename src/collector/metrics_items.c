/* What /metrics says of metrics and logs: families of items, which are data points and log records,
 * with the label `signal`; and the collector's usual names. */
#include "collector/parts.h"

#include <stdio.h>

/* One family with a sample for each exporter and signal. */
struct family {
    const char *name, *help;
    size_t offset; /* of a uint64_t in struct export_stats */
    bool gauge;
};

static const char *signal_name(int signal)
{
    return otlp_signal_name((enum otlp_signal)signal);
}

static void write_received(struct metrics *m, const struct ledger *l)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } families[] = {
        {"moontail_received_items_total",
         "Data points and log records of requests answered with success, rejected ones included.",
         offsetof(struct passed_counts, received)},
        {"moontail_rejected_items_total",
         "Data points and log records refused by themselves (invalid UTF-8).",
         offsetof(struct passed_counts, rejected)},
        {"moontail_kept_items_total", "Data points and log records handed on to exporters.",
         offsetof(struct passed_counts, kept)},
        {"moontail_recovered_items_total",
         "Log records that follow their traces, read back from the journal at the start.",
         offsetof(struct passed_counts, recovered)},
        {"moontail_dropped_items_total", "Log records dropped with the traces that they follow.",
         offsetof(struct passed_counts, dropped)},
        {"moontail_alone_items_total",
         "Log records that were kept because no span of their trace came in time.",
         offsetof(struct passed_counts, alone)},
        {"moontail_rescued_items_total",
         "Log records of dropped traces that were sent after all; they stay counted as dropped.",
         offsetof(struct passed_counts, rescued)},
    };

    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
        metrics_family(m, families[f].name, METRIC_COUNTER, families[f].help);
        for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++) {
            uint64_t value;

            memcpy(&value, (const char *)&l->sum.passed[s] + families[f].offset, sizeof(value));
            metrics_sample(m, (double)value, "signal", signal_name(s), (char *)0);
        }
    }
}

static void write_filtered(struct metrics *m, const struct ledger *l, const struct labels *filters)
{
    metrics_family(m, "moontail_filtered_items_total", METRIC_COUNTER,
                   "Data points and log records that processors dropped.");
    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++) {
        for (size_t i = 0; i < l->filters; i++) {
            uint64_t value = l->sum.passed[s].filtered[i];

            if (value > 0)
                metrics_sample(m, (double)value, "signal", signal_name(s), "processor",
                               labels_policy(filters, (uint16_t)i), "reason",
                               labels_reason(filters, (uint16_t)i), (char *)0);
        }
    }
}

static void write_held(struct metrics *m, const struct ledger *l)
{
    metrics_family(m, "moontail_pending_items", METRIC_GAUGE,
                   "Log records that wait for the decision on their trace.");
    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++)
        metrics_sample(m, (double)l->passed[s].pending, "signal", signal_name(s), (char *)0);
    metrics_family(m, "moontail_lost_items_total", METRIC_COUNTER,
                   "Log records that waited and were lost, by reason.");
    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++)
        for (int i = 0; i < LOST_COUNT; i++)
            metrics_sample(m, (double)l->sum.passed[s].lost[i], "signal", signal_name(s), "reason",
                           lost_reason_name((enum lost_reason)i), (char *)0);
}

static void per_exporter(struct metrics *m, const struct ledger *l, const struct family *f)
{
    metrics_family(m, f->name, f->gauge ? METRIC_GAUGE : METRIC_COUNTER, f->help);
    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++) {
        for (size_t i = 0; i < l->exporter_count; i++) {
            const struct ledger_exporter *e = &l->passed[s].exporters[i];

            metrics_sample(m, (double)export_count_at(&e->stats, f->offset), "exporter", e->name,
                           "signal", signal_name(s), (char *)0);
        }
    }
}

static void write_lost_of(struct metrics *m, const struct ledger *l, const struct recovered *r,
                          enum otlp_signal s)
{
    for (size_t i = 0; i < l->exporter_count; i++) {
        const struct ledger_exporter *e = &l->passed[s].exporters[i];

        for (int k = 0; k < EXPORT_LOSSES; k++)
            metrics_sample(m, (double)metrics_lost(e, &export_losses[k], r, s), "exporter", e->name,
                           "signal", signal_name(s), "reason", export_losses[k].name, (char *)0);
    }
    for (size_t i = 0; i < r->gone_count; i++)
        if (!metrics_has_exporter(l, r->gone[i].name))
            metrics_sample(m, (double)r->gone[i].items[s], "exporter", r->gone[i].name, "signal",
                           signal_name(s), "reason", "removed", (char *)0);
}

static void write_lost(struct metrics *m, const struct ledger *l, const struct recovered *r)
{
    metrics_family(m, "moontail_export_lost_items_total", METRIC_COUNTER,
                   "Data points and log records that an exporter gave up, by reason.");
    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++)
        write_lost_of(m, l, r, (enum otlp_signal)s);
}

static void write_unaccounted(struct metrics *m, const struct ledger *l)
{
    char name[128];

    metrics_family(m, "moontail_unaccounted_items", METRIC_GAUGE,
                   "What the ledgers of metrics and logs cannot explain; 0 at all times.");
    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++) {
        metrics_sample(m, (double)l->passed[s].unaccounted, "ledger", "items", "signal",
                       signal_name(s), (char *)0);
        for (size_t i = 0; i < l->exporter_count; i++) {
            const struct ledger_exporter *e = &l->passed[s].exporters[i];

            snprintf(name, sizeof(name), "export/%s", e->name);
            metrics_sample(m, (double)e->unaccounted, "ledger", name, "signal", signal_name(s),
                           (char *)0);
        }
    }
}

void metrics_write_items(struct metrics *m, const struct ledger *l, const struct recovered *r,
                         const struct labels *filters)
{
    static const struct family families[] = {
        {"moontail_export_enqueued_items_total",
         "Data points and log records that the exporter is to send.",
         offsetof(struct export_stats, enqueued), false},
        {"moontail_export_recovered_items_total",
         "Data points and log records that were queued before the last start.",
         offsetof(struct export_stats, recovered), false},
        {"moontail_export_delivered_items_total",
         "Data points and log records that the backend took.",
         offsetof(struct export_stats, delivered), false},
        {"moontail_export_redelivered_items_total",
         "Data points and log records sent again, counted each time.",
         offsetof(struct export_stats, redelivered), false},
        {"moontail_export_filtered_items_total",
         "Data points and log records that the exporter's script chose not to send.",
         offsetof(struct export_stats, filtered), false},
        {"moontail_export_queued_items", "Data points and log records that wait to be sent.",
         offsetof(struct export_stats, queued), true},
    };

    write_received(m, l);
    write_held(m, l);
    write_filtered(m, l, filters);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        per_exporter(m, l, &families[i]);
    write_lost(m, l, r);
    write_unaccounted(m, l);
}

/* ---- the collector's names ---- */

static void alias(struct metrics *m, const char *what, const char *items, const char *help)
{
    char name[96];

    snprintf(name, sizeof(name), "otelcol_%s_%s_total", what, items);
    metrics_family(m, name, METRIC_COUNTER, help);
}

static void alias_exporter(struct metrics *m, const struct ledger *l, int signal, size_t offset)
{
    for (size_t i = 0; i < l->exporter_count; i++) {
        const struct ledger_exporter *e = &l->passed[signal].exporters[i];

        metrics_sample(m, (double)export_count_at(&e->stats, offset), "exporter", e->name,
                       (char *)0);
    }
}

void metrics_write_item_aliases(struct metrics *m, const struct ledger *l)
{
    static const char *const items[OTLP_SIGNALS] = {
        [OTLP_METRICS] = "metric_points", [OTLP_LOGS] = "log_records"};

    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++) {
        const struct passed_counts *c = &l->sum.passed[s];

        alias(m, "receiver_accepted", items[s], "Items taken.");
        metrics_sample(m, (double)(c->received - c->rejected), (char *)0);
        alias(m, "receiver_refused", items[s], "Items rejected.");
        metrics_sample(m, (double)c->rejected, (char *)0);
        alias(m, "exporter_sent", items[s], "Items that the backend took.");
        alias_exporter(m, l, s, offsetof(struct export_stats, delivered));
        alias(m, "exporter_enqueue_failed", items[s], "Items dropped because the queue was full.");
        alias_exporter(m, l, s, offsetof(struct export_stats, lost_outbox_full));
    }
}
