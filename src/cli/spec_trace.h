/* spec_trace.h: a trace as a Lua value, for specs and the prompt: the bytes, what the scan says of
 * them, and the sums that the trace table would have.
 *
 * Raises Lua errors: called by Lua alone.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "policy/policy.h"

#include <lua.h>

struct spec_trace {
    uint8_t *body;
    struct span_view *views;
    struct policy_trace trace;
    char trigger[16];
};

/* Makes the type known to the state. */
void spec_trace_register(lua_State *L);

/* Pushes the trace that the OTLP body is, which is copied; raises where the scanner refuses, or
 * rejects a span. Returns 1. */
int spec_trace_push(lua_State *L, struct slice text, const char *trigger, uint64_t decided_unix_ns);

/* The trace at the index; raises for another value. Borrowed as long as it is there. */
struct spec_trace *spec_trace_check(lua_State *L, int index);

/* Lua functions: scan(body, trigger, decided_ns as text) -> trace; and split(name, text) -> the
 * bodies of the traces in a text, or without it in the file of that name (trace_file.h), in order.
 */
int spec_trace_scan(lua_State *L);
/* From now on `split` gives what the redactions of scripts in `other` leave; it outlives L. */
void spec_trace_redact_as(lua_State *L, lua_State *other);
int spec_trace_split(lua_State *L);
