/* load.h: compiles files of the library. Internal to lua; scripts are state.h's lua_load_script. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>

#include <lua.h>

/* Pushes the function, or with ERR_SCRIPT the message. counted: its loops, functions and jumps
 * count down as those of scripts do. May raise without memory. */
enum err load_trusted(lua_State *L, struct slice text, const char *name, bool counted) MUST_CHECK;
