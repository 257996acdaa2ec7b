#include "cli/made_up.h"

#include "cli/traffic.h"
#include "collector/trial_world.h"
#include "lua/state.h"

#include <string.h>

enum { BYTES_MAX = 1 << 20, OF_EACH_KIND = 2, TRACES = TRAFFIC_KINDS * OF_EACH_KIND };
static const uint64_t when_unix_ns = UINT64_C(1700000000000000000); /* the same each time */

static enum err add_trace(enum traffic_kind kind, struct traffic *traffic,
                          struct traffic_trace *trace, struct buf *body)
{
    enum err err;

    traffic->errors = kind == TRAFFIC_ERROR;
    traffic->slow = kind == TRAFFIC_SLOW;
    traffic->health = kind == TRAFFIC_HEALTH;
    err = traffic_next(traffic, when_unix_ns, trace);
    for (size_t i = 0; err == ERR_OK && i < trace->count; i++)
        buf_append(body, trace->bodies[i].data, trace->bodies[i].len);
    return err;
}

static enum err make_traces(struct recent *out)
{
    const struct recent_limits limits = {.max_traces = TRACES, .max_bytes = BYTES_MAX};
    struct traffic traffic;
    struct traffic_trace trace;
    struct buf body;
    enum err err = ERR_OK;

    traffic_init(&traffic, 1);
    traffic_trace_init(&trace);
    buf_init(&body, BYTES_MAX, NULL);
    for (unsigned i = 0; err == ERR_OK && i < TRACES; i++)
        err = add_trace((enum traffic_kind)(i % TRAFFIC_KINDS), &traffic, &trace, &body);
    if (err == ERR_OK)
        err = recent_of_body(buf_slice(&body), when_unix_ns, &limits, out, NULL);
    buf_fini(&body);
    traffic_trace_fini(&trace);
    return err;
}

static void say(const struct trial_failure *f, const char *config, struct buf *hints)
{
    struct err_info info;

    err_fill(&info, ERR_SCRIPT, "%s", f->text);
    lua_name_in_full(&info, config);
    buf_printf(hints, "%s; %s \"%s\" failed so ", info.text, f->kind, f->name);
    if (strcmp(f->kind, "policy") == 0)
        buf_printf(hints, "on %u of %d made-up traces\n", f->times, TRACES);
    else /* a processor is asked of each span */
        buf_printf(hints, "%u times on %d made-up traces\n", f->times, TRACES);
}

static void ask(struct trial_world *world, const struct recent *traces, const char *config,
                struct buf *hints)
{
    const struct trial_failure *failures;
    struct trial_verdict verdict;
    size_t count;

    for (size_t i = 0; i < traces->count; i++)
        (void)!trial_world_judge(world, &traces->traces[i], &verdict);
    failures = trial_world_failures(world, &count);
    for (size_t i = 0; i < count; i++)
        say(&failures[i], config, hints);
}

void made_up_lint(const struct setup *setup, const struct setup_loaded *loaded, struct buf *hints)
{
    const struct trial_world_options options = {
        .setup = setup, .loaded = loaded, .now_ns = NS_PER_S, .is_quiet = true, .asks_each = true};
    struct trial_world *world = NULL;
    struct recent traces = {0};

    if (make_traces(&traces) == ERR_OK && trial_world_new(&options, &world, NULL) == ERR_OK)
        ask(world, &traces, loaded->config->path, hints);
    trial_world_free(world);
    recent_fini(&traces);
}
