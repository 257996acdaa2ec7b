#include "policy/handles.h"

#include "policy/cell_rates.h"

#include <math.h>
#include <stdlib.h>

#include <lauxlib.h>

struct cell_handle {
    struct policy_state *state; /* NULL: it is over */
    struct cell_handle *next, **link;
    struct cell_rule rule;
    struct cell_table *table; /* NULL: not taken yet */
    char component[CELL_NAME_MAX + 1], name[CELL_NAME_MAX + 1];
    struct rate_rule rates; /* of CELL_RATE and, with a goal, of CELL_COUNTER */
};

/* ---- life ---- */

static void detach(struct cell_handle *h)
{
    cell_table_unref(h->table);
    h->table = NULL;
    if (!h->state)
        return;
    *h->link = h->next;
    if (h->next)
        h->next->link = h->link;
    h->state = NULL;
}

static int handle_gc(lua_State *L)
{
    detach(lua_touserdata(L, 1));
    return 0;
}

static void attach(struct cell_handle *h, struct policy_state *s)
{
    h->state = s;
    h->link = &s->handles;
    h->next = s->handles;
    if (h->next)
        h->next->link = &h->next;
    s->handles = h;
}

void handles_fini(struct policy_state *s)
{
    while (s->handles)
        detach(s->handles);
    cells_free(s->own_cells);
    s->own_cells = NULL;
}

static struct cells *world_of(struct policy_state *s)
{
    if (s->cells)
        return s->cells;
    if (!s->own_cells)
        s->own_cells = cells_new(NULL);
    return s->own_cells;
}

static struct cell_table *table_of(struct cell_handle *h, uint64_t now_ns)
{
    if (!h->table)
        h->table = cells_table(world_of(h->state), h->component, h->name, &h->rule, now_ns);
    return h->table;
}

void handles_use(struct policy_state *s, struct cells *cells, uint64_t now_ns)
{
    s->cells = cells;
    for (struct cell_handle *h = s->handles; h; h = h->next) {
        cell_table_unref(h->table);
        h->table = NULL;
        if (cells)
            table_of(h, now_ns);
    }
    cells_free(s->own_cells);
    s->own_cells = NULL;
}

/* ---- what compiled Lua code calls ---- */

/* The table, or NULL with *trouble set. */
static struct cell_table *ready(struct cell_handle *h, double *trouble)
{
    struct cell_table *t = NULL;

    *trouble = HANDLE_NO_TIME;
    if (h->state && h->state->has_time) {
        *trouble = HANDLE_NO_ROOM;
        t = table_of(h, h->state->now_ns);
    }
    return t;
}

static struct cell_table *ready_to_ask(struct cell_handle *h, double *trouble)
{
    struct cell_table *t = ready(h, trouble);

    if (t)
        h->state->asked_cells = true;
    return t;
}

static double handle_take(void *handle, const char *key, size_t len, double cost, double left)
{
    struct cell_handle *h = handle;
    double trouble;
    struct cell_table *t = ready_to_ask(h, &trouble);

    if (!t)
        return trouble;
    return cell_limit_take_leaving(t, slice_make(key, len), cost, left, h->state->now_ns);
}

/* The probability is known, so that what is kept may say it. */
static double handle_share(void *handle, const char *key, size_t len)
{
    struct cell_handle *h = handle;
    double trouble;
    struct cell_table *t = ready(h, &trouble);

    if (!t)
        return trouble;
    return cell_limit_share(t, slice_make(key, len), reader_randomness(&h->state->reader),
                            h->state->now_ns);
}

static double handle_seen_add(void *handle, const char *key, size_t len)
{
    struct cell_handle *h = handle;
    double trouble;
    struct cell_table *t = ready_to_ask(h, &trouble);

    return t ? cell_seen_add(t, slice_make(key, len), h->state->now_ns) : trouble;
}

static double handle_seen_has(void *handle, const char *key, size_t len)
{
    struct cell_handle *h = handle;
    double trouble;
    struct cell_table *t = ready_to_ask(h, &trouble);

    return t ? cell_seen_has(t, slice_make(key, len), h->state->now_ns) : trouble;
}

static double handle_count(void *handle, const char *key, size_t len, double n)
{
    struct cell_handle *h = handle;
    double trouble;
    struct cell_table *t = ready(h, &trouble);

    if (!t)
        return trouble;
    cell_counter_add(t, slice_make(key, len), n, h->state->now_ns);
    return 0;
}

static double handle_per_second(void *handle, const char *key, size_t len)
{
    struct cell_handle *h = handle;
    double trouble;
    struct cell_table *t = ready_to_ask(h, &trouble);

    return t ? cell_counter_per_second(t, slice_make(key, len), h->state->now_ns) : trouble;
}

/* It is known before the trace is drawn for, so that its probability is known. */
static double handle_rate(void *handle, const char *key, size_t len, double n)
{
    struct cell_handle *h = handle;
    double trouble;
    struct cell_table *t = ready(h, &trouble);

    if (!t)
        return trouble;
    if (h->rule.kind == CELL_COUNTER)
        return cell_window_rate(t, slice_make(key, len), n, h->rates.goal, h->state->now_ns);
    return cell_rate(t, slice_make(key, len), n, &h->rates, h->state->now_ns);
}

static const struct handles functions = {
    .take = handle_take,
    .share = handle_share,
    .seen_add = handle_seen_add,
    .seen_has = handle_seen_has,
    .count = handle_count,
    .per_second = handle_per_second,
    .rate = handle_rate,
};

/* ---- making ---- */

static void copy_name(lua_State *L, int index, char name[CELL_NAME_MAX + 1])
{
    const char *text = luaL_checkstring(L, index);
    size_t len = strnlen(text, CELL_NAME_MAX);

    memcpy(name, text, len);
    name[len] = '\0';
}

/* handle_new(metatable, kind, component, name, max_keys, interval_ns, burst_ns, forgets): the
 * numbers have been checked. */
static int handle_new(lua_State *L)
{
    struct policy_state *s = lua_touserdata(L, lua_upvalueindex(1));
    struct cell_handle *h;

    lua_settop(L, 8);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 8); /* the last may be left out */
    h = lua_newuserdata(L, sizeof(*h));
    *h = (struct cell_handle){.rule = {
                                  .kind = (enum cell_kind)luaL_checkinteger(L, 2),
                                  .max_keys = (uint32_t)luaL_checknumber(L, 5),
                                  .interval_ns = (uint64_t)llround(luaL_checknumber(L, 6)),
                                  .burst_ns = (uint64_t)llround(luaL_checknumber(L, 7)),
                                  .forgets = lua_toboolean(L, 8),
                              }};
    copy_name(L, 3, h->component);
    copy_name(L, 4, h->name);
    attach(h, s);
    lua_pushvalue(L, 1);
    lua_setmetatable(L, -2);
    return 1;
}

/* handle_rates(handle, by, goal, weight, age_out, initial, burst_multiple, burst_delay): what its
 * rates are; the numbers have been checked. */
static int handle_rates(lua_State *L)
{
    struct cell_handle *h = lua_touserdata(L, 1);

    h->rates = (struct rate_rule){
        .by = (enum rate_goal)luaL_checkinteger(L, 2),
        .goal = luaL_checknumber(L, 3),
        .weight = luaL_checknumber(L, 4),
        .age_out = luaL_checknumber(L, 5),
        .initial = luaL_checknumber(L, 6),
        .burst_multiple = luaL_checknumber(L, 7),
        .burst_delay = luaL_checknumber(L, 8),
    };
    return 0;
}

#define TEXT(...)     #__VA_ARGS__
#define EXPANDED(...) TEXT(__VA_ARGS__)

void handles_register(lua_State *L, struct policy_state *s)
{
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, handle_new, 1);
    lua_setfield(L, -2, "handle_new");
    lua_pushcfunction(L, handle_rates);
    lua_setfield(L, -2, "handle_rates");
    lua_pushcfunction(L, handle_gc);
    lua_setfield(L, -2, "handle_gc");
    lua_pushlightuserdata(L, (void *)&functions);
    lua_setfield(L, -2, "handles");
    lua_pushliteral(L, "struct {" EXPANDED(HANDLES_DECLARATIONS) "}");
    lua_setfield(L, -2, "handles_type");
}
