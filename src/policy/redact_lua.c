/* What lua/moontail/redaction.lua calls: it has checked what it gives. */
#include "policy/redact_lua.h"

#include "lua/host.h"
#include "lua/state.h"
#include "policy/access.h"

#include <lauxlib.h>

static const char *const type_name = "redaction";

enum { SHOWN_MAX = 1 << 20 };

/* The userdata; its redact is NULL once it is collected. */
struct redact_holder {
    struct redact *redact;
    struct redact_holder *next, **link; /* the state's others; NULL: it is over */
};

struct redact *redact_check(lua_State *L, int index)
{
    struct redact_holder *h = luaL_checkudata(L, index, type_name);

    luaL_argcheck(L, h->redact, index, "it is gone");
    return h->redact;
}

struct redact *redact_get(lua_State *L, int index)
{
    struct redact_holder *h = lua_touserdata(L, index);
    bool is_one = false;

    if (h && lua_getmetatable(L, index)) {
        luaL_getmetatable(L, type_name);
        is_one = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    return is_one ? h->redact : NULL;
}

static void detach(struct redact_holder *h)
{
    if (!h->link)
        return;
    *h->link = h->next;
    if (h->next)
        h->next->link = h->link;
    h->link = NULL;
}

static void attach(struct redact_holder *h, struct policy_state *s)
{
    h->link = &s->redactions;
    h->next = s->redactions;
    if (h->next)
        h->next->link = &h->next;
    s->redactions = h;
}

void redactions_fini(struct policy_state *s)
{
    while (s->redactions)
        detach(s->redactions);
    buf_fini(&s->shown[0]);
    buf_fini(&s->shown[1]);
}

static int holder_gc(lua_State *L)
{
    struct redact_holder *h = lua_touserdata(L, 1);

    detach(h);
    redact_free(h->redact);
    h->redact = NULL;
    return 0;
}

static void look(void *L)
{
    lua_run_look(L);
}

/* redact_new() */
static int holder_new(lua_State *L)
{
    struct policy_state *s = lua_touserdata(L, lua_upvalueindex(1));
    struct redact_holder *h = lua_newuserdata(L, sizeof(*h));

    *h = (struct redact_holder){.redact = NULL};
    luaL_getmetatable(L, type_name);
    lua_setmetatable(L, -2);
    h->redact = redact_new();
    if (!h->redact)
        return luaL_error(L, "not enough memory");
    redact_on_look(h->redact, look, L);
    attach(h, s);
    return 1;
}

/* redact_set(redaction, rule, enum redact_action, keep) */
static int holder_set(lua_State *L)
{
    redact_set(redact_check(L, 1), (unsigned)luaL_checkinteger(L, 2),
               (enum redact_action)luaL_checkinteger(L, 3), (unsigned)luaL_checkinteger(L, 4));
    return 0;
}

/* redact_add(redaction, what, text, name) -> the number of the rule of a value. */
static int holder_add(lua_State *L)
{
    static const char *const kinds[] = {"key", "ignore", "allow", "hmac_key", "value", NULL};
    struct redact *r = redact_check(L, 1);
    int kind = luaL_checkoption(L, 2, NULL, kinds);
    struct slice text = lua_check_slice(L, 3);
    struct err_info info;
    unsigned rule = 0;
    enum err e;

    if (kind == 0)
        e = redact_add_key(r, text, &info);
    else if (kind == 1)
        e = redact_ignore_key(r, text, &info);
    else if (kind == 2)
        e = redact_allow_value(r, text, &info);
    else if (kind == 3)
        e = redact_set_hmac_key(r, text, &info);
    else
        e = redact_add_value(r, lua_check_slice(L, 4), text, &rule, &info);
    if (e)
        return luaL_error(L, "%s", info.text);
    lua_pushinteger(L, (lua_Integer)rule);
    return 1;
}

/* redact_text(redaction, text, key) -> what is left of it, or nil. */
static int holder_text(lua_State *L)
{
    struct redact *r = redact_check(L, 1);
    struct slice text = lua_check_slice(L, 2), key = slice_make(NULL, 0);
    struct buf *out = access_push_buf(L);

    if (!lua_isnoneornil(L, 3))
        key = lua_check_slice(L, 3);
    switch (redact_text(r, key, text, out)) {
    case REDACT_SAME:
        lua_pushvalue(L, 2);
        break;
    case REDACT_CHANGED:
        lua_pushlstring(L, (const char *)out->data, out->len);
        break;
    case REDACT_GONE:
        lua_pushnil(L);
        break;
    case REDACT_FAILED:
        return luaL_error(L, "not enough memory to redact a text");
    }
    return 1;
}

/* redact_rules: name = { number, default action } */
static void push_rules(lua_State *L)
{
    lua_createtable(L, 0, REDACT_BUILT_IN);
    for (unsigned i = 0; i < REDACT_BUILT_IN; i++) {
        lua_createtable(L, 2, 0);
        lua_pushinteger(L, (lua_Integer)i);
        lua_rawseti(L, -2, 1);
        lua_pushinteger(L, (lua_Integer)redact_default((enum redact_rule)i));
        lua_rawseti(L, -2, 2);
        lua_setfield(L, -2, redact_rule_name((enum redact_rule)i));
    }
}

/* ---- what people see ---- */

static struct slice without_secrets(struct redact *r, struct slice text, struct buf *out)
{
    enum redact_outcome outcome = redact_shown(r, text, out);

    if (outcome == REDACT_SAME)
        return text;
    return outcome == REDACT_CHANGED ? buf_slice(out) : slice_str(REDACT_MASK);
}

struct slice policy_redacted(struct policy_state *s, struct slice text)
{
    unsigned n = 0;

    for (const struct policy_state *of = s; of; of = of->shown_as)
        for (struct redact_holder *h = of->redactions; h; h = h->next)
            text = without_secrets(h->redact, text, &s->shown[n++ % 2]);
    return text;
}

void policy_show_as(lua_State *L, lua_State *other)
{
    policy_state_of(L)->shown_as = other ? policy_state_of(other) : NULL;
}

enum err policy_redact_body(lua_State *L, struct slice body, struct buf *out)
{
    enum redact_outcome outcome = REDACT_SAME;
    struct buf next;

    buf_append(out, body.data, body.len);
    for (struct redact_holder *h = policy_state_of(L)->redactions;
         h && outcome != REDACT_FAILED && buf_ok(out); h = h->next) {
        buf_init(&next, out->max, out->memory);
        outcome = redact_body(h->redact, OTLP_TRACES, buf_slice(out), &next);
        if (outcome == REDACT_CHANGED) {
            buf_fini(out);
            buf_take(&next, out);
        }
        buf_fini(&next);
    }
    return outcome == REDACT_FAILED || !buf_ok(out) ? ERR_FULL : ERR_OK;
}

const char *policy_redacted_str(lua_State *L, const char *text, char *copy, size_t size)
{
    struct slice left = policy_redacted(policy_state_of(L), slice_str(text));
    size_t len = left.len < size ? left.len : size - 1;

    if (left.len > 0)
        memmove(copy, left.data, len);
    copy[len] = '\0';
    return copy;
}

void redact_register(lua_State *L, struct policy_state *s)
{
    static const luaL_Reg functions[] = {

        {"redact_set", holder_set},
        {"redact_add", holder_add},
        {"redact_text", holder_text},
        {NULL, NULL},
    };

    luaL_newmetatable(L, type_name);
    lua_pushcfunction(L, holder_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushliteral(L, "redaction");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, holder_new, 1);
    lua_setfield(L, -2, "redact_new");
    buf_init(&s->shown[0], SHOWN_MAX, NULL);
    buf_init(&s->shown[1], SHOWN_MAX, NULL);
    push_rules(L);
    lua_setfield(L, -2, "redact_rules");
}
