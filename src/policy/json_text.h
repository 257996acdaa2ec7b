/* json_text.h: Lua values as JSON that any decoder takes. Internal to policy. */
#pragma once

#include <lua.h>

/* Adds json_text(value) -> text to the table on top, for trusted code. Keys are sorted, so that the
 * same table is the same text; numbers are as short as reads back the same, and NaN and infinities
 * are strings; malformed UTF-8 becomes U+FFFD. A table with an element 1 is a list, one without
 * elements is {}; nil and json_null are null. Raises for anything else, for keys that are no
 * strings, and for tables nested deeper than 64.
 *
 * json_made(value) -> the same text as a value that json_text writes as it is: for what many values
 * share. json_members(text) -> the members of a JSON object, by name, each as it is written
 * (whole.h); nil for what is none.
 *
 * And letters(text, extra) -> text without the characters that are neither Unicode letters nor
 * ASCII digits nor in `extra`, nor well-formed. */
void json_text_register(lua_State *L);
