/* What /metrics says of exporters, and the collector's usual names for spans as aliases. */
#include "collector/parts.h"

/* A family with one sample for each exporter. */
static void per_exporter(struct metrics *m, const struct ledger *l, const char *name,
                         enum metric_type type, const char *help, size_t offset)
{
    metrics_family(m, name, type, help);
    for (size_t i = 0; i < l->exporter_count; i++) {
        const struct ledger_exporter *e = &l->exporters[i];

        metrics_sample(m, (double)export_count_at(&e->stats, offset), "exporter", e->name,
                       (char *)0);
    }
}

#define PER_EXPORTER(m, l, name, type, help, field)                                                \
    per_exporter(m, l, name, type, help, offsetof(struct export_stats, field))

uint64_t metrics_lost(const struct ledger_exporter *e, const struct export_loss *loss,
                      const struct recovered *r, enum otlp_signal signal)
{
    uint64_t lost = export_count_at(&e->stats, loss->offset);

    return loss->offset == offsetof(struct export_stats, lost_removed)
               ? lost + recovered_lost(r, e->name, signal)
               : lost;
}

bool metrics_has_exporter(const struct ledger *l, const char *name)
{
    for (size_t i = 0; i < l->exporter_count; i++)
        if (strcmp(l->exporters[i].name, name) == 0)
            return true;
    return false;
}

static void write_lost(struct metrics *m, const struct ledger *l, const struct recovered *r)
{
    metrics_family(m, "moontail_export_lost_spans_total", METRIC_COUNTER,
                   "Spans that an exporter gave up, by reason.");
    for (size_t i = 0; i < l->exporter_count; i++)
        for (int k = 0; k < EXPORT_LOSSES; k++)
            metrics_sample(
                m, (double)metrics_lost(&l->exporters[i], &export_losses[k], r, OTLP_TRACES),
                "exporter", l->exporters[i].name, "reason", export_losses[k].name, (char *)0);
    for (size_t i = 0; i < r->gone_count; i++)
        if (!metrics_has_exporter(l, r->gone[i].name))
            metrics_sample(m, (double)r->gone[i].items[OTLP_TRACES], "exporter", r->gone[i].name,
                           "reason", "removed", (char *)0);
}

static void write_script_counts(struct metrics *m, const struct ledger *l)
{
    metrics_family(m, "moontail_export_script_total", METRIC_COUNTER,
                   "What the scripts of exporters count.");
    for (size_t i = 0; i < l->exporter_count; i++) {
        const struct ledger_exporter *e = &l->exporters[i];

        for (size_t k = 0; k < e->stats.count_names; k++)
            metrics_sample(m, (double)e->stats.counts[k].n, "exporter", e->name, "what",
                           e->stats.counts[k].what, (char *)0);
    }
}

void metrics_write_exporters(struct metrics *m, const struct ledger *l, const struct recovered *r)
{
    write_script_counts(m, l);
    PER_EXPORTER(m, l, "moontail_export_enqueued_spans_total", METRIC_COUNTER,
                 "Kept spans that the exporter is to send.", enqueued);
    PER_EXPORTER(m, l, "moontail_export_recovered_spans_total", METRIC_COUNTER,
                 "Spans that were queued before the start, and were not known to be delivered.",
                 recovered);
    PER_EXPORTER(m, l, "moontail_export_delivered_spans_total", METRIC_COUNTER,
                 "Spans that the backend took.", delivered);
    PER_EXPORTER(m, l, "moontail_export_redelivered_spans_total", METRIC_COUNTER,
                 "Spans sent again, counted each time.", redelivered);
    metrics_family(m, "moontail_export_filtered_spans_total", METRIC_COUNTER,
                   "Spans that the exporter's script chose not to send.");
    for (size_t i = 0; i < l->exporter_count; i++)
        metrics_sample(m, (double)l->exporters[i].stats.filtered, "exporter", l->exporters[i].name,
                       "reason", "encode", (char *)0);
    write_lost(m, l, r);
    PER_EXPORTER(m, l, "moontail_export_queued_spans", METRIC_GAUGE, "Spans that wait to be sent.",
                 queued);
    PER_EXPORTER(m, l, "moontail_export_queued_bytes", METRIC_GAUGE, "Bytes that wait to be sent.",
                 queue_bytes);
    PER_EXPORTER(m, l, "moontail_export_requests_total", METRIC_COUNTER, "Requests sent.",
                 requests);
    PER_EXPORTER(m, l, "moontail_export_failures_total", METRIC_COUNTER, "Requests that failed.",
                 failures);
    metrics_family(m, "moontail_export_circuit_open", METRIC_GAUGE,
                   "1 while the exporter only probes its backend.");
    for (size_t i = 0; i < l->exporter_count; i++)
        metrics_sample(m, l->exporters[i].stats.circuit_open, "exporter", l->exporters[i].name,
                       (char *)0);
}

/* ---- the collector's names ---- */

static void alias_by_policy(struct metrics *m, const struct ledger *l, const struct labels *labels)
{
    const struct worker_counts *s = &l->sum;

    metrics_family(m, "otelcol_processor_tail_sampling_count_traces_sampled_total", METRIC_COUNTER,
                   "Traces by the policy that decided.");
    for (size_t i = 0; i < l->labels; i++) {
        const char *policy = labels_policy(labels, (uint16_t)i);

        if (s->kept_traces[i])
            metrics_sample(m, (double)s->kept_traces[i], "policy", policy, "reason",
                           labels_reason(labels, (uint16_t)i), "sampled", "true", (char *)0);
        if (s->dropped_traces[i])
            metrics_sample(m, (double)s->dropped_traces[i], "policy", policy, "reason",
                           labels_reason(labels, (uint16_t)i), "sampled", "false", (char *)0);
    }
    metrics_family(m, "otelcol_processor_tail_sampling_global_count_traces_sampled_total",
                   METRIC_COUNTER, "Traces kept and dropped.");
    metrics_sample(m, (double)ledger_sum(s->kept_traces, l->labels), "sampled", "true", (char *)0);
    metrics_sample(m, (double)ledger_sum(s->dropped_traces, l->labels), "sampled", "false",
                   (char *)0);
}

void metrics_write_aliases(struct metrics *m, const struct ledger *l, const struct labels *labels)
{
    const struct worker_counts *s = &l->sum;

    metrics_counter(m, "otelcol_receiver_accepted_spans_total", "Spans taken.",
                    s->received - s->rejected);
    metrics_counter(m, "otelcol_receiver_refused_spans_total", "Spans rejected.", s->rejected);
    PER_EXPORTER(m, l, "otelcol_exporter_sent_spans_total", METRIC_COUNTER,
                 "Alias of moontail_export_delivered_spans_total.", delivered);
    metrics_family(m, "otelcol_exporter_send_failed_spans_total", METRIC_COUNTER,
                   "Spans that an exporter gave up.");
    for (size_t i = 0; i < l->exporter_count; i++) {
        const struct export_stats *e = &l->exporters[i].stats;

        metrics_sample(m, (double)(e->lost_permanent + e->lost_retry_exhausted), "exporter",
                       l->exporters[i].name, (char *)0);
    }
    PER_EXPORTER(m, l, "otelcol_exporter_enqueue_failed_spans_total", METRIC_COUNTER,
                 "Spans dropped because the queue was full.", lost_outbox_full);
    alias_by_policy(m, l, labels);
    metrics_gauge(m, "otelcol_processor_tail_sampling_sampling_traces_on_memory",
                  "Traces that wait.", (double)l->table.traces);
    metrics_counter(m, "otelcol_processor_tail_sampling_new_trace_id_received_total", "New traces.",
                    l->new_traces);
}
