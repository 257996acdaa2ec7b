#include "export/lua_job.h"

#include "lua/state.h"

#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include <lauxlib.h>

enum { ZSTD_LEVEL = 3, GZIP_LEVEL = 1 };

#define REQUESTS "export.requests" /* registry: lists of requests, by job */

void lua_job_attach(lua_State *L, struct export_lua *l)
{
    lua_batch_attach(L, l);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, REQUESTS);
}

/* ---- requests out of Lua ---- */

/* Sets *copy if the field is there. False: no memory. */
static bool copy_field(lua_State *L, int index, const char *key, char **copy)
{
    const char *text;

    lua_getfield(L, index, key);
    text = lua_tostring(L, -1);
    *copy = text ? strdup(text) : NULL;
    lua_pop(L, 1);
    return *copy || !text;
}

static bool take_sigv4(lua_State *L, int index, struct job_request *r)
{
    bool good = true;
    int at;

    lua_getfield(L, index, "sigv4");
    at = lua_gettop(L);
    if (lua_istable(L, at))
        good = copy_field(L, at, "service", (char **)&r->sigv4.service) &&
               copy_field(L, at, "region", (char **)&r->sigv4.region) &&
               copy_field(L, at, "role_arn", (char **)&r->sigv4.role_arn) &&
               copy_field(L, at, "external_id", (char **)&r->sigv4.external_id);
    lua_pop(L, 1);
    return good;
}

static bool take_tls(lua_State *L, int index, struct job_request *r)
{
    bool good = true;
    int at;

    lua_getfield(L, index, "no_verify_ssl");
    r->tls.insecure_skip_verify = lua_toboolean(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, index, "tls");
    at = lua_gettop(L);
    if (lua_istable(L, at)) {
        lua_getfield(L, at, "insecure_skip_verify");
        r->tls.insecure_skip_verify |= lua_toboolean(L, -1);
        good = copy_field(L, at, "ca_file", (char **)&r->tls.ca_file) &&
               copy_field(L, at, "cert_file", (char **)&r->tls.cert_file) &&
               copy_field(L, at, "key_file", (char **)&r->tls.key_file);
    }
    lua_settop(L, at - 1);
    return good;
}

/* Where the request goes, and how. */
static bool take_way(lua_State *L, int index, struct job_request *r)
{
    return take_tls(L, index, r) && copy_field(L, index, "method", &r->method) &&
           copy_field(L, index, "url", &r->url) && copy_field(L, index, "proxy", &r->proxy) &&
           take_sigv4(L, index, r);
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
    lua_getfield(L, index, "timeout_ns");
    r->timeout_ns = (uint64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return take_way(L, index, r) && take_body(L, index, &r->body, &compression) &&
           take_headers(L, index, compression, r);
}

/* Pushes function `name` of exporter_run and the instance of the job's exporter. */
static enum err push_call(lua_State *L, const char *name, const struct lua_job *job,
                          struct err_info *info)
{
    enum err result = lua_require_function(L, "moontail.exporter_run", name, info);

    if (result)
        return result;
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
        job_request_fini(&r);
        return;
    }
    push_requests(L, job);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, (int)job->at + 1);
    lua_pop(L, 1);
    job_request_fini(old);
    *old = r;
}

/* The request on the top, if there is one, takes the place of the present one. */
static void take_replacement(lua_State *L, struct lua_job *job)
{
    if (lua_istable(L, -1))
        replace_request(L, job);
}

/* Items of the request that the other end has, but did not take. */
static void take_refused(lua_State *L, struct lua_job *job)
{
    if (!lua_isnumber(L, -2) || lua_tonumber(L, -2) < 1)
        return;
    job->refused += (uint64_t)lua_tonumber(L, -2);
    if (lua_isstring(L, -1))
        snprintf(job->error, sizeof(job->error), "%.199s", lua_tostring(L, -1));
}

/* How, value and what belongs to it are the three on the top. */
static void take_verdict(lua_State *L, struct lua_job *job)
{
    const char *how = lua_tostring(L, -3);

    job->verdict = JOB_DEFAULT;
    job->retry_s = -1;
    if (!how)
        return;
    if (strcmp(how, "ok") == 0) {
        job->verdict = JOB_OK;
        take_refused(L, job);
    } else if (strcmp(how, "retry") == 0) {
        job->verdict = JOB_AGAIN;
        if (lua_isnumber(L, -2))
            job->retry_s = lua_tonumber(L, -2);
        take_replacement(L, job);
    } else if (strcmp(how, "reject") == 0) {
        job->verdict = JOB_REJECT;
        snprintf(job->error, sizeof(job->error), "%.199s", lua_tostring(L, -2));
    } else {
        job->verdict = JOB_SEND;
        take_replacement(L, job);
    }
}

/* What encode gave is the three on the top: nil, requests, or how it is taken that there are none.
 */
static void take_encoded(lua_State *L, struct lua_job *job)
{
    if (lua_isnil(L, -3)) {
        job->nothing = true;
    } else if (lua_isstring(L, -3)) {
        take_verdict(L, job);
    } else {
        lua_pop(L, 2);
        take_requests(L, job);
    }
}

/* What can't be cut, a metric with many data points, may take as long as so many batches. */
static enum err run_encode(lua_State *L, const struct lua_job *job, struct err_info *info)
{
    uint64_t bound_ns = lua_state_cpu_bound(L);
    enum err err;

    lua_state_bound_cpu(L, bound_ns * job->budgets);
    err = lua_run_bounded(L, 5, 3, info);
    lua_state_bound_cpu(L, bound_ns);
    return err;
}

void lua_job_encode(struct export_lua *l, struct lua_job *job)
{
    lua_State *L = l->L;
    int top = lua_gettop(L);
    struct err_info info;
    enum err result = push_call(L, "encode", job, &info);

    if (result == ERR_OK) {
        job->has_reply = has_reply(L);
        lua_pushfstring(L, "%s-%d-%d", l->owner->exporters[job->exporter].name, (int)job->batch_id,
                        (int)job->part_index);
        lua_pushstring(L, otlp_signal_name(job->signal));
        lua_pushnumber(L, job->items);
        lua_pushnumber(L, (lua_Number)job->body.len);
        l->current = l->running = job;
        result = run_encode(L, job, &info);
        l->current = l->running = NULL;
        if (l->owner->config.hooks.end_trace)
            l->owner->config.hooks.end_trace(l->owner->config.hooks.arg, L);
    }
    if (result != ERR_OK)
        fail(job, info.text);
    else
        take_encoded(L, job);
    lua_settop(L, top);
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
        l->running = job;
        result = lua_run_bounded(L, 5, 3, &info);
        l->running = NULL;
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
