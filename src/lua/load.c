/* Loads scripts: compiles them so that they count down (rewrite.h), in their environment. */
#include "lua/load.h"

#include "lua/heap.h"
#include "lua/rewrite.h"
#include "lua/state.h"

#include <stdio.h>

#include <lauxlib.h>

enum { REWRITTEN_MAX = 64 * 1024 * 1024 };

void lua_name_in_full(struct err_info *info, const char *name)
{
    struct err_info copy;
    const char *tail = copy.text + 3, *end;
    size_t len, name_len = strlen(name);

    if (!info)
        return;
    copy = *info;
    if (!strchr(copy.text, ':'))
        err_fail(info, copy.code, "%s: %s", name, copy.text);
    if (strncmp(copy.text, "...", 3) != 0)
        return;
    end = strchr(tail, ':');
    len = end ? (size_t)(end - tail) : SIZE_MAX;
    if (len > name_len || strncmp(name + name_len - len, tail, len) != 0)
        return;
    err_fail(info, copy.code, "%s%s", name, end);
}

/* Calls `check` of a module with the `args` on the stack, which are popped: it gives a sentence
 * about what is wrong and its line, or nil. */
static enum err check(lua_State *L, const char *module, int args, const char *name,
                      struct err_info *info)
{
    int top = lua_gettop(L) - args;
    enum err e = lua_require(L, module, info);

    if (!e) {
        lua_getfield(L, -1, "check");
        lua_insert(L, top + 1);
        lua_pop(L, 1);
        e = lua_run(L, args, 2, info);
    }
    if (!e && lua_isstring(L, -2))
        e = err_fail(info, ERR_SCRIPT, "%s:%d: %s", name, (int)lua_tointeger(L, -1),
                     lua_tostring(L, -2));
    lua_settop(L, top);
    return e;
}

/* Compiles; pushes the function, or fails with LuaJIT's sentence. */
static enum err compile(lua_State *L, struct slice text, const char *name, struct err_info *info)
{
    char chunk[512];
    enum err e;

    snprintf(chunk, sizeof(chunk), "@%s", name);
    /* mode "t": also refuses bytecode behind a byte order mark or a first line with '#'. */
    if (luaL_loadbufferx(L, (const char *)text.data, text.len, chunk, "t") == 0)
        return ERR_OK;
    e = err_fail(info, ERR_SCRIPT, "%s", lua_tostring(L, -1));
    lua_name_in_full(info, name);
    lua_pop(L, 1);
    return e;
}

/* Compiles the rewritten text in the environment at `env` (0: the state's own); pushes the script's
 * function. */
static enum err compile_counting(lua_State *L, struct slice text, const char *name, int env,
                                 struct err_info *info)
{
    struct buf counting;
    enum err e;

    buf_init(&counting, REWRITTEN_MAX, heap_of(L)->memory);
    counting.forced = true; /* as the heap: another configuration may be what makes room */
    e = lua_rewrite(text, name, &counting, info);
    if (!e)
        e = compile(L, buf_slice(&counting), name, info);
    buf_fini(&counting);
    if (e)
        return e;
    if (env) {
        lua_pushvalue(L, env);
        lua_setfenv(L, -2); /* what it makes inherits it */
    }
    lua_pushcfunction(L, heap_tick);
    return lua_run(L, 1, 1, info);
}

enum err lua_load_script(lua_State *L, struct slice text, const char *name, int env,
                         struct err_info *info)
{
    enum err e;

    if (env < 0 && env > LUA_REGISTRYINDEX)
        env = lua_gettop(L) + env + 1;
    if (text.len && text.data[0] == LUA_SIGNATURE[0])
        return err_fail(info, ERR_SCRIPT, "%s:1: compiled Lua is not accepted: give the source",
                        name);
    /* First as it is, so that what is wrong with it is said in its own words. */
    e = compile(L, text, name, info);
    if (e)
        return e;
    lua_pop(L, 1);
    lua_pushlstring(L, (const char *)text.data, text.len);
    e = check(L, "moontail.lint", 1, name, info);
    if (!e)
        e = compile_counting(L, text, name, env, info);
    if (e)
        return e;
    lua_pushvalue(L, -1);
    lua_pushvalue(L, env);
    e = check(L, "moontail.globals", 2, name, info);
    if (e)
        lua_pop(L, 1);
    return e;
}

enum err load_trusted(lua_State *L, struct slice text, const char *name, bool counted)
{
    struct err_info info;
    enum err e =
        counted ? compile_counting(L, text, name, 0, &info) : compile(L, text, name, &info);

    if (e)
        lua_pushstring(L, info.text);
    return e;
}
