/* Puts the script API into a Lua state. */
#include "policy/api.h"

#include "base/clock.h"
#include "base/log.h"
#include "lua/scripts.h"
#include "lua/state.h"
#include "policy/access.h"
#include "policy/bytes.h"
#include "policy/handles.h"
#include "policy/json_text.h"
#include "policy/match.h"
#include "policy/metrics_lua.h"
#include "policy/redact_lua.h"
#include "policy/regex_lua.h"
#include "policy/verdict.h"
#include "policy/whole.h"

#include <stdio.h>

#include <lauxlib.h>

enum { MAX_LOG_TEXT = 1000, LOG_LINES = 10 };
#define LOG_WINDOW_NS (10 * NS_PER_S)

static const char state_key; /* its address names our place in the registry */

static int state_gc(lua_State *L)
{
    struct policy_state *s = lua_touserdata(L, 1);

    handles_fini(s);
    redactions_fini(s);
    editor_fini(&s->editor);
    reader_fini(&s->reader);
    return 0;
}

struct policy_state *policy_state_of(lua_State *L)
{
    struct policy_state *s;

    lua_pushlightuserdata(L, (void *)&state_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

static struct policy_state *state_new(lua_State *L)
{
    struct policy_state *s;

    lua_pushlightuserdata(L, (void *)&state_key);
    s = lua_newuserdata(L, sizeof(*s));
    *s = (struct policy_state){.cells = NULL};
    reader_init(&s->reader);
    editor_init(&s->editor, &s->reader);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, state_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return s;
}

/* load_script(type, env, kind) -> the file's chunk, its name for messages, its text; or nil and why
 * there is none. */
static int load_script(lua_State *L)
{
    struct lua_script script;
    struct err_info info;
    enum err e =
        lua_find_script(L, luaL_optstring(L, 3, "policy"), luaL_checkstring(L, 1), &script, &info);

    luaL_checktype(L, 2, LUA_TTABLE);
    if (e) {
        lua_pushnil(L);
        lua_pushstring(L, info.text);
        return 2;
    }
    e = lua_load_script(L, slice_make(script.text, script.len), script.name, 2, &info);
    if (e)
        lua_pushstring(L, info.text);
    else
        lua_pushstring(L, script.name);
    if (!e)
        lua_pushlstring(L, script.text, script.len);
    lua_script_fini(&script);
    return e ? lua_error(L) : 3;
}

enum { GLOB_STEPS = 1000000 };

/* glob(pattern, text) */
static int glob(lua_State *L)
{
    size_t pattern_len, text_len;
    const char *pattern = luaL_checklstring(L, 1, &pattern_len);
    const char *text = luaL_checklstring(L, 2, &text_len);

    if (text_len > GLOB_STEPS / (pattern_len + 1))
        return luaL_error(L,
                          "text.glob takes %d steps at most: bytes of the text by those of the "
                          "pattern",
                          GLOB_STEPS);
    lua_pushboolean(L, match_glob(slice_make(pattern, pattern_len), slice_make(text, text_len)));
    return 1;
}

/* One more line of a script's is bearable. */
static bool may_log(struct policy_state *s)
{
    if (s->now_ns - s->log_window_ns >= LOG_WINDOW_NS) {
        s->log_window_ns = s->now_ns;
        s->log_lines = 0;
    }
    return s->log_lines++ < LOG_LINES;
}

/* log(level, text) */
static int log_line(lua_State *L)
{
    struct policy_state *s = lua_touserdata(L, lua_upvalueindex(1));
    char text[MAX_LOG_TEXT];

    snprintf(text, sizeof(text), "%s", luaL_checkstring(L, 2));
    if (!s->is_quiet && may_log(s))
        log_event(strcmp(luaL_checkstring(L, 1), "warn") == 0 ? LOG_WARN : LOG_INFO, "script",
                  "text", policy_redacted_str(L, text, text, sizeof(text)));
    return 0;
}

/* Makes the module moontail.policy_core, once a state. */
static void open_core(lua_State *L, struct policy_shared *shared)
{
    struct policy_state *s = state_new(L);

    s->reader.labels = shared ? shared->labels : NULL;
    s->is_quiet = shared && shared->is_quiet;
    luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
    lua_newtable(L);
    access_register(L, &s->reader);
    edit_register(L, &s->editor);
    match_register(L);
    verdict_register(L);
    handles_register(L, s);
    bytes_register(L);
    whole_register(L, &s->reader);
    metrics_lua_register(L);
    json_text_register(L);
    redact_register(L, s);
    regex_lua_register(L);
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, log_line, 1);
    lua_setfield(L, -2, "log");
    lua_pushcfunction(L, load_script);
    lua_setfield(L, -2, "load_script");
    lua_pushcfunction(L, glob);
    lua_setfield(L, -2, "glob");
    lua_setfield(L, -2, "moontail.policy_core");
    lua_pop(L, 1);
}

static int protected_open(lua_State *L)
{
    open_core(L, lua_touserdata(L, 1));
    return 0;
}

static int absolute(lua_State *L, int index)
{
    return index < 0 && index > LUA_REGISTRYINDEX ? lua_gettop(L) + index + 1 : index;
}

enum err policy_api_install(lua_State *L, int env, struct policy_shared *shared,
                            struct err_info *info)
{
    enum err e;

    env = absolute(L, env);
    if (!policy_state_of(L)) {
        lua_pushcfunction(L, protected_open);
        lua_pushlightuserdata(L, shared);
        e = lua_run(L, 1, 0, info);
        if (e)
            return e;
    }
    e = lua_require(L, "moontail.policy", info);
    if (e)
        return e;
    lua_getfield(L, -1, "install");
    lua_remove(L, -2);
    lua_pushvalue(L, env);
    return lua_run(L, 1, 0, info);
}

void policy_take_hints(lua_State *L, struct buf *hints)
{
    struct err_info info;

    if (lua_require(L, "moontail.policy", &info))
        return;
    lua_getfield(L, -1, "take_hints");
    lua_remove(L, -2);
    if (lua_run(L, 0, 1, &info))
        return;
    buf_str(hints, lua_tostring(L, -1));
    lua_pop(L, 1);
}

enum err policy_api_text(lua_State *L, const char *what, struct err_info *info)
{
    enum err e = lua_require_function(L, "moontail.api_print", what, info);

    if (e)
        return e;
    return lua_run(L, 0, 1, info);
}

void policy_use_cells(lua_State *L, struct cells *cells, uint64_t now_ns)
{
    handles_use(policy_state_of(L), cells, now_ns);
}

void policy_begin_time(lua_State *L, uint64_t now_ns)
{
    struct policy_state *s = policy_state_of(L);

    s->now_ns = now_ns;
    s->has_time = true;
}

void policy_end_time(lua_State *L)
{
    policy_state_of(L)->has_time = false;
}

enum err policy_push_trace(lua_State *L, const struct policy_trace *trace)
{
    struct policy_state *s = policy_state_of(L);
    struct err_info info;

    reader_begin(&s->reader, trace);
    if (lua_require(L, "moontail.access", &info))
        return ERR_FULL;
    lua_getfield(L, -1, "trace");
    lua_remove(L, -2);
    return lua_run(L, 0, 1, &info) ? ERR_FULL : ERR_OK;
}

void policy_end_trace(lua_State *L)
{
    reader_end(&policy_state_of(L)->reader);
}
