/* Processors of metrics and logs: one walks a body from its resources to its items, asks about
 * each, and writes what is left. What nothing was done about is copied byte for byte. */
#include "otlp/items.h"
#include "otlp/scan.h"
#include "otlp/write.h"
#include "policy/processor_parts.h"
#include "policy/redact_lua.h"

enum { RESOURCES = 1, SCOPES = 2, ITEMS = 2, POINTS = 1 }; /* field numbers */

/* ---- making ---- */

static bool flag(lua_State *L, const char *key)
{
    bool is_set;

    lua_getfield(L, -1, key);
    is_set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_set;
}

static void init_signal(lua_State *L, struct processor_items *items, const char *name)
{
    *items = (struct processor_items){
        .resource = LUA_NOREF, .metric = LUA_NOREF, .item = LUA_NOREF, .when_ref = LUA_NOREF};
    lua_getfield(L, -1, name);
    if (lua_istable(L, -1)) {
        items->resource = processor_reference(L, "resource");
        items->metric = processor_reference(L, "metric");
        items->item = processor_reference(L, "item");
        items->redacts = flag(L, "redacts");
        items->asked = true;
        lua_getfield(L, -1, "when");
        items->when = match_get(L, -1);
        lua_pop(L, 1);
        items->when_ref = processor_reference(L, "when");
    }
    lua_pop(L, 1);
}

void processor_items_init(struct processor_set *p, struct processor *x)
{
    lua_State *L = p->L;

    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++)
        init_signal(L, &x->items[s], otlp_signal_name((enum otlp_signal)s));
    lua_getfield(L, -1, "bodies");
    x->redacts_items = redact_get(L, -1);
    lua_pop(L, 1);
    x->bodies_ref = processor_reference(L, "bodies");
    if (x->redacts_items)
        redact_count_memory(x->redacts_items, p->shared->memory);
}

void processor_items_fini(struct processor_set *p, struct processor *x)
{
    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++) {
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->items[s].resource);
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->items[s].metric);
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->items[s].item);
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->items[s].when_ref);
    }
    luaL_unref(p->L, LUA_REGISTRYINDEX, x->bodies_ref);
}

bool processor_set_has_items(const struct processor_set *p, enum otlp_signal signal)
{
    for (size_t i = 0; p && i < p->count; i++)
        if (p->processors[i].items[signal].asked)
            return true;
    return false;
}

/* ---- asking ---- */

struct item_walk {
    struct processor_set *p;
    struct processor *x;
    const struct processor_items *about;
    enum otlp_signal signal;
    const struct item_sink *sink;
    struct buf *out;
    uint64_t now_ns;
    struct slice resource, scope; /* those around */
    bool changed;
};

/* What becomes of an item. */
enum fate { FATE_SAME, FATE_CHANGED, FATE_DROPPED };

static void drop(struct item_walk *w, uint16_t label, size_t items)
{
    w->changed = true;
    if (items > 0)
        w->sink->dropped(w->sink->arg, label, items);
}

/* As on_error says of what could not be done; a data point without its attributes would be another
 * series. *left: of what is stripped. */
static enum fate failed(struct item_walk *w, enum attr_owner item, struct span_view *view)
{
    struct editor *e = w->p->editor;

    if (w->x->on_error == ON_ERROR_PASS)
        return FATE_SAME;
    if (w->x->on_error == ON_ERROR_STRIP && item == OWNER_LOG &&
        editor_strip_log(e, view->span, &view->span))
        return FATE_CHANGED;
    if (w->x->on_error == ON_ERROR_STRIP && item == OWNER_RESOURCE &&
        editor_strip_resource(e, view->resource, &view->resource))
        return FATE_CHANGED;
    return FATE_DROPPED;
}

/* Asks about what the reader has; *view becomes what is left, until the next edit. */
static enum fate ask_reader(struct item_walk *w, int function, struct span_view *view,
                            uint16_t *label)
{
    struct processor_set *p = w->p;
    enum attr_owner item = p->reader->trace->item;
    const struct span_view came = *view;
    enum answer answer;
    bool ok;

    if (w->about->when && !match_reads(w->about->when, p->reader, 0))
        return FATE_SAME;
    editor_begin(p->editor, 0);
    answer = processor_ask(p, w->x, function, 0, w->now_ns, label);
    ok = editor_end_at_once(p->editor, answer == ANSWER_LEAVE, view);
    if (p->editor->redact)
        processor_count_redacted(p, w->x, p->editor->redact, answer == ANSWER_LEAVE && ok);
    if (answer == ANSWER_DROP)
        return FATE_DROPPED;
    if (answer == ANSWER_FAILED || !ok) {
        *label = w->x->error_label;
        return failed(w, item, view);
    }
    if (view->resource.data != came.resource.data)
        return FATE_CHANGED;
    return slice_equal(view->span, came.span) ? FATE_SAME : FATE_CHANGED;
}

static enum fate ask(struct item_walk *w, int function, enum attr_owner item, struct slice metric,
                     struct span_view *view, uint16_t *label)
{
    struct processor_set *p = w->p;
    struct policy_trace one = {.trigger = "wait",
                               .count = 1,
                               .only_root = POLICY_ROOT_UNKNOWN,
                               .span = policy_span_in_array,
                               .span_arg = view,
                               .item = item,
                               .metric = metric};
    enum fate fate;

    *label = w->x->error_label;
    if (function == LUA_NOREF)
        return FATE_SAME;
    reader_begin(p->reader, &one);
    fate = reader_ready(p->reader) ? ask_reader(w, function, view, label) : failed(w, item, view);
    reader_end(p->reader);
    return fate;
}

static struct span_view view_of(const struct item_walk *w, struct slice item)
{
    return (struct span_view){.span = item, .resource = w->resource, .scope = w->scope};
}

/* ---- writing ---- */

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
        ask(w, w->about->item, items_point_owner(metric->type), metric->metric, &view, &label);

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
    enum fate fate = ask(w, w->about->metric, OWNER_METRIC, (struct slice){0}, &view, &label);

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
    enum fate fate = ask(w, w->about->item, OWNER_LOG, (struct slice){0}, &view, &label);

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
    enum fate fate = ask(w, w->about->resource, OWNER_RESOURCE, (struct slice){0}, &view, &label);

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

/* ---- a body ---- */

static void put_body(struct item_walk *w, struct slice body)
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

/* *left becomes what `x` leaves of it, in the buffer that *left does not lie in. */
static enum err run_one(struct item_walk *w, unsigned *turn, struct slice *left)
{
    enum redact_outcome outcome;

    w->out = &w->p->bodies[*turn];
    w->changed = false;
    buf_clear(w->out);
    if (w->about->redacts) {
        outcome = redact_body(w->x->redacts_items, w->signal, *left, w->out);
        w->changed = outcome == REDACT_CHANGED;
        if (outcome == REDACT_FAILED) {
            processor_count_failure(w->p, w->x, FAILURE_MEMORY);
            return ERR_FULL;
        }
    } else {
        put_body(w, *left);
    }
    if (!buf_ok(w->out))
        return ERR_FULL;
    if (w->changed) {
        *left = buf_slice(w->out);
        *turn ^= 1;
    }
    return ERR_OK;
}

enum err processor_set_items(struct processor_set *p, enum otlp_signal signal, struct slice body,
                             uint64_t now_ns, const struct item_sink *sink, struct slice *left)
{
    unsigned turn = 0;
    enum err err = ERR_OK;

    *left = body;
    policy_begin_time(p->L, now_ns);
    for (size_t i = 0; i < p->count && err == ERR_OK; i++) {
        struct item_walk w = {.p = p,
                              .x = &p->processors[i],
                              .about = &p->processors[i].items[signal],
                              .signal = signal,
                              .sink = sink,
                              .now_ns = now_ns};

        if (w.about->asked && left->len > 0)
            err = run_one(&w, &turn, left);
    }
    policy_end_time(p->L);
    return err;
}

void processor_set_items_end(struct processor_set *p, bool taken)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->processors[i].redacts_items)
            processor_count_redacted(p, &p->processors[i], p->processors[i].redacts_items, taken);
    processor_set_give_back(p);
    editor_clear(p->editor);
}
