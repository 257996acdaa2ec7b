#include "cli/pages.h"

#include "base/buf.h"
#include "base/disk.h"
#include "cli/cli.h"
#include "lua/embed.h"
#include "lua/scripts.h"
#include "lua/state.h"
#include "policy/policy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { TYPES_MAX = 1000, TYPE_MAX = 64, PATH_BYTES = 600 };

struct kind {
    const char *name, *plural;
};

/* Names of one kind, sorted. */
struct types {
    size_t count;
    char names[TYPES_MAX][TYPE_MAX + 1];
};

/* "latency.lua" is one; "notes.txt" is none. */
static void on_file(void *arg, const char *name)
{
    struct types *t = arg;
    size_t len = strlen(name);

    if (len <= 4 || len - 4 > TYPE_MAX || strcmp(name + len - 4, ".lua") != 0 || *name == '.' ||
        t->count == TYPES_MAX)
        return;
    snprintf(t->names[t->count++], sizeof(t->names[0]), "%.*s", (int)(len - 4), name);
}

static void find_embedded(struct types *t, const struct kind *kind)
{
    char prefix[32];
    size_t len = (size_t)snprintf(prefix, sizeof(prefix), "lua/%s/", kind->plural);

    for (size_t i = 0; i < embedded_file_count; i++)
        if (strncmp(embedded_files[i].name, prefix, len) == 0)
            on_file(t, embedded_files[i].name + len);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void find_types(struct types *t, const struct kind *kind, const char *folder)
{
    struct disk *disk = disk_system();
    char path[PATH_BYTES];
    struct err_info info;

    t->count = 0;
    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "", kind->plural);
    if (!folder)
        find_embedded(t, kind);
    else if (disk->list(disk, path, on_file, t, &info))
        t->count = 0; /* a folder that is not there has none */
    qsort(t->names, t->count, sizeof(t->names[0]), by_name);
}

static enum err write_file(const char *path, const char *text, size_t len, struct err_info *info)
{
    struct disk *disk = disk_system();
    int fd;
    enum err e = disk->open(disk, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &fd, info);

    if (e)
        return e;
    e = disk->pwrite(disk, fd, text, len, 0, info);
    disk->close(disk, fd);
    return e;
}

/* Calls script_page.FUNCTION with the `args` on the stack, which are popped; its text becomes the
 * file at `path`. */
static enum err write_page(lua_State *L, const char *function, int args, const char *path,
                           struct err_info *info)
{
    const char *text;
    size_t len;
    enum err e = lua_require_function(L, "moontail.script_page", function, info);

    if (e)
        return e;
    lua_insert(L, -1 - args);
    e = lua_run(L, args, 1, info);
    if (e)
        return e;
    text = lua_tolstring(L, -1, &len);
    e = write_file(path, text, len, info);
    lua_pop(L, 1);
    return e;
}

static enum err make_folder(const char *out, const struct kind *kind, struct err_info *info)
{
    struct disk *disk = disk_system();
    char path[PATH_BYTES];
    enum err e = disk->mkdir(disk, out, 0755, info);

    snprintf(path, sizeof(path), "%s/%s", out, kind->plural);
    return e ? e : disk->mkdir(disk, path, 0755, info);
}

static enum err write_type(lua_State *L, const struct kind *kind, const char *type, const char *out,
                           struct err_info *info)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "%s/%s/%s.md", out, kind->plural, type);
    lua_pushstring(L, kind->name);
    lua_pushstring(L, type);
    return write_page(L, "text", 2, path, info);
}

static enum err write_index(lua_State *L, const struct kind *kind, const struct types *types,
                            const char *out, struct err_info *info)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "%s/%s/README.md", out, kind->plural);
    lua_pushstring(L, kind->name);
    lua_createtable(L, (int)types->count, 0);
    for (size_t i = 0; i < types->count; i++) {
        lua_pushstring(L, types->names[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return write_page(L, "index", 2, path, info);
}

static enum err write_kind(lua_State *L, const struct kind *kind, const struct types *types,
                           const char *out, struct err_info *info)
{
    enum err e = types->count ? make_folder(out, kind, info) : ERR_OK;

    for (size_t i = 0; i < types->count && !e; i++)
        e = write_type(L, kind, types->names[i], out, info);
    return e || !types->count ? e : write_index(L, kind, types, out, info);
}

static enum err write_all(lua_State *L, const char *out, const char *folder, struct err_info *info)
{
    static const struct kind kinds[] = {
        {"policy", "policies"}, {"processor", "processors"}, {"exporter", "exporters"}};
    struct types *types = calloc(1, sizeof(*types));
    enum err e = ERR_OK;
    size_t count = 0;

    if (!types)
        return err_fail(info, ERR_FULL, "no memory");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && !e; i++) {
        find_types(types, &kinds[i], folder);
        count += types->count;
        e = write_kind(L, &kinds[i], types, out, info);
    }
    free(types);
    if (!e && count == 0)
        e = err_fail(info, ERR_CONFIG,
                     "there is no script in policies, processors or exporters of %s", folder);
    return e;
}

int pages_write(const char *out, const char *folder)
{
    static struct policy_shared shared; /* large */
    struct lua_options options = {.jit = LUA_JIT_OFF};
    struct labels *labels = labels_new();
    lua_State *L = lua_state_new(&options);
    struct err_info info = {.text = "no memory for a Lua state"};
    enum err e = L ? ERR_OK : ERR_FULL;

    policy_shared_init(&shared, labels, 0);
    if (L && folder)
        lua_scripts_set(L, disk_system(), folder);
    if (!e)
        e = lua_env_new(L, &info);
    if (!e)
        e = policy_api_install(L, -1, &shared, &info);
    if (!e)
        e = write_all(L, out, folder, &info);
    if (e)
        fprintf(stderr, "moontail: %s\n", info.text);
    lua_state_close(L);
    policy_shared_fini(&shared);
    labels_free(labels);
    return e ? EXIT_FAILED : EXIT_OK;
}
