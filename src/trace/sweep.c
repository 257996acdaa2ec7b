/* sweep.c: looks at waiting traces, some at a time, while others come and go. */
#include "base/prefetch.h"
#include "trace/table_impl.h"

void trace_table_begin_sweep(struct trace_table *t)
{
    t->sweep = t->lists[BY_FIRST].first;
}

static uint64_t after(uint64_t from_ns, uint64_t wait_ns)
{
    return wait_ns > NEVER_NS - from_ns ? NEVER_NS : from_ns + wait_ns;
}

static uint64_t due_ns(const struct trace_table *t, const struct trace *trace)
{
    uint64_t due = after(trace->first_ns, t->limits.decision_wait_ns);

    return trace->state == ROOTED
               ? earlier_ns(due, after(trace->root_ns, t->limits.wait_after_root_ns))
               : due;
}

static bool look_at(const struct trace_table *t, const struct trace *trace,
                    const struct trace_sweep *s)
{
    uint32_t left = trace_ref_count(trace);

    for (uint32_t number = trace->first_chunk; number;) {
        struct chunk *chunk = slabs_at(&t->chunks, number);

        for (uint32_t i = 0; i < CHUNK_REFS && left > 0; i++, left--)
            if (!s->ref(s->arg, &chunk->refs[i]))
                return false;
        number = chunk->next;
    }
    return true;
}

bool trace_table_sweep(struct trace_table *t, const struct trace_sweep *s, size_t most)
{
    for (; t->sweep && most > 0; most--) {
        const struct trace *trace = trace_at(t, t->sweep);

        if (trace->first_ns > s->until_ns) {
            t->sweep = 0;
            break;
        }
        if (trace->links[0].after)
            prefetch_run(trace_at(t, trace->links[0].after), sizeof(struct trace));
        if (due_ns(t, trace) >= s->not_due_ns && !look_at(t, trace, s))
            break;
        t->sweep = trace->links[0].after;
    }
    return t->sweep != 0;
}
