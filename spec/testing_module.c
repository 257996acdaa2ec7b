/* moontail_testing: the collector's own scanner, accessors and policies as a Lua module, so that a
 * spec runs under any LuaJIT: LUA_CPATH leads to it. */
#include "cli/spec_host.h"

__attribute__((visibility("default"))) int luaopen_moontail_testing(lua_State *L);

int luaopen_moontail_testing(lua_State *L)
{
    return spec_host_open(L);
}
