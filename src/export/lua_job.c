#include "export/lua_job.h"

#include "base/log.h"
#include "lua/host.h"
#include "lua/state.h"
#include "otlp/json.h"

#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include <lauxlib.h>

enum { ZSTD_LEVEL = 3, GZIP_LEVEL = 1 };

#define THIS     "export.this"     /* registry: the struct export_lua */
#define REQUESTS "export.requests" /* registry: lists of requests, by job */

/* ---- what scripts ask of the batch ---- */

static struct export_lua *this_of(lua_State *L)
{
    struct export_lua *l;

    lua_getfield(L, LUA_REGISTRYINDEX, THIS);
    l = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return l;
}

static struct lua_job *current(lua_State *L)
{
    struct export_lua *l = this_of(L);

    if (!l || !l->current)
        luaL_error(L, "the batch is over: read it in encode");
    return l->current;
}

static int host_trace_count(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)current(L)->trace_count);
    return 1;
}

static struct slice payload(const struct lua_job *job, const struct job_trace *t)
{
    return slice_make(job->body.data + t->offset, t->len);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a && a < b ? a : b;
}

/* What the scan says of all spans together. */
static void sum_up(struct export_trace *face, const struct scan_span *spans, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct scan_span *s = &spans[i];

        face->bytes += s->len;
        face->errors += (s->flags & SCAN_ERROR) != 0;
        if (!s->start_ns || !s->end_ns)
            continue;
        face->start_ns = earlier(face->start_ns, s->start_ns);
        face->end_ns = s->end_ns > face->end_ns ? s->end_ns : face->end_ns;
    }
}

static bool fill_views(struct job_trace *t, struct slice body, struct scan_span *spans,
                       uint32_t count)
{
    struct scan_result result;

    if (scan_traces(body, spans, count, &result) != ERR_OK)
        return false;
    for (uint32_t i = 0; i < count; i++)
        t->views[i] = span_view_at(body, spans[i].offset, spans[i].len, spans[i].resource_offset,
                                   spans[i].scope_offset);
    t->face = (struct export_trace){.record = &t->record, .spans = t->views, .count = count};
    sum_up(&t->face, spans, count);
    return true;
}

/* Finds the spans of one trace. They stay until the job is freed. */
static bool look(const struct lua_job *job, struct job_trace *t)
{
    struct slice body = payload(job, t);
    struct scan_result result;
    struct scan_span *spans;
    bool found;

    if (t->views)
        return true;
    if (scan_traces(body, NULL, 0, &result) == ERR_PARSE || result.spans == 0)
        return false;
    spans = calloc(result.spans, sizeof(*spans));
    t->views = calloc(result.spans, sizeof(*t->views));
    found = spans && t->views && fill_views(t, body, spans, (uint32_t)result.spans);
    free(spans);
    if (!found) {
        free(t->views);
        t->views = NULL;
    }
    return found;
}

static int host_trace(lua_State *L)
{
    struct lua_job *job = current(L);
    const struct export_hooks *hooks = &this_of(L)->owner->config.hooks;
    size_t i = (size_t)luaL_checkinteger(L, 1);

    luaL_argcheck(L, i >= 1 && i <= job->trace_count, 1, "no such trace");
    if (!look(job, &job->traces[i - 1]) ||
        hooks->push_trace(hooks->arg, L, &job->traces[i - 1].face) != ERR_OK)
        return luaL_error(L, "trace %d can't be read", (int)i);
    return 1;
}

static int host_body(lua_State *L)
{
    const struct lua_job *job = current(L);

    lua_pushlstring(L, (const char *)job->body.data, job->body.len);
    return 1;
}

static int host_json(lua_State *L)
{
    const struct lua_job *job = current(L);
    struct buf out;
    enum err err;

    buf_init(&out, SIZE_MAX / 2, job->body.memory);
    err = json_from_traces(buf_slice(&job->body), &out);
    if (err == ERR_OK && buf_ok(&out))
        lua_pushlstring(L, (const char *)out.data, out.len); /* may raise: the text is lost then */
    buf_fini(&out);
    return err == ERR_OK ? 1 : luaL_error(L, "the batch can't be written as JSON");
}

/* Unix ms of the earliest span. */
static int host_start_ms(lua_State *L)
{
    struct lua_job *job = current(L);
    uint64_t earliest = UINT64_MAX;

    for (size_t i = 0; i < job->trace_count; i++)
        if (look(job, &job->traces[i]) && job->traces[i].face.start_ns)
            earliest = earlier(earliest, job->traces[i].face.start_ns);
    lua_pushnumber(L, earliest == UINT64_MAX ? 0 : (lua_Number)earliest / 1e6);
    return 1;
}

static int host_log(lua_State *L)
{
    bool warn = luaL_checkstring(L, 1)[0] == 'w';

    log_event(warn ? LOG_WARN : LOG_INFO, luaL_checkstring(L, 2));
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

void lua_job_attach(lua_State *L, struct export_lua *l)
{
    add_host_functions(L);
    lua_pushlightuserdata(L, l);
    lua_setfield(L, LUA_REGISTRYINDEX, THIS);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, REQUESTS);
}

/* ---- requests out of Lua ---- */

static char *copy_field(lua_State *L, int index, const char *key)
{
    char *copy;

    lua_getfield(L, index, key);
    copy = strdup(lua_tostring(L, -1));
    lua_pop(L, 1);
    return copy;
}

static bool put_zstd(struct slice raw, struct buf *out)
{
    size_t bound = ZSTD_compressBound(raw.len), len;
    uint8_t *at = buf_reserve(out, bound);

    if (!at)
        return false;
    len = ZSTD_compress(at, bound, raw.data, raw.len, ZSTD_LEVEL);
    if (ZSTD_isError(len))
        return false;
    out->len += len;
    return true;
}

static bool put_gzip(struct slice raw, struct buf *out)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(GZIP_LEVEL);
    size_t bound = libdeflate_gzip_compress_bound(c, raw.len), len = 0;
    uint8_t *at = c ? buf_reserve(out, bound) : NULL;

    if (at)
        len = libdeflate_gzip_compress(c, raw.data, raw.len, at, bound);
    out->len += len;
    if (c)
        libdeflate_free_compressor(c);
    return len > 0;
}

/* The body of the request at `index`; *compression: its name, or NULL. */
static bool take_body(lua_State *L, int index, struct buf *out, const char **compression)
{
    struct slice raw;
    size_t len;

    lua_getfield(L, index, "body");
    raw.data = (const uint8_t *)lua_tolstring(L, -1, &len);
    raw.len = len;
    lua_getfield(L, index, "compress");
    *compression = lua_isnil(L, -1)                           ? NULL
                   : strcmp(lua_tostring(L, -1), "gzip") == 0 ? "gzip"
                                                              : "zstd";
    if (!*compression)
        buf_append(out, raw.data, raw.len);
    else if (strcmp(*compression, "gzip") == 0)
        put_gzip(raw, out);
    else
        put_zstd(raw, out);
    lua_pop(L, 2);
    return buf_ok(out);
}

static bool take_headers(lua_State *L, int index, const char *compression, struct job_request *r)
{
    size_t n, made = 0;

    lua_getfield(L, index, "headers");
    n = lua_objlen(L, -1);
    r->headers = calloc(n + 2, sizeof(*r->headers));
    for (; r->headers && made < n; made++) {
        lua_rawgeti(L, -1, (int)made + 1);
        r->headers[made] = strdup(lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    if (r->headers && compression &&
        asprintf(&r->headers[made], "content-encoding: %s", compression) < 0)
        r->headers[made] = NULL;
    lua_pop(L, 1);
    return r->headers != NULL;
}

/* Copies the checked request at `index` into `r` (zeroed). */
static bool take_request(lua_State *L, int index, struct memory *memory, struct job_request *r)
{
    const char *compression;

    buf_init(&r->body, SIZE_MAX / 2, memory);
    r->method = copy_field(L, index, "method");
    r->url = copy_field(L, index, "url");
    lua_getfield(L, index, "timeout_ns");
    r->timeout_ns = (uint64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return r->method && r->url && take_body(L, index, &r->body, &compression) &&
           take_headers(L, index, compression, r);
}

/* Pushes function `name` of exporter_run and the instance of the job's exporter. */
static enum err push_call(lua_State *L, const char *name, const struct lua_job *job,
                          struct err_info *info)
{
    enum err result = lua_require(L, "moontail.exporter_run", info);

    if (result != ERR_OK)
        return result;
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_JOB_INSTANCES);
    lua_rawgeti(L, -1, (int)job->exporter + 1);
    lua_remove(L, -2);
    return ERR_OK;
}

static void fail(struct lua_job *job, const char *why)
{
    job->failed = true;
    snprintf(job->error, sizeof(job->error), "%.199s", why);
}

/* Whether the instance on the top has reply(). */
static bool has_reply(lua_State *L)
{
    bool there;

    lua_getfield(L, -1, "spec");
    lua_getfield(L, -1, "reply");
    there = !lua_isnil(L, -1);
    lua_pop(L, 2);
    return there;
}

/* The list of requests on the top; it is kept for reply(). */
static void take_requests(lua_State *L, struct lua_job *job)
{
    size_t n = lua_objlen(L, -1);

    if (n > JOB_REQUESTS_MAX) {
        fail(job, "encode gave more than 256 requests");
        return;
    }
    job->requests = calloc(n ? n : 1, sizeof(*job->requests));
    for (size_t i = 0; job->requests && i < n && !job->failed; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        job->request_count++;
        if (!take_request(L, lua_gettop(L), job->body.memory, &job->requests[i]))
            fail(job, "no memory for the requests");
        lua_pop(L, 1);
    }
    if (!job->requests)
        fail(job, "no memory for the requests");
    if (!job->has_reply)
        return;
    lua_getfield(L, LUA_REGISTRYINDEX, REQUESTS);
    lua_pushlightuserdata(L, job);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

void lua_job_encode(struct export_lua *l, struct lua_job *job)
{
    lua_State *L = l->L;
    int top = lua_gettop(L);
    struct err_info info;
    enum err result = push_call(L, "encode", job, &info);

    if (result == ERR_OK) {
        job->has_reply = has_reply(L);
        lua_pushfstring(L, "%s-%d-%d", l->owner->exporters[job->exporter].spec->name,
                        (int)job->batch_id, (int)job->part_index);
        lua_pushnumber(L, job->spans);
        lua_pushnumber(L, (lua_Number)job->body.len);
        l->current = job;
        result = lua_run(L, 4, 1, &info);
        l->current = NULL;
        if (l->owner->config.hooks.end_trace)
            l->owner->config.hooks.end_trace(l->owner->config.hooks.arg, L);
    }
    if (result != ERR_OK)
        fail(job, info.text);
    else if (lua_isnil(L, -1))
        job->nothing = true;
    else
        take_requests(L, job);
    lua_settop(L, top);
}

/* Pushes the job's list of requests. */
static void push_requests(lua_State *L, const struct lua_job *job)
{
    lua_getfield(L, LUA_REGISTRYINDEX, REQUESTS);
    lua_pushlightuserdata(L, (void *)job);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

/* The request that reply() sends instead, on the top. */
static void replace_request(lua_State *L, struct lua_job *job)
{
    struct job_request r = {.timeout_ns = 0}, *old = &job->requests[job->at];
    int index = lua_gettop(L);

    if (!take_request(L, index, job->body.memory, &r)) {
        fail(job, "no memory for the request");
        return;
    }
    push_requests(L, job);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, (int)job->at + 1);
    lua_pop(L, 1);
    free(old->method);
    free(old->url);
    for (char **h = old->headers; h && *h; h++)
        free(*h);
    free(old->headers);
    buf_fini(&old->body);
    *old = r;
}

/* How and value are the two on the top. */
static void take_verdict(lua_State *L, struct lua_job *job)
{
    const char *how = lua_tostring(L, -2);

    job->verdict = JOB_DEFAULT;
    job->retry_s = -1;
    if (!how)
        return;
    if (strcmp(how, "ok") == 0) {
        job->verdict = JOB_OK;
    } else if (strcmp(how, "retry") == 0) {
        job->verdict = JOB_AGAIN;
        if (lua_isnumber(L, -1))
            job->retry_s = lua_tonumber(L, -1);
    } else if (strcmp(how, "reject") == 0) {
        job->verdict = JOB_REJECT;
        snprintf(job->error, sizeof(job->error), "%.199s", lua_tostring(L, -1));
    } else {
        job->verdict = JOB_SEND;
        replace_request(L, job);
    }
}

void lua_job_reply(struct export_lua *l, struct lua_job *job)
{
    lua_State *L = l->L;
    int top = lua_gettop(L);
    struct err_info info;
    enum err result = push_call(L, "reply", job, &info);

    if (result == ERR_OK) {
        push_requests(L, job);
        lua_rawgeti(L, -1, (int)job->at + 1);
        lua_remove(L, -2);
        lua_pushinteger(L, job->status);
        lua_pushlstring(L, (const char *)job->answer.data, job->answer.len);
        lua_pushlstring(L, (const char *)job->answer_headers.data, job->answer_headers.len);
        result = lua_run(L, 5, 2, &info);
    }
    if (result == ERR_OK)
        take_verdict(L, job);
    else
        fail(job, info.text);
    lua_settop(L, top);
}

void lua_job_forget(struct export_lua *l, struct lua_job *job)
{
    lua_getfield(l->L, LUA_REGISTRYINDEX, REQUESTS);
    lua_pushlightuserdata(l->L, job);
    lua_pushnil(l->L);
    lua_rawset(l->L, -3);
    lua_pop(l->L, 1);
}
