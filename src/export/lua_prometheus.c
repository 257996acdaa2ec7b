/* What lua/moontail/prometheus.lua asks of C: requests of remote write of the batch that is being
 * encoded. */
#include "export/lua_job.h"
#include "lua/host.h"
#include "lua/state.h"
#include "prometheus/prometheus.h"

#include <stdlib.h>

#include <lauxlib.h>

#define WRITER "export.prometheus_writer"

enum { LABEL_NAME_MAX = 4096 };

/* ---- options ---- */

static bool flag(lua_State *L, const char *key)
{
    bool set;

    lua_getfield(L, 1, key);
    set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

static double number(lua_State *L, const char *key, double least, double most)
{
    double n;

    lua_getfield(L, 1, key);
    n = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return n < least ? least : n > most ? most : n;
}

static void free_external(struct prom_config *config)
{
    while (config->external_count > 0) {
        config->external_count--;
        free(config->external[config->external_count].name);
        free(config->external[config->external_count].value);
    }
}

/* external: a list of { name, value }, all strings. Raises before anything is copied. */
static void take_external(lua_State *L, struct prom_config *config)
{
    size_t n;

    lua_getfield(L, 1, "external");
    luaL_checktype(L, -1, LUA_TTABLE);
    n = lua_objlen(L, -1);
    luaL_argcheck(L, n <= PROM_EXTERNAL_MAX, 1, "too many external labels");
    for (size_t i = 0; i < n; i++) {
        struct prom_label *label = &config->external[i];

        lua_rawgeti(L, -1, (int)i + 1);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        label->name = strdup(lua_tostring(L, -2));
        label->value = strdup(lua_tostring(L, -1));
        config->external_count++;
        lua_pop(L, 3);
    }
    lua_pop(L, 1);
}

static int writer_gc(lua_State *L)
{
    prom_writer_free(*(struct prom_writer **)lua_touserdata(L, 1));
    return 0;
}

/* prometheus_writer(options) -> writer. The trusted library has checked the options. */
static int host_writer(lua_State *L)
{
    struct prom_config config = {
        .add_suffixes = flag(L, "add_suffixes"),
        .target_info = flag(L, "target_info"),
        .resource_as_labels = flag(L, "resource_as_labels"),
        .no_service_labels = flag(L, "no_service_labels"),
        .scope_labels = flag(L, "scope_labels"),
        .metadata = flag(L, "metadata"),
        .max_request_bytes = (size_t)number(L, "max_request_bytes", 1024, 32 << 20),
        .max_streams = (size_t)number(L, "max_streams", 1, 1e8),
        .max_stale_ns = (uint64_t)(number(L, "max_stale_ms", 1000, 1e12) * 1e6),
    };
    struct prom_writer **w;

    lua_getfield(L, 1, "prefix");
    config.prefix = luaL_checkstring(L, -1);
    w = lua_newuserdata(L, sizeof(struct prom_writer *));
    *w = NULL;
    luaL_getmetatable(L, WRITER);
    lua_setmetatable(L, -2);
    take_external(L, &config);
    *w = prom_writer_new(&config);
    if (!*w) {
        free_external(&config);
        return luaL_error(L, "no memory");
    }
    return 1;
}

/* prometheus_label(name) -> that of the label, or nothing. */
static int host_label(lua_State *L)
{
    struct slice name = lua_check_slice(L, 1);
    struct buf out;
    bool good;

    buf_init(&out, LABEL_NAME_MAX, NULL);
    good = name.len < LABEL_NAME_MAX / 2 && prom_label_name(&out, name);
    if (good) /* may raise: the text is lost then */
        lua_pushlstring(L, (const char *)out.data, out.len);
    buf_fini(&out);
    return good;
}

/* ---- a batch ---- */

static void push_requests(lua_State *L, const struct prom_request *requests, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, 0, 2);
        lua_pushlstring(L, (const char *)requests[i].body.data, requests[i].body.len);
        lua_setfield(L, -2, "body");
        lua_pushnumber(L, requests[i].samples);
        lua_setfield(L, -2, "samples");
        lua_rawseti(L, -2, (int)i + 1);
    }
}

static void set_count(lua_State *L, const char *key, uint64_t n)
{
    if (n == 0)
        return;
    lua_pushnumber(L, (lua_Number)n);
    lua_setfield(L, -2, key);
}

/* What is not 0 of: points, samples, duplicates, and by reason what was dropped. */
static void push_counts(lua_State *L, const struct prom_counts *counts)
{
    lua_createtable(L, 0, 4);
    set_count(L, "points", counts->points);
    set_count(L, "samples", counts->samples);
    set_count(L, "duplicates", counts->duplicates);
    lua_createtable(L, 0, 2);
    for (int i = 0; i < PROM_REASONS; i++)
        set_count(L, prom_reason_name((enum prom_reason)i), counts->dropped[i]);
    lua_setfield(L, -2, "dropped");
}

/* The sums of delta streams of this exporter: they stay when it is made anew. */
static struct prom_state *state_of(struct export_lua *l, unsigned exporter)
{
    struct prom_state **state = &l->prometheus[exporter];

    if (!*state)
        *state = prom_state_new(l->owner->config.memory);
    return *state;
}

/* prometheus_write(writer) -> list of { body =, samples = }, counts: of the batch. */
static int host_write(lua_State *L)
{
    struct prom_writer **w = luaL_checkudata(L, 1, WRITER);
    struct lua_job *job = lua_batch_current(L);
    struct prom_request *requests;
    struct prom_counts counts;
    size_t count;

    luaL_argcheck(L, *w && job->signal == OTLP_METRICS, 1, "the batch has no metrics");
    if (prom_write(*w, state_of(lua_batch_this(L), job->exporter), buf_slice(&job->body),
                   job->unix_ns, &requests, &count, &counts) != ERR_OK)
        return luaL_error(L, "no memory for the requests");
    push_requests(L, requests, count);
    push_counts(L, &counts);
    return 2;
}

/* prometheus_split(body) -> two bodies, or nothing. */
static int host_split(lua_State *L)
{
    struct slice body = lua_check_slice(L, 1);
    struct buf parts[2];
    bool good;

    for (int i = 0; i < 2; i++)
        buf_init(&parts[i], 64 << 20, NULL);
    good = prom_request_split(body, &parts[0], &parts[1]);
    for (int i = 0; i < 2; i++) {
        if (good) /* may raise: the text is lost then */
            lua_pushlstring(L, (const char *)parts[i].data, parts[i].len);
        buf_fini(&parts[i]);
    }
    return good ? 2 : 0;
}

void lua_prometheus_add(lua_State *L)
{
    if (luaL_newmetatable(L, WRITER)) {
        lua_pushcfunction(L, writer_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    lua_host_add(L, "prometheus_writer", host_writer);
    lua_host_add(L, "prometheus_label", host_label);
    lua_host_add(L, "prometheus_write", host_write);
    lua_host_add(L, "prometheus_split", host_split);
}
