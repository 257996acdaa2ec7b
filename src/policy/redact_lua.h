/* redact_lua.h: what scripts hold of a redaction{}. Internal to policy. */
#pragma once

#include "policy/redact.h"

#include <lua.h>

/* The redaction at `index`; raises where it is none. Lives as long as the argument. */
struct redact *redact_check(lua_State *L, int index);
/* Adds redact_new, redact_set, redact_add, redact_text and redact_rules to the table on top: for
 * moontail.redaction. */
void redact_register(lua_State *L);
