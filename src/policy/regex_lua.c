#include "policy/regex_lua.h"

#include "lua/host.h"
#include "policy/regex.h"

#include <lauxlib.h>

static const char metatable_name[] = "moontail.regex";

static int collect(lua_State *L)
{
    struct regex **r = lua_touserdata(L, 1);

    regex_free(*r);
    *r = NULL;
    return 0;
}

/* regex_new(pattern) -> what regex_find takes; raises RE2's sentence. */
static int lua_regex_new(lua_State *L)
{
    struct slice pattern = lua_check_slice(L, 1);
    struct regex **r = lua_newuserdata(L, sizeof(struct regex *));
    struct err_info info;

    *r = NULL;
    luaL_getmetatable(L, metatable_name);
    lua_setmetatable(L, -2);
    if (regex_new(pattern, r, &info))
        return luaL_error(L, "%s", info.text);
    return 1;
}

/* regex_find(regex, text) -> whether it matches anywhere. */
static int lua_regex_find(lua_State *L)
{
    struct regex **r = luaL_checkudata(L, 1, metatable_name);

    lua_pushboolean(L, regex_find(*r, lua_check_slice(L, 2)));
    return 1;
}

void regex_lua_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"regex_new", lua_regex_new}, {"regex_find", lua_regex_find}, {NULL, NULL}};

    luaL_newmetatable(L, metatable_name);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
