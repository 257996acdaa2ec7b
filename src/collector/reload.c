#include "collector/reload.h"

#include "base/log.h"
#include "collector/detection.h"
#include "collector/parts.h"
#include "collector/restart.h"
#include "collector/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t look_again_ns = NS_PER_MS; /* at exporters and workers */

struct version {
    struct setup_loaded loaded;
    struct rules **rules; /* by worker, until they are offered */
};

struct reload {
    struct collector *collector;
    struct watch *watch; /* NULL: files are not watched */
    _Atomic unsigned asked, causes;
    _Atomic(struct reload_outcome *) told; /* from the builder to main */
    /* The builder's: */
    unsigned seen;                     /* of asked */
    struct version *running;           /* NULL: that of the start */
    struct version *offered;           /* some worker has not exchanged yet */
    struct exporters_change exporters; /* of it; nothing: they are ready for its rules */
    bool is_out;                       /* the workers have its rules before them */
    unsigned returned;                 /* past rules, since they were offered */
    struct version *past;              /* freed when main has heard of the next */
    struct reload_outcome *outcome;    /* of what is offered */
    /* Main's: */
    struct reload_outcome *last;
    uint64_t taken_unix_ns;
};

/* ---- building ---- */

static void version_free(struct version *v, unsigned workers)
{
    if (!v)
        return;
    for (unsigned i = 0; i < workers; i++)
        rules_free(v->rules[i]);
    setup_fini(&v->loaded);
    free(v->rules);
    free(v);
}

static const struct setup_loaded *running(const struct reload *r)
{
    return r->running ? &r->running->loaded : &r->collector->loaded;
}

static struct version *build(struct reload *r, struct reload_outcome *outcome)
{
    struct collector *c = r->collector;
    unsigned workers = c->shared.count;
    struct version *v = calloc(1, sizeof(*v));
    struct err_info info = {0};
    enum err err;

    if (!v)
        err_no_memory("the reload");
    v->rules = calloc(workers, sizeof(struct rules *));
    if (!v->rules)
        err_no_memory("the reload");
    err = setup_load(&c->setup, &v->loaded, &outcome->report);
    if (err == ERR_OK) {
        detection_run(&c->host, v->loaded.config, &c->is_stopping);
        restart_keys(c->loaded.description, v->loaded.description, &outcome->restart);
        restart_keep(v->loaded.config, c->loaded.config);
        err = exporters_prepare(c, &v->loaded, running(r), &r->exporters, &info);
        for (unsigned i = 0; err == ERR_OK && i < workers; i++)
            err = build_rules(c, &v->loaded, r->exporters.specs, i, &v->rules[i], &info);
        if (err == ERR_OK)
            err = listeners_prepare(c, &v->loaded, running(r), &outcome->listeners, &info);
        if (err != ERR_OK)
            buf_printf(&outcome->report, "%s\n", info.text);
    }
    if (err == ERR_OK)
        return v;
    exporters_abandon(&r->exporters);
    version_free(v, workers);
    return NULL;
}

/* Bounds that belong to no worker; rules follow at once. */
static void apply_bounds(struct collector *c, const struct config *config)
{
    memory_set_limits(c->memory, config->memory.limit, config->memory.spike_limit);
    build_hold_back(c);
    journal_set_wait(c->journal, build_wait_ns(config), build_young_ns(config));
    c->policies.keep_traces_per_second = config->tail.keep_traces_per_second;
    c->policies.quarantine_errors = config->tail.quarantine_errors;
    c->policies.quarantine_window_ns = config->tail.quarantine_window_ns;
}

static void offer(struct reload *r)
{
    struct collector *c = r->collector;

    r->returned = 0;
    r->is_out = true;
    apply_bounds(c, r->offered->loaded.config);
    for (unsigned i = 0; i < c->shared.count; i++) {
        atomic_store_explicit(&c->workers[i]->next_rules, r->offered->rules[i],
                              memory_order_release);
        r->offered->rules[i] = NULL;
        loop_wake(c->workers[i]->loop);
    }
}

static void tell(struct reload *r)
{
    atomic_store_explicit(&r->told, r->outcome, memory_order_release);
    r->outcome = NULL;
    loop_wake(r->collector->shared.main_loop);
}

static struct reload_outcome *outcome_new(struct reload *r)
{
    struct reload_outcome *outcome = calloc(1, sizeof(*outcome));

    if (!outcome)
        err_no_memory("the reload");
    buf_init(&outcome->report, RELOAD_REPORT_MAX, NULL);
    buf_init(&outcome->restart, RELOAD_REPORT_MAX, NULL);
    outcome->number = r->seen;
    outcome->causes = atomic_exchange(&r->causes, 0);
    return outcome;
}

/* False: it is refused. */
static bool begin(struct reload *r)
{
    const struct clock *clock = r->collector->host.clock;
    uint64_t began_ns = clock_now_ns(clock);

    r->seen = atomic_load_explicit(&r->asked, memory_order_acquire);
    r->outcome = outcome_new(r);
    r->offered = build(r, r->outcome);
    if (r->offered)
        trial_run(r->collector, &r->offered->loaded, &r->outcome->report, &r->outcome->trial);
    r->outcome->ns = clock_now_ns(clock) - began_ns;
    if (!r->offered) {
        tell(r);
        return false;
    }
    exporters_offer(r->collector, &r->exporters);
    return true;
}

/* ---- ending the past ---- */

/* True: every worker has exchanged. */
static bool take_back(struct reload *r)
{
    for (unsigned i = 0; i < r->collector->shared.count; i++) {
        struct worker *w = r->collector->workers[i];
        struct rules *past = atomic_exchange_explicit(&w->past_rules, NULL, memory_order_acq_rel);

        r->returned += past != NULL;
        rules_free(past);
    }
    return r->returned == r->collector->shared.count;
}

static void settle(struct reload *r)
{
    policy_quarantine_lift(&r->collector->policies); /* nobody asks the old ones any more */
    r->outcome->is_taken = true;
    r->outcome->config = r->offered->loaded.config;
    r->past = r->running;
    r->running = r->offered;
    r->offered = NULL;
    r->is_out = false;
    tell(r);
}

static uint64_t watch_files(struct reload *r, uint64_t now_ns)
{
    uint64_t due_ns = NEVER_NS;

    if (r->watch && watch_step(r->watch, now_ns, &due_ns))
        reload_ask(r, RELOAD_FILE);
    return due_ns;
}

/* Exporters come before the rules that give them spans. True: every worker has exchanged. */
static bool exchange(struct reload *r)
{
    if (!r->is_out && !exporters_are_ready(r->collector, &r->exporters))
        return false;
    if (!r->is_out)
        offer(r);
    if (!take_back(r))
        return false;
    settle(r);
    return true;
}

/* Moves what has been asked for on; returns when to look again. */
static uint64_t advance(struct reload *r, uint64_t now_ns)
{
    if (r->offered && !exchange(r))
        return now_ns + look_again_ns;
    if (atomic_load_explicit(&r->told, memory_order_acquire))
        return NEVER_NS; /* main wakes */
    version_free(r->past, r->collector->shared.count);
    r->past = NULL;
    if (atomic_load_explicit(&r->asked, memory_order_acquire) == r->seen ||
        collector_phase(r->collector) != PHASE_RUNNING)
        return NEVER_NS;
    return begin(r) && !exchange(r) ? now_ns + look_again_ns : NEVER_NS;
}

uint64_t reload_step(void *reload, uint64_t now_ns)
{
    struct reload *r = reload;
    uint64_t watch_ns = watch_files(r, now_ns);

    return earlier_ns(watch_ns, advance(r, now_ns));
}

/* ---- main ---- */

unsigned reload_ask(struct reload *r, enum reload_cause cause)
{
    unsigned number;

    atomic_fetch_or(&r->causes, (unsigned)cause);
    number = atomic_fetch_add_explicit(&r->asked, 1, memory_order_acq_rel) + 1;
    loop_wake(r->collector->shared.builder_loop);
    return number;
}

static void outcome_free(struct reload_outcome *o)
{
    if (!o)
        return;
    buf_fini(&o->report);
    buf_fini(&o->restart);
    listeners_abandon(o->listeners);
    free(o);
}

static void take(struct reload *r, struct reload_outcome *o)
{
    struct collector *c = r->collector;

    c->config = o->config;
    listeners_take(o->listeners);
    o->listeners = NULL;
    r->taken_unix_ns = clock_unix_ns(c->host.clock);
    if (c->host.configured)
        c->host.configured(c->host.arg, o->config);
    reload_log_taken(o);
}

static void log_given_up(void)
{
    log_event(LOG_INFO, "a reload was given up: the program ends");
}

void reload_hear(struct reload *r)
{
    struct reload_outcome *o = atomic_load_explicit(&r->told, memory_order_acquire);

    if (!o)
        return;
    if (o->is_taken)
        take(r, o);
    else if (collector_phase(r->collector) != PHASE_RUNNING)
        log_given_up();
    else
        reload_log_refused(o);
    outcome_free(r->last);
    r->last = o;
    atomic_store_explicit(&r->told, NULL, memory_order_release);
    loop_wake(r->collector->shared.builder_loop);
}

void reload_finish(const struct reload *r)
{
    const struct reload_outcome *o = atomic_load(&r->told);

    if (o && !o->is_taken)
        log_given_up();
}

const struct reload_outcome *reload_last(const struct reload *r)
{
    return r->last;
}

uint64_t reload_taken_unix_ns(const struct reload *r)
{
    return r->taken_unix_ns;
}

enum err reload_control(struct reload *r, struct slice arguments, struct buf *out)
{
    char text[16];
    unsigned number;

    if (collector_phase(r->collector) != PHASE_RUNNING) {
        buf_str(out, "not now: it is shutting down");
        return ERR_AGAIN;
    }
    if (arguments.len == 0) {
        buf_printf(out, "asked %u\n", reload_ask(r, RELOAD_COMMAND));
        return ERR_OK;
    }
    snprintf(text, sizeof(text), "%.*s", (int)(arguments.len < 15 ? arguments.len : 15),
             (const char *)arguments.data);
    number = (unsigned)strtoul(text, NULL, 10);
    if (!r->last || (int)(r->last->number - number) < 0)
        buf_str(out, "working\n");
    else
        reload_write_outcome(r->last, r->collector, out);
    return ERR_OK;
}

/* ---- life ---- */

struct reload *reload_new(struct collector *c)
{
    struct reload *r = calloc(1, sizeof(*r));

    if (!r)
        err_no_memory("the reload");
    r->collector = c;
    if (c->host.watches_files && c->setup.path)
        r->watch = watch_new(c->setup.path, c->shared.builder_loop);
    return r;
}

void reload_free(struct reload *r)
{
    unsigned workers;

    if (!r)
        return;
    workers = r->collector->shared.count;
    watch_free(r->watch);
    exporters_abandon(&r->exporters);
    version_free(r->past, workers);
    version_free(r->offered, workers);
    version_free(r->running, workers);
    outcome_free(r->outcome);
    outcome_free(atomic_load(&r->told));
    outcome_free(r->last);
    free(r);
}
