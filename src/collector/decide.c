#include "collector/decide.h"

#include "base/fifo.h"
#include "collector/resource.h"

#include <stdlib.h>

enum {
    FIRST_SPANS = 256,
    FIRST_RELEASES = 256,
    PAYLOAD_MAX = 256 << 20, /* bytes; more than max_trace_bytes and what splices add */
};

/* A late span of a kept trace. */
struct late_span {
    uint8_t trace_id[16];
    struct trace_decision decision;
    frame_id frame;
    uint32_t offset, len, resource_offset, scope_offset;
};

/* References to give back once decision `sequence` is committed. */
struct release {
    uint64_t sequence;
    frame_id frame;
    uint32_t count;
};

struct decider {
    struct worker *worker;
    struct fifo late;      /* struct late_span */
    struct fifo releases;  /* struct release */
    uint64_t releasing;    /* references in them */
    struct span_ref *refs; /* scratch, each with room for `capacity` spans */
    struct compose_span *kept;
    size_t capacity;
    struct resource_edits *resource;
    const struct match *where[EXPORTER_MAX];
    size_t exporters;
    uint64_t every_exporter; /* mask of those without where */
    uint16_t label_none;
};

/* ---- scratch ---- */

static void free_scratch(struct decider *d)
{
    struct memory *memory = d->worker->shared->memory;

    counted_free(memory, d->refs);
    counted_free(memory, d->kept);
    d->refs = NULL;
    d->kept = NULL;
    d->capacity = 0;
}

static bool scratch_room(struct decider *d, size_t spans)
{
    struct memory *memory = d->worker->shared->memory;
    size_t capacity = d->capacity ? d->capacity : FIRST_SPANS;

    if (spans <= d->capacity)
        return true;
    while (capacity < spans)
        capacity *= 2;
    free_scratch(d);
    d->refs = counted_alloc(memory, capacity * sizeof(*d->refs));
    d->kept = counted_alloc(memory, capacity * sizeof(*d->kept));
    if (!d->refs || !d->kept) {
        free_scratch(d);
        return false;
    }
    d->capacity = capacity;
    return true;
}

/* ---- references ---- */

/* The span at i, where it lies: what policies look at. */
static struct span_view span_at(void *decider, uint32_t i)
{
    const struct decider *d = decider;
    const struct span_ref *r = &d->refs[i];

    return span_view_at(journal_body(d->worker->shared->journal, r->frame), r->offset, r->len,
                        r->resource_offset, r->scope_offset);
}

static void view_kept(struct decider *d, size_t count)
{
    for (uint32_t i = 0; i < count; i++)
        d->kept[i] = (struct compose_span){
            span_at(d, i), journal_body(d->worker->shared->journal, d->refs[i].frame).data};
}

/* Queues `count` references of one frame; there is room. */
static void queue_release(struct decider *d, uint64_t sequence, frame_id frame, uint32_t count)
{
    size_t len = fifo_len(&d->releases);
    struct release *last = len ? fifo_at(&d->releases, len - 1) : NULL;

    d->releasing += count;
    if (last && last->sequence == sequence && last->frame == frame)
        last->count += count;
    else
        *(struct release *)fifo_push(&d->releases) = (struct release){sequence, frame, count};
}

static bool release_committed(struct decider *d)
{
    uint64_t committed = journal_decided(d->worker->journal);

    while (fifo_len(&d->releases) > 0) {
        struct release *r = fifo_at(&d->releases, 0);

        if (r->sequence > committed)
            return true;
        journal_release(d->worker->journal, r->frame, r->count);
        d->releasing -= r->count;
        fifo_drop(&d->releases, 1);
    }
    return false;
}

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

static void describe(struct decider *d, const struct trace *trace, struct policy_trace *p)
{
    *p = (struct policy_trace){
        .trigger = trace_trigger_name(trace->trigger),
        .complete = trace->complete,
        .start_ns = trace->start_ns,
        .end_ns = trace->end_ns,
        .decided_unix_ns = clock_unix_ns(d->worker->shared->clock),
        .errors = trace->errors,
        .bytes = trace->bytes,
        .has_trace_state = trace->has_trace_state,
        .count = trace->spans,
        .only_root = only_root(d, trace->spans),
        .span = span_at,
        .span_arg = d,
    };
    memcpy(p->id, trace->id, sizeof(p->id));
}

static void judge(struct decider *d, struct policy_trace *p, uint64_t now_ns,
                  struct policy_verdict *verdict)
{
    if (d->worker->policies)
        policy_set_decide(d->worker->policies, p, now_ns, verdict);
    else
        *verdict = (struct policy_verdict){
            .keep = true, .label = d->label_none, .probability = -1, .threshold = THRESHOLD_NONE};
    p->decision = verdict;
}

static uint64_t exporters_of(const struct decider *d, const struct policy_trace *p)
{
    uint64_t mask = d->every_exporter;

    for (size_t i = 0; i < d->exporters; i++)
        if (d->where[i] && match_where(d->where[i], p, d->worker->shared->policies->labels))
            mask |= UINT64_C(1) << i;
    return mask;
}

/* What th is written: design, step 5 of the path of a span. */
static void edit_threshold(const struct decider *d, uint64_t threshold, bool has_trace_state,
                           struct compose_edits *e)
{
    const struct config *c = d->worker->shared->config;

    e->th_always = threshold > 0 || c->tail.tracestate_always;
    e->threshold = threshold;
    if (!d->worker->policies)
        e->th = TH_LEAVE;
    else if (threshold == THRESHOLD_NONE)
        e->th = has_trace_state ? TH_ERASE : TH_LEAVE;
    else
        e->th = has_trace_state || e->th_always ? TH_SET : TH_LEAVE;
}

static void edits_of(const struct decider *d, const struct policy_trace *p,
                     const struct policy_verdict *v, struct compose_edits *e)
{
    const struct labels *labels = d->worker->shared->policies->labels;

    *e = (struct compose_edits){.probability = -1, .entry = SIZE_MAX};
    e->resource = resource_edits_list(d->resource, &e->resource_count);
    edit_threshold(d, v->threshold, p->has_trace_state, e);
    if (!d->worker->policies || !d->worker->shared->config->tail.record)
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
    struct decision_record r = {
        .keep = v->keep,
        .label = v->label,
        .trigger = (uint8_t)trace->trigger,
        .complete = trace->complete,
        .spans = trace->spans,
        .config_version = d->worker->shared->config_version,
        .threshold = v->threshold,
        .probability = v->probability,
        .duration_ns = trace->end_ns > trace->start_ns ? trace->end_ns - trace->start_ns : 0,
        .unix_ns = p->decided_unix_ns,
        .exporters = v->keep ? exporters_of(d, p) : 0,
        .payload_spans = v->keep ? trace->spans : 0,
    };

    memcpy(r.trace_id, trace->id, sizeof(r.trace_id));
    return r;
}

static void count_decision(struct worker *w, const struct trace *trace,
                           const struct policy_verdict *v)
{
    w->counts.decided[trace->complete][trace->trigger]++;
    if (v->keep) {
        w->counts.kept[v->label] += trace->spans;
        w->counts.kept_traces[v->label]++;
    } else {
        w->counts.dropped[v->label] += trace->spans;
        w->counts.dropped_traces[v->label]++;
    }
}

/* Composes (a keep) and hands the record on; 0: no room, nothing was done. */
static uint64_t hand_on(struct decider *d, const struct decision_record *r,
                        const struct compose_edits *edits)
{
    struct buf payload;
    uint64_t sequence = 0;

    buf_init(&payload, PAYLOAD_MAX, d->worker->shared->memory);
    if (!r->keep || compose_traces(d->kept, r->payload_spans, edits, &payload) == ERR_OK)
        sequence = journal_decide(d->worker->journal, r, &payload);
    buf_fini(&payload);
    return sequence;
}

static void finish(struct decider *d, struct trace *trace, const struct policy_verdict *v,
                   uint64_t exporters, uint64_t sequence)
{
    count_decision(d->worker, trace, v);
    for (uint32_t i = 0; i < trace->spans; i++)
        queue_release(d, sequence, d->refs[i].frame, 1);
    trace_table_decided(d->worker->table, trace,
                        &(struct trace_decision){
                            .keep = v->keep,
                            .label = v->label,
                            .config_version = d->worker->shared->config_version,
                            .threshold = v->threshold,
                            .probability = v->probability,
                            .exporters = exporters,
                        });
}

bool decider_decide(struct decider *d, struct trace *trace, uint64_t now_ns)
{
    struct policy_trace p;
    struct policy_verdict v;
    struct compose_edits edits = {0};
    struct decision_record r;
    uint64_t sequence = 0;

    if (journal_can_decide(d->worker->journal) && scratch_room(d, trace->spans) &&
        fifo_room(&d->releases, trace->spans)) {
        trace_refs(d->worker->table, trace, d->refs);
        describe(d, trace, &p);
        judge(d, &p, now_ns, &v);
        r = record_of(d, trace, &p, &v);
        if (v.keep) {
            view_kept(d, trace->spans);
            edits_of(d, &p, &v, &edits);
        }
        sequence = hand_on(d, &r, &edits);
    }
    if (sequence == 0) {
        trace_table_put_back(d->worker->table, trace);
        return false;
    }
    finish(d, trace, &v, r.exporters, sequence);
    return true;
}

/* ---- late spans ---- */

bool decider_reserve_late(struct decider *d, size_t count)
{
    return fifo_room(&d->late, count);
}

void decider_add_late(struct decider *d, const struct scan_span *s, frame_id frame,
                      const struct trace_decision *decision)
{
    struct late_span *l = fifo_push(&d->late);

    *l = (struct late_span){.decision = *decision,
                            .frame = frame,
                            .offset = s->offset,
                            .len = s->len,
                            .resource_offset = s->resource_offset,
                            .scope_offset = s->scope_offset};
    memcpy(l->trace_id, s->trace_id, sizeof(l->trace_id));
}

/* How many of the oldest late spans are of one trace. */
static size_t late_run(const struct decider *d)
{
    const struct late_span *first = fifo_at(&d->late, 0);
    size_t n = 1;

    while (n < fifo_len(&d->late) &&
           memcmp(first[n].trace_id, first->trace_id, sizeof(first->trace_id)) == 0)
        n++;
    return n;
}

static void view_late(struct decider *d, const struct late_span *late, size_t count)
{
    for (size_t i = 0; i < count; i++)
        d->refs[i] = (struct span_ref){.frame = late[i].frame,
                                       .offset = late[i].offset,
                                       .len = late[i].len,
                                       .resource_offset = late[i].resource_offset,
                                       .scope_offset = late[i].scope_offset};
    view_kept(d, count);
}

/* Hands on the oldest run of late spans, as their trace was; false: no room now. */
static bool hand_on_late(struct decider *d)
{
    const struct late_span *late = fifo_at(&d->late, 0);
    const struct trace_decision *decision = &late->decision;
    size_t count = late_run(d);
    struct compose_edits edits = {.probability = -1, .entry = SIZE_MAX};
    struct decision_record r = {.keep = true,
                                .late = true,
                                .label = decision->label,
                                .spans = (uint32_t)count,
                                .config_version = decision->config_version,
                                .threshold = decision->threshold,
                                .probability = decision->probability,
                                .unix_ns = clock_unix_ns(d->worker->shared->clock),
                                .exporters = decision->exporters,
                                .payload_spans = (uint32_t)count};
    uint64_t sequence;

    if (!scratch_room(d, count) || !fifo_room(&d->releases, count))
        return false;
    memcpy(r.trace_id, late->trace_id, sizeof(r.trace_id));
    view_late(d, late, count);
    edits.resource = resource_edits_list(d->resource, &edits.resource_count);
    edit_threshold(d, r.threshold, true, &edits); /* whether they have a tracestate is not known */
    sequence = hand_on(d, &r, &edits);
    if (sequence == 0)
        return false;
    d->worker->counts.kept[r.label] += count;
    for (size_t i = 0; i < count; i++)
        queue_release(d, sequence, d->refs[i].frame, 1);
    fifo_drop(&d->late, count);
    return true;
}

bool decider_step(struct decider *d, uint64_t now_ns)
{
    (void)now_ns;
    while (fifo_len(&d->late) > 0 && hand_on_late(d))
        continue;
    return release_committed(d) || fifo_len(&d->late) > 0;
}

uint64_t decider_releasing(const struct decider *d)
{
    return d->releasing;
}

uint64_t decider_pending(const struct decider *d)
{
    return fifo_len(&d->late);
}

/* ---- life ---- */

static void find_exporters(struct decider *d)
{
    const struct exporter_specs *specs = d->worker->shared->exporters;
    lua_State *L = d->worker->L;
    int top = lua_gettop(L);

    d->exporters = exporter_specs_count(specs);
    config_push(L, "exporters");
    for (size_t i = 0; i < d->exporters; i++) {
        exporter_specs_push_where(L, top + 1, i);
        d->where[i] = match_get(L, -1);
        lua_settop(L, top + 1);
        if (!d->where[i])
            d->every_exporter |= UINT64_C(1) << i;
    }
    lua_settop(L, top);
}

static bool init_queues(struct decider *d)
{
    struct memory *memory = d->worker->shared->memory;

    return fifo_init(&d->late, memory, sizeof(struct late_span), FIRST_SPANS) &&
           fifo_init(&d->releases, memory, sizeof(struct release), FIRST_RELEASES) &&
           scratch_room(d, FIRST_SPANS);
}

enum err decider_new(struct worker *w, struct decider **out, struct err_info *info)
{
    struct decider *d = calloc(1, sizeof(*d));
    enum err err;

    if (!d)
        abort();
    d->worker = w;
    d->label_none =
        labels_intern(w->shared->policies->labels, slice_str("none"), slice_str("none"));
    find_exporters(d);
    err = init_queues(d) ? resource_edits_new(w->L, &d->resource, info)
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
    free_scratch(d);
    fifo_fini(&d->late);
    fifo_fini(&d->releases);
    resource_edits_free(d->resource);
    free(d);
}
