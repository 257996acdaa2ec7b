/* Looking at where spans lie, some traces at a time, while others come and go. */
#include "base/random.h"
#include "check.h"
#include "trace/trace.h"

enum { TRACES = 200, MOVED = 1000 };

static struct memory memory;
static const struct trace_decision keep = {.keep = true};

static struct trace_table *table_of(uint64_t wait_after_root_ns)
{
    memory_init(&memory, 64 << 20, 8 << 20);
    return trace_table_new(&(struct trace_limits){.decision_wait_ns = 10 * NS_PER_S,
                                                  .wait_after_root_ns = wait_after_root_ns,
                                                  .max_spans = 1000,
                                                  .max_bytes = 1 << 20,
                                                  .decision_cache = 1000,
                                                  .memory = &memory},
                           (struct hash_key){1, 2});
}

static void add(struct trace_table *t, uint8_t trace, uint64_t id, uint64_t parent, uint64_t now_ns)
{
    const struct scan_span s = {
        .trace_id = {trace, 1}, .span_id = id, .parent_id = parent, .len = 90};
    struct trace_decision late;

    CHECK(trace_table_add(t, &s, trace, now_ns, &late) == TRACE_ADDED);
}

/* The frames met, which are numbers of traces here; each reference goes elsewhere. */
struct met {
    uint32_t frames[2 * TRACES * 8];
    size_t count, most; /* most: then it is enough */
};

static bool on_ref(void *arg, struct span_ref *ref)
{
    struct met *met = arg;

    if (ref->frame >= MOVED)
        return true;
    met->frames[met->count++] = ref->frame;
    ref->frame += MOVED;
    return met->count < met->most;
}

static struct trace_sweep sweep_of(struct met *met, uint64_t until_ns, uint64_t not_due_ns)
{
    *met = (struct met){.most = SIZE_MAX};
    return (struct trace_sweep){until_ns, not_due_ns, on_ref, met};
}

static void what_waits_is_met_from_the_oldest_on_up_to_a_moment(void)
{
    struct trace_table *t = table_of(NEVER_NS);
    struct trace_sweep sweep;
    struct met met;

    for (uint8_t i = 1; i <= 6; i++)
        add(t, i, 1, 0, i * NS_PER_S);
    add(t, 2, 2, 1, 7 * NS_PER_S);
    sweep = sweep_of(&met, 4 * NS_PER_S, 0);
    CHECK(!trace_table_sweep(t, &sweep, 100) && met.count == 0); /* none has begun */
    trace_table_begin_sweep(t);
    CHECK(trace_table_sweep(t, &sweep, 2) && met.count == 3);
    CHECK(met.frames[0] == 1 && met.frames[1] == 2 && met.frames[2] == 2);
    CHECK(!trace_table_sweep(t, &sweep, 100) && met.count == 5 && met.frames[4] == 4);
    CHECK(!trace_table_sweep(t, &sweep, 100) && met.count == 5);
    trace_table_free(t);
}

static void what_is_due_soon_is_passed_by(void)
{
    struct trace_table *t = table_of(2 * NS_PER_S);
    struct trace_sweep sweep;
    struct met met;

    add(t, 1, 1, 9, 0);            /* due at 10 s */
    add(t, 2, 1, 9, 5 * NS_PER_S); /* at 15 s */
    add(t, 3, 1, 0, 5 * NS_PER_S); /* at 7 s */
    add(t, 4, 1, 0, 9 * NS_PER_S); /* at 11 s */
    sweep = sweep_of(&met, 9 * NS_PER_S, 11 * NS_PER_S);
    trace_table_begin_sweep(t);
    CHECK(!trace_table_sweep(t, &sweep, 100) && met.count == 2);
    CHECK(met.frames[0] == 2 && met.frames[1] == 4);
    trace_table_free(t);
}

static void a_sweep_that_had_enough_goes_on_with_the_same_trace(void)
{
    struct trace_table *t = table_of(NEVER_NS);
    struct trace_sweep sweep;
    struct met met;

    for (uint64_t id = 1; id <= 9; id++)
        add(t, 1, id, 0, 0);
    add(t, 2, 1, 0, 0);
    sweep = sweep_of(&met, 0, 0);
    trace_table_begin_sweep(t);
    met.most = 5;
    CHECK(trace_table_sweep(t, &sweep, 100) && met.count == 5);
    met.most = SIZE_MAX;
    CHECK(!trace_table_sweep(t, &sweep, 100) && met.count == 10 && met.frames[9] == 2);
    trace_table_free(t);
}

/* Decides the trace if it waits; what was moved is what its references say. */
static void decide_one(struct trace_table *t)
{
    struct trace *trace = trace_table_take_oldest(t, TRIGGER_PRESSURE);
    struct span_ref refs[16];

    if (!trace)
        return;
    trace_refs(t, trace, refs);
    for (uint32_t i = 0; i < trace->spans; i++)
        CHECK(refs[i].frame % MOVED == trace->id[0]);
    trace_table_decided(t, trace, &keep);
}

/* Traces come, are decided and set aside between the parts of a sweep: whoever waited all the time
 * is met, and nobody twice. */
static void traces_may_go_between_the_parts_of_a_sweep(void)
{
    for (uint64_t seed = 1; seed <= 50 && !check_failures; seed++) {
        struct trace_table *t = table_of(NEVER_NS);
        unsigned times[TRACES + 1] = {0};
        struct trace_sweep sweep;
        struct met met;
        struct rng rng;
        bool more = true;

        rng_seed(&rng, seed);
        for (unsigned i = 1; i <= TRACES; i++)
            add(t, (uint8_t)i, 1, 0, i);
        sweep = sweep_of(&met, TRACES, 0);
        trace_table_begin_sweep(t);
        for (uint64_t decided = 0; more && !check_failures; decided++) {
            more = trace_table_sweep(t, &sweep, 1 + rng_below(&rng, 5));
            for (uint64_t n = rng_below(&rng, 4); n > 0; n--)
                decide_one(t);
        }
        for (size_t i = 0; i < met.count; i++)
            times[met.frames[i]]++;
        for (unsigned i = 1; i <= TRACES; i++)
            CHECK(times[i] <= 1);
        CHECK(times[TRACES] == 1 || trace_table_next_due_ns(t) == NEVER_NS);
        trace_table_free(t);
        CHECK(memory_used(&memory) == 0);
    }
}

int main(void)
{
    RUN(what_waits_is_met_from_the_oldest_on_up_to_a_moment);
    RUN(what_is_due_soon_is_passed_by);
    RUN(a_sweep_that_had_enough_goes_on_with_the_same_trace);
    RUN(traces_may_go_between_the_parts_of_a_sweep);
    return DONE();
}
