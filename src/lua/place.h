/* place.h: where in a script an error is. Internal to lua. */
#pragma once

#include <stdbool.h>

#include <lua.h>

/* Pushes "file:line: " of the innermost function of a script that runs, or "". */
void place_push(lua_State *L);

/* A handler for lua_pcall and xpcall: a message that names a line of the trusted library gets that
 * of the script instead, and a method that was called with a dot is said to be one. Gives back what
 * it does not know. */
int place_in_script(lua_State *L);

/* For lua_pcall, which can't make one without memory: place_in_script lies in the registry. */
void place_open(lua_State *L);
/* Pushes it. */
void place_push_handler(lua_State *L);
