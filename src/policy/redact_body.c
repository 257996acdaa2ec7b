/* A body as it came: walks down to its resources, scopes and spans, data points or log records, and
 * copies the rest byte for byte around what becomes of them. */
#include "otlp/wire.h"
#include "otlp/write.h"
#include "policy/redact_parts.h"

/* A message on the way down to the items; from A_METRIC on, of metrics. */
enum level {
    A_BODY,
    A_RESOURCE,
    A_SPANS, /* a ScopeSpans and the like */
    A_LOGS,
    A_METRICS,
    A_METRIC,
    A_NUMBER_DATA, /* of a gauge, a sum, a summary */
    A_HISTOGRAM_DATA,
    A_EXPONENTIAL_DATA,
    NO_LEVEL,
};

enum { SCRATCH_KEPT = 1 << 20 }; /* bytes of each buffer that stay from one body to the next */
enum { MAX_FIELDS = 12 };

typedef enum redact_outcome redact_part_fn(struct redact *r, struct slice part, struct buf *out);

static enum redact_outcome redact_log(struct redact *r, struct slice part, struct buf *out)
{
    return redact_item(r, OWNER_LOG, part, out);
}

static enum redact_outcome redact_number(struct redact *r, struct slice part, struct buf *out)
{
    return redact_item(r, OWNER_POINT, part, out);
}

static enum redact_outcome redact_histogram(struct redact *r, struct slice part, struct buf *out)
{
    return redact_item(r, OWNER_HISTOGRAM_POINT, part, out);
}

static enum redact_outcome redact_exponential(struct redact *r, struct slice part, struct buf *out)
{
    return redact_item(r, OWNER_EXPONENTIAL_POINT, part, out);
}

/* What a field of a level is: another level, or a part that is looked at as a whole. */
struct below {
    enum level level; /* A_BODY, which is below nothing: none */
    redact_part_fn *redact;
};

static const struct below fields[NO_LEVEL][MAX_FIELDS] = {
    [A_BODY] = {[1] = {A_RESOURCE, NULL}},
    [A_RESOURCE] = {[1] = {A_BODY, redact_resource_message}, [2] = {NO_LEVEL, NULL}},
    [A_SPANS] = {[1] = {A_BODY, redact_scope_message}, [2] = {A_BODY, redact_span}},
    [A_LOGS] = {[1] = {A_BODY, redact_scope_message}, [2] = {A_BODY, redact_log}},
    [A_METRICS] = {[1] = {A_BODY, redact_scope_message}, [2] = {A_METRIC, NULL}},
    [A_METRIC] = {[5] = {A_NUMBER_DATA, NULL},
                  [7] = {A_NUMBER_DATA, NULL},
                  [9] = {A_HISTOGRAM_DATA, NULL},
                  [10] = {A_EXPONENTIAL_DATA, NULL},
                  [11] = {A_NUMBER_DATA, NULL}},
    [A_NUMBER_DATA] = {[1] = {A_BODY, redact_number}},
    [A_HISTOGRAM_DATA] = {[1] = {A_BODY, redact_histogram}},
    [A_EXPONENTIAL_DATA] = {[1] = {A_BODY, redact_exponential}},
};

static const enum level scopes[OTLP_SIGNALS] = {
    [OTLP_TRACES] = A_SPANS, [OTLP_METRICS] = A_METRICS, [OTLP_LOGS] = A_LOGS};

struct body_walk {
    struct redact *r;
    struct buf *out;
    enum level scope; /* of the signal */
    bool changed, failed;
};

static struct below below_of(const struct body_walk *w, enum level level,
                             const struct wire_field *f)
{
    struct below below = {A_BODY, NULL};

    if (f->type != WIRE_LEN || f->number >= MAX_FIELDS)
        return below;
    below = fields[level][f->number];
    if (below.level == NO_LEVEL)
        below.level = w->scope;
    return below;
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
        struct below below = below_of(w, level, &f);
        struct slice whole = slice_make(from, (size_t)(in.at - from));

        if (below.redact) {
            put_part(w, below.redact, &f, whole);
        } else if (below.level != A_BODY) {
            size_t begin = otlp_write_begin(w->out, f.number);

            put_level(w, below.level, f.bytes);
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

enum redact_outcome redact_body(struct redact *r, enum otlp_signal signal, struct slice body,
                                struct buf *out)
{
    struct body_walk w = {.r = r, .out = out, .scope = scopes[signal]};
    void (*look)(void *arg) = r->look;

    r->look = NULL; /* no script is running that could be ended */
    put_level(&w, A_BODY, body);
    r->look = look;
    give_back(r);
    if (w.failed)
        return REDACT_FAILED;
    return w.changed ? REDACT_CHANGED : REDACT_SAME;
}
