#include "lua/on_trace.h"

#include <stddef.h>

/* As in lj_obj.h of LuaJIT 2.1 with 64-bit references (LJ_GC64). */
struct lua_state_head {
    uint64_t next;
    uint8_t marked, type, dummy_ffid, status;
    const uint64_t *global;
    uint64_t gc_list;
    uint64_t *base, *top;
    uint64_t *max, *stack;
};

enum {
    FIRST_SLOT = 2,      /* of the stack: behind the thread itself, and one that is empty */
    LOOK_WORDS = 64,     /* of the global state */
    STATES = 7,          /* of the virtual machine that are no traces: ~0 to ~6 */
    STATE_COLLECTS = ~2, /* LJ_VMST_GC */
    TYPE_THREAD = 6,     /* ~LJ_TTHREAD */
};

static bool is_as_expected(struct lua_state_head *h, lua_State *L, lua_Alloc alloc, const void *arg)
{
    const uint64_t *top = h->top;
    bool moved;

    if (h->type != TYPE_THREAD || !h->global || h->global[0] != (uint64_t)(uintptr_t)alloc ||
        h->global[1] != (uint64_t)(uintptr_t)arg)
        return false;
    lua_pushnil(L);
    moved = h->top == top + 1;
    lua_pop(L, 1);
    return moved && h->top == top && h->base == h->top - lua_gettop(L) && h->stack < h->base &&
           h->top <= h->max;
}

static int nothing(lua_State *L)
{
    (void)L;
    return 0;
}

/* It stands before the reference to the main thread, in a word of its own. */
static const volatile int32_t *find_vmstate(const uint64_t *global, lua_State *L)
{
    lua_pushcfunction(L, nothing);
    if (lua_pcall(L, 0, 0, 0) != 0) /* from the first call on it is one of the states */
        return NULL;
    for (size_t i = 3; i < LOOK_WORDS; i++) {
        const volatile int32_t *before = (const volatile int32_t *)&global[i - 1];

        if (global[i] == (uint64_t)(uintptr_t)L && *before < 0 && *before >= -STATES)
            return before;
    }
    return NULL;
}

void on_trace_find(struct on_trace *t, lua_State *L, lua_Alloc alloc, const void *arg)
{
    struct lua_state_head *h = (struct lua_state_head *)L;

    *t = (struct on_trace){0};
    if (is_as_expected(h, L, alloc, arg))
        t->vmstate = find_vmstate(h->global, L);
    if (t->vmstate)
        t->head = h;
}

/* The message goes behind what scripts may use of the stack, where LuaJIT keeps some slots free. */
bool on_trace_refuse(const struct on_trace *t)
{
    if (!t->head)
        return true; /* nothing is compiled */
    if (*t->vmstate == STATE_COLLECTS)
        return false; /* a smaller table of strings, for one */
    if (*t->vmstate > 0) {
        t->head->base = t->head->stack + FIRST_SLOT;
        t->head->top = t->head->max;
    }
    return true;
}
