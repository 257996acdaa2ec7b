#include "export/lua_spec.h"

#include "lua/embed.h"
#include "lua/state.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

enum { SCRIPT_MAX = 1 << 20 };

/* A script on its way into the state. */
struct script {
    char *owned; /* NULL: embedded */
    struct slice text;
    char name[512]; /* for messages */
};

static bool read_script(const struct exporter_source *source, char separator, const char *type,
                        struct script *s)
{
    size_t len;

    if (!source->folder || !source->disk)
        return false;
    snprintf(s->name, sizeof(s->name), "%s/exporters%c%s.lua", source->folder, separator, type);
    if (disk_read_file(source->disk, s->name, SCRIPT_MAX, &s->owned, &len, NULL) != ERR_OK)
        return false;
    s->text = slice_make(s->owned, len);
    return true;
}

static bool find_script(const struct exporter_source *source, const char *type, struct script *s)
{
    const struct embedded_file *f;

    *s = (struct script){.owned = NULL};
    if (read_script(source, '/', type, s) || read_script(source, '.', type, s))
        return true;
    snprintf(s->name, sizeof(s->name), "lua/exporters/%s.lua", type);
    f = embedded_find(s->name);
    if (f)
        s->text = slice_make(f->text, (size_t)(f->end - f->text));
    return f != NULL;
}

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

/* Pushes what the component's file returns, or its inline table. ERR_IO: there is no file. */
static enum err push_spec(lua_State *L, const struct exporter_source *source, int component,
                          struct err_info *info)
{
    struct script script;
    enum err result;
    int top;

    lua_getfield(L, component, "spec");
    if (!lua_isnil(L, -1))
        return ERR_OK;
    lua_getfield(L, component, "type");
    if (!find_script(source, lua_tostring(L, -1), &script)) {
        lua_pop(L, 2);
        return ERR_IO;
    }
    lua_pop(L, 2);
    top = lua_gettop(L);
    push_env(L, source->env);
    result = lua_load_script(L, script.text, script.name, top + 1, info);
    free(script.owned);
    if (result == ERR_OK)
        result = lua_run(L, 0, 1, info);
    if (result == ERR_OK)
        lua_remove(L, top + 1);
    else
        lua_settop(L, top);
    return result == ERR_IO ? ERR_SCRIPT : result;
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

    if (result == ERR_IO)
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
