#include "collector/decider.h"
#include "collector/remembered.h"

#include <stdlib.h>

enum {
    FIRST_LATE = 256,
    FIRST_RELEASES = 256,
    EXEMPLARS_MAX = 64,      /* of one trace */
    FORCED_MAX = 256 << 10,  /* bytes on their way to the outbox, whatever the limit says */
    PAYLOAD_MAX = 256 << 20, /* bytes; more than max_trace_bytes and what splices add */
};

/* Then sockets have their turn, or decisions. */
static const uint64_t step_ns = NS_PER_MS / 2;

/* ---- the decision ---- */

/* The index of the only root among the spans, or POLICY_ROOT_UNKNOWN. */
static uint32_t only_root(const struct decider *d, uint32_t count)
{
    uint32_t root = POLICY_ROOT_UNKNOWN;

    for (uint32_t i = 0; i < count; i++) {
        if (d->refs[i].parent_hash != 0)
            continue;
        if (root != POLICY_ROOT_UNKNOWN)
            return POLICY_ROOT_UNKNOWN;
        root = i;
    }
    return root;
}

static uint64_t unix_ns(struct decider *d, uint64_t now_ns)
{
    if (now_ns != d->unix_now_ns) {
        d->unix_now_ns = now_ns;
        d->unix_ns = clock_unix_ns(d->worker->shared->clock);
    }
    return d->unix_ns;
}

static void describe(struct decider *d, const struct trace *trace, uint64_t now_ns,
                     struct policy_trace *p)
{
    *p = (struct policy_trace){
        .trigger = trace_trigger_name(trace->trigger),
        .complete = trace->complete,
        .sums = trace->sums,
        .decided_unix_ns = unix_ns(d, now_ns),
        .count = trace->spans,
        .only_root = only_root(d, trace->spans),
        .span = decider_span_at,
        .span_arg = d,
    };
    memcpy(p->id, trace->id, sizeof(p->id));
}

static void judge(struct decider *d, struct policy_trace *p, uint64_t now_ns,
                  struct policy_verdict *verdict)
{
    struct policy_set *policies = d->worker->rules->policies;

    if (policies)
        policy_set_decide(policies, p, now_ns, verdict);
    else
        *verdict = (struct policy_verdict){.keep = true,
                                           .label = d->label_none,
                                           .probability = -1,
                                           .threshold = d->worker->rules->head_threshold};
    p->decision = verdict;
}

uint64_t decider_exporters(const struct decider *d, const struct policy_trace *p)
{
    const struct rules *rules = d->worker->rules;
    uint64_t mask = rules->every_exporter;

    for (size_t i = 0; i < rules->where_count; i++)
        if (rules->where[i] && match_where(rules->where[i], p, d->worker->shared->policies->labels))
            mask |= UINT64_C(1) << i;
    return mask;
}

void decider_edit_threshold(const struct decider *d, uint64_t threshold, bool has_trace_state,
                            struct compose_edits *e)
{
    const struct rules *rules = d->worker->rules;

    if (!rules->policies || (threshold != THRESHOLD_NONE && threshold < rules->head_threshold))
        threshold = rules->head_threshold;
    e->th_always = threshold > 0 || rules->config->tail.tracestate_always;
    e->threshold = threshold;
    e->no_trace_state = !has_trace_state && !rules->kept; /* a processor may have set one */
    if (!rules->policies && threshold == 0)
        e->th = TH_LEAVE;
    else if (threshold == THRESHOLD_NONE)
        e->th = has_trace_state ? TH_ERASE : TH_LEAVE;
    else
        e->th = has_trace_state || e->th_always ? TH_SET : TH_LEAVE;
}

void decider_edits(const struct decider *d, const struct policy_trace *p,
                   const struct policy_verdict *v, struct compose_edits *e)
{
    const struct labels *labels = d->worker->shared->policies->labels;
    const struct rules *rules = d->worker->rules;

    *e = compose_as_it_is;
    decider_edit_resource(d, e);
    decider_edit_threshold(d, v->threshold, p->sums.has_trace_state, e);
    e->has_randomness = p->sums.has_trace_state;
    e->randomness = e->has_randomness ? sampling_randomness(p) : 0;
    if (!rules->policies || !rules->config->tail.record)
        return;
    e->entry = v->entry == UINT32_MAX ? SIZE_MAX : v->entry;
    e->policy = labels_policy(labels, v->label);
    e->reason = labels_reason(labels, v->label);
    e->probability = v->probability;
}

static struct decision_record record_of(const struct decider *d, const struct trace *trace,
                                        const struct policy_trace *p,
                                        const struct policy_verdict *v)
{
    const struct scan_sums *sums = &trace->sums;
    struct decision_record r = {
        .keep = v->keep,
        .label = v->label,
        .trigger = (uint8_t)trace->trigger,
        .complete = trace->complete,
        .spans = trace->spans,
        .config_version = d->worker->rules->version,
        .threshold = v->threshold,
        .probability = v->probability,
        .duration_ns = scan_duration_ns(sums),
        .unix_ns = p->decided_unix_ns,
        .errors = sums->errors,
        .randomness = d->has_details ? sampling_randomness(p) : 0,
    };

    memcpy(r.trace_id, trace->id, sizeof(r.trace_id));
    return r;
}

static void count_decision(struct decider *d, const struct trace *trace,
                           const struct policy_verdict *v)
{
    struct worker *w = d->worker;

    w->counts.decided[trace->complete][trace->trigger]++;
    if (v->keep) {
        w->counts.kept[v->label] += trace->spans - decider_count_filtered(d);
        w->counts.kept_traces[v->label]++;
    } else {
        w->counts.dropped[v->label] += trace->spans;
        w->counts.dropped_traces[v->label]++;
    }
}

/* Memory that is full becomes free by deciding: bodies that came back from disk may have taken what
 * is held back. With files what is decided leaves memory too, so a little may always pass; without
 * them it leaves if exporters keep up: with nothing on its way out nobody else lets memory go. */
bool decider_may_pass(struct decider *d)
{
    if (d->releasing == 0)
        d->forced_bytes = 0;
    return d->forced_bytes < FORCED_MAX &&
           (d->has_details || !export_has_queued(d->worker->shared->export));
}

static enum err compose(const struct decider *d, const struct decision_record *r,
                        const struct compose_edits *edits, struct buf *payload)
{
    if (d->has_log_body)
        return compose_body(d->log_left, edits, payload);
    return compose_traces(d->kept, r->payload_spans, edits, payload);
}

static uint64_t compose_and_decide(struct decider *d, const struct decision_record *r,
                                   const struct decision_details *details,
                                   const struct compose_edits *edits, bool forced)
{
    struct buf payload;
    uint64_t sequence = 0;
    size_t len;

    buf_init(&payload, PAYLOAD_MAX, d->worker->shared->memory);
    payload.forced = forced;
    if (!r->keep || compose(d, r, edits, &payload) == ERR_OK) {
        len = payload.len;
        sequence = journal_decide(d->worker->journal, r, details, &payload);
        d->forced_bytes += sequence && forced ? len : 0;
    }
    buf_fini(&payload);
    return sequence;
}

uint64_t decider_hand_on(struct decider *d, const struct decision_record *r,
                         const struct decision_details *details, const struct compose_edits *edits)
{
    uint64_t sequence = compose_and_decide(d, r, details, edits, false);

    return sequence || !decider_may_pass(d) ? sequence
                                            : compose_and_decide(d, r, details, edits, true);
}

/* A copy of it for trials, now and then; its references are still held. */
static void remember(struct decider *d, const struct decision_record *r, uint64_t now_ns)
{
    struct recent_trace facts;

    if (!remembered_is_due(d->worker->remembered, now_ns))
        return;
    facts = (struct recent_trace){
        .spans = r->spans,
        .complete = r->complete,
        .trigger = r->trigger,
        .unix_ns = r->unix_ns,
        .is_decided = true,
        .kept = r->keep,
        .label = r->label,
    };
    memcpy(facts.id, r->trace_id, sizeof(facts.id));
    decider_view(d, r->spans);
    remembered_add(d->worker->remembered, &facts, d->kept, now_ns);
}

static void finish(struct decider *d, struct trace *trace, const struct policy_verdict *v,
                   uint64_t exporters, uint64_t sequence)
{
    const struct trace_decision decision = {
        .keep = v->keep,
        .label = v->label,
        .config_version = d->worker->rules->version,
        .threshold = v->threshold,
        .probability = v->probability,
        .exporters = exporters,
    };

    count_decision(d, trace, v);
    decider_queue_releases(d, sequence, d->refs, trace->spans);
    if (v->keep)
        decider_keep_logs(d, trace, &decision);
    else
        decider_drop_logs(d, trace, sequence);
    trace_table_decided(d->worker->table, trace, &decision);
}

/* Whatever the verdict is, once it stands: the references are still held. */
static void count_edges(struct decider *d, const struct decision_record *r)
{
    if (d->worker->edges)
        spanmetrics_count_edges(d->worker->edges,
                                &(struct spanmetrics_trace){r->spans, decider_span_at, d});
}

/* Their spans stand for their series, where somebody gets them: the references are still held. */
static void note_exemplars(struct decider *d, const struct decision_record *r)
{
    struct worker *w = d->worker;

    if (!w->recorder || !w->shared->config->span_metrics.exemplars || r->exporters == 0)
        return;
    for (uint32_t i = 0; i < r->spans && i < EXEMPLARS_MAX; i++) {
        struct span_view view = decider_span_at(d, i);

        spanmetrics_note_kept(w->recorder, &view, r->unix_ns);
    }
}

static bool has_room(struct decider *d, const struct trace *trace)
{
    uint32_t count = trace_ref_count(trace);

    return journal_can_decide(d->worker->journal) && decider_scratch(d, count) &&
           fifo_room(&d->releases, count) && (!trace->logs || fifo_room(&d->late, trace->logs));
}

/* Makes what is composed of a kept trace ready; false: no memory now. */
static bool prepare_kept(struct decider *d, struct policy_trace *p, struct policy_verdict *v,
                         struct decision_record *r, struct compose_edits *edits, uint64_t now_ns)
{
    decider_view(d, p->count);
    if (!decider_process(d, p, &v->entry, now_ns))
        return false;
    r->payload_spans = p->count;
    r->exporters = p->count > 0 ? decider_exporters(d, p) : 0;
    decider_edits(d, p, v, edits);
    return true;
}

enum decide_result decider_decide(struct decider *d, struct trace *trace, uint64_t now_ns)
{
    struct policy_trace p;
    struct policy_verdict v;
    struct compose_edits edits = {0};
    struct decision_record r;
    uint64_t sequence = 0;

    if (has_room(d, trace)) {
        trace_refs(d->worker->table, trace, d->refs);
        if (!decider_has_bodies(d, trace_ref_count(trace))) {
            trace_table_set_aside(d->worker->table, trace);
            return DECIDE_NOT_HERE;
        }
        if (trace->spans == 0) {
            decider_end_logs_alone(d, trace);
            return DECIDE_DONE;
        }
        describe(d, trace, now_ns, &p);
        decider_audit_begin(d, &p);
        judge(d, &p, now_ns, &v);
        r = record_of(d, trace, &p, &v);
        if (!v.keep || prepare_kept(d, &p, &v, &r, &edits, now_ns))
            sequence = decider_hand_on(d, &r, decider_details(d, trace->spans, false), &edits);
        decider_end_processing(d);
    }
    if (sequence == 0) {
        trace_table_put_back(d->worker->table, trace);
        return DECIDE_NO_ROOM;
    }
    count_edges(d, &r);
    decider_audit(d, &v, &r);
    note_exemplars(d, &r);
    remember(d, &r, now_ns);
    finish(d, trace, &v, r.exporters, sequence);
    return DECIDE_DONE;
}

bool decider_step(struct decider *d)
{
    uint64_t until_ns;

    if (fifo_len(&d->late) == 0 && fifo_len(&d->releases) == 0)
        return false;
    until_ns = clock_now_ns(d->worker->shared->clock) + step_ns;
    decider_hand_on_late(d, until_ns);
    return decider_release_committed(d, until_ns) || decider_pending(d) > 0;
}

uint64_t decider_releasing(const struct decider *d)
{
    return d->releasing + d->late_logs;
}

void decider_edit_resource(const struct decider *d, struct compose_edits *e)
{
    e->resource = resource_edits_list(d->worker->rules->resource);
}

uint16_t decider_label_none(const struct decider *d)
{
    return d->label_none;
}

/* ---- life ---- */

static bool init_queues(struct decider *d)
{
    struct memory *memory = d->worker->shared->memory;

    return fifo_init(&d->late, memory, sizeof(struct late_span), FIRST_LATE) &&
           fifo_init(&d->releases, memory, sizeof(struct release), FIRST_RELEASES) &&
           decider_scratch(d, 1);
}

enum err decider_new(struct worker *w, struct decider **out, struct err_info *info)
{
    struct decider *d = calloc(1, sizeof(*d));
    enum err err;

    if (!d)
        err_no_memory("a worker's decisions");
    d->worker = w;
    d->unix_now_ns = NEVER_NS;
    d->label_none =
        labels_intern(w->shared->policies->labels, slice_str("none"), slice_str("none"));
    d->label_logs =
        labels_intern(w->shared->policies->labels, slice_str("logs"), slice_str("no span came"));
    d->label_processors = labels_intern(w->shared->policies->labels, slice_str("processors"),
                                        slice_str("nothing is left"));
    d->label_exporters = labels_intern(w->shared->policies->labels, slice_str("exporters"),
                                       slice_str("no where holds"));
    d->has_details = w->shared->ack != ACK_MEMORY;
    err = init_queues(d) ? ERR_OK
                         : err_fail(info, ERR_CONFIG, "memory_limiter.limit is too small to start");
    if (err != ERR_OK) {
        decider_free(d);
        return err;
    }
    *out = d;
    return ERR_OK;
}

void decider_free(struct decider *d)
{
    if (!d)
        return;
    decider_free_scratch(d);
    fifo_fini(&d->late);
    fifo_fini(&d->releases);
    free(d);
}
