#include "policy/reader.h"

#include "base/prefetch.h"

#include <assert.h>
#include <stdlib.h>

/* HAVE_ATTRS: where they are is noted. HAVE_LOOKED: one was looked for before anything was noted.
 */
enum { HAVE_VIEW = 1, HAVE_FIELDS = 2, HAVE_ATTRS = 4, HAVE_LOOKED = 8 };
enum { KEPT_CAPACITY = 1024 }; /* arrays for more spans are given back after their trace */
enum { SMALL = 24 };           /* up to here insertion sorts */
enum { FETCH_MAX = 2048 };     /* bytes of a span that are asked for ahead */

struct span_view policy_span_in_array(void *views, uint32_t i)
{
    return ((const struct span_view *)views)[i];
}

void reader_init(struct reader *r)
{
    *r = (struct reader){.count = 0};
}

static void arrays_free(struct reader *r)
{
    free(r->slots);
    r->slots = NULL;
    r->capacity = 0;
}

void reader_fini(struct reader *r)
{
    arrays_free(r);
    free(r->shape);
    r->shape = NULL;
}

/* Unix time in ms. Whole and fractional part apart, so that ms stay exact. */
static double ms_of(uint64_t ns)
{
    return (double)(ns / 1000000) + (double)(ns % 1000000) / 1e6;
}

static double span_ms(uint64_t start_ns, uint64_t end_ns)
{
    return start_ns && end_ns > start_ns ? (double)(end_ns - start_ns) / 1e6 : 0;
}

void reader_begin(struct reader *r, const struct policy_trace *trace)
{
    r->trace = trace;
    r->count = trace->count;
    r->ready = r->ordered = r->indexed = r->no_memory = false;
    r->known_root = r->known_entry = false;
    r->attr_count = 0;
    r->face.number = (double)++r->numbers;
    r->face.count = trace->count;
    r->face.errors = trace->sums.errors;
    r->face.bytes = (double)trace->sums.bytes;
    r->face.duration_ms = span_ms(trace->sums.start_ns, trace->sums.end_ns);
    r->face.start_ms = ms_of(trace->sums.start_ns);
    r->face.decided_ms = ms_of(trace->decided_unix_ns);
    r->face.complete = trace->complete;
    r->face.trigger = trace->trigger;
}

void reader_end(struct reader *r)
{
    r->face.number = 0;
    r->trace = NULL;
    r->count = 0;
    if (r->capacity > KEPT_CAPACITY)
        arrays_free(r);
}

/* One block: slots, ids, attrs, order, have; in the order of their alignment. */
static bool arrays_grow(struct reader *r, size_t count)
{
    size_t capacity = count < 64 ? 64 : count;
    size_t each = sizeof(struct reader_slot) + sizeof(struct reader_id) +
                  READER_ATTRS * sizeof(struct view_attr_at) + sizeof(uint32_t) + sizeof(uint8_t);

    arrays_free(r);
    r->slots = malloc(capacity * each);
    if (!r->slots)
        return false;
    r->ids = (struct reader_id *)(r->slots + capacity);
    r->attrs = (struct view_attr_at *)(r->ids + capacity);
    r->order = (uint32_t *)(r->attrs + READER_ATTRS * capacity);
    r->have = (uint8_t *)(r->order + capacity);
    r->capacity = capacity;
    return true;
}

bool reader_ready(struct reader *r)
{
    if (r->ready)
        return true;
    if (r->count > r->capacity && !arrays_grow(r, r->count)) {
        r->no_memory = true;
        r->count = 0;
        r->face.count = 0;
        return false;
    }
    if (r->count)
        memset(r->have, 0, r->count);
    r->ready = true;
    return true;
}

/* It has waited for seconds, and reading it goes from field to field: all of it is asked for at
 * once, so that its lines don't come one after the other. */
static void fetch(struct slice bytes)
{
    prefetch_most(bytes.data, bytes.len, FETCH_MAX);
}

const struct span_view *reader_view(struct reader *r, size_t span)
{
    struct reader_slot *slot = &r->slots[span];

    assert(r->ready && span < r->count);
    if (!(r->have[span] & HAVE_VIEW)) {
        slot->view = r->trace->span(r->trace->span_arg, (uint32_t)span);
        r->have[span] |= HAVE_VIEW;
        fetch(slot->view.span);
    }
    return &slot->view;
}

void reader_fetch_root(struct reader *r)
{
    if (r->trace->only_root < r->count && reader_ready(r))
        (void)reader_view(r, r->trace->only_root);
}

bool reader_has_read_root(const struct reader *r)
{
    uint32_t root = r->trace->only_root;

    return r->ready && root < r->count && (r->have[root] & ~HAVE_VIEW) != 0;
}

/* One pass finds both its fields and where its attributes are. */
static void read_slot(struct reader *r, struct reader_slot *slot, uint8_t *have, struct slice span)
{
    size_t count;

    *have |= HAVE_FIELDS;
    if (!view_span_index(span, &slot->fields, r->attrs + r->attr_count,
                         READER_ATTRS * r->capacity - r->attr_count, &count))
        return;
    *have |= HAVE_ATTRS;
    slot->attrs = (uint32_t)r->attr_count;
    slot->attr_count = (uint32_t)count;
    r->attr_count += count;
}

const struct span_fields *reader_fields(struct reader *r, size_t span)
{
    const struct span_view *view = reader_view(r, span);
    struct reader_slot *slot = &r->slots[span];

    if (!(r->have[span] & HAVE_FIELDS)) {
        if (r->trace->item == OWNER_SPAN)
            read_slot(r, slot, &r->have[span], view->span);
        else
            slot->fields = (struct span_fields){0}; /* it has none of a span */
    }
    return &slot->fields;
}

/* Whoever asks once is answered by a walk, which may end early. */
static bool span_attr(struct reader *r, size_t span, struct slice key, struct value *value)
{
    const struct span_view *view = reader_view(r, span);
    const struct reader_slot *slot = &r->slots[span];

    if (r->trace->item != OWNER_SPAN)
        return r->trace->item != OWNER_RESOURCE &&
               view_owner_attr(r->trace->item, view->span, key, value);
    if (r->have[span] & HAVE_LOOKED)
        (void)reader_fields(r, span);
    r->have[span] |= HAVE_LOOKED;
    if (!(r->have[span] & HAVE_ATTRS))
        return view_attr(view->span, ATTRS_SPAN, key, value);
    return view_indexed_attr(view->span, r->attrs + slot->attrs, slot->attr_count, key, value);
}

int reader_first_attr(struct reader *r, size_t span, const struct slice *keys, int count,
                      struct value *value)
{
    (void)reader_fields(r, span);
    for (int i = 0; i < count; i++)
        if (span_attr(r, span, keys[i], value) && value->type != VALUE_ABSENT)
            return i;
    return -1;
}

struct slice reader_inner(struct slice span, enum attr_owner owner, size_t at)
{
    struct slice message;

    if (at > span.len)
        return slice_make(NULL, 0);
    if (owner == OWNER_EVENT)
        return view_event_next(span, &at, &message) ? message : slice_make(NULL, 0);
    return view_link_next(span, &at, &message) ? message : slice_make(NULL, 0);
}

bool reader_attr(struct reader *r, size_t span, enum attr_owner owner, size_t at, struct slice key,
                 struct value *value)
{
    const struct span_view *view = reader_view(r, span);

    switch (owner) {
    case OWNER_RESOURCE:
        return view_resource_attr(view->resource, key, value);
    case OWNER_SCOPE:
        return view_scope_attr(view->scope, key, value);
    case OWNER_EVENT:
    case OWNER_LINK:
        return view_owner_attr(owner, reader_inner(view->span, owner, at), key, value);
    default:
        return span_attr(r, span, key, value);
    }
}

void reader_set_view(struct reader *r, size_t span, const struct span_view *view)
{
    assert(r->ready && span < r->count);
    r->slots[span].view = *view;
    r->have[span] = HAVE_VIEW;
}

/* ---- order ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_bytes(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int c = len ? memcmp(a.data, b.data, len) : 0;

    return c ? c : compare_numbers(a.len, b.len);
}

/* (start, id, bytes); spans that are equal in all of it can't be told apart. */
static int compare_spans(struct reader *r, uint32_t a, uint32_t b)
{
    const struct span_fields *x = reader_fields(r, a), *y = reader_fields(r, b);
    int c = compare_numbers(x->start_ns, y->start_ns);

    if (!c)
        c = compare_numbers(view_id(x->span_id), view_id(y->span_id));
    return c ? c : compare_bytes(r->slots[a].view.span, r->slots[b].view.span);
}

bool reader_is_before(struct reader *r, size_t a, size_t b)
{
    return compare_spans(r, (uint32_t)a, (uint32_t)b) < 0;
}

static int compare_order(const void *a, const void *b, void *r)
{
    return compare_spans(r, *(const uint32_t *)a, *(const uint32_t *)b);
}

static void insertion_sort(struct reader *r)
{
    for (size_t i = 1; i < r->count; i++) {
        uint32_t span = r->order[i];
        size_t at = i;

        while (at > 0 && compare_spans(r, r->order[at - 1], span) > 0) {
            r->order[at] = r->order[at - 1];
            at--;
        }
        r->order[at] = span;
    }
}

static bool order_spans(struct reader *r)
{
    if (r->ordered)
        return true;
    if (!reader_ready(r))
        return false;
    for (size_t i = 0; i < r->count; i++)
        r->order[i] = (uint32_t)i;
    if (r->count <= SMALL)
        insertion_sort(r);
    else
        qsort_r(r->order, r->count, sizeof(*r->order), compare_order, r);
    r->ordered = true;
    return true;
}

size_t reader_order(struct reader *r, size_t rank)
{
    return order_spans(r) && rank < r->count ? r->order[rank] : READER_NONE;
}

/* ---- relations ---- */

static int compare_ids(const void *a, const void *b, void *arg)
{
    struct reader *r = arg;
    const struct reader_id *x = a, *y = b;
    int c = compare_numbers(x->id, y->id);

    return c ? c : compare_spans(r, x->span, y->span);
}

static bool index_ids(struct reader *r)
{
    if (r->indexed)
        return true;
    if (!reader_ready(r))
        return false;
    for (size_t i = 0; i < r->count; i++)
        r->ids[i] = (struct reader_id){view_id(reader_fields(r, i)->span_id), (uint32_t)i};
    qsort_r(r->ids, r->count, sizeof(*r->ids), compare_ids, r);
    r->indexed = true;
    return true;
}

/* The earliest span with that id. */
static size_t find_id(struct reader *r, uint64_t id)
{
    size_t low = 0, high = r->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (r->ids[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->count && r->ids[low].id == id ? r->ids[low].span : READER_NONE;
}

bool reader_is_root(struct reader *r, size_t span)
{
    return view_id(reader_fields(r, span)->parent_id) == 0;
}

size_t reader_parent(struct reader *r, size_t span)
{
    const struct span_fields *f = reader_fields(r, span);
    uint64_t parent = view_id(f->parent_id);

    if (parent == 0 || parent == view_id(f->span_id) || !index_ids(r))
        return READER_NONE;
    return find_id(r, parent);
}

static size_t find_root(struct reader *r)
{
    size_t root = READER_NONE;

    if (!reader_ready(r))
        return READER_NONE;
    if (r->trace->only_root < r->count) {
        (void)reader_view(r, r->trace->only_root); /* somebody is about to read it */
        return r->trace->only_root;
    }
    for (size_t i = 0; i < r->count; i++)
        if (reader_is_root(r, i) &&
            (root == READER_NONE || compare_spans(r, (uint32_t)i, (uint32_t)root) < 0))
            root = i;
    return root;
}

size_t reader_root(struct reader *r)
{
    if (!r->known_root) {
        r->root = find_root(r);
        r->known_root = true;
    }
    return r->root;
}

static size_t find_entry(struct reader *r)
{
    size_t root = reader_root(r);

    if (root != READER_NONE)
        return root;
    if (r->count == 0 || !order_spans(r))
        return READER_NONE;
    for (size_t i = 0; i < r->count; i++)
        if (reader_parent(r, r->order[i]) == READER_NONE)
            return r->order[i];
    return r->order[0];
}

size_t reader_entry(struct reader *r)
{
    if (!r->known_entry) {
        r->entry = find_entry(r);
        r->known_entry = true;
    }
    return r->entry;
}
