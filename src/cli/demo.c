/* The demonstration behind `make run`: the collector with its shipped configuration on a free port,
 * `moontail load` as a second process that sends to it, and a live summary. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/run.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOG_LINES = 4, LOG_LINE_MAX = 160 };

struct demo {
    const char *rate, *protocol; /* as text for load */
    double traces_per_second;    /* 0: as many as it can */
    bool grpc;
    uint64_t duration_ns; /* 0: until Ctrl-C */
    uint64_t end_ns, next_ns;
    bool terminal;
    pid_t sender;
    pthread_mutex_t lock;
    char lines[LOG_LINES][LOG_LINE_MAX]; /* the newest log lines, for the terminal's screen */
    unsigned line;
};

static void keep_line(void *arg, const char *line, size_t len)
{
    struct demo *d = arg;
    char *to;

    pthread_mutex_lock(&d->lock);
    to = d->lines[d->line++ % LOG_LINES];
    snprintf(to, LOG_LINE_MAX, "%.*s", (int)(len > 0 && line[len - 1] == '\n' ? len - 1 : len),
             line);
    pthread_mutex_unlock(&d->lock);
}

static void print_lines(struct demo *d)
{
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < LOG_LINES; i++)
        printf("%s\n", d->lines[(d->line + i) % LOG_LINES]);
    pthread_mutex_unlock(&d->lock);
}

static void print_summary(struct demo *d, struct collector *c, bool redraw)
{
    struct buf text;

    buf_init(&text, 1 << 16, NULL);
    collector_write_summary(c, &text);
    if (redraw)
        fputs("\033[H\033[J", stdout);
    fwrite(text.data, 1, text.len, stdout);
    if (redraw) {
        puts("");
        print_lines(d);
        puts("\nCtrl-C ends.");
    }
    fflush(stdout);
    buf_fini(&text);
}

/* One line for a log file: the whole picture without the last decisions. */
static void print_line(struct collector *c)
{
    uint64_t age_ns, kept = 0, dropped = 0, out = 0;
    const struct ledger *l = collector_ledger(c, collector_now_ns(c), &age_ns);

    for (size_t i = 0; i < l->labels; i++) {
        kept += l->sum.kept_traces[i];
        dropped += l->sum.dropped_traces[i];
    }
    for (size_t i = 0; i < l->exporter_count; i++)
        out += l->exporters[i].stats.delivered;
    printf("in %llu spans, held %llu traces, kept %llu traces, dropped %llu, out %llu spans, "
           "unaccounted %lld\n",
           (unsigned long long)l->sum.received, (unsigned long long)l->table.traces,
           (unsigned long long)kept, (unsigned long long)dropped, (unsigned long long)out,
           (long long)l->unaccounted);
    fflush(stdout);
}

static void exec_sender(const struct demo *d, const char *address)
{
    char endpoint[128];
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* it never outlives the demonstration */
    snprintf(endpoint, sizeof(endpoint), "http://%s", address);
    if (!freopen("/dev/null", "w", stdout)) /* the sender has it, too: not closed on exec */
        _exit(127);
    execl("/proc/self/exe", "moontail", "load", "--endpoint", endpoint, "--protocol", d->protocol,
          "--rate", d->rate, "--duration", "24h", (char *)0);
    _exit(127);
}

static void started(void *arg, struct collector *c)
{
    struct demo *d = arg;
    const char *address = collector_address(c, d->grpc ? RECEIVE_GRPC : RECEIVE_HTTP);
    char rate[64] = "as many made-up traces as it can";

    if (d->traces_per_second > 0)
        snprintf(rate, sizeof(rate), "%g made-up traces a second", d->traces_per_second);
    printf("Collecting on %s; sending %s to it by OTLP %s.\n"
           "Traces are decided 10 s after their first span.\n",
           address, rate, d->protocol);
    fflush(stdout);
    d->sender = fork();
    if (d->sender == 0)
        exec_sender(d, address);
    if (d->sender < 0)
        fprintf(stderr, "moontail: cannot start the sender: %s\n", strerror(errno));
    d->next_ns = collector_now_ns(c) + NS_PER_S;
    d->end_ns = d->duration_ns ? collector_now_ns(c) + d->duration_ns : NEVER_NS;
}

static void stop_sender(struct demo *d)
{
    if (d->sender <= 0)
        return;
    kill(d->sender, SIGTERM);
    waitpid(d->sender, NULL, 0);
    d->sender = 0;
}

static uint64_t tick(void *arg, struct collector *c, uint64_t now_ns)
{
    struct demo *d = arg;

    if (now_ns >= d->end_ns || collector_phase(c) != PHASE_RUNNING) {
        stop_sender(d);
        collector_stop(c, now_ns);
        return NEVER_NS;
    }
    if (now_ns >= d->next_ns) {
        d->next_ns = now_ns + (d->terminal ? NS_PER_S : 5 * NS_PER_S);
        if (d->terminal)
            print_summary(d, c, true);
        else
            print_line(c);
    }
    return d->next_ns < d->end_ns ? d->next_ns : d->end_ns;
}

static void ended(void *arg, struct collector *c)
{
    struct demo *d = arg;

    stop_sender(d);
    log_redirect(NULL, NULL);
    print_summary(d, c, false);
}

static int demo(int argc, char **argv);

CLI_COMMAND(
    demo_command, .name = "demo",
    .synopsis = "[--config FILE] [--duration 20s] [--rate N] [--protocol grpc|http/protobuf]",
    .summary = "collect traffic that it makes itself, with a live summary", .run = demo);

static int parse(struct demo *d, struct run_options *o, int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"duration", required_argument, NULL, 'd'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"protocol", required_argument, NULL, 'p'},
                                            {0}};
    const char *duration = getenv("DURATION");
    int opt;

    opterr = 0;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 'c':
            o->config_path = optarg;
            break;
        case 'd':
            duration = optarg;
            break;
        case 'r':
            d->rate = optarg;
            break;
        case 'p':
            d->protocol = optarg;
            break;
        default:
            return cli_usage(&demo_command, "unknown or incomplete argument '%s'",
                             argv[optind - 1]);
        }
    }
    if (optind < argc)
        return cli_usage(&demo_command, "there is no argument '%s'", argv[optind]);
    if (!load_parse_rate(d->rate, &d->traces_per_second))
        return cli_usage(&demo_command, "--rate is '%s'; allowed: " LOAD_RATES, d->rate);
    if (!load_parse_protocol(d->protocol, &d->grpc))
        return cli_usage(&demo_command, "--protocol is '%s'; allowed: " LOAD_PROTOCOLS,
                         d->protocol);
    if (duration && *duration && !load_parse_duration(duration, &d->duration_ns))
        return cli_usage(&demo_command, "duration is '%s'; allowed: " LOAD_DURATIONS, duration);
    return EXIT_OK;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* Runs it with a journal of its own, so that it disturbs nobody's and needs no rights. */
static int run_in_temporary_folder(struct run_options *o)
{
    const char *parent = getenv("TMPDIR");
    char folder[256];
    int code;

    snprintf(folder, sizeof(folder), "%.200s/moontail-demo-XXXXXX",
             parent && *parent ? parent : "/tmp");
    if (!mkdtemp(folder)) {
        fprintf(stderr, "moontail: cannot make a folder %s: %s\n", folder, strerror(errno));
        return EXIT_CANTCREAT;
    }
    o->journal_path = folder;
    code = run_collector(o);
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return code;
}

static int demo(int argc, char **argv)
{
    struct demo d = {.rate = "50", .protocol = "grpc", .lock = PTHREAD_MUTEX_INITIALIZER};
    struct run_options o = {
        .any_port = true, .started = started, .tick = tick, .ended = ended, .arg = &d};
    int code = parse(&d, &o, argc, argv);

    if (code != EXIT_OK)
        return code;
    d.terminal = log_is_screen(STDOUT_FILENO) && log_is_screen(STDERR_FILENO);
    if (d.terminal)
        log_redirect(keep_line, &d);
    return run_in_temporary_folder(&o);
}
