/* The collector on real threads and sockets: traces whose spans come over several connections, with
 * snapshots taken all the while. */
#include "check.h"
#include "collector/threads.h"
#include "otlp/view.h"
#include "spans.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS = 8,
    SENDERS = 4,
    GROUPS = 200, /* of each sender */
    TRACES_IN_GROUP = 32,
    SPANS = 6, /* of each trace */
    TRACES = SENDERS * GROUPS * TRACES_IN_GROUP,
    ERROR_EACH = 16, /* one trace in so many has an error */
};

/* The root is sent last and each request is answered before the next one goes, so a trace is whole
 * when it is due, however slow the machine is. */
static const char config[] =
    "return { workers = 4, receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"
    "  tail_sampling = { decision_wait = '5m', decision_wait_after_root = '20ms', policies = {\n"
    "    policy 'status_code' { status_codes = { 'ERROR' } },\n"
    "    policy 'probabilistic' { sampling_percentage = 10 } } },\n"
    "  exporters = { exporter 'otlp' { endpoint = 'http://127.0.0.1:1', compression = 'none',\n"
    "    protocol = 'http/protobuf', batch = { timeout = '10ms' } } } }\n";

struct connection {
    pthread_mutex_t lock;
    int fd;
};

struct run {
    struct memory memory;
    struct collector *collector;
    struct connection connections[CONNECTIONS];
    pthread_t senders[SENDERS];
    _Atomic unsigned senders_done;
    _Atomic unsigned refused;          /* requests not answered with 200 */
    uint8_t delivered[TRACES];         /* spans of each trace, by the export thread */
    unsigned strangers;                /* spans of no trace of ours */
    unsigned fresh, balanced, holding; /* snapshots: taken in time, exact, with spans waiting */
};

struct sender {
    struct run *run;
    unsigned index;
};

/* splitmix64: ids that are spread. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static bool has_error(uint64_t trace)
{
    return trace % ERROR_EACH == 0;
}

/* What 10 percent keeps of these ids: R >= e666 of 56 bits. */
static bool is_sampled(uint64_t trace)
{
    return (mix(trace) & ((UINT64_C(1) << 56) - 1)) >= UINT64_C(0xe6660000000000);
}

/* ---- clients ---- */

static bool send_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* The status of the answer, whose body is taken; 0: none came. */
static int read_answer(int fd)
{
    char text[4096];
    size_t len = 0;

    while (len < sizeof(text) - 1) {
        ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        const char *length, *end;

        if (n <= 0)
            return 0;
        len += (size_t)n;
        text[len] = '\0';
        end = strstr(text, "\r\n\r\n");
        length = strcasestr(text, "content-length:");
        if (end && length && text + len >= end + 4 + strtoul(length + 15, NULL, 10))
            return (int)strtoul(text + 9, NULL, 10);
    }
    return 0;
}

static int post(struct connection *c, struct slice body)
{
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "POST /v1/traces HTTP/1.1\r\nHost: test\r\n"
                     "Content-Type: application/x-protobuf\r\nContent-Length: %zu\r\n\r\n",
                     body.len);
    int status = 0;

    pthread_mutex_lock(&c->lock);
    if (send_all(c->fd, head, (size_t)n) && send_all(c->fd, body.data, body.len))
        status = read_answer(c->fd);
    pthread_mutex_unlock(&c->lock);
    return status;
}

static struct test_span span_of(uint64_t trace, unsigned number)
{
    return (struct test_span){
        .trace_high = trace,
        .trace_low = mix(trace),
        .id = number + 1,
        .parent = number == 0 ? 0 : 1,
        .start_ms = UINT64_C(1700000000000) + number,
        .duration_ms = 20,
        .error = has_error(trace) && number == 1 + trace / ERROR_EACH % (SPANS - 1),
    };
}

/* The spans of a group that belong to `part` of `parts`, the root always in the last one. */
static void put_part(struct buf *body, uint64_t first, unsigned part, unsigned parts)
{
    for (uint64_t trace = first; trace < first + TRACES_IN_GROUP; trace++)
        for (unsigned number = 0; number < SPANS; number++) {
            struct test_span span = span_of(trace, number);
            unsigned in = number == 0 ? parts - 1 : (unsigned)(trace + number) % parts;

            if (in == part)
                spans_put(body, &span, 1);
        }
}

static void send_group(struct run *run, unsigned group)
{
    uint64_t first = (uint64_t)group * TRACES_IN_GROUP;
    unsigned parts = 2 + group % 3;

    for (unsigned part = 0; part < parts; part++) {
        struct buf body;

        buf_init(&body, 1 << 20, NULL);
        put_part(&body, first, part, parts);
        if (post(&run->connections[(group + 3 * part) % CONNECTIONS], buf_slice(&body)) != 200)
            atomic_fetch_add(&run->refused, 1);
        buf_fini(&body);
    }
}

static void *send_groups(void *arg)
{
    struct sender *s = arg;

    for (unsigned i = 0; i < GROUPS; i++)
        send_group(s->run, s->index * GROUPS + i);
    atomic_fetch_add(&s->run->senders_done, 1);
    return NULL;
}

static int connect_to(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 30};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

/* ---- the backend ---- */

static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    struct run *run = arg;
    struct scan_result result;
    struct scan_span *spans;
    enum err err = scan_traces(request->body, NULL, 0, &result);

    answer->status = 200;
    if (err != ERR_FULL) {
        run->strangers++;
        return 0;
    }
    spans = calloc(result.spans, sizeof(*spans));
    if (!spans || scan_traces(request->body, spans, result.spans, &result) != ERR_OK)
        abort();
    for (size_t i = 0; i < result.spans; i++) {
        uint64_t trace = view_id(slice_make(spans[i].trace_id, 8));

        if (trace < TRACES)
            run->delivered[trace]++;
        else
            run->strangers++;
    }
    free(spans);
    return 0;
}

/* ---- the collector ---- */

static struct loop *new_loop(void *arg)
{
    (void)arg;
    return loop_new(clock_system());
}

static struct http_client *new_http(void *arg, struct loop *loop)
{
    (void)loop;
    return http_client_fake(serve, arg);
}

static bool is_balanced(const struct ledger *l)
{
    return l->unaccounted == 0 && l->exporters[0].unaccounted == 0;
}

/* A snapshot at each of main's steps; once everything is sent, the shutdown. */
static uint64_t tick(void *arg, uint64_t now_ns)
{
    struct run *run = arg;
    uint64_t age_ns;
    const struct ledger *l = collector_ledger(run->collector, now_ns, &age_ns);

    if (age_ns == 0) {
        run->fresh++;
        run->balanced += is_balanced(l);
        run->holding += l->pending > 0;
    }
    if (atomic_load(&run->senders_done) == SENDERS)
        collector_stop(run->collector, now_ns);
    return now_ns + NS_PER_MS;
}

static void make_collector(struct run *run)
{
    struct collector_host host = {.clock = clock_system(),
                                  .net = net_system(),
                                  .disk = disk_system(),
                                  .loop_new = new_loop,
                                  .http_new = new_http,
                                  .arg = run,
                                  .memory = &run->memory,
                                  .cpus = 1};
    char path[] = "/tmp/moontail-threads-XXXXXX";
    struct buf report;
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, config, strlen(config)) != (ssize_t)strlen(config))
        abort();
    memory_init(&run->memory, SIZE_MAX / 2, 0);
    buf_init(&report, 1 << 16, NULL);
    if (collector_new(&host, path, &run->collector, &report) != ERR_OK) {
        fwrite(report.data, 1, report.len, stderr);
        abort();
    }
    buf_fini(&report);
    close(fd);
    unlink(path);
}

static void run_all(struct run *run)
{
    struct sender senders[SENDERS];

    make_collector(run);
    for (int i = 0; i < CONNECTIONS; i++) {
        pthread_mutex_init(&run->connections[i].lock, NULL);
        run->connections[i].fd = connect_to(collector_address(run->collector, RECEIVE_HTTP));
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){run, i};
        if (pthread_create(&run->senders[i], NULL, send_groups, &senders[i]) != 0)
            abort();
    }
    threads_run(run->collector, tick, run);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(run->senders[i], NULL);
    for (int i = 0; i < CONNECTIONS; i++) {
        close(run->connections[i].fd);
        pthread_mutex_destroy(&run->connections[i].lock);
    }
}

/* How many traces did not come out as the integers say: whole, or not at all. */
static unsigned count_wrong(const struct run *run)
{
    unsigned wrong = 0;

    for (uint64_t trace = 0; trace < TRACES; trace++) {
        unsigned expected = has_error(trace) || is_sampled(trace) ? SPANS : 0;

        wrong += run->delivered[trace] != expected;
    }
    return wrong;
}

static uint64_t kept_by(const struct run *run, const struct ledger *l, const char *policy)
{
    const struct labels *labels = collector_labels(run->collector);
    uint64_t sum = 0;

    for (size_t i = 0; i < l->labels; i++)
        if (strcmp(labels_policy(labels, (uint16_t)i), policy) == 0)
            sum += l->sum.kept[i];
    return sum;
}

static void traces_that_cross_workers_are_decided_whole_and_every_snapshot_balances(void)
{
    struct run *run = calloc(1, sizeof(*run));
    const struct ledger *l;
    uint64_t age_ns, errors = 0, sampled = 0;

    if (!run)
        abort();
    run_all(run);
    for (uint64_t trace = 0; trace < TRACES; trace++) {
        errors += has_error(trace);
        sampled += !has_error(trace) && is_sampled(trace);
    }
    l = collector_ledger(run->collector, clock_now_ns(clock_system()), &age_ns);
    CHECK(run->refused == 0);
    CHECK(l->sum.received == (uint64_t)TRACES * SPANS);
    CHECK(l->sum.crossed >= l->sum.received / 2);
    CHECK(l->sum.crossed < l->sum.received);
    CHECK(l->new_traces == TRACES);
    CHECK(l->pending == 0 && is_balanced(l));
    CHECK(run->fresh > 20 && run->holding > 5);
    CHECK(run->balanced == run->fresh);
    CHECK(kept_by(run, l, "status_code") == errors * SPANS);
    CHECK(kept_by(run, l, "probabilistic") == sampled * SPANS);
    CHECK(l->exporters[0].stats.delivered == (errors + sampled) * SPANS);
    CHECK(count_wrong(run) == 0 && run->strangers == 0);
    CHECK(collector_phase(run->collector) == PHASE_STOPPED);
    collector_free(run->collector);
    CHECK(memory_used(&run->memory) == 0);
    free(run);
}

int main(void)
{
    RUN(traces_that_cross_workers_are_decided_whole_and_every_snapshot_balances);
    return DONE();
}
