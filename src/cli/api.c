/* moontail api: the names that scripts see, for editors or as a page. */
#include "cli/cli.h"
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

        if (fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0)
            code = EXIT_OK;
    } else {
        fprintf(stderr, "moontail: %s\n", info.text);
    }
    lua_state_close(L);
    return code;
}

static int run(int argc, char **argv);

CLI_COMMAND(api, .name = "api", .synopsis = "[--luacats | --docs]",
            .summary = "the names that scripts see, for editors (LuaCATS) or as a page",
            .run = run);

static int run(int argc, char **argv)
{
    const char *what = "luacats";

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--luacats") != 0 && strcmp(argv[i], "--docs") != 0)
            return cli_usage(&api, "there is no argument '%s'", argv[i]);
        what = argv[i] + 2;
    }
    return print(what);
}
