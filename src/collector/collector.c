#include "collector/collector.h"

#include "admin/admin.h"
#include "base/log.h"
#include "lua/state.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEGMENT_BYTES = 1 << 20, ADDRESS_MAX = 64 };

static const uint64_t rendezvous_ns = 50 * NS_PER_MS;

struct listener {
    struct collector *collector;
    unsigned index; /* in struct worker_shared.listeners */
    int fd;
    struct loop_watch *watch;
    char bound[ADDRESS_MAX];
};

/* The trace that a Lua exporter looks at. */
struct pushed_trace {
    struct export_trace trace;
    struct policy_trace policy;
    struct policy_verdict verdict;
};

struct collector {
    struct collector_host host;
    struct setup setup;
    struct setup_loaded loaded;
    struct memory *memory; /* host.memory */
    struct labels *labels;
    struct policy_shared policies;
    struct worker_shared shared;
    struct receive_listener receive_listeners[MAX_LISTENERS];
    struct listener listeners[MAX_LISTENERS];
    struct journal *journal;
    struct exporter_specs *exporters;
    struct http_client *http;
    struct export *export;
    struct admin *admin;
    char admin_bound[ADDRESS_MAX];
    struct worker **workers;
    struct task tasks[MAX_TASKS];
    unsigned task_count;
    lua_State *export_state; /* of the Lua export thread, as is: */
    struct pushed_trace pushed;
    struct rendezvous *rendezvous;
    struct loop *rendezvous_loops[MAX_TASKS];
    unsigned rendezvous_count;
    struct ledger ledger;               /* the last one that balanced in time */
    struct journal_stats journal_stats; /* copied by their threads */
    struct export_stats export_stats[EXPORTER_MAX];
    uint64_t started_ns, started_unix_ns, stop_by_ns;
    bool accepting_paused;
};

/* ---- accepting ---- */

static struct worker *least_loaded(struct collector *c)
{
    struct worker *best = c->workers[0];

    for (unsigned i = 1; i < c->shared.count; i++) {
        struct worker *w = c->workers[i];
        uint64_t bytes = atomic_load_explicit(&w->open_bytes, memory_order_relaxed);
        uint64_t best_bytes = atomic_load_explicit(&best->open_bytes, memory_order_relaxed);
        uint64_t open = atomic_load_explicit(&w->open_connections, memory_order_relaxed);

        if (bytes < best_bytes ||
            (bytes == best_bytes &&
             open < atomic_load_explicit(&best->open_connections, memory_order_relaxed)))
            best = w;
    }
    return best;
}

static void hand_over(struct collector *c, unsigned listener, int fd)
{
    struct worker *w = least_loaded(c);
    struct accepted a = {fd, listener};

    if (!ring_push(&w->accepted, &a)) {
        c->host.net->close(c->host.net, fd);
        return;
    }
    /* Counted at once, so that a burst of connections spreads; the worker corrects it. */
    atomic_fetch_add_explicit(&w->open_connections, 1, memory_order_relaxed);
    loop_wake(w->loop);
}

static void on_acceptable(void *arg, unsigned ready)
{
    struct listener *l = arg;
    struct net *net = l->collector->host.net;
    enum err err;
    int fd;

    (void)ready;
    while ((err = net->accept(net, l->fd, &fd)) == ERR_OK)
        hand_over(l->collector, l->index, fd);
    if (err == ERR_FULL) { /* out of descriptors: until a step later */
        log_event(LOG_WARN, "cannot accept: out of file descriptors", "address", l->bound);
        loop_watch_set(l->watch, 0);
        l->collector->accepting_paused = true;
    }
}

static void resume_accepting(struct collector *c)
{
    if (!c->accepting_paused)
        return;
    c->accepting_paused = false;
    for (unsigned i = 0; i < c->shared.listener_count; i++)
        loop_watch_set(c->listeners[i].watch, LOOP_READ);
}

static void close_listeners(struct collector *c)
{
    for (unsigned i = 0; i < MAX_LISTENERS; i++) {
        struct listener *l = &c->listeners[i];

        if (!l->watch)
            continue;
        loop_watch_free(l->watch);
        c->host.net->close(c->host.net, l->fd);
        l->watch = NULL;
    }
}

/* ---- the life cycle ---- */

static void wake_all(struct collector *c)
{
    for (unsigned i = 1; i < c->task_count; i++)
        loop_wake(c->tasks[i].loop);
}

static void set_phase(struct collector *c, enum phase phase)
{
    atomic_store_explicit(&c->shared.phase, phase, memory_order_release);
    wake_all(c);
}

enum phase collector_phase(const struct collector *c)
{
    return (enum phase)atomic_load_explicit(&c->shared.phase, memory_order_acquire);
}

void collector_stop(struct collector *c, uint64_t now_ns)
{
    if (collector_phase(c) != PHASE_RUNNING)
        return;
    log_event(LOG_INFO, "shutting down");
    c->stop_by_ns = now_ns + c->shared.config->shutdown_timeout_ns;
    close_listeners(c);
    set_phase(c, PHASE_DRAINING);
}

static bool all_workers(const struct collector *c, bool decided)
{
    for (unsigned i = 0; i < c->shared.count; i++)
        if (!atomic_load(decided ? &c->workers[i]->is_decided : &c->workers[i]->is_drained))
            return false;
    return true;
}

static bool everything_settled(const struct ledger *l)
{
    if (l->pending > 0)
        return false;
    for (size_t i = 0; i < l->exporter_count; i++)
        if (l->exporters[i].in_transit > 0 || l->exporters[i].stats.queued > 0)
            return false;
    return true;
}

/* Moves from phase to phase as the threads report; returns when to look again. */
static uint64_t advance_phase(struct collector *c, uint64_t now_ns)
{
    enum phase phase = collector_phase(c);
    uint64_t age_ns;

    if (phase == PHASE_RUNNING || phase == PHASE_STOPPED)
        return NEVER_NS;
    if (phase == PHASE_DRAINING && (all_workers(c, false) || now_ns >= c->stop_by_ns))
        set_phase(c, PHASE_DECIDING);
    if (phase == PHASE_DECIDING && (all_workers(c, true) || now_ns >= c->stop_by_ns)) {
        export_flush(c->export);
        set_phase(c, PHASE_FLUSHING);
    }
    if (phase == PHASE_FLUSHING &&
        (everything_settled(collector_ledger(c, now_ns, &age_ns)) || now_ns >= c->stop_by_ns))
        set_phase(c, PHASE_STOPPED);
    return now_ns + 5 * NS_PER_MS;
}

static uint64_t main_step(void *arg, uint64_t now_ns)
{
    struct collector *c = arg;

    resume_accepting(c);
    return advance_phase(c, now_ns);
}

void collector_reload_certificates(struct collector *c)
{
    struct err_info info;

    if (receive_shared_reload(c->shared.receive, &info) == ERR_OK)
        log_event(LOG_INFO, "certificates were read again");
    else
        log_event(LOG_ERROR, "certificates stay as they were", "error", info.text);
}

/* ---- snapshots ---- */

static uint64_t run_worker(void *arg, uint64_t now_ns)
{
    return worker_step(arg, now_ns);
}

static void snapshot_worker(void *arg)
{
    worker_snapshot(arg);
}

static uint64_t run_journal(void *arg, uint64_t now_ns)
{
    struct collector *c = arg;

    return journal_step(c->journal, now_ns);
}

static void snapshot_journal(void *arg)
{
    struct collector *c = arg;

    journal_stats(c->journal, &c->journal_stats);
}

static uint64_t run_export(void *arg, uint64_t now_ns)
{
    struct collector *c = arg;

    return export_step(c->export, now_ns);
}

static void snapshot_export(void *arg)
{
    struct collector *c = arg;

    for (size_t i = 0; i < exporter_specs_count(c->exporters); i++)
        export_stats(c->export, i, &c->export_stats[i]);
}

static uint64_t run_export_lua(void *arg, uint64_t now_ns)
{
    struct collector *c = arg;

    return export_lua_step(c->export, now_ns);
}

static bool take_snapshots(struct collector *c)
{
    if (c->rendezvous)
        return rendezvous_hold(c->rendezvous, c->rendezvous_loops, c->rendezvous_count,
                               rendezvous_ns);
    for (unsigned i = 1; i < c->task_count; i++)
        if (c->tasks[i].snapshot)
            c->tasks[i].snapshot(c->tasks[i].arg);
    return true;
}

static void sum_receive(struct receive_stats *to, const struct receive_stats *from)
{
    to->requests += from->requests;
    for (int i = 0; i < REFUSED_COUNT; i++)
        to->refused[i] += from->refused[i];
    to->connections += from->connections;
    to->open_bytes += from->open_bytes;
    to->accepted_connections += from->accepted_connections;
    to->bytes += from->bytes;
    to->paused += from->paused;
}

static void sum_table(struct trace_stats *to, const struct trace_stats *from)
{
    to->traces += from->traces;
    to->spans += from->spans;
    to->bytes += from->bytes;
    to->remembered += from->remembered;
    to->forgotten += from->forgotten;
    to->memory += from->memory;
}

static void sum_up(struct collector *c, struct ledger *l)
{
    *l = (struct ledger){.labels = labels_count(c->labels),
                         .exporter_count = exporter_specs_count(c->exporters),
                         .journal = c->journal_stats,
                         .memory_used = memory_used(c->memory),
                         .memory_peak = (uint64_t)atomic_load(&c->memory->peak)};
    for (unsigned i = 0; i < c->shared.count; i++) {
        struct worker *w = c->workers[i];

        ledger_add(l, &w->snapshot_counts);
        l->pending += w->snapshot_pending;
        sum_table(&l->table, &w->snapshot_table);
        sum_receive(&l->receive, &w->snapshot_receive);
    }
    for (size_t i = 0; i < l->exporter_count; i++)
        l->exporters[i] = (struct ledger_exporter){
            .name = exporter_specs_name(c->exporters, i),
            .in_transit = c->journal_stats.in_transit[i],
            .stats = c->export_stats[i],
        };
    for (size_t i = 0; i < l->exporter_count; i++)
        l->exporters[i].stats.enqueued = c->journal_stats.enqueued[i];
    ledger_balance(l);
}

const struct ledger *collector_ledger(struct collector *c, uint64_t now_ns, uint64_t *age_ns)
{
    if (take_snapshots(c)) {
        sum_up(c, &c->ledger);
        c->ledger.taken_ns = now_ns;
    }
    *age_ns = now_ns - c->ledger.taken_ns;
    return &c->ledger;
}

/* ---- building ---- */

static void copy_listener(struct receive_listener *to, enum receive_protocol protocol,
                          const struct config_listener *from, bool any_port)
{
    *to = (struct receive_listener){
        .protocol = protocol,
        .listen = any_port ? "127.0.0.1:0" : from->listen,
        .max_body = from->max_body,
        .max_inflated = from->max_inflated,
        .max_headers = from->max_headers,
        .max_connections = (unsigned)from->max_connections,
        .max_streams = (unsigned)from->max_streams,
        .max_connection_age_ns = from->max_connection_age_ns,
        .idle_timeout_ns = from->idle_timeout_ns,
        .read_timeout_ns = from->read_timeout_ns,
        .bearer = from->bearer,
        .tls = {from->tls.cert_file, from->tls.key_file, from->tls.client_ca_file,
                from->tls.min_version},
    };
}

static void choose_listeners(struct collector *c, const struct config *config)
{
    size_t n = 0;

    if (config->grpc.enabled)
        copy_listener(&c->receive_listeners[n++], RECEIVE_GRPC, &config->grpc, c->host.any_port);
    if (config->http.enabled)
        copy_listener(&c->receive_listeners[n++], RECEIVE_HTTP, &config->http, c->host.any_port);
    c->shared.listeners = c->receive_listeners;
    c->shared.listener_count = n;
}

static struct task *add_task(struct collector *c, const char *name, void *arg)
{
    struct task *t = &c->tasks[c->task_count++];

    *t = (struct task){.name = name, .loop = c->host.loop_new(c->host.arg), .arg = arg};
    return t;
}

static enum err listen_all(struct collector *c, struct err_info *info)
{
    for (unsigned i = 0; i < c->shared.listener_count; i++) {
        struct listener *l = &c->listeners[i];
        enum err err = c->host.net->listen(c->host.net, c->receive_listeners[i].listen, &l->fd,
                                           l->bound, info);

        if (err != ERR_OK)
            return err;
        l->collector = c;
        l->index = i;
        l->watch = loop_watch_new(c->tasks[0].loop, l->fd, on_acceptable, l);
        if (!l->watch)
            abort();
        loop_watch_set(l->watch, LOOP_READ);
        log_event(LOG_INFO, "listening", "receiver",
                  c->receive_listeners[i].protocol == RECEIVE_GRPC ? "otlp/grpc" : "otlp/http",
                  "address", l->bound);
    }
    return ERR_OK;
}

static void init_shared(struct collector *c, const struct config *config)
{
    c->memory->limit = (int64_t)config->memory.limit;
    c->memory->soft_limit = (int64_t)(config->memory.limit - config->memory.spike_limit);
    c->policies.keep_traces_per_second = config->tail.keep_traces_per_second;
    choose_listeners(c, config);
    c->shared.config = config;
    c->shared.memory = c->memory;
    c->shared.policies = &c->policies;
    c->shared.net = c->host.net;
    c->shared.clock = c->host.clock;
    c->shared.key =
        c->host.seed ? (struct hash_key){c->host.seed, ~c->host.seed} : hash_key_random();
    c->shared.count = config->workers ? (unsigned)config->workers : c->host.cpus;
    c->shared.config_version = 1;
    c->started_ns = clock_now_ns(c->host.clock);
    c->started_unix_ns = clock_unix_ns(c->host.clock);
}

static void init_journal(struct collector *c)
{
    struct task *t = add_task(c, "journal", c);

    t->step = run_journal;
    t->snapshot = snapshot_journal;
    c->journal = journal_new(&(struct journal_config){
        .workers = c->shared.count,
        .exporters = (unsigned)exporter_specs_count(c->exporters),
        .segment_bytes = SEGMENT_BYTES,
        .memory = c->memory,
        .clock = c->host.clock,
    });
    c->shared.journal = c->journal;
}

static bool any_lua_exporter(const struct collector *c)
{
    for (size_t i = 0; i < exporter_specs_count(c->exporters); i++)
        if (exporter_specs_is_lua(c->exporters, i))
            return true;
    return false;
}

/* The Lua exporters' thread has a state of its own, with the same configuration in it. */
static enum err init_export_lua(struct collector *c, struct task *t, struct err_info *info)
{
    enum err err = setup_state(&c->setup, &c->loaded, &c->export_state, info);
    struct exporter_source source;

    t->step = run_export_lua;
    if (err == ERR_OK)
        err = setup_push_exporters(&c->setup, c->export_state, c->loaded.config, &source, info);
    if (err != ERR_OK)
        return err;
    err = export_lua_attach(c->export, c->export_state, &source, info);
    lua_settop(c->export_state, 0);
    return err;
}

/* What the table knew of the trace, from its spans. */
static void sum_spans(struct policy_trace *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct span_view view = p->span(p->span_arg, i);
        struct span_fields f;

        view_span_fields(view.span, &f);
        p->bytes += view.span.len;
        p->errors += f.status == 2;
        if (f.start_ns == 0 || f.end_ns == 0)
            continue;
        if (p->start_ns == 0 || f.start_ns < p->start_ns)
            p->start_ns = f.start_ns;
        if (f.end_ns > p->end_ns)
            p->end_ns = f.end_ns;
    }
}

static struct span_view pushed_span(void *arg, uint32_t i)
{
    const struct export_trace *trace = arg;

    return trace->spans[i];
}

/* Shows a kept trace to a Lua exporter as policies see it. */
static enum err push_trace(void *arg, lua_State *L, const struct export_trace *trace)
{
    struct pushed_trace *p = &((struct collector *)arg)->pushed;
    const struct decision_record *r = trace->record;

    p->trace = *trace;
    p->verdict = (struct policy_verdict){
        .keep = true, .label = r->label, .probability = r->probability, .threshold = r->threshold};
    p->policy = (struct policy_trace){.trigger = trace_trigger_name((enum trace_trigger)r->trigger),
                                      .complete = r->complete,
                                      .decided_unix_ns = r->unix_ns,
                                      .has_trace_state = true,
                                      .count = (uint32_t)trace->count,
                                      .only_root = POLICY_ROOT_UNKNOWN,
                                      .span = pushed_span,
                                      .span_arg = &p->trace,
                                      .decision = &p->verdict};
    memcpy(p->policy.id, r->trace_id, sizeof(p->policy.id));
    sum_spans(&p->policy);
    return policy_push_trace(L, &p->policy);
}

static void end_trace(void *arg, lua_State *L)
{
    (void)arg;
    policy_end_trace(L);
}

static enum err init_export(struct collector *c, struct err_info *info)
{
    struct task *t = add_task(c, "export", c);
    struct task *lua = any_lua_exporter(c) ? add_task(c, "export-lua", c) : NULL;
    enum err err;

    t->step = run_export;
    t->snapshot = snapshot_export;
    c->http = c->host.http_new(c->host.arg, t->loop);
    err = export_new(
        &(struct export_config){
            .specs = c->exporters,
            .journal = c->journal,
            .memory = c->memory,
            .disk = c->host.disk,
            .http = c->http,
            .loop = t->loop,
            .lua_loop = lua ? lua->loop : NULL,
            .clock = c->host.clock,
            .seed = c->host.seed ? c->host.seed : hash_key_random().k0,
            .hooks = {.arg = c, .push_trace = push_trace, .end_trace = end_trace},
        },
        &c->export, info);
    if (err != ERR_OK)
        return err;
    c->shared.export = c->export;
    journal_set_loops(c->journal, c->tasks[1].loop, t->loop);
    return lua ? init_export_lua(c, lua, info) : ERR_OK;
}

/* The first worker takes the state that was checked. */
static enum err state_for(struct collector *c, unsigned worker, lua_State **L,
                          struct err_info *info)
{
    if (worker > 0)
        return setup_state(&c->setup, &c->loaded, L, info);
    *L = c->loaded.L;
    c->loaded.L = NULL;
    return ERR_OK;
}

static enum err init_workers(struct collector *c, struct err_info *info)
{
    static char names[MAX_WORKERS][24];
    enum err err = ERR_OK;

    c->workers = calloc(c->shared.count, sizeof(struct worker *));
    if (!c->workers)
        abort();
    c->shared.workers = c->workers;
    for (unsigned i = 0; err == ERR_OK && i < c->shared.count; i++) {
        struct task *t;
        lua_State *L = NULL;

        snprintf(names[i], sizeof(names[i]), "worker-%u", i);
        t = add_task(c, names[i], NULL);
        t->step = run_worker;
        t->snapshot = snapshot_worker;
        err = state_for(c, i, &L, info);
        if (err == ERR_OK)
            err = worker_new(&c->shared, i, t->loop, L, &c->workers[i], info);
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

/* The control socket's path; "" where there is none. The directory is made if need be; where it
 * cannot be, the collector runs without. */
static void find_control(const struct collector *c, char *path, size_t len)
{
    const struct config *config = c->shared.config;
    struct err_info info;

    path[0] = '\0';
    if (c->host.any_port || strcmp(config->admin_control, "off") == 0)
        return;
    if (strcmp(config->admin_control, "unix") != 0) {
        snprintf(path, len, "%s", config->admin_control);
        return;
    }
    if (c->host.disk->mkdir(c->host.disk, config->journal.path, 0700, &info) != ERR_OK) {
        log_event(LOG_WARN, "no control socket", "error", info.text);
        return;
    }
    snprintf(path, len, "%s/control.sock", config->journal.path);
}

static enum err init_admin(struct collector *c, struct err_info *info)
{
    static struct admin_callbacks callbacks;
    const struct config *config = c->shared.config;
    char control[512];

    if (!c->host.has_admin)
        return ERR_OK;
    find_control(c, control, sizeof(control));
    callbacks = (struct admin_callbacks){.arg = c,
                                         .livez = livez,
                                         .readyz = collector_write_ready,
                                         .metrics = collector_write_metrics,
                                         .control = collector_control};
    if (admin_new(c->tasks[0].loop, c->host.any_port ? "127.0.0.1:0" : config->admin_listen,
                  control[0] ? control : NULL, &callbacks, c->admin_bound, &c->admin,
                  info) != ERR_OK)
        return ERR_IO;
    if (config->admin_listen)
        log_event(LOG_INFO, "listening", "admin", c->admin_bound);
    return ERR_OK;
}

static void choose_rendezvous_loops(struct collector *c)
{
    for (unsigned i = 1; i < c->task_count; i++)
        if (c->tasks[i].snapshot)
            c->rendezvous_loops[c->rendezvous_count++] = c->tasks[i].loop;
}

static enum err build(struct collector *c, struct err_info *info)
{
    struct task *main_task = add_task(c, "moontail", c);
    enum err err;

    main_task->step = main_step;
    c->shared.main_loop = main_task->loop;
    err = setup_exporters(&c->setup, c->loaded.L, c->loaded.config, &c->exporters, NULL, info);
    if (err != ERR_OK)
        return err;
    c->shared.exporters = c->exporters;
    init_journal(c);
    err = receive_shared_new(c->receive_listeners, c->shared.listener_count, &c->shared.receive,
                             info);
    if (err == ERR_OK)
        err = init_export(c, info);
    if (err == ERR_OK)
        err = init_workers(c, info);
    if (err == ERR_OK)
        err = listen_all(c, info);
    if (err == ERR_OK)
        err = init_admin(c, info);
    choose_rendezvous_loops(c);
    return err;
}

enum err collector_new(const struct collector_host *host, const char *config_path,
                       struct collector **out, struct buf *report)
{
    struct collector *c = calloc(1, sizeof(*c));
    struct err_info info = {0};
    enum err err;

    if (!c)
        abort();
    c->host = *host;
    c->memory = host->memory;
    c->labels = labels_new();
    policy_shared_init(&c->policies, c->labels, 0);
    c->setup = (struct setup){
        .path = config_path, .disk = host->disk, .memory = c->memory, .shared = &c->policies};
    err = setup_load(&c->setup, &c->loaded, report);
    if (err == ERR_OK) {
        if (host->configured)
            host->configured(host->arg, c->loaded.config);
        init_shared(c, c->loaded.config);
        err = build(c, &info);
        if (err != ERR_OK)
            buf_printf(report, "%s\n", info.text);
    }
    if (err != ERR_OK) {
        collector_free(c);
        return err;
    }
    *out = c;
    return ERR_OK;
}

void collector_free(struct collector *c)
{
    if (!c)
        return;
    admin_free(c->admin);
    close_listeners(c);
    for (unsigned i = 0; c->workers && i < c->shared.count; i++)
        worker_free(c->workers[i]);
    free(c->workers);
    export_free(c->export);
    if (c->export_state)
        lua_state_close(c->export_state);
    if (c->http)
        c->http->free(c->http);
    journal_free(c->journal);
    exporter_specs_free(c->exporters);
    receive_shared_free(c->shared.receive);
    for (unsigned i = 0; i < c->task_count; i++)
        loop_free(c->tasks[i].loop);
    policy_shared_fini(&c->policies);
    labels_free(c->labels);
    setup_fini(&c->loaded);
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
    return c->shared.config;
}

const char *collector_address(const struct collector *c, enum receive_protocol protocol)
{
    for (unsigned i = 0; i < c->shared.listener_count; i++)
        if (c->receive_listeners[i].protocol == protocol)
            return c->listeners[i].bound;
    return NULL;
}

const char *collector_admin_address(const struct collector *c)
{
    return c->admin && c->shared.config->admin_listen ? c->admin_bound : NULL;
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
    return c->workers[0]->policies;
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

struct memory *collector_memory(struct collector *c)
{
    return c->memory;
}

const struct policy_shared *collector_policy_shared(const struct collector *c)
{
    return &c->policies;
}
