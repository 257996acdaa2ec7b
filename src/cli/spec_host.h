/* spec_host.h: the collector's own scanner, accessors, policies and processors as a Lua module, for
 * specs (`moontail test`, or busted by way of spec/testing_module.c) and for the prompt.
 *
 * lua/moontail/testing.lua is its other half. One state a process.
 */
#pragma once

#include <lua.h>

/* Pushes the table of functions (moontail_testing) and installs the script API into L. Raises where
 * that fails. Returns 1: it is a lua_CFunction. */
int spec_host_open(lua_State *L);
