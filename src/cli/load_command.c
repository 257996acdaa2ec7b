/* load_command.c: `moontail load`. */
#include "base/clock.h"
#include "cli/bench_pool.h"
#include "cli/cli.h"
#include "cli/load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int load_main(int argc, char **argv);

CLI_COMMAND(load, .name = "load",
            .synopsis = "[--endpoint http://127.0.0.1:4318] [--protocol http/protobuf|grpc]\n"
                        "         [--rate TRACES_PER_SECOND] [--duration TIME] [--traces N]\n"
                        "         [--connections N] [--seed N] [--header 'name: value'] [--gzip]\n"
                        "         [--bench] [--spans A_REQUEST] [--json] [--allow-remote]\n"
                        "         --rate: 50; 0 is without a limit\n"
                        "         --duration: 20s; with --traces until all of them are sent",
            .summary = "send generated traces of a small shop to a collector", .run = load_main);

static _Atomic bool stop;

static void on_signal(int number)
{
    (void)number;
    stop = true;
}

struct arguments {
    struct load_options load;
    char host[256], port[8];
    bool json, allow_remote;
};

static bool is_loopback(const char *host)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

/* "http://HOST:PORT", "http://[ADDRESS]:PORT", with or without a slash at the end. */
static bool parse_endpoint(struct arguments *a, const char *text)
{
    const char *at = strncmp(text, "http://", 7) == 0 ? text + 7 : text;
    const char *end = *at == '[' ? strchr(at, ']') : strrchr(at, ':');
    const char *port;
    size_t host_len, port_len;

    if (*at == '[')
        at++;
    if (!end || strstr(at, "://"))
        return false;
    host_len = (size_t)(end - at);
    port = *end == ']' ? end + 2 : end + 1;
    if (*end == ']' && end[1] != ':')
        return false;
    port_len = strspn(port, "0123456789");
    if (!host_len || host_len >= sizeof(a->host) || !port_len || port_len >= sizeof(a->port) ||
        (port[port_len] && strcmp(port + port_len, "/") != 0))
        return false;
    snprintf(a->host, sizeof(a->host), "%.*s", (int)host_len, at);
    snprintf(a->port, sizeof(a->port), "%.*s", (int)port_len, port);
    return true;
}

static bool parse_count(const char *text, uint64_t max, uint64_t *value)
{
    char *end;

    *value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *value <= max;
}

enum option_id {
    ENDPOINT,
    PROTOCOL,
    RATE,
    DURATION,
    TRACES,
    CONNECTIONS,
    SEED,
    HEADER,
    GZIP,
    BENCH,
    SPANS,
    JSON,
    ALLOW_REMOTE
};

static const struct option options[] = {
    {"endpoint", required_argument, NULL, ENDPOINT},
    {"protocol", required_argument, NULL, PROTOCOL},
    {"rate", required_argument, NULL, RATE},
    {"duration", required_argument, NULL, DURATION},
    {"traces", required_argument, NULL, TRACES},
    {"connections", required_argument, NULL, CONNECTIONS},
    {"seed", required_argument, NULL, SEED},
    {"header", required_argument, NULL, HEADER},
    {"gzip", no_argument, NULL, GZIP},
    {"bench", no_argument, NULL, BENCH},
    {"spans", required_argument, NULL, SPANS},
    {"json", no_argument, NULL, JSON},
    {"allow-remote", no_argument, NULL, ALLOW_REMOTE},
    {0},
};

/* What an option that takes a value may be. */
static const char *const allowed[] = {
    [ENDPOINT] = "http://HOST:PORT, without TLS",
    [PROTOCOL] = LOAD_PROTOCOLS,
    [RATE] = LOAD_RATES,
    [DURATION] = LOAD_DURATIONS,
    [TRACES] = "a whole number of traces; 0: as many as fit into --duration",
    [CONNECTIONS] = "1 to 256",
    [SEED] = "a whole number",
    [HEADER] = "'name: value'",
    [SPANS] = "1 to 1000 that have a small common multiple with 80, such as 8, 80 or 400",
};

static bool parse_connections(struct arguments *a, const char *text)
{
    uint64_t n = 0;
    bool ok = parse_count(text, 256, &n) && n > 0;

    a->load.sender.connections = (unsigned)n;
    return ok;
}

static bool parse_spans(struct arguments *a, const char *text)
{
    uint64_t n = 0;
    bool ok = parse_count(text, BENCH_SPANS_MAX, &n) && bench_pool_allows((unsigned)n);

    a->load.bench_spans = (unsigned)n;
    return ok;
}

static bool parse_option(struct arguments *a, int id)
{
    switch ((enum option_id)id) {
    case ENDPOINT:
        return parse_endpoint(a, optarg);
    case PROTOCOL:
        return load_parse_protocol(optarg, &a->load.sender.grpc);
    case RATE:
        return load_parse_rate(optarg, &a->load.traces_per_second);
    case DURATION:
        return load_parse_duration(optarg, &a->load.duration_ns);
    case TRACES:
        return parse_count(optarg, UINT64_C(1) << 40, &a->load.traces);
    case CONNECTIONS:
        return parse_connections(a, optarg);
    case SEED:
        return parse_count(optarg, UINT64_MAX, &a->load.seed);
    case HEADER:
        a->load.sender.header = optarg;
        return strchr(optarg, ':') != NULL;
    case GZIP:
        return a->load.sender.gzip = true;
    case BENCH:
        return a->load.bench = true;
    case SPANS:
        return parse_spans(a, optarg);
    case JSON:
        return a->json = true;
    case ALLOW_REMOTE:
        return a->allow_remote = true;
    }
    return false;
}

static void print_report(const struct arguments *a, const struct load_report *r)
{
    const struct sender_stats *s = &r->sender;
    const char *separator = "  ";

    printf("sent %" PRIu64 " traces, %" PRIu64 " spans in %" PRIu64
           " requests (%.1f MiB) within %.1f s to %s:%s (%s), seed %" PRIu64 "\n",
           r->traces, r->spans, s->sent, (double)s->bytes / (1 << 20), (double)r->elapsed_ns / 1e9,
           a->host, a->port, a->load.sender.grpc ? "grpc" : "http/protobuf", a->load.seed);
    for (int k = 0; k < TRAFFIC_KINDS && !a->load.bench; k++, separator = ", ")
        printf("%s%s %" PRIu64, separator, traffic_kind_name((enum traffic_kind)k), r->by_kind[k]);
    printf("%srefused %" PRIu64 ", retried %" PRIu64 ", given up %" PRIu64 " (%" PRIu64
           " spans), rejected %" PRIu64 " spans; answers p50 %.2f ms, p99 %.2f ms\n",
           a->load.bench ? "  " : "\n  ", s->refused, s->retried, s->failed, s->failed_items,
           s->rejected_spans, (double)r->p50_ns / 1e6, (double)r->p99_ns / 1e6);
    if (*s->last_error)
        printf("  last error: %s\n", s->last_error);
}

static void print_json(const struct load_report *r)
{
    const struct sender_stats *s = &r->sender;

    printf("{\"traces\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"requests\":%" PRIu64
           ",\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"refused\":%" PRIu64 ",\"retried\":%" PRIu64
           ",\"failed_requests\":%" PRIu64 ",\"failed_spans\":%" PRIu64
           ",\"rejected_spans\":%" PRIu64 ",\"p50_ms\":%.3f,\"p99_ms\":%.3f",
           r->traces, r->spans, s->sent, s->bytes, (double)r->elapsed_ns / 1e9, s->refused,
           s->retried, s->failed, s->failed_items, s->rejected_spans, (double)r->p50_ns / 1e6,
           (double)r->p99_ns / 1e6);
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        printf(",\"%s\":%" PRIu64, traffic_kind_name((enum traffic_kind)k), r->by_kind[k]);
    printf("}\n");
}

static struct arguments defaults(void)
{
    return (struct arguments){
        .load = {.sender = {.connections = 4, .in_flight = 4, .attempts = 30, .max_body = 4 << 20},
                 .bench_spans = BENCH_SPANS,
                 .traces_per_second = 50,
                 .seed = clock_unix_ns(clock_system())},
        .host = "127.0.0.1",
    };
}

static int load_main(int argc, char **argv)
{
    struct arguments a = defaults();
    struct load_report report;
    struct err_info info;
    int id, index = 0;

    while ((id = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (id == '?')
            return cli_usage(&load, "see above");
        if (!parse_option(&a, id))
            return cli_usage(&load, "--%s is '%s'; allowed: %s", options[index].name, optarg,
                             allowed[id]);
    }
    if (optind < argc)
        return cli_usage(&load, "'%s' is not an option", argv[optind]);
    if (!a.load.duration_ns)
        a.load.duration_ns = a.load.traces ? NEVER_NS : 20 * NS_PER_S;
    if (!*a.port)
        snprintf(a.port, sizeof(a.port), "%s", a.load.sender.grpc ? "4317" : "4318");
    if (!a.allow_remote && !is_loopback(a.host))
        return cli_usage(&load, "%s is another machine: say --allow-remote if that is meant",
                         a.host);
    a.load.sender.host = a.host;
    a.load.sender.port = a.port;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    if (load_run(&a.load, &stop, &report, &info)) {
        fprintf(stderr, "moontail: %s\n", info.text);
        return EXIT_FAILED;
    }
    if (a.json)
        print_json(&report);
    else
        print_report(&a, &report);
    return report.sender.failed ? EXIT_FAILED : EXIT_OK;
}
