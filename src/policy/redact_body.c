/* A body of spans as it came: walks down to its resources, scopes and spans, and copies the rest
 * byte for byte around what becomes of them. */
#include "otlp/wire.h"
#include "otlp/write.h"
#include "policy/redact_parts.h"

enum level { A_BODY, A_RESOURCE_SPANS, A_SCOPE_SPANS, LEVELS };

enum { SCRATCH_KEPT = 1 << 20 }; /* bytes of each buffer that stay from one body to the next */

typedef enum redact_outcome redact_part_fn(struct redact *r, struct slice part, struct buf *out);

/* What a field of a level is: the next level, or a part that is looked at as a whole. */
struct below {
    bool is_level;
    redact_part_fn *redact;
};

static const struct below fields[LEVELS][3] = {
    [A_BODY] = {[1] = {true, NULL}},
    [A_RESOURCE_SPANS] = {[1] = {false, redact_resource_message}, [2] = {true, NULL}},
    [A_SCOPE_SPANS] = {[1] = {false, redact_scope_message}, [2] = {false, redact_span}},
};

struct body_walk {
    struct redact *r;
    struct buf *out;
    bool changed, failed;
};

static struct below below_of(enum level level, const struct wire_field *f)
{
    if (f->type != WIRE_LEN || f->number >= sizeof(fields[0]) / sizeof(fields[0][0]))
        return (struct below){false, NULL};
    return fields[level][f->number];
}

/* A part that stays is copied with its tag and length as they came. */
static void put_part(struct body_walk *w, redact_part_fn *redact, const struct wire_field *f,
                     struct slice whole)
{
    size_t before = w->out->len, begin = otlp_write_begin(w->out, f->number);
    enum redact_outcome outcome = redact(w->r, f->bytes, w->out);

    w->failed |= outcome == REDACT_FAILED || !buf_ok(w->out);
    if (w->failed)
        return;
    if (outcome == REDACT_CHANGED) {
        otlp_write_end(w->out, begin);
        w->changed = true;
        return;
    }
    w->out->len = before;
    buf_append(w->out, whole.data, whole.len);
}

static void put_level(struct body_walk *w, enum level level, struct slice message)
{
    struct wire in = wire_of(message);
    struct wire_field f;

    for (const uint8_t *from = in.at; !w->failed && wire_next(&in, &f); from = in.at) {
        struct below below = below_of(level, &f);
        struct slice whole = slice_make(from, (size_t)(in.at - from));

        if (below.redact) {
            put_part(w, below.redact, &f, whole);
        } else if (below.is_level) {
            size_t begin = otlp_write_begin(w->out, f.number);

            put_level(w, level + 1, f.bytes);
            if (!w->failed)
                otlp_write_end(w->out, begin);
        } else {
            buf_append(w->out, whole.data, whole.len);
        }
        w->failed |= !buf_ok(w->out);
    }
    w->failed |= in.at != in.end;
}

/* The n-th buffer of r; NULL behind the last. */
static struct buf *scratch(struct redact *r, size_t n)
{
    struct buf *list[] = {&r->passes[0], &r->passes[1], &r->edits, &r->fields, &r->left};

    return n < sizeof(list) / sizeof(list[0]) ? list[n] : NULL;
}

void redact_count_memory(struct redact *r, struct memory *memory)
{
    struct buf *b;

    for (size_t n = 0; (b = scratch(r, n)); n++) {
        buf_fini(b);
        b->memory = memory;
    }
}

/* One body with much in it must not hold memory for good. */
static void give_back(struct redact *r)
{
    struct buf *b;

    for (size_t n = 0; (b = scratch(r, n)); n++)
        if (b->cap > SCRATCH_KEPT)
            buf_fini(b);
}

enum redact_outcome redact_body(struct redact *r, struct slice body, struct buf *out)
{
    struct body_walk w = {.r = r, .out = out};
    void (*look)(void *arg) = r->look;

    r->look = NULL; /* no script is running that could be ended */
    put_level(&w, A_BODY, body);
    r->look = look;
    give_back(r);
    if (w.failed)
        return REDACT_FAILED;
    return w.changed ? REDACT_CHANGED : REDACT_SAME;
}
