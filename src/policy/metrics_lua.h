/* metrics_lua.h: OTLP metrics on the Lua stack, for lua/moontail/metrics.lua. Internal to policy.
 */
#pragma once

#include <lua.h>

/* Adds metrics_open, metrics_next, metrics_resource, metrics_scope and metrics_point to the table
 * on top. What they read lies in a Lua string that they hold, so nothing goes stale. */
void metrics_lua_register(lua_State *L);
