#include "lua/state.h"

#include "base/log.h"
#include "lua/embed.h"
#include "lua/host.h"

#include <stdatomic.h>
#include <stdint.h>
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

enum { COUNT_STEP = 64 * 1024 }; /* the shared counter hears of changes in steps of this */

/* The allocator's argument: lives outside of the state that it counts. */
struct heap {
    struct memory *memory;
    size_t used;    /* bytes that the state holds */
    size_t counted; /* of these, told to `memory`, in whole steps */
    size_t max;     /* 0: no bound */
    unsigned runs;  /* nested lua_run: only in them the bound holds */
    bool jit;
};

static void heap_tell(struct heap *h)
{
    size_t want = (h->used + COUNT_STEP - 1) / COUNT_STEP * COUNT_STEP;

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

static void *heap_alloc(void *arg, void *p, size_t old, size_t size)
{
    struct heap *h = arg;
    void *moved;

    if (size == 0) {
        free(p);
        h->used -= old;
        heap_tell(h);
        return NULL;
    }
    if (h->max && h->runs && size > old &&
        size - old > h->max - (h->used < h->max ? h->used : h->max))
        return NULL;
    moved = realloc(p, size);
    if (!moved)
        return NULL;
    h->used += size - old;
    heap_tell(h);
    return moved;
}

/* A state that another program made (the testing module's) has no bounds of ours. */
static struct heap *heap_of(const lua_State *L)
{
    static _Thread_local struct heap foreign;
    void *heap;

    return lua_getallocf((lua_State *)L, &heap) == heap_alloc ? heap : &foreign;
}

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
static bool jit_wanted(const struct lua_options *options)
{
    static atomic_bool said;

    if (options->jit != LUA_JIT_AUTO)
        return options->jit == LUA_JIT_ON;
    if (THREAD_SANITIZER)
        return false;
    if (machine_code_allowed())
        return true;
    if (!atomic_exchange(&said, true))
        log_event(LOG_WARN, "Lua runs interpreted: this system forbids executable memory", "jit",
                  "off");
    return false;
}

static int on_panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);

    log_event(LOG_ERROR, "Lua error outside of a protected call", "error", text ? text : "?");
    return 0; /* the library aborts */
}

/* package.loaders[2]: finds "moontail.X" among the embedded files. */
static int embedded_loader(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    char path[128];
    const struct embedded_file *file;
    size_t len;

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
    len = (size_t)(file->end - file->text);
    lua_pushfstring(L, "@%s", path);
    if (luaL_loadbufferx(L, file->text, len, lua_tostring(L, -1), "t") != 0)
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
    h->jit = jit_wanted(options);
    L = lua_newstate(heap_alloc, h);
    if (!L) {
        free(h);
        return NULL;
    }
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
    lua_close(L);
    if (h->memory && h->counted)
        memory_release(h->memory, h->counted);
    free(h); /* NOLINT(clang-analyzer-unix.Malloc): a state that we made has a heap of its own */
}

void lua_state_configure(lua_State *L, const struct lua_options *options)
{
    struct heap *h = heap_of(L);

    h->max = options->max_bytes;
    h->jit = jit_wanted(options);
    set_engine(L, h->jit);
}

bool lua_state_jit(const lua_State *L)
{
    return heap_of(L)->jit;
}

size_t lua_state_bytes(const lua_State *L)
{
    return heap_of(L)->used;
}

enum err lua_run(lua_State *L, int args, int results, struct err_info *info)
{
    struct heap *h = heap_of(L);
    int status;
    enum err e;

    h->runs++;
    status = lua_pcall(L, args, results, 0);
    h->runs--;
    if (status == 0)
        return ERR_OK;
    if (lua_type(L, -1) == LUA_TSTRING)
        e = err_fail(info, ERR_SCRIPT, "%s", lua_tostring(L, -1));
    else
        e = err_fail(info, ERR_SCRIPT, "error value of type %s", luaL_typename(L, -1));
    lua_pop(L, 1);
    if (status == LUA_ERRMEM)
        lua_gc(L, LUA_GCCOLLECT, 0);
    return e;
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

enum err lua_env_new(lua_State *L, struct err_info *info)
{
    enum err e = lua_require(L, "moontail.env", info);

    if (e)
        return e;
    lua_getfield(L, -1, "new");
    lua_remove(L, -2);
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

void lua_name_in_full(struct err_info *info, const char *name)
{
    struct err_info copy;
    const char *tail = copy.text + 3, *end;
    size_t len, name_len = strlen(name);

    if (!info || strncmp(info->text, "...", 3) != 0)
        return;
    copy = *info;
    end = strchr(tail, ':');
    len = end ? (size_t)(end - tail) : SIZE_MAX;
    if (len > name_len || strncmp(name + name_len - len, tail, len) != 0)
        return;
    err_fail(info, copy.code, "%s%s", name, end);
}

/* What compiles but can't be meant: moontail.lint. */
static enum err check_text(lua_State *L, struct slice text, const char *name, struct err_info *info)
{
    int top = lua_gettop(L);
    enum err e = lua_require(L, "moontail.lint", info);

    if (e)
        return e;
    lua_getfield(L, -1, "check");
    lua_pushlstring(L, (const char *)text.data, text.len);
    e = lua_run(L, 1, 2, info);
    if (!e && lua_isstring(L, -2))
        e = err_fail(info, ERR_SCRIPT, "%s:%d: %s", name, (int)lua_tointeger(L, -1),
                     lua_tostring(L, -2));
    lua_settop(L, top);
    return e;
}

enum err lua_load_script(lua_State *L, struct slice text, const char *name, int env,
                         struct err_info *info)
{
    char chunk[512];
    enum err e;

    if (env < 0 && env > LUA_REGISTRYINDEX)
        env = lua_gettop(L) + env + 1;
    if (text.len && text.data[0] == LUA_SIGNATURE[0])
        return err_fail(info, ERR_SCRIPT, "%s:1: compiled Lua is not accepted: give the source",
                        name);
    snprintf(chunk, sizeof(chunk), "@%s", name);
    /* mode "t": also refuses bytecode behind a byte order mark or a first line with '#'. */
    if (luaL_loadbufferx(L, (const char *)text.data, text.len, chunk, "t") != 0) {
        e = err_fail(info, ERR_SCRIPT, "%s", lua_tostring(L, -1));
        lua_name_in_full(info, name);
        lua_pop(L, 1);
        return e;
    }
    e = check_text(L, text, name, info);
    if (e) {
        lua_pop(L, 1);
        return e;
    }
    lua_pushvalue(L, env);
    lua_setfenv(L, -2);
    return ERR_OK;
}
