/* lua_spec.h: exporters written in Lua: finding their file, checking it and their options.
 *
 * The checks are in lua/moontail/exporter_spec.lua. Belongs to the thread of the state.
 */
#pragma once

#include "export/export.h"

#define EXPORTER_LUA_TYPE "(lua)" /* the type that stands for all of them */

enum lua_spec_found { LUA_SPEC_ABSENT, LUA_SPEC_BAD, LUA_SPEC_GOOD };

/* Looks for the file of the component at stack index `component` (lua/scripts.h; nothing for an
 * inline one) and checks it. Good: pushes the table of those options that every exporter has. Bad:
 * errors has lines. */
enum lua_spec_found lua_spec_check(lua_State *L, const struct exporter_source *source,
                                   int component, struct buf *errors);

/* Makes the exporter of the component ready: pushes its instance (exporter_spec.lua: open). */
enum err lua_spec_open(lua_State *L, const struct exporter_source *source, int component,
                       struct err_info *info) MUST_CHECK;
