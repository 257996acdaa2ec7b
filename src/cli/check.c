/* moontail check: reads config.lua and everything that it names, and says whether it is good. */
#include "cli/cli.h"
#include "collector/setup.h"
#include "policy/labels.h"

#include <stdio.h>
#include <string.h>

enum { REPORT_MAX = 1024 * 1024 };

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void say_checked(const struct setup_loaded *l)
{
    const struct config *c = l->config;

    printf("%s is good: ", c->path);
    if (c->tail.enabled)
        printf("%zu polic%s, ", l->policies, l->policies == 1 ? "y" : "ies");
    else
        printf("no tail_sampling (every trace is kept), ");
    printf("%zu exporter%s, hash %s\n", l->exporters, plural(l->exporters), c->hash);
}

static void say_lines(const struct buf *report)
{
    if (report->len)
        fwrite(report->data, 1, report->len, stderr);
}

static int check_file(const char *path)
{
    static struct policy_shared shared; /* large */
    struct labels *labels = labels_new();
    struct setup setup = {.path = path, .disk = disk_system(), .shared = &shared};
    struct setup_loaded loaded;
    struct buf report;
    enum err e;

    policy_shared_init(&shared, labels, 0);
    buf_init(&report, REPORT_MAX, NULL);
    e = setup_load(&setup, &loaded, &report);
    say_lines(&report);
    if (!e) {
        say_checked(&loaded);
        setup_fini(&loaded);
    }
    buf_fini(&report);
    policy_shared_fini(&shared);
    labels_free(labels);
    return e ? EXIT_CONFIG : EXIT_OK;
}

static int run(int argc, char **argv);

CLI_COMMAND(check, .name = "check", .synopsis = "[--config FILE]",
            .summary = "read config.lua and all that it names; exit 78 with every error",
            .run = run);

static int run(int argc, char **argv)
{
    const char *path = NULL;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") != 0)
            return cli_usage(&check, "there is no argument '%s'", argv[i]);
        if (++i >= argc)
            return cli_usage(&check, "--config needs a file");
        path = argv[i];
    }
    return check_file(path);
}
