/* on_trace.h: memory that is refused while compiled code runs. Internal to lua.
 *
 * LuaJIT raises "not enough memory" wherever its allocator returns NULL, and looks at the running
 * function's frame for it, in lua_State. Compiled code does not keep that up to date: what is there
 * may be slots that were written since, and the look a segmentation fault (seen once in 50,000
 * refusals with the LuaJIT of Debian 12; mended upstream in 2023, "Fix frame for on-trace
 * out-of-memory error"). So before a refusal on a trace the frame is set to the one at the stack's
 * bottom, which is always valid; the trace's exit restores what belongs there.
 *
 * While garbage is collected nothing may be refused at all: the state of the virtual machine says
 * then that no trace runs, and the error does not find its way out of one.
 *
 * There is no public interface to it. The places are found in a new state and each is checked
 * against what the public one says; where one is not as expected, nothing may be compiled.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

struct on_trace {
    struct lua_state_head *head;     /* NULL: not known */
    const volatile int32_t *vmstate; /* the number of the trace that runs, from 1 */
};

/* In a new state whose allocator is (alloc, arg). Its head stays NULL where it is built otherwise.
 */
void on_trace_find(struct on_trace *t, lua_State *L, lua_Alloc alloc, const void *arg);
/* To be called before the allocator returns NULL. False: it may not, the memory has to be given. */
bool on_trace_refuse(const struct on_trace *t);
