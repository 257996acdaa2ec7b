#include "lua/state.h"

#include "base/log.h"
#include "lua/embed.h"
#include "lua/heap.h"
#include "lua/host.h"
#include "lua/load.h"
#include "lua/place.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>

/* The thread sanitizer can't see into machine code, and above its allocator the compiler of
 * Debian 12's LuaJIT was seen to give wrong values (one in ten runs of the configuration's tests
 * with jit.opt.start("hotloop=20"); none without the sanitizer). */
#ifdef __SANITIZE_THREAD__
#define THREAD_SANITIZER true
#else
#define THREAD_SANITIZER false
#endif

/* LuaJIT's pointers have 47 bits, and memory of malloc lies above them on arm64. */
#ifdef __aarch64__
#define HIGH_MEMORY true
#else
#define HIGH_MEMORY false
#endif

/* CPU time of what runs once: a file, setup, a module. Far above what any needs. */
#define ONCE_NS (UINT64_C(10) * 1000 * 1000 * 1000)

/* Whether a page that was written may be made executable: what the compiler does. */
static bool machine_code_allowed(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool allowed;

    if (p == MAP_FAILED)
        return false;
    *(volatile char *)p = 0;
    allowed = mprotect(p, page, PROT_READ | PROT_EXEC) == 0;
    munmap(p, page);
    return allowed;
}

/* The warning comes once, not for each worker's state. */
static bool may_compile(const struct heap *h, const struct lua_options *options)
{
    static atomic_bool said;
    const char *why;

    if (options->jit == LUA_JIT_OFF || (options->jit == LUA_JIT_AUTO && THREAD_SANITIZER))
        return false;
    if (!machine_code_allowed()) /* the compiler would raise, in calls that nobody expects it from
                                  */
        why = "Lua runs interpreted: this system forbids executable memory";
    else if (!h->on_trace.head)
        why = "Lua runs interpreted: memory can't be bounded in what this LuaJIT compiles";
    else
        return true;
    if (!atomic_exchange(&said, true))
        log_event(LOG_WARN, why, "jit", "off");
    return false;
}

static int on_panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);

    log_event(LOG_ERROR, "Lua error outside of a protected call", "error", text ? text : "?");
    log_flush();
    return 0; /* the library ends the program */
}

/* Modules whose loops run as long as what a script gave them is large: they count down too. */
static bool is_counted(const char *module)
{
    static const char *const counted[] = {"bytes", "edit", "exporter_run", "text"};

    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
        if (strcmp(module, counted[i]) == 0)
            return true;
    return false;
}

/* package.loaders[2]: finds "moontail.X" among the embedded files. */
static int embedded_loader(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    char path[128];
    const struct embedded_file *file;
    struct slice text;

    if (strncmp(name, "moontail.", 9) != 0) {
        lua_pushfstring(L, "\n\tno embedded module '%s'", name);
        return 1;
    }
    snprintf(path, sizeof(path), "lua/moontail/%s.lua", name + 9);
    file = embedded_find(path);
    if (!file) {
        lua_pushfstring(L, "\n\tno embedded file '%s'", path);
        return 1;
    }
    text = slice_make(file->text, (size_t)(file->end - file->text));
    if (load_trusted(L, text, path, is_counted(name + 9)))
        return lua_error(L);
    return 1;
}

/* require finds what is preloaded and what is embedded; never a file. */
static void restrict_require(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaders");
    lua_createtable(L, 2, 0);
    lua_rawgeti(L, -2, 1);
    lua_rawseti(L, -2, 1);
    lua_pushcfunction(L, embedded_loader);
    lua_rawseti(L, -2, 2);
    lua_setfield(L, -3, "loaders");
    lua_pop(L, 1);
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_pushnil(L);
    lua_setfield(L, -2, "loadlib");
    lua_pop(L, 1);
}

/* Makes `package` as Lua has it, with embedded_loader in front of those that look for files. */
static int open_package(lua_State *L)
{
    lua_pushcfunction(L, luaopen_package);
    lua_call(L, 0, 0);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaders");
    for (int i = (int)lua_objlen(L, -1); i > 1; i--) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushcfunction(L, embedded_loader);
    lua_rawseti(L, -2, 2);
    return 0;
}

enum err lua_state_open_up(lua_State *L, struct err_info *info)
{
    lua_pushcfunction(L, open_package);
    return lua_run(L, 0, 0, info);
}

static void set_engine(lua_State *L, bool jit)
{
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | (jit ? LUAJIT_MODE_ON : LUAJIT_MODE_OFF));
}

static int open_state(lua_State *L)
{
    luaL_openlibs(L);
    set_engine(L, lua_toboolean(L, 1));
    restrict_require(L);
    lua_host_open(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moontail.env"); /* replaces the metatable of strings */
    lua_call(L, 1, 0);
    return 0;
}

lua_State *lua_state_new(const struct lua_options *options)
{
    struct heap *h = calloc(1, sizeof(*h));
    lua_State *L;

    if (!h)
        return NULL;
    *h = (struct heap){.memory = options->memory, .max = options->max_bytes};
    h->bound_ns = options->max_cpu_ns;
    h->stop = options->stop;
    L = heap_open(h, options->low_memory || HIGH_MEMORY);
    if (!L) {
        free(h);
        return NULL;
    }
    h->jit = may_compile(h, options);
    lua_atpanic(L, on_panic);
    lua_pushcfunction(L, open_state);
    lua_pushboolean(L, h->jit);
    if (lua_pcall(L, 1, 0, 0) != 0) {
        log_event(LOG_ERROR, "cannot make a Lua state", "error", lua_tostring(L, -1));
        lua_state_close(L);
        return NULL;
    }
    return L;
}

void lua_state_close(lua_State *L)
{
    struct heap *h;
    void *heap;

    if (!L)
        return;
    (void)lua_getallocf(L, &heap);
    h = heap;
    heap_close(h, L);
    free(h); /* NOLINT(clang-analyzer-unix.Malloc): a state that we made has a heap of its own */
}

void lua_state_configure(lua_State *L, const struct lua_options *options)
{
    struct heap *h = heap_of(L);

    h->max = options->max_bytes;
    h->bound_ns = options->max_cpu_ns;
    h->stop = options->stop;
    h->jit = may_compile(h, options);
    set_engine(L, h->jit);
}

void lua_state_bound_cpu(lua_State *L, uint64_t max_cpu_ns)
{
    heap_of(L)->bound_ns = max_cpu_ns;
}

uint64_t lua_state_cpu_bound(const lua_State *L)
{
    return heap_of(L)->bound_ns;
}

bool lua_state_jit(const lua_State *L)
{
    return heap_of(L)->jit;
}

size_t lua_state_bytes(const lua_State *L)
{
    return heap_of(L)->used;
}

/* Of a call that ended in an error, which is on the top, or was over its budget. */
static enum err fail_run(lua_State *L, struct heap *h, struct err_info *info)
{
    if (h->call.failure == LUA_OVERRUN)
        return err_fail(info, ERR_SCRIPT, "%s", heap_overrun_text(h));
    if (lua_type(L, -1) == LUA_TSTRING)
        return err_fail(info, ERR_SCRIPT, "%s", lua_tostring(L, -1));
    return err_fail(info, ERR_SCRIPT, "error value of type %s", luaL_typename(L, -1));
}

static enum err run(lua_State *L, int args, int results, bool once, struct err_info *info)
{
    struct heap *h = heap_of(L);
    int base = lua_gettop(L) - args - 1, status;
    enum err e = ERR_OK;

    if (h->runs++ == 0)
        heap_begin(h, once ? ONCE_NS : h->bound_ns, once ? h->stop : NULL);
    place_push_handler(L);
    lua_insert(L, base + 1);
    status = lua_pcall(L, args, results, base + 1);
    lua_remove(L, base + 1);
    h->runs--;
    if (status == 0 && (h->runs > 0 || !h->call.overrun)) {
        h->call.failure = LUA_RAN;
    } else {
        h->call.failure = h->call.overrun        ? LUA_OVERRUN
                          : status == LUA_ERRMEM ? LUA_NO_MEMORY
                                                 : LUA_RAISED;
        e = fail_run(L, h, info);
        lua_settop(L, base);
    }
    h->call.is_full |= h->call.failure == LUA_OVERRUN || h->call.failure == LUA_NO_MEMORY;
    if (h->runs == 0)
        heap_tidy(L, h); /* else the next call fails of it, also if the script caught the error */
    return e;
}

enum err lua_run(lua_State *L, int args, int results, struct err_info *info)
{
    return run(L, args, results, true, info);
}

enum err lua_run_bounded(lua_State *L, int args, int results, struct err_info *info)
{
    return run(L, args, results, false, info);
}

void lua_run_look(lua_State *L)
{
    heap_check(L);
}

enum lua_failure lua_run_failure(const lua_State *L)
{
    return heap_of(L)->call.failure;
}

uint64_t lua_run_looks(const lua_State *L)
{
    return heap_of(L)->call.looks;
}

static int call_require(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

enum err lua_require(lua_State *L, const char *module, struct err_info *info)
{
    lua_pushcfunction(L, call_require);
    lua_pushstring(L, module);
    return lua_run(L, 1, 1, info);
}

enum err lua_require_function(lua_State *L, const char *module, const char *name,
                              struct err_info *info)
{
    enum err e = lua_require(L, module, info);

    if (e)
        return e;
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    return ERR_OK;
}

enum err lua_env_new(lua_State *L, struct err_info *info)
{
    enum err e = lua_require_function(L, "moontail.env", "new", info);

    if (e)
        return e;
    return lua_run(L, 0, 1, info);
}

enum err lua_env_seal(lua_State *L, int env, struct err_info *info)
{
    enum err e;

    if (env < 0 && env > LUA_REGISTRYINDEX)
        env = lua_gettop(L) + env + 1;
    e = lua_require(L, "moontail.env", info);
    if (e)
        return e;
    lua_getfield(L, -1, "seal");
    lua_remove(L, -2);
    lua_pushvalue(L, env);
    return lua_run(L, 1, 0, info);
}
