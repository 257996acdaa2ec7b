/* pattern.h: string.find, match, gmatch and gsub with a bound on the work of one call.
 *
 * A pattern such as ".-.-.-b$" tries for hours in the library's own matcher, which nothing can
 * stop. This one counts its steps and looks at the clock. Same patterns and results as LuaJIT's.
 */
#pragma once

#include <lua.h>

/* Adds find, match, gmatch, gsub to the table on top. */
void lua_pattern_register(lua_State *L);
