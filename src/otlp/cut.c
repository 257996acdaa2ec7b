/* Copies a body without the fields that the scan wants out of it. What lies around them needs no
 * names: a field that holds a cut is a message, or the cut would not be there. */
#include "otlp/read.h"
#include "otlp/scan.h"
#include "otlp/scan_rules.h"
#include "otlp/write.h"

struct cutter {
    const uint8_t *body;
    const struct scan_cut *next, *end; /* cuts that were not met yet, in order */
    struct buf *out;
};

static void copy_without(struct cutter *c, struct slice message);

/* Copies one field, [start, end), unless it is cut out. */
static void copy_field(struct cutter *c, const struct wire_field *field, const uint8_t *start,
                       const uint8_t *end)
{
    const uint8_t *cut = c->next < c->end ? c->body + c->next->offset : NULL;
    size_t open;

    if (cut == start) {
        c->next++;
    } else if (cut && cut < end && field->type == WIRE_LEN) {
        open = otlp_write_begin(c->out, field->number);
        copy_without(c, field->bytes);
        otlp_write_end(c->out, open);
    } else {
        buf_append(c->out, start, (size_t)(end - start));
    }
}

/* Goes down as deep as messages around items are. */
static void copy_without(struct cutter *c, struct slice message)
{
    struct wire w = wire_of(message);
    struct wire_field field;

    for (const uint8_t *start = w.at; read_field(&w, &field); start = w.at)
        copy_field(c, &field, start, w.at);
}

enum err scan_cut_out(struct slice body, const struct scan_cut *cuts, size_t count, struct buf *out)
{
    struct cutter c = {body.data, cuts, cuts + count, out};
    size_t start = out->len;

    copy_without(&c, body);
    if (buf_ok(out))
        return ERR_OK;
    out->len = start;
    out->failed = false;
    return ERR_FULL;
}

static size_t count_fields(struct slice message, uint32_t number)
{
    struct wire w = wire_of(message);
    struct wire_field field;
    size_t count = 0;

    while (read_field(&w, &field))
        count += field.number == number && field.type == WIRE_LEN;
    return count;
}

size_t scan_points(struct slice metric)
{
    const struct rule *fields = scan_rules[METRIC];
    struct wire w = wire_of(metric);
    struct wire_field field;
    uint32_t chosen = 0;
    size_t count = 0;

    while (read_field(&w, &field)) {
        if (field.number >= MAX_FIELDS || field.type != WIRE_LEN ||
            fields[field.number].kind != AROUND)
            continue;
        if (field.number != chosen)
            count = 0;
        chosen = field.number;
        count += count_fields(field.bytes, 1);
    }
    return count;
}
