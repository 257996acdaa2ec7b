/* host.h: what the trusted library asks of C: require "moontail.host".
 *
 * host.nearest(name, list) -> the nearest of the list's strings, or nil
 * host.duration(text) -> nanoseconds or nil;   host.size(text) -> bytes or nil
 * host.address(text) -> IP and port to listen on, or nothing;   host.is_url(text) -> true or false
 * host.file(name) -> the text of an embedded file or nil
 * host.pcalls: where scripts' open calls of pcall are counted, an int; 0 when a call begins
 * host.look(): raises over the call's budget: for what works long without a tick
 * host.placed: a handler for xpcall; a message about a line of the library gets the script's
 * host.patterns: find, match, gmatch, gsub with a bound on the steps of a call
 * Rooms may add functions of theirs with lua_host_add.
 */
#pragma once

#include "base/slice.h"

#include <lua.h>

/* Makes the module. Called once by lua_state_new. */
void lua_host_open(lua_State *L);

/* Adds `fn` as host.NAME. May raise: call it in a protected call or at start. */
void lua_host_add(lua_State *L, const char *name, lua_CFunction fn);

/* The string argument at `index`; raises when it is none. Lives as long as the argument. */
struct slice lua_check_slice(lua_State *L, int index);
