/* Attribute values as Lua values and as exact text. */
#include "base/buf.h"
#include "otlp/value_text.h"
#include "policy/access.h"

#include <lauxlib.h>

enum { MAX_TEXT = 64 << 20 }; /* bytes of one attr_text */

static void push_value(lua_State *L, const struct value *v, int depth);

static void push_list(lua_State *L, struct slice array, int depth)
{
    struct value element;
    size_t at = 0;
    int n = 0;

    lua_newtable(L);
    while (view_array_next(array, &at, &element)) {
        push_value(L, &element, depth);
        lua_rawseti(L, -2, ++n);
    }
}

/* Of keys that occur twice, the first counts. */
static void push_map(lua_State *L, struct slice kvlist, int depth)
{
    struct slice key;
    struct value v;
    size_t at = 0;

    lua_newtable(L);
    while (view_kvlist_next(kvlist, &at, &key, &v)) {
        lua_pushlstring(L, (const char *)key.data, key.len);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            push_value(L, &v, depth);
            lua_rawset(L, -3);
        } else {
            lua_pop(L, 2);
        }
    }
}

static void push_value(lua_State *L, const struct value *v, int depth)
{
    luaL_checkstack(L, 8, "a value is nested too deep");
    switch (v->type) {
    case VALUE_STRING:
    case VALUE_BYTES:
        lua_pushlstring(L, (const char *)v->bytes.data, v->bytes.len);
        return;
    case VALUE_BOOL:
        lua_pushboolean(L, v->boolean);
        return;
    case VALUE_INT:
        lua_pushnumber(L, (lua_Number)v->integer);
        return;
    case VALUE_DOUBLE:
        lua_pushnumber(L, v->number);
        return;
    case VALUE_ARRAY:
    case VALUE_KVLIST:
        if (depth == SCAN_MAX_DEPTH)
            lua_pushnil(L);
        else if (v->type == VALUE_ARRAY)
            push_list(L, v->bytes, depth + 1);
        else
            push_map(L, v->bytes, depth + 1);
        return;
    default:
        lua_pushnil(L);
    }
}

void access_push_value(lua_State *L, const struct value *v)
{
    push_value(L, v, 0);
}

/* ---- text ---- */

/* Owns the text while Lua copies it, so that it is freed if that raises. */
static int buf_gc(lua_State *L)
{
    buf_fini(lua_touserdata(L, 1));
    return 0;
}

struct buf *access_push_buf(lua_State *L)
{
    struct buf *out = lua_newuserdata(L, sizeof(*out));

    buf_init(out, MAX_TEXT, NULL);
    if (luaL_newmetatable(L, "moontail.text")) {
        lua_pushcfunction(L, buf_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return out;
}

void access_push_text(lua_State *L, const struct value *v)
{
    struct buf *out;

    if (v->type == VALUE_ABSENT) {
        lua_pushnil(L);
        return;
    }
    if (v->type == VALUE_STRING) {
        lua_pushlstring(L, (const char *)v->bytes.data, v->bytes.len);
        return;
    }
    out = access_push_buf(L);
    value_text(out, v);
    lua_pushlstring(L, (const char *)out->data, out->len);
    buf_fini(out);
    buf_init(out, MAX_TEXT, NULL);
    lua_remove(L, -2);
}
