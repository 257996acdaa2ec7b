#include "lua/host.h"

#include "base/net.h"
#include "base/units.h"
#include "lua/embed.h"
#include "lua/heap.h"
#include "lua/pattern.h"
#include "lua/place.h"

#include <lauxlib.h>

struct slice lua_check_slice(lua_State *L, int index)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);

    return slice_make(text, len);
}

static int host_duration(lua_State *L)
{
    uint64_t ns;

    if (units_duration(lua_check_slice(L, 1), &ns))
        return 0;
    lua_pushnumber(L, (lua_Number)ns);
    return 1;
}

static int host_size(lua_State *L)
{
    uint64_t bytes;

    if (units_size(lua_check_slice(L, 1), &bytes))
        return 0;
    lua_pushnumber(L, (lua_Number)bytes);
    return 1;
}

static int host_is_url(lua_State *L)
{
    lua_pushboolean(L, net_is_url(luaL_checkstring(L, 1)));
    return 1;
}

/* The IP and the port of an address to listen on; nothing: it is none. */
static int host_address(lua_State *L)
{
    char ip[NET_IP_BYTES];
    uint16_t port;

    if (net_read_address(luaL_checkstring(L, 1), ip, &port, NULL))
        return 0;
    lua_pushstring(L, ip);
    lua_pushnumber(L, port);
    return 2;
}

/* The names live in the table, so borrowed pointers are good until we return. */
static int host_nearest(lua_State *L)
{
    struct slice given = lua_check_slice(L, 1);
    size_t len = (luaL_checktype(L, 2, LUA_TTABLE), lua_objlen(L, 2));
    const char **names = lua_newuserdata(L, (len + 1) * sizeof(*names));
    const char *near;
    size_t count = 0;

    for (size_t i = 1; i <= len; i++) {
        lua_rawgeti(L, 2, (int)i);
        if (lua_type(L, -1) == LUA_TSTRING)
            names[count++] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    near = units_nearest(given, names, count);
    if (!near)
        return 0;
    lua_pushstring(L, near);
    return 1;
}

static int host_file(lua_State *L)
{
    const struct embedded_file *file = embedded_find(luaL_checkstring(L, 1));

    if (!file)
        return 0;
    lua_pushlstring(L, file->text, (size_t)(file->end - file->text));
    return 1;
}

static int host_look(lua_State *L)
{
    heap_check(L);
    return 0;
}

/* For those who go on after a script that may have filled the heap, and may have caught the error.
 */
static int host_tidy(lua_State *L)
{
    heap_tidy(L, heap_of(L));
    return 0;
}

void lua_host_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"duration", host_duration}, {"size", host_size},
        {"address", host_address},   {"is_url", host_is_url},
        {"nearest", host_nearest},   {"file", host_file},
        {"look", host_look},         {"tidy", host_tidy},
        {"placed", place_in_script}, {NULL, NULL},
    };

    luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushlightuserdata(L, &heap_of(L)->pcalls);
    lua_setfield(L, -2, "pcalls");
    lua_newtable(L);
    lua_pattern_register(L);
    lua_setfield(L, -2, "patterns");
    lua_setfield(L, -2, "moontail.host");
    lua_pop(L, 1);
    place_open(L);
}

void lua_host_add(lua_State *L, const char *name, lua_CFunction fn)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(L, -1, "moontail.host");
    lua_pushcfunction(L, fn);
    lua_setfield(L, -2, name);
    lua_pop(L, 2);
}
