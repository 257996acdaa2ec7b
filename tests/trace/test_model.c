/* The table against a naive model: random operations from a seed, every answer compared. */
#include "base/random.h"
#include "check.h"
#include "trace/trace.h"

#include <stdlib.h>

enum {
    IDS = 3000,
    SPANS_MAX = 64,
    CACHE = 500,
    OPERATIONS = 120000,
    NUM_TRACES = 1500,
    TOO_MANY = 20
};
static const uint64_t wait = 1000, after_root = 300;

struct model_trace {
    enum { NEW, WAITS, DECIDED } state;
    uint64_t first, root, order; /* root: NEVER_NS until it came */
    uint64_t due_order;          /* among those put back or too large; 0: neither */
    enum trace_trigger trigger;
    uint32_t spans, frames[SPANS_MAX];
    uint64_t ids[SPANS_MAX], parents[SPANS_MAX];
    uint16_t label;
    uint64_t decided;
};

struct model {
    struct model_trace traces[IDS];
    uint64_t order, decided, forgotten, waiting;
    uint64_t now;
    struct rng rng;
    struct trace_table *table;
    uint64_t taken[5]; /* by trigger: the test must have seen each */
};

static struct memory memory;

static void model_add(struct model *m)
{
    /* A few ids are frequent, so that some traces become too large. */
    uint32_t i = (uint32_t)rng_below(&m->rng, rng_below(&m->rng, 4) ? IDS : 30);
    struct model_trace *t = &m->traces[i];
    struct scan_span s = {.span_id = 1 + rng_below(&m->rng, 20), .len = 10};
    uint32_t frame = 1 + (uint32_t)rng_below(&m->rng, 1 << 30);
    struct trace_decision late = {0};
    enum trace_add result;

    memcpy(s.trace_id, &i, sizeof(i));
    s.parent_id = rng_below(&m->rng, 12) ? 1 + rng_below(&m->rng, 20) : 0;
    if (t->spans == SPANS_MAX)
        return;
    if (rng_below(&m->rng, 2)) {
        struct trace_spans in = {&s, 1, frame, m->now};

        CHECK(trace_table_add_all(m->table, &in, 0, &result, &late) == (result == TRACE_ADDED));
    } else {
        result = trace_table_add(m->table, &s, frame, m->now, &late);
    }
    if (t->state == DECIDED) {
        CHECK(result == TRACE_LATE && late.label == t->label);
        return;
    }
    CHECK(result == TRACE_ADDED);
    if (t->state == NEW) {
        *t = (struct model_trace){
            .state = WAITS, .first = m->now, .root = NEVER_NS, .order = ++m->order};
        m->waiting++;
    }
    if (s.parent_id == 0 && t->root == NEVER_NS && !t->due_order)
        t->root = m->now;
    t->frames[t->spans] = frame;
    t->ids[t->spans] = s.span_id;
    t->parents[t->spans++] = s.parent_id;
    if (t->spans > TOO_MANY && !t->due_order) {
        t->due_order = ++m->order;
        t->trigger = TRIGGER_TOO_LARGE;
    }
}

static struct model_trace *model_oldest(struct model *m)
{
    struct model_trace *oldest = NULL;

    for (int i = 0; i < IDS; i++) {
        struct model_trace *t = &m->traces[i];

        if (t->state != WAITS)
            continue;
        if (!oldest || (t->due_order && (!oldest->due_order || t->due_order < oldest->due_order)) ||
            (!t->due_order && !oldest->due_order && t->order < oldest->order))
            oldest = t;
    }
    return oldest;
}

static struct model_trace *model_due(struct model *m, enum trace_trigger *trigger)
{
    struct model_trace *oldest = model_oldest(m);
    uint64_t first_due = oldest ? oldest->first + wait : NEVER_NS, root_due = NEVER_NS;

    if (oldest && oldest->due_order) {
        *trigger = oldest->trigger;
        return oldest;
    }
    *trigger = TRIGGER_PRESSURE;
    if (m->waiting > NUM_TRACES)
        return oldest;
    for (int i = 0; i < IDS; i++)
        if (m->traces[i].state == WAITS && m->traces[i].root != NEVER_NS &&
            m->traces[i].root + after_root < root_due)
            root_due = m->traces[i].root + after_root;
    if (root_due < first_due && root_due <= m->now) {
        *trigger = TRIGGER_ROOT; /* several roots may have come at one time: any of them */
        return oldest;
    }
    *trigger = TRIGGER_WAIT;
    return first_due <= m->now ? oldest : NULL;
}

static bool model_is_complete(const struct model_trace *t)
{
    bool root = false;

    for (uint32_t i = 0; i < t->spans; i++) {
        bool here = t->parents[i] == 0;

        root |= here;
        for (uint32_t k = 0; k < t->spans && !here; k++)
            here = t->ids[k] == t->parents[i];
        if (!here)
            return false;
    }
    return root;
}

static void model_forget(struct model *m)
{
    uint64_t gone = m->decided - CACHE - 1;

    for (int i = 0; i < IDS; i++)
        if (m->traces[i].state == DECIDED && m->traces[i].decided == gone)
            m->traces[i] = (struct model_trace){.state = NEW};
    m->forgotten++;
}

static void model_decide(struct model *m, struct trace *trace)
{
    uint32_t i;
    struct model_trace *t;
    struct span_ref refs[SPANS_MAX];
    struct trace_decision decision = {.label = (uint16_t)rng_below(&m->rng, 50)};

    memcpy(&i, trace->id, sizeof(i));
    t = &m->traces[i];
    CHECK(t->state == WAITS && trace->spans == t->spans && trace->sums.bytes == 10 * t->spans);
    CHECK(trace->first_ns == t->first && trace->complete == model_is_complete(t));
    trace_refs(m->table, trace, refs);
    for (uint32_t k = 0; k < t->spans; k++)
        CHECK(refs[k].frame == t->frames[k]);
    m->taken[trace->trigger]++;
    if (rng_below(&m->rng, 10) == 0) {
        trace_table_put_back(m->table, trace);
        t->due_order = ++m->order;
        t->trigger = trace->trigger;
        return;
    }
    t->state = DECIDED;
    t->label = decision.label;
    t->decided = m->decided++;
    m->waiting--;
    if (m->decided > CACHE)
        model_forget(m);
    trace_table_decided(m->table, trace, &decision);
}

static void model_take(struct model *m)
{
    enum trace_trigger trigger;
    struct model_trace *t = model_due(m, &trigger);
    struct trace *trace = trace_table_take_due(m->table, m->now);
    uint32_t i;

    CHECK((trace != NULL) == (t != NULL));
    CHECK((trace_table_next_due_ns(m->table) == NEVER_NS) == (m->waiting == (trace != NULL)));
    if (!trace || !t)
        return;
    memcpy(&i, trace->id, sizeof(i));
    CHECK(trace->trigger == trigger);
    CHECK(trigger == TRIGGER_ROOT ? m->traces[i].root + after_root <= m->now : t == &m->traces[i]);
    model_decide(m, trace);
}

static void model_run(uint64_t seed)
{
    struct trace_limits limits = {.decision_wait_ns = wait,
                                  .wait_after_root_ns = after_root,
                                  .num_traces = NUM_TRACES,
                                  .max_spans = TOO_MANY,
                                  .max_bytes = 1000000,
                                  .decision_cache = CACHE,
                                  .memory = &memory};
    struct model *m = calloc(1, sizeof(*m));
    struct trace_stats stats;
    uint64_t spans = 0;

    memory_init(&memory, 64 << 20, 1 << 20);
    rng_seed(&m->rng, seed);
    m->table = trace_table_new(&limits, (struct hash_key){seed, 1});
    for (int i = 0; i < OPERATIONS && !check_failures; i++) {
        /* Now and then fewer are taken than come, so that the table grows and shrinks. */
        bool crowded = i / 20000 % 2;

        if (rng_below(&m->rng, crowded ? 20 : 2) == 0)
            model_take(m);
        else
            model_add(m);
        m->now += rng_below(&m->rng, crowded ? 2 : 3);
    }
    for (int i = 0; i < IDS; i++)
        spans += m->traces[i].state == WAITS ? m->traces[i].spans : 0;
    trace_table_stats(m->table, &stats);
    CHECK(stats.traces == m->waiting && stats.spans == spans && stats.bytes == 10 * spans);
    CHECK(stats.forgotten == m->forgotten && stats.remembered == m->decided - m->forgotten);
    CHECK(stats.memory == memory_used(&memory));
    for (int i = 0; i < 4; i++)
        CHECK(m->taken[i] > 50);
    trace_table_free(m->table);
    CHECK(memory_used(&memory) == 0);
    free(m);
}

static void the_table_does_what_a_naive_model_does(void)
{
    for (uint64_t seed = 1; seed <= 3 && !check_failures; seed++)
        model_run(seed);
}

int main(void)
{
    RUN(the_table_does_what_a_naive_model_does);
    return DONE();
}
