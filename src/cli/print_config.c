/* moontail print-config: the configuration as it is in effect, its defaults, or their page. */
#include "cli/cli.h"
#include "collector/setup.h"
#include "lua/state.h"
#include "policy/labels.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 4 * 1024 * 1024 };

struct arguments {
    const char *path;
    bool defaults, docs;
};

static int write_out(const struct buf *text)
{
    fwrite(text->data, 1, text->len, stdout);
    return buf_ok(text) ? EXIT_OK : EXIT_FAILED;
}

static void print_docs(lua_State *L, struct buf *text)
{
    config_print_docs(L, text);
    exporter_print_docs(L, text);
}

/* Of the table of fields alone: no file is read. */
static int print_fields(bool docs)
{
    struct lua_options options = {.jit = LUA_JIT_OFF};
    lua_State *L = lua_state_new(&options);
    struct buf text;
    int code;

    if (!L)
        return EXIT_FAILED;
    buf_init(&text, TEXT_MAX, NULL);
    if (docs)
        print_docs(L, &text);
    else
        config_print(L, true, &text);
    code = write_out(&text);
    buf_fini(&text);
    lua_state_close(L);
    return code;
}

static void say_lines(const struct buf *report)
{
    if (report->len)
        fwrite(report->data, 1, report->len, stderr);
}

static int print_file(const char *path)
{
    static struct policy_shared shared; /* large */
    struct labels *labels = labels_new();
    struct setup setup = {.path = path, .disk = disk_system(), .shared = &shared};
    struct setup_loaded loaded;
    struct buf text;
    int code = EXIT_CONFIG;

    policy_shared_init(&shared, labels, 0);
    buf_init(&text, TEXT_MAX, NULL);
    if (setup_load(&setup, &loaded, &text)) {
        cli_say_errors(&text);
    } else {
        say_lines(&text); /* hints */
        buf_clear(&text);
        config_print(loaded.L, false, &text);
        code = write_out(&text);
        setup_fini(&loaded);
    }
    buf_fini(&text);
    policy_shared_fini(&shared);
    labels_free(labels);
    return code;
}

static int run(int argc, char **argv);

CLI_COMMAND(print_config, .name = "print-config",
            .synopsis = "[--config FILE | --defaults | --docs]",
            .summary = "the configuration as Lua (secrets masked), or its defaults", .run = run);

static int run(int argc, char **argv)
{
    struct arguments a = {0};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--defaults") == 0) {
            a.defaults = true;
        } else if (strcmp(argv[i], "--docs") == 0) {
            a.docs = true;
        } else if (strcmp(argv[i], "--config") != 0) {
            return cli_usage(&print_config, "there is no argument '%s'", argv[i]);
        } else if (++i >= argc) {
            return cli_usage(&print_config, "--config needs a file");
        } else {
            a.path = argv[i];
        }
    }
    if (a.defaults || a.docs)
        return print_fields(a.docs);
    return print_file(a.path);
}
