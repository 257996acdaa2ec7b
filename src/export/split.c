#include "export/split.h"

#include "export/compose_parts.h"
#include "otlp/scan.h"

/* Field numbers, the same in every signal: TracesData.resource_spans, ResourceSpans.scope_spans,
 * ScopeSpans.spans (metrics, log_records). */
enum { RESOURCES = 1, SCOPES = 2, UNITS = 2 };

/* One level of the body on the way down. */
struct level {
    struct slice message;
    struct wire_field field;
    size_t at;   /* where the field that was found begins */
    size_t next; /* where the one after it begins */
};

/* The next field `number` at or after offset `at`. */
static bool find(struct level *l, uint32_t number, size_t at)
{
    struct wire w = {l->message.data + at, l->message.data + l->message.len};

    for (const uint8_t *start = w.at; wire_next(&w, &l->field); start = w.at) {
        if (l->field.number != number || l->field.type != WIRE_LEN)
            continue;
        l->at = (size_t)(start - l->message.data);
        l->next = (size_t)(w.at - l->message.data);
        return true;
    }
    return false;
}

/* Everything of the message but fields `number`. */
static void put_others(struct buf *out, struct slice message, uint32_t number)
{
    struct wire w = wire_of(message);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at)
        if (f.number != number || f.type != WIRE_LEN)
            copy_run(out, start, w.at);
}

static size_t others_size(struct slice message, uint32_t number)
{
    struct wire w = wire_of(message);
    struct wire_field f;
    size_t size = 0;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at)
        if (f.number != number || f.type != WIRE_LEN)
            size += (size_t)(w.at - start);
    return size + 8; /* the tag and the length of the message itself */
}

/* One piece under way. */
struct piece {
    enum otlp_signal signal;
    const struct split_limits *limits;
    struct buf *out; /* NULL: only counts */
    size_t bytes;
    uint32_t items;
    bool full;
};

/* The items in a span, a metric or a log record. */
static uint32_t items_in(const struct piece *p, struct slice unit)
{
    return p->signal == OTLP_METRICS ? (uint32_t)scan_points(unit) : 1;
}

/* Whether `bytes` with `items` more fit; a piece takes at least one item. Metrics without points
 * fit always: a piece with nothing to count would not be one. */
static bool fits(struct piece *p, size_t bytes, uint32_t items)
{
    if (p->items > 0 && items > 0 &&
        (p->items + items > p->limits->max_items || p->bytes + bytes > p->limits->max_bytes))
        p->full = true;
    return !p->full;
}

/* Units of one scope from offset *at; 0 when all are done. */
static void cut_scope(struct piece *p, struct slice scope, size_t *at)
{
    struct level l = {.message = scope};
    struct open_field field = {0};
    size_t around = others_size(scope, UNITS), from = *at;
    bool begun = false;

    for (; find(&l, UNITS, from); from = l.next) {
        uint32_t items = items_in(p, l.field.bytes);
        size_t bytes = l.next - l.at + (begun ? 0 : around);

        if (!fits(p, bytes, items))
            break;
        if (p->out && !begun) {
            field = field_begin(p->out, SCOPES, scope.len);
            put_others(p->out, scope, UNITS);
        }
        p->bytes += bytes;
        p->items += items;
        begun = true;
        if (p->out)
            copy_run(p->out, scope.data + l.at, scope.data + l.next);
    }
    if (p->out && begun)
        field_end(p->out, field);
    *at = p->full ? l.at : 0;
}

/* What the first unit at or after `at` takes with what stands around it; 0: there is none. */
static size_t first_size(const struct piece *p, struct slice scope, size_t at, uint32_t *items)
{
    struct level l = {.message = scope};

    if (!find(&l, UNITS, at))
        return 0;
    *items = items_in(p, l.field.bytes);
    return l.next - l.at + others_size(scope, UNITS);
}

static void cut_resource(struct piece *p, struct slice resource, struct split_position *at)
{
    struct level l = {.message = resource};
    size_t around = others_size(resource, SCOPES);
    struct open_field field = {0};
    bool begun = false;

    for (; !p->full && find(&l, SCOPES, at->scope); at->scope = l.next) {
        uint32_t items;
        size_t first = first_size(p, l.field.bytes, at->span, &items);

        if (!first)
            continue;
        if (!begun && !fits(p, around + first, items))
            break;
        if (p->out && !begun) {
            field = field_begin(p->out, RESOURCES, resource.len);
            put_others(p->out, resource, SCOPES);
        }
        p->bytes += begun ? 0 : around;
        begun = true;
        cut_scope(p, l.field.bytes, &at->span);
        if (p->full)
            break;
    }
    if (p->out && begun)
        field_end(p->out, field);
    if (!p->full)
        at->scope = at->span = 0;
}

uint32_t split_next(enum otlp_signal signal, struct slice body, struct split_position *at,
                    const struct split_limits *limits, struct buf *out)
{
    struct piece p = {.signal = signal, .limits = limits, .out = out};
    struct level l = {.message = body};

    if (body.len == 0) /* there may be no bytes to point at */
        return 0;
    for (; find(&l, RESOURCES, at->resource); at->resource = l.next) {
        cut_resource(&p, l.field.bytes, at);
        if (p.full)
            break;
    }
    return p.items;
}
