/* What scripts of exporters ask of C: the batch of the job that is being encoded, and the log. */
#include "base/log.h"
#include "export/lua_job.h"
#include "lua/host.h"
#include "lua/state.h"
#include "otlp/json.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

#define THIS "export.this" /* registry: the struct export_lua */

enum { FEW_SPANS = 64 };

struct export_lua *lua_batch_this(lua_State *L)
{
    struct export_lua *l;

    lua_getfield(L, LUA_REGISTRYINDEX, THIS);
    l = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return l;
}

struct lua_job *lua_batch_current(lua_State *L)
{
    struct export_lua *l = lua_batch_this(L);

    if (l && l->current)
        return l->current;
    luaL_error(L, "the batch is over: read it in encode");
    abort(); /* it does not return */
}

static int host_trace_count(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)lua_batch_current(L)->trace_count);
    return 1;
}

static struct slice payload(const struct lua_job *job, const struct job_trace *t)
{
    return slice_make(job->body.data + t->offset, t->len);
}

static bool fill_views(struct job_trace *t, struct slice body, const struct scan_span *spans,
                       uint32_t count)
{
    t->views = calloc(count, sizeof(*t->views));
    if (!t->views)
        return false;
    for (uint32_t i = 0; i < count; i++)
        t->views[i] = span_view_of(body, &spans[i]);
    t->face = (struct export_trace){.record = &t->record, .spans = t->views, .count = count};
    for (uint32_t i = 0; i < count; i++)
        scan_sum(&t->face.sums, &spans[i]);
    return true;
}

/* Once it is known how many there are: more than `few`. */
static bool look_at_many(struct job_trace *t, struct slice body, uint32_t count)
{
    struct scan_span *spans = calloc(count, sizeof(*spans));
    struct scan_result result;
    bool found = spans && scan_traces(body, spans, count, &result) == ERR_OK &&
                 fill_views(t, body, spans, count);

    free(spans);
    return found;
}

/* Finds the spans of one trace. They stay until the job is freed. */
static bool look(const struct lua_job *job, struct job_trace *t)
{
    struct scan_span few[FEW_SPANS];
    struct slice body = payload(job, t);
    struct scan_result result;
    enum err err;

    if (t->views)
        return true;
    err = scan_traces(body, few, FEW_SPANS, &result);
    if (err == ERR_PARSE || result.spans == 0)
        return false;
    if (err == ERR_OK)
        return fill_views(t, body, few, (uint32_t)result.spans);
    return look_at_many(t, body, (uint32_t)result.spans);
}

static int host_trace(lua_State *L)
{
    struct lua_job *job = lua_batch_current(L);
    const struct export_hooks *hooks = &lua_batch_this(L)->owner->config.hooks;
    size_t i = (size_t)luaL_checkinteger(L, 1);

    luaL_argcheck(L, i >= 1 && i <= job->trace_count, 1, "no such trace");
    if (!look(job, &job->traces[i - 1]) ||
        hooks->push_trace(hooks->arg, L, &job->traces[i - 1].face) != ERR_OK)
        return luaL_error(L, "trace %d can't be read", (int)i);
    return 1;
}

static int host_body(lua_State *L)
{
    const struct lua_job *job = lua_batch_current(L);

    lua_pushlstring(L, (const char *)job->body.data, job->body.len);
    return 1;
}

static int host_json(lua_State *L)
{
    const struct lua_job *job = lua_batch_current(L);
    struct buf out;
    enum err err;

    buf_init(&out, SIZE_MAX / 2, job->body.memory);
    err = json_from_body(job->signal, buf_slice(&job->body), &out);
    if (err == ERR_OK && buf_ok(&out))
        lua_pushlstring(L, (const char *)out.data, out.len); /* may raise: the text is lost then */
    buf_fini(&out);
    return err == ERR_OK ? 1 : luaL_error(L, "the batch can't be written as JSON");
}

/* Unix ms of the earliest span. */
static int host_start_ms(lua_State *L)
{
    struct lua_job *job = lua_batch_current(L);
    uint64_t earliest = UINT64_MAX;

    for (size_t i = 0; i < job->trace_count; i++)
        if (look(job, &job->traces[i]) && job->traces[i].face.sums.start_ns)
            earliest = earlier_ns(earliest, job->traces[i].face.sums.start_ns);
    lua_pushnumber(L, earliest == UINT64_MAX ? 0 : (lua_Number)earliest / 1e6);
    return 1;
}

static int host_log(lua_State *L)
{
    bool warn = luaL_checkstring(L, 1)[0] == 'w';

    log_event(warn ? LOG_WARN : LOG_INFO, luaL_checkstring(L, 2));
    return 0;
}

/* Whether this is the state in which exporters are asked. */
static int host_runs_here(lua_State *L)
{
    lua_pushboolean(L, lua_batch_this(L) != NULL);
    return 1;
}

/* Unix ms when the batch was given to encode. */
static int host_now_ms(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)lua_batch_current(L)->unix_ns / 1e6);
    return 1;
}

/* The place of `what` in the exporter's counts; the last one is for all that find no room. */
static struct exporter_count *count_of(struct exporter *x, const char *what)
{
    unsigned used = atomic_load_explicit(&x->count_names, memory_order_relaxed);

    for (unsigned i = 0; i < used; i++)
        if (strcmp(x->counts[i].what, what) == 0)
            return &x->counts[i];
    if (used == EXPORT_COUNTS_MAX)
        return &x->counts[EXPORT_COUNTS_MAX - 1];
    if (used == EXPORT_COUNTS_MAX - 1)
        what = "other";
    snprintf(x->counts[used].what, EXPORT_COUNT_NAME, "%s", what);
    atomic_store_explicit(&x->count_names, used + 1, memory_order_release);
    return &x->counts[used];
}

/* export_count(what, n): nothing outside of encode and reply. */
static int host_count(lua_State *L)
{
    const struct export_lua *l = lua_batch_this(L);
    const char *what = luaL_checkstring(L, 1);
    double n = luaL_checknumber(L, 2);

    luaL_argcheck(L, strlen(what) < EXPORT_COUNT_NAME, 1, "too long");
    luaL_argcheck(L, n >= 0 && n < 1e15, 2, "not a count");
    if (l && l->running)
        atomic_fetch_add_explicit(&count_of(&l->owner->exporters[l->running->exporter], what)->n,
                                  (uint64_t)n, memory_order_relaxed);
    return 0;
}

static void add_host_functions(lua_State *L)
{
    lua_host_add(L, "export_trace_count", host_trace_count);
    lua_host_add(L, "export_trace", host_trace);
    lua_host_add(L, "export_body", host_body);
    lua_host_add(L, "export_json", host_json);
    lua_host_add(L, "export_start_ms", host_start_ms);
    lua_host_add(L, "export_log", host_log);
    lua_host_add(L, "export_runs_here", host_runs_here);
    lua_host_add(L, "export_now_ms", host_now_ms);
    lua_host_add(L, "export_count", host_count);
    lua_prometheus_add(L);
}

enum err export_api_install(lua_State *L, int env, struct err_info *info)
{
    int top;
    enum err result;

    lua_pushvalue(L, env);
    top = lua_gettop(L);
    add_host_functions(L);
    result = lua_require(L, "moontail.exporter_run", info);
    if (result == ERR_OK) {
        lua_getfield(L, -1, "api");
        lua_pushvalue(L, top);
        result = lua_run(L, 1, 0, info);
    }
    lua_settop(L, top - 1);
    return result;
}

void lua_batch_attach(lua_State *L, struct export_lua *l)
{
    add_host_functions(L);
    lua_pushlightuserdata(L, l);
    lua_setfield(L, LUA_REGISTRYINDEX, THIS);
}
