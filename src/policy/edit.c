#include "policy/edit.h"

enum {
    CHUNK = 32 << 10,
    TRACE_MAX = 256 << 20, /* bytes that edits of one trace may make */
    SPAN_MAX = 64 << 20,   /* and of one span */
    KEPT_BYTES = 1 << 20,  /* a buffer of more is given back after its trace */
};

/* What edits made, back to back. */
struct edit_chunk {
    struct edit_chunk *next;
    size_t used, size;
    uint8_t data[];
};

static struct buf *all_bufs(struct editor *e, unsigned i)
{
    struct buf *bufs[] = {&e->spans[0],     &e->spans[1], &e->resources[0],
                          &e->resources[1], &e->inner,    &e->values};

    return i < sizeof(bufs) / sizeof(bufs[0]) ? bufs[i] : NULL;
}

/* Never refused for the limit, as it is deciding that frees memory, but counted and bounded. */
static void init_buf(struct editor *e, struct buf *b)
{
    buf_init(b, SPAN_MAX, e->memory);
    b->forced = true;
}

void editor_count(struct editor *e, struct memory *memory)
{
    struct buf *b;

    editor_fini(e);
    e->memory = memory;
    for (unsigned i = 0; (b = all_bufs(e, i)); i++)
        init_buf(e, b);
}

void editor_init(struct editor *e, struct reader *r)
{
    *e = (struct editor){.reader = r, .span = READER_NONE};
    editor_count(e, NULL);
}

/* ---- what is finished ---- */

static struct edit_chunk *new_chunk(struct editor *e, size_t len)
{
    size_t size = len > CHUNK ? len : CHUNK;
    struct edit_chunk *c;

    if (e->bytes + size > TRACE_MAX)
        return NULL;
    c = counted_realloc_forced(e->memory, NULL, sizeof(*c) + size);
    if (!c)
        return NULL;
    c->next = e->chunks;
    c->used = 0;
    c->size = size;
    e->chunks = c;
    e->bytes += size;
    return c;
}

/* False: no memory. */
static bool store(struct editor *e, struct slice bytes, struct slice *stored)
{
    struct edit_chunk *c = e->chunks;

    if (!c || c->size - c->used < bytes.len)
        c = new_chunk(e, bytes.len);
    if (!c)
        return false;
    *stored = slice_make(c->data + c->used, bytes.len);
    if (bytes.len)
        memcpy(c->data + c->used, bytes.data, bytes.len);
    c->used += bytes.len;
    return true;
}

/* Spans whose resources were edited alike share them again. */
static bool store_resource(struct editor *e, struct slice bytes, struct slice *stored)
{
    unsigned known = e->known_count < EDIT_RESOURCES ? e->known_count : EDIT_RESOURCES;

    for (unsigned i = 0; i < known; i++)
        if (slice_equal(e->known[i], bytes)) {
            *stored = e->known[i];
            return true;
        }
    if (!store(e, bytes, stored))
        return false;
    e->known[e->known_count++ % EDIT_RESOURCES] = *stored;
    return true;
}

void editor_clear(struct editor *e)
{
    struct buf *b;

    while (e->chunks) {
        struct edit_chunk *next = e->chunks->next;

        counted_free(e->memory, e->chunks);
        e->chunks = next;
    }
    e->bytes = 0;
    e->known_count = 0;
    for (unsigned i = 0; (b = all_bufs(e, i)); i++) {
        if (b->cap <= KEPT_BYTES)
            continue;
        buf_fini(b);
        init_buf(e, b);
    }
}

void editor_fini(struct editor *e)
{
    struct buf *b;

    editor_clear(e);
    for (unsigned i = 0; (b = all_bufs(e, i)); i++)
        buf_fini(b);
}

/* ---- one span ---- */

void editor_begin(struct editor *e, size_t span)
{
    e->span = span;
    e->began = e->view = *reader_view(e->reader, span);
    e->no_memory = false;
    e->edits++;
}

bool editor_end(struct editor *e, bool keep, struct span_view *view)
{
    struct span_view end = e->view;
    bool ok = !e->no_memory;

    if (keep && ok && end.span.data != e->began.span.data)
        ok = store(e, end.span, &end.span);
    if (keep && ok && end.resource.data != e->began.resource.data)
        ok = store_resource(e, end.resource, &end.resource);
    *view = keep && ok ? end : e->began;
    reader_set_view(e->reader, e->span, view);
    e->span = READER_NONE;
    e->no_memory = false;
    return ok;
}

bool editor_strip(struct editor *e, struct span_view *view)
{
    buf_clear(&e->inner);
    splice_strip(view->span, &e->inner);
    return buf_ok(&e->inner) && store(e, buf_slice(&e->inner), &view->span);
}

bool editor_set_parent(struct editor *e, struct span_view *view, struct slice parent_id)
{
    buf_clear(&e->inner);
    splice_field(view->span, SPLICE_SPAN_PARENT_ID, parent_id.len ? &parent_id : NULL, &e->inner);
    return buf_ok(&e->inner) && store(e, buf_slice(&e->inner), &view->span);
}
