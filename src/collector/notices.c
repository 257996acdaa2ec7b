#include "collector/notices.h"

#include "base/log.h"
#include "collector/parts.h"

static const uint64_t notices_ns = 10 * NS_PER_S;

/* How much a sum has grown since the last time. They are looked at in the same order each time. */
static uint64_t growth(struct notices *n, uint64_t sum)
{
    uint64_t *told = &n->told[n->at++], grown = sum > *told ? sum - *told : 0;

    *told = sum;
    return grown;
}

static const char *number_of(uint64_t n)
{
    return log_number((double)n);
}

/* Not who is asked to try again elsewhere, nor load balancers that look whether we are there. */
static bool is_trouble(int refusal)
{
    return refusal != REFUSED_DRAINING && refusal != REFUSED_METHOD;
}

static void tell_refused(struct notices *n, const struct receive_stats *r)
{
    for (int i = 0; i < REFUSED_COUNT; i++) {
        uint64_t requests = growth(n, r->refused[i]);

        if (requests > 0 && is_trouble(i))
            log_event(LOG_WARN, "requests were refused", "reason",
                      receive_refusal_name((enum receive_refusal)i), "requests",
                      number_of(requests));
    }
}

/* What most of them were decided early for: it may be short no more. */
static const char *short_of(struct collector *c, const struct worker_counts *sum)
{
    uint64_t disk = growth(&c->notices, sum->early[EARLY_DISK]);
    uint64_t memory = growth(&c->notices, sum->early[EARLY_MEMORY]);

    if (disk + memory > 0)
        return disk >= memory ? "disk" : "memory";
    return c->config->tail.num_traces ? "num_traces" : NULL;
}

static void tell_early(struct collector *c, const struct worker_counts *sum)
{
    const char *what = short_of(c, sum);

    for (int t = TRIGGER_PRESSURE; t <= TRIGGER_TOO_LARGE; t++) {
        uint64_t traces = growth(&c->notices, sum->decided[0][t] + sum->decided[1][t]);

        if (traces > 0)
            log_event(LOG_WARN, "traces were decided early", "reason",
                      trace_trigger_name((enum trace_trigger)t), "traces", number_of(traces),
                      "short", t == TRIGGER_PRESSURE ? what : NULL);
    }
}

static void tell_lost(struct notices *n, const struct worker_counts *sum)
{
    for (int i = 0; i < LOST_COUNT; i++) {
        uint64_t spans = growth(n, sum->lost[i]);

        if (spans > 0)
            log_event(LOG_ERROR, "spans are lost", "reason", lost_reason_name((enum lost_reason)i),
                      "spans", number_of(spans));
    }
}

static void tell_export_lost(struct notices *n, const struct ledger_exporter *e, const char *items)
{
    for (int i = 0; i < EXPORT_LOSSES; i++) {
        uint64_t lost = growth(n, export_count_at(&e->stats, export_losses[i].offset));

        if (lost > 0)
            log_event(LOG_ERROR, "kept items are lost", "exporter", e->name, "reason",
                      export_losses[i].name, items, number_of(lost));
    }
}

static void tell(struct collector *c, const struct ledger *l)
{
    struct notices *n = &c->notices;

    n->at = 0;
    tell_refused(n, &l->receive);
    tell_early(c, &l->sum);
    tell_lost(n, &l->sum);
    for (size_t i = 0; i < l->exporter_count; i++) {
        tell_export_lost(n, &l->exporters[i], "spans");
        tell_export_lost(n, &l->passed[OTLP_METRICS].exporters[i], "points");
        tell_export_lost(n, &l->passed[OTLP_LOGS].exporters[i], "logs");
    }
}

uint64_t notices_step(struct collector *c, uint64_t now_ns)
{
    struct notices *n = &c->notices;
    uint64_t age_ns;

    if (collector_phase(c) != PHASE_RUNNING)
        return NEVER_NS;
    if (n->due_ns == 0)
        n->due_ns = now_ns + notices_ns;
    if (now_ns < n->due_ns)
        return n->due_ns;
    n->due_ns = now_ns + notices_ns;
    tell(c, collector_ledger(c, now_ns, &age_ns));
    return n->due_ns;
}
