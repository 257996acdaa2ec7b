#include "cli/redacting.h"

#include "cli/cli.h"
#include "lua/state.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPORT_MAX = 1 << 20 };

struct redacting {
    struct policy_shared shared; /* large */
    struct labels *labels;
    struct setup setup;
    struct setup_loaded loaded;
    struct trial_processors processors;
};

static int load(struct redacting *r)
{
    struct trial_processors *p = &r->processors;
    struct err_info info;
    struct buf report;
    enum err err;

    buf_init(&report, REPORT_MAX, NULL);
    err = setup_load(&r->setup, &r->loaded, &report);
    if (err != ERR_OK)
        cli_say_errors(&report);
    buf_fini(&report);
    if (err != ERR_OK)
        return EXIT_CONFIG;
    p->L = r->loaded.L;
    err = setup_processors(p->L, "received", &r->shared, &p->received, &info);
    if (err == ERR_OK)
        err = setup_processors(p->L, "kept", &r->shared, &p->kept, &info);
    if (err == ERR_OK)
        return EXIT_OK;
    fprintf(stderr, "moontail: %s\n", info.text);
    return EXIT_CONFIG;
}

int redacting_new(const char *config, struct redacting **out)
{
    struct redacting *r = calloc(1, sizeof(*r));
    int code;

    if (!r)
        err_no_memory("the processors of a configuration");
    r->labels = labels_new();
    policy_shared_init(&r->shared, r->labels, 0);
    r->setup = (struct setup){.path = config, .disk = disk_system(), .shared = &r->shared};
    code = load(r);
    if (code) {
        redacting_free(r);
        r = NULL;
    }
    *out = r;
    return code;
}

void redacting_free(struct redacting *r)
{
    if (!r)
        return;
    processor_set_free(r->processors.received);
    processor_set_free(r->processors.kept);
    if (r->loaded.L)
        setup_fini(&r->loaded);
    policy_shared_fini(&r->shared);
    labels_free(r->labels);
    free(r);
}

const struct trial_processors *redacting_processors(const struct redacting *r)
{
    return &r->processors;
}
