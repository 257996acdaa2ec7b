#include "cli/run.h"

#include "base/log.h"
#include "cli/cli.h"
#include "collector/process.h"
#include "collector/threads.h"

#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Signals this close to the first are one: timeout(1) and other supervisors send theirs twice, to
 * the process and to its group. */
static const uint64_t one_signal_ns = 100 * NS_PER_MS;

struct running {
    const struct run_options *options;
    struct collector *collector;
    uint64_t signalled_ns; /* when the first one came */
    int signals;
    struct loop_watch *watch;
};

static struct loop *new_loop(void *arg)
{
    (void)arg;
    return loop_new(clock_system());
}

static struct http_client *new_http(void *arg, struct loop *loop)
{
    (void)arg;
    return http_client_stdout(http_client_udp(http_client_curl(loop)), STDOUT_FILENO);
}

static void on_end_signal(struct running *r, uint64_t now_ns)
{
    if (collector_phase(r->collector) == PHASE_RUNNING) {
        r->signalled_ns = now_ns;
        collector_stop(r->collector, now_ns);
    } else if (now_ns - r->signalled_ns >= one_signal_ns) {
        log_event(LOG_WARN, "second signal: ending at once");
        _exit(EXIT_FAILED);
    }
}

/* Sent out of habit, to have logs opened again: that must not end it without a flush. */
static void on_user_signal(uint32_t number)
{
    log_event(LOG_INFO, "nothing is done for this signal; SIGHUP reads the configuration again",
              "signal", number == SIGUSR1 ? "SIGUSR1" : "SIGUSR2");
}

static void on_signal(void *arg, unsigned ready)
{
    struct running *r = arg;
    struct signalfd_siginfo info;

    (void)ready;
    while (read(r->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            collector_reload(r->collector, RELOAD_SIGNAL);
        else if (info.ssi_signo == SIGUSR1 || info.ssi_signo == SIGUSR2)
            on_user_signal(info.ssi_signo);
        else
            on_end_signal(r, clock_now_ns(clock_system()));
    }
}

static void our_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGUSR2);
}

static void watch_signals(struct running *r)
{
    unsigned count;
    sigset_t set;

    our_signals(&set);
    r->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    r->watch =
        loop_watch_new(collector_tasks(r->collector, &count)[0].loop, r->signals, on_signal, r);
    if (!r->watch)
        abort();
    loop_watch_set(r->watch, LOOP_READ);
}

static void log_policies(struct collector *c)
{
    const struct policy_set *set = collector_policies(c);
    char names[1024] = "";
    size_t len = 0;

    if (!set) {
        log_event(LOG_INFO, "no tail_sampling: everything is kept");
        return;
    }
    for (size_t i = 0; i < policy_set_count(set) && len < sizeof(names); i++)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i ? "," : "",
                                policy_set_name(set, i));
    log_event(LOG_INFO, "policies, in order", "policies", names);
}

static void log_exporters(struct collector *c)
{
    uint64_t age_ns;
    const struct ledger *l = collector_ledger(c, collector_now_ns(c), &age_ns);

    for (size_t i = 0; i < l->exporter_count; i++)
        log_event(LOG_INFO, "exporting", "exporter", l->exporters[i].name);
}

static void warn_of_loopback(struct collector *c)
{
    const char *address = collector_address(c, RECEIVE_GRPC);

    if (!address)
        address = collector_address(c, RECEIVE_HTTP);
    if (address && strncmp(address, "127.0.0.1:", 10) == 0 && process_in_container())
        log_event(LOG_WARN,
                  "listening on 127.0.0.1 inside a container: nobody outside it can send; write "
                  "receivers = { otlp = { grpc = \":4317\", http = \":4318\" } }",
                  "address", address);
}

static void log_start(struct collector *c)
{
    const struct config *config = collector_config(c);

    log_event(LOG_INFO, "moontail " MOONTAIL_VERSION " started", "config", config->path, "hash",
              config->hash);
    log_policies(c);
    log_exporters(c);
}

/* What is left: lost without files, there again at the next start with them. */
static void log_left(struct collector *c, uint64_t pending, uint64_t queued)
{
    const struct config_journal *journal = &collector_config(c)->journal;
    bool files = strcmp(journal->ack, "memory") != 0;
    char waiting[24], to_send[24];

    if (pending + queued == 0)
        return;
    snprintf(waiting, sizeof(waiting), "%" PRIu64, pending);
    snprintf(to_send, sizeof(to_send), "%" PRIu64, queued);
    if (files && strcmp(journal->on_shutdown, "keep") == 0)
        log_event(LOG_INFO, "left for the next start", "spans_waiting", waiting, "spans_to_send",
                  to_send);
    else
        log_event(LOG_WARN,
                  files ? "shutdown_timeout passed before everything was sent: it is left for the "
                          "next start"
                        : "shutdown_timeout passed before everything was sent",
                  "spans_waiting", waiting, "spans_to_send", to_send);
}

static void log_end(struct collector *c)
{
    uint64_t age_ns, queued;
    const struct ledger *l = collector_ledger(c, collector_now_ns(c), &age_ns);

    queued = ledger_unsettled(l);
    log_left(c, l->pending, queued);
    log_event(LOG_INFO, "stopped");
}

static uint64_t tick(void *arg, uint64_t now_ns)
{
    struct running *r = arg;

    return r->options->tick ? r->options->tick(r->options->arg, r->collector, now_ns) : NEVER_NS;
}

/* The allocator keeps what bodies and payloads come and go in, instead of giving it back to the
 * kernel and touching fresh pages for each request (a third of all CPU otherwise). */
static void keep_freed_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
}

/* Counts from the first allocation of a library to its last, so it is never freed. Until the
 * configuration says how much, nothing is refused. */
static struct memory *count_memory(void)
{
    static struct memory memory;

    keep_freed_memory();
    memory_init(&memory, SIZE_MAX / 2, 0);
    memory_install_hooks(&memory);
    return &memory;
}

static enum log_level level_of(const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    enum log_level level = LOG_ERROR;

    while (level < LOG_DEBUG && strcmp(names[level], text) != 0)
        level++;
    return level;
}

static enum log_format format_of(const char *text)
{
    if (strcmp(text, "json") == 0)
        return LOG_JSON;
    return strcmp(text, "logfmt") == 0 ? LOG_LOGFMT : LOG_AUTO;
}

/* From here on lines are logged as config.lua wants them, and signals wait until they are watched:
 * whoever reaches a listener may end the process, and it ends in order. Until here, a config.lua
 * that never returns can be interrupted. */
static void on_configured(void *arg, const struct config *config)
{
    sigset_t set;

    (void)arg;
    our_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file over RLIMIT_FSIZE is one that can't be written */
    log_configure(level_of(config->log_level), format_of(config->log_format));
}

static enum err make(const struct run_options *options, struct collector **c)
{
    struct collector_host host = {.clock = clock_system(),
                                  .net = net_system(),
                                  .disk = disk_system(),
                                  .loop_new = new_loop,
                                  .http_new = new_http,
                                  .configured = on_configured,
                                  .memory = count_memory(),
                                  .cpus = process_cpus(),
                                  .max_fds = process_max_fds(),
                                  .has_admin = true,
                                  .watches_files = true,
                                  .journal_path = options->journal_path,
                                  .any_port = options->any_port};
    struct buf report;
    enum err err;

    buf_init(&report, 1 << 20, NULL);
    err = collector_new(&host, options->config_path, c, &report);
    if (err != ERR_OK)
        cli_say_errors(&report);
    else
        setup_log_hints(buf_slice(&report));
    buf_fini(&report);
    return err;
}

int run_collector(const struct run_options *options)
{
    struct running r = {.options = options};
    enum err err;

    process_raise_fds();
    err = make(options, &r.collector);

    if (err != ERR_OK)
        return err == ERR_IO ? EXIT_CANTCREAT : EXIT_CONFIG;
    watch_signals(&r);
    log_start(r.collector);
    if (!options->any_port)
        warn_of_loopback(r.collector);
    if (options->started)
        options->started(options->arg, r.collector);
    threads_run(r.collector, tick, &r);
    collector_finish(r.collector);
    if (options->ended)
        options->ended(options->arg, r.collector);
    log_end(r.collector);
    loop_watch_free(r.watch);
    close(r.signals);
    collector_free(r.collector);
    return EXIT_OK;
}

static int run(int argc, char **argv);

CLI_COMMAND(run_command, .name = "run", .synopsis = "[--config FILE]",
            .summary = "collect, in the foreground", .run = run);

static int run(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {0}};
    struct run_options o = {0};
    int opt;

    opterr = 0;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt != 'c')
            return cli_usage(&run_command, "unknown or incomplete argument '%s'", argv[optind - 1]);
        o.config_path = optarg;
    }
    if (optind < argc)
        return cli_usage(&run_command, "unexpected argument '%s'", argv[optind]);
    return run_collector(&o);
}
