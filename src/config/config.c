#include "base/hash.h"
#include "config/snapshot.h"
#include "lua/embed.h"
#include "lua/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

enum { TEXT_MAX = 1024 * 1024 };

static const char built_in[] = "(built in)";
static const char env_key; /* its address is the registry's key of the environment */

static const char *source_name(const struct config_source *source)
{
    return source->path ? source->path : "config.lua";
}

/* The folder of a configuration at `path` (NULL: the embedded one). Owned by the caller (free). */
static char *folder_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *folder;

    if (!path || !slash)
        folder = strdup(".");
    else
        folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!folder)
        err_no_memory("the configuration");
    return folder;
}

/* The text, owned by the caller. */
static enum err read_source(const struct config_source *source, char **text, size_t *len,
                            struct err_info *info)
{
    const struct embedded_file *file;

    if (source->text) {
        *len = strlen(source->text);
        *text = strdup(source->text);
        return *text ? ERR_OK : err_fail(info, ERR_FULL, "no memory for the configuration");
    }
    if (source->path)
        return disk_read_file(source->disk, source->path, TEXT_MAX, text, len, info);
    file = embedded_find("config.lua");
    if (!file)
        return err_fail(info, ERR_CONFIG, "config.lua is not in this program");
    *len = (size_t)(file->end - file->text);
    *text = strndup(file->text, *len);
    return *text ? ERR_OK : err_fail(info, ERR_FULL, "no memory for config.lua");
}

/* ---- running the file ---- */

/* Pushes moontail.config's function. It can be there only if the module loads. */
static enum err push_function(lua_State *L, const char *name, struct err_info *info)
{
    return lua_require_function(L, "moontail.config", name, info);
}

/* Pushes the sealed environment: plain Lua, what the rooms add, env, secret, file, components. */
static enum err make_env(lua_State *L, struct loader *l, struct err_info *info)
{
    enum err e = lua_env_new(L, info);
    int env = lua_gettop(L);

    if (e)
        return e;
    if (l->source->env)
        e = l->source->env(l->source->env_arg, L, env, info);
    if (!e)
        e = push_function(L, "open", info);
    if (!e) {
        lua_pushvalue(L, env);
        recording_push_ask(L, l);
        e = lua_run(L, 2, 0, info);
    }
    if (!e)
        e = lua_env_seal(L, env, info);
    if (e) {
        lua_settop(L, env - 1);
        return e;
    }
    lua_pushlightuserdata(L, (void *)&env_key);
    lua_pushvalue(L, env);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return ERR_OK;
}

/* Runs config.lua in the environment at `env`; pushes what it returned. */
static enum err run_text(lua_State *L, struct loader *l, int env, struct err_info *info)
{
    struct slice text = slice_make(l->recording->text, l->recording->len);
    enum err e = lua_load_script(L, text, source_name(l->source), env, info);

    if (!e)
        e = lua_run(L, 0, 1, info);
    if (e)
        lua_name_in_full(info, source_name(l->source));
    return e;
}

/* The returned value is on the top: replaces it by the run of moontail.config's check. */
static enum err check_result(lua_State *L, struct loader *l, int env, struct err_info *info)
{
    int result = lua_gettop(L);
    enum err e = push_function(L, "check", info);

    if (e)
        return e;
    lua_pushvalue(L, result);
    schema_push_fields(L, config_fields, config_field_count);
    lua_pushstring(L, source_name(l->source));
    lua_pushlstring(L, l->recording->text, l->recording->len);
    lua_pushvalue(L, env);
    e = lua_run(L, 5, 1, info);
    lua_remove(L, result);
    return e;
}

/* Appends the list of sentences on the top and pops it; says how many. */
static size_t report_list(lua_State *L, struct buf *report)
{
    size_t n = lua_objlen(L, -1);

    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, (int)i);
        buf_printf(report, "%s\n", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return n;
}

/* The script itself raised: what env and file had to say before comes first. */
static void report_raise(lua_State *L, const struct err_info *info, struct buf *report)
{
    struct err_info ignored;

    if (!push_function(L, "collected", &ignored) && !lua_run(L, 0, 1, &ignored))
        report_list(L, report);
    buf_printf(report, "%s\n", info->text);
}

/* Runs and checks; pushes the run of the schema. On failure every sentence is in `report`. */
static enum err run_config(lua_State *L, struct loader *l, struct buf *report)
{
    int top = lua_gettop(L);
    struct err_info info;
    enum err e = make_env(L, l, &info);

    if (!e)
        e = run_text(L, l, top + 1, &info);
    if (!e)
        e = check_result(L, l, top + 1, &info);
    if (e) {
        report_raise(L, &info, report);
        lua_settop(L, top);
        return ERR_CONFIG;
    }
    lua_remove(L, top + 1);
    lua_getfield(L, -1, "errors");
    if (report_list(L, report) == 0)
        return ERR_OK;
    lua_settop(L, top);
    return ERR_CONFIG;
}

static void close_env(lua_State *L)
{
    struct err_info info;

    if (!push_function(L, "close", &info))
        (void)!lua_run(L, 0, 0, &info);
}

/* ---- the snapshot ---- */

/* From the run on the top of the stack. */
static struct config *snapshot_new(lua_State *L, const struct loader *l)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    struct config *c;

    if (!s)
        err_no_memory("the configuration");
    c = &s->config;
    lua_getfield(L, -1, "values");
    schema_store_values(L, config_fields, config_field_count, s, &s->store);
    lua_pop(L, 1);
    c->tail.tracestate_always = strcmp(s->tracestate, "always") == 0;
    c->path = l->source->path ? schema_store_text(&s->store, l->source->path) : built_in;
    snprintf(c->hash, sizeof(c->hash), "%016" PRIx64, recording_hash(l->recording));
    return c;
}

void config_rehash(struct config *c, const struct config_recording *recording)
{
    snprintf(c->hash, sizeof(c->hash), "%016" PRIx64, recording_hash(recording));
}

void config_set_detected(struct config *c, const struct schema_pair *pairs)
{
    struct snapshot *s = (struct snapshot *)c;
    size_t count = 0;

    while (pairs[count].key)
        count++;
    free(s->detected);
    s->detected = calloc(count + 1, sizeof(*pairs));
    if (!s->detected)
        err_no_memory("the configuration");
    for (size_t i = 0; i < count; i++)
        s->detected[i] = (struct schema_pair){.key = schema_store_text(&s->store, pairs[i].key),
                                              .value = schema_store_text(&s->store, pairs[i].value),
                                              .type = pairs[i].type};
    c->detected = s->detected;
}

void config_free(struct config *c)
{
    struct snapshot *s = (struct snapshot *)c;

    if (!c)
        return;
    schema_store_free(&s->store);
    free(s->detected);
    free(s);
}

enum err config_load(lua_State *L, const struct config_source *source, struct config **out,
                     struct config_recording **recording, struct buf *report)
{
    struct loader l = {.source = source};
    char *folder = folder_of(source->path), *text = NULL;
    struct err_info info;
    size_t len = 0;
    enum err e = read_source(source, &text, &len, &info);

    if (e) {
        buf_printf(report, "%s\n", info.text);
        free(folder);
        return ERR_CONFIG;
    }
    l.folder = folder;
    l.recording = recording_new(text, len);
    l.recording->folder_len = strlen(folder) + 1;
    lua_scripts_set(L, source->disk, folder);
    lua_scripts_read_by(L, recording_read, l.recording);
    lua_scripts_put(L, source->script);
    e = run_config(L, &l, report);
    if (!e) {
        lua_getfield(L, -1, "hints");
        report_list(L, report);
        *out = snapshot_new(L, &l);
        *recording = l.recording;
        lua_pop(L, 1);
    } else {
        lua_scripts_set(L, source->disk, folder); /* what the report needs is read anew */
        lua_scripts_put(L, source->script);
        config_recording_free(l.recording);
    }
    close_env(L);
    free(folder);
    return e;
}

enum err config_replay(lua_State *L, const struct config_source *source,
                       const struct config_recording *recording, struct err_info *info)
{
    char *folder = folder_of(source->path);
    struct loader l = {.source = source,
                       .recording = (struct config_recording *)recording, /* only read: replay */
                       .replay = true,
                       .folder = folder};
    struct buf report;
    enum err e;

    buf_init(&report, sizeof(info->text), NULL);
    lua_scripts_set(L, source->disk, folder);
    lua_scripts_read_by(L, recording_read_again, l.recording);
    lua_scripts_put(L, source->script);
    e = run_config(L, &l, &report);
    if (e)
        err_fail(info, ERR_CONFIG, "%.*s", (int)report.len, (const char *)report.data);
    else
        lua_pop(L, 1);
    close_env(L);
    buf_fini(&report);
    free(folder);
    return e;
}

/* ---- what stays in the state ---- */

void config_push_env(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&env_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

void config_push(lua_State *L, const char *path)
{
    struct err_info info;

    if (!push_function(L, "value", &info)) {
        lua_pushstring(L, path);
        if (!lua_run(L, 1, 1, &info))
            return;
    }
    lua_pushnil(L);
}

void config_place(lua_State *L, const char *path, struct buf *out)
{
    struct err_info info;

    if (push_function(L, "place", &info))
        return;
    lua_pushstring(L, path);
    if (lua_run(L, 1, 1, &info))
        return;
    buf_str(out, lua_tostring(L, -1));
    lua_pop(L, 1);
}

/* Calls moontail.config's NAME(fields, flag) and appends the text that it gives. */
static void print_with(lua_State *L, const char *name, bool flag, struct buf *out)
{
    struct err_info info;
    size_t len;
    const char *text;
    enum err e = push_function(L, name, &info);

    if (!e) {
        schema_push_fields(L, config_fields, config_field_count);
        lua_pushboolean(L, flag);
        e = lua_run(L, 2, 1, &info);
    }
    if (e) {
        buf_printf(out, "-- %s\n", info.text);
        return;
    }
    text = lua_tolstring(L, -1, &len);
    buf_append(out, text, len);
    lua_pop(L, 1);
}

char *config_control_path(const char *control, const char *folder)
{
    char *path;

    if (strcmp(control, "off") == 0)
        return NULL;
    if (strcmp(control, "unix") != 0)
        path = strdup(control);
    else if (asprintf(&path, "%s/control.sock", folder) < 0)
        path = NULL;
    if (!path)
        err_no_memory("the control socket's path");
    return path;
}

void config_print(lua_State *L, bool defaults, struct buf *out)
{
    print_with(L, "print", defaults, out);
}

void config_describe(lua_State *L, const struct config_recording *recording, struct buf *out)
{
    static const char prefix[] = "script exporters"; /* then '/', or '.' beside config.lua */
    const struct hash_key zero = {0, 0};

    print_with(L, "describe", false, out);
    for (const struct config_answer *a = recording->answers; a; a = a->next)
        if (a->text && strncmp(a->question, prefix, sizeof(prefix) - 1) == 0)
            buf_printf(out, "~%s=%" PRIx64 "\n", a->question + strlen("script "),
                       siphash24(zero, (const uint8_t *)a->text, a->len));
}

void config_print_docs(lua_State *L, struct buf *out)
{
    print_with(L, "docs", false, out);
}
