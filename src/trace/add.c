#include "base/prefetch.h"
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
    uint32_t count = trace_ref_count(trace), number;
    struct chunk *chunk;

    if (count % CHUNK_REFS == 0) {
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
    return &chunk->refs[count % CHUNK_REFS];
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

static bool is_too_large(const struct trace_table *t, const struct trace *trace)
{
    return trace->spans > t->limits.max_spans || trace->logs > t->limits.max_spans ||
           trace->sums.bytes + trace->log_bytes > t->limits.max_bytes;
}

static void look_at_size(struct trace_table *t, struct trace *trace)
{
    if (trace->state >= SET_ASIDE || !is_too_large(t, trace))
        return;
    trace_unlist(t, trace);
    trace_make_due(t, trace, TRIGGER_TOO_LARGE);
}

static void note_log(struct trace_table *t, struct trace *trace, const struct scan_span *s)
{
    trace->logs++;
    trace->log_bytes =
        s->len > UINT32_MAX - trace->log_bytes ? UINT32_MAX : trace->log_bytes + s->len;
    t->sums[trace->number >> SLAB_SHIFT].logs++;
    look_at_size(t, trace);
}

static void note_span(struct trace_table *t, struct trace *trace, const struct scan_span *s,
                      uint64_t now_ns)
{
    struct slab_sum *sum = &t->sums[trace->number >> SLAB_SHIFT];
    uint64_t bytes = trace->sums.bytes;

    trace->spans++;
    scan_sum(&trace->sums, s);
    sum->spans++;
    sum->bytes += trace->sums.bytes - bytes;
    if (s->parent_id == 0 && !trace->has_root) {
        trace->has_root = true;
        trace->root_ns = now_ns;
        if (trace->state == WAITING && t->limits.wait_after_root_ns != NEVER_NS) {
            trace->state = ROOTED;
            trace_list_append(t, BY_ROOT, trace);
        }
    }
    look_at_size(t, trace);
}

/* Makes the trace of `id` the last one. */
static enum trace_add find_or_add(struct trace_table *t, const uint8_t *id, uint64_t hash,
                                  uint64_t now_ns, struct trace_decision *late)
{
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
    return spans * (sizeof(struct trace) + sizeof(struct chunk)) + 2 * (size_t)SLAB_MIN_BYTES;
}

static bool reserve(struct trace_table *t, size_t spans)
{
    if (!slots_reserve(&t->slots, spans))
        return false;
    t->reserved = spans;
    return true;
}

bool trace_table_reserve(struct trace_table *t, size_t spans)
{
    return memory_has_intake_room(t->limits.memory, worst_bytes(spans)) && reserve(t, spans);
}

bool trace_table_force(struct trace_table *t, size_t spans)
{
    bool reserved;

    t->slots.forced = true;
    reserved = reserve(t, spans);
    t->slots.forced = false;
    return reserved;
}

/* Slabs grow for a reserved span whatever the limiter says by now. */
static void use_reservation(struct trace_table *t)
{
    t->traces.forced = t->chunks.forced = t->reserved > 0;
    if (t->reserved > 0)
        t->reserved--;
}

static bool is_last(const struct trace_table *t, const uint8_t *id)
{
    return t->last && memcmp(t->last->id, id, 16) == 0;
}

/* Adds a span to the trace that is the last one. */
static enum trace_add add_span(struct trace_table *t, const struct scan_span *s, uint32_t frame,
                               uint64_t now_ns)
{
    struct trace *trace = t->last;
    struct span_ref *ref = add_ref(t, trace);

    assert(trace->state != TAKEN);
    if (!ref) {
        if (trace_ref_count(trace) == 0) {
            trace_unlist(t, trace);
            trace_remove(t, trace);
        }
        return TRACE_NO_MEMORY;
    }
    *ref = (struct span_ref){.frame = frame,
                             .offset = s->offset,
                             .len = s->len,
                             .resource_offset = s->resource_offset,
                             .scope_offset = s->scope_offset};
    if (s->flags & SCAN_LOG) {
        note_log(t, trace, s);
        return TRACE_ADDED;
    }
    ref->id_hash = id_hash(t, s->span_id);
    ref->parent_hash = s->parent_id ? id_hash(t, s->parent_id) : 0;
    ref->start = start_units(trace, s->start_ns);
    note_span(t, trace, s, now_ns);
    return TRACE_ADDED;
}

enum trace_add trace_table_add(struct trace_table *t, const struct scan_span *s, uint32_t frame,
                               uint64_t now_ns, struct trace_decision *late)
{
    enum trace_add found = TRACE_ADDED;

    use_reservation(t);
    if (!is_last(t, s->trace_id))
        found = find_or_add(t, s->trace_id, hash_bytes(t->key, s->trace_id, 16), now_ns, late);
    return found == TRACE_ADDED ? add_span(t, s, frame, now_ns) : found;
}

/* ---- many spans: what the later ones need is fetched while the first are added ---- */

/* Hashes the ids and asks for where they may be found. */
static void fetch_slots(const struct trace_table *t, const struct scan_span *spans, size_t count,
                        uint64_t *hashes)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && memcmp(spans[i].trace_id, spans[i - 1].trace_id, 16) == 0) {
            hashes[i] = hashes[i - 1];
            continue;
        }
        hashes[i] = hash_bytes(t->key, spans[i].trace_id, 16);
        slots_prefetch(&t->slots, (uint32_t)hashes[i]);
        decided_prefetch(&t->decided, hashes[i]);
    }
}

/* Asks for the traces, which the slots name by now. */
static void fetch_traces(const struct trace_table *t, const uint64_t *hashes, size_t count,
                         uint32_t *numbers)
{
    for (size_t i = 0; i < count; i++) {
        numbers[i] = 0;
        if (i > 0 && hashes[i] == hashes[i - 1])
            continue;
        numbers[i] = slots_guess(&t->slots, (uint32_t)hashes[i]);
        if (numbers[i])
            prefetch_run(slabs_at(&t->traces, numbers[i]), sizeof(struct trace));
        else
            decided_prefetch_entry(&t->decided, hashes[i]);
    }
}

/* Asks for where the next reference of each goes. */
static void fetch_chunks(const struct trace_table *t, const uint32_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct trace *trace = trace_at(t, numbers[i]);
        const struct chunk *chunk;

        if (!trace || trace->last_chunk == 0)
            continue;
        chunk = slabs_at(&t->chunks, trace->last_chunk);
        prefetch(&chunk->refs[trace_ref_count(trace) % CHUNK_REFS]);
        prefetch(&chunk->next);
    }
}

static void look_ahead(struct trace_table *t, const struct trace_spans *in, size_t from)
{
    struct ahead *a = &t->ahead;
    size_t count = in->count - from < AHEAD_MAX ? in->count - from : AHEAD_MAX;
    uint32_t numbers[AHEAD_MAX];

    a->spans = in->spans;
    a->first = from;
    a->end = from + count;
    fetch_slots(t, in->spans + from, count, a->hashes);
    fetch_traces(t, a->hashes, count, numbers);
    fetch_chunks(t, numbers, count);
}

static enum trace_add add_one(struct trace_table *t, const struct trace_spans *in, size_t i,
                              struct trace_decision *late)
{
    const struct scan_span *s = &in->spans[i];
    enum trace_add found = TRACE_ADDED;

    use_reservation(t);
    if (!is_last(t, s->trace_id))
        found = find_or_add(t, s->trace_id, t->ahead.hashes[i - t->ahead.first], in->now_ns, late);
    return found == TRACE_ADDED ? add_span(t, s, in->frame, in->now_ns) : found;
}

size_t trace_table_add_all(struct trace_table *t, const struct trace_spans *in, size_t from,
                           enum trace_add *result, struct trace_decision *late)
{
    const struct ahead *a = &t->ahead;
    bool goes_on = from > a->first && a->spans == in->spans;

    for (; from < in->count; from++) {
        if (!goes_on || from >= a->end)
            look_ahead(t, in, from);
        goes_on = true;
        *result = add_one(t, in, from, late);
        if (*result != TRACE_ADDED)
            return from;
    }
    *result = TRACE_ADDED;
    return from;
}
