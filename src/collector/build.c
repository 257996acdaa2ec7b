/* Makes the rooms and wires them into tasks. */
#include "base/log.h"
#include "collector/bias.h"
#include "collector/parts.h"
#include "collector/span_metrics.h"
#include "lua/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t run_worker(void *arg, uint64_t now_ns)
{
    return worker_step(arg, now_ns);
}

static uint64_t run_journal(void *arg, uint64_t now_ns)
{
    struct collector *c = arg;

    return journal_step(c->journal, now_ns);
}

static uint64_t run_export(void *arg, uint64_t now_ns)
{
    struct collector *c = arg;

    return export_step(c->export, now_ns);
}

static uint64_t run_export_lua(void *arg, uint64_t now_ns)
{
    struct collector *c = arg;

    return export_lua_step(c->export, now_ns);
}

static struct task *add_task(struct collector *c, const char *name, void *arg)
{
    struct task *t = &c->tasks[c->task_count++];

    *t = (struct task){.name = name, .loop = c->host.loop_new(c->host.arg), .arg = arg};
    return t;
}

static enum err init_journal(struct collector *c, struct err_info *info)
{
    struct task *t = add_task(c, "journal", c);
    enum err err;

    t->step = run_journal;
    t->gathers = true;
    t->is_exact = c->shared.ack == ACK_FSYNC; /* frames gather for less than a tick */
    t->snapshot = snapshot_journal;
    err = build_journal(c, info);
    c->shared.journal = c->journal;
    return err;
}

static enum err init_export(struct collector *c, struct err_info *info)
{
    struct task *t = add_task(c, "export", c);
    struct task *lua = add_task(c, "export-lua", c);
    enum err err;

    t->step = run_export;
    t->gathers = true;
    t->snapshot = snapshot_export;
    lua->step = run_export_lua;
    c->http = c->host.http_new(c->host.arg, t->loop);
    err = export_new(
        &(struct export_config){
            .specs = c->exporters,
            .journal = c->journal,
            .memory = c->memory,
            .disk = c->host.disk,
            .http = c->http,
            .loop = t->loop,
            .lua_loop = lua->loop,
            .clock = c->host.clock,
            .seed = c->host.seed ? c->host.seed : hash_key_random().k0,
            .hooks = {.arg = c, .push_trace = pushed_trace_push, .end_trace = pushed_trace_end},
        },
        &c->export, info);
    if (err != ERR_OK)
        return err;
    c->shared.export = c->export;
    journal_set_loops(c->journal, c->tasks[1].loop, t->loop);
    return exporters_attach_lua(c, info);
}

enum err build_rules(struct collector *c, struct setup_loaded *loaded,
                     const struct exporter_specs *exporters, unsigned worker, struct rules **rules,
                     struct err_info *info)
{
    lua_State *L = loaded->L;
    enum err err = ERR_OK;

    if (worker > 0)
        err = setup_state(&c->setup, loaded, &L, info);
    else
        loaded->L = NULL;
    return err == ERR_OK ? rules_new(L, loaded->config, exporters, &c->policies, rules, info) : err;
}

static enum err init_workers(struct collector *c, struct err_info *info)
{
    static char names[MAX_WORKERS][24];
    enum err err = ERR_OK;

    c->workers = calloc(c->shared.count, sizeof(struct worker *));
    if (!c->workers)
        err_no_memory("the workers");
    c->shared.workers = c->workers;
    for (unsigned i = 0; err == ERR_OK && i < c->shared.count; i++) {
        struct rules *rules = NULL;
        struct task *t;

        snprintf(names[i], sizeof(names[i]), "worker-%u", i);
        t = add_task(c, names[i], NULL);
        t->step = run_worker;
        t->snapshot = snapshot_worker;
        err = build_rules(c, &c->loaded, c->exporters, i, &rules, info);
        if (err == ERR_OK)
            err = worker_new(&c->shared, i, t->loop, rules, &c->workers[i], info);
        t->arg = c->workers[i];
    }
    return err;
}

static int livez(void *arg, struct buf *out)
{
    (void)arg;
    buf_str(out, "ok\n");
    return 200;
}

/* The control socket's path, owned by the caller; NULL: there is none. The journal's directory is
 * made if need be; where it cannot be, the collector runs without. */
static char *find_control(const struct collector *c)
{
    const struct config *config = c->shared.config;
    struct err_info info;

    if (c->host.any_port)
        return NULL;
    if (strcmp(config->admin_control, "unix") == 0 &&
        c->host.disk->mkdir(c->host.disk, config->journal.path, 0700, &info) != ERR_OK) {
        log_event(LOG_WARN, "no control socket", "error", info.text);
        return NULL;
    }
    return config_control_path(config->admin_control, config->journal.path);
}

static enum err init_admin(struct collector *c, struct err_info *info)
{
    static struct admin_callbacks callbacks;
    const struct config *config = c->shared.config;
    char *control;
    enum err e;

    if (!c->host.has_admin)
        return ERR_OK;
    control = find_control(c);
    callbacks = (struct admin_callbacks){.arg = c,
                                         .livez = livez,
                                         .readyz = collector_write_ready,
                                         .metrics = collector_write_metrics,
                                         .span_metrics = config->span_metrics.enabled ||
                                                                 config->service_graph.enabled
                                                             ? collector_write_span_metrics
                                                             : NULL,
                                         .control = collector_control};
    e = admin_new(c->tasks[0].loop, c->host.any_port ? "127.0.0.1:0" : config->admin_listen,
                  control, &callbacks, c->admin_bound, &c->admin, info);
    free(control);
    if (e != ERR_OK)
        return ERR_IO;
    if (config->admin_listen)
        log_event(LOG_INFO, "listening", "admin", c->admin_bound);
    return ERR_OK;
}

static void init_reload(struct collector *c)
{
    struct task *t;

    t = add_task(c, "builder", NULL);
    t->step = reload_step;
    c->shared.builder_loop = t->loop;
    t->arg = c->reload = reload_new(c);
}

static void choose_rendezvous_loops(struct collector *c)
{
    for (unsigned i = 1; i < c->task_count; i++)
        if (c->tasks[i].snapshot)
            c->rendezvous_loops[c->rendezvous_count++] = c->tasks[i].loop;
}

/* Who asks for /readyz meanwhile is answered. */
static void serve_admin(void *collector)
{
    struct collector *c = collector;

    loop_wait(c->tasks[0].loop, collector_now_ns(c));
}

static void log_recovered(const struct recovered *r)
{
    char spans[24], traces[24], decisions[24], ms[24], damaged[24];

    if (r->found.bytes == 0 && r->found.decisions == 0 && r->found.damaged_frames == 0)
        return;
    snprintf(spans, sizeof(spans), "%" PRIu64, r->spans);
    snprintf(traces, sizeof(traces), "%" PRIu64, r->traces);
    snprintf(decisions, sizeof(decisions), "%" PRIu64, r->found.decisions);
    snprintf(ms, sizeof(ms), "%" PRIu64, r->ns / NS_PER_MS);
    snprintf(damaged, sizeof(damaged), "%" PRIu64, r->found.damaged_frames);
    log_event(r->found.damaged_frames ? LOG_WARN : LOG_INFO, "recovered", "spans", spans, "traces",
              traces, "decisions", decisions, "ms", ms, "damaged_frames",
              r->found.damaged_frames ? damaged : NULL);
    if (r->found.unlogged)
        log_event(
            LOG_WARN,
            "the log of decisions is lost, and there is no room to make all of it again: spans "
            "that come late may be decided anew",
            "decisions", log_number((double)r->found.unlogged));
}

static void log_gone(const struct recovered *r)
{
    for (size_t i = 0; i < r->gone_count; i++)
        log_event(LOG_WARN, "an exporter is not there any more", "exporter", r->gone[i].name,
                  "items_lost", log_number((double)ledger_sum(r->gone[i].items, OTLP_SIGNALS)));
}

static enum err init_recovered(struct collector *c, struct err_info *info)
{
    enum err err = recover(&c->shared, c->admin ? serve_admin : NULL, c, &c->recovered, info);

    if (err != ERR_OK)
        return ERR_IO;
    log_recovered(&c->recovered);
    log_gone(&c->recovered);
    export_recover(c->export);
    return ERR_OK;
}

enum err build_rooms(struct collector *c, struct err_info *info)
{
    struct task *main_task = add_task(c, "moontail", c);
    enum err err;

    main_task->step = life_step;
    c->shared.main_loop = main_task->loop;
    err = exporters_choose(c, info);
    if (err != ERR_OK)
        return err;
    build_hold_back(c);
    err = init_journal(c, info);
    if (err == ERR_OK)
        build_state(c);
    if (err == ERR_OK)
        err = accept_choose(c, info);
    if (err == ERR_OK)
        err = init_export(c, info);
    if (err == ERR_OK)
        err = span_metrics_init(c, info);
    if (err == ERR_OK)
        bias_init(c);
    if (err == ERR_OK)
        err = init_workers(c, info);
    if (err == ERR_OK)
        init_reload(c);
    if (err == ERR_OK)
        err = init_admin(c, info);
    if (err == ERR_OK)
        err = init_recovered(c, info);
    if (err == ERR_OK)
        err = accept_listen(c, info);
    choose_rendezvous_loops(c);
    atomic_store_explicit(&c->shared.phase, PHASE_RUNNING, memory_order_release);
    return err;
}
