/* seen.h: names attributes that the scripts of a configuration ask for and recent traces never
 * have: most often a slip of the pen.
 *
 * Off the data path: the builder, and `moontail check`. What is asked for is noted where scripts
 * are prepared (lua/moontail/asked.lua).
 */
#pragma once

#include "base/buf.h"
#include "collector/recent.h"

#include <lua.h>

enum { SEEN_TRACES = 1000 }; /* with fewer nothing is said */

/* Appends a line for each such attribute, with the nearest one that there is. L: a state in which
 * setup_load has run. What can't be looked at for memory is left out. */
void seen_lint(lua_State *L, const struct recent *recent, struct buf *hints);
