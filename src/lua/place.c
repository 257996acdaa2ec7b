#include "lua/place.h"

#include <string.h>

static const char library[] = "lua/moontail/";
static const char handler_key;

/* Whether a function runs at `level`; "Sl" of `d` is there. */
static bool function_at(lua_State *L, int level, lua_Debug *d)
{
    return level >= 0 && lua_getstack(L, level, d) && lua_getinfo(L, "Sl", d);
}

static bool is_script(const lua_Debug *d)
{
    return d->currentline > 0 && strncmp(d->source + 1, library, sizeof(library) - 1) != 0;
}

/* The level of the innermost function of a script, and `d` of it. Without one the level behind the
 * outermost function, and currentline is 0: a tail call leaves nothing of its caller. */
static int script_level(lua_State *L, lua_Debug *d)
{
    int level = 0;

    while (function_at(L, level, d) && !is_script(d))
        level++;
    if (!function_at(L, level, d))
        d->currentline = 0;
    return level;
}

static void push_line(lua_State *L, const lua_Debug *d)
{
    if (d->currentline > 0)
        lua_pushfstring(L, "%s:%d: ", d->short_src, d->currentline);
    else
        lua_pushliteral(L, "");
}

void place_push(lua_State *L)
{
    lua_Debug d;

    (void)script_level(L, &d);
    push_line(L, &d);
}

/* Whether the function at `level` is a method that was called without what it is one of. */
static bool is_called_with_a_dot(lua_State *L, int level)
{
    lua_Debug d;
    const char *parameter = function_at(L, level, &d) ? lua_getlocal(L, &d, 1) : NULL;
    bool dot;

    if (!parameter)
        return false;
    dot = strcmp(parameter, "self") == 0 && !lua_istable(L, -1);
    lua_pop(L, 1);
    return dot;
}

static void push_colon(lua_State *L, int level)
{
    lua_Debug d;

    if (function_at(L, level, &d) && lua_getinfo(L, "n", &d) && strcmp(d.namewhat, "field") == 0)
        lua_pushfstring(L, "%s is called with a colon: write :%s(...)", d.name, d.name);
    else
        lua_pushliteral(L, "a method is called with a colon: write trace:spans(), not trace.spans");
}

/* What a message says behind the line of the library that it begins with; NULL: it has none. */
static const char *behind_library_line(const char *text)
{
    const char *line;

    if (strncmp(text, library, sizeof(library) - 1) != 0)
        return NULL;
    line = strchr(text, ':');
    if (!line || strspn(line + 1, "0123456789") == 0)
        return NULL;
    line += 1 + strspn(line + 1, "0123456789");
    return line[0] == ':' && line[1] == ' ' ? line + 2 : NULL;
}

int place_in_script(lua_State *L)
{
    const char *said =
        lua_type(L, 1) == LUA_TSTRING ? behind_library_line(lua_tostring(L, 1)) : NULL;
    lua_Debug d;
    int method;
    bool dot;

    lua_settop(L, 1);
    if (!said)
        return 1;
    method = script_level(L, &d) - 1;
    dot = is_called_with_a_dot(L, method);
    if (d.currentline == 0 && !dot)
        return 1;
    push_line(L, &d);
    if (dot)
        push_colon(L, method);
    else
        lua_pushstring(L, said);
    lua_concat(L, 2);
    return 1;
}

void place_open(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&handler_key);
    lua_pushcfunction(L, place_in_script);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void place_push_handler(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&handler_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}
