/* scripts.h: a Lua state with the policies' API, and policy sets written inline. */
#pragma once

#include "lua/state.h"
#include "policy/policy.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

struct test_state {
    lua_State *L;
    struct labels *labels;
    struct policy_shared shared;
    struct policy_set *set;
};

static inline void state_init(struct test_state *s, bool jit, double keep_per_second)
{
    struct lua_options options = {.jit = jit ? LUA_JIT_ON : LUA_JIT_OFF};

    s->L = lua_state_new(&options);
    s->labels = labels_new();
    s->set = NULL;
    policy_shared_init(&s->shared, s->labels, keep_per_second);
}

static inline void state_fini(struct test_state *s)
{
    policy_set_free(s->set);
    lua_state_close(s->L);
    policy_shared_fini(&s->shared);
    labels_free(s->labels);
}

/* `processor` as config.lua has it, in the environment on the top. */
static inline enum err state_add_processor(lua_State *L, struct err_info *info)
{
    enum err e = lua_require(L, "moontail.component", info);

    if (e)
        return e;
    lua_getfield(L, -1, "constructor");
    lua_remove(L, -2);
    lua_pushliteral(L, "processor");
    e = lua_run(L, 1, 1, info);
    if (!e)
        lua_setfield(L, -2, "processor");
    return e;
}

/* Runs `text` as config.lua would be; what it returns is on the stack. */
static inline enum err state_run(struct test_state *s, const char *text, int results,
                                 struct err_info *info)
{
    lua_State *L = s->L;
    enum err e = lua_env_new(L, info);

    info->text[0] = 0;
    if (!e)
        e = policy_api_install(L, -1, &s->shared, info);
    if (!e)
        e = state_add_processor(L, info);
    if (!e)
        e = lua_env_seal(L, -1, info);
    if (!e)
        e = lua_load_script(L, slice_str(text), "test.lua", -1, info);
    return e ? e : lua_run(L, 0, results, info);
}

/* The same for text that returns a list of policies and a default: makes them ready. */
static inline enum err state_load(struct test_state *s, const char *text, struct err_info *info)
{
    enum err e = state_run(s, text, 2, info);
    lua_State *L = s->L;
    struct buf errors;

    if (e)
        return e;
    policy_set_free(s->set);
    s->set = NULL;
    buf_init(&errors, sizeof(info->text), NULL);
    e = policy_set_new(L, -2, -1, &s->shared, &s->set, &errors);
    if (e)
        err_fail(info, e, "%.*s", (int)errors.len, (const char *)errors.data);
    buf_fini(&errors);
    lua_settop(L, 0);
    return e;
}

static inline void state_must_load(struct test_state *s, const char *text)
{
    struct err_info info;

    if (state_load(s, text, &info)) {
        printf("%s\n", info.text);
        abort();
    }
}

/* "keep slow", "drop default", ... of the last decision; valid until the next call. */
static inline const char *state_decide(struct test_state *s, const struct policy_trace *trace,
                                       uint64_t now_ns, struct policy_verdict *v)
{
    static char text[512];

    policy_set_decide(s->set, trace, now_ns, v);
    snprintf(text, sizeof(text), "%s %s/%s", v->keep ? "keep" : "drop",
             labels_policy(s->labels, v->label), labels_reason(s->labels, v->label));
    return text;
}
