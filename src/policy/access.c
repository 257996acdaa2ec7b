#include "policy/access.h"

#include "base/hash.h"
#include "otlp/json.h"
#include "policy/match.h"
#include "policy/shape.h"

#include <inttypes.h>
#include <stdio.h>

#include <lauxlib.h>

#define NO_SPAN   (-1.0)
#define FOR_WHERE (-2.0) /* instead of an answer */

enum inner_field { INNER_NAME, INNER_OFFSET_MS, INNER_TRACE_ID, INNER_SPAN_ID };

#define TEXT_OF(...)  #__VA_ARGS__
#define EXPANDED(...) TEXT_OF(__VA_ARGS__)

/* False for what is no index of a span, NaN too. */
static bool is_span(struct reader *r, double span)
{
    return span >= 0 && span < (double)r->count && reader_ready(r);
}

static double span_or_none(size_t span)
{
    return span == READER_NONE ? NO_SPAN : (double)span;
}

static double access_root(void *r)
{
    return span_or_none(reader_root(r));
}

static double access_entry(void *r)
{
    return span_or_none(reader_entry(r));
}

static double access_order(void *arg, double rank)
{
    return is_span(arg, rank) ? span_or_none(reader_order(arg, (size_t)rank)) : NO_SPAN;
}

static double access_parent(void *r, double span)
{
    return is_span(r, span) ? span_or_none(reader_parent(r, (size_t)span)) : NO_SPAN;
}

static int access_kind(void *r, double span)
{
    int32_t kind = is_span(r, span) ? reader_fields(r, (size_t)span)->kind : 0;

    return kind >= 0 && kind <= 5 ? kind : 0;
}

static int access_status(void *r, double span)
{
    int32_t status = is_span(r, span) ? reader_fields(r, (size_t)span)->status : 0;

    return status == 1 || status == 2 ? status : 0;
}

/* Puts the value into the face. What needs a table is read from `last` by access_value. */
static int show(struct reader *r, const struct value *v)
{
    r->face.type = (int)v->type;
    r->last = *v;
    switch (v->type) {
    case VALUE_ABSENT:
        break;
    case VALUE_BOOL:
        r->face.value = v->boolean;
        break;
    case VALUE_INT:
        r->face.value = (double)v->integer;
        break;
    case VALUE_DOUBLE:
        r->face.value = v->number;
        break;
    default:
        r->face.text = (const char *)v->bytes.data;
        r->face.len = v->bytes.len;
    }
    return r->face.type;
}

static int show_absent(struct reader *r)
{
    const struct value absent = {.type = VALUE_ABSENT};

    return show(r, &absent);
}

static int access_field(void *r, double span, int field)
{
    struct value v;

    if (!is_span(r, span) || field < 0 || field >= FIELD_COUNT)
        return show_absent(r);
    v = reader_field(r, (size_t)span, (enum reader_field)field);
    return show(r, &v);
}

/* A position in a span's message. */
static size_t position(double at)
{
    return at >= 0 && at <= (double)UINT32_MAX ? (size_t)at : SIZE_MAX;
}

static int access_attr(void *r, double span, int owner, double at, const char *key, size_t len)
{
    struct value v;

    if (!is_span(r, span) || !reader_attr(r, (size_t)span, (enum attr_owner)owner, position(at),
                                          slice_make(key, len), &v))
        return show_absent(r);
    return show(r, &v);
}

static double access_inner_next(void *r, double span, int owner, double at)
{
    struct slice bytes, message;
    size_t behind = position(at);
    bool found;

    if (!is_span(r, span))
        return NO_SPAN;
    bytes = reader_view(r, (size_t)span)->span;
    if (behind > bytes.len)
        return NO_SPAN;
    found = owner == OWNER_EVENT ? view_event_next(bytes, &behind, &message)
                                 : view_link_next(bytes, &behind, &message);
    return found ? (double)behind : NO_SPAN;
}

static int show_event(struct reader *r, struct slice event, int field)
{
    struct value v = {.type = VALUE_STRING};
    uint64_t time_ns;

    view_event(event, &time_ns, &v.bytes);
    if (field == INNER_NAME)
        return show(r, &v);
    v.type = VALUE_DOUBLE;
    v.number = reader_offset_ms(r, time_ns);
    return show(r, &v);
}

static int show_link(struct reader *r, struct slice link, int field)
{
    struct slice trace_id, span_id, state;
    struct value v;

    view_link(link, &trace_id, &span_id, &state);
    v = reader_hex(r, field == INNER_TRACE_ID ? trace_id : span_id);
    return show(r, &v);
}

static int access_inner_field(void *r, double span, int owner, double at, int field)
{
    struct slice message;

    if (!is_span(r, span) || (owner != OWNER_EVENT && owner != OWNER_LINK))
        return show_absent(r);
    message =
        reader_inner(reader_view(r, (size_t)span)->span, (enum attr_owner)owner, position(at));
    return owner == OWNER_EVENT ? show_event(r, message, field) : show_link(r, message, field);
}

/* A matcher with fields that only an exporter's `where` knows. */
static bool is_for_where(const void *match)
{
    return ((const struct match *)match)->asks_trace;
}

static double access_find(void *r, const void *match)
{
    return is_for_where(match) ? FOR_WHERE : span_or_none(match_find(match, r));
}

static double access_count(void *arg, const void *match)
{
    struct reader *r = arg;
    double n = 0;

    if (is_for_where(match))
        return FOR_WHERE;
    if (reader_ready(r))
        for (size_t i = 0; i < r->count; i++)
            n += match_reads(match, r, i);
    return n;
}

static double access_matches(void *r, double span, const void *match)
{
    if (is_for_where(match))
        return FOR_WHERE;
    return is_span(r, span) && match_reads(match, r, (size_t)span);
}

static bool access_holds(void *r, const void *match)
{
    return match_trace(match, r);
}

static bool access_has_service(void *arg, const char *name, size_t len)
{
    struct reader *r = arg;

    if (!reader_ready(r))
        return false;
    for (size_t i = 0; i < r->count; i++) {
        struct value v = reader_field(r, i, FIELD_SERVICE);

        if (v.type == VALUE_STRING && slice_equal(v.bytes, slice_make(name, len)))
            return true;
    }
    return false;
}

enum { MAX_SALT = 256 }; /* more is cut off */

static double access_fraction(void *arg, const char *salt, size_t len)
{
    const struct reader *r = arg;
    uint8_t text[MAX_SALT + 17];

    if (len > MAX_SALT)
        len = MAX_SALT;
    memcpy(text, salt, len);
    text[len] = 0;
    memcpy(text + len + 1, r->trace->id, 16);
    return (double)(siphash24((struct hash_key){0, 0}, text, len + 17) >> 11) * 0x1p-53;
}

static int access_shape(void *r, const void *fields, int spans)
{
    struct value v = {.type = VALUE_STRING};

    if (shape_of(r, fields, (enum shape_spans)spans, &v.bytes))
        return show_absent(r);
    return show(r, &v);
}

/* ---- on the Lua stack ---- */

static struct reader *upvalue_reader(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* value() -> the list, map or other value that was read last. */
static int lua_value(lua_State *L)
{
    access_push_value(L, &upvalue_reader(L)->last);
    return 1;
}

/* text() -> the exact text of the value that was read last. */
static int lua_text(lua_State *L)
{
    access_push_text(L, &upvalue_reader(L)->last);
    return 1;
}

/* id() -> the trace's id in hex. */
static int lua_id(lua_State *L)
{
    struct reader *r = upvalue_reader(L);
    struct value v = reader_hex(r, slice_make(r->trace->id, 16));

    access_push_value(L, &v);
    return 1;
}

static void set_string(lua_State *L, const char *key, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

/* decision() -> { verdict, policy, reason, p } or nil. */
static int lua_decision(lua_State *L)
{
    struct reader *r = upvalue_reader(L);
    const struct policy_verdict *d = r->trace->decision;

    if (!d || !r->labels)
        return 0;
    lua_createtable(L, 0, 4);
    set_string(L, "verdict", d->keep ? "keep" : "drop");
    set_string(L, "policy", labels_policy(r->labels, d->label));
    set_string(L, "reason", labels_reason(r->labels, d->label));
    if (d->probability >= 0) {
        lua_pushnumber(L, d->probability);
        lua_setfield(L, -2, "p");
    }
    return 1;
}

/* span_json(span) -> the span as OTLP/JSON, or nil. */
static int lua_span_json(lua_State *L)
{
    struct reader *r = upvalue_reader(L);
    double span = luaL_checknumber(L, 1);
    struct buf out;
    bool ok;

    if (!is_span(r, span))
        return 0;
    buf_init(&out, SIZE_MAX / 2, NULL);
    ok = json_from_span(reader_view(r, (size_t)span)->span, &out) == ERR_OK && buf_ok(&out);
    if (ok)
        lua_pushlstring(L, (const char *)out.data, out.len);
    buf_fini(&out);
    return ok;
}

/* span_times(span) -> start and end in nanoseconds, as exact digits, or nil. */
static int lua_span_times(lua_State *L)
{
    struct reader *r = upvalue_reader(L);
    double span = luaL_checknumber(L, 1);
    struct span_fields f;
    char text[24];

    if (!is_span(r, span))
        return 0;
    view_span_fields(reader_view(r, (size_t)span)->span, &f);
    snprintf(text, sizeof(text), "%" PRIu64, f.start_ns);
    lua_pushstring(L, text);
    snprintf(text, sizeof(text), "%" PRIu64, f.end_ns);
    lua_pushstring(L, text);
    return 2;
}

/* field_names() -> list of { owner, name, type, number }. */
static int lua_field_names(lua_State *L)
{
    lua_createtable(L, FIELD_COUNT, 0);
    for (int i = 0; i < FIELD_COUNT; i++) {
        lua_createtable(L, 0, 4);
        set_string(L, "owner", reader_field_names[i].owner);
        set_string(L, "name", reader_field_names[i].name);
        lua_pushinteger(L, reader_field_names[i].type);
        lua_setfield(L, -2, "type");
        lua_pushinteger(L, i);
        lua_setfield(L, -2, "number");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static void register_with_reader(lua_State *L, struct reader *r, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushlightuserdata(L, r);
        lua_pushcclosure(L, functions->func, 1);
        lua_setfield(L, -2, functions->name);
    }
}

static const struct access functions = {
    .root = access_root,
    .entry = access_entry,
    .order = access_order,
    .parent = access_parent,
    .kind = access_kind,
    .status = access_status,
    .field = access_field,
    .attr = access_attr,
    .inner_next = access_inner_next,
    .inner_field = access_inner_field,
    .find = access_find,
    .count = access_count,
    .matches = access_matches,
    .holds = access_holds,
    .has_service = access_has_service,
    .fraction = access_fraction,
    .shape = access_shape,
};

void access_register(lua_State *L, struct reader *r)
{
    static const luaL_Reg on_stack[] = {
        {"value", lua_value},
        {"text", lua_text},
        {"id", lua_id},
        {"decision", lua_decision},
        {"span_json", lua_span_json},
        {"span_times", lua_span_times},
        {"field_names", lua_field_names},
        {NULL, NULL},
    };

    register_with_reader(L, r, on_stack);
    lua_pushlightuserdata(L, r);
    lua_setfield(L, -2, "reader");
    lua_pushlightuserdata(L, (void *)&functions);
    lua_setfield(L, -2, "functions");
    set_string(L, "reader_type", "struct {" EXPANDED(READER_FACE_DECLARATIONS) "}");
    set_string(L, "functions_type", "struct {" EXPANDED(ACCESS_DECLARATIONS) "}");
}
