/* What exporters that map whole spans ask for: all attributes, events and links at once. */
#include "policy/whole.h"

#include "otlp/wire.h"
#include "policy/access.h"

#include <arpa/inet.h>
#include <math.h>

#include <lauxlib.h>

#define JSON_META "moontail.json" /* registry: the metatable of values that are JSON already */

enum { MAX_ADDRESS = 64, MAX_MORE = 1 << 20, FEW = 16 };

static const char *const type_names[] = {
    [VALUE_INT] = "int",    [VALUE_DOUBLE] = "double", [VALUE_ARRAY] = "list",
    [VALUE_KVLIST] = "map", [VALUE_BYTES] = "bytes",
};

/* ---- values ---- */

bool whole_is_json(lua_State *L, int index)
{
    bool is;

    if (!lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, JSON_META);
    is = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 2);
    return is;
}

/* { type =, json = }, of the text on top, which it replaces. */
static void wrap_json(lua_State *L, const char *type)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, type);
    lua_setfield(L, -2, "type");
    lua_insert(L, -2);
    lua_setfield(L, -2, "json");
    luaL_getmetatable(L, JSON_META);
    lua_setmetatable(L, -2);
}

void whole_push_json(lua_State *L, const char *type, struct slice json)
{
    luaL_checkstack(L, 4, "JSON");
    lua_pushlstring(L, (const char *)json.data, json.len);
    wrap_json(L, type);
}

/* What Lua would round, or build only for it to be written again. */
static void push_json(lua_State *L, const struct value *v)
{
    access_push_text(L, v);
    if (v->type == VALUE_BYTES || (v->type == VALUE_DOUBLE && !isfinite(v->number))) {
        lua_pushliteral(L, "\"");
        lua_insert(L, -2);
        lua_pushliteral(L, "\"");
        lua_concat(L, 3);
    }
    wrap_json(L, type_names[v->type]);
}

static bool is_exact(int64_t integer)
{
    return integer >= -(INT64_C(1) << 53) && integer <= INT64_C(1) << 53;
}

static void push_plain(lua_State *L, const struct value *v)
{
    switch (v->type) {
    case VALUE_ABSENT:
        lua_pushlightuserdata(L, NULL); /* json_null */
        return;
    case VALUE_STRING:
        lua_pushlstring(L, (const char *)v->bytes.data, v->bytes.len);
        return;
    case VALUE_BOOL:
        lua_pushboolean(L, v->boolean);
        return;
    case VALUE_DOUBLE:
        if (v->number != trunc(v->number)) {
            lua_pushnumber(L, v->number);
            return;
        }
        break; /* else it would look like an integer */
    case VALUE_INT:
        if (is_exact(v->integer)) {
            lua_pushnumber(L, (lua_Number)v->integer);
            return;
        }
        break;
    default:
        break;
    }
    push_json(L, v);
}

static int count_fields(struct slice message, uint32_t number)
{
    struct wire w = wire_of(message);
    struct wire_field field;
    int n = 0;

    while (wire_next(&w, &field))
        n += field.number == number;
    return n;
}

/* Pushes the list of the keys, in order, and the map of the values, which has room for `more`.
 * Empty values are left out; of a link they are null. */
static void push_attrs(lua_State *L, enum attr_owner owner, struct slice message, int count,
                       int more)
{
    struct slice key;
    struct value v;
    size_t at = 0;
    int n = 0;

    luaL_checkstack(L, 8, "attributes");
    lua_createtable(L, count, 0);
    lua_createtable(L, 0, count + more);
    while (view_owner_attr_next(owner, message, &at, &key, &v)) {
        if (v.type == VALUE_ABSENT && owner != OWNER_LINK)
            continue;
        lua_pushlstring(L, (const char *)key.data, key.len);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -4, ++n);
        push_plain(L, &v);
        lua_rawset(L, -3);
    }
}

/* ---- the span ---- */

static struct reader *reader_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static size_t check_span(lua_State *L)
{
    struct reader *r = reader_of(L);
    double span = luaL_checknumber(L, 1);

    luaL_argcheck(L, span >= 0 && span < (double)r->count && reader_ready(r), 1, "no such span");
    return (size_t)span;
}

static void push_slice(lua_State *L, struct slice text)
{
    lua_pushlstring(L, (const char *)text.data, text.len);
}

/* The text of a field, or nil. */
static void push_field(lua_State *L, size_t span, enum reader_field field)
{
    struct value v = reader_field(reader_of(L), span, field);

    if (v.type == VALUE_STRING)
        push_slice(L, v.bytes);
    else
        lua_pushnil(L);
}

/* span_parts(span) -> name, id, trace id, parent id or nil, kind, status, message, start, end;
 * times are seconds, as the double next to what a double has of the nanoseconds. */
static int span_parts(lua_State *L)
{
    size_t span = check_span(L);
    const struct span_fields *f = reader_fields(reader_of(L), span);

    push_slice(L, f->name);
    push_field(L, span, FIELD_ID);
    push_field(L, span, FIELD_TRACE_ID);
    push_field(L, span, FIELD_PARENT_ID);
    lua_pushinteger(L, f->kind);
    lua_pushinteger(L, f->status);
    push_slice(L, f->status_message);
    lua_pushnumber(L, (double)f->start_ns / 1e9);
    lua_pushnumber(L, (double)f->end_ns / 1e9);
    return 9;
}

/* span_attrs(span, more) -> keys, values in a table with room for `more` */
static int span_attrs(lua_State *L)
{
    size_t span = check_span(L);
    struct slice bytes = reader_view(reader_of(L), span)->span;
    int more = (int)luaL_optinteger(L, 2, 0);

    luaL_argcheck(L, more >= 0 && more <= MAX_MORE, 2, "too many");
    push_attrs(L, OWNER_SPAN, bytes, count_fields(bytes, ATTRS_SPAN), more);
    return 2;
}

static int resource_attrs(lua_State *L)
{
    size_t span = check_span(L);

    push_attrs(L, OWNER_RESOURCE, reader_view(reader_of(L), span)->resource, FEW, 0);
    return 2;
}

/* resource_bytes(span) -> the Resource message: equal for equal resources; nil if there are
 * several. */
static int resource_bytes(lua_State *L)
{
    size_t span = check_span(L);
    struct wire w = wire_of(reader_view(reader_of(L), span)->resource);
    struct slice resource = {NULL, 0};
    struct wire_field field;
    int count = 0;

    while (wire_next(&w, &field))
        if (field.number == 1 && field.type == WIRE_LEN) {
            resource = field.bytes;
            count++;
        }
    if (count > 1)
        return 0;
    push_slice(L, resource);
    return 1;
}

/* resource_place(span) -> a number: the same for spans of a trace that have the same resource, one
 * time in the trace's bytes. */
static int resource_place(lua_State *L)
{
    size_t span = check_span(L);

    lua_pushnumber(L, (lua_Number)(uintptr_t)reader_view(reader_of(L), span)->resource.data);
    return 1;
}

/* ---- events and links ---- */

static void push_event(lua_State *L, struct slice event)
{
    uint64_t time_ns;
    struct slice name;

    view_event(event, &time_ns, &name);
    lua_createtable(L, 0, 3);
    push_slice(L, name);
    lua_setfield(L, -2, "name");
    lua_pushnumber(L, (double)(time_ns / 1000) / 1e6);
    lua_setfield(L, -2, "seconds"); /* of whole microseconds */
    push_attrs(L, OWNER_EVENT, event, count_fields(event, ATTRS_EVENT), 0);
    lua_setfield(L, -3, "attrs");
    lua_pop(L, 1);
}

/* span_events(span) -> list of { name, seconds, attrs }, or nil */
static int span_events(lua_State *L)
{
    struct slice event, bytes = reader_view(reader_of(L), check_span(L))->span;
    size_t at = 0;
    int n = 0;

    lua_settop(L, 1);
    while (view_event_next(bytes, &at, &event)) {
        if (n == 0)
            lua_newtable(L);
        push_event(L, event);
        lua_rawseti(L, 2, ++n);
    }
    return n > 0;
}

static void set_hex(lua_State *L, const char *key, struct slice id)
{
    struct value v = reader_hex(reader_of(L), id);

    if (v.type != VALUE_STRING)
        return;
    push_slice(L, v.bytes);
    lua_setfield(L, -2, key);
}

static void push_link(lua_State *L, struct slice link)
{
    struct slice trace_id, span_id, state;

    view_link(link, &trace_id, &span_id, &state);
    lua_createtable(L, 0, 3);
    set_hex(L, "trace_id", trace_id);
    set_hex(L, "id", span_id);
    push_attrs(L, OWNER_LINK, link, count_fields(link, ATTRS_LINK), 0);
    lua_setfield(L, -3, "attrs");
    lua_pop(L, 1);
}

/* span_links(span) -> list of { trace_id, id, attrs }, or nil */
static int span_links(lua_State *L)
{
    struct slice link, bytes = reader_view(reader_of(L), check_span(L))->span;
    size_t at = 0;
    int n = 0;

    lua_settop(L, 1);
    while (view_link_next(bytes, &at, &link)) {
        if (n == 0)
            lua_newtable(L);
        push_link(L, link);
        lua_rawseti(L, 2, ++n);
    }
    return n > 0;
}

/* is_address(text): an IPv4 or IPv6 address without a zone. */
static int is_address(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    unsigned char space[16];

    lua_pushboolean(
        L, len < MAX_ADDRESS && strlen(text) == len &&
               (inet_pton(AF_INET, text, space) == 1 || inet_pton(AF_INET6, text, space) == 1));
    return 1;
}

void whole_register(lua_State *L, struct reader *r)
{
    static const luaL_Reg functions[] = {
        {"span_parts", span_parts},
        {"span_attrs", span_attrs},
        {"span_events", span_events},
        {"span_links", span_links},
        {"resource_attrs", resource_attrs},
        {"resource_bytes", resource_bytes},
        {"resource_place", resource_place},
        {"is_address", is_address},
        {NULL, NULL},
    };

    luaL_newmetatable(L, JSON_META);
    lua_pop(L, 1);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushlightuserdata(L, r);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
}
