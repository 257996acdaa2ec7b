#include "base/log.h"
#include "base/memory.h"
#include "check.h"
#include "lua/state.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>

static struct err_info info;

static lua_State *state(void)
{
    return lua_state_new(&(struct lua_options){.jit = LUA_JIT_ON});
}

/* Runs `text` as a script called s.lua in a sealed environment; one result. */
static enum err run(lua_State *L, const char *text)
{
    enum err e;

    CHECK(!lua_env_new(L, &info));
    lua_pushnumber(L, 7);
    lua_setfield(L, -2, "seven");
    CHECK(!lua_env_seal(L, -1, &info));
    e = lua_load_script(L, slice_str(text), "s.lua", -1, &info);
    lua_remove(L, e ? -1 : -2);
    return e ? e : lua_run(L, 0, 1, &info);
}

static bool gives(const char *text, const char *expected)
{
    lua_State *L = state();
    bool ok = !run(L, text) && strcmp(lua_tostring(L, -1), expected) == 0;

    lua_state_close(L);
    return ok;
}

static bool raises(const char *text, const char *message)
{
    lua_State *L = state();
    bool ok = run(L, text) == ERR_SCRIPT && strcmp(info.text, message) == 0 && lua_gettop(L) == 0;

    if (!ok)
        printf("  got: %s\n", info.text);
    lua_state_close(L);
    return ok;
}

static void scripts_reach_only_what_is_allowed(void)
{
    static const char *const forbidden[] = {
        "ffi",          "io",           "os",           "debug",           "jit",
        "package",      "require",      "load",         "loadstring",      "loadfile",
        "dofile",       "getfenv",      "setfenv",      "newproxy",        "rawset",
        "rawget",       "getmetatable", "setmetatable", "coroutine",       "collectgarbage",
        "_G",           "string.dump",  "math.random",  "math.randomseed", "('').dump",
        "table.foreach"};
    char text[64];

    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        lua_State *L = state();

        snprintf(text, sizeof(text), "return tostring(%s)", forbidden[i]);
        CHECK(run(L, text) == ERR_SCRIPT);
        lua_state_close(L);
    }
    CHECK(gives("return select('#', pcall(error, 'x')) + math.floor(2.5) + #('a'):rep(3)", "7"));
    CHECK(gives("return seven", "7"));
}

static void a_misspelt_name_is_answered_with_the_nearest(void)
{
    CHECK(raises("return sevn", "s.lua:1: there is no 'sevn' (did you mean 'seven'?)"));
    CHECK(raises("return string.fnd('a', 'b')",
                 "s.lua:1: string has no 'fnd' (did you mean 'find'?)"));
    CHECK(raises("\ncount = 1", "s.lua:2: 'count' is not declared: write 'local count'"));
    CHECK(raises("seven = 1", "s.lua:1: 'seven' can't be assigned"));
    CHECK(raises("math.floor = 1", "s.lua:1: math can't be changed: 'floor'"));
    CHECK(raises("local s = ('a'):rep(70000)", "s.lua:1: string.rep would make more than 64 KiB"));
}

static void a_global_that_is_not_there_is_refused_before_the_function_runs(void)
{
    CHECK(raises("return function()\n return function() return sevn end\nend",
                 "s.lua:2: there is no 'sevn' (did you mean 'seven'?)"));
    CHECK(raises("local function f()\n count = 1\nend\nreturn f",
                 "s.lua:2: 'count' is not declared: write 'local count'"));
    CHECK(raises("return function() return one end,\n nine",
                 "s.lua:1: there is no 'one'")); /* the first of them */
    CHECK(gives("local function f() return seven + math.floor(0.5) end return f()", "7"));
}

static void errors_say_file_and_line(void)
{
    CHECK(raises("local a =\n\n= 2", "s.lua:3: unexpected symbol near '='"));
    CHECK(raises("\nerror('no')", "s.lua:2: no"));
    CHECK(raises("error({})", "error value of type table"));
}

/* What functions of ours, or of Lua behind them, raise is said where the script called them. */
static void errors_of_the_library_say_the_scripts_line(void)
{
    CHECK(raises("\nlocal s = string.format('%d', 'x')\nreturn s",
                 "s.lua:2: bad argument #2 to 'format' (number expected, got string)"));
    CHECK(raises("\nlocal s = ('%999d'):format(1)\nreturn s",
                 "s.lua:2: invalid option '%999' to 'format'"));
    CHECK(raises("local function f()\nlocal s = table.concat { {} } return s end\nlocal x = f()",
                 "s.lua:2: invalid value (table) at index 1 in table for 'concat'"));
}

/* Whether this text loads (or raises later, since nothing defines keep here). */
static bool loads(const char *text)
{
    lua_State *L = state();
    enum err e;

    CHECK(!lua_env_new(L, &info));
    e = lua_load_script(L, slice_str(text), "s.lua", -1, &info);
    if (e)
        printf("  %s: %s\n", text, info.text);
    lua_state_close(L);
    return !e;
}

static void a_verdict_that_is_thrown_away_is_refused(void)
{
    const char *said = "s.lua:2: the verdict of keep(...) is thrown away; write return keep(...)";

    CHECK(raises("if true then\nkeep 'slow' end", said));
    CHECK(raises("local f = function(t)\nkeep() end return f", said));
    CHECK(raises("local a = 1\nkeep()", said));
    CHECK(raises("local a = string.find\nkeep { 1 }", said));
    CHECK(raises("local t = {}\nkeep('x')", said));
    CHECK(raises("local t = 1;\nkeep()", said));
    CHECK(raises("if seven then return keep() else sample(0.1) end",
                 "s.lua:1: the verdict of sample(...) is thrown away; write return sample(...)"));
    CHECK(raises("return { a = function() for i = 1, 2 do drop() end end }",
                 "s.lua:1: the verdict of drop(...) is thrown away; write return drop(...)"));
    CHECK(loads("return keep()") && loads("local v = keep 'x' return v"));
    CHECK(loads("return seven and keep() or not drop()"));
    CHECK(loads("return { keep(); drop(), [1] = sample(0.5), a = { b = at_least(1) } }"));
    CHECK(loads("local t = {} t.keep() t:drop()"));
    CHECK(loads("local function keep() end keep()") && loads("local drop = print drop()"));
    CHECK(loads("return function(a, keep) keep() end"));
    CHECK(loads("-- keep()\nlocal s = 'keep()' .. [[\nkeep()]] return s"));
}

static void a_comparison_with_no_kind_or_status_is_refused(void)
{
    CHECK(raises("local s = {} return s.kind == 'SERVER'",
                 "s.lua:1: 'SERVER' is never a kind (did you mean 'server'?); allowed: "
                 "unspecified, internal, server, client, producer, consumer"));
    CHECK(raises("local s = {} return\n\"ERROR\" ~= s.entry.status",
                 "s.lua:2: 'ERROR' is never a status (did you mean 'error'?); allowed: unset, ok, "
                 "error"));
    CHECK(loads("local s = {} return s.kind == 'server' and s.status ~= 'unset'"));
    CHECK(loads("local s = {} return s.http.status == '500' or s.status == 500"));
    CHECK(loads("local s = { kind = 'SERVER' } s.kind = 'SERVER' return s.name == 'SERVER'"));
}

static void compiled_lua_is_refused(void)
{
    lua_State *L = state();

    CHECK(!lua_env_new(L, &info));
    CHECK(lua_load_script(L, slice_make("\033LJ\2", 4), "s.lua", -1, &info) == ERR_SCRIPT);
    CHECK(strcmp(info.text, "s.lua:1: compiled Lua is not accepted: give the source") == 0);
    CHECK(lua_load_script(L, slice_make("\xef\xbb\xbf\033LJ\2", 7), "s.lua", -1, &info) ==
          ERR_SCRIPT);
    CHECK(lua_load_script(L, slice_make("#\n\033LJ\2", 6), "s.lua", -1, &info) == ERR_SCRIPT);
    CHECK(lua_gettop(L) == 1);
    lua_state_close(L);
}

static void stops_at_its_bound(bool low_memory)
{
    struct memory memory;
    lua_State *L;

    memory_init(&memory, 1 << 30, 1 << 20);
    L = lua_state_new(
        &(struct lua_options){.memory = &memory, .max_bytes = 4 << 20, .low_memory = low_memory});
    CHECK(L != NULL);
    CHECK(memory_used(&memory) >= lua_state_bytes(L));
    CHECK(run(L, "local t = {} for i = 1, 1e9 do t[i] = { i } end") == ERR_SCRIPT);
    CHECK(strcmp(info.text, "not enough memory") == 0);
    CHECK(lua_state_bytes(L) <= 4 << 20);
    CHECK(!run(L, "return 1")); /* and goes on */
    lua_state_close(L);
    CHECK(memory_used(&memory) == 0);
}

static void a_state_stops_at_its_own_bound_and_returns_every_byte(void)
{
    stops_at_its_bound(false);
    stops_at_its_bound(true);
}

static void a_full_heap_is_collected_also_if_the_script_caught_the_error(void)
{
    lua_State *L = lua_state_new(&(struct lua_options){.max_bytes = 4 << 20});
    size_t before;

    CHECK(!run(L, "return 1"));
    before = lua_state_bytes(L);
    lua_gc(L, LUA_GCSTOP, 0);
    CHECK(!run(L, "pcall(function() local t = {} for i = 1, 1e9 do t[i] = { i } end end)"));
    CHECK(lua_state_bytes(L) < before + (64 << 10));
    CHECK(run(L, "pcall(function() local t = {} for i = 1, 1e9 do t[i] = { i } end end) error'x'"));
    CHECK(lua_state_bytes(L) < before + (64 << 10));
    lua_gc(L, LUA_GCSTOP, 0);
    CHECK(!run(L, "local t = {} for i = 1, 1e4 do t[i] = { i } end")); /* nothing is collected */
    CHECK(lua_state_bytes(L) > before + (256 << 10));
    lua_state_close(L);
}

/* Elsewhere LuaJIT would lose the upper bits of addresses: it refuses to make the state. */
static void memory_lies_where_pointers_of_47_bits_reach(void)
{
    lua_State *L = lua_state_new(&(struct lua_options){.low_memory = true});

    CHECK(L && (uintptr_t)L >> 47 == 0);
    CHECK(!run(L, "local t = {} for i = 1, 1e5 do t[i] = { i } end return t"));
    CHECK((uintptr_t)lua_topointer(L, -1) >> 47 == 0);
    lua_rawgeti(L, -1, 100000);
    CHECK((uintptr_t)lua_topointer(L, -1) >> 47 == 0);
    lua_state_close(L);
}

static void trusted_code_requires_embedded_modules_and_no_files(void)
{
    lua_State *L = state();

    CHECK(!lua_require(L, "moontail.env", &info));
    CHECK(lua_istable(L, -1));
    lua_pop(L, 1);
    CHECK(lua_require(L, "moontail.nothing", &info) == ERR_SCRIPT);
    CHECK(strstr(info.text, "no embedded file 'lua/moontail/nothing.lua'") != NULL);
    CHECK(lua_require(L, "config", &info) == ERR_SCRIPT);
    CHECK(lua_gettop(L) == 0);
    lua_state_close(L);
}

static void compiling_can_be_switched_off(void)
{
    lua_State *L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});

    CHECK(!lua_state_jit(L));
    lua_getglobal(L, "jit");
    lua_getfield(L, -1, "status");
    lua_call(L, 0, 1);
    CHECK(!lua_toboolean(L, -1));
    lua_state_close(L);
    L = state();
    CHECK(lua_state_jit(L));
    lua_state_close(L);
}

/* What MemoryDenyWriteExecute= of a service does: mprotect to executable fails. */
static void forbid_executable_memory(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(rules) / sizeof(rules[0]), rules};

    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void without_executable_memory_auto_interprets(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        bool runs;
        lua_State *L;

        forbid_executable_memory();
        L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_AUTO});
        runs = !lua_state_jit(L) && !run(L, "local n = 0 for i = 1, 1e5 do n = n + i end return n");
        _exit(check_failures || !runs);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void log_ignore(void *arg, const char *line, size_t len)
{
    (void)arg;
    (void)line;
    (void)len;
}

int main(void)
{
    log_redirect(log_ignore, NULL);
    RUN(without_executable_memory_auto_interprets);
    RUN(scripts_reach_only_what_is_allowed);
    RUN(a_misspelt_name_is_answered_with_the_nearest);
    RUN(a_global_that_is_not_there_is_refused_before_the_function_runs);
    RUN(errors_say_file_and_line);
    RUN(errors_of_the_library_say_the_scripts_line);
    RUN(a_verdict_that_is_thrown_away_is_refused);
    RUN(a_comparison_with_no_kind_or_status_is_refused);
    RUN(compiled_lua_is_refused);
    RUN(a_state_stops_at_its_own_bound_and_returns_every_byte);
    RUN(a_full_heap_is_collected_also_if_the_script_caught_the_error);
    RUN(memory_lies_where_pointers_of_47_bits_reach);
    RUN(trusted_code_requires_embedded_modules_and_no_files);
    RUN(compiling_can_be_switched_off);
    return DONE();
}
