#include "base/log.h"
#include "collector/bias.h"
#include "collector/detection.h"
#include "collector/parts.h"
#include "collector/rescue.h"
#include "collector/span_metrics.h"
#include "lua/state.h"

#include <stdlib.h>

static enum journal_ack ack_of(const char *name)
{
    if (strcmp(name, "memory") == 0)
        return ACK_MEMORY;
    return strcmp(name, "fsync") == 0 ? ACK_FSYNC : ACK_WRITTEN;
}

static void init_shared(struct collector *c, const struct config *config)
{
    memory_set_limits(c->memory, config->memory.limit, config->memory.spike_limit);
    c->policies.keep_traces_per_second = config->tail.keep_traces_per_second;
    c->policies.quarantine_errors = config->tail.quarantine_errors;
    c->policies.quarantine_window_ns = config->tail.quarantine_window_ns;
    c->config = c->shared.config = config;
    c->shared.memory = c->memory;
    c->shared.policies = &c->policies;
    c->shared.net = c->host.net;
    c->shared.clock = c->host.clock;
    c->shared.key =
        c->host.seed ? (struct hash_key){c->host.seed, ~c->host.seed} : hash_key_random();
    c->shared.count = setup_workers(config, c->host.cpus);
    c->shared.ack = ack_of(config->journal.ack);
    c->shared.keeps =
        c->shared.ack != ACK_MEMORY && strcmp(config->journal.on_shutdown, "keep") == 0;
    c->started_ns = clock_now_ns(c->host.clock);
    c->started_unix_ns = clock_unix_ns(c->host.clock);
}

static void say_fewer_workers(const struct collector *c)
{
    if (!c->shared.config->workers && c->shared.count < c->host.cpus)
        log_event(LOG_WARN, "memory_limiter has no room for as many workers as there are CPUs",
                  "workers", log_number(c->shared.count), "cpus", log_number(c->host.cpus));
}

enum err collector_new(const struct collector_host *host, const char *config_path,
                       struct collector **out, struct buf *report)
{
    struct collector *c = calloc(1, sizeof(*c));
    struct err_info info = {0};
    enum err err;

    if (!c)
        err_no_memory("the collector");
    c->host = *host;
    c->memory = host->memory;
    c->labels = labels_new();
    policy_shared_init(&c->policies, c->labels, 0);
    c->cells = cells_new(c->memory);
    c->policies.cells = c->cells;
    c->policies.memory = c->memory;
    c->config_path = config_path ? strdup(config_path) : NULL;
    if (config_path && !c->config_path)
        err_no_memory("the path of the configuration");
    c->setup = (struct setup){.path = c->config_path,
                              .disk = host->disk,
                              .memory = c->memory,
                              .shared = &c->policies,
                              .stop = &c->is_stopping};
    err = setup_load(&c->setup, &c->loaded, report);
    if (err == ERR_OK) {
        if (host->configured) /* also how is logged */
            host->configured(host->arg, c->loaded.config);
        detection_run(&c->host, c->loaded.config, &c->is_stopping);
        init_shared(c, c->loaded.config);
        say_fewer_workers(c);
        err = build_rooms(c, &info);
        if (err != ERR_OK)
            buf_printf(report, "%s\n", info.text);
    }
    if (err != ERR_OK) {
        collector_free(c);
        if (report->len == 0)
            err_no_memory("what is wrong with the configuration");
        return err;
    }
    *out = c;
    return ERR_OK;
}

void collector_finish(struct collector *c)
{
    reload_finish(c->reload);
    state_file_save(&c->state_file);
    journal_finish(c->journal, clock_now_ns(c->host.clock));
}

void collector_free(struct collector *c)
{
    if (!c)
        return;
    admin_free(c->admin);
    accept_close(c);
    for (unsigned i = 0; c->workers && i < c->shared.count; i++)
        worker_free(c->workers[i]);
    reload_free(c->reload);
    accept_free(c);
    free(c->workers);
    rescue_free(atomic_load(&c->shared.rescue));
    span_metrics_fini(c);
    bias_fini(c);
    export_free(c->export);
    if (c->http)
        c->http->free(c->http);
    journal_free(c->journal);
    exporter_specs_unref(c->exporters);
    recovered_fini(&c->recovered);
    for (size_t i = 0; i < EXPORTER_MAX; i++)
        free(c->exporter_names[i]);
    for (unsigned i = 0; i < c->task_count; i++)
        loop_free(c->tasks[i].loop);
    policy_shared_fini(&c->policies);
    labels_free(c->labels);
    setup_fini(&c->loaded);
    free(c->config_path);
    cells_free(c->cells);
    free(c);
}

/* ---- what others ask ---- */

const struct task *collector_tasks(const struct collector *c, unsigned *count)
{
    *count = c->task_count;
    return c->tasks;
}

void collector_set_rendezvous(struct collector *c, struct rendezvous *r)
{
    c->rendezvous = r;
}

const struct config *collector_config(const struct collector *c)
{
    return c->config;
}

const struct reload_outcome *collector_last_reload(const struct collector *c)
{
    return reload_last(c->reload);
}

uint64_t collector_configured_unix_ns(const struct collector *c)
{
    uint64_t ns = reload_taken_unix_ns(c->reload);

    return ns ? ns : c->started_unix_ns;
}

const char *collector_address(const struct collector *c, enum receive_protocol protocol)
{
    return c->listeners[protocol].port ? c->listeners[protocol].bound : NULL;
}

const char *collector_admin_address(const struct collector *c)
{
    return c->admin && c->config->admin_listen ? c->admin_bound : NULL;
}

const struct labels *collector_labels(const struct collector *c)
{
    return c->labels;
}

struct journal *collector_journal(struct collector *c)
{
    return c->journal;
}

struct policy_set *collector_policies(struct collector *c)
{
    return c->workers[0]->rules->policies;
}

uint64_t collector_started_ns(const struct collector *c)
{
    return c->started_ns;
}

struct worker *collector_worker(struct collector *c, unsigned i)
{
    return c->workers[i];
}

uint64_t collector_started_unix_ns(const struct collector *c)
{
    return c->started_unix_ns;
}

uint64_t collector_now_ns(const struct collector *c)
{
    return clock_now_ns(c->host.clock);
}

bool collector_is_refusing(const struct collector *c)
{
    return export_is_refusing(c->export);
}

struct memory *collector_memory(struct collector *c)
{
    return c->memory;
}

const struct policy_shared *collector_policy_shared(const struct collector *c)
{
    return &c->policies;
}
