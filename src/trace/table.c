#include "base/pages.h"
#include "trace/table_impl.h"

#include <stdlib.h>

enum { COUNTED_MAX = 100000 }; /* about a millisecond */

_Static_assert(sizeof(struct span_ref) == 32, "a reference is 32 bytes");
_Static_assert(sizeof(struct trace) <= 128, "a trace is at most 128 bytes");

const char *trace_trigger_name(enum trace_trigger t)
{
    static const char *const names[] = {"wait", "root", "pressure", "too_large", "shutdown"};

    return (unsigned)t < sizeof(names) / sizeof(names[0]) ? names[t] : "unknown";
}

struct trace_table *trace_table_new(const struct trace_limits *limits, struct hash_key key)
{
    struct trace_table *t = calloc(1, sizeof(*t));

    if (!t)
        err_no_memory("the table of traces");
    t->limits = *limits;
    t->key = key;
    slabs_init(&t->traces, sizeof(struct trace), limits->memory, false);
    t->sums = pages_map(SLAB_MAX * sizeof(*t->sums));
    t->counted_max = COUNTED_MAX;
    slabs_init(&t->chunks, sizeof(struct chunk), limits->memory, false);
    slots_init(&t->slots, limits->memory);
    decided_init(&t->decided, limits->decision_cache, limits->memory);
    return t;
}

void trace_table_free(struct trace_table *t)
{
    if (!t)
        return;
    decided_fini(&t->decided);
    slots_fini(&t->slots);
    slabs_fini(&t->chunks);
    slabs_fini(&t->traces);
    pages_unmap(t->sums, SLAB_MAX * sizeof(*t->sums));
    free(t);
}

void trace_table_set_limits(struct trace_table *t, const struct trace_limits *limits)
{
    struct memory *memory = t->limits.memory;

    t->limits = *limits;
    t->limits.memory = memory;
}

uint64_t trace_table_wait_ns(const struct trace_table *t)
{
    return t->limits.decision_wait_ns;
}

void trace_list_append(struct trace_table *t, enum list_kind kind, struct trace *trace)
{
    struct list *list = &t->lists[kind];
    int link = kind == BY_ROOT;

    trace->links[link].before = list->last;
    trace->links[link].after = 0;
    if (list->last)
        trace_at(t, list->last)->links[link].after = trace->number;
    else
        list->first = trace->number;
    list->last = trace->number;
}

void trace_list_remove(struct trace_table *t, enum list_kind kind, struct trace *trace)
{
    struct list *list = &t->lists[kind];
    int link = kind == BY_ROOT;
    uint32_t before = trace->links[link].before, after = trace->links[link].after;

    if (kind == BY_FIRST && t->sweep == trace->number)
        t->sweep = after;
    if (before)
        trace_at(t, before)->links[link].after = after;
    else
        list->first = after;
    if (after)
        trace_at(t, after)->links[link].before = before;
    else
        list->last = before;
}

void trace_unlist(struct trace_table *t, struct trace *trace)
{
    trace_list_remove(t, trace->state == DUE ? READY : BY_FIRST, trace);
    if (trace->state == ROOTED)
        trace_list_remove(t, BY_ROOT, trace);
    t->waiting--;
}

void trace_make_due(struct trace_table *t, struct trace *trace, enum trace_trigger trigger)
{
    trace->state = DUE;
    trace->trigger = trigger;
    trace_list_append(t, READY, trace);
    t->waiting++;
}

void trace_remove(struct trace_table *t, struct trace *trace)
{
    if (t->last == trace)
        t->last = NULL;
    slots_remove(&t->slots, (uint32_t)trace->hash, trace->number);
    t->sums[trace->number >> SLAB_SHIFT].spans -= trace->spans;
    t->sums[trace->number >> SLAB_SHIFT].logs -= trace->logs;
    t->sums[trace->number >> SLAB_SHIFT].bytes -= trace->sums.bytes;
    trace->state = FREE;
    slabs_free(&t->traces, trace->number);
}

struct slab_count {
    uint64_t traces;
    struct slab_sum sum;
};

static void count_trace(void *arg, const void *item)
{
    const struct trace *trace = item;
    struct slab_count *c = arg;

    if (trace->state == FREE)
        return;
    c->traces++;
    c->sum.spans += trace->spans;
    c->sum.logs += trace->logs;
    c->sum.bytes += trace->sums.bytes;
}

/* The next slabs, each trace in them. What was counted along the way is set right. */
static void count_some(struct trace_table *t, uint64_t *miscounted)
{
    size_t left = t->counted_max;

    for (uint32_t n = 0; n < t->traces.count; n++) {
        uint32_t i = t->counted < t->traces.count ? t->counted : 0;
        const struct slab *slab = &t->traces.slabs[i];
        struct slab_count c = {0};

        if (slab->bytes && slab->fresh > left)
            return;
        slabs_each(&t->traces, i, count_trace, &c);
        *miscounted += c.traces - (slab->bytes ? slab->used : 0);
        left -= slab->bytes ? slab->fresh : 0;
        t->sums[i] = c.sum;
        t->counted = i + 1;
    }
}

void trace_table_stats(struct trace_table *t, struct trace_stats *s)
{
    *s = (struct trace_stats){
        .remembered = t->decided.count,
        .forgotten = t->decided.dropped,
        .memory = slabs_bytes(&t->traces) + slabs_bytes(&t->chunks) + slots_bytes(&t->slots) +
                  decided_bytes(&t->decided),
    };
    count_some(t, &s->traces);
    for (uint32_t i = 0; i < t->traces.count; i++) {
        const struct slab *slab = &t->traces.slabs[i];

        s->traces += slab->bytes ? slab->used : 0;
        s->spans += t->sums[i].spans;
        s->logs += t->sums[i].logs;
        s->bytes += t->sums[i].bytes;
    }
}
