/* Bodies that pass as they are, but for the attributes of their resources. */
#include "export/compose_parts.h"

enum { RESOURCES = 1, SCOPES = 2 }; /* field numbers, the same in every signal */

static void put_scopes(struct slice resource, struct buf *out)
{
    struct wire w = wire_of(resource);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at)
        if (f.number == SCOPES && f.type == WIRE_LEN)
            copy_run(out, start, w.at);
}

static void put_resource(struct slice resource, const struct compose_edits *edits, struct buf *out)
{
    struct open_field field = field_begin(out, RESOURCES, resource.len + 256);

    splice_resource(resource, &edits->resource, out);
    put_scopes(resource, out);
    field_end(out, field);
}

static void put_edited(struct slice body, const struct compose_edits *edits, struct buf *out)
{
    struct wire w = wire_of(body);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at) {
        if (f.number == RESOURCES && f.type == WIRE_LEN)
            put_resource(f.bytes, edits, out);
        else
            copy_run(out, start, w.at);
    }
}

enum err compose_body(struct slice body, const struct compose_edits *edits, struct buf *out)
{
    size_t start = out->len;

    if (edits->resource.count > 0)
        put_edited(body, edits, out);
    else
        buf_append(out, body.data, body.len);
    if (buf_ok(out))
        return ERR_OK;
    out->len = start;
    out->failed = false;
    return ERR_FULL;
}
