/* What of a decision goes to the audit of sampling (spanmetrics/audit.h). */
#include "base/prefetch.h"
#include "collector/decider.h"
#include "spanmetrics/audit.h"

/* Where its name and its service are found is asked for while policies judge the trace. */
void decider_audit_begin(struct decider *d, const struct policy_trace *p)
{
    const struct span_ref *r;
    const uint8_t *body;

    d->entry = p->only_root;
    if (!d->worker->audit || !d->worker->rules->policies || d->entry == POLICY_ROOT_UNKNOWN)
        return;
    r = &d->refs[d->entry];
    body = journal_read(d->worker->journal, r->frame).data;
    prefetch(body + r->offset);
    prefetch(body + r->offset + 64);
    prefetch(body + r->resource_offset);
}

/* The span that began first, of a trace without a root, or with several. */
static uint32_t first_span(const struct decider *d, uint32_t count)
{
    uint32_t first = 0;

    for (uint32_t i = 1; i < count; i++)
        if (d->refs[i].start - 1 < d->refs[first].start - 1) /* 0: unknown, comes last */
            first = i;
    return first;
}

/* Of a draw among traces that came past head_sampling: the th of what is kept says for both. */
static double drawn_with(struct decider *d, uint64_t threshold)
{
    uint64_t head = d->worker->rules->head_threshold;

    if (threshold <= head)
        return 1;
    if (threshold != d->drawn.threshold || head != d->drawn.head) {
        d->drawn.threshold = threshold;
        d->drawn.head = head;
        d->drawn.probability = sampling_probability(threshold) / sampling_probability(head);
    }
    return d->drawn.probability;
}

static double probability_of(struct decider *d, const struct policy_verdict *v)
{
    if (v->unknown)
        return v->keep ? -1 : 0;
    if (v->probability < 0)
        return v->keep ? 1 : 0;
    return v->threshold >= THRESHOLD_NEVER ? 0 : drawn_with(d, v->threshold);
}

static void count_entry(const struct decider *d, uint32_t entry, const struct audit_fate *fate)
{
    const struct span_ref *r = &d->refs[entry];
    struct slice body = journal_read(d->worker->journal, r->frame), service;

    if (r->offset >= body.len || r->len > body.len - r->offset)
        return;
    if (!view_service_at(body, r->resource_offset, &service))
        service = slice_make(NULL, 0);
    audit_count(d->worker->audit, service, slice_make(body.data + r->offset, r->len), fate);
}

static void count(struct decider *d, const struct policy_verdict *v,
                  const struct decision_record *r)
{
    struct audit_fate fate = {
        .kept = v->keep, .probability = probability_of(d, v), .label = v->label};

    if (v->keep && r->exporters == 0) { /* whoever kept it, nobody gets it */
        fate.kept = false;
        fate.goes_nowhere = true;
        fate.label = r->payload_spans == 0 ? d->label_processors : d->label_exporters;
    }
    if (audit_wants_all_spans(d->worker->audit))
        audit_count_all(d->worker->audit, &(struct spanmetrics_trace){r->spans, decider_span_at, d},
                        &fate);
    else
        count_entry(d, d->entry == POLICY_ROOT_UNKNOWN ? first_span(d, r->spans) : d->entry, &fate);
}

void decider_audit(struct decider *d, const struct policy_verdict *v,
                   const struct decision_record *r)
{
    if (d->worker->audit && d->worker->rules->policies)
        count(d, v, r);
}
