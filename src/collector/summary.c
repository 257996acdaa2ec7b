/* The live summary: what came in, what is held, what was decided and why, what went out. */
#include "collector/bias.h"
#include "collector/collector.h"

#include <inttypes.h>
#include <stdio.h>

enum { RECENT_SHOWN = 6, BIAS_SHOWN = 3 };

static void size_text(uint64_t bytes, char *text, size_t len)
{
    if (bytes >= 10u << 20)
        snprintf(text, len, "%.1f MiB", (double)bytes / (1 << 20));
    else
        snprintf(text, len, "%.1f KiB", (double)bytes / 1024);
}

static void write_head(const struct ledger *l, struct buf *out)
{
    char held[32], memory[32];

    size_text(l->table.bytes, held, sizeof(held));
    size_text(l->memory_used, memory, sizeof(memory));
    buf_printf(out,
               "in      %10" PRIu64 " spans   %8" PRIu64 " traces   %6" PRIu64
               " requests   %" PRIu64 " connections\n",
               l->sum.received, l->new_traces, l->receive.requests, l->receive.connections);
    buf_printf(out,
               "held    %10" PRIu64 " spans   %8" PRIu64 " traces   %s of spans, %s of memory\n",
               l->pending, l->table.traces, held, memory);
}

static void write_decided(const struct labels *labels, const char *verdict, const uint64_t *traces,
                          const uint64_t *spans, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i])
            buf_printf(out, "%-7s %10" PRIu64 " spans   %8" PRIu64 " traces   %s (%s)\n", verdict,
                       spans[i], traces[i], labels_policy(labels, (uint16_t)i),
                       labels_reason(labels, (uint16_t)i));
}

static void write_out(const struct ledger *l, struct buf *out)
{
    for (size_t i = 0; i < l->exporter_count; i++) {
        const struct export_stats *s = &l->exporters[i].stats;

        buf_printf(out, "out     %10" PRIu64 " spans   %8" PRIu64 " queued   %s%s\n", s->delivered,
                   s->queued, l->exporters[i].name, s->circuit_open ? "   (backend is down)" : "");
    }
}

/* Metrics and logs, where there were some. */
static void write_passed(const struct ledger *l, enum otlp_signal signal, struct buf *out)
{
    const struct passed_counts *c = &l->sum.passed[signal];

    if (c->received == 0)
        return;
    buf_printf(out, "in      %10" PRIu64 " %s, %" PRIu64 " rejected, %" PRIu64 " filtered\n",
               c->received, otlp_signal_items(signal), c->rejected,
               ledger_sum(c->filtered, l->filters));
    for (size_t i = 0; i < l->exporter_count; i++) {
        const struct export_stats *s = &l->passed[signal].exporters[i].stats;

        if (s->enqueued > 0)
            buf_printf(out, "out     %10" PRIu64 " %s   %8" PRIu64 " queued   %s\n", s->delivered,
                       otlp_signal_items(signal), s->queued, l->exporters[i].name);
    }
}

static void write_decision(const struct labels *labels, const struct decision_record *d,
                           struct buf *out)
{
    char p[32] = "";

    if (d->probability >= 0)
        snprintf(p, sizeof(p), ", p = %g", d->probability);
    buf_printf(out, "  ");
    for (int i = 0; i < 8; i++)
        buf_printf(out, "%02x", d->trace_id[i]);
    buf_printf(out, "…  %-4s  %3u spans  %8.1f ms  %s (%s%s), due by %s%s\n",
               d->keep ? "keep" : "drop", d->spans, (double)d->duration_ns / 1e6,
               labels_policy(labels, d->label), labels_reason(labels, d->label), p,
               trace_trigger_name((enum trace_trigger)d->trigger),
               d->complete ? "" : ", incomplete");
}

static void write_recent(struct collector *c, struct buf *out)
{
    struct decision_record recent[RECENT_SHOWN * 8];
    size_t n = journal_recent(collector_journal(c), recent, RECENT_SHOWN * 8);
    int shown = 0;

    if (n)
        buf_str(out, "last decisions\n");
    for (size_t i = 0; i < n && shown < RECENT_SHOWN; i++)
        if (!recent[i].late) {
            write_decision(collector_labels(c), &recent[i], out);
            shown++;
        }
}

static void write_ledger(const struct ledger *l, struct buf *out)
{
    buf_printf(out,
               "ledger  received %" PRIu64 " + recovered %" PRIu64 " = rejected %" PRIu64
               " + filtered %" PRIu64 " + pending %" PRIu64 " + dropped %" PRIu64 " + kept %" PRIu64
               " + lost %" PRIu64 "   unaccounted %" PRId64 "\n",
               l->sum.received, l->sum.recovered, l->sum.rejected,
               ledger_sum(l->sum.filtered, l->filters), l->pending,
               ledger_sum(l->sum.dropped, l->labels), ledger_sum(l->sum.kept, l->labels),
               ledger_sum(l->sum.lost, LOST_COUNT), l->unaccounted);
}

void collector_write_summary(struct collector *c, struct buf *out)
{
    uint64_t age_ns;
    const struct ledger *l = collector_ledger(c, collector_now_ns(c), &age_ns);
    const struct labels *labels = collector_labels(c);

    write_head(l, out);
    write_decided(labels, "kept", l->sum.kept_traces, l->sum.kept, l->labels, out);
    write_decided(labels, "dropped", l->sum.dropped_traces, l->sum.dropped, l->labels, out);
    write_out(l, out);
    write_passed(l, OTLP_METRICS, out);
    write_passed(l, OTLP_LOGS, out);
    bias_write_lines(c, slice_make(NULL, 0), "bias    ", BIAS_SHOWN, out);
    write_recent(c, out);
    write_ledger(l, out);
}
