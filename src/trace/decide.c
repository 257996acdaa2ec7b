#include "base/prefetch.h"
#include "trace/complete.h"
#include "trace/table_impl.h"

#include <assert.h>

enum { FETCH_AHEAD = 8 };

static void each_ref(const struct trace_table *t, const struct trace *trace,
                     void (*fn)(void *arg, const struct span_ref *ref), void *arg)
{
    uint32_t left = trace_ref_count(trace);

    for (uint32_t number = trace->first_chunk; number;) {
        const struct chunk *chunk = slabs_at(&t->chunks, number);

        for (uint32_t i = 0; i < CHUNK_REFS && left > 0; i++, left--)
            fn(arg, &chunk->refs[i]);
        number = chunk->next;
    }
}

static void note_id(void *set, const struct span_ref *ref)
{
    id_set_add(set, ref->id_hash);
}

struct parents {
    const struct id_set *set;
    bool all_here;
};

static void look_for_parent(void *arg, const struct span_ref *ref)
{
    struct parents *parents = arg;

    if (ref->parent_hash && !id_set_has(parents->set, ref->parent_hash))
        parents->all_here = false;
}

static bool is_complete(const struct trace_table *t, const struct trace *trace)
{
    struct id_set set;
    struct parents parents = {&set, true};

    if (!trace->has_root || !id_set_init(&set, trace->spans, t->limits.memory))
        return false;
    each_ref(t, trace, note_id, &set);
    each_ref(t, trace, look_for_parent, &parents);
    id_set_fini(&set);
    return parents.all_here;
}

static void fetch_chunk(const struct trace_table *t, uint32_t number)
{
    prefetch_run(slabs_at(&t->chunks, number), sizeof(struct chunk));
}

/* Asks the processor for what the decision of a trace touches. */
static void fetch_content(const struct trace_table *t, const struct trace *trace)
{
    slots_prefetch(&t->slots, (uint32_t)trace->hash);
    decided_prefetch(&t->decided, trace->hash);
    if (trace->first_chunk)
        fetch_chunk(t, trace->first_chunk);
    if (trace->last_chunk != trace->first_chunk)
        fetch_chunk(t, trace->last_chunk);
}

/* Traces are decided in the order of their list: asks for the one that comes some decisions later,
 * and for the content of one that was asked for some decisions ago. */
static void fetch_ahead(const struct trace_table *t, const struct trace *trace)
{
    uint32_t number = trace->number;

    for (int i = 0; i < FETCH_AHEAD; i++) {
        number = trace_at(t, number)->links[0].after;
        if (!number)
            return;
        if (i == FETCH_AHEAD / 2)
            fetch_content(t, trace_at(t, number));
    }
    prefetch_run(trace_at(t, number), sizeof(struct trace));
}

static struct trace *take(struct trace_table *t, struct trace *trace, enum trace_trigger trigger)
{
    fetch_ahead(t, trace);
    trace_unlist(t, trace);
    if (t->last == trace)
        t->last = NULL;
    if (trace->state != DUE)
        trace->trigger = trigger;
    trace->state = TAKEN;
    trace->complete = is_complete(t, trace);
    return trace;
}

static uint64_t due_ns(uint64_t from_ns, uint64_t wait_ns)
{
    return wait_ns > NEVER_NS - from_ns ? NEVER_NS : from_ns + wait_ns;
}

static uint64_t wait_due_ns(const struct trace_table *t)
{
    const struct trace *trace = trace_list_first(t, BY_FIRST);

    return trace ? due_ns(trace->first_ns, t->limits.decision_wait_ns) : NEVER_NS;
}

static uint64_t root_due_ns(const struct trace_table *t)
{
    const struct trace *trace = trace_list_first(t, BY_ROOT);

    return trace ? due_ns(trace->root_ns, t->limits.wait_after_root_ns) : NEVER_NS;
}

static bool is_over_num_traces(const struct trace_table *t)
{
    return t->limits.num_traces > 0 && t->waiting > t->limits.num_traces;
}

struct trace *trace_table_take_due(struct trace_table *t, uint64_t now_ns)
{
    uint64_t wait = wait_due_ns(t), root = root_due_ns(t);

    if (t->lists[READY].first || is_over_num_traces(t))
        return trace_table_take_oldest(t, TRIGGER_PRESSURE);
    if (root < wait && root <= now_ns)
        return take(t, trace_list_first(t, BY_ROOT), TRIGGER_ROOT);
    if (wait != NEVER_NS && wait <= now_ns)
        return take(t, trace_list_first(t, BY_FIRST), TRIGGER_WAIT);
    return NULL;
}

struct trace *trace_table_take_oldest(struct trace_table *t, enum trace_trigger trigger)
{
    struct trace *trace = trace_list_first(t, t->lists[READY].first ? READY : BY_FIRST);

    return trace ? take(t, trace, trigger) : NULL;
}

void trace_table_put_back(struct trace_table *t, struct trace *trace)
{
    assert(trace->state == TAKEN);
    trace_make_due(t, trace, trace->trigger);
}

void trace_table_set_aside(struct trace_table *t, struct trace *trace)
{
    assert(trace->state == TAKEN);
    trace->state = SET_ASIDE;
    trace_list_append(t, ASIDE, trace);
    t->aside++;
}

size_t trace_table_resume(struct trace_table *t, size_t most)
{
    size_t n = 0;

    for (; n < most && t->aside > 0; n++) {
        struct trace *trace = trace_list_first(t, ASIDE);

        trace_list_remove(t, ASIDE, trace);
        t->aside--;
        trace_make_due(t, trace, trace->trigger);
    }
    return n;
}

size_t trace_table_aside(const struct trace_table *t)
{
    return t->aside;
}

/* ---- after a start ---- */

void trace_table_remember(struct trace_table *t, const uint8_t id[16],
                          const struct trace_decision *decision)
{
    decided_add(&t->decided, hash_bytes(t->key, id, 16), decision);
}

const struct trace_decision *trace_table_remembered(const struct trace_table *t,
                                                    const uint8_t id[16])
{
    return decided_find(&t->decided, hash_bytes(t->key, id, 16));
}

static uint64_t before(uint64_t due_ns, uint64_t wait_ns)
{
    return due_ns > wait_ns ? due_ns - wait_ns : 0;
}

/* The lists are in the order of time, and stay so: only their older ends change. */
void trace_table_postpone(struct trace_table *t, uint64_t due_ns)
{
    uint64_t first_ns = before(due_ns, t->limits.decision_wait_ns);
    uint64_t root_ns = before(due_ns, t->limits.wait_after_root_ns);
    struct trace *trace = trace_list_first(t, BY_FIRST);

    for (; trace && trace->first_ns < first_ns; trace = trace_at(t, trace->links[0].after))
        trace->first_ns = first_ns;
    trace = trace_list_first(t, BY_ROOT);
    for (; trace && trace->root_ns < root_ns; trace = trace_at(t, trace->links[1].after))
        trace->root_ns = root_ns;
}

/* ---- what a trace holds ---- */

struct copies {
    struct span_ref *spans, *logs;
};

static void copy_ref(void *arg, const struct span_ref *ref)
{
    struct copies *to = arg;

    *(ref->id_hash ? to->spans++ : to->logs++) = *ref;
}

void trace_refs(const struct trace_table *t, const struct trace *trace, struct span_ref *refs)
{
    each_ref(t, trace, copy_ref, &(struct copies){refs, refs + trace->spans});
}

void trace_table_decided(struct trace_table *t, struct trace *trace,
                         const struct trace_decision *decision)
{
    decided_add(&t->decided, trace->hash, decision);
    trace_table_forget(t, trace);
}

void trace_table_forget(struct trace_table *t, struct trace *trace)
{
    assert(trace->state == TAKEN);
    for (uint32_t number = trace->first_chunk; number;) {
        const struct chunk *chunk = slabs_at(&t->chunks, number);
        uint32_t next = chunk->next;

        slabs_free(&t->chunks, number);
        number = next;
    }
    trace_remove(t, trace);
}

uint64_t trace_table_next_due_ns(const struct trace_table *t)
{
    uint64_t wait = wait_due_ns(t), root = root_due_ns(t);

    if (t->lists[READY].first || is_over_num_traces(t))
        return 0;
    return root < wait ? root : wait;
}
