/* moontail doctor: whether what a configuration needs is there: one screen, before or beside a
 * collector that runs. Changes nothing. */
#include "cli/doctor.h"

#include "base/log.h"
#include "policy/labels.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_MAX = 1 << 20 };

void doctor_say(struct doctor *d, enum finding finding, const char *about, const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warn", "FAIL"};
    va_list args;

    d->warnings += finding == FINDING_WARN;
    d->failures += finding == FINDING_FAIL;
    printf("%-4s  %-8s  ", words[finding], about);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

void doctor_advise(const char *fmt, ...)
{
    va_list args;

    fputs("                -> ", stdout);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

static void check_targets(struct doctor *d, lua_State *L)
{
    struct doctor_targets *t = calloc(1, sizeof(*t));

    if (!t)
        err_no_memory("the exporters");
    doctor_targets_read(L, t);
    for (size_t i = 0; i < t->count; i++) {
        bool reached = doctor_check_target(d, &t->list[i]);

        if (t->list[i].is_signed && reached)
            doctor_check_aws(d, &t->list[i]);
    }
    free(t);
}

static void check_all(struct doctor *d, const struct setup *s, const struct setup_loaded *l)
{
    const struct config *c = l->config;

    doctor_say(d, FINDING_OK, "config", "%s: %zu polic%s, %zu exporter%s", c->path, l->policies,
               l->policies == 1 ? "y" : "ies", l->exporters, l->exporters == 1 ? "" : "s");
    doctor_check_jit(d, c);
    doctor_check_memory(d, c);
    doctor_check_limits(d, c);
    doctor_check_journal(d, c);
    doctor_check_control(d, c);
    doctor_check_ports(d, c);
    doctor_check_files(d, s, l);
    doctor_check_clock(d);
    check_targets(d, l->L);
}

static void examine(struct doctor *d, const char *path)
{
    static struct policy_shared shared; /* large */
    struct labels *labels = labels_new();
    struct setup setup = {.path = path, .disk = disk_system(), .shared = &shared};
    struct setup_loaded loaded;
    struct buf report;

    policy_shared_init(&shared, labels, 0);
    buf_init(&report, REPORT_MAX, NULL);
    if (setup_load(&setup, &loaded, &report)) {
        doctor_say(d, FINDING_FAIL, "config", "%s can't be used; the rest was not looked at",
                   path ? path : "config.lua");
        fflush(stdout);
        cli_say_errors(&report);
    } else {
        check_all(d, &setup, &loaded);
        setup_fini(&loaded);
    }
    buf_fini(&report);
    policy_shared_fini(&shared);
    labels_free(labels);
}

static int run(int argc, char **argv);

CLI_COMMAND(command, .name = "doctor", .synopsis = "[--config FILE]",
            .summary = "whether all that a configuration needs is there; exit 1: not", .run = run);

static int run(int argc, char **argv)
{
    struct doctor d = {0};
    const char *path = NULL;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") != 0)
            return cli_usage(&command, "there is no argument '%s'", argv[i]);
        if (++i == argc)
            return cli_usage(&command, "--config needs a file");
        path = argv[i];
    }
    log_configure(LOG_ERROR, LOG_AUTO); /* what it would say is in the lines */
    examine(&d, path);
    if (d.failures || d.warnings)
        printf("%u failed, %u to look at\n", d.failures, d.warnings);
    else
        puts("all is well");
    return d.failures ? EXIT_FAILED : EXIT_OK;
}
