/* whole.h: whole spans on the Lua stack, for exporters that map all of them
 * (lua/moontail/xray.lua): one call where the accessors would take one an attribute. Internal to
 * policy.
 *
 * Values that Lua would round, take for others or rebuild (integers beyond 2^53, whole doubles,
 * lists, maps, bytes) come as { type =, json = }, which json_text writes as it is.
 */
#pragma once

#include "policy/reader.h"

#include <lua.h>

/* Adds span_parts, span_attrs, span_events, span_links, resource_attrs, resource_bytes,
 * resource_place and is_address to the table on top. `r` outlives the state's scripts. */
void whole_register(lua_State *L, struct reader *r);

/* Pushes such a value. May raise. */
void whole_push_json(lua_State *L, const char *type, struct slice json);
/* Whether the table at `index` is such a value. */
bool whole_is_json(lua_State *L, int index);
