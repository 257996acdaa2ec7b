#include "export/compose_parts.h"

#include <assert.h>

const struct compose_edits compose_as_it_is = {.probability = -1, .entry = SIZE_MAX};

/* Spans of one ScopeSpans of one body, and the ScopeSpans of one ResourceSpans: chains of indexes
 * in order of arrival. A key is where the message starts, which no other message of its kind shares
 * (an absent one is NULL). */
struct group {
    const uint8_t *key;
    const uint8_t *parent; /* of a scope: its resource */
    uint32_t first, last;
    uint32_t next; /* in the chain of its parent; of a resource: the next resource */
    size_t bytes;
};

enum { NONE = UINT32_MAX, INLINE_SPANS = 64 };

struct plan {
    const struct compose_span *spans;
    size_t count;
    uint32_t *next; /* of each span: the next one of its scope */
    struct group *scopes, *resources;
    size_t scope_count, resource_count;
    uint32_t *scope_slots, *resource_slots; /* hash tables: group + 1; 0: free */
    size_t slots;                           /* a power of two, at least 2 * count */
    struct slice trace_state;               /* the field that spans get which came with none */
};

struct open_field field_begin(struct buf *out, uint32_t number, size_t guess)
{
    struct open_field f = {.width = wire_varint_size(guess)};

    wire_put_tag(out, number, WIRE_LEN);
    if (buf_reserve(out, f.width))
        out->len += f.width;
    f.start = out->len;
    return f;
}

void field_end(struct buf *out, struct open_field f)
{
    size_t len = out->len - f.start, width = wire_varint_size(len);

    if (!buf_ok(out))
        return;
    if (width > f.width && !buf_reserve(out, width - f.width))
        return;
    if (width != f.width) {
        memmove(out->data + f.start - f.width + width, out->data + f.start, len);
        out->len = f.start - f.width + width + len;
    }
    put_varint_at(out->data + f.start - f.width, len);
}

void copy_run(struct buf *out, const uint8_t *from, const uint8_t *to)
{
    if (to > from)
        buf_append(out, from, (size_t)(to - from));
}

static size_t slot_of(const struct plan *p, const uint32_t *slots, const struct group *groups,
                      const uint8_t *key, const uint8_t *parent)
{
    uint64_t h = ((uint64_t)(uintptr_t)key ^ ((uint64_t)(uintptr_t)parent << 20)) *
                 UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(h >> 32) & (p->slots - 1);

    while (slots[i] && (groups[slots[i] - 1].key != key || groups[slots[i] - 1].parent != parent))
        i = (i + 1) & (p->slots - 1);
    return i;
}

static struct group *resource_of(struct plan *p, const uint8_t *key)
{
    size_t slot = slot_of(p, p->resource_slots, p->resources, key, NULL);

    if (!p->resource_slots[slot]) {
        p->resources[p->resource_count] =
            (struct group){.key = key, .first = NONE, .last = NONE, .next = NONE};
        p->resource_slots[slot] = (uint32_t)++p->resource_count;
    }
    return &p->resources[p->resource_slots[slot] - 1];
}

static struct group *scope_of(struct plan *p, const struct span_view *v)
{
    size_t slot = slot_of(p, p->scope_slots, p->scopes, v->scope.data, v->resource.data);
    struct group *resource;
    uint32_t made;

    if (p->scope_slots[slot])
        return &p->scopes[p->scope_slots[slot] - 1];
    made = (uint32_t)p->scope_count++;
    p->scope_slots[slot] = made + 1;
    p->scopes[made] = (struct group){.key = v->scope.data,
                                     .parent = v->resource.data,
                                     .first = NONE,
                                     .last = NONE,
                                     .next = NONE};
    resource = resource_of(p, v->resource.data);
    if (resource->first == NONE)
        resource->first = made;
    else
        p->scopes[resource->last].next = made;
    resource->last = made;
    return &p->scopes[made];
}

static void plan_groups(struct plan *p)
{
    struct group *scope = NULL;

    for (uint32_t i = 0; i < p->count; i++) {
        const struct span_view *v = &p->spans[i].view;

        if (!scope || scope->key != v->scope.data || scope->parent != v->resource.data)
            scope = scope_of(p, v);
        p->next[i] = NONE;
        if (scope->first == NONE)
            scope->first = i;
        else
            p->next[scope->last] = i;
        scope->last = i;
        scope->bytes += v->span.len + 4;
    }
}

static void put_span(const struct plan *p, const struct compose_span *s, bool is_entry,
                     const struct compose_edits *edits, struct buf *out)
{
    struct slice span = s->view.span;
    size_t len = span.len + p->trace_state.len;
    uint8_t *at;

    if ((edits->th != TH_LEAVE && !edits->no_trace_state) || (is_entry && edits->policy)) {
        compose_edited_span(span, is_entry && edits->policy, p->trace_state, edits, out);
        return;
    }
    at = buf_reserve(out, wire_bytes_size(2, len));
    if (!at)
        return;
    *at++ = 2 << 3 | WIRE_LEN;
    at = put_slice_at(put_varint_at(at, len), span);
    at = put_slice_at(at, p->trace_state);
    out->len = (size_t)(at - out->data);
}

/* All fields of a ScopeSpans but its spans, as they came. Where nothing but spans follows the first
 * one it is not stepped over the others: each would be a miss of the cache. */
static void put_scope_fields(const struct span_view *view, struct buf *out)
{
    struct wire w = wire_of(view->scope);
    struct wire_field f;
    const uint8_t *run = w.at, *start = w.at;

    while (wire_next(&w, &f)) {
        if (f.number == 2 && f.type == WIRE_LEN) {
            copy_run(out, run, start);
            if (view->plain_scope)
                return;
            run = w.at;
        }
        start = w.at;
    }
    copy_run(out, run, start);
}

static void put_scope(const struct plan *p, const struct group *scope,
                      const struct compose_edits *edits, struct buf *out)
{
    struct open_field f = field_begin(out, 2, scope->bytes + 64);

    put_scope_fields(&p->spans[scope->first].view, out);
    for (uint32_t i = scope->first; i != NONE; i = p->next[i])
        put_span(p, &p->spans[i], i == edits->entry, edits, out);
    field_end(out, f);
}

static void put_resource(const struct plan *p, const struct group *resource,
                         const struct compose_edits *edits, struct buf *out)
{
    struct open_field f;
    size_t bytes = 256;

    for (uint32_t i = resource->first; i != NONE; i = p->scopes[i].next)
        bytes += p->scopes[i].bytes;
    f = field_begin(out, 1, bytes);
    splice_resource(p->spans[p->scopes[resource->first].first].view.resource, &edits->resource,
                    out);
    for (uint32_t i = resource->first; i != NONE; i = p->scopes[i].next)
        put_scope(p, &p->scopes[i], edits, out);
    field_end(out, f);
}

/* One block for everything a plan needs; `space` is zeroed. */
static void plan_lay_out(struct plan *p, uint8_t *space)
{
    p->scopes = (struct group *)space;
    p->resources = p->scopes + p->count;
    p->next = (uint32_t *)(p->resources + p->count);
    p->scope_slots = p->next + p->count;
    p->resource_slots = p->scope_slots + p->slots;
}

static size_t plan_bytes(const struct plan *p)
{
    return p->count * (2 * sizeof(struct group) + sizeof(uint32_t)) +
           2 * p->slots * sizeof(uint32_t);
}

/* Room for all of it at once: about as much as the spans, and what stands around them once for each
 * resource. Where it is refused, growing as needed says so. */
static void make_room(const struct plan *p, struct buf *out)
{
    size_t bytes = 256 + 512 * p->resource_count;

    for (size_t i = 0; i < p->scope_count; i++)
        bytes += p->scopes[i].bytes;
    bytes += 48 * p->count;
    if (bytes <= out->max - out->len && buf_reserve(out, bytes) == NULL)
        out->failed = false;
}

enum err compose_traces(const struct compose_span *spans, size_t count,
                        const struct compose_edits *edits, struct buf *out)
{
    _Alignas(struct group) uint8_t space[INLINE_SPANS * (2 * sizeof(struct group) + 4 + 16)];
    struct plan p = {.spans = spans, .count = count, .slots = 2};
    size_t start = out->len, need;
    uint8_t *heap = NULL, trace_state[TRACE_STATE_MAX];

    assert(buf_ok(out) && count < NONE);
    p.trace_state = tracestate_field(edits, trace_state);
    while (p.slots < 2 * count)
        p.slots *= 2;
    need = plan_bytes(&p);
    if (need > sizeof(space) && !(heap = counted_alloc(out->memory, need)))
        return ERR_FULL;
    plan_lay_out(&p, heap ? heap : space);
    memset(p.scope_slots, 0, 2 * p.slots * sizeof(uint32_t));
    plan_groups(&p);
    make_room(&p, out);
    for (size_t i = 0; i < p.resource_count; i++)
        put_resource(&p, &p.resources[i], edits, out);
    counted_free(out->memory, heap);
    if (buf_ok(out))
        return ERR_OK;
    out->len = start;
    out->failed = false;
    return ERR_FULL;
}
