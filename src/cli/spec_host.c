/* The functions of moontail_testing (lua/moontail/testing.lua has its other half). */
#include "cli/spec_host.h"

#include "cli/spec_trace.h"
#include "export/compose.h"
#include "lua/host.h"
#include "lua/scripts.h"
#include "lua/state.h"
#include "otlp/json.h"
#include "policy/api.h"
#include "policy/policy.h"
#include "policy/processor.h"
#include "policy/verdict.h"

#include <stdlib.h>

#include <lauxlib.h>

/* Of the process: one state a test run. */
static struct policy_shared shared;
static uint64_t now_ns = UINT64_C(1000000000000); /* for limits and the like */

/* begin(trace) -> the proxy that scripts get, and its number. Ends what was begun before. */
static int testing_begin(lua_State *L)
{
    if (policy_push_trace(L, &spec_trace_check(L, 1)->trace))
        return luaL_error(L, "no memory to read the trace");
    policy_begin_time(L, now_ns);
    lua_pushnumber(L, policy_state_of(L)->reader.face.number);
    return 2;
}

static int testing_finish(lua_State *L)
{
    policy_end_trace(L);
    policy_end_time(L);
    return 0;
}

/* verdict(value) -> kind, p, reason or nil; nothing for what is no verdict. */
static int testing_verdict(lua_State *L)
{
    static const char *const names[] = {"keep", "drop", "sample", "at_least"};
    const struct verdict *v = verdict_get(L, 1);

    if (!v)
        return 0;
    lua_pushstring(L, names[v->kind]);
    lua_pushnumber(L, v->p);
    if (v->has_reason)
        lua_pushlstring(L, v->reason, v->reason_len);
    else
        lua_pushnil(L);
    return 3;
}

static int set_gc(lua_State *L)
{
    struct policy_set **p = lua_touserdata(L, 1);

    policy_set_free(*p);
    *p = NULL;
    return 0;
}

/* chain(policies, default) -> a set of policies. */
static int testing_chain(lua_State *L)
{
    struct policy_set **p;
    struct buf errors;

    lua_settop(L, 2);
    p = lua_newuserdata(L, sizeof(struct policy_set *));
    *p = NULL;
    buf_init(&errors, 1 << 20, NULL);
    if (policy_set_new(L, 1, 2, &shared, p, &errors)) {
        lua_pushlstring(L, (const char *)errors.data, errors.len ? errors.len - 1 : 0);
        buf_fini(&errors);
        return lua_error(L);
    }
    buf_fini(&errors);
    luaL_newmetatable(L, "moontail.testing.chain");
    lua_pushcfunction(L, set_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return 1;
}

/* decide(chain, trace) -> "keep" or "drop", policy, reason, p or nil, whether no th is written. */
static int testing_decide(lua_State *L)
{
    struct policy_set **p = luaL_checkudata(L, 1, "moontail.testing.chain");
    struct policy_verdict v;

    policy_set_decide(*p, &spec_trace_check(L, 2)->trace, now_ns, &v);
    lua_pushstring(L, v.keep ? "keep" : "drop");
    lua_pushstring(L, labels_policy(shared.labels, v.label));
    lua_pushstring(L, labels_reason(shared.labels, v.label));
    if (v.probability >= 0)
        lua_pushnumber(L, v.probability);
    else
        lua_pushnil(L);
    lua_pushboolean(L, v.threshold == THRESHOLD_NONE);
    return 5;
}

/* advance(ms) */
static int testing_advance(lua_State *L)
{
    double ms = luaL_checknumber(L, 1);

    luaL_argcheck(L, ms >= 0 && ms < 1e15, 1, "time goes forward");
    now_ns += (uint64_t)(ms * 1e6);
    return 0;
}

/* forget(): what limits and the like know. */
static int testing_forget(lua_State *L)
{
    policy_use_cells(L, NULL, now_ns);
    return 0;
}

static int processors_gc(lua_State *L)
{
    struct processor_set **p = lua_touserdata(L, 1);

    processor_set_free(*p);
    *p = NULL;
    return 0;
}

/* processors(list, "received" or "kept") -> a set of processors. */
static int testing_processors(lua_State *L)
{
    struct processor_set **p;
    struct buf errors;

    lua_settop(L, 2);
    p = lua_newuserdata(L, sizeof(struct processor_set *));
    *p = NULL;
    buf_init(&errors, 1 << 20, NULL);
    if (processor_set_new(L, luaL_checkstring(L, 2), 1, &shared, p, &errors)) {
        lua_pushlstring(L, (const char *)errors.data, errors.len ? errors.len - 1 : 0);
        buf_fini(&errors);
        return lua_error(L);
    }
    buf_fini(&errors);
    luaL_newmetatable(L, "moontail.testing.processors");
    lua_pushcfunction(L, processors_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return 1;
}

/* Pushes the reasons of what was dropped. */
static void push_reasons(lua_State *L, const uint16_t *labels, uint32_t count)
{
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        lua_pushstring(L, labels_reason(shared.filters, labels[i]));
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* Pushes the trace of what is left, or nil. */
static void push_left(lua_State *L, const struct spec_trace *t, const struct processed *left)
{
    struct compose_span *spans;
    struct buf body;

    if (left->count == 0) {
        lua_pushnil(L);
        return;
    }
    spans = lua_newuserdata(L, left->count * sizeof(*spans));
    for (uint32_t i = 0; i < left->count; i++)
        spans[i] = (struct compose_span){.view = left->views[i]};
    buf_init(&body, 64 << 20, NULL);
    if (compose_traces(spans, left->count, &compose_as_it_is, &body) != ERR_OK)
        luaL_error(L, "what is left can't be composed");
    lua_pushlstring(L, (const char *)body.data, body.len);
    buf_fini(&body);
    spec_trace_push(L, slice_make(lua_tostring(L, -1), lua_objlen(L, -1)), t->trigger,
                    t->trace.decided_unix_ns);
}

/* process(processors, trace) -> the trace of what is left or nil, the reasons of what is not. */
static int testing_process(lua_State *L)
{
    struct processor_set **p = luaL_checkudata(L, 1, "moontail.testing.processors");
    const struct spec_trace *t = spec_trace_check(L, 2);
    const struct policy_verdict kept = {.keep = true, .probability = -1};
    struct policy_trace trace = t->trace;
    struct processed left;

    trace.decision = &kept;
    if (!processor_set_run(*p, &trace, UINT32_MAX, 1, &left))
        return luaL_error(L, "no memory");
    push_left(L, t, &left);
    push_reasons(L, left.dropped, left.dropped_count);
    processor_set_end(*p);
    return 2;
}

/* received(processors, trace) -> the reasons of those that are dropped at the door. */
static int testing_received(lua_State *L)
{
    struct processor_set **p = luaL_checkudata(L, 1, "moontail.testing.processors");
    const struct spec_trace *t = spec_trace_check(L, 2);
    uint16_t *labels = lua_newuserdata(L, t->trace.count * sizeof(*labels));
    uint32_t count = 0;

    for (uint32_t i = 0; i < t->trace.count; i++)
        count += processor_set_drops(*p, t->trace.id, &t->views[i], 1, &labels[count]);
    push_reasons(L, labels, count);
    return 1;
}

/* What one body loses. */
struct items_dropped {
    uint16_t labels[256];
    uint32_t count;
};

static void note_dropped(void *arg, uint16_t label, size_t items)
{
    struct items_dropped *d = arg;

    for (; items > 0 && d->count < sizeof(d->labels) / sizeof(d->labels[0]); items--)
        d->labels[d->count++] = label;
}

/* Pushes what the processors leave of `body`, as OTLP/JSON. */
static bool push_items(lua_State *L, struct processor_set *p, enum otlp_signal signal,
                       struct slice body, struct items_dropped *dropped)
{
    const struct item_sink sink = {.dropped = note_dropped, .arg = dropped};
    struct slice left;
    struct buf json;
    bool ok;

    buf_init(&json, 64 << 20, NULL);
    ok = processor_set_items(p, signal, body, 1, &sink, &left) == ERR_OK &&
         json_from_body(signal, left, &json) == ERR_OK;
    processor_set_items_end(p, ok);
    if (ok)
        lua_pushlstring(L, (const char *)json.data, json.len);
    buf_fini(&json);
    return ok;
}

/* items(processors, signal, OTLP/JSON) -> what is left likewise, the reasons of what is not. */
static int testing_items(lua_State *L)
{
    struct processor_set **p = luaL_checkudata(L, 1, "moontail.testing.processors");
    struct slice name = lua_check_slice(L, 2), json = lua_check_slice(L, 3);
    struct items_dropped dropped = {.count = 0};
    struct err_info info = {.text = "no such signal"};
    enum otlp_signal signal;
    struct buf body;
    bool ok;

    buf_init(&body, 64 << 20, NULL);
    ok = otlp_signal_find((const char *)name.data, name.len, &signal) &&
         json_to_body(signal, json, &body, 64 << 20, &info) == ERR_OK &&
         push_items(L, *p, signal, buf_slice(&body), &dropped);
    buf_fini(&body);
    if (!ok)
        return luaL_error(L, "%s", info.text);
    push_reasons(L, dropped.labels, dropped.count);
    return 2;
}

/* where(matcher, trace, policy, reason) -> what an exporter's where says of the kept trace. */
static int testing_where(lua_State *L)
{
    const struct match *m = match_get(L, 1);
    struct policy_verdict v = {.keep = true, .probability = -1};
    struct policy_trace trace = spec_trace_check(L, 2)->trace;

    luaL_argcheck(L, m != NULL, 1, "not a match{}");
    v.label = labels_intern(shared.labels, slice_str(luaL_checkstring(L, 3)),
                            slice_str(luaL_checkstring(L, 4)));
    trace.decision = &v;
    lua_pushboolean(L, match_where(m, &trace, shared.labels));
    return 1;
}

/* folder(path): where policies are looked for before the built-in ones. */
static int testing_folder(lua_State *L)
{
    lua_scripts_set(L, disk_system(), luaL_checkstring(L, 1));
    return 0;
}

/* Makes an error of Lua of a failed call, with the collector's own sentence. */
static int raise(lua_State *L, const struct err_info *info)
{
    lua_pushstring(L, info->text);
    return lua_error(L);
}

/* ask(fn, ...) -> its result: a call with the budget of a policy. */
static int testing_ask(lua_State *L)
{
    struct err_info info;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (lua_run_bounded(L, lua_gettop(L) - 1, 1, &info))
        return raise(L, &info);
    return 1;
}

/* once(fn, ...) -> its two results: a call with the budget of a file or setup. */
static int testing_once(lua_State *L)
{
    struct err_info info;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (lua_run(L, lua_gettop(L) - 1, 2, &info))
        return raise(L, &info);
    return 2;
}

/* budget(ms): what a call may use from now on. */
static int testing_budget(lua_State *L)
{
    double ms = luaL_checknumber(L, 1);

    luaL_argcheck(L, ms > 0 && ms < 1e9, 1, "more than 0 ms");
    lua_state_bound_cpu(L, (uint64_t)(ms * 1e6));
    return 0;
}

static void install_api(lua_State *L)
{
    struct err_info info;

    lua_newtable(L); /* the environment: the whole API, open */
    if (policy_api_install(L, -1, &shared, &info))
        raise(L, &info);
}

int spec_host_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"scan", spec_trace_scan},
        {"split", spec_trace_split},
        {"begin", testing_begin},
        {"finish", testing_finish},
        {"verdict", testing_verdict},
        {"chain", testing_chain},
        {"decide", testing_decide},
        {"where", testing_where},
        {"process", testing_process},
        {"processors", testing_processors},
        {"received", testing_received},
        {"folder", testing_folder},
        {"advance", testing_advance},
        {"forget", testing_forget},
        {"ask", testing_ask},
        {"once", testing_once},
        {"budget", testing_budget},
        {"items", testing_items},
        {NULL, NULL},
    };

    if (!shared.labels)
        policy_shared_init(&shared, labels_new(), 1e9);
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(L, -1, "moontail.host");
    if (lua_isnil(L, -1)) /* another program's state */
        lua_host_open(L);
    lua_pop(L, 2);
    install_api(L);
    spec_trace_register(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_insert(L, -2);
    lua_setfield(L, -2, "api");
    return 1;
}
