/* heap.h: what a state may use: memory, and CPU time of one call. Internal to lua.
 *
 * The struct is the allocator's argument and lives outside of the state that it counts.
 */
#pragma once

#include "base/memory.h"
#include "lua/on_trace.h"
#include "lua/spare.h"
#include "lua/state.h"

#include <stdint.h>

#include <lua.h>

struct heap {
    struct memory *memory;
    size_t used;    /* bytes that the state holds */
    size_t counted; /* of these and the spare ones, told to `memory`, in whole steps */
    size_t max;     /* 0: no bound */
    size_t large;   /* of `used`, in large blocks */
    unsigned runs;  /* nested lua_run: only in them the bounds hold */
    bool jit;
    struct on_trace on_trace;
    struct spare spare; /* blocks that are not in use */
    lua_Alloc own;      /* LuaJIT's allocator and its argument; NULL: malloc */
    void *own_arg;
    int pcalls;              /* that are open, as lua/moontail/env.lua counts them */
    uint64_t bound_ns;       /* CPU time of one lua_run_bounded; 0: no bound of its own */
    const atomic_bool *stop; /* of lua_run; NULL: nobody can */
    struct heap_call {       /* the outermost call that runs, or ran last */
        uint64_t budget_ns;
        const atomic_bool *stop;
        uint64_t start_ns, start_cpu_ns; /* of its second look */
        uint64_t looks;
        bool overrun;
        bool is_full;             /* memory was refused, whatever became of the error */
        enum lua_failure failure; /* of the lua_run that ended last */
        char where[200];          /* of the overrun: the message that was raised first */
    } call;
};

/* The allocator of states (lua_Alloc). */
void *heap_alloc(void *arg, void *p, size_t old, size_t size);
/* A bare state whose memory `h` counts, by malloc, or by LuaJIT's own allocator below 2^47. NULL
 * without memory. heap_close frees it; `h` stays. */
lua_State *heap_open(struct heap *h, bool low_memory);
void heap_close(struct heap *h, lua_State *L);
/* A state that another program made (the testing module's) has no bounds of ours. */
struct heap *heap_of(const lua_State *L);

/* The outermost call begins. Its clock starts with the second look: most calls never have one. */
void heap_begin(struct heap *h, uint64_t budget_ns, const atomic_bool *stop);
/* Whether the call is over its budget; once it is, it stays so. */
bool heap_over(struct heap *h);

/* __mtt of rewritten scripts: raises over the budget, else gives the next count. */
int heap_tick(lua_State *L);
/* A full collection, if memory was refused in the call that runs, or ran last. */
void heap_tidy(lua_State *L, struct heap *h);
/* For functions that work long without a tick: raises over the budget. */
void heap_check(lua_State *L);
/* What is said of the call that was over its budget; borrowed until the next one. */
const char *heap_overrun_text(struct heap *h);
