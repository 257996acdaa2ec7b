/* The collector on real threads and sockets: traces whose spans come over several connections, with
 * snapshots taken and the configuration read again all the while. */
#include "check.h"
#include "collector/threads.h"
#include "otlp/view.h"
#include "real_client.h"
#include "roomy_disk.h"
#include "spans.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    CONNECTIONS = 8,
    SENDERS = 4,
    GROUPS = 120, /* of each sender */
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

struct run {
    struct memory memory;
    struct collector *collector;
    char folder[40]; /* of its own */
    unsigned asked;  /* reloads */
    unsigned taken, broken;
    struct connection connections[CONNECTIONS];
    pthread_t senders[SENDERS];
    _Atomic unsigned senders_done;
    unsigned stop_after;           /* requests: then the shutdown begins; 0: all of them */
    _Atomic unsigned answered;     /* requests, with 200, or too late for it */
    _Atomic unsigned acknowledged; /* their spans */
    _Atomic unsigned refused;      /* requests not answered with 200 */
    uint8_t delivered[TRACES];     /* spans of each trace, by the export thread */
    unsigned strangers;            /* spans of no trace of ours */
    useconds_t serve_us;           /* so long the backend holds the export thread up */
    _Atomic bool is_serving;
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

/* The spans of a group that belong to `part` of `parts`, the root always in the last one; returns
 * how many. */
static unsigned put_part(struct buf *body, uint64_t first, unsigned part, unsigned parts)
{
    unsigned count = 0;

    for (uint64_t trace = first; trace < first + TRACES_IN_GROUP; trace++)
        for (unsigned number = 0; number < SPANS; number++) {
            struct test_span span = span_of(trace, number);
            unsigned in = number == 0 ? parts - 1 : (unsigned)(trace + number) % parts;

            if (in != part)
                continue;
            spans_put(body, &span, 1);
            count++;
        }
    return count;
}

/* Where the journal's thread has no CPU for ANSWER_PATIENCE_NS the answer is a refusal, and what
 * came stays in (answers.h): a sender would repeat it, here each span is sent once. */
static bool is_late(int status, const struct answer_text *answer)
{
    return status == 503 && strstr(answer->text, "the disk is full or fails");
}

/* False: a request was refused, or nobody is there any more. */
static bool send_group(struct run *run, unsigned group)
{
    uint64_t first = (uint64_t)group * TRACES_IN_GROUP;
    unsigned parts = 2 + group % 3;

    for (unsigned part = 0; part < parts; part++) {
        struct answer_text answer;
        struct buf body;
        unsigned spans;
        int status;

        buf_init(&body, 1 << 20, NULL);
        spans = put_part(&body, first, part, parts);
        status =
            post(&run->connections[(group + 3 * part) % CONNECTIONS], buf_slice(&body), &answer);
        buf_fini(&body);
        if (status != 200 && !is_late(status, &answer)) {
            atomic_fetch_add(&run->refused, 1);
            return false;
        }
        atomic_fetch_add(&run->acknowledged, spans);
        atomic_fetch_add(&run->answered, 1);
    }
    return true;
}

static void *send_groups(void *arg)
{
    struct sender *s = arg;

    for (unsigned i = 0; i < GROUPS && send_group(s->run, s->index * GROUPS + i); i++)
        continue;
    atomic_fetch_add(&s->run->senders_done, 1);
    return NULL;
}

/* ---- the backend ---- */

static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    struct run *run = arg;
    struct scan_result result;
    struct scan_span *spans;
    enum err err = scan_traces(request->body, NULL, 0, &result);

    answer->status = 200;
    atomic_store(&run->is_serving, true);
    usleep(run->serve_us);
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

static void write_config(const struct run *run, const char *text)
{
    char path[64], next[64];
    FILE *file;

    snprintf(path, sizeof(path), "%s/config.lua", run->folder);
    snprintf(next, sizeof(next), "%s/next.lua", run->folder);
    file = fopen(next, "we");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0 || rename(next, path) != 0)
        abort();
}

/* As soon as something has come of one reload the next is asked for; each third one is broken. */
static void reload(struct run *run)
{
    const struct reload_outcome *last = collector_last_reload(run->collector);

    if (run->asked > 0 && (!last || last->number != run->asked))
        return;
    run->taken += last && last->is_taken;
    run->broken += last && !last->is_taken;
    write_config(run, run->asked % 3 == 1 ? "return {" : config);
    run->asked = collector_reload(run->collector, RELOAD_COMMAND);
}

/* A snapshot at each of main's steps; once everything is sent and some reloads are over, the
 * shutdown. */
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
    reload(run);
    if ((atomic_load(&run->senders_done) == SENDERS && run->taken > 2 && run->broken > 1) ||
        (run->stop_after && atomic_load(&run->answered) >= run->stop_after))
        collector_stop(run->collector, now_ns);
    return now_ns + NS_PER_MS;
}

static void make_collector(struct run *run)
{
    struct collector_host host = {.clock = clock_system(),
                                  .net = net_system(),
                                  .disk = roomy_disk(),
                                  .loop_new = new_loop,
                                  .http_new = new_http,
                                  .arg = run,
                                  .memory = &run->memory,
                                  .cpus = 1};
    char path[64];
    struct buf report;

    snprintf(run->folder, sizeof(run->folder), "/tmp/moontail-threads-XXXXXX");
    if (!mkdtemp(run->folder))
        abort();
    snprintf(path, sizeof(path), "%s/config.lua", run->folder);
    write_config(run, config);
    host.journal_path = run->folder;
    memory_init(&run->memory, SIZE_MAX / 2, 0);
    buf_init(&report, 1 << 16, NULL);
    if (collector_new(&host, path, &run->collector, &report) != ERR_OK) {
        fwrite(report.data, 1, report.len, stderr);
        abort();
    }
    buf_fini(&report);
}

static void free_collector(struct run *run)
{
    char command[64];

    collector_finish(run->collector);
    collector_free(run->collector);
    CHECK(memory_used(&run->memory) == 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", run->folder);
    if (system(command) != 0)
        abort();
}

static void connect_all(struct run *run)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        pthread_mutex_init(&run->connections[i].lock, NULL);
        run->connections[i].fd = connect_to(collector_address(run->collector, RECEIVE_HTTP));
    }
}

static void close_all(struct run *run)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        close(run->connections[i].fd);
        pthread_mutex_destroy(&run->connections[i].lock);
    }
}

static void run_all(struct run *run)
{
    struct sender senders[SENDERS];

    make_collector(run);
    connect_all(run);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){run, i};
        if (pthread_create(&run->senders[i], NULL, send_groups, &senders[i]) != 0)
            abort();
    }
    threads_run(run->collector, tick, run);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(run->senders[i], NULL);
    close_all(run);
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
    CHECK(run->taken > 2 && run->broken > 1);
    CHECK(kept_by(run, l, "status_code") == errors * SPANS);
    CHECK(kept_by(run, l, "probabilistic") == sampled * SPANS);
    CHECK(l->exporters[0].stats.delivered == (errors + sampled) * SPANS);
    CHECK(count_wrong(run) == 0 && run->strangers == 0);
    CHECK(collector_phase(run->collector) == PHASE_STOPPED);
    free_collector(run);
    free(run);
}

/* The shutdown begins while all connections send. */
static void a_shutdown_amid_traffic_decides_exactly_what_was_acknowledged(void)
{
    struct run *run = calloc(1, sizeof(*run));
    const struct ledger *l;
    uint64_t age_ns, delivered = 0;

    if (!run)
        abort();
    run->stop_after = 400;
    run_all(run);
    for (uint64_t trace = 0; trace < TRACES; trace++)
        delivered += run->delivered[trace];
    l = collector_ledger(run->collector, clock_now_ns(clock_system()), &age_ns);
    CHECK(run->answered >= run->stop_after && run->refused > 0);
    CHECK(l->sum.received == run->acknowledged);
    CHECK(l->pending == 0 && is_balanced(l));
    CHECK(run->balanced == run->fresh);
    CHECK(l->exporters[0].stats.delivered == delivered && delivered > 0);
    CHECK(kept_by(run, l, "status_code") + kept_by(run, l, "probabilistic") == delivered);
    free_collector(run);
    free(run);
}

/* ---- a shutdown while the export thread can't be asked ---- */

static void *send_while_it_exports(void *arg)
{
    struct run *run = arg;

    send_group(run, 0);
    while (!atomic_load(&run->is_serving))
        usleep(1000);
    send_group(run, 1);
    atomic_store(&run->senders_done, SENDERS);
    return NULL;
}

static uint64_t stop_once_sent(void *arg, uint64_t now_ns)
{
    struct run *run = arg;

    if (atomic_load(&run->senders_done) == SENDERS)
        collector_stop(run->collector, now_ns);
    return now_ns + NS_PER_MS;
}

/* A snapshot that was not taken in time is an old one: here that of the start, when nothing waited.
 */
static void a_shutdown_does_not_end_by_a_snapshot_from_before(void)
{
    struct run *run = calloc(1, sizeof(*run));
    const struct ledger *l;
    uint64_t age_ns;

    if (!run)
        abort();
    run->serve_us = 300000;
    make_collector(run);
    connect_all(run);
    if (pthread_create(&run->senders[0], NULL, send_while_it_exports, run) != 0)
        abort();
    threads_run(run->collector, stop_once_sent, run);
    pthread_join(run->senders[0], NULL);
    close_all(run);
    l = collector_ledger(run->collector, clock_now_ns(clock_system()), &age_ns);
    CHECK(run->refused == 0);
    CHECK(l->sum.received == 2 * TRACES_IN_GROUP * SPANS && l->pending == 0);
    CHECK(l->exporters[0].stats.delivered == l->exporters[0].stats.enqueued);
    CHECK(run->delivered[TRACES_IN_GROUP] == SPANS);
    free_collector(run);
    free(run);
}

int main(void)
{
    RUN(traces_that_cross_workers_are_decided_whole_and_every_snapshot_balances);
    RUN(a_shutdown_amid_traffic_decides_exactly_what_was_acknowledged);
    RUN(a_shutdown_does_not_end_by_a_snapshot_from_before);
    return DONE();
}
