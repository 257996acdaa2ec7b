/* state.h: a Lua state as this program makes it: counted memory, the closed environment, embedded
 * modules, chunks named so that errors say file and line.
 *
 * A state belongs to one thread at a time. Scripts never see ffi, io, os, debug, package, load or
 * the real globals; the library in lua/moontail/ (trusted) does.
 */
#pragma once

#include "base/err.h"
#include "base/memory.h"
#include "base/slice.h"

#include <stdatomic.h>
#include <stdint.h>

#include <lua.h>

struct lua_options {
    struct memory *memory;   /* counted; may be NULL */
    size_t max_bytes;        /* of this state, enforced inside of lua_run; 0: no bound of its own */
    uint64_t max_cpu_ns;     /* CPU time of one lua_run_bounded; 0: no bound */
    const atomic_bool *stop; /* set by any thread: what lua_run runs ends; NULL: nobody can */
    enum lua_jit { LUA_JIT_AUTO, LUA_JIT_ON, LUA_JIT_OFF } jit; /* off where W^X forbids it */
    bool low_memory; /* memory below 2^47, by LuaJIT's own allocator; on arm64 always */
};

/* A state with the trusted library loaded (its modules can be required by trusted code).
 * NULL without memory. Owned by the caller (lua_state_close). */
lua_State *lua_state_new(const struct lua_options *options);
void lua_state_close(lua_State *L);
bool lua_state_jit(const lua_State *L); /* runs compiled */
size_t lua_state_bytes(const lua_State *L);
/* Changes what the options said, once the configuration is known. */
void lua_state_configure(lua_State *L, const struct lua_options *options);

/* For states that run specs, which are trusted: `require` finds files too, by LUA_PATH and
 * LUA_CPATH or the places where Lua's modules are. Embedded modules still come first. */
enum err lua_state_open_up(lua_State *L, struct err_info *info) MUST_CHECK;

/* Another max_cpu_ns than the options said. */
void lua_state_bound_cpu(lua_State *L, uint64_t max_cpu_ns);
uint64_t lua_state_cpu_bound(const lua_State *L);

/* Pushes the return value of a trusted embedded module ("moontail.schema"), loading it once.
 * ERR_SCRIPT with the message in info, nothing pushed. */
enum err lua_require(lua_State *L, const char *module, struct err_info *info) MUST_CHECK;
/* The same of the function that the module has under this name. */
enum err lua_require_function(lua_State *L, const char *module, const char *name,
                              struct err_info *info) MUST_CHECK;

/* Pushes a fresh environment for scripts: the allowed globals, still open, so that rooms add theirs
 * with lua_setfield. Scripts may be loaded into it once it is sealed. ERR_SCRIPT: nothing pushed.
 */
enum err lua_env_new(lua_State *L, struct err_info *info) MUST_CHECK;
/* From here on names of the environment at `env` can't be assigned, and reading one that does not
 * exist raises and names the nearest. The table is emptied: reads go through its metatable. */
enum err lua_env_seal(lua_State *L, int env, struct err_info *info) MUST_CHECK;

/* Compiles `text` (never bytecode) as a chunk called `name`, in the environment table at `env`;
 * pushes the function. Also refuses what compiles but can't be meant: a verdict whose value is
 * thrown away, a comparison with a kind or status that there is not (lua/moontail/lint.lua), and
 * globals that the environment has not (lua/moontail/globals.lua).
 * Its loops, functions and jumps count down (rewrite.h), so that lua_run_bounded can end them;
 * names that begin with __mt are refused. ERR_SCRIPT: "name:line: message", nothing pushed. */
enum err lua_load_script(lua_State *L, struct slice text, const char *name, int env,
                         struct err_info *info) MUST_CHECK;

/* Lua shortens long names in messages ("...d/config.lua:3: no"): puts `name` back in full, if the
 * message begins with a shortened form of it, or in front of one that has no place ("not enough
 * memory"). */
void lua_name_in_full(struct err_info *info, const char *name);

/* pcall with a readable message, for what runs once: files, setup, modules. args are popped; on
 * failure nothing is pushed. The state's bound of memory holds in here only, so that calls around
 * it can't fail. Scripts may use 10 s of CPU time, so that an endless loop in a file ends. A call
 * that met a bound is followed by a full collection, also if the script caught the error. Other
 * values than strings: "error value of type table". Calls nest: the outermost one's bounds hold. */
enum err lua_run(lua_State *L, int args, int results, struct err_info *info) MUST_CHECK;

/* As lua_run, for what is called over and over (a policy, a processor, an exporter): within
 * max_cpu_ns of the thread's CPU time. Past it each loop, call and jump of the script raises, again
 * and again; and whatever the script made of that, the call fails with ERR_SCRIPT. */
enum err lua_run_bounded(lua_State *L, int args, int results, struct err_info *info) MUST_CHECK;

/* For functions in C that work long on what a script gave: raises over the budget. */
void lua_run_look(lua_State *L);

/* How the last lua_run or lua_run_bounded of the state ended. */
enum lua_failure { LUA_RAN, LUA_RAISED, LUA_NO_MEMORY, LUA_OVERRUN };
enum lua_failure lua_run_failure(const lua_State *L);
/* How often the outermost call that ran last looked at the clock: for tests. */
uint64_t lua_run_looks(const lua_State *L);
