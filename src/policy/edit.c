#include "policy/edit.h"

#include "otlp/write.h"
#include "policy/redact.h"

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
    e->redacted_count = 0;
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
    e->redact = NULL;
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

bool editor_end_at_once(struct editor *e, bool keep, struct span_view *view)
{
    bool ok = !e->no_memory;

    *view = keep && ok ? e->view : e->began;
    e->span = READER_NONE;
    e->no_memory = false;
    return ok;
}

/* ---- taking out all ---- */

static bool strip_span(struct editor *e, struct slice *span)
{
    buf_clear(&e->inner);
    splice_strip(*span, slice_str(REDACT_MASK), &e->inner);
    return buf_ok(&e->inner) && store(e, buf_slice(&e->inner), span);
}

bool editor_strip_resource(struct editor *e, struct slice resource, struct slice *left)
{
    struct slice key = slice_str("service.name");
    struct value service;
    size_t begin;

    buf_clear(&e->inner);
    begin = otlp_write_begin(&e->inner, 1);
    if (view_resource_attr(resource, key, &service) && service.type == VALUE_STRING)
        otlp_write_attr(&e->inner, ATTRS_RESOURCE, key, &service);
    otlp_write_end(&e->inner, begin);
    *left = buf_slice(&e->inner);
    return buf_ok(&e->inner);
}

static bool strip_resource(struct editor *e, struct slice *resource)
{
    struct slice left;

    return editor_strip_resource(e, *resource, &left) && store_resource(e, left, resource);
}

bool editor_strip_log(struct editor *e, struct slice record, struct slice *left)
{
    buf_clear(&e->inner);
    splice_strip_log(record, slice_str(REDACT_MASK), &e->inner);
    *left = buf_slice(&e->inner);
    return buf_ok(&e->inner);
}

static bool strip_scope(struct editor *e, struct slice *scope)
{
    struct slice name, version;
    size_t begin;

    view_scope(*scope, &name, &version);
    buf_clear(&e->inner);
    begin = otlp_write_begin(&e->inner, 1);
    wire_put_bytes(&e->inner, 1, name);
    wire_put_bytes(&e->inner, 2, version);
    otlp_write_end(&e->inner, begin);
    return buf_ok(&e->inner) && store_resource(e, buf_slice(&e->inner), scope);
}

bool editor_strip(struct editor *e, struct span_view *view)
{
    view->plain_scope = false;
    return strip_span(e, &view->span) && strip_resource(e, &view->resource) &&
           strip_scope(e, &view->scope);
}

bool editor_set_parent(struct editor *e, struct span_view *view, struct slice parent_id)
{
    buf_clear(&e->inner);
    splice_field(view->span, SPLICE_SPAN_PARENT_ID, parent_id.len ? &parent_id : NULL, &e->inner);
    return buf_ok(&e->inner) && store(e, buf_slice(&e->inner), &view->span);
}

/* ---- redaction ---- */

typedef enum redact_outcome redact_around(struct redact *r, struct slice message, struct buf *out);

/* What became of it before in this trace. */
static bool was_redacted(const struct editor *e, const struct redact *r, struct slice *message)
{
    unsigned known = e->redacted_count < EDIT_RESOURCES ? e->redacted_count : EDIT_RESOURCES;

    for (unsigned i = 0; i < known; i++)
        if (e->redacted[i].was == message->data && e->redacted[i].by == r) {
            *message = e->redacted[i].is;
            return true;
        }
    return false;
}

/* Remembers it, unless it lies where the next edit will write. */
static void remember(struct editor *e, const struct redact *r, const uint8_t *was, struct slice is)
{
    unsigned i = e->redacted_count % EDIT_RESOURCES;

    if (was == e->resources[0].data || was == e->resources[1].data)
        return;
    e->redacted[i].by = r;
    e->redacted[i].was = was;
    e->redacted[i].is = is;
    e->redacted_count++;
}

/* A resource or a scope: most are shared by many spans. */
static bool redact_shared(struct editor *e, struct redact *r, redact_around *redact,
                          struct slice *message)
{
    const uint8_t *was = message->data;
    enum redact_outcome outcome;

    if (was_redacted(e, r, message))
        return true;
    buf_clear(&e->inner);
    outcome = redact(r, *message, &e->inner);
    if (outcome == REDACT_FAILED)
        return false;
    if (outcome == REDACT_CHANGED && !store_resource(e, buf_slice(&e->inner), message))
        return false;
    remember(e, r, was, *message);
    return true;
}

static bool redact_own(struct editor *e, struct redact *r)
{
    struct buf *b = e->view.span.data == e->spans[0].data ? &e->spans[1] : &e->spans[0];
    enum redact_outcome outcome;

    buf_clear(b);
    outcome = redact_item(r, e->reader->trace->item, e->view.span, b);
    if (outcome == REDACT_CHANGED)
        e->view.span = buf_slice(b);
    return outcome != REDACT_FAILED;
}

/* What it is around is written apart, and redacted there. */
static bool redact_resource_alone(struct editor *e, struct redact *r)
{
    struct buf *b =
        e->view.resource.data == e->resources[0].data ? &e->resources[1] : &e->resources[0];
    enum redact_outcome outcome;

    buf_clear(b);
    outcome = redact_resource(r, e->view.resource, b);
    if (outcome == REDACT_CHANGED)
        e->view.resource = buf_slice(b);
    return outcome != REDACT_FAILED;
}

static bool redact_all(struct editor *e, struct redact *r)
{
    enum attr_owner item = e->reader->trace->item;

    if (item == OWNER_RESOURCE)
        return redact_resource_alone(e, r);
    if (!redact_own(e, r))
        return false;
    if (item != OWNER_SPAN)
        return true;
    return redact_shared(e, r, redact_resource, &e->view.resource) &&
           redact_shared(e, r, redact_scope, &e->view.scope);
}

bool editor_redact(struct editor *e, struct redact *r)
{
    const uint8_t *scope = e->view.scope.data;

    e->redact = r;
    if (!redact_all(e, r)) {
        e->no_memory = true;
        return false;
    }
    e->view.plain_scope &= e->view.scope.data == scope;
    e->edits++;
    reader_set_view(e->reader, e->span, &e->view);
    return true;
}
