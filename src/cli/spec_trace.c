#include "cli/spec_trace.h"

#include "base/disk.h"
#include "cli/trace_file.h"
#include "collector/recent.h"
#include "otlp/scan.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

enum { MAX_SPANS = 100000, TRACES_MAX = 10000, TEXT_MAX = 256 * 1024 * 1024 };
static const char trace_type[] = "moontail.testing.trace", redact_as[] = "spec_trace.redact_as";

static int trace_gc(lua_State *L)
{
    struct spec_trace *t = lua_touserdata(L, 1);

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

static void fill(struct spec_trace *t, struct slice body, const struct scan_span *spans,
                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct scan_span *s = &spans[i];

        t->views[i] = span_view_of(body, s);
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

static struct spec_trace *push_trace(lua_State *L, struct slice body)
{
    struct spec_trace *t = lua_newuserdata(L, sizeof(*t));

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

int spec_trace_push(lua_State *L, struct slice text, const char *trigger, uint64_t decided_unix_ns)
{
    struct scan_result result;
    struct scan_span *spans;
    struct spec_trace *t = push_trace(L, text);
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

int spec_trace_scan(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    return spec_trace_push(L, slice_make(text, len), luaL_checkstring(L, 2),
                           strtoull(luaL_checkstring(L, 3), NULL, 10));
}

struct spec_trace *spec_trace_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, trace_type);
}

void spec_trace_register(lua_State *L)
{
    luaL_newmetatable(L, trace_type);
    lua_pushcfunction(L, trace_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

/* ---- many traces in one text ---- */

/* Pushes the list of the bodies of the traces in `body`. */
static enum err push_traces(lua_State *L, struct slice body, const char *name,
                            struct err_info *info)
{
    const struct recent_limits limits = {.max_traces = TRACES_MAX, .max_bytes = TEXT_MAX};
    struct recent found;
    enum err e = recent_of_body(body, 0, &limits, &found, info);

    if (e) {
        lua_pushfstring(L, "%s: %s", name, info->text);
        return err_fail(info, e, "%s", lua_tostring(L, -1));
    }
    lua_createtable(L, (int)found.count, 0);
    for (size_t i = 0; i < found.count; i++) {
        lua_pushlstring(L, (const char *)found.traces[i].body.data, found.traces[i].body.len);
        lua_rawseti(L, -2, (int)i + 1);
    }
    if (found.rejected)
        e = err_fail(info, ERR_PARSE, "%s: %zu spans have no valid ids or text", name,
                     found.rejected);
    else if (found.count == 0)
        e = err_fail(info, ERR_PARSE, "%s: there is no span in it", name);
    recent_fini(&found);
    return e;
}

void spec_trace_redact_as(lua_State *L, lua_State *other)
{
    lua_pushlightuserdata(L, other);
    lua_setfield(L, LUA_REGISTRYINDEX, redact_as);
}

static enum err redact(lua_State *L, struct buf *body, const char *name, struct err_info *info)
{
    lua_State *other;
    struct buf left;
    enum err e;

    lua_getfield(L, LUA_REGISTRYINDEX, redact_as);
    other = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!other)
        return ERR_OK;
    buf_init(&left, 2 * (size_t)TEXT_MAX, NULL);
    e = policy_redact_body(other, buf_slice(body), &left);
    if (e)
        e = err_fail(info, e, "%s: it can't be redacted", name);
    buf_fini(body);
    buf_take(&left, body);
    buf_fini(&left);
    return e;
}

int spec_trace_split(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    size_t len = 0;
    const char *text = luaL_optlstring(L, 2, NULL, &len);
    struct err_info info;
    struct buf body;
    enum err e;

    buf_init(&body, TEXT_MAX, NULL);
    if (text)
        e = trace_text_read(slice_make(text, len), name, &body, &info);
    else
        e = trace_file_read(disk_system(), name, &body, &info);
    if (!e)
        e = redact(L, &body, name, &info);
    if (!e)
        e = push_traces(L, buf_slice(&body), name, &info);
    buf_fini(&body);
    if (!e)
        return 1;
    lua_pushstring(L, info.text); /* as it is: where it was called is the caller's to say */
    return lua_error(L);
}
