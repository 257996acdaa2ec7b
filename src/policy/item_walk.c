/* Goes from the resources of a body to its items and writes what is left of them. What nothing was
 * done about is copied byte for byte. */
#include "policy/item_walk.h"

#include "otlp/items.h"
#include "otlp/scan.h"
#include "otlp/write.h"

enum { RESOURCES = 1, SCOPES = 2, ITEMS = 2, POINTS = 1 }; /* field numbers */

static void drop(struct item_walk *w, uint16_t label, size_t items)
{
    w->changed = true;
    if (items > 0)
        w->sink->dropped(w->sink->arg, label, items);
}

static struct span_view view_of(const struct item_walk *w, struct slice item)
{
    return (struct span_view){.span = item, .resource = w->resource, .scope = w->scope};
}

/* Reads `message` field by field; `put` writes each that is of number `wanted`. */
struct field_at {
    struct wire_field field;
    struct slice whole; /* with tag and length */
};

static bool next(struct wire *in, struct field_at *at)
{
    const uint8_t *from = in->at;

    if (!wire_next(in, &at->field))
        return false;
    at->whole = slice_make(from, (size_t)(in->at - from));
    return true;
}

static bool is(const struct field_at *at, uint32_t number)
{
    return at->field.number == number && at->field.type == WIRE_LEN;
}

static void copy(struct item_walk *w, const struct field_at *at)
{
    buf_append(w->out, at->whole.data, at->whole.len);
}

/* What is left of a field of one item. */
static bool put(struct item_walk *w, enum fate fate, const struct field_at *at, struct slice left)
{
    if (fate == FATE_DROPPED)
        return false;
    if (fate == FATE_SAME) {
        copy(w, at);
    } else {
        wire_put_bytes(w->out, at->field.number, left);
        w->changed = true;
    }
    return true;
}

/* All below return whether something is left of what they write. */

static bool put_point(struct item_walk *w, const struct metric_view *metric,
                      const struct field_at *at)
{
    struct span_view view = view_of(w, at->field.bytes);
    uint16_t label;
    enum fate fate =
        item_ask(w, w->about->item, items_point_owner(metric->type), metric->metric, &view, &label);

    if (fate == FATE_DROPPED)
        drop(w, label, 1);
    return put(w, fate, at, view.span);
}

/* The message around the points. *points: how many there were. */
static size_t put_points(struct item_walk *w, const struct metric_view *metric,
                         const struct field_at *data, size_t *points)
{
    size_t begin = otlp_write_begin(w->out, data->field.number), left = 0;
    struct wire in = wire_of(data->field.bytes);
    struct field_at at;

    while (next(&in, &at)) {
        if (is(&at, POINTS)) {
            left += put_point(w, metric, &at);
            ++*points;
        } else {
            copy(w, &at);
        }
    }
    otlp_write_end(w->out, begin);
    return left;
}

static bool put_metric_points(struct item_walk *w, struct slice message)
{
    size_t start = w->out->len, begin = otlp_write_begin(w->out, ITEMS), points = 0, left = 0;
    struct wire in = wire_of(message);
    struct metric_view metric;
    struct field_at at;

    metric_view_read(message, &metric);
    while (next(&in, &at)) {
        if (metric.type != METRIC_EMPTY && is(&at, metric.type) &&
            at.whole.data >= message.data + metric.data_at)
            left += put_points(w, &metric, &at, &points);
        else
            copy(w, &at);
    }
    otlp_write_end(w->out, begin);
    if (points == 0 || left > 0)
        return true;
    w->out->len = start;
    return false;
}

/* A copy in `to`, which is not written on while what it is around is. */
static struct slice set_aside(struct item_walk *w, struct buf *to, struct slice bytes)
{
    buf_clear(to);
    buf_append(to, bytes.data, bytes.len);
    w->out->failed |= !buf_ok(to);
    return buf_ok(to) ? buf_slice(to) : (struct slice){0};
}

static bool put_metric(struct item_walk *w, const struct field_at *at)
{
    struct span_view view = view_of(w, at->field.bytes);
    uint16_t label;
    enum fate fate = item_ask(w, w->about->metric, OWNER_METRIC, (struct slice){0}, &view, &label);

    if (fate == FATE_DROPPED) {
        drop(w, label, scan_points(at->field.bytes));
        return false;
    }
    w->changed |= fate == FATE_CHANGED;
    if (w->about->item == LUA_NOREF)
        return put(w, fate, at, view.span);
    if (fate == FATE_SAME)
        return put_metric_points(w, at->field.bytes);
    return put_metric_points(w, set_aside(w, &w->p->metric, view.span));
}

static bool put_log(struct item_walk *w, const struct field_at *at)
{
    struct span_view view = view_of(w, at->field.bytes);
    uint16_t label;
    enum fate fate = item_ask(w, w->about->item, OWNER_LOG, (struct slice){0}, &view, &label);

    if (fate == FATE_DROPPED)
        drop(w, label, 1);
    return put(w, fate, at, view.span);
}

static bool put_scope(struct item_walk *w, const struct field_at *scope)
{
    size_t start = w->out->len, begin = otlp_write_begin(w->out, SCOPES), items = 0, left = 0;
    struct wire in = wire_of(scope->field.bytes);
    struct field_at at;

    w->scope = scope->field.bytes;
    while (next(&in, &at)) {
        if (is(&at, ITEMS)) {
            items++;
            left += w->signal == OTLP_METRICS ? put_metric(w, &at) : put_log(w, &at);
        } else {
            copy(w, &at);
        }
    }
    otlp_write_end(w->out, begin);
    if (items == 0 || left > 0)
        return true;
    w->out->len = start;
    return false;
}

static size_t items_in_scope(enum otlp_signal signal, struct slice scope)
{
    struct wire in = wire_of(scope);
    struct field_at at;
    size_t n = 0;

    while (next(&in, &at))
        if (is(&at, ITEMS))
            n += signal == OTLP_METRICS ? scan_points(at.field.bytes) : 1;
    return n;
}

static size_t items_in_resource(enum otlp_signal signal, struct slice resource)
{
    struct wire in = wire_of(resource);
    struct field_at at;
    size_t n = 0;

    while (next(&in, &at))
        if (is(&at, SCOPES))
            n += items_in_scope(signal, at.field.bytes);
    return n;
}

/* Its fields but the scopes, which are written behind them. */
static void put_resource_fields(struct slice resource, struct buf *out)
{
    const struct splice as_it_is = {NULL, 0};

    splice_resource(resource, &as_it_is, out);
}

/* What was edited is without its scopes. */
static bool is_same_resource(struct item_walk *w, struct slice came, struct slice edited)
{
    struct buf *fields = &w->p->resource;

    buf_clear(fields);
    put_resource_fields(came, fields);
    return buf_ok(fields) && slice_equal(buf_slice(fields), edited);
}

static void put_resource(struct item_walk *w, const struct field_at *resource)
{
    struct span_view view = {.resource = resource->field.bytes};
    size_t start = w->out->len, begin = otlp_write_begin(w->out, RESOURCES), scopes = 0, left = 0;
    struct wire in = wire_of(resource->field.bytes);
    struct field_at at;
    uint16_t label;
    enum fate fate =
        item_ask(w, w->about->resource, OWNER_RESOURCE, (struct slice){0}, &view, &label);

    if (fate == FATE_DROPPED) {
        drop(w, label, items_in_resource(w->signal, resource->field.bytes));
        w->out->len = start;
        return;
    }
    if (fate == FATE_CHANGED && is_same_resource(w, resource->field.bytes, view.resource))
        fate = FATE_SAME;
    w->changed |= fate == FATE_CHANGED;
    put_resource_fields(view.resource, w->out);
    w->resource =
        fate == FATE_CHANGED ? set_aside(w, &w->p->resource, view.resource) : resource->field.bytes;
    while (next(&in, &at)) {
        if (!is(&at, SCOPES))
            continue;
        scopes++;
        left += put_scope(w, &at);
    }
    otlp_write_end(w->out, begin);
    if (scopes > 0 && left == 0)
        w->out->len = start;
}

void item_walk_body(struct item_walk *w, struct slice body)
{
    struct wire in = wire_of(body);
    struct field_at at;

    while (next(&in, &at)) {
        if (is(&at, RESOURCES))
            put_resource(w, &at);
        else
            copy(w, &at);
    }
}
