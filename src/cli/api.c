/* moontail api: the names that scripts see, for editors or as a page; a page for each script. */
#include "cli/cli.h"
#include "cli/pages.h"
#include "lua/state.h"
#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

static int print(const char *what)
{
    struct lua_options options = {.jit = LUA_JIT_OFF};
    lua_State *L = lua_state_new(&options);
    struct err_info info;
    int code = EXIT_FAILED;

    if (!L)
        return code;
    if (policy_api_text(L, what, &info) == ERR_OK) {
        size_t len;
        const char *text = lua_tolstring(L, -1, &len);

        fwrite(text, 1, len, stdout);
        code = EXIT_OK;
    } else {
        fprintf(stderr, "moontail: %s\n", info.text);
    }
    lua_state_close(L);
    return code;
}

static int run(int argc, char **argv);

CLI_COMMAND(api, .name = "api", .synopsis = "[--luacats | --docs | --pages OUT [FOLDER]]",
            .summary = "the names that scripts see, for editors or as pages", .run = run);

static int run(int argc, char **argv)
{
    const char *what = "luacats";

    if (argc > 1 && strcmp(argv[1], "--pages") == 0) {
        if (argc < 3 || argc > 4)
            return cli_usage(&api, "--pages takes the folder that they are written to, and that of "
                                   "the scripts (without: those that the program carries)");
        return pages_write(argv[2], argc > 3 ? argv[3] : NULL);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--luacats") != 0 && strcmp(argv[i], "--docs") != 0)
            return cli_usage(&api, "there is no argument '%s'", argv[i]);
        what = argv[i] + 2;
    }
    return print(what);
}
