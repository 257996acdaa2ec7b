/* moontail import: another collector's configuration as a config.lua, and what became of each part.
 */
#include "base/disk.h"
#include "cli/cli.h"
#include "config/yaml.h"
#include "lua/state.h"
#include "policy/labels.h"
#include "policy/policy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

struct arguments {
    const char *file, *output;
};

struct reading {
    struct slice text;
    enum err e;
    struct err_info info;
};

static int read_yaml(lua_State *L)
{
    struct reading *r = lua_touserdata(L, 1);

    r->e = yaml_push(L, r->text, &r->info);
    return r->e ? 0 : 1;
}

/* Pushes the document. */
static enum err push_document(lua_State *L, struct slice text, struct err_info *info)
{
    struct reading r = {.text = text};
    enum err e;

    lua_pushcfunction(L, read_yaml);
    lua_pushlightuserdata(L, &r);
    e = lua_run(L, 1, 1, info);
    if (e)
        return e;
    if (r.e)
        *info = r.info;
    return r.e;
}

/* Pushes config.lua's text and the report's. */
static enum err convert(lua_State *L, const char *name, struct slice text, struct err_info *info)
{
    enum err e = lua_require(L, "moontail.import", info);

    if (e)
        return e;
    lua_getfield(L, -1, "run");
    e = push_document(L, text, info);
    if (e)
        return e;
    lua_pushstring(L, name);
    e = lua_run(L, 2, 2, info);
    if (!e && lua_isnil(L, -2))
        e = err_fail(info, ERR_CONFIG, "%s", lua_tostring(L, -1));
    return e;
}

/* Never over a file that is there. */
static int write_text(const char *path, const char *text, size_t len)
{
    FILE *out = stdout;
    int fd;
    bool written;

    if (path) {
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        out = fd >= 0 ? fdopen(fd, "w") : NULL;
        if (!out) {
            fprintf(stderr, "moontail: cannot make %s: %m\n", path);
            return EXIT_CANTCREAT;
        }
    }
    written = fwrite(text, 1, len, out) == len && fflush(out) == 0;
    if (path)
        written = fclose(out) == 0 && written;
    return written ? EXIT_OK : EXIT_FAILED;
}

static int say(const char *file, const struct err_info *info)
{
    fprintf(stderr, "moontail: %s:%s%s\n", file,
            info->text[0] >= '0' && info->text[0] <= '9' ? "" : " ", info->text);
    return EXIT_CONFIG;
}

static int import_text(lua_State *L, const struct arguments *a, struct slice text)
{
    struct err_info info;
    const char *config;
    size_t len;
    int code;

    if (convert(L, a->file, text, &info))
        return say(a->file, &info);
    config = lua_tolstring(L, -2, &len);
    code = write_text(a->output, config, len);
    if (code == EXIT_OK)
        fputs(lua_tostring(L, -1), stderr);
    return code;
}

/* With the names of scripts, so that conditions are compiled as they will be. */
static int import_in_state(const struct arguments *a, struct slice text,
                           struct policy_shared *shared)
{
    struct lua_options options = {.jit = LUA_JIT_OFF};
    lua_State *L = lua_state_new(&options);
    struct err_info info;
    int code;

    if (!L)
        return EXIT_FAILED;
    if (lua_env_new(L, &info) || policy_api_install(L, lua_gettop(L), shared, &info))
        code = say(a->file, &info);
    else
        code = import_text(L, a, text);
    lua_state_close(L);
    return code;
}

static int import_file(const struct arguments *a)
{
    static struct policy_shared shared; /* large */
    const char *path = strcmp(a->file, "-") == 0 ? "/dev/stdin" : a->file;
    struct labels *labels = labels_new();
    struct err_info info;
    char *text;
    size_t len;
    int code;

    if (disk_read_file(disk_system(), path, YAML_TEXT_MAX, &text, &len, &info)) {
        fprintf(stderr, "moontail: %s\n", info.text);
        labels_free(labels);
        return EXIT_FAILED;
    }
    policy_shared_init(&shared, labels, 0);
    code = import_in_state(a, slice_make(text, len), &shared);
    policy_shared_fini(&shared);
    labels_free(labels);
    free(text);
    return code;
}

static int run(int argc, char **argv);

CLI_COMMAND(import, .name = "import", .synopsis = "FILE [--output config.lua]",
            .summary = "a collector's YAML or Refinery's rules as config.lua", .run = run);

static int run(int argc, char **argv)
{
    struct arguments a = {0};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--output") == 0) {
            if (++i == argc)
                return cli_usage(&import, "--output needs a file");
            a.output = argv[i];
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            return cli_usage(&import, "there is no argument '%s'", argv[i]);
        } else if (a.file) {
            return cli_usage(&import, "one file at a time");
        } else {
            a.file = argv[i];
        }
    }
    if (!a.file)
        return cli_usage(&import, "which file?");
    return import_file(&a);
}
