#include "collector/worker.h"

#include "collector/decide.h"
#include "lua/state.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST_SPANS = 1024,      /* capacity of the scratch array at start */
    DECISIONS_PER_STEP = 64, /* and as many as spans came: a trace may have but one; then sockets
                                have their turn. So what is due never grows behind what comes in. */
    ACCEPTED_CAPACITY = 256,
    RELEASING_MAX = 4096, /* references on their way out: enough is decided early for the moment */
};

/* Without tail_sampling there is nothing to wait for, but spans of a trace leave better together.
 */
static const uint64_t pass_through_wait_ns = NS_PER_S;
static const uint64_t pause_ns = 2 * NS_PER_S; /* the longest that a request waits for memory */

/* ---- intake: stage, scan, journal, inboxes ---- */

static uint8_t *stage(void *arg, size_t size)
{
    struct worker *w = arg;
    uint8_t *space = journal_stage(w->journal, size);

    w->staged = slice_make(space, space ? size : 0);
    return space;
}

static bool grow_spans(struct worker *w, size_t count)
{
    struct memory *memory = w->shared->memory;
    size_t capacity = w->span_capacity;
    struct scan_span *spans;
    uint8_t *owners;

    while (capacity < count)
        capacity *= 2;
    spans = counted_alloc(memory, capacity * sizeof(*spans));
    owners = counted_alloc(memory, capacity);
    if (!spans || !owners) {
        counted_free(memory, spans);
        counted_free(memory, owners);
        return false;
    }
    counted_free(memory, w->spans);
    counted_free(memory, w->owners);
    w->spans = spans;
    w->owners = owners;
    w->span_capacity = capacity;
    return true;
}

static enum err scan(struct worker *w, struct slice body, struct scan_result *result)
{
    enum err err = scan_traces(body, w->spans, w->span_capacity, result);

    if (err != ERR_FULL)
        return err;
    if (!grow_spans(w, result->spans))
        return ERR_FULL;
    return scan_traces(body, w->spans, w->span_capacity, result);
}

/* Finds the owner of each scanned span; spans of one trace often follow each other. */
static void find_owners(struct worker *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *id = w->spans[i].trace_id;

        if (i > 0 && memcmp(id, w->spans[i - 1].trace_id, sizeof(w->spans[i].trace_id)) == 0)
            w->owners[i] = w->owners[i - 1];
        else
            w->owners[i] = (uint8_t)trace_owner(w->shared->key, id, w->shared->count);
    }
}

/* Gives a run of a batch to `owner`, whose ring was seen to have room. */
static void send_run(struct worker *w, unsigned owner, struct span_batch *batch, uint32_t from,
                     uint32_t to)
{
    struct worker *to_worker = w->shared->workers[owner];
    struct ring *ring = &to_worker->inboxes[w->index];
    struct inbox_item item = {batch, from, to};
    bool was_empty = ring_count(ring) == 0;

    if (!ring_push(ring, &item))
        abort(); /* only this worker writes to this ring, and it had looked */
    if (was_empty)
        loop_wake(to_worker->loop);
}

/* A late span ends at once in dropped, or is handed on as its trace was. */
static void add_late(struct worker *w, const struct scan_span *s, frame_id frame,
                     const struct trace_decision *late)
{
    if (late->keep) {
        w->counts.late_kept++;
        decider_add_late(w->decider, s, frame, late);
        return;
    }
    w->counts.late_dropped++;
    w->counts.dropped[late->label]++;
    journal_release(w->journal, frame, 1);
}

/* Room for `count` spans in the table and among the late ones, so that add_spans cannot fail. */
static bool reserve_spans(struct worker *w, size_t count)
{
    return trace_table_reserve(w->table, count) && decider_reserve_late(w->decider, count);
}

static void add_spans(struct worker *w, const struct scan_span *spans, size_t count, frame_id frame,
                      uint64_t now_ns)
{
    struct trace_spans in = {spans, count, frame, now_ns};
    struct trace_decision late;
    enum trace_add result;

    w->added += count;
    for (size_t i = 0; (i = trace_table_add_all(w->table, &in, i, &result, &late)) < count; i++) {
        if (result == TRACE_LATE) {
            add_late(w, &spans[i], frame, &late);
        } else { /* room was reserved: the kernel has no memory */
            w->counts.lost++;
            journal_release(w->journal, frame, 1);
        }
    }
}

/* Where each owner's run begins once the scanned spans are sorted: starts[o] .. starts[o + 1]. */
static void find_runs(const struct worker *w, size_t count, uint32_t starts[MAX_WORKERS + 1])
{
    unsigned n = w->shared->count;

    memset(starts, 0, (n + 1) * sizeof(*starts));
    for (size_t i = 0; i < count; i++)
        starts[w->owners[i] + 1]++;
    for (unsigned o = 0; o < n; o++)
        starts[o + 1] += starts[o];
}

static bool inboxes_have_room(struct worker *w, const uint32_t *starts)
{
    for (unsigned o = 0; o < w->shared->count; o++)
        if (o != w->index && starts[o] < starts[o + 1] &&
            ring_space(&w->shared->workers[o]->inboxes[w->index]) == 0)
            return false;
    return true;
}

static void fill_batch(struct worker *w, struct span_batch *batch, size_t count,
                       const uint32_t *starts)
{
    uint32_t at[MAX_WORKERS];

    memcpy(at, starts, w->shared->count * sizeof(*at));
    for (size_t i = 0; i < count; i++)
        batch->spans[at[w->owners[i]]++] = w->spans[i];
}

static void hand_out(struct worker *w, struct span_batch *batch, const uint32_t *starts,
                     uint64_t now_ns)
{
    unsigned own = w->index;
    uint32_t owners = 1; /* this worker, whether or not a span is its own */

    for (unsigned o = 0; o < w->shared->count; o++)
        owners += o != own && starts[o] < starts[o + 1];
    atomic_store_explicit(&batch->owners, owners, memory_order_relaxed);
    for (unsigned o = 0; o < w->shared->count; o++)
        if (o != own && starts[o] < starts[o + 1])
            send_run(w, o, batch, starts[o], starts[o + 1]);
    add_spans(w, batch->spans + starts[own], starts[own + 1] - starts[own], batch->frame, now_ns);
    span_batch_done(batch);
}

/* Commits the staged body and gives each owner its spans. ERR_FULL: there is no room somewhere;
 * nothing was done. */
static enum err take_spans(struct worker *w, size_t len, size_t count, uint64_t now_ns)
{
    uint32_t starts[MAX_WORKERS + 1];
    struct span_batch *batch;

    if (w->shared->count == 1) {
        if (!reserve_spans(w, count))
            return ERR_FULL;
        add_spans(w, w->spans, count,
                  journal_commit(w->journal, len, (uint32_t)count, SIGNAL_TRACES, now_ns), now_ns);
        return ERR_OK;
    }
    find_owners(w, count);
    find_runs(w, count, starts);
    if (!inboxes_have_room(w, starts) || !reserve_spans(w, starts[w->index + 1] - starts[w->index]))
        return ERR_FULL;
    batch = span_batch_new(w->shared->memory, count);
    if (!batch)
        return ERR_FULL;
    fill_batch(w, batch, count, starts);
    batch->frame = journal_commit(w->journal, len, (uint32_t)count, SIGNAL_TRACES, now_ns);
    hand_out(w, batch, starts, now_ns);
    return ERR_OK;
}

static enum err refuse_malformed(struct receive_request *request, const struct scan_result *result)
{
    char message[128];

    snprintf(message, sizeof(message), "%s at byte %zu", result->error, result->error_offset);
    receive_answer(request, &(struct receive_answer){.verdict = RECEIVE_BAD, .message = message});
    return ERR_OK;
}

static enum err accept_body(void *arg, size_t len, struct receive_request *request)
{
    struct worker *w = arg;
    struct scan_result result;
    enum err err = scan(w, slice_make(w->staged.data, len), &result);

    if (err == ERR_PARSE)
        return refuse_malformed(request, &result);
    if (err == ERR_OK && result.spans > 0)
        err = take_spans(w, len, result.spans, clock_now_ns(w->shared->clock));
    if (err != ERR_OK)
        return ERR_FULL;
    w->counts.received += result.spans + result.rejected;
    w->counts.rejected += result.rejected;
    receive_answer(request, &(struct receive_answer){.verdict = RECEIVE_OK,
                                                     .rejected = result.rejected,
                                                     .message = result.reject_reason});
    return ERR_OK;
}

/* ---- the step ---- */

static void take_accepted(struct worker *w, uint64_t now_ns)
{
    struct accepted a;

    while (ring_pop(&w->accepted, &a))
        receive_add(w->receive, a.listener, a.fd, now_ns);
}

/* True: something was left for want of memory. */
static bool drain_inbox(struct worker *w, struct ring *inbox, uint64_t now_ns)
{
    struct inbox_item item;

    while (ring_peek(inbox, &item)) {
        if (!reserve_spans(w, item.to - item.from))
            return true;
        add_spans(w, item.batch->spans + item.from, item.to - item.from, item.batch->frame, now_ns);
        w->counts.crossed += item.to - item.from;
        span_batch_done(item.batch);
        ring_pop(inbox, &item);
    }
    return false;
}

static bool drain_inboxes(struct worker *w, uint64_t now_ns)
{
    bool left = false;

    for (unsigned o = 0; o < w->shared->count; o++)
        if (o != w->index)
            left |= drain_inbox(w, &w->inboxes[o], now_ns);
    return left;
}

static struct trace *take_trace(struct worker *w, uint64_t now_ns)
{
    struct trace *trace = trace_table_take_due(w->table, now_ns);

    if (trace)
        return trace;
    if (atomic_load_explicit(&w->shared->phase, memory_order_acquire) == PHASE_DECIDING)
        return trace_table_take_oldest(w->table, TRIGGER_SHUTDOWN);
    if (memory_is_high(w->shared->memory) && decider_releasing(w->decider) < RELEASING_MAX)
        return trace_table_take_oldest(w->table, TRIGGER_PRESSURE);
    return NULL;
}

/* When there is more to decide: now, after the sockets had their turn, or when there is room. */
static uint64_t decide_due(struct worker *w, uint64_t now_ns)
{
    size_t most = DECISIONS_PER_STEP + w->added;

    w->added = 0;
    for (size_t i = 0; i < most; i++) {
        struct trace *trace = take_trace(w, now_ns);

        if (!trace)
            return trace_table_next_due_ns(w->table);
        if (!decider_decide(w->decider, trace, now_ns))
            return now_ns + NS_PER_MS;
    }
    return now_ns;
}

static bool inboxes_are_empty(const struct worker *w)
{
    for (unsigned o = 0; o < w->shared->count; o++)
        if (ring_count(&w->inboxes[o]) > 0)
            return false;
    return true;
}

/* Tells main how far this worker is on the way down. */
static void follow_phase(struct worker *w, uint64_t now_ns)
{
    int phase = atomic_load_explicit(&w->shared->phase, memory_order_acquire);

    if (phase == PHASE_RUNNING) {
        receive_set_refusing(w->receive, export_is_refusing(w->shared->export));
        return;
    }
    if (!w->draining) {
        w->draining = true;
        receive_drain(w->receive, now_ns);
    }
    if (!atomic_load(&w->is_drained) && receive_is_idle(w->receive)) {
        atomic_store(&w->is_drained, true);
        loop_wake(w->shared->main_loop);
    }
    if (phase == PHASE_DECIDING && !atomic_load(&w->is_decided) && inboxes_are_empty(w) &&
        trace_table_next_due_ns(w->table) == NEVER_NS && decider_pending(w->decider) == 0) {
        atomic_store(&w->is_decided, true);
        loop_wake(w->shared->main_loop);
    }
}

static void publish_load(struct worker *w)
{
    struct receive_stats s;

    receive_stats(w->receive, &s);
    atomic_store_explicit(&w->open_bytes, s.open_bytes, memory_order_relaxed);
    atomic_store_explicit(&w->open_connections, s.connections, memory_order_relaxed);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t worker_step(struct worker *w, uint64_t now_ns)
{
    uint64_t due;
    bool left;

    take_accepted(w, now_ns);
    left = drain_inboxes(w, now_ns);
    left |= decider_step(w->decider, now_ns);
    due = earlier(decide_due(w, now_ns), receive_step(w->receive, now_ns));
    left |= decider_step(w->decider, now_ns);
    follow_phase(w, now_ns);
    publish_load(w);
    return left ? earlier(due, now_ns + NS_PER_MS) : due;
}

/* ---- the snapshot ---- */

static void count_item(void *arg, const void *item)
{
    const struct inbox_item *i = item;

    *(uint64_t *)arg += i->to - i->from;
}

void worker_snapshot(struct worker *w)
{
    trace_table_stats(w->table, &w->snapshot_table);
    receive_stats(w->receive, &w->snapshot_receive);
    w->snapshot_counts = w->counts;
    w->snapshot_pending = w->snapshot_table.spans + decider_pending(w->decider);
    for (unsigned o = 0; o < w->shared->count; o++)
        ring_each(&w->inboxes[o], count_item, &w->snapshot_pending);
}

/* ---- life ---- */

static void init_rings(struct worker *w)
{
    w->inboxes = aligned_alloc(_Alignof(struct ring), w->shared->count * sizeof(*w->inboxes));
    if (!w->inboxes)
        abort();
    for (unsigned o = 0; o < w->shared->count; o++)
        ring_init(&w->inboxes[o], INBOX_CAPACITY, sizeof(struct inbox_item));
    ring_init(&w->accepted, ACCEPTED_CAPACITY, sizeof(struct accepted));
}

static void init_table(struct worker *w)
{
    const struct config *c = w->shared->config;

    w->table = trace_table_new(
        &(struct trace_limits){
            .decision_wait_ns = c->tail.enabled ? c->tail.decision_wait_ns : pass_through_wait_ns,
            .wait_after_root_ns =
                c->tail.wait_after_root_ns ? c->tail.wait_after_root_ns : NEVER_NS,
            .num_traces = (c->tail.num_traces + w->shared->count - 1) / w->shared->count,
            .max_spans = c->tail.max_spans_per_trace,
            .max_bytes = c->tail.max_trace_bytes,
            .decision_cache = (c->tail.decision_cache + w->shared->count - 1) / w->shared->count,
            .memory = w->shared->memory,
        },
        w->shared->key);
}

static void init_receive(struct worker *w)
{
    w->sink = (struct receive_sink){.arg = w, .stage = stage, .accept = accept_body};
    w->receive = receive_new(&(struct receive_config){
        .listeners = w->shared->listeners,
        .listener_count = w->shared->listener_count,
        .loop = w->loop,
        .net = w->shared->net,
        .memory = w->shared->memory,
        .sink = &w->sink,
        .pause_ns = pause_ns,
        .shared = w->shared->receive,
    });
}

enum err worker_new(struct worker_shared *shared, unsigned index, struct loop *loop, lua_State *L,
                    struct worker **out, struct err_info *info)
{
    struct worker *w = aligned_alloc(_Alignof(struct worker), sizeof(*w));
    enum err err;

    if (!w)
        abort();
    memset(w, 0, sizeof(*w));
    w->shared = shared;
    w->index = index;
    w->loop = loop;
    w->L = L;
    init_rings(w);
    w->journal = journal_writer(shared->journal, index, loop);
    init_table(w);
    init_receive(w);
    w->span_capacity = FIRST_SPANS;
    err = grow_spans(w, FIRST_SPANS)
              ? setup_policies(L, shared->config, shared->policies, &w->policies, info)
              : err_fail(info, ERR_CONFIG, "memory_limiter.limit is too small to start");
    if (err == ERR_OK)
        err = decider_new(w, &w->decider, info);
    if (err != ERR_OK) {
        worker_free(w);
        return err;
    }
    *out = w;
    return ERR_OK;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    receive_free(w->receive);
    decider_free(w->decider);
    policy_set_free(w->policies);
    trace_table_free(w->table);
    for (unsigned o = 0; o < w->shared->count; o++)
        ring_fini(&w->inboxes[o]);
    free(w->inboxes);
    ring_fini(&w->accepted);
    counted_free(w->shared->memory, w->spans);
    counted_free(w->shared->memory, w->owners);
    lua_state_close(w->L);
    free(w);
}
