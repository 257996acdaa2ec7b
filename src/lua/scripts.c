#include "lua/scripts.h"

#include "base/units.h"
#include "lua/embed.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCRIPT_MAX = 1024 * 1024 };

/* The registry's userdata under this key. */
static const char place_key;

struct place {
    struct disk *disk;
    lua_read_fn *read;
    void *read_arg;
    const struct lua_script_at *at; /* may be NULL */
    char folder[];                  /* "" with disk NULL */
};

static enum err read_from_disk(void *arg, struct disk *disk, const char *path, size_t max,
                               char **text, size_t *len, struct err_info *info)
{
    (void)arg;
    return disk_read_file(disk, path, max, text, len, info);
}

/* Without a disk there are only built-in scripts; place_of gives NULL then as well. */
void lua_scripts_set(lua_State *L, struct disk *disk, const char *folder)
{
    struct place *p;

    lua_pushlightuserdata(L, (void *)&place_key);
    p = lua_newuserdata(L, sizeof(*p) + strlen(folder) + 1);
    p->disk = disk;
    p->read = read_from_disk;
    p->read_arg = NULL;
    p->at = NULL;
    memcpy(p->folder, folder, strlen(folder) + 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

static struct place *place_of(lua_State *L)
{
    struct place *p;

    lua_pushlightuserdata(L, (void *)&place_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    p = lua_touserdata(L, -1);
    lua_pop(L, 1); /* the registry keeps it */
    return p && p->disk ? p : NULL;
}

void lua_scripts_read_by(lua_State *L, lua_read_fn *read, void *arg)
{
    struct place *p = place_of(L);

    if (!p)
        return;
    p->read = read;
    p->read_arg = arg;
}

void lua_scripts_put(lua_State *L, const struct lua_script_at *at)
{
    struct place *p = place_of(L);

    if (p)
        p->at = at;
}

/* policy -> policies; processor, exporter: an s. */
static const char *plural(const char *kind)
{
    if (strcmp(kind, "policy") == 0)
        return "policies";
    return strcmp(kind, "processor") == 0 ? "processors" : "exporters";
}

/* Letters, digits and _ only: a name can't leave its folder. */
static bool is_type(const char *type)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t len = strlen(type);

    return len > 0 && len <= LUA_TYPE_BYTES && strspn(type, letters) == len;
}

/* The disk interface tells by its sentence only. */
static bool is_absent(const struct err_info *info)
{
    return strcasestr(info->text, ": no such file") != NULL ||
           strcasestr(info->text, ": there is no such file") != NULL;
}

/* ERR_AGAIN: the file is not there. */
static enum err read_disk(const struct place *p, const char *path, struct lua_script *script,
                          struct err_info *info)
{
    enum err e;

    snprintf(script->name, sizeof(script->name), "%s", path);
    e = p->read(p->read_arg, p->disk, path, SCRIPT_MAX, &script->text, &script->len, info);
    if (e && is_absent(info))
        return ERR_AGAIN;
    return e ? ERR_CONFIG : ERR_OK;
}

static enum err read_folder(const struct place *p, const char *kind, const char *type,
                            struct lua_script *script, struct err_info *info)
{
    static const char *const forms[] = {"%s/%s/%s.lua", "%s/%s.%s.lua"};
    char path[512];
    enum err e = ERR_AGAIN;

    if (p->at && strcmp(p->at->kind, kind) == 0 && strcmp(p->at->type, type) == 0)
        e = read_disk(p, p->at->path, script, info);
    for (size_t i = 0; i < 2 && e == ERR_AGAIN; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        int len = snprintf(path, sizeof(path), forms[i], p->folder, plural(kind), type);
#pragma GCC diagnostic pop

        if (len >= (int)sizeof(path))
            return err_fail(info, ERR_CONFIG, "the path of %s \"%s\" is too long", kind, type);
        e = read_disk(p, path, script, info);
    }
    return e;
}

static enum err read_embedded(const char *kind, const char *type, struct lua_script *script)
{
    const struct embedded_file *file;

    snprintf(script->name, sizeof(script->name), "lua/%s/%s.lua", plural(kind), type);
    file = embedded_find(script->name);
    if (!file)
        return ERR_AGAIN;
    script->len = (size_t)(file->end - file->text);
    script->text = strndup(file->text, script->len);
    if (!script->text)
        err_no_memory("a script");
    return ERR_OK;
}

/* ---- the sentence when there is none ---- */

void lua_known_scripts(const char *kind, struct lua_known *known)
{
    char prefix[32];
    size_t len = (size_t)snprintf(prefix, sizeof(prefix), "lua/%s/", plural(kind));

    known->count = 0;
    for (size_t i = 0; i < embedded_file_count && known->count < LUA_KNOWN_MAX; i++) {
        const char *name = embedded_files[i].name;
        size_t rest = strlen(name);

        if (strncmp(name, prefix, len) != 0 || strchr(name + len, '/') || rest < len + 5 ||
            rest - len - 4 > LUA_TYPE_BYTES)
            continue;
        snprintf(known->text[known->count], sizeof(known->text[0]), "%.*s", (int)(rest - len - 4),
                 name + len);
        known->names[known->count] = known->text[known->count];
        known->count++;
    }
}

static enum err fail_absent(const struct place *p, const char *kind, const char *type,
                            struct err_info *info)
{
    struct lua_known *known = calloc(1, sizeof(*known));
    const char *near;
    char list[512] = "", hint[128] = "", places[600] = "";

    if (!known)
        err_no_memory("the list of scripts");
    lua_known_scripts(kind, known);
    near = units_nearest(slice_str(type), known->names, known->count);
    if (near)
        snprintf(hint, sizeof(hint), " (did you mean \"%s\"?)", near);
    for (size_t i = 0, at = 0; i < known->count && at < sizeof(list); i++)
        at +=
            (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "", known->names[i]);
    if (p)
        snprintf(places, sizeof(places), "%s/%s/%s.lua, %s/%s.%s.lua and ", p->folder, plural(kind),
                 type, p->folder, plural(kind), type);
    err_fail(info, ERR_AGAIN, "there is no %s \"%s\"%s; looked for %sthe built-in ones: %s", kind,
             type, hint, places, known->count ? list : "none");
    free(known);
    return ERR_AGAIN;
}

enum err lua_find_script(lua_State *L, const char *kind, const char *type,
                         struct lua_script *script, struct err_info *info)
{
    const struct place *p = place_of(L);
    enum err e = ERR_AGAIN;

    *script = (struct lua_script){0};
    if (!is_type(type))
        return err_fail(info, ERR_CONFIG, "%s \"%s\" is not a name; allowed: letters, digits and _",
                        kind, type);
    if (p)
        e = read_folder(p, kind, type, script, info);
    if (e == ERR_AGAIN)
        e = read_embedded(kind, type, script);
    return e == ERR_AGAIN ? fail_absent(p, kind, type, info) : e;
}

void lua_script_fini(struct lua_script *script)
{
    free(script->text);
    *script = (struct lua_script){0};
}
