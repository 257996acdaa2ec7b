/* moontail init: a folder to begin with: a policy, its spec, config.lua, and what editors read. */
#include "base/disk.h"
#include "cli/cli.h"
#include "lua/state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 600 };

/* Makes the folders that the path goes through. */
static enum err make_folders(const char *path, struct err_info *info)
{
    struct disk *disk = disk_system();
    char folder[PATH_BYTES];
    enum err e = ERR_OK;

    for (const char *slash = strchr(path, '/'); slash && !e; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
        if (folder[0])
            e = disk->mkdir(disk, folder, 0755, info);
    }
    return e;
}

static bool is_there(const char *path)
{
    struct disk *disk = disk_system();
    struct err_info info;
    int fd;

    if (disk->open(disk, path, O_RDONLY, 0, &fd, &info))
        return false;
    disk->close(disk, fd);
    return true;
}

/* ERR_AGAIN: there is a file already, which stays. */
static enum err write_new(const char *path, const char *text, size_t len, struct err_info *info)
{
    struct disk *disk = disk_system();
    enum err e;
    int fd;

    if (is_there(path))
        return ERR_AGAIN;
    e = disk->open(disk, path, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, info);
    if (e)
        return e;
    e = disk->pwrite(disk, fd, text, len, 0, info);
    disk->close(disk, fd);
    return e;
}

/* The pair { path, text } on the top of the stack, which is popped. */
static enum err write_pair(lua_State *L, const char *folder, struct err_info *info)
{
    char path[PATH_BYTES];
    const char *text;
    size_t len;
    enum err e;

    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    text = lua_tolstring(L, -1, &len);
    if (snprintf(path, sizeof(path), "%s/%s", folder, lua_tostring(L, -2)) >= (int)sizeof(path)) {
        e = err_fail(info, ERR_CONFIG, "the path is too long: %.100s...", folder);
    } else {
        e = make_folders(path, info);
        if (!e)
            e = write_new(path, text, len, info);
    }
    if (e == ERR_OK || e == ERR_AGAIN) {
        printf("%-9s %s\n", e ? "is there" : "written", path);
        e = ERR_OK;
    }
    lua_pop(L, 3);
    return e;
}

static enum err write_files(lua_State *L, const char *folder, struct err_info *info)
{
    enum err e = lua_require(L, "moontail.scaffold", info);

    if (e)
        return e;
    lua_getfield(L, -1, "files");
    e = lua_run(L, 0, 1, info);
    for (int i = 1; !e && i <= (int)lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        e = write_pair(L, folder, info);
    }
    return e;
}

/* Commands that can be copied. */
static void say_next(const char *folder)
{
    char path[PATH_BYTES + 16];
    struct buf words;
    const char *config, *specs;

    buf_init(&words, 16 * PATH_BYTES, NULL);
    snprintf(path, sizeof(path), "%s/config.lua", folder);
    cli_put_word(&words, path);
    buf_byte(&words, 0);
    cli_put_word(&words, folder);
    buf_byte(&words, 0);
    if (buf_ok(&words)) {
        config = (const char *)words.data;
        specs = config + strlen(config) + 1;
        printf("next: moontail check --config %s; moontail test %s; moontail run --config %s\n",
               config, specs, config);
    }
    buf_fini(&words);
}

static int init_folder(const char *folder)
{
    struct lua_options options = {.jit = LUA_JIT_OFF};
    lua_State *L = lua_state_new(&options);
    struct err_info info = {.text = "no memory for a Lua state"};
    enum err e = L ? write_files(L, folder, &info) : ERR_FULL;

    lua_state_close(L);
    if (e) {
        fprintf(stderr, "moontail: %s\n", info.text);
        return EXIT_CANTCREAT;
    }
    say_next(folder);
    return EXIT_OK;
}

static int run(int argc, char **argv);

CLI_COMMAND(init, .name = "init", .synopsis = "FOLDER",
            .summary = "begin: a policy, its spec, config.lua, an editor's settings", .run = run);

static int run(int argc, char **argv)
{
    char folder[PATH_BYTES];
    size_t len;

    if (argc != 2 || argv[1][0] == '-')
        return cli_usage(&init, "which folder?");
    len = strlen(argv[1]);
    while (len > 1 && argv[1][len - 1] == '/')
        len--;
    if (len >= sizeof(folder))
        return cli_usage(&init, "the path is too long: %.100s...", argv[1]);
    snprintf(folder, sizeof(folder), "%.*s", (int)len, argv[1]);
    return init_folder(folder);
}
