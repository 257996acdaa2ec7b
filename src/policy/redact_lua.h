/* redact_lua.h: what scripts hold of a redaction{}. Internal to policy. */
#pragma once

#include "policy/api.h"
#include "policy/redact.h"

#include <lua.h>

/* The redaction at `index`; raises where it is none. Lives as long as the argument. */
struct redact *redact_check(lua_State *L, int index);
/* The same for C; NULL where there is none. */
struct redact *redact_get(lua_State *L, int index);
/* policy_redacted of a string, in `copy`, which may be the string's own room. */
const char *policy_redacted_str(lua_State *L, const char *text, char *copy, size_t size);
/* Adds redact_new, redact_set, redact_add, redact_text and redact_rules to the table on top: for
 * moontail.redaction. */
void redact_register(lua_State *L, struct policy_state *s);
/* The state ends; redactions may be collected after it. */
void redactions_fini(struct policy_state *s);
