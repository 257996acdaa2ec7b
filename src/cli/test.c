/* moontail test: runs the specs of policies, processors and exporters with the collector's own
 * accessors (spec_host.h). */
#include "cli/cli.h"
#include "cli/spec_files.h"
#include "cli/spec_host.h"
#include "lua/state.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

enum { PATHS_MAX = 100, MAX_BYTES = 256 * 1024 * 1024 };
#define BUDGET_NS (UINT64_C(10) * 1000 * 1000) /* as tail_sampling.budget.cpu is by default */

struct arguments {
    const char *paths[PATHS_MAX];
    size_t count;
    bool verbose, busted;
};

static int write_text(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    if (fwrite(text, 1, len, stdout) != len || fflush(stdout) != 0)
        return luaL_error(L, "cannot write");
    return 0;
}

static void push_files(lua_State *L, const struct spec_files *files)
{
    lua_createtable(L, (int)files->count, 0);
    for (size_t i = 0; i < files->count; i++) {
        lua_pushstring(L, files->paths[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* `require` finds what lies beside the specs, and moontail.testing its other half. */
static void prepare_require(lua_State *L, const char *folder)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s/spec/?.lua;%s/?.lua;%s", folder, folder, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pop(L, 1);
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, spec_host_open);
    lua_setfield(L, -2, "moontail_testing");
    lua_pop(L, 2);
}

/* Pushes a function of a module. */
static void push_function(lua_State *L, const char *module, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

/* run(files, arguments) -> exit code. */
static int run_specs(lua_State *L)
{
    const struct spec_files *files = lua_touserdata(L, 1);
    const struct arguments *a = lua_touserdata(L, 2);

    prepare_require(L, files->folder);
    push_function(L, "moontail.testing", "folder");
    lua_pushstring(L, files->folder);
    lua_call(L, 1, 0);
    push_function(L, "moontail.runner", a->busted ? "busted" : "run");
    push_files(L, files);
    if (!a->busted)
        lua_pushcfunction(L, write_text);
    lua_pushboolean(L, a->verbose);
    lua_call(L, a->busted ? 2 : 3, 2);
    if (lua_isnil(L, -2))
        return luaL_error(L, "%s", lua_tostring(L, -1));
    if (a->busted)
        lua_pushboolean(L, lua_tointeger(L, -2) == 0);
    else
        lua_pushboolean(L, lua_tointeger(L, -1) == 0 && lua_tointeger(L, -2) > 0);
    return 1;
}

static int run_in(lua_State *L, struct spec_files *files, struct arguments *a)
{
    struct err_info info;

    if (lua_state_open_up(L, &info)) {
        fprintf(stderr, "moontail: %s\n", info.text);
        return EXIT_FAILED;
    }
    /* Not lua_run: specs are trusted, and what they call has a budget of its own. */
    lua_pushcfunction(L, run_specs);
    lua_pushlightuserdata(L, files);
    lua_pushlightuserdata(L, a);
    if (lua_pcall(L, 2, 1, 0) != 0) {
        fprintf(stderr, "moontail: %s\n", lua_tostring(L, -1));
        return EXIT_FAILED;
    }
    return lua_toboolean(L, -1) ? EXIT_OK : EXIT_FAILED;
}

static int test_paths(struct arguments *a)
{
    struct lua_options options = {.max_cpu_ns = BUDGET_NS, .max_bytes = MAX_BYTES};
    struct spec_files files;
    struct err_info info;
    lua_State *L;
    int code = EXIT_FAILED;

    if (spec_files_find(&files, disk_system(), a->paths, a->count, &info)) {
        fprintf(stderr, "moontail: %s\n", info.text);
    } else {
        L = lua_state_new(&options);
        if (L)
            code = run_in(L, &files, a);
        lua_state_close(L);
    }
    spec_files_fini(&files);
    return code;
}

static int run(int argc, char **argv);

CLI_COMMAND(test, .name = "test", .synopsis = "[--verbose] [--busted] [FOLDER | FILE]...",
            .summary = "run the specs of policies, processors and exporters", .run = run);

static int run(int argc, char **argv)
{
    struct arguments a = {0};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            a.verbose = true;
        else if (strcmp(argv[i], "--busted") == 0)
            a.busted = true;
        else if (argv[i][0] == '-' || a.count == PATHS_MAX)
            return cli_usage(&test, "there is no argument '%s'", argv[i]);
        else
            a.paths[a.count++] = argv[i];
    }
    return test_paths(&a);
}
