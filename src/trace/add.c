#include "trace/table_impl.h"

#include <assert.h>
#include <string.h>

struct same_id {
    const struct trace_table *table;
    const uint8_t *id;
};

static bool same_id(const void *arg, uint32_t number)
{
    const struct same_id *same = arg;
    const struct trace *trace = trace_at(same->table, number);

    assert(trace);
    return memcmp(trace->id, same->id, 16) == 0;
}

/* Another than that of the slots: ids of spans are compared by it, and peers choose them. */
static uint32_t id_hash(const struct trace_table *t, uint64_t id)
{
    uint64_t h = (id ^ t->key.k0) * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ h >> 32) * (t->key.k1 | 1);
    h >>= 32;
    return h ? (uint32_t)h : 1;
}

static struct trace *add_trace(struct trace_table *t, const uint8_t *id, uint64_t hash,
                               uint64_t now_ns)
{
    uint32_t number = slots_make_room(&t->slots) ? slabs_new(&t->traces) : 0;
    struct trace *trace = trace_at(t, number);

    if (!trace)
        return NULL;
    *trace = (struct trace){.number = number, .state = WAITING, .first_ns = now_ns, .hash = hash};
    memcpy(trace->id, id, 16);
    slots_add(&t->slots, (uint32_t)hash, number);
    trace_list_append(t, BY_FIRST, trace);
    t->waiting++;
    return trace;
}

static struct span_ref *add_ref(struct trace_table *t, struct trace *trace)
{
    struct chunk *chunk;
    uint32_t number;

    if (trace->spans % CHUNK_REFS == 0) {
        number = slabs_new(&t->chunks);
        if (!number)
            return NULL;
        ((struct chunk *)slabs_at(&t->chunks, number))->next = 0;
        if (trace->last_chunk)
            ((struct chunk *)slabs_at(&t->chunks, trace->last_chunk))->next = number;
        else
            trace->first_chunk = number;
        trace->last_chunk = number;
    }
    chunk = slabs_at(&t->chunks, trace->last_chunk);
    return &chunk->refs[trace->spans++ % CHUNK_REFS];
}

/* The base lies 36 minutes before the first span's start: spans that began earlier come later. */
static uint32_t start_units(struct trace *trace, uint64_t start_ns)
{
    const uint64_t before = UINT64_C(1) << 41;

    if (start_ns == 0)
        return 0;
    if (trace->base_ns == 0)
        trace->base_ns = start_ns > before ? start_ns - before : 1;
    if (start_ns < trace->base_ns + 1024)
        return 1;
    start_ns = (start_ns - trace->base_ns) >> 10;
    return start_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)start_ns;
}

static void note_span(struct trace_table *t, struct trace *trace, const struct scan_span *s,
                      uint64_t now_ns)
{
    trace->bytes += s->len;
    trace->errors += (s->flags & SCAN_ERROR) != 0;
    trace->has_trace_state |= (s->flags & SCAN_TRACE_STATE) != 0;
    if (s->start_ns && s->end_ns) {
        if (trace->start_ns == 0 || s->start_ns < trace->start_ns)
            trace->start_ns = s->start_ns;
        if (s->end_ns > trace->end_ns)
            trace->end_ns = s->end_ns;
    }
    if (s->parent_id == 0 && !trace->has_root) {
        trace->has_root = true;
        trace->root_ns = now_ns;
        if (trace->state == WAITING && t->limits.wait_after_root_ns != NEVER_NS) {
            trace->state = ROOTED;
            trace_list_append(t, BY_ROOT, trace);
        }
    }
    if ((trace->spans <= t->limits.max_spans && trace->bytes <= t->limits.max_bytes) ||
        trace->state == DUE)
        return;
    trace_unlist(t, trace);
    trace_make_due(t, trace, TRIGGER_TOO_LARGE);
}

static enum trace_add find_or_add(struct trace_table *t, const uint8_t *id, uint64_t now_ns,
                                  struct trace_decision *late)
{
    uint64_t hash = hash_bytes(t->key, id, 16);
    struct same_id same = {t, id};
    const struct trace_decision *decision;
    uint32_t number = slots_find(&t->slots, (uint32_t)hash, same_id, &same);

    if (number) {
        t->last = trace_at(t, number);
        return TRACE_ADDED;
    }
    decision = decided_find(&t->decided, hash);
    if (decision) {
        *late = *decision;
        return TRACE_LATE;
    }
    t->last = add_trace(t, id, hash, now_ns);
    return t->last ? TRACE_ADDED : TRACE_NO_MEMORY;
}

/* The most that one span takes: a trace, a chunk, and each may need a slab of its own. */
static size_t worst_bytes(size_t spans)
{
    return (spans + SLAB_ITEMS) * (sizeof(struct trace) + sizeof(struct chunk));
}

bool trace_table_reserve(struct trace_table *t, size_t spans)
{
    if (!memory_reserve(t->limits.memory, worst_bytes(spans)))
        return false;
    memory_release(t->limits.memory, worst_bytes(spans));
    if (!slots_reserve(&t->slots, spans))
        return false;
    t->reserved = spans;
    return true;
}

/* Slabs grow for a reserved span whatever the limiter says by now. */
static void use_reservation(struct trace_table *t)
{
    t->traces.forced = t->chunks.forced = t->reserved > 0;
    if (t->reserved > 0)
        t->reserved--;
}

enum trace_add trace_table_add(struct trace_table *t, const struct scan_span *s, uint32_t frame,
                               uint64_t now_ns, struct trace_decision *late)
{
    struct span_ref *ref;
    struct trace *trace;

    use_reservation(t);
    if (!t->last || memcmp(t->last->id, s->trace_id, 16) != 0) {
        enum trace_add found = find_or_add(t, s->trace_id, now_ns, late);

        if (found != TRACE_ADDED)
            return found;
    }
    trace = t->last;
    assert(trace->state != TAKEN);
    ref = add_ref(t, trace);
    if (!ref) {
        if (trace->spans == 0) {
            trace_unlist(t, trace);
            trace_remove(t, trace);
        }
        return TRACE_NO_MEMORY;
    }
    *ref = (struct span_ref){.frame = frame,
                             .offset = s->offset,
                             .len = s->len,
                             .resource_offset = s->resource_offset,
                             .scope_offset = s->scope_offset,
                             .id_hash = id_hash(t, s->span_id),
                             .parent_hash = s->parent_id ? id_hash(t, s->parent_id) : 0,
                             .start = start_units(trace, s->start_ns)};
    note_span(t, trace, s, now_ns);
    return TRACE_ADDED;
}
