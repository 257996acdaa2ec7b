/* moontail_testing: the collector's own scanner, accessors and policies as a Lua module, so that a
 * policy's spec runs under any LuaJIT. lua/moontail/testing.lua is its other half.
 *
 * A trace is a userdata: the bytes, what the scan says of them, and the sums of the trace table.
 */
#include "export/compose.h"
#include "lua/host.h"
#include "lua/scripts.h"
#include "otlp/scan.h"
#include "policy/api.h"
#include "policy/policy.h"
#include "policy/processor.h"
#include "policy/verdict.h"

#include <stdlib.h>

#include <lauxlib.h>

enum { MAX_SPANS = 100000 };
static const char trace_type[] = "moontail.testing.trace";

struct testing_trace {
    uint8_t *body;
    struct span_view *views;
    struct policy_trace trace;
    char trigger[16];
};

/* Of the process: one state a test run. */
static struct policy_shared shared;
static uint64_t now_ns = UINT64_C(1000000000000); /* for limits and the like */

static int trace_gc(lua_State *L)
{
    struct testing_trace *t = lua_touserdata(L, 1);

    free(t->body);
    free(t->views);
    t->body = NULL;
    t->views = NULL;
    return 0;
}

static bool has_id(const struct scan_span *spans, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i].span_id == id)
            return true;
    return false;
}

static bool is_complete(const struct scan_span *spans, size_t count)
{
    bool root = false;

    for (size_t i = 0; i < count; i++) {
        root |= spans[i].parent_id == 0;
        if (spans[i].parent_id && !has_id(spans, count, spans[i].parent_id))
            return false;
    }
    return root;
}

static void fill(struct testing_trace *t, struct slice body, const struct scan_span *spans,
                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct scan_span *s = &spans[i];

        t->views[i] = span_view_at(body, s->offset, s->len, s->resource_offset, s->scope_offset);
        scan_sum(&t->trace.sums, s);
    }
    memcpy(t->trace.id, spans[0].trace_id, 16);
    t->trace.complete = is_complete(spans, count);
    t->trace.trigger = t->trigger;
    t->trace.count = count;
    t->trace.only_root = POLICY_ROOT_UNKNOWN;
    t->trace.span = policy_span_in_array;
    t->trace.span_arg = t->views;
}

static struct testing_trace *push_trace(lua_State *L, struct slice body)
{
    struct testing_trace *t = lua_newuserdata(L, sizeof(*t));

    memset(t, 0, sizeof(*t));
    luaL_getmetatable(L, trace_type);
    lua_setmetatable(L, -2);
    t->body = malloc(body.len + 1);
    if (t->body)
        memcpy(t->body, body.data, body.len);
    else
        luaL_error(L, "no memory for a trace");
    return t;
}

/* Pushes the trace that `text` is; raises where the scanner refuses. */
static int scan(lua_State *L, struct slice text, const char *trigger, uint64_t decided_unix_ns)
{
    struct scan_result result;
    struct scan_span *spans;
    struct testing_trace *t = push_trace(L, text);
    struct slice body = slice_make(t->body, text.len);

    snprintf(t->trigger, sizeof(t->trigger), "%s", trigger);
    t->trace.decided_unix_ns = decided_unix_ns;
    if (scan_traces(body, NULL, 0, &result) == ERR_PARSE)
        return luaL_error(L, "the trace is refused: %s at byte %d", result.error,
                          (int)result.error_offset);
    if (result.rejected)
        return luaL_error(L, "a span is rejected: %s", result.reject_reason);
    if (result.spans == 0 || result.spans > MAX_SPANS)
        return luaL_error(L, "a trace has 1 to %d spans", MAX_SPANS);
    spans = lua_newuserdata(L, result.spans * sizeof(*spans));
    t->views = calloc(result.spans, sizeof(*t->views));
    if (!t->views || scan_traces(body, spans, result.spans, &result))
        return luaL_error(L, "the trace is refused the second time");
    fill(t, body, spans, (uint32_t)result.spans);
    lua_pop(L, 1);
    return 1;
}

/* scan(bytes, trigger, decided_ns as uint64 text) -> trace. */
static int testing_scan(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    return scan(L, slice_make(text, len), luaL_checkstring(L, 2),
                strtoull(luaL_checkstring(L, 3), NULL, 10));
}

static struct testing_trace *check_trace(lua_State *L, int index)
{
    return luaL_checkudata(L, index, trace_type);
}

/* begin(trace) -> the proxy that scripts get, and its number. Ends what was begun before. */
static int testing_begin(lua_State *L)
{
    if (policy_push_trace(L, &check_trace(L, 1)->trace))
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

    policy_set_decide(*p, &check_trace(L, 2)->trace, now_ns, &v);
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
static void push_left(lua_State *L, const struct testing_trace *t, const struct processed *left)
{
    const struct compose_edits no_edits = {.probability = -1, .entry = SIZE_MAX};
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
    if (compose_traces(spans, left->count, &no_edits, &body) != ERR_OK)
        luaL_error(L, "what is left can't be composed");
    lua_pushlstring(L, (const char *)body.data, body.len);
    buf_fini(&body);
    scan(L, slice_make(lua_tostring(L, -1), lua_objlen(L, -1)), t->trigger,
         t->trace.decided_unix_ns);
}

/* process(processors, trace) -> the trace of what is left or nil, the reasons of what is not. */
static int testing_process(lua_State *L)
{
    struct processor_set **p = luaL_checkudata(L, 1, "moontail.testing.processors");
    const struct testing_trace *t = check_trace(L, 2);
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
    const struct testing_trace *t = check_trace(L, 2);
    uint16_t *labels = lua_newuserdata(L, t->trace.count * sizeof(*labels));
    uint32_t count = 0;

    for (uint32_t i = 0; i < t->trace.count; i++)
        count += processor_set_drops(*p, t->trace.id, &t->views[i], 1, &labels[count]);
    push_reasons(L, labels, count);
    return 1;
}

/* where(matcher, trace, policy, reason) -> what an exporter's where says of the kept trace. */
static int testing_where(lua_State *L)
{
    const struct match *m = match_get(L, 1);
    struct policy_verdict v = {.keep = true, .probability = -1};
    struct policy_trace trace = check_trace(L, 2)->trace;

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

__attribute__((visibility("default"))) int luaopen_moontail_testing(lua_State *L);

int luaopen_moontail_testing(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"scan", testing_scan},       {"begin", testing_begin},
        {"finish", testing_finish},   {"verdict", testing_verdict},
        {"chain", testing_chain},     {"decide", testing_decide},
        {"where", testing_where},     {"processors", testing_processors},
        {"process", testing_process}, {"received", testing_received},
        {"folder", testing_folder},   {"advance", testing_advance},
        {"forget", testing_forget},   {NULL, NULL},
    };
    struct err_info info;

    if (!shared.labels)
        policy_shared_init(&shared, labels_new(), 1e9);
    lua_host_open(L);
    lua_newtable(L); /* env */
    if (policy_api_install(L, -1, &shared, &info))
        return luaL_error(L, "%s", info.text);
    luaL_newmetatable(L, trace_type);
    lua_pushcfunction(L, trace_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_insert(L, -2);
    lua_setfield(L, -2, "api");
    return 1;
}
