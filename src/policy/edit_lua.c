/* What lua/moontail/edit.lua calls: edits of the span that a processor is asked about. */
#include "base/utf8.h"
#include "lua/host.h"
#include "lua/state.h"
#include "otlp/items.h"
#include "otlp/write.h"
#include "policy/access.h"
#include "policy/edit.h"
#include "policy/redact_lua.h"

#include <lauxlib.h>

enum {
    VALUE_DEPTH = 16,
    LOOK_BYTES = 16 * 1024, /* an edit copies the span: a long one is worth a look at the clock */
};

static struct editor *editor_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* Argument 1 is the span; raises for another than the one that is being processed. */
static struct editor *check_span(lua_State *L)
{
    struct editor *e = editor_of(L);

    if (e->span == READER_NONE || luaL_checknumber(L, 1) != (double)e->span)
        luaL_error(L, "a processor edits the span that it is asked about, no other");
    if (e->view.span.len + e->view.resource.len > LOOK_BYTES)
        lua_run_look(L);
    return e;
}

static enum attr_owner item_of(const struct editor *e)
{
    return e->reader->trace->item;
}

/* check_span, of a call that is for items of one kind. */
static struct editor *check_item(lua_State *L, enum attr_owner item)
{
    struct editor *e = check_span(L);

    if (item_of(e) != item)
        luaL_error(L, "there is nothing to edit");
    return e;
}

/* ---- the next version ---- */

/* The buffer that `now` does not lie in. */
static struct buf *other_buf(struct buf bufs[2], struct slice now)
{
    struct buf *b = now.data && now.data == bufs[0].data ? &bufs[1] : &bufs[0];

    buf_clear(b);
    return b;
}

static void check_memory(lua_State *L, struct editor *e, const struct buf *b)
{
    if (!buf_ok(b)) {
        e->no_memory = true;
        luaL_error(L, "not enough memory");
    }
}

static void take_span(lua_State *L, struct editor *e, struct buf *b)
{
    check_memory(L, e, b);
    e->edits++;
    e->view.span = buf_slice(b);
    reader_set_view(e->reader, e->span, &e->view);
}

static void take_resource(lua_State *L, struct editor *e, struct buf *b)
{
    check_memory(L, e, b);
    if (!b->data) /* an empty resource lies somewhere too */
        (void)buf_reserve(b, 1);
    e->view.resource = buf_slice(b);
    reader_set_view(e->reader, e->span, &e->view);
}

/* ---- events and links ---- */

static bool next_inner(int owner, struct slice span, size_t *at, struct slice *message)
{
    return owner == OWNER_EVENT ? view_event_next(span, at, message)
                                : view_link_next(span, at, message);
}

/* Finds event or link `number` (from 1); false: there are not so many. In order it is a step each.
 */
static bool find_inner(struct editor *e, int owner, size_t number, struct slice *message)
{
    bool ahead = e->found.owner == owner && e->found.edits == e->edits && e->found.number > 0 &&
                 e->found.number <= number;
    size_t at = ahead ? e->found.at : 0, n = ahead ? e->found.number : 1;

    for (;; n++) {
        size_t begin = at;

        if (!next_inner(owner, e->view.span, &at, message))
            return false;
        if (n < number)
            continue;
        e->found.edits = e->edits;
        e->found.owner = owner;
        e->found.number = number;
        e->found.at = begin;
        return true;
    }
}

/* edit_inner_at(span, owner, number) -> where it is, or -1. */
static int edit_inner_at(lua_State *L)
{
    struct editor *e = check_span(L);
    int owner = (int)luaL_checkinteger(L, 2);
    double number = luaL_checknumber(L, 3);
    struct slice message;
    bool found = number >= 1 && number <= UINT32_MAX &&
                 (owner == OWNER_EVENT || owner == OWNER_LINK) &&
                 find_inner(e, owner, (size_t)number, &message);

    lua_pushnumber(L, found ? (double)e->found.at : -1);
    return 1;
}

/* ---- values ---- */

/* The string at `index` (not from the top). One that is not UTF-8, cut within a character, say, is
 * replaced there by one that is: for its sake a strict decoder would refuse all that leaves with
 * it.
 */
static struct slice check_text(lua_State *L, int index)
{
    struct slice text = lua_check_slice(L, index), piece;
    luaL_Buffer made;

    if (utf8_valid(text))
        return text;
    luaL_buffinit(L, &made);
    while (text.len > 0) {
        piece = utf8_next_valid(&text);
        luaL_addlstring(&made, (const char *)piece.data, piece.len);
    }
    luaL_pushresult(&made);
    lua_replace(L, index);
    return lua_check_slice(L, index);
}

static void put_value(lua_State *L, int index, int depth, struct buf *b);

/* lua/moontail/edit.lua says what it is: { list = true, ... } or { map = true, key, value, ... }.
 */
static void put_table(lua_State *L, int index, int depth, struct buf *b)
{
    size_t count = lua_objlen(L, index), pair = 0, any;
    bool is_map;

    luaL_checkstack(L, 4, "a value is too deep");
    lua_getfield(L, index, "map");
    is_map = lua_toboolean(L, -1);
    lua_pop(L, 1);
    for (size_t i = 1; i <= count; i++) {
        if (is_map) {
            lua_rawgeti(L, index, (int)i++);
            pair = otlp_write_begin(b, 1);
            wire_put_bytes(b, 1, check_text(L, lua_gettop(L)));
            lua_pop(L, 1);
        }
        lua_rawgeti(L, index, (int)i);
        any = otlp_write_begin(b, is_map ? 2 : 1);
        put_value(L, lua_gettop(L), depth + 1, b);
        otlp_write_end(b, any);
        if (is_map)
            otlp_write_end(b, pair);
        lua_pop(L, 1);
    }
}

/* Of what is no table. */
static struct value scalar(lua_State *L, int index)
{
    double number;

    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        return (struct value){.type = VALUE_STRING, .bytes = check_text(L, index)};
    case LUA_TBOOLEAN:
        return (struct value){.type = VALUE_BOOL, .boolean = lua_toboolean(L, index)};
    default:
        number = luaL_checknumber(L, index);
    }
    if (number >= -0x1p53 && number <= 0x1p53 && number == (double)(int64_t)number)
        return (struct value){.type = VALUE_INT, .integer = (int64_t)number};
    return (struct value){.type = VALUE_DOUBLE, .number = number};
}

static void put_value(lua_State *L, int index, int depth, struct buf *b)
{
    struct value v;
    size_t inner;

    if (depth > VALUE_DEPTH)
        luaL_error(L, "a value is nested more than %d deep", VALUE_DEPTH);
    if (lua_type(L, index) != LUA_TTABLE) {
        v = scalar(L, index);
        otlp_write_value(b, &v);
        return;
    }
    lua_getfield(L, index, "map");
    inner = otlp_write_begin(b, lua_toboolean(L, -1) ? 6 : 5);
    lua_pop(L, 1);
    put_table(L, index, depth, b);
    otlp_write_end(b, inner);
}

static struct value check_value(lua_State *L, struct editor *e, int index)
{
    struct value v;

    if (lua_type(L, index) != LUA_TTABLE)
        return scalar(L, index);
    buf_clear(&e->values);
    put_table(L, index, 1, &e->values);
    lua_getfield(L, index, "map");
    v.type = lua_toboolean(L, -1) ? VALUE_KVLIST : VALUE_ARRAY;
    lua_pop(L, 1);
    e->no_memory |= !buf_ok(&e->values);
    v.bytes = buf_slice(&e->values);
    return v;
}

/* ---- attributes ---- */

static void edit_resource(lua_State *L, struct editor *e, const struct splice *s)
{
    struct buf *b = other_buf(e->resources, e->view.resource);

    splice_resource(e->view.resource, s, b);
    take_resource(L, e, b);
}

static void edit_inner(lua_State *L, struct editor *e, enum attr_owner owner, struct slice message,
                       const struct splice *s)
{
    struct buf *b = other_buf(e->spans, e->view.span);

    buf_clear(&e->inner);
    splice_attrs(owner, message, s, &e->inner);
    e->no_memory |= !buf_ok(&e->inner);
    splice_inner(e->view.span, owner == OWNER_EVENT ? SPLICE_SPAN_EVENTS : SPLICE_SPAN_LINKS,
                 message, buf_slice(&e->inner), b);
    take_span(L, e, b);
}

/* The message whose attributes arguments 2 and 3 (owner, number of an event or link) name. */
static struct slice check_owner(lua_State *L, struct editor *e, enum attr_owner *owner)
{
    struct slice message = {0};
    double number = luaL_optnumber(L, 3, 0);

    *owner = (enum attr_owner)luaL_checkinteger(L, 2);
    if (*owner == OWNER_SPAN && item_of(e) != OWNER_RESOURCE) {
        *owner = item_of(e);
        return e->view.span;
    }
    if (*owner == OWNER_RESOURCE && (item_of(e) == OWNER_SPAN || item_of(e) == OWNER_RESOURCE))
        return e->view.resource;
    if (item_of(e) != OWNER_SPAN || (*owner != OWNER_EVENT && *owner != OWNER_LINK) ||
        !(number >= 1 && number <= UINT32_MAX) || !find_inner(e, *owner, (size_t)number, &message))
        luaL_error(L, "there is nothing to edit");
    return message;
}

static void apply(lua_State *L, struct editor *e, enum attr_owner owner, struct slice message,
                  const struct splice *s)
{
    struct buf *b;

    if (owner == OWNER_RESOURCE) {
        edit_resource(L, e, s);
    } else if (owner == OWNER_EVENT || owner == OWNER_LINK) {
        edit_inner(L, e, owner, message, s);
    } else {
        b = other_buf(e->spans, e->view.span);
        splice_attrs(owner, message, s, b);
        take_span(L, e, b);
    }
}

/* edit_set(span, owner, number, action, key, value): enum splice_action. */
static int edit_set(lua_State *L)
{
    struct editor *e = check_span(L);
    enum attr_owner owner;
    struct slice message = check_owner(L, e, &owner);
    struct splice_edit edit = {.action = (enum splice_action)luaL_checkinteger(L, 4),
                               .key = check_text(L, 5)};

    if (edit.action != SPLICE_DELETE)
        edit.value = check_value(L, e, 6);
    apply(L, e, owner, message, &(struct splice){&edit, 1});
    return 0;
}

/* edit_rename(span, owner, number, old, new) -> whether there was one. */
static int edit_rename(lua_State *L)
{
    struct editor *e = check_span(L);
    enum attr_owner owner;
    struct slice message = check_owner(L, e, &owner);
    struct splice_edit edits[2] = {{.action = SPLICE_UPSERT, .key = check_text(L, 5)},
                                   {.action = SPLICE_DELETE, .key = lua_check_slice(L, 4)}};
    bool found = view_owner_attr(owner, message, edits[1].key, &edits[0].value);

    if (found && !slice_equal(edits[0].key, edits[1].key))
        apply(L, e, owner, message, &(struct splice){edits, 2});
    lua_pushboolean(L, found);
    return 1;
}

/* ---- fields ---- */

static void set_field(lua_State *L, struct editor *e, uint32_t number, struct slice content)
{
    struct buf *b = other_buf(e->spans, e->view.span);

    splice_field(e->view.span, number, &content, b);
    take_span(L, e, b);
}

/* edit_name(span, name) */
static int edit_name(lua_State *L)
{
    struct editor *e = check_item(L, OWNER_SPAN);

    set_field(L, e, SPLICE_SPAN_NAME, check_text(L, 2));
    return 0;
}

/* edit_status(span, code, message or nil) */
static int edit_status(lua_State *L)
{
    struct editor *e = check_item(L, OWNER_SPAN);
    uint64_t code = (uint64_t)luaL_checkinteger(L, 2);

    buf_clear(&e->values);
    if (!lua_isnoneornil(L, 3))
        wire_put_bytes(&e->values, 2, check_text(L, 3));
    if (code)
        wire_put_uint(&e->values, 3, code);
    e->no_memory |= !buf_ok(&e->values);
    set_field(L, e, SPLICE_SPAN_STATUS, buf_slice(&e->values));
    return 0;
}

/* edit_metric(metric, field, text): SPLICE_METRIC_NAME and the like. */
static int edit_metric(lua_State *L)
{
    struct editor *e = check_item(L, OWNER_METRIC);
    lua_Integer field = luaL_checkinteger(L, 2);

    luaL_argcheck(L, field >= SPLICE_METRIC_NAME && field <= SPLICE_METRIC_UNIT, 2,
                  "no such field");
    set_field(L, e, (uint32_t)field, check_text(L, 3));
    return 0;
}

/* edit_body(log, value) */
static int edit_body(lua_State *L)
{
    struct editor *e = check_item(L, OWNER_LOG);
    struct value v = check_value(L, e, 2);

    buf_clear(&e->inner);
    otlp_write_value(&e->inner, &v);
    e->no_memory |= !buf_ok(&e->inner);
    set_field(L, e, SPLICE_LOG_BODY, buf_slice(&e->inner));
    return 0;
}

/* edit_severity(log, number or name, text or nil) */
static int edit_severity(lua_State *L)
{
    struct editor *e = check_item(L, OWNER_LOG);
    bool is_name = lua_type(L, 2) == LUA_TSTRING;
    lua_Integer number = is_name ? items_severity(lua_check_slice(L, 2)) : luaL_checkinteger(L, 2);
    struct buf *b = other_buf(e->spans, e->view.span);

    luaL_argcheck(L, number >= (is_name ? 1 : 0) && number <= 24, 2, "no such severity");
    splice_number(e->view.span, SPLICE_LOG_SEVERITY, (uint64_t)number, b);
    take_span(L, e, b);
    if (!lua_isnoneornil(L, 3))
        set_field(L, e, SPLICE_LOG_SEVERITY_TEXT, check_text(L, 3));
    return 0;
}

/* edit_truncate(span, max_bytes) -> how many strings were cut. */
static int edit_truncate(lua_State *L)
{
    struct editor *e = check_span(L);
    double max = luaL_checknumber(L, 2);
    size_t n, bytes;
    struct buf *b;

    if (!(max >= 0))
        return luaL_error(L, "truncate takes a number of bytes, 0 or more");
    bytes = max < (double)(SIZE_MAX / 4) ? (size_t)max : SIZE_MAX / 4;
    n = splice_too_long(item_of(e), e->view.span, bytes);
    if (n > 0) {
        b = other_buf(e->spans, e->view.span);
        splice_truncate(item_of(e), e->view.span, bytes, b);
        take_span(L, e, b);
        e->truncated += n;
    }
    lua_pushnumber(L, (double)n);
    return 1;
}

/* edit_redact(span, redaction): raises where it failed, as nothing may leave then. */
static int edit_redact(lua_State *L)
{
    struct editor *e = check_span(L);

    if (!editor_redact(e, redact_check(L, 2)))
        luaL_error(L, "not enough memory to redact the span");
    return 0;
}

void edit_register(lua_State *L, struct editor *e)
{
    static const luaL_Reg functions[] = {
        {"edit_set", edit_set},
        {"edit_rename", edit_rename},
        {"edit_name", edit_name},
        {"edit_status", edit_status},
        {"edit_truncate", edit_truncate},
        {"edit_inner_at", edit_inner_at},
        {"edit_redact", edit_redact},
        {"edit_metric", edit_metric},
        {"edit_body", edit_body},
        {"edit_severity", edit_severity},
        {NULL, NULL},
    };

    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushlightuserdata(L, e);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
}
