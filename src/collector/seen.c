#include "collector/seen.h"

#include "lua/state.h"
#include "otlp/scan.h"
#include "otlp/view.h"

#include <stdlib.h>

#include <lauxlib.h>

enum { KEYS_MAX = 20000, KEY_BYTES = 256, SPANS_MAX = 10000 };

/* The table of keys is on the top of the stack. */
struct keys {
    lua_State *L;
    size_t count;
};

static void add_key(struct keys *k, struct slice key)
{
    bool is_known;

    if (key.len > KEY_BYTES || k->count == KEYS_MAX)
        return;
    lua_pushlstring(k->L, (const char *)key.data, key.len);
    lua_pushvalue(k->L, -1);
    lua_rawget(k->L, -3);
    is_known = !lua_isnil(k->L, -1);
    lua_pop(k->L, 1);
    if (is_known) {
        lua_pop(k->L, 1);
        return;
    }
    lua_pushboolean(k->L, true);
    lua_rawset(k->L, -3);
    k->count++;
}

static void add_owner(struct keys *k, enum attr_owner owner, struct slice message)
{
    struct slice key;
    struct value value;
    size_t at = 0;

    while (view_owner_attr_next(owner, message, &at, &key, &value))
        add_key(k, key);
}

static void add_span(struct keys *k, const struct span_view *view)
{
    struct slice inner;
    size_t at = 0;

    add_owner(k, OWNER_SPAN, view->span);
    add_owner(k, OWNER_RESOURCE, view->resource);
    add_owner(k, OWNER_SCOPE, view->scope);
    while (view_event_next(view->span, &at, &inner))
        add_owner(k, OWNER_EVENT, inner);
    at = 0;
    while (view_link_next(view->span, &at, &inner))
        add_owner(k, OWNER_LINK, inner);
}

static void add_trace(struct keys *k, struct slice body, struct scan_span *spans)
{
    struct scan_result result;

    if (scan_traces(body, spans, SPANS_MAX, &result) == ERR_PARSE)
        return;
    for (size_t i = 0; i < result.spans && i < SPANS_MAX; i++) {
        const struct scan_span *s = &spans[i];
        struct span_view view = span_view_of(body, s);

        add_span(k, &view);
    }
}

/* lint(recent) -> lines */
static int lint(lua_State *L)
{
    const struct recent *recent = lua_touserdata(L, 1);
    struct scan_span *spans = lua_newuserdata(L, SPANS_MAX * sizeof(*spans));
    struct keys keys = {.L = L};

    lua_getglobal(L, "require");
    lua_pushliteral(L, "moontail.asked");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "unseen");
    lua_newtable(L);
    for (size_t i = 0; i < recent->count; i++)
        add_trace(&keys, buf_slice(&recent->traces[i].body), spans);
    lua_pushinteger(L, (lua_Integer)recent->count);
    lua_call(L, 2, 1);
    return 1;
}

void seen_lint(lua_State *L, const struct recent *recent, struct buf *hints)
{
    struct err_info info;

    if (!L || recent->count < SEEN_TRACES)
        return;
    lua_pushcfunction(L, lint);
    lua_pushlightuserdata(L, (void *)recent);
    if (lua_run(L, 1, 1, &info))
        return;
    buf_str(hints, lua_tostring(L, -1));
    lua_pop(L, 1);
}
