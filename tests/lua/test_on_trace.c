/* Memory refused while compiled code runs: an error as any other. */
#include "check.h"
#include "lua/state.h"

#include <string.h>

#include <lauxlib.h>

enum { CALLS = 20 };

static struct err_info info;

/* The loop is compiled by the first call. In the next ones a function of C leaves its frame deep in
 * the stack, numbers are written over it, and the loop asks for more than there is. */
static const char script[] =
    "local touch = ...\n"
    "local function deep(n) if n == 0 then touch() return 1 end local r = deep(n - 1) return r "
    "end\n"
    "local function fill()\n"
    "  local a, b, c, d, e, f, g, h, i, j, k, l = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12\n"
    "  local m, n, o, p, q, r, s, t, u, v, w, x = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12\n"
    "  local A, B, C, D, E, F, G, H, I, J, K, L = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12\n"
    "end\n"
    "local function grow(t, most)\n"
    "  for i = 1, most do t[i] = i * 0.5 end\n"
    "end\n"
    "return function(depth, most)\n"
    "  local t = {}\n"
    "  deep(depth)\n"
    "  fill()\n"
    "  grow(t, most)\n"
    "end\n";

static int touch(lua_State *L)
{
    return lua_gettop(L);
}

static enum err call(lua_State *L, int depth, double most)
{
    lua_pushvalue(L, -1);
    lua_pushinteger(L, depth);
    lua_pushnumber(L, most);
    return lua_run(L, 2, 0, &info);
}

static void memory_refused_to_compiled_code_is_an_error(void)
{
    struct lua_options options = {.jit = LUA_JIT_ON};
    lua_State *L = lua_state_new(&options);

    CHECK(luaL_loadbuffer(L, script, sizeof(script) - 1, "=script") == 0);
    lua_pushcfunction(L, touch);
    CHECK(lua_pcall(L, 1, 1, 0) == 0);
    CHECK(call(L, 1, 1000) == ERR_OK);
    options.max_bytes = lua_state_bytes(L) + (512 << 10);
    lua_state_configure(L, &options);
    for (int depth = 0; depth < 20; depth++) {
        CHECK(call(L, depth, 1e9) == ERR_SCRIPT && lua_run_failure(L) == LUA_NO_MEMORY);
        CHECK(strstr(info.text, "memory") != NULL);
    }
    CHECK(lua_gettop(L) == 1);
    lua_state_close(L);
}

/* Without ticks the clock is looked at only where a large block is asked for: the table of strings
 * grows and shrinks, the latter while garbage is collected in compiled code. */
static const char strings[] = "local t = {}\n"
                              "for i = 1, 20000 do t[i] = false end\n"
                              "return function()\n"
                              "  for round = 1, 1e9 do\n"
                              "    for i = 1, 20000 do t[i] = 'k' .. (round * 20000 + i) end\n"
                              "    for i = 1, 20000 do t[i] = false end\n"
                              "    for i = 1, 60000 do local s = 'x' .. (round * 60000 + i) end\n"
                              "  end\n"
                              "end\n";

static void what_the_collector_asks_for_is_given(void)
{
    struct lua_options options = {.jit = LUA_JIT_ON};
    lua_State *L = lua_state_new(&options);

    CHECK(luaL_loadbuffer(L, strings, sizeof(strings) - 1, "=strings") == 0);
    CHECK(lua_pcall(L, 0, 1, 0) == 0);
    for (int i = 0; i < CALLS; i++) {
        lua_state_bound_cpu(L, 1000000 + (uint64_t)i * 300000);
        lua_pushvalue(L, -1);
        CHECK(lua_run_bounded(L, 0, 0, &info) == ERR_SCRIPT && lua_run_failure(L) == LUA_OVERRUN);
    }
    lua_state_close(L);
}

int main(void)
{
    RUN(what_the_collector_asks_for_is_given);
    RUN(memory_refused_to_compiled_code_is_an_error);
    return DONE();
}
