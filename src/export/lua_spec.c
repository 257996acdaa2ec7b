#include "export/lua_spec.h"

#include "lua/scripts.h"
#include "lua/state.h"

#include <lauxlib.h>

/* exporter { ... } in a file of its own gives the table as it is. */
static int same(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    return 1;
}

/* Pushes the environment of an exporter's file: that of all scripts, with its own `exporter`. */
static void push_env(lua_State *L, int env)
{
    lua_newtable(L);
    lua_pushcfunction(L, same);
    lua_setfield(L, -2, "exporter");
    lua_newtable(L);
    lua_pushvalue(L, env);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, env);
    lua_setfield(L, -2, "__newindex"); /* raises as there */
    lua_setmetatable(L, -2);
}

/* Pushes what the component's file returns, or its inline table. ERR_AGAIN: there is no file. */
static enum err push_spec(lua_State *L, const struct exporter_source *source, int component,
                          struct err_info *info)
{
    struct lua_script script;
    enum err result;
    int top;

    lua_getfield(L, component, "spec");
    if (!lua_isnil(L, -1))
        return ERR_OK;
    lua_getfield(L, component, "type");
    result = lua_find_script(L, "exporter", lua_tostring(L, -1), &script, info);
    lua_pop(L, 2);
    if (result != ERR_OK)
        return result;
    top = lua_gettop(L);
    push_env(L, source->env);
    result = lua_load_script(L, slice_make(script.text, script.len), script.name, top + 1, info);
    if (result == ERR_OK && (result = lua_run(L, 0, 1, info)) != ERR_OK)
        lua_name_in_full(info, script.name);
    lua_script_fini(&script);
    if (result == ERR_OK)
        lua_remove(L, top + 1);
    else
        lua_settop(L, top);
    return result;
}

/* Calls exporter_spec.FUNCTION(component, spec on the top): two results. */
static enum err call(lua_State *L, const char *function, int component, struct err_info *info)
{
    enum err result = lua_require(L, "moontail.exporter_spec", info);

    if (result != ERR_OK)
        return result;
    lua_getfield(L, -1, function);
    lua_pushvalue(L, component);
    lua_pushvalue(L, -4);
    return lua_run(L, 2, 2, info);
}

enum lua_spec_found lua_spec_check(lua_State *L, const struct exporter_source *source,
                                   int component, struct buf *errors)
{
    struct err_info info = {.text = ""};
    int top = lua_gettop(L);
    enum err result = push_spec(L, source, component, &info);

    if (result == ERR_AGAIN)
        return LUA_SPEC_ABSENT;
    if (result == ERR_OK)
        result = call(L, "check", component, &info);
    if (result != ERR_OK) {
        buf_printf(errors, "%s\n", info.text);
        lua_settop(L, top);
        return LUA_SPEC_BAD;
    }
    if (lua_isstring(L, -1)) { /* nil, errors */
        buf_str(errors, lua_tostring(L, -1));
        lua_settop(L, top);
        return LUA_SPEC_BAD;
    }
    lua_pop(L, 1);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return LUA_SPEC_GOOD;
}

enum err lua_spec_open(lua_State *L, const struct exporter_source *source, int component,
                       struct err_info *info)
{
    int top = lua_gettop(L);
    enum err result = push_spec(L, source, component, info);

    if (result == ERR_OK)
        result = call(L, "open", component, info);
    if (result != ERR_OK) {
        lua_settop(L, top);
        return result;
    }
    lua_pop(L, 1);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return ERR_OK;
}
