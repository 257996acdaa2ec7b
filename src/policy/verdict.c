#include "policy/verdict.h"

#include <lauxlib.h>

enum { MAX_REASON = 64 }; /* as labels cut them */

static const char metatable_name[] = "moontail.verdict";

const struct verdict *verdict_get(lua_State *L, int index)
{
    const struct verdict *v = lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;

    return v && lua_objlen(L, index) >= sizeof(*v) && v->magic == VERDICT_MAGIC ? v : NULL;
}

struct slice verdict_reason(const struct verdict *v)
{
    return slice_make(v->reason, v->reason_len);
}

/* verdict_new(kind, p, reason or nil): the upvalue counts them. */
static int verdict_new(lua_State *L)
{
    size_t len = 0;
    const char *reason = lua_tolstring(L, 3, &len);
    uint64_t serial = (uint64_t)lua_tonumber(L, lua_upvalueindex(1)) + 1;
    struct verdict *v;

    len = len > MAX_REASON + 1 ? MAX_REASON + 1 : len; /* one more: shows that it is to be cut */
    v = lua_newuserdata(L, sizeof(*v) + len);
    *v = (struct verdict){
        .magic = VERDICT_MAGIC,
        .serial = serial,
        .kind = (enum verdict_kind)luaL_checkinteger(L, 1),
        .p = luaL_checknumber(L, 2),
        .has_reason = reason != NULL,
        .reason_len = len,
    };
    if (reason)
        memcpy(v->reason, reason, len);
    luaL_getmetatable(L, metatable_name);
    lua_setmetatable(L, -2);
    lua_pushnumber(L, (lua_Number)serial);
    lua_replace(L, lua_upvalueindex(1));
    return 1;
}

static int verdict_tostring(lua_State *L)
{
    static const char *const names[] = {"keep", "drop", "sample", "at_least"};
    const struct verdict *v = verdict_get(L, 1);

    if (!v)
        return 0;
    if (v->kind == VERDICT_SAMPLE || v->kind == VERDICT_AT_LEAST)
        lua_pushfstring(L, "%s(%f)", names[v->kind], v->p);
    else
        lua_pushfstring(L, "%s()", names[v->kind]);
    return 1;
}

void verdict_register(lua_State *L)
{
    luaL_newmetatable(L, metatable_name);
    lua_pushcfunction(L, verdict_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "verdict");
    lua_setfield(L, -2, "__kind");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushnumber(L, 0);
    lua_pushcclosure(L, verdict_new, 1);
    lua_setfield(L, -2, "verdict_new");
}
