#include "collector/worker.h"

#include "base/stall.h"
#include "collector/decide.h"
#include "collector/door.h"
#include "collector/evacuate.h"
#include "collector/intake.h"
#include "collector/remembered.h"
#include "collector/rescue.h"
#include "collector/span_metrics.h"
#include "spanmetrics/audit.h"

#include <stdlib.h>

enum {
    REMEMBERED_TRACES = 1000,   /* of all workers */
    REMEMBERED_BYTES = 4 << 20, /* of all workers, at most */
    DECISIONS_PER_STEP = 64,    /* and as many as spans came: a trace may have but one; then sockets
                                   have their turn. So what is due never grows behind what comes in. */
    DECISIONS_A_LOOK = 16,      /* at the clock: a slow machine takes 20 us for one */
    ACCEPTED_CAPACITY = 256,
    RELEASING_MAX = 4096, /* references on their way out: enough is decided early for the moment */
    ASIDE_MAX = 4096,     /* traces whose bodies are asked for: enough for the moment */
};

/* Without tail_sampling there is nothing to wait for, but spans of a trace leave better together.
 */
static const uint64_t pass_through_wait_ns = NS_PER_S;
/* Then sockets have their turn again: it is longer than theirs (LOOP_READY_NS), so that decisions
 * keep up. */
static const uint64_t deciding_ns = 2 * NS_PER_MS;
static const uint64_t look_again_ns = 5 * NS_PER_MS; /* for bodies, which come with a wake */
static const uint64_t pause_ns = 2 * NS_PER_S; /* the longest that a request waits for memory */

/* ---- the rules ---- */

/* A kept trace is composed in what intake leaves, so it fits in there. */
static uint64_t max_trace_bytes(const struct worker *w)
{
    uint64_t fits = (uint64_t)w->shared->memory->drain / 4 * 3;

    return w->rules->config->tail.max_trace_bytes < fits ? w->rules->config->tail.max_trace_bytes
                                                         : fits;
}

static uint64_t decision_wait_ns(const struct worker *w)
{
    const struct config *c = w->rules->config;

    return c->tail.enabled ? c->tail.decision_wait_ns : pass_through_wait_ns;
}

static struct trace_limits limits_of(const struct worker *w)
{
    const struct config *c = w->rules->config;
    unsigned workers = w->shared->count;

    return (struct trace_limits){
        .decision_wait_ns = decision_wait_ns(w),
        .wait_after_root_ns = c->tail.wait_after_root_ns ? c->tail.wait_after_root_ns : NEVER_NS,
        .num_traces = (c->tail.num_traces + workers - 1) / workers,
        .max_spans = c->tail.max_spans_per_trace,
        .max_bytes = max_trace_bytes(w),
        .decision_cache = (c->tail.decision_cache + workers - 1) / workers,
        .memory = w->shared->memory,
    };
}

/* Between two decisions, in a few hundred nanoseconds; the builder ends the past ones. */
static void exchange_rules(struct worker *w)
{
    struct rules *next = atomic_exchange_explicit(&w->next_rules, NULL, memory_order_acq_rel);
    struct trace_limits limits;

    policy_use_cells(next->L, w->shared->policies->cells, clock_now_ns(w->shared->clock));
    atomic_store_explicit(&w->past_rules, w->rules, memory_order_release);
    w->rules = next;
    limits = limits_of(w);
    trace_table_set_limits(w->table, &limits);
    receive_set_signals(w->receive, pass_signals(w));
    loop_wake(w->shared->builder_loop);
}

/* Connections of listeners that were closed leave. */
static void retire_connections(struct worker *w, unsigned closed)
{
    w->closed = closed;
    receive_retire(w->receive, clock_now_ns(w->shared->clock));
}

static void count_exchange(struct worker *w, struct stall *stall, uint64_t took_ns)
{
    struct worker_counts *counts = &w->counts;
    uint64_t ran_ns = stall_cpu_ns(stall);

    counts->exchanges++;
    if (took_ns > counts->longest_exchange_ns)
        counts->longest_exchange_ns = took_ns;
    if (took_ns > NS_PER_MS) /* or did others have the CPU? */
        counts->slow_exchanges += earlier_ns(ran_ns + stall_ns(stall), took_ns) > NS_PER_MS;
    stall_fini(stall);
}

/* What a reload made for this worker; counts how long it takes. */
static void take_reload(struct worker *w)
{
    unsigned closed = atomic_load_explicit(&w->shared->closed, memory_order_acquire);
    bool exchanges = atomic_load_explicit(&w->next_rules, memory_order_relaxed) != NULL;
    struct stall stall = {.clock = w->shared->clock};
    uint64_t began_ns;

    if (!exchanges && closed == w->closed)
        return;
    stall_begin(&stall, 0);
    began_ns = clock_now_ns(w->shared->clock);
    if (exchanges)
        exchange_rules(w);
    if (closed != w->closed)
        retire_connections(w, closed);
    count_exchange(w, &stall, clock_now_ns(w->shared->clock) - began_ns);
}

/* ---- the step ---- */

static void take_accepted(struct worker *w, uint64_t now_ns)
{
    struct accepted a;

    while (ring_pop(&w->accepted, &a))
        receive_add(w->receive, a.port, a.fd, now_ns);
}

/* What is, once all is let go that can be without deciding; EARLY_COUNT: nothing. */
static enum early_cause what_is_short(const struct worker_shared *shared)
{
    if (journal_pressure(shared->journal) >= PRESSURE_EARLY)
        return EARLY_DISK;
    return memory_is_high(shared->memory) && !journal_can_spill(shared->journal) ? EARLY_MEMORY
                                                                                 : EARLY_COUNT;
}

static struct trace *take_early(struct worker *w)
{
    enum early_cause cause = what_is_short(w->shared);
    struct trace *trace = NULL;

    if (cause != EARLY_COUNT && decider_releasing(w->decider) < RELEASING_MAX)
        trace = trace_table_take_oldest(w->table, TRIGGER_PRESSURE);
    if (trace)
        w->counts.early[cause]++;
    return trace;
}

static struct trace *take_trace(struct worker *w, uint64_t now_ns)
{
    struct trace *trace = trace_table_take_due(w->table, now_ns);

    if (trace)
        return trace;
    if (atomic_load_explicit(&w->shared->phase, memory_order_acquire) == PHASE_DECIDING)
        return trace_table_take_oldest(w->table, TRIGGER_SHUTDOWN);
    return take_early(w);
}

/* What waits is left for the next start. */
static bool is_kept(const struct worker *w)
{
    return w->shared->keeps &&
           atomic_load_explicit(&w->shared->phase, memory_order_acquire) != PHASE_RUNNING;
}

/* When to look again at what was set aside, and at what may become due. */
static uint64_t decide_later(const struct worker *w, size_t decided, uint64_t now_ns)
{
    if (trace_table_aside(w->table) == 0)
        return trace_table_next_due_ns(w->table);
    return decided > 0 ? now_ns : now_ns + look_again_ns;
}

/* When there is more to decide: now, after the sockets had their turn, or when there is room. */
static uint64_t decide_due(struct worker *w, uint64_t now_ns)
{
    size_t most = DECISIONS_PER_STEP + w->added, decided = 0;
    uint64_t began_ns = clock_now_ns(w->shared->clock);

    w->added = 0;
    if (is_kept(w))
        return NEVER_NS;
    trace_table_resume(w->table, most);
    for (size_t i = 0; i < most && trace_table_aside(w->table) < ASIDE_MAX; i++) {
        struct trace *trace = take_trace(w, now_ns);
        enum decide_result result;

        if (!trace)
            return decide_later(w, decided, now_ns);
        result = decider_decide(w->decider, trace, now_ns);
        if (result == DECIDE_NO_ROOM)
            return now_ns + NS_PER_MS;
        decided += result == DECIDE_DONE;
        if (i % DECISIONS_A_LOOK == 0 && clock_now_ns(w->shared->clock) - began_ns > deciding_ns)
            return now_ns;
    }
    return decided > 0 ? now_ns : now_ns + look_again_ns;
}

static bool inboxes_are_empty(const struct worker *w)
{
    for (unsigned o = 0; o < w->shared->count; o++)
        if (ring_count(&w->inboxes[o]) > 0)
            return false;
    return true;
}

static enum receive_refusal why_refused(const struct worker_shared *shared)
{
    if (journal_is_refusing(shared->journal))
        return REFUSED_DISK;
    return export_is_refusing(shared->export) ? REFUSED_QUEUE_FULL : REFUSED_COUNT;
}

/* Tells main how far this worker is on the way down. */
static void follow_phase(struct worker *w, uint64_t now_ns)
{
    int phase = atomic_load_explicit(&w->shared->phase, memory_order_acquire);

    if (phase == PHASE_RUNNING) {
        receive_set_refusing(w->receive, why_refused(w->shared));
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
        trace_table_next_due_ns(w->table) == NEVER_NS && trace_table_aside(w->table) == 0 &&
        decider_pending(w->decider) == 0 && !span_metrics_waits(w)) {
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

uint64_t worker_step(struct worker *w, uint64_t now_ns)
{
    uint64_t due;
    bool left;

    take_reload(w);
    journal_submit(w->journal); /* what the sockets brought since the last step */
    take_accepted(w, now_ns);
    remembered_relieve(w->remembered);
    left = intake_drain(w, now_ns);
    journal_read_begin(w->journal);
    left |= decider_step(w->decider);
    due = answers_step(&w->answers, now_ns); /* answers leave before decisions are made */
    due = earlier_ns(due, receive_step(w->receive, now_ns));
    journal_submit(w->journal); /* and what had waited for memory */
    due = earlier_ns(due, decide_due(w, now_ns));
    left |= decider_step(w->decider);
    left |= rescue_step(w);
    left |= span_metrics_hand_on(w);
    left |= evacuation_step(w->evacuation, now_ns);
    journal_read_end(w->journal);
    follow_phase(w, now_ns);
    publish_load(w);
    return left ? earlier_ns(due, now_ns + NS_PER_MS) : due;
}

/* ---- the snapshot ---- */

static void count_item(void *worker, const void *item)
{
    const struct inbox_item *i = item;
    struct worker *w = worker;

    *(inbox_has_logs(i) ? &w->snapshot_pending_logs : &w->snapshot_pending) += i->to - i->from;
}

void worker_snapshot(struct worker *w)
{
    trace_table_stats(w->table, &w->snapshot_table);
    receive_stats(w->receive, &w->snapshot_receive);
    w->snapshot_counts = w->counts;
    if (w->shared->gathers && w->recorder)
        spanmetrics_hand_over(w->recorder);
    if (w->shared->gathers && w->edges)
        spanmetrics_hand_over(w->edges);
    if (w->shared->gathers && w->audit)
        audit_hand_over(w->audit);
    w->snapshot_pending_logs = w->snapshot_table.logs + decider_pending_logs(w->decider);
    w->snapshot_pending =
        w->snapshot_table.spans + decider_pending(w->decider) - decider_pending_logs(w->decider);
    for (unsigned o = 0; o < w->shared->count; o++)
        ring_each(&w->inboxes[o], count_item, w);
}

/* ---- life ---- */

static void init_rings(struct worker *w)
{
    w->inboxes = aligned_alloc(_Alignof(struct ring), w->shared->count * sizeof(*w->inboxes));
    if (!w->inboxes)
        err_no_memory("a worker's inboxes");
    for (unsigned o = 0; o < w->shared->count; o++)
        ring_init(&w->inboxes[o], INBOX_CAPACITY, sizeof(struct inbox_item));
    ring_init(&w->accepted, ACCEPTED_CAPACITY, sizeof(struct accepted));
}

static void init_table(struct worker *w)
{
    struct trace_limits limits = limits_of(w);

    w->table = trace_table_new(&limits, w->shared->key);
}

static void init_receive(struct worker *w)
{
    w->sink = intake_sink(w);
    w->receive = receive_new(&(struct receive_config){
        .loop = w->loop,
        .net = w->shared->net,
        .memory = w->shared->memory,
        .sink = &w->sink,
        .signals = pass_signals(w),
        .pause_ns = pause_ns,
    });
}

/* A small part of memory, whatever it is. */
static size_t remembered_bytes(const struct worker_shared *shared)
{
    size_t all = (size_t)atomic_load(&shared->memory->limit) / 64;

    return (all < REMEMBERED_BYTES ? all : REMEMBERED_BYTES) / shared->count;
}

/* What the redactions of the present rules leave. */
static struct slice shown(void *worker, struct slice text)
{
    const struct worker *w = worker;

    return policy_redacted(w->rules->scripts, text);
}

enum err worker_new(struct worker_shared *shared, unsigned index, struct loop *loop,
                    struct rules *rules, struct worker **out, struct err_info *info)
{
    struct worker *w = aligned_alloc(_Alignof(struct worker), sizeof(*w));
    enum err err;

    if (!w)
        err_no_memory("a worker");
    memset(w, 0, sizeof(*w));
    w->shared = shared;
    w->index = index;
    w->loop = loop;
    w->rules = rules;
    if (shared->span_metrics)
        w->recorder = spanmetrics_recorder(shared->span_metrics, index);
    if (shared->service_graph)
        w->edges = spanmetrics_recorder(shared->service_graph, index);
    if (shared->audit) {
        w->audit = audit_recorder(shared->audit, index);
        audit_show_by(w->audit, shown, w);
    }
    init_rings(w);
    w->journal = journal_writer(shared->journal, index, loop);
    init_table(w);
    init_receive(w);
    door_init(w);
    err = answers_init(&w->answers, w->journal, shared->ack, shared->memory) && intake_init(w)
              ? ERR_OK
              : err_fail(info, ERR_CONFIG, "memory_limiter.limit is too small to start");
    policy_use_cells(rules->L, shared->policies->cells, clock_now_ns(shared->clock));
    if (shared->ack == ACK_MEMORY)
        w->remembered = remembered_new(shared->memory, REMEMBERED_TRACES / shared->count,
                                       remembered_bytes(shared));
    if (err == ERR_OK)
        err = decider_new(w, &w->decider, info);
    if (err == ERR_OK)
        err = evacuation_new(w, &w->evacuation, info);
    if (err != ERR_OK) {
        worker_free(w);
        return err;
    }
    *out = w;
    return ERR_OK;
}

static void free_accepted(struct worker *w)
{
    struct accepted a;

    while (ring_pop(&w->accepted, &a)) {
        w->shared->net->close(w->shared->net, a.fd);
        receive_port_unref(a.port);
    }
    ring_fini(&w->accepted);
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    receive_free(w->receive);
    decider_free(w->decider);
    evacuation_free(w->evacuation);
    remembered_free(w->remembered);
    trace_table_free(w->table);
    for (unsigned o = 0; o < w->shared->count; o++)
        ring_fini(&w->inboxes[o]);
    free(w->inboxes);
    free_accepted(w);
    answers_fini(&w->answers);
    intake_fini(w);
    pass_fini(w);
    door_fini(w);
    rules_free(w->rules);
    rules_free(atomic_load(&w->next_rules));
    rules_free(atomic_load(&w->past_rules));
    free(w);
}
