#include "collector/setup.h"

#include "lua/state.h"

#include <string.h>

enum { MAX_BYTES_BEFORE_CONFIG = 64 * 1024 * 1024 };

static enum err install_rooms(void *arg, lua_State *L, int env, struct err_info *info)
{
    const struct setup *s = arg;

    return policy_api_install(L, env, s->shared, info);
}

static struct config_source source_of(const struct setup *s)
{
    return (struct config_source){
        .path = s->path, .disk = s->disk, .env = install_rooms, .env_arg = (void *)s};
}

static enum lua_jit jit_of(const struct config *c)
{
    if (strcmp(c->jit, "auto") == 0)
        return LUA_JIT_AUTO;
    return strcmp(c->jit, "on") == 0 ? LUA_JIT_ON : LUA_JIT_OFF;
}

static struct lua_options options_of(const struct setup *s, const struct config *c)
{
    return (struct lua_options){
        .memory = s->memory, .max_bytes = c->tail.budget_memory, .jit = jit_of(c)};
}

enum err setup_policies(lua_State *L, const struct config *config, struct policy_shared *shared,
                        struct policy_set **out, struct err_info *info)
{
    int top = lua_gettop(L);
    enum err e;

    *out = NULL;
    if (!config->tail.enabled)
        return ERR_OK;
    config_push(L, "tail_sampling.policies");
    config_push(L, "tail_sampling.default");
    e = policy_set_new(L, top + 1, top + 2, shared, out, info);
    lua_settop(L, top);
    return e;
}

/* Tries what config.lua names. */
static enum err check_components(const struct setup *s, struct setup_loaded *l, struct buf *report)
{
    struct policy_set *policies = NULL;
    struct err_info info;

    if (setup_policies(l->L, l->config, s->shared, &policies, &info)) {
        buf_printf(report, "%s\n", info.text);
        return ERR_CONFIG;
    }
    if (policies) {
        l->policies = policy_set_count(policies);
        policy_set_free(policies);
    }
    return ERR_OK;
}

enum err setup_load(const struct setup *s, struct setup_loaded *out, struct buf *report)
{
    struct lua_options options = {.memory = s->memory, .max_bytes = MAX_BYTES_BEFORE_CONFIG};
    struct config_source source = source_of(s);
    size_t hints;

    *out = (struct setup_loaded){.L = lua_state_new(&options)};
    if (!out->L) {
        buf_str(report, "no memory for a Lua state\n");
        return ERR_CONFIG;
    }
    if (config_load(out->L, &source, &out->config, &out->recording, report)) {
        setup_fini(out);
        return ERR_CONFIG;
    }
    options = options_of(s, out->config);
    lua_state_configure(out->L, &options);
    config_push(out->L, "exporters");
    out->exporters = lua_objlen(out->L, -1);
    lua_pop(out->L, 1);
    hints = report->len;
    if (!check_components(s, out, report))
        return ERR_OK;
    /* Errors only: hints are for what is accepted. */
    memmove(report->data, report->data + hints, report->len - hints);
    report->len -= hints;
    setup_fini(out);
    return ERR_CONFIG;
}

void setup_fini(struct setup_loaded *l)
{
    lua_state_close(l->L);
    config_free(l->config);
    config_recording_free(l->recording);
    *l = (struct setup_loaded){0};
}

enum err setup_state(const struct setup *s, const struct setup_loaded *l, lua_State **L,
                     struct err_info *info)
{
    struct lua_options options = options_of(s, l->config);
    struct config_source source = source_of(s);
    enum err e;

    *L = lua_state_new(&options);
    if (!*L)
        return err_fail(info, ERR_FULL, "no memory for a Lua state");
    e = config_replay(*L, &source, l->recording, info);
    if (e) {
        lua_state_close(*L);
        *L = NULL;
    }
    return e;
}
