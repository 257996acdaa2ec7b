/* A million spans, hardly any of which is kept: the service graph has every request between
 * services once, by edge and by failure, in bounded memory. */
#include "base/random.h"
#include "scenario.h"

enum {
#if SIM_IS_SLOW || defined(__SANITIZE_ADDRESS__)
    TRACES = 3000,
#else
    TRACES = 142858,
#endif
    SERVICES = 24,
    HOPS = 3,
    SPANS = 2 * HOPS + 1, /* a root, and a client and a server for each hop: 1,000,006 in all */
    TOGETHER = 20,        /* traces whose spans come in any order, in three requests */
    SERVER = 2,
    CLIENT = 3,
    LIMIT_MIB = 256,
};

#define GRAPH(more)                                                                                \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "  memory_limiter = { limit = '256MiB', spike_limit = '64MiB' }, journal = { ack = 'memory' "  \
    "},\n  service_graph = { " more " },\n"                                                        \
    "  tail_sampling = { decision_wait = '1s', policies = { policy 'probabilistic' { "             \
    "sampling_percentage = 0.5 } } }, exporters = { exporter 'nop' } }\n"

/* Requests by client (SERVICES: nobody), server and failure. */
struct truth {
    uint64_t requests[SERVICES + 1][SERVICES][2];
    uint64_t all, failed;
};

static struct truth truth, said;
static struct rng rng;
static char names[SERVICES][16];

/* ---- what is sent ---- */

static struct test_span span_of(uint64_t trace, uint64_t id, uint64_t parent, int kind,
                                unsigned service)
{
    return (struct test_span){.trace_high = mix(trace),
                              .trace_low = mix(trace + 1000000000),
                              .id = trace * 16 + id,
                              .parent = parent ? trace * 16 + parent : 0,
                              .service = names[service],
                              .start_ms = now_ms,
                              .duration_ms = 1 + rng_below(&rng, 100),
                              .kind = kind,
                              .error = rng_below(&rng, 20) == 0};
}

static void count(struct truth *t, unsigned client, unsigned server, bool failed, uint64_t n)
{
    t->requests[client][server][failed] += n;
    t->all += n;
    t->failed += failed ? n : 0;
}

static void draw_trace(uint64_t trace, struct test_span spans[SPANS])
{
    unsigned at = (unsigned)rng_below(&rng, SERVICES);

    spans[0] = span_of(trace, 1, 0, SERVER, at);
    count(&truth, SERVICES, at, spans[0].error, 1);
    for (unsigned hop = 0; hop < HOPS; hop++) {
        unsigned next = (unsigned)rng_below(&rng, SERVICES);
        struct test_span *client = &spans[2 * hop + 1], *server = client + 1;

        *client = span_of(trace, 2 * hop + 2, 2 * hop + 1, CLIENT, at);
        *server = span_of(trace, 2 * hop + 3, 2 * hop + 2, SERVER, next);
        count(&truth, at, next, client->error || server->error, 1);
        at = next;
    }
}

static void send_all(struct sim *s)
{
    static struct test_span spans[TOGETHER * SPANS];
    int fd = sim_connect(s);

    for (uint64_t first = 1; first <= TRACES; first += TOGETHER) {
        size_t n = 0;

        for (uint64_t i = first; i < first + TOGETHER && i <= TRACES; i++, n += SPANS)
            draw_trace(i, &spans[n]);
        for (size_t i = n - 1; i > 0; i--) {
            size_t other = rng_below(&rng, i + 1);
            struct test_span kept = spans[i];

            spans[i] = spans[other];
            spans[other] = kept;
        }
        for (size_t at = 0; at < n; at += n / 3 + 1)
            post(s, fd, spans + at, n - at < n / 3 + 1 ? n - at : n / 3 + 1);
        sim_run(s, NS_PER_MS);
    }
    sim_run(s, 3 * NS_PER_S);
}

/* ---- what the page says ---- */

/* The service behind `key` in the labels at `at`; SERVICES: another name. */
static unsigned service_at(const char *at, const char *key)
{
    unsigned service;
    const char *found = strstr(at, key);

    CHECK(found != NULL);
    if (!found || sscanf(found + strlen(key), "s%u\"", &service) != 1)
        return SERVICES;
    return service;
}

struct family {
    size_t series;
    uint64_t sum, overflow;
};

/* Sums up a family's samples, and adds them to `said` where that is wanted. */
static struct family read_family(const char *page, const char *name, bool is_wanted)
{
    struct family f = {.series = 0};

    for (const char *at = page; (at = strstr(at, name)) != NULL; f.series++) {
        const char *end = strstr(at, "} ");
        uint64_t value = strtoull(end + 2, NULL, 10);
        char labels[512];

        snprintf(labels, sizeof(labels), "%.*s", (int)(end - at), at);
        at = end;
        f.sum += value;
        if (strstr(labels, "overflow"))
            f.overflow += value;
        else if (is_wanted)
            count(&said, service_at(labels, "client=\""), service_at(labels, "server=\""),
                  strstr(labels, "failed=\"true\"") != NULL, value);
    }
    return f;
}

struct outcome {
    struct family total, failed;
    uint64_t peak, kept, spans;
};

static void run(const char *config, unsigned cpus, struct outcome *o)
{
    struct buf page;
    struct sim s;

    *o = (struct outcome){.peak = 0};
    memset(&truth, 0, sizeof(truth));
    memset(&said, 0, sizeof(said));
    rng_seed(&rng, 7);
    sim_init(&s, &(struct sim_options){.config = config, .cpus = cpus});
    send_all(&s);
    balanced(&s);
    buf_init(&page, 64 << 20, NULL);
    CHECK(collector_write_span_metrics(s.collector, true, &page) == 200);
    buf_byte(&page, 0);
    o->total = read_family((const char *)page.data, "\ntraces_service_graph_request_total{", true);
    o->failed =
        read_family((const char *)page.data, "\ntraces_service_graph_request_failed_total{", false);
    o->peak = sim_ledger(&s)->memory_peak;
    o->spans = sim_ledger(&s)->sum.received;
    o->kept = ledger_sum(sim_ledger(&s)->sum.kept, sim_ledger(&s)->labels);
    buf_fini(&page);
    sim_fini(&s);
}

static void every_request_is_counted_once(void)
{
    struct outcome o;

    run(GRAPH(""), 2, &o);
    CHECK(memcmp(&said, &truth, sizeof(said)) == 0);
    CHECK(o.total.sum == truth.all && o.total.overflow == 0 && o.failed.sum == truth.failed);
    CHECK(truth.all == (uint64_t)TRACES * (HOPS + 1) && o.spans == (uint64_t)TRACES * SPANS);
    CHECK(o.kept < o.spans / 100 && o.peak <= (uint64_t)LIMIT_MIB << 20);
    printf(
        "  %llu spans, %llu requests in %zu series, %llu failed; %llu spans kept, peak %.1f MiB\n",
        (unsigned long long)o.spans, (unsigned long long)truth.all, o.total.series,
        (unsigned long long)truth.failed, (unsigned long long)o.kept, (double)o.peak / (1 << 20));
}

static void beyond_the_bound_the_rest_is_in_one_series(void)
{
    enum { MOST = 100 };
    struct outcome o;

    run(GRAPH("max_edges = 100"), 1, &o);
    CHECK(o.total.series == MOST + 1 && o.total.overflow > 0 && o.total.sum == truth.all);
    for (unsigned c = 0; c <= SERVICES; c++)
        for (unsigned s = 0; s < SERVICES; s++)
            for (int failed = 0; failed < 2; failed++)
                CHECK(said.requests[c][s][failed] == 0 ||
                      said.requests[c][s][failed] <= truth.requests[c][s][failed]);
    CHECK(said.all + o.total.overflow == truth.all && o.peak <= (uint64_t)LIMIT_MIB << 20);
}

int main(void)
{
    for (unsigned i = 0; i < SERVICES; i++)
        snprintf(names[i], sizeof(names[i]), "s%u", i);
    RUN(every_request_is_counted_once);
    RUN(beyond_the_bound_the_rest_is_in_one_series);
    return DONE();
}
