#include "collector/decider.h"

#include <stdlib.h>

bool decider_reserve_late(struct decider *d, size_t count)
{
    return fifo_room(&d->late, count);
}

bool decider_force_late(struct decider *d, size_t count)
{
    return fifo_force(&d->late, count);
}

void decider_add_late(struct decider *d, const struct scan_span *s, frame_id frame,
                      const struct trace_decision *decision)
{
    struct worker_counts *counts = &d->worker->counts;
    bool is_log = s->flags & SCAN_LOG;
    struct late_span *l;

    if (!is_log)
        *(decision->keep ? &counts->late_kept : &counts->late_dropped) += 1;
    if (!decision->keep && !d->has_details) {
        *(is_log ? &counts->passed[OTLP_LOGS].dropped : &counts->dropped[decision->label]) += 1;
        journal_release(d->worker->journal, frame, 1);
        return;
    }
    d->late_logs += is_log;
    l = fifo_push(&d->late);
    *l = (struct late_span){.decision = *decision,
                            .frame = frame,
                            .offset = s->offset,
                            .len = s->len,
                            .resource_offset = s->resource_offset,
                            .scope_offset = s->scope_offset,
                            .is_log = is_log};
    memcpy(l->trace_id, s->trace_id, sizeof(l->trace_id));
}

static int compare_late(const void *a, const void *b)
{
    const struct late_span *x = a, *y = b;
    int order = memcmp(x->trace_id, y->trace_id, sizeof(x->trace_id));

    return order ? order : (x->offset > y->offset) - (x->offset < y->offset);
}

void decider_group_late(struct decider *d, frame_id frame)
{
    size_t end = fifo_len(&d->late), begin = end;

    while (begin > 0 && ((const struct late_span *)fifo_at(&d->late, begin - 1))->frame == frame)
        begin--;
    if (end - begin > 2)
        qsort(fifo_at(&d->late, begin), end - begin, sizeof(struct late_span), compare_late);
}

/* How many of the oldest late spans are of one trace; of one kind. */
static size_t late_run(const struct decider *d)
{
    const struct late_span *first = fifo_at(&d->late, 0);
    size_t n = 1;

    while (n < fifo_len(&d->late) && first[n].is_log == first->is_log &&
           memcmp(first[n].trace_id, first->trace_id, sizeof(first->trace_id)) == 0)
        n++;
    return n;
}

static void copy_refs(struct decider *d, const struct late_span *late, size_t count)
{
    for (size_t i = 0; i < count; i++)
        d->refs[i] = (struct span_ref){.frame = late[i].frame,
                                       .offset = late[i].offset,
                                       .len = late[i].len,
                                       .resource_offset = late[i].resource_offset,
                                       .scope_offset = late[i].scope_offset};
}

static uint64_t exporters_of(const struct decider *d, const struct late_span *late)
{
    return late->is_log ? decider_log_exporters(d, late->decision.exporters)
                        : late->decision.exporters & d->worker->rules->exporters;
}

static struct decision_record record_of(const struct decider *d, const struct late_span *late,
                                        size_t count)
{
    const struct trace_decision *decision = &late->decision;
    struct decision_record r = {
        .keep = decision->keep,
        .late = true,
        .signal = late->is_log ? SIGNAL_LOGS : 0,
        .label = decision->label,
        .spans = (uint32_t)count,
        .config_version = decision->config_version,
        .threshold = decision->threshold,
        .probability = decision->probability,
        .unix_ns = clock_unix_ns(d->worker->shared->clock),
        .exporters = decision->keep ? exporters_of(d, late) : 0,
        .payload_spans = decision->keep ? (uint32_t)count : 0,
    };

    memcpy(r.trace_id, late->trace_id, sizeof(r.trace_id));
    return r;
}

static void finish(struct decider *d, const struct decision_record *r, uint64_t sequence)
{
    struct worker_counts *counts = &d->worker->counts;

    if (r->signal == SIGNAL_LOGS)
        decider_count_logs(d, r);
    else if (r->keep)
        counts->kept[r->label] += r->spans - decider_count_filtered(d);
    else
        counts->dropped[r->label] += r->spans;
    for (size_t i = 0; i < r->spans; i++)
        decider_queue_release(d, sequence, d->refs[i].frame, 1);
    fifo_drop(&d->late, r->spans);
}

/* What the processors of kept spans see of late ones: a trace of these spans, and its decision. */
static bool process_run(struct decider *d, const struct late_span *late, size_t count,
                        struct decision_record *r)
{
    const struct policy_verdict v = {.keep = true,
                                     .label = r->label,
                                     .probability = r->probability,
                                     .threshold = r->threshold,
                                     .entry = UINT32_MAX};
    struct policy_trace p = {.trigger = "wait",
                             .decided_unix_ns = r->unix_ns,
                             .count = (uint32_t)count,
                             .only_root = POLICY_ROOT_UNKNOWN,
                             .decision = &v};
    uint32_t entry = UINT32_MAX;

    memcpy(p.id, late->trace_id, sizeof(p.id));
    if (!decider_process(d, &p, &entry, clock_now_ns(d->worker->shared->clock)))
        return false;
    r->payload_spans = p.count;
    r->exporters = p.count > 0 ? r->exporters : 0;
    return true;
}

static bool process(struct decider *d, const struct late_span *late, size_t count,
                    struct decision_record *r)
{
    decider_view(d, count);
    return late->is_log ? decider_process_logs(d, r) : process_run(d, late, count, r);
}

/* Log records have no tracestate. Whether spans have one is not known. */
static void edit(const struct decider *d, const struct decision_record *r, struct compose_edits *e)
{
    *e = compose_as_it_is;
    decider_edit_resource(d, e);
    if (r->signal == SIGNAL_LOGS)
        return;
    decider_edit_threshold(d, r->threshold, true, e);
    e->randomness = UINT64_MAX; /* the root may have had an rv */
    e->has_randomness = true;
}

/* Hands on the oldest run, as its trace was; false: no room now, or its bodies are not here. */
static bool hand_on_run(struct decider *d)
{
    const struct late_span *late = fifo_at(&d->late, 0);
    size_t count = late_run(d);
    struct decision_record r = record_of(d, late, count);
    struct compose_edits edits;
    uint64_t sequence;

    if (!decider_scratch(d, count) || !fifo_room(&d->releases, count))
        return false;
    copy_refs(d, late, count);
    if (!decider_has_bodies(d, count) || (r.keep && !process(d, late, count, &r)))
        return false; /* the names of frames are read from them, for what is dropped too */
    edit(d, &r, &edits);
    sequence = decider_hand_on(d, &r, decider_details(d, count, true), &edits);
    decider_end_processing(d);
    decider_end_logs(d, sequence != 0);
    if (sequence == 0)
        return false;
    finish(d, &r, sequence);
    return true;
}

void decider_hand_on_late(struct decider *d, uint64_t until_ns)
{
    while (fifo_len(&d->late) > 0 && hand_on_run(d))
        if (clock_now_ns(d->worker->shared->clock) > until_ns)
            break;
}

uint64_t decider_pending(const struct decider *d)
{
    return fifo_len(&d->late);
}

uint64_t decider_pending_logs(const struct decider *d)
{
    return d->late_logs;
}
