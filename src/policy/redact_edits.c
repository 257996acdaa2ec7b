/* What becomes of fields of a message, noted as it is walked; then the message is copied byte for
 * byte around them. */
#include "otlp/wire.h"
#include "otlp/write.h"
#include "policy/redact_parts.h"

/* A field of the message, with its tag, that is written anew: [at, end) of r->fields. */
struct edit {
    const uint8_t *from, *to;
    size_t at, end;
};

size_t redact_edit_count(const struct redact *r)
{
    return r->edits.len / sizeof(struct edit);
}

bool redact_edit_add(struct redact *r, const uint8_t *from, const uint8_t *to, uint32_t number,
                     const struct slice *content)
{
    struct edit e = {from, to, r->fields.len, 0};

    if (content)
        wire_put_bytes(&r->fields, number, *content);
    e.end = r->fields.len;
    buf_append(&r->edits, &e, sizeof(e));
    return buf_ok(&r->edits) && buf_ok(&r->fields);
}

void redact_edits_forget(struct redact *r, size_t count)
{
    if (count > 0) {
        r->edits.len = count * sizeof(struct edit);
        return;
    }
    buf_clear(&r->edits);
    buf_clear(&r->fields);
}

struct writer {
    const struct edit *next, *end;
    const uint8_t *fields;
    struct buf *out;
};

/* A field that an edit lies in is a message. */
static void write_message(struct writer *w, struct slice message, uint32_t left_out)
{
    struct wire in = wire_of(message);
    struct wire_field f;

    for (const uint8_t *from = in.at; wire_next(&in, &f); from = in.at) {
        const struct edit *e = w->next;
        bool here = e < w->end && e->from < in.at;

        if (here && e->from == from) {
            if (e->end > e->at) /* else it goes, and there may be no fields at all */
                buf_append(w->out, w->fields + e->at, e->end - e->at);
            w->next++;
        } else if (here) {
            size_t begin = otlp_write_begin(w->out, f.number);

            write_message(w, f.bytes, 0);
            otlp_write_end(w->out, begin);
        } else if (f.number != left_out || f.type != WIRE_LEN) {
            buf_append(w->out, from, (size_t)(in.at - from));
        }
    }
}

void redact_edits_write(const struct redact *r, struct slice message, uint32_t left_out,
                        struct buf *out)
{
    const struct edit *first = (const struct edit *)(const void *)r->edits.data;

    write_message(&(struct writer){first, first + redact_edit_count(r), r->fields.data, out},
                  message, left_out);
}
