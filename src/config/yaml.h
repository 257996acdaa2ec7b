/* yaml.h: YAML 1.1 documents (with the plain scalars of YAML 1.2's core schema) as Lua tables.
 *
 * What is pushed:
 *   map     table of its keys; its metatable has keys = { in order }, lines = { [key] = line }
 *   list    array; its metatable has list = true
 *   null    an empty map whose metatable has null = true
 *   scalar  string, number or boolean; whole numbers beyond 2^53 stay strings
 * Aliases are the same table again; "<<" merges.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <lua.h>

enum { YAML_TEXT_MAX = 4 << 20, YAML_DEPTH_MAX = 64 };

/* Pushes the first document of `text`; a text without one is null. ERR_CONFIG with the line and
 * what is wrong, nothing pushed: no YAML, text over YAML_TEXT_MAX, depth over YAML_DEPTH_MAX, a key
 * that is no scalar or is there twice. May raise without memory: call it in a protected call. */
enum err yaml_push(lua_State *L, struct slice text, struct err_info *info) MUST_CHECK;
