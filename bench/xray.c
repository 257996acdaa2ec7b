/* What exporter "xray" costs a kept span: the whole collector in one thread on virtual time takes
 * traces, keeps all of them, and gives them to X-Ray; the signed requests end in a fake client.
 *
 *     build/bench/xray REQUESTS          CPU time: less what the same takes with exporter "nop"
 *     build/bench/xray REQUESTS --count  the same work alone, to be counted in instructions
 *
 * A request has four traces of seven spans: servers of both conventions of HTTP, a client, a
 * database, the AWS SDK, a queue, own attributes and an annotation; every fourth trace fails with a
 * stack. bench/run --instructions runs it.
 */
#include "aws_keys.h"
#include "base/log.h"
#include "base/random.h"
#include "otlp/write.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <valgrind/callgrind.h>

enum { BODY_MAX = 1 << 20, TRACES = 4, SPANS = 7, ATTRS = 12, WARM_REQUESTS = 60 };

#define START_NS (UINT64_C(1700000000) * NS_PER_S)

static const char config[] =
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"
    "  journal = { ack = 'memory' },\n"
    "  tail_sampling = { budget = { cpu = '1s' }, decision_wait = '100ms', policies = { policy "
    "'always_sample' {} } },\n"
    "  exporters = { %s } }\n";
static const char xray[] = "exporter 'xray' { endpoint = 'http://xray', region = 'eu-west-1' }";
static const char nop[] = "exporter 'nop'";

/* ---- spans ---- */

struct made_attr {
    const char *key, *text; /* NULL: an integer */
    int64_t integer;
};

struct made_span {
    const char *name;
    int kind, parent; /* parent: index, -1: a root */
    struct made_attr attrs[ATTRS];
};

/* clang-format off */
static const struct made_attr resource_attrs[] = {
    {"service.name", "checkout", 0}, {"service.version", "3.4.0", 0}, {"service.namespace", "shop", 0},
    {"cloud.provider", "aws", 0}, {"cloud.platform", "aws_eks", 0}, {"cloud.region", "eu-west-1", 0},
    {"cloud.account.id", "123456789012", 0}, {"k8s.cluster.name", "production", 0},
    {"k8s.pod.name", "checkout-84b6d9f7c-qq8rt", 0}, {"telemetry.sdk.name", "opentelemetry", 0},
    {"telemetry.sdk.language", "java", 0}, {"telemetry.sdk.version", "1.43.0", 0},
};

static const struct made_span made_spans[SPANS] = {
    {"POST /api/v2/orders/{id}", 2, -1, {
        {"http.request.method", "POST", 0}, {"http.response.status_code", NULL, 200},
        {"http.route", "/api/v2/orders/{id}", 0}, {"url.path", "/api/v2/orders/271828", 0},
        {"url.scheme", "https", 0}, {"server.address", "shop.example.com", 0},
        {"server.port", NULL, 443}, {"client.address", "203.0.113.71", 0},
        {"user_agent.original", "shop-client/2.31 (linux; x86_64)", 0},
        {"aws.xray.annotation.tenant", "acme", 0}, {"user.tier", "gold", 0},
        {"session.id", "9f86d081884c7d659a2feaa0c55ad015", 0}}},
    {"OrderService.place", 1, 0, {
        {"code.function", "com.example.shop.OrderService.place", 0}, {"thread.name", "http-nio-8080-exec-7", 0},
        {"thread.id", NULL, 47}, {"order.items", NULL, 3}}},
    {"GET", 3, 1, {
        {"http.request.method", "GET", 0}, {"http.response.status_code", NULL, 200},
        {"url.full", "http://catalog.shop.svc.cluster.local:8080/items/42", 0},
        {"server.address", "catalog.shop.svc.cluster.local", 0}, {"server.port", NULL, 8080},
        {"network.protocol.version", "1.1", 0}, {"thread.name", "http-nio-8080-exec-7", 0}}},
    {"SELECT orders", 3, 1, {
        {"db.system.name", "postgresql", 0}, {"db.namespace", "orders", 0},
        {"db.query.text", "SELECT id, total, state FROM orders WHERE customer = $1 ORDER BY id LIMIT 20", 0},
        {"db.operation.name", "SELECT", 0}, {"db.collection.name", "orders", 0},
        {"server.address", "orders-db.shop.svc.cluster.local", 0}, {"server.port", NULL, 5432}}},
    {"DynamoDB.GetItem", 3, 1, {
        {"rpc.system", "aws-api", 0}, {"rpc.service", "DynamoDB", 0}, {"rpc.method", "GetItem", 0},
        {"aws.request_id", "4KOHPT2PLVTB9KQ5ASBJ1E0GJ3VV4KQNSO5AEMVJF66Q9ASUAAJG", 0},
        {"aws.table_name", "carts", 0}, {"aws.region", "eu-west-1", 0},
        {"http.response.status_code", NULL, 200}, {"server.address", "dynamodb.eu-west-1.amazonaws.com", 0}}},
    {"orders publish", 4, 1, {
        {"messaging.system", "aws_sqs", 0}, {"messaging.destination.name", "orders", 0},
        {"messaging.operation.type", "publish", 0}, {"messaging.message.id", "b7a1e0f4-5d2c-4e0b-8d0a-2f6c1b9e7a55", 0}}},
    {"GET /items/{id}", 2, 2, {
        {"http.method", "GET", 0}, {"http.status_code", NULL, 200}, {"http.scheme", "http", 0},
        {"http.target", "/items/42?details=full", 0}, {"net.host.name", "catalog.shop.svc.cluster.local", 0},
        {"net.host.port", NULL, 8080}, {"http.client_ip", "10.3.17.201", 0},
        {"http.user_agent", "Java-http-client/21.0.2", 0}, {"http.route", "/items/{id}", 0}}},
};
/* clang-format on */

static const char stack[] =
    "java.net.SocketTimeoutException: Read timed out\n"
    "\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:278)\n"
    "\tat java.base/sun.nio.ch.NioSocketImpl.implRead(NioSocketImpl.java:304)\n"
    "\tat java.base/java.net.Socket$SocketInputStream.read(Socket.java:1099)\n"
    "\tat okio.InputStreamSource.read(JvmOkio.kt:94)\n"
    "\tat okhttp3.internal.http1.HeadersReader.readLine(HeadersReader.kt:29)\n"
    "\tat com.example.shop.CatalogClient.item(CatalogClient.java:88)\n"
    "\tat com.example.shop.OrderService.place(OrderService.java:51)\n"
    "Caused by: java.io.IOException: connection was idle\n"
    "\tat okio.AsyncTimeout.newTimeoutException(AsyncTimeout.kt:145)\n"
    "\t... 27 more\n";

static void put_attr(struct buf *b, uint32_t number, const struct made_attr *a)
{
    if (a->text)
        otlp_write_attr_str(b, number, a->key, slice_str(a->text));
    else
        otlp_write_attr_int(b, number, a->key, a->integer);
}

static void put_exception(struct buf *b, uint64_t time_ns)
{
    size_t event = otlp_write_begin(b, 11);

    wire_put_fixed64(b, 1, time_ns);
    wire_put_bytes(b, 2, slice_str("exception"));
    otlp_write_attr_str(b, ATTRS_EVENT, "exception.type",
                        slice_str("java.net.SocketTimeoutException"));
    otlp_write_attr_str(b, ATTRS_EVENT, "exception.message", slice_str("Read timed out"));
    otlp_write_attr_str(b, ATTRS_EVENT, "exception.stacktrace", slice_str(stack));
    otlp_write_end(b, event);
}

static void put_span(struct buf *b, size_t i, const uint64_t trace_id[2], const uint64_t *ids,
                     bool failed)
{
    const struct made_span *made = &made_spans[i];
    uint64_t start_ns = START_NS + ids[i] % NS_PER_S;
    size_t span = otlp_write_begin(b, 2);

    otlp_write_span_fields(b,
                           &(struct span_fields){
                               .trace_id = slice_make(trace_id, 16),
                               .span_id = slice_make(&ids[i], 8),
                               .parent_id = slice_make(made->parent < 0 ? NULL : &ids[made->parent],
                                                       made->parent < 0 ? 0 : 8),
                               .name = slice_str(made->name),
                               .kind = made->kind,
                               .start_ns = start_ns,
                               .end_ns = start_ns + 20 * NS_PER_MS,
                               .status = failed ? 2 : 0,
                           });
    for (size_t n = 0; n < ATTRS && made->attrs[n].key; n++)
        put_attr(b, ATTRS_SPAN, &made->attrs[n]);
    if (failed)
        put_exception(b, start_ns + NS_PER_MS);
    otlp_write_end(b, span);
}

static void put_request(struct buf *b, struct rng *rng)
{
    size_t resource_spans = otlp_write_begin(b, 1), at = otlp_write_begin(b, 1);

    for (size_t n = 0; n < sizeof(resource_attrs) / sizeof(resource_attrs[0]); n++)
        put_attr(b, ATTRS_RESOURCE, &resource_attrs[n]);
    otlp_write_end(b, at);
    at = otlp_write_begin(b, 2);
    for (int t = 0; t < TRACES; t++) {
        uint64_t trace_id[2] = {rng_next(rng), rng_next(rng)}, ids[SPANS];

        for (size_t i = 0; i < SPANS; i++)
            ids[i] = rng_next(rng);
        for (size_t i = 0; i < SPANS; i++)
            put_span(b, i, trace_id, ids, t == 0 && i == 2);
    }
    otlp_write_end(b, at);
    otlp_write_end(b, resource_spans);
}

/* ---- X-Ray ---- */

static struct {
    uint64_t requests, documents, bytes;
} taken;

/* A document begins in its list as no text in it does. */
static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    static const char first[] = "\"{\\\"";
    const uint8_t *at = request->body.data, *end = at + request->body.len;

    (void)arg;
    taken.requests++;
    taken.bytes += request->body.len;
    for (; (at = memmem(at, (size_t)(end - at), first, sizeof(first) - 1)); at++)
        taken.documents++;
    answer->status = 200;
    buf_str(&answer->body, "{\"UnprocessedTraceSegments\":[]}");
    return NS_PER_MS;
}

/* ---- measuring ---- */

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void send(struct sim *s, int fd, struct rng *rng, unsigned long requests)
{
    struct buf body;

    buf_init(&body, BODY_MAX, NULL);
    for (unsigned long i = 0; i < requests; i++) {
        buf_clear(&body);
        put_request(&body, rng);
        if (sim_post(s, fd, buf_slice(&body)) != 200)
            fail("a request was not taken");
        sim_run(s, 5 * NS_PER_MS);
    }
    buf_fini(&body);
    sim_run(s, 5 * NS_PER_S);
}

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* CPU time of the requests behind the first ones, in which Lua is compiled. */
static double run(const char *exporter, unsigned long requests)
{
    char text[1024];
    struct rng rng;
    struct sim s;
    double us;
    int fd;

    snprintf(text, sizeof(text), config, exporter);
    sim_init(&s, &(struct sim_options){.config = text, .serve = serve});
    rng_seed(&rng, 1);
    fd = sim_connect(&s);
    send(&s, fd, &rng, WARM_REQUESTS);
    CALLGRIND_ZERO_STATS;
    us = cpu_us();
    send(&s, fd, &rng, requests);
    us = cpu_us() - us;
    if (sim_ledger(&s)->pending != 0 || sim_ledger(&s)->unaccounted != 0)
        fail("the ledger does not balance");
    sim_fini(&s);
    return us;
}

int main(int argc, char **argv)
{
    unsigned long requests = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000;
    bool counts = argc > 2 && strcmp(argv[2], "--count") == 0;
    double spans = (double)requests * TRACES * SPANS, us;

    log_configure(LOG_ERROR, LOG_LOGFMT);
    set_aws_keys();
    us = run(xray, requests);
    if (taken.documents != (requests + WARM_REQUESTS) * TRACES * SPANS)
        fail("X-Ray did not get each span once");
    if (!counts)
        us -= run(nop, requests);
    printf("%.0f spans, %.2f us of CPU time each; documents of %.0f bytes, %.0f in a request\n",
           spans, us / spans, (double)taken.bytes / (double)taken.documents,
           (double)taken.documents / (double)taken.requests);
    return 0;
}
