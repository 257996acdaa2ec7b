/* moontail check: reads config.lua and everything that it names, and says whether it is good; with
 * --history also what its scripts ask for and the last traces never have. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/made_up.h"
#include "collector/seen.h"
#include "collector/setup.h"
#include "policy/labels.h"

#include <stdio.h>
#include <string.h>

enum { REPORT_MAX = 1024 * 1024, TRACES_MAX = 1000, BYTES_MAX = 512 << 20 };

struct arguments {
    const char *path, *journal; /* NULL: the one that is carried; that of the configuration */
    bool history;
};

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

static void compare_history(const struct setup_loaded *l, const char *journal)
{
    const struct recent_limits limits = {.max_traces = TRACES_MAX, .max_bytes = BYTES_MAX};
    const char *path = journal ? journal : l->config->journal.path;
    struct recent recent;
    struct err_info info;
    struct buf hints;

    if (recent_read(disk_system(), path, &limits, &recent, &info)) {
        printf("no history to compare with: %s\n", info.text);
        return;
    }
    buf_init(&hints, REPORT_MAX, NULL);
    seen_lint(l->L, &recent, &hints);
    say_lines(&hints);
    if (recent.count < SEEN_TRACES)
        printf("%s has %zu trace%s whole; attributes are compared with %d\n", path, recent.count,
               plural(recent.count), SEEN_TRACES);
    buf_fini(&hints);
    recent_fini(&recent);
}

static int check_file(const struct arguments *a)
{
    static struct policy_shared shared; /* large */
    struct labels *labels = labels_new();
    struct setup setup = {.path = a->path, .disk = disk_system(), .shared = &shared};
    struct setup_loaded loaded;
    struct buf report;
    enum err e;

    policy_shared_init(&shared, labels, 0);
    buf_init(&report, REPORT_MAX, NULL);
    e = setup_load(&setup, &loaded, &report);
    if (e) {
        cli_say_errors(&report);
    } else {
        log_configure(LOG_ERROR, LOG_AUTO); /* what scripts say of made-up traces is no news */
        made_up_lint(&setup, &loaded, &report);
        say_lines(&report);
        say_checked(&loaded);
        if (a->history)
            compare_history(&loaded, a->journal);
        setup_fini(&loaded);
    }
    buf_fini(&report);
    policy_shared_fini(&shared);
    labels_free(labels);
    return e ? EXIT_CONFIG : EXIT_OK;
}

static int run(int argc, char **argv);

CLI_COMMAND(check, .name = "check", .synopsis = "[--config FILE] [--history [--journal PATH]]",
            .summary = "read config.lua and all that it names; exit 78 with every error",
            .run = run);

static int run(int argc, char **argv)
{
    struct arguments a = {0};

    for (int i = 1; i < argc; i++) {
        const char **value = strcmp(argv[i], "--config") == 0    ? &a.path
                             : strcmp(argv[i], "--journal") == 0 ? &a.journal
                                                                 : NULL;

        if (strcmp(argv[i], "--history") == 0) {
            a.history = true;
            continue;
        }
        if (!value)
            return cli_usage(&check, "there is no argument '%s'", argv[i]);
        if (++i >= argc)
            return cli_usage(&check, "%s needs a %s", argv[i - 1],
                             value == &a.path ? "file" : "folder");
        *value = argv[i];
    }
    a.history |= a.journal != NULL;
    return check_file(&a);
}
