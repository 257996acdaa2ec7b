#include "lua/heap.h"

#include "base/clock.h"
#include "base/err.h"
#include "lua/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

enum {
    COUNT_STEP = 64 * 1024,    /* the shared counter hears of changes in steps of this */
    BLOCK_LARGE = 256 * 1024,  /* what is done with blocks like this takes long */
    BLOCK_LOOK = 64 * 1024,    /* to ask for one is worth a look at the clock */
    BLOCK_LEAST = 1024 * 1024, /* may be asked for within any budget */
    COUNT = 100,               /* ticks between two looks at the clock */
    SPARE_MAX = 4096 * 1024,   /* of blocks that are kept: what a collection frees at once */
};

/* The sanitizer sees what is used after it was freed only if it is freed. */
#ifdef __SANITIZE_ADDRESS__
#define KEEPS_SPARE false
#else
#define KEEPS_SPARE true
#endif

static void heap_tell(struct heap *h)
{
    size_t want = (h->used + h->spare.bytes + COUNT_STEP - 1) / COUNT_STEP * COUNT_STEP;

    if (!h->memory)
        return;
    if (want > h->counted) {
        memory_add(h->memory, want - h->counted);
        h->counted = want;
    } else if (h->counted >
               want + COUNT_STEP) { /* slack, so that a boundary is not crossed often */
        memory_release(h->memory, h->counted - want);
        h->counted = want;
    }
}

static size_t large_part(size_t size)
{
    return size >= BLOCK_LARGE ? size : 0;
}

/* What one operation does with a block takes up to a nanosecond a byte, and as many as COUNT go on
 * without a tick that looks: a block that is large for the budget is not given, and none after it.
 */
static bool takes_too_long(struct heap *h, size_t size)
{
    struct heap_call *c = &h->call;

    if (size < BLOCK_LOOK || !c->budget_ns)
        return false;
    if (size > BLOCK_LEAST && size > c->budget_ns / 3)
        return true;
    if (c->looks == 0)
        c->looks = 1; /* the clock starts here */
    return heap_over(h);
}

static bool refuses(struct heap *h, size_t old, size_t size)
{
    if (!h->runs || size <= old)
        return false;
    if (h->max && size - old > h->max - (h->used < h->max ? h->used : h->max)) {
        h->call.is_full = true;
        return true;
    }
    return takes_too_long(h, size);
}

static void *resize(struct heap *h, void *p, size_t old, size_t size)
{
    return h->own ? h->own(h->own_arg, p, old, size) : spare_resize(&h->spare, p, old, size);
}

void *heap_alloc(void *arg, void *p, size_t old, size_t size)
{
    struct heap *h = arg;
    void *moved = NULL;

    if (refuses(h, old, size) && on_trace_refuse(&h->on_trace))
        return NULL;
    moved = resize(h, p, old, size);
    if (size && !moved) /* the library does not survive it wherever it may be */
        err_no_memory("Lua");
    h->used += size - old;
    h->large += large_part(size) - large_part(old);
    heap_tell(h);
    return moved;
}

/* LuaJIT's allocator comes with a state that is made with it; ours goes in front of it. */
static lua_State *open_low(struct heap *h)
{
    lua_State *L = luaL_newstate();

    if (!L)
        return NULL;
    h->own = lua_getallocf(L, &h->own_arg);
    h->used = ((size_t)lua_gc(L, LUA_GCCOUNT, 0) << 10) + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    lua_setallocf(L, heap_alloc, h);
    heap_tell(h);
    return L;
}

lua_State *heap_open(struct heap *h, bool low_memory)
{
    lua_State *L;

    h->spare = (struct spare){.max = KEEPS_SPARE ? SPARE_MAX : 0};
    L = low_memory ? open_low(h) : lua_newstate(heap_alloc, h);
    if (L)
        on_trace_find(&h->on_trace, L, heap_alloc, h);
    return L;
}

void heap_close(struct heap *h, lua_State *L)
{
    if (h->own)
        lua_setallocf(L, h->own, h->own_arg); /* which knows what all of it was */
    lua_close(L);
    spare_drain(&h->spare);
    if (h->memory && h->counted)
        memory_release(h->memory, h->counted);
}

struct heap *heap_of(const lua_State *L)
{
    static _Thread_local struct heap foreign;
    void *heap;

    return lua_getallocf((lua_State *)L, &heap) == heap_alloc ? heap : &foreign;
}

void heap_begin(struct heap *h, uint64_t budget_ns, const atomic_bool *stop)
{
    h->call.budget_ns = budget_ns;
    h->call.stop = stop;
    h->pcalls = 0;
    h->call.looks = 0;
    h->call.overrun = h->call.is_full = false;
}

static bool is_stopped(struct heap_call *c)
{
    if (!c->stop || !atomic_load_explicit(c->stop, memory_order_relaxed))
        return false;
    snprintf(c->where, sizeof(c->where), "ended: the program is shutting down");
    return true;
}

/* Wall time is never less than CPU time and cheaper to read, so it is asked first. */
bool heap_over(struct heap *h)
{
    struct heap_call *c = &h->call;

    if (!h->runs || !c->budget_ns || c->overrun)
        return h->runs && c->overrun;
    c->overrun = is_stopped(c);
    if (c->overrun)
        return true;
    if (++c->looks < 2) /* most calls: not worth the clock */
        return false;
    if (c->looks == 2) {
        c->start_ns = clock_monotonic_ns();
        c->start_cpu_ns = clock_thread_cpu_ns();
        return false;
    }
    if (clock_monotonic_ns() - c->start_ns <= c->budget_ns)
        return false;
    c->overrun = clock_thread_cpu_ns() - c->start_cpu_ns > c->budget_ns;
    if (c->overrun)
        c->where[0] = 0;
    return c->overrun;
}

static void raise_overrun(lua_State *L, struct heap *h)
{
    if (!h->call.where[0]) {
        place_push(L);
        snprintf(h->call.where, sizeof(h->call.where), "%.99smore than %.6g ms of CPU time",
                 lua_tostring(L, -1), (double)h->call.budget_ns / 1e6);
        lua_pop(L, 1);
    }
    lua_pushstring(L, h->call.where);
    lua_error(L);
}

/* One that was seen where memory was asked for, and not caught, has no line. */
const char *heap_overrun_text(struct heap *h)
{
    if (!h->call.where[0])
        snprintf(h->call.where, sizeof(h->call.where),
                 "more than %.6g ms of CPU time, at a large string or table",
                 (double)h->call.budget_ns / 1e6);
    return h->call.where;
}

void heap_tidy(lua_State *L, struct heap *h)
{
    if (!h->call.is_full)
        return;
    lua_gc(L, LUA_GCCOLLECT, 0);
    h->call.is_full = false;
}

void heap_check(lua_State *L)
{
    struct heap *h = heap_of(L);

    if (heap_over(h))
        raise_overrun(L, h);
}

/* With large strings and tables about a single step can take a millisecond: look more often. */
static int next_count(const struct heap *h)
{
    size_t rest = COUNT * (size_t)BLOCK_LARGE / (h->large + 1);

    return rest >= COUNT ? COUNT : (int)rest / 4;
}

int heap_tick(lua_State *L)
{
    heap_check(L);
    lua_pushinteger(L, next_count(heap_of(L)));
    return 1;
}
