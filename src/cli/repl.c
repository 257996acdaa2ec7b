/* moontail repl: a prompt at which a trace is read as policies read it. */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/redacting.h"
#include "cli/spec_host.h"
#include "cli/spec_trace.h"
#include "lua/state.h"
#include "policy/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

enum { MAX_BYTES = 64 * 1024 * 1024, STATEMENT_MAX = 1024 * 1024 };
#define BUDGET_NS (250 * NS_PER_MS) /* of a statement */

struct prompt {
    lua_State *L;
    int env, module; /* stack indexes */
    struct buf statement;
    bool is_terminal;
};

static void say_error(const struct err_info *info)
{
    fprintf(stderr, "%s\n", info->text);
}

/* Calls repl.FUNCTION with the `args` on the stack, which are popped. */
static enum err call(struct prompt *p, const char *function, int args, int results,
                     struct err_info *info)
{
    lua_getfield(p->L, p->module, function);
    lua_insert(p->L, -1 - args);
    return lua_run(p->L, args, results, info);
}

static bool says_incomplete(struct prompt *p, const struct err_info *wrong)
{
    struct err_info info;
    bool incomplete;

    lua_pushstring(p->L, wrong->text);
    if (call(p, "is_incomplete", 1, 1, &info))
        return false;
    incomplete = lua_toboolean(p->L, -1);
    lua_pop(p->L, 1);
    return incomplete;
}

/* Pushes the function of the statement, as a value or as it is. Failed: *incomplete says whether
 * more lines may mend it. */
static enum err compile(struct prompt *p, bool *incomplete, struct err_info *info)
{
    lua_State *L = p->L;
    int top = lua_gettop(L);
    enum err e;

    *incomplete = false;
    lua_pushlstring(L, (const char *)p->statement.data, p->statement.len);
    e = call(p, "forms", 1, 2, info);
    for (int i = 1; !e && i <= 2 && lua_isstring(L, top + i); i++) {
        size_t len;
        const char *text = lua_tolstring(L, top + i, &len);

        if (lua_load_script(L, slice_make(text, len), "prompt", p->env, info) == ERR_OK) {
            lua_replace(L, top + 1);
            lua_settop(L, top + 1);
            return ERR_OK;
        }
        *incomplete |= says_incomplete(p, info);
    }
    lua_settop(L, top);
    return ERR_SCRIPT;
}

/* Prints the values above `base`. */
static enum err print_values(struct prompt *p, int base, struct err_info *info)
{
    enum err e = call(p, "show", lua_gettop(p->L) - base, 1, info);

    if (e)
        return e;
    fputs(lua_tostring(p->L, -1), stdout);
    fflush(stdout);
    return ERR_OK;
}

/* Runs what has been typed; keeps it where more is to come and `more` is allowed. */
static void evaluate(struct prompt *p, bool more)
{
    int top = lua_gettop(p->L);
    struct err_info info;
    bool incomplete;
    enum err e = compile(p, &incomplete, &info);

    if (e && more && incomplete)
        return;
    if (!e)
        e = lua_run_bounded(p->L, 0, LUA_MULTRET, &info);
    if (!e)
        e = print_values(p, top, &info);
    if (e)
        say_error(&info);
    buf_clear(&p->statement);
    lua_settop(p->L, top);
}

static void show_prompt(const struct prompt *p)
{
    if (!p->is_terminal)
        return;
    fputs(p->statement.len ? ">> " : "> ", stdout);
    fflush(stdout);
}

static void read_lines(struct prompt *p)
{
    char *line = NULL;
    size_t space = 0;
    ssize_t len;

    for (show_prompt(p); (len = getline(&line, &space, stdin)) > 0; show_prompt(p)) {
        buf_append(&p->statement, line, (size_t)len);
        if (!buf_ok(&p->statement)) {
            fputs("a statement has at most 1 MiB\n", stderr);
            buf_clear(&p->statement);
        }
        if (strspn((const char *)p->statement.data, " \t\r\n") < p->statement.len)
            evaluate(p, true);
        else
            buf_clear(&p->statement);
    }
    if (p->statement.len)
        evaluate(p, false);
    if (p->is_terminal)
        putchar('\n');
    free(line);
}

/* Pushes the module and the environment, with the traces read. */
static enum err open_prompt(struct prompt *p, const char *file, struct err_info *info)
{
    enum err e = lua_require(p->L, "moontail.repl", info);

    if (e)
        return e;
    p->module = lua_gettop(p->L);
    if (file)
        lua_pushstring(p->L, file);
    else
        lua_pushnil(p->L);
    e = call(p, "open", 1, 1, info);
    p->env = lua_gettop(p->L);
    if (!e && p->is_terminal) {
        e = call(p, "greeting", 0, 1, info);
        if (!e)
            fputs(lua_tostring(p->L, -1), stdout);
        lua_settop(p->L, p->env);
    }
    return e;
}

/* The module moontail_testing, without files: the prompt is closed. */
static enum err preload(lua_State *L, struct err_info *info)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_pushcfunction(L, spec_host_open);
    if (lua_run(L, 0, 1, info))
        return ERR_SCRIPT;
    lua_setfield(L, -2, "moontail_testing");
    lua_pop(L, 1);
    return ERR_OK;
}

static int prompt(const char *file, const struct redacting *redacting)
{
    struct lua_options options = {.max_cpu_ns = BUDGET_NS, .max_bytes = MAX_BYTES};
    struct prompt p = {.L = lua_state_new(&options), .is_terminal = isatty(0) && isatty(1)};
    struct err_info info = {.text = "no memory for a Lua state"};
    enum err e = p.L ? preload(p.L, &info) : ERR_FULL;

    buf_init(&p.statement, STATEMENT_MAX, NULL);
    if (!e && redacting)
        spec_trace_redact_as(p.L, redacting_processors(redacting)->L);
    if (!e)
        e = open_prompt(&p, file, &info);
    if (e) {
        fprintf(stderr, "moontail: %s\n", info.text);
    } else {
        policy_begin_time(p.L, clock_now_ns(clock_system()));
        read_lines(&p);
    }
    buf_fini(&p.statement);
    lua_state_close(p.L);
    return e ? EXIT_FAILED : EXIT_OK;
}

static int run(int argc, char **argv);

CLI_COMMAND(repl, .name = "repl", .synopsis = "[--trace FILE] [--config FILE]",
            .summary = "a prompt at which a trace is read as policies read it", .run = run);

static int run(int argc, char **argv)
{
    const char *file = NULL, *config = NULL;
    struct redacting *redacting = NULL;
    int code = EXIT_OK;

    for (int i = 1; i < argc; i += 2) {
        const char **value = strcmp(argv[i], "--trace") == 0    ? &file
                             : strcmp(argv[i], "--config") == 0 ? &config
                                                                : NULL;

        if (!value)
            return cli_usage(&repl, "there is no argument '%s'", argv[i]);
        if (i + 1 >= argc)
            return cli_usage(&repl, "%s needs a file", argv[i]);
        *value = argv[i + 1];
    }
    if (config)
        code = redacting_new(config, &redacting);
    if (!code)
        code = prompt(file, redacting);
    redacting_free(redacting);
    return code;
}
