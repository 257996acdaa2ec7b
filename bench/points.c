/* What a million data points take on their way through the whole collector, in one thread on
 * virtual time: as they pass, behind processors, and to exporters, whose requests end in a fake
 * client.
 *
 *     build/bench/points REQUESTS             CPU seconds, each row beside what passing takes
 *     build/bench/points REQUESTS ROW         the work of one row alone, to be counted
 *
 * A request has 50 counters and gauges and 5 histograms of 15 bounds, with three attributes each,
 * of one program. bench/run --points runs it.
 */
#include "aws_keys.h"
#include "base/log.h"
#include "otlp/write.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BODY_MAX = 1 << 20, COUNTERS = 50, HISTOGRAMS = 5, BOUNDS = 15, WARM_REQUESTS = 50 };
enum { POINTS = COUNTERS + HISTOGRAMS, ROUNDS = 5 };

#define STDOUT_EMF "exporter 'awsemf' { output_destination = 'stdout', namespace = 'shop' }"

static const struct {
    const char *name, *processors, *exporter;
} rows[] = {
    {"passes", "", "exporter 'nop'"},
    {"filter", "processor 'filter' { metrics = match { metric = { name = glob 'jvm.*' } } }",
     "exporter 'nop'"},
    {"filter-points",
     "processor 'filter' { metrics = match { attr = { ['http.route'] = '/item/1' } } }",
     "exporter 'nop'"},
    {"attributes",
     "processor 'attributes' { metrics = true, upsert = { team = 'shop' }, delete = { "
     "'http.route' } }",
     "exporter 'nop'"},
    {"awsemf", "",
     "exporter 'awsemf' { endpoint = 'http://logs', region = 'eu-west-1', namespace = 'shop' }"},
    {"awsemf-stdout", "", STDOUT_EMF},
    {"remote-write", "", "exporter 'prometheus_remote_write' { endpoint = 'http://prometheus/' }"},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const char config[] =
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"
    "  journal = { ack = 'memory' }, processors = { kept = { %s } },\n"
    "  exporters = { %s } }\n";

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* ---- data points ---- */

static void put_attrs(struct buf *b, uint32_t field, int i)
{
    char route[32];

    snprintf(route, sizeof(route), "/item/%d", i % 20);
    otlp_write_attr_str(b, field, "http.request.method", slice_str(i % 2 ? "GET" : "POST"));
    otlp_write_attr_str(b, field, "http.route", slice_str(route));
    otlp_write_attr_int(b, field, "http.response.status_code", 200 + i / 20);
}

static void put_double(struct buf *b, uint32_t field, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    wire_put_fixed64(b, field, bits);
}

static void put_number(struct buf *b, int i, uint64_t time_ns, uint64_t value)
{
    size_t point = otlp_write_begin(b, 1);

    wire_put_fixed64(b, 2, time_ns - 60 * NS_PER_S);
    wire_put_fixed64(b, 3, time_ns);
    wire_put_fixed64(b, 6, value);
    put_attrs(b, ATTRS_POINT, i);
    otlp_write_end(b, point);
}

static void put_histogram(struct buf *b, int i, uint64_t time_ns, uint64_t turn)
{
    size_t point = otlp_write_begin(b, 1);

    wire_put_fixed64(b, 2, time_ns - 60 * NS_PER_S);
    wire_put_fixed64(b, 3, time_ns);
    wire_put_fixed64(b, 4, (BOUNDS + 1) * turn);
    put_double(b, 5, 100.0 * (double)turn);
    for (int n = 0; n <= BOUNDS; n++)
        wire_put_fixed64(b, 6, turn);
    for (int n = 0; n < BOUNDS; n++)
        put_double(b, 7, 0.005 * (1 << n));
    put_attrs(b, ATTRS_HISTOGRAM_POINT, i);
    otlp_write_end(b, point);
}

static size_t begin_metric(struct buf *b, const char *name, const char *unit, uint32_t type,
                           size_t *data)
{
    size_t metric = otlp_write_begin(b, 2);

    wire_put_bytes(b, 1, slice_str(name));
    wire_put_bytes(b, 3, slice_str(unit));
    *data = otlp_write_begin(b, type);
    return metric;
}

static void put_metrics(struct buf *b, uint64_t time_ns, uint64_t turn)
{
    size_t data, metric = begin_metric(b, "http.server.requests", "{request}", 7, &data);

    for (int i = 0; i < COUNTERS; i++)
        put_number(b, i, time_ns, turn * (uint64_t)(i + 1));
    wire_put_uint(b, 2, 2); /* cumulative */
    wire_put_uint(b, 3, 1);
    otlp_write_end(b, data);
    otlp_write_end(b, metric);
    metric = begin_metric(b, "http.server.request.duration", "s", 9, &data);
    for (int i = 0; i < HISTOGRAMS; i++)
        put_histogram(b, i, time_ns, turn);
    wire_put_uint(b, 2, 2);
    otlp_write_end(b, data);
    otlp_write_end(b, metric);
}

static void put_request(struct buf *b, uint64_t time_ns, uint64_t turn)
{
    size_t resource_metrics = otlp_write_begin(b, 1), resource = otlp_write_begin(b, 1), scope;

    otlp_write_attr_str(b, ATTRS_RESOURCE, "service.name", slice_str("cart"));
    otlp_write_attr_str(b, ATTRS_RESOURCE, "service.instance.id",
                        slice_str("cart-5c6d7f8b9-7xw4z"));
    otlp_write_attr_str(b, ATTRS_RESOURCE, "host.name", slice_str("host-1"));
    otlp_write_end(b, resource);
    scope = otlp_write_begin(b, 2);
    put_metrics(b, time_ns, turn);
    otlp_write_end(b, scope);
    otlp_write_end(b, resource_metrics);
}

/* ---- measuring ---- */

static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    (void)arg, (void)request;
    answer->status = 200;
    buf_str(&answer->body, "{}");
    return NS_PER_MS;
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* CPU seconds, without making the requests. */
static double send(struct sim *s, int fd, uint64_t first, uint64_t requests)
{
    double used = 0, start;
    struct buf body;

    buf_init(&body, BODY_MAX, NULL);
    for (uint64_t i = first; i < first + requests; i++) {
        buf_clear(&body);
        put_request(&body, s->clock.unix_now, i);
        start = cpu_s();
        if (sim_post_to(s, fd, "/v1/metrics", buf_slice(&body)) != 200)
            fail("a request was not taken");
        sim_run(s, 5 * NS_PER_MS);
        used += cpu_s() - start;
    }
    buf_fini(&body);
    start = cpu_s();
    sim_run(s, 10 * NS_PER_S);
    return used + cpu_s() - start;
}

/* Of the requests behind the first ones, in which Lua is compiled. */
static double run(size_t row, uint64_t requests)
{
    char text[1024];
    struct sim s;
    double used;
    int fd;

    snprintf(text, sizeof(text), config, rows[row].processors, rows[row].exporter);
    sim_init(&s, &(struct sim_options){.config = text, .serve = serve});
    fd = sim_connect(&s);
    send(&s, fd, 1, WARM_REQUESTS);
    used = send(&s, fd, WARM_REQUESTS + 1, requests);
    if (sim_ledger(&s)->passed[OTLP_METRICS].unaccounted != 0 ||
        sim_ledger(&s)->sum.passed[OTLP_METRICS].received != (WARM_REQUESTS + requests) * POINTS ||
        ledger_unsettled(sim_ledger(&s)) != 0)
        fail("the ledger does not balance");
    sim_fini(&s);
    return used;
}

/* The least of some rounds, by a million points. */
static void measure(uint64_t requests)
{
    double least[ROWS];

    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < ROWS; i++) {
            double used = run(i, requests) * 1e6 / ((double)requests * POINTS);

            least[i] = round == 0 || used < least[i] ? used : least[i];
        }
    for (size_t i = 0; i < ROWS; i++)
        printf("%-14s %6.2f CPU-s a million points, %+.2f\n", rows[i].name, least[i],
               least[i] - least[0]);
}

int main(int argc, char **argv)
{
    uint64_t requests = argc > 1 ? strtoull(argv[1], NULL, 10) : 200;

    log_configure(LOG_ERROR, LOG_LOGFMT);
    set_aws_keys();
    if (argc <= 2)
        measure(requests);
    for (size_t i = 0; argc > 2 && i < ROWS; i++)
        if (strcmp(rows[i].name, argv[2]) == 0)
            run(i, requests);
    return 0;
}
