/* regex_lua.h: regular expressions for the modules of lua/moontail. Internal to policy.
 */
#pragma once

#include <lua.h>

/* Adds regex_new and regex_find to the table on top. */
void regex_lua_register(lua_State *L);
