#include "trace/complete.h"
#include "trace/decided.h"
#include "trace/slabs.h"
#include "trace/slots.h"
#include "trace/trace.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_REFS = 4 };

/* The references of a trace lie in chunks of four: one that ends early wastes little. */
struct chunk {
    struct span_ref refs[CHUNK_REFS];
    uint32_t next;
};

/* Lists of traces, oldest first. BY_FIRST holds every waiting trace, BY_ROOT those of them with a
 * root; READY, which uses the links of BY_FIRST, those that are due at once. */
enum list_kind { BY_FIRST, BY_ROOT, READY, LIST_COUNT };

enum trace_state { FREE, WAITING, ROOTED, DUE, TAKEN }; /* rooted: waiting, in BY_ROOT too */

struct list {
    uint32_t first, last;
};

struct trace_table {
    struct trace_limits limits;
    struct hash_key key;
    struct slabs traces, chunks;
    struct slots slots;
    struct decided decided;
    struct list lists[LIST_COUNT];
    size_t waiting;     /* in BY_FIRST or READY */
    size_t reserved;    /* additions that the limiter has let pass */
    struct trace *last; /* the one added to last: spans of a trace come in runs */
};

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
        abort();
    t->limits = *limits;
    t->key = key;
    slabs_init(&t->traces, sizeof(struct trace), limits->memory, false);
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
    free(t);
}

/* ---- lists ---- */

static struct trace *trace_at(const struct trace_table *t, uint32_t number)
{
    return number ? slabs_at(&t->traces, number) : NULL;
}

static struct trace *list_first(const struct trace_table *t, enum list_kind kind)
{
    return trace_at(t, t->lists[kind].first);
}

static void list_append(struct trace_table *t, enum list_kind kind, struct trace *trace)
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

static void list_remove(struct trace_table *t, enum list_kind kind, struct trace *trace)
{
    struct list *list = &t->lists[kind];
    int link = kind == BY_ROOT;
    uint32_t before = trace->links[link].before, after = trace->links[link].after;

    if (before)
        trace_at(t, before)->links[link].after = after;
    else
        list->first = after;
    if (after)
        trace_at(t, after)->links[link].before = before;
    else
        list->last = before;
}

/* Takes a trace out of the lists it is in. */
static void unlist(struct trace_table *t, struct trace *trace)
{
    list_remove(t, trace->state == DUE ? READY : BY_FIRST, trace);
    if (trace->state == ROOTED)
        list_remove(t, BY_ROOT, trace);
    t->waiting--;
}

static void make_due(struct trace_table *t, struct trace *trace, enum trace_trigger trigger)
{
    trace->state = DUE;
    trace->trigger = trigger;
    list_append(t, READY, trace);
    t->waiting++;
}

/* ---- adding ---- */

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
    list_append(t, BY_FIRST, trace);
    t->waiting++;
    return trace;
}

static void remove_trace(struct trace_table *t, struct trace *trace)
{
    if (t->last == trace)
        t->last = NULL;
    slots_remove(&t->slots, (uint32_t)trace->hash, trace->number);
    trace->state = FREE;
    slabs_free(&t->traces, trace->number);
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
            list_append(t, BY_ROOT, trace);
        }
    }
    if ((trace->spans <= t->limits.max_spans && trace->bytes <= t->limits.max_bytes) ||
        trace->state == DUE)
        return;
    unlist(t, trace);
    make_due(t, trace, TRIGGER_TOO_LARGE);
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
            unlist(t, trace);
            remove_trace(t, trace);
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

/* ---- taking and deciding ---- */

static void each_ref(const struct trace_table *t, const struct trace *trace,
                     void (*fn)(void *arg, const struct span_ref *ref), void *arg)
{
    uint32_t left = trace->spans;

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

static struct trace *take(struct trace_table *t, struct trace *trace, enum trace_trigger trigger)
{
    unlist(t, trace);
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
    const struct trace *trace = list_first(t, BY_FIRST);

    return trace ? due_ns(trace->first_ns, t->limits.decision_wait_ns) : NEVER_NS;
}

static uint64_t root_due_ns(const struct trace_table *t)
{
    const struct trace *trace = list_first(t, BY_ROOT);

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
        return take(t, list_first(t, BY_ROOT), TRIGGER_ROOT);
    if (wait != NEVER_NS && wait <= now_ns)
        return take(t, list_first(t, BY_FIRST), TRIGGER_WAIT);
    return NULL;
}

struct trace *trace_table_take_oldest(struct trace_table *t, enum trace_trigger trigger)
{
    struct trace *trace = list_first(t, t->lists[READY].first ? READY : BY_FIRST);

    return trace ? take(t, trace, trigger) : NULL;
}

void trace_table_put_back(struct trace_table *t, struct trace *trace)
{
    assert(trace->state == TAKEN);
    make_due(t, trace, trace->trigger);
}

static void copy_ref(void *arg, const struct span_ref *ref)
{
    struct span_ref **to = arg;

    *(*to)++ = *ref;
}

void trace_refs(const struct trace_table *t, const struct trace *trace, struct span_ref *refs)
{
    each_ref(t, trace, copy_ref, &refs);
}

void trace_table_decided(struct trace_table *t, struct trace *trace,
                         const struct trace_decision *decision)
{
    assert(trace->state == TAKEN);
    for (uint32_t number = trace->first_chunk; number;) {
        const struct chunk *chunk = slabs_at(&t->chunks, number);
        uint32_t next = chunk->next;

        slabs_free(&t->chunks, number);
        number = next;
    }
    decided_add(&t->decided, trace->hash, decision);
    remove_trace(t, trace);
}

uint64_t trace_table_next_due_ns(const struct trace_table *t)
{
    uint64_t wait = wait_due_ns(t), root = root_due_ns(t);

    if (t->lists[READY].first || is_over_num_traces(t))
        return 0;
    return root < wait ? root : wait;
}

/* ---- figures ---- */

static void count_trace(void *arg, const void *item)
{
    const struct trace *trace = item;
    struct trace_stats *s = arg;

    if (trace->state == FREE)
        return;
    s->traces++;
    s->spans += trace->spans;
    s->bytes += trace->bytes;
}

void trace_table_stats(const struct trace_table *t, struct trace_stats *s)
{
    *s = (struct trace_stats){
        .remembered = t->decided.count,
        .forgotten = t->decided.dropped,
        .memory = slabs_bytes(&t->traces) + slabs_bytes(&t->chunks) + slots_bytes(&t->slots) +
                  decided_bytes(&t->decided),
    };
    slabs_each(&t->traces, count_trace, s);
}
