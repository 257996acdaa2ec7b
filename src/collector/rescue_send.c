#include "collector/decider.h"
#include "collector/rescue.h"
#include "collector/rescue_parts.h"

enum { TRIES_MAX = 5000 }; /* one a millisecond */

/* ---- its spans ---- */

static struct span_view span_at(void *arg, uint32_t i)
{
    const struct rescue *r = arg;
    const struct rescued_body *b = &r->bodies[r->spans.items[i].body];
    const struct scan_span *s = &r->spans.items[i].span;

    return span_view_at(slice_make(b->data, b->len), s->offset, s->len, s->resource_offset,
                        s->scope_offset);
}

static void describe(const struct worker *w, struct rescue *r, struct policy_trace *p,
                     struct policy_verdict *v)
{
    *v = (struct policy_verdict){
        .keep = true,
        .label =
            labels_intern(w->shared->policies->labels, slice_str("rescue"), slice_str("rescued")),
        .probability = -1,
        .threshold = THRESHOLD_NONE,
        .entry = r->root == POLICY_ROOT_UNKNOWN ? UINT32_MAX : r->root,
    };
    *p = (struct policy_trace){
        .trigger = trace_trigger_name(TRIGGER_WAIT),
        .complete = r->complete,
        .sums = r->sums,
        .decided_unix_ns = clock_unix_ns(w->shared->clock),
        .count = (uint32_t)r->spans.count,
        .only_root = POLICY_ROOT_UNKNOWN,
        .span = span_at,
        .span_arg = r,
        .decision = v,
    };
    memcpy(p->id, r->trace_id, sizeof(p->id));
}

static struct decision_record record_of(const struct worker *w, const struct policy_trace *p)
{
    struct decision_record record = {
        .keep = true,
        .late = true,
        .label = p->decision->label,
        .trigger = TRIGGER_WAIT,
        .complete = p->complete,
        .spans = p->count,
        .config_version = w->rules->version,
        .threshold = THRESHOLD_NONE,
        .probability = -1,
        .duration_ns = scan_duration_ns(&p->sums),
        .unix_ns = p->decided_unix_ns,
        .errors = p->sums.errors,
    };

    memcpy(record.trace_id, p->id, sizeof(record.trace_id));
    return record;
}

/* For spans, or for log records: there are at most as many bodies as of these. */
static struct decision_details details_of(const struct decider *d, const struct rescue *r,
                                          bool is_logs)
{
    struct decision_details details = {.sources = d->sources};

    for (uint32_t i = 0; i < r->body_count; i++)
        if (r->bodies[i].is_logs == is_logs)
            d->sources[details.source_count++] = r->bodies[i].source;
    return details;
}

/* False: there is no room now. */
static bool commit_spans(struct worker *w, struct rescue *r)
{
    struct decider *d = w->decider;
    struct decision_details details;
    struct policy_trace p;
    struct policy_verdict v;
    struct compose_edits edits;
    struct decision_record record;
    bool committed;

    if (!journal_can_decide(w->journal) || !decider_scratch(d, r->spans.count))
        return false;
    describe(w, r, &p, &v);
    record = record_of(w, &p);
    for (uint32_t i = 0; i < r->spans.count; i++)
        d->kept[i] = (struct compose_span){span_at(r, i), r->bodies[r->spans.items[i].body].data};
    if (!decider_process(d, &p, &v.entry, clock_now_ns(w->shared->clock)))
        return false;
    record.payload_spans = p.count;
    record.exporters = p.count > 0 ? decider_exporters(d, &p) : 0;
    decider_edits(d, &p, &v, &edits);
    details = details_of(d, r, false);
    committed = decider_hand_on(d, &record, &details, &edits) != 0;
    decider_end_processing(d);
    if (committed)
        w->counts.rescued += p.count;
    r->exporters = record.exporters;
    return committed;
}

/* ---- its log records ---- */

static struct decision_record record_of_logs(const struct worker *w, const struct rescue *r)
{
    struct decision_record record = {
        .keep = true,
        .late = true,
        .signal = SIGNAL_LOGS,
        .label =
            labels_intern(w->shared->policies->labels, slice_str("rescue"), slice_str("rescued")),
        .spans = (uint32_t)r->logs.count,
        .config_version = w->rules->version,
        .threshold = THRESHOLD_NONE,
        .probability = -1,
        .unix_ns = clock_unix_ns(w->shared->clock),
        .exporters = decider_log_exporters(w->decider, r->exporters),
    };

    memcpy(record.trace_id, r->trace_id, sizeof(record.trace_id));
    return record;
}

static void view_logs(struct decider *d, const struct rescue *r)
{
    for (size_t i = 0; i < r->logs.count; i++) {
        const struct rescued_body *b = &r->bodies[r->logs.items[i].body];
        const struct scan_span *s = &r->logs.items[i].span;

        d->kept[i] =
            (struct compose_span){span_view_at(slice_make(b->data, b->len), s->offset, s->len,
                                               s->resource_offset, s->scope_offset),
                                  b->data};
    }
}

static bool commit_logs(struct worker *w, const struct rescue *r)
{
    struct decider *d = w->decider;
    struct compose_edits edits = compose_as_it_is;
    struct decision_record record;
    struct decision_details details;
    bool committed;

    if (!journal_can_decide(w->journal) || !decider_scratch(d, r->logs.count))
        return false;
    record = record_of_logs(w, r);
    view_logs(d, r);
    if (!decider_process_logs(d, &record))
        return false;
    decider_edit_resource(d, &edits);
    details = details_of(d, r, true);
    committed = decider_hand_on(d, &record, &details, &edits) != 0;
    decider_end_logs(d, committed);
    if (committed)
        w->counts.passed[OTLP_LOGS].rescued += record.payload_spans;
    return committed;
}

/* ---- both ---- */

static bool commit(struct worker *w, struct rescue *r)
{
    if (!r->spans_sent && r->spans.count > 0 && !commit_spans(w, r))
        return false;
    r->spans_sent = true;
    return r->logs.count == 0 || commit_logs(w, r);
}

bool rescue_step(struct worker *w)
{
    struct rescue *r = w->index == 0 ? atomic_load(&w->shared->rescue) : NULL;

    if (!r)
        return false;
    if (atomic_load(&w->shared->phase) == PHASE_RUNNING && !commit(w, r) && ++r->tries < TRIES_MAX)
        return true;
    atomic_store(&w->shared->rescue, NULL);
    rescue_free(r);
    return false;
}
