/* What exporters in Lua see of metrics: one call for a metric, one for a data point. */
#include "policy/metrics_lua.h"

#include "otlp/items.h"
#include "otlp/metric_view.h"
#include "policy/access.h"

#include <lauxlib.h>

#define WALK   "moontail.metric_walk"
#define POINTS "moontail.metric_points"

struct walk {
    struct metric_walk at;
    bool as_text; /* attributes are texts */
};

struct points {
    struct metric_points at;
    bool as_text;
};

/* Makes a userdata that keeps the value at `anchor` alive. */
static void *new_anchored(lua_State *L, size_t size, const char *name, int anchor)
{
    void *made = lua_newuserdata(L, size);

    memset(made, 0, size);
    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, anchor);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    return made;
}

static void push_slice(lua_State *L, struct slice text)
{
    lua_pushlstring(L, (const char *)text.data, text.len);
}

static void set_number(lua_State *L, const char *key, double number)
{
    lua_pushnumber(L, number);
    lua_setfield(L, -2, key);
}

static void set_ms(lua_State *L, const char *key, uint64_t unix_ns)
{
    if (unix_ns)
        set_number(L, key, (double)unix_ns / 1e6);
}

/* Of keys that occur twice, the first counts. */
static void push_attrs(lua_State *L, struct metric_attrs attrs, bool as_text)
{
    struct slice key;
    struct value v;

    luaL_checkstack(L, 16, "attributes");
    lua_newtable(L);
    while (metric_attrs_next(&attrs, &key, &v)) {
        if (v.type == VALUE_ABSENT)
            continue;
        push_slice(L, key);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (!lua_isnil(L, -1)) {
            lua_pop(L, 2);
            continue;
        }
        lua_pop(L, 1);
        if (as_text)
            access_push_text(L, &v);
        else
            access_push_value(L, &v);
        lua_rawset(L, -3);
    }
}

/* ---- metrics ---- */

/* metrics_open(body, as_text) -> walk */
static int metrics_open(lua_State *L)
{
    size_t len;
    const char *body = luaL_checklstring(L, 1, &len);
    struct walk *w;

    lua_settop(L, 2);
    w = new_anchored(L, sizeof(*w), WALK, 1);
    w->as_text = lua_toboolean(L, 2);
    metric_walk_init(&w->at, slice_make(body, len));
    return 1;
}

/* Pushes a name or nil. */
static void push_name(lua_State *L, const char *name)
{
    if (name)
        lua_pushstring(L, name);
    else
        lua_pushnil(L);
}

static void push_fields(lua_State *L, const struct metric_view *m)
{
    static const char *const temporalities[] = {NULL, "delta", "cumulative"};

    push_slice(L, m->name);
    push_slice(L, m->description);
    push_slice(L, m->unit);
    push_name(L, items_metric_type(m->type));
    push_name(L, m->temporality > 0 && m->temporality <= TEMPORALITY_CUMULATIVE
                     ? temporalities[m->temporality]
                     : NULL);
    lua_pushboolean(L, m->is_monotonic);
}

/* metrics_next(walk) -> name, description, unit, type, temporality, is_monotonic, points, whether
 * the resource is another than the last metric's, and the scope; nothing at the end. */
static int metrics_next(lua_State *L)
{
    struct walk *w = luaL_checkudata(L, 1, WALK);
    const uint8_t *resource = w->at.resource.data, *scope = w->at.scope.data;
    struct metric_view metric;
    struct points *points;

    lua_settop(L, 1);
    if (!metric_walk_next(&w->at, &metric))
        return 0;
    push_fields(L, &metric);
    points = new_anchored(L, sizeof(*points), POINTS, 1);
    points->at = metric_points_of(&metric);
    points->as_text = w->as_text;
    lua_pushboolean(L, w->at.resource.data != resource);
    lua_pushboolean(L, w->at.scope.data != scope);
    return 9;
}

/* metrics_resource(walk) -> attributes of the last metric's resource */
static int metrics_resource(lua_State *L)
{
    const struct walk *w = luaL_checkudata(L, 1, WALK);

    push_attrs(L, metric_resource_attrs(w->at.resource), w->as_text);
    return 1;
}

/* metrics_scope(walk) -> name, version and attributes of its scope */
static int metrics_scope(lua_State *L)
{
    const struct walk *w = luaL_checkudata(L, 1, WALK);
    struct slice name, version;

    view_scope(w->at.scope, &name, &version);
    push_slice(L, name);
    push_slice(L, version);
    push_attrs(L, metric_scope_attrs(w->at.scope), w->as_text);
    return 3;
}

/* ---- data points ---- */

static void set_value(lua_State *L, const struct metric_number *n)
{
    if (n->type != NUMBER_NONE)
        set_number(L, "value", n->type == NUMBER_INT ? (double)n->integer : n->number);
}

static void push_counts(lua_State *L, struct metric_numbers counts)
{
    uint64_t count;
    int n = 0;

    lua_newtable(L);
    while (metric_counts_next(&counts, &count)) {
        lua_pushnumber(L, (lua_Number)count);
        lua_rawseti(L, -2, ++n);
    }
}

static void set_bounds(lua_State *L, struct slice point)
{
    struct metric_numbers bounds = metric_bounds(point);
    double bound;
    int n = 0;

    lua_newtable(L);
    while (metric_bounds_next(&bounds, &bound)) {
        lua_pushnumber(L, bound);
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "bounds");
    push_counts(L, metric_bucket_counts(point));
    lua_setfield(L, -2, "counts");
}

static void set_buckets(lua_State *L, const char *key, struct slice point, bool is_negative)
{
    struct metric_numbers counts;
    int32_t offset;

    counts = metric_exponential_counts(point, is_negative, &offset);
    lua_createtable(L, 0, 2);
    set_number(L, "offset", offset);
    push_counts(L, counts);
    lua_setfield(L, -2, "counts");
    lua_setfield(L, -2, key);
}

static void set_quantiles(lua_State *L, struct slice point)
{
    struct metric_quantile q;
    size_t at = 0;
    int n = 0;

    lua_newtable(L);
    while (metric_quantile_next(point, &at, &q)) {
        lua_createtable(L, 0, 2);
        set_number(L, "quantile", q.quantile);
        set_number(L, "value", q.value);
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "quantiles");
}

static void set_histogram(lua_State *L, enum metric_type type, const struct metric_point *p)
{
    if (type != METRIC_HISTOGRAM && type != METRIC_EXPONENTIAL && type != METRIC_SUMMARY)
        return;
    set_number(L, "count", (double)p->count);
    if (p->has_sum)
        set_number(L, "sum", p->sum);
    if (p->has_min)
        set_number(L, "min", p->min);
    if (p->has_max)
        set_number(L, "max", p->max);
}

static void set_parts(lua_State *L, enum metric_type type, const struct metric_point *p,
                      struct slice point)
{
    if (type == METRIC_HISTOGRAM) {
        set_bounds(L, point);
    } else if (type == METRIC_SUMMARY) {
        set_quantiles(L, point);
    } else if (type == METRIC_EXPONENTIAL) {
        set_number(L, "scale", p->scale);
        set_number(L, "zero_count", (double)p->zero_count);
        set_number(L, "zero_threshold", p->zero_threshold);
        set_buckets(L, "positive", point, false);
        set_buckets(L, "negative", point, true);
    }
}

static void set_hex(lua_State *L, const char *key, struct slice id)
{
    static const char digits[] = "0123456789abcdef";
    char text[32];

    if (id.len != 8 && id.len != 16)
        return;
    for (size_t i = 0; i < id.len; i++) {
        text[2 * i] = digits[id.data[i] >> 4];
        text[2 * i + 1] = digits[id.data[i] & 15];
    }
    lua_pushlstring(L, text, 2 * id.len);
    lua_setfield(L, -2, key);
}

static void set_exemplars(lua_State *L, const struct points *points, struct slice point)
{
    struct metric_exemplar e;
    size_t at = 0;
    int n = 0;

    while (metric_exemplar_next(points->at.type, point, &at, &e)) {
        if (n == 0)
            lua_newtable(L);
        lua_createtable(L, 0, 5);
        set_ms(L, "time_ms", e.time_ns);
        set_value(L, &e.value);
        set_hex(L, "trace_id", e.trace_id);
        set_hex(L, "span_id", e.span_id);
        push_attrs(L, metric_exemplar_attrs(e.message), points->as_text);
        lua_setfield(L, -2, "attributes");
        lua_rawseti(L, -2, ++n);
    }
    if (n > 0)
        lua_setfield(L, -2, "exemplars");
}

/* metrics_point(points) -> the next data point, a table; nothing at the end. */
static int metrics_point(lua_State *L)
{
    struct points *points = luaL_checkudata(L, 1, POINTS);
    struct metric_point p;
    struct slice point;

    lua_settop(L, 1);
    if (!metric_points_next(&points->at, &point))
        return 0;
    metric_point_read(points->at.type, point, &p);
    lua_createtable(L, 0, 8);
    push_attrs(L, metric_point_attrs(points->at.type, point), points->as_text);
    lua_setfield(L, -2, "attributes");
    set_ms(L, "start_ms", p.start_ns);
    set_ms(L, "time_ms", p.time_ns);
    lua_pushboolean(L, (p.flags & METRIC_NO_VALUE) != 0);
    lua_setfield(L, -2, "no_value");
    set_value(L, &p.value);
    set_histogram(L, points->at.type, &p);
    set_parts(L, points->at.type, &p, point);
    set_exemplars(L, points, point);
    return 1;
}

void metrics_lua_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"metrics_open", metrics_open},         {"metrics_next", metrics_next},
        {"metrics_resource", metrics_resource}, {"metrics_scope", metrics_scope},
        {"metrics_point", metrics_point},       {NULL, NULL},
    };

    luaL_newmetatable(L, WALK);
    luaL_newmetatable(L, POINTS);
    lua_pop(L, 2);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
}
