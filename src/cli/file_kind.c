#include "cli/file_kind.h"

#include "export/export.h"
#include "lua/state.h"

enum { MAX_BYTES = 64 * 1024 * 1024 };

/* Pushes the function. */
static enum err push_function(lua_State *L, const char *name, struct err_info *info)
{
    return lua_require_function(L, "moontail.file_kind", name, info);
}

/* Pushes an environment with all that a file of any kind may call: what is missing in that of its
 * own kind is said where it is loaded. */
static enum err push_env(lua_State *L, struct policy_shared *shared, struct err_info *info)
{
    enum err e = lua_env_new(L, info);
    int env = lua_gettop(L);

    if (!e)
        e = policy_api_install(L, env, shared, info);
    if (!e)
        e = export_api_install(L, env, info);
    if (!e)
        e = push_function(L, "install", info);
    if (e)
        return e;
    lua_pushvalue(L, env);
    e = lua_run(L, 1, 0, info);
    return e ? e : lua_env_seal(L, env, info);
}

/* Pushes the name of what the file is; nil: a configuration. */
static enum err push_kind(lua_State *L, struct slice text, const char *path,
                          struct policy_shared *shared, struct err_info *info)
{
    enum err e = push_env(L, shared, info);

    if (!e)
        e = push_function(L, "of", info);
    if (!e)
        e = lua_load_script(L, text, path, -2, info);
    if (!e)
        e = lua_run(L, 0, 1, info);
    return e ? e : lua_run(L, 1, 1, info);
}

static enum file_kind kind_called(const char *name)
{
    static const char *const names[] = {
        [FILE_POLICY] = "policy", [FILE_PROCESSOR] = "processor", [FILE_EXPORTER] = "exporter"};

    for (enum file_kind k = FILE_POLICY; name && k <= FILE_EXPORTER; k++)
        if (strcmp(name, names[k]) == 0)
            return k;
    return FILE_CONFIG;
}

enum file_kind file_kind_of(struct slice text, const char *path, struct policy_shared *shared)
{
    struct lua_options options = {.jit = LUA_JIT_OFF, .max_bytes = MAX_BYTES};
    lua_State *L = lua_state_new(&options);
    enum file_kind kind = FILE_CONFIG;
    struct err_info ignored;

    if (L && push_kind(L, text, path, shared, &ignored) == ERR_OK)
        kind = kind_called(lua_tostring(L, -1));
    lua_state_close(L);
    return kind;
}
