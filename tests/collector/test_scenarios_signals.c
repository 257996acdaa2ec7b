/* Metrics and logs through the whole collector on virtual time. */
#include "base/random.h"
#include "otlp/scan.h"
#include "otlp/write.h"
#include "scenario.h"

/* A backend with a place for each signal, told apart by the path. */
struct signal_backend {
    bool down[OTLP_SIGNALS];
    size_t requests[OTLP_SIGNALS];
    struct buf body[OTLP_SIGNALS];
    unsigned fail_one_in; /* 0: never */
    struct rng rng;
};

#define EXPORTER(name, more)                                                                       \
    "exporter 'otlp/" name "' { endpoint = 'http://h:1', compression = 'none', "                   \
    "protocol = 'http/protobuf', batch = { timeout = '10ms' }, "                                   \
    "retry = { initial_interval = '100ms', max_interval = '100ms' }, "                             \
    "circuit = { failures = 1000000 }, " more " }"
#define PLAIN(more, exporters)                                                                     \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "  " more " exporters = { " exporters " } }\n"

static struct test_span error_span(uint64_t trace)
{
    return (struct test_span){.trace_high = mix(trace),
                              .trace_low = trace + 1,
                              .id = 1,
                              .start_ms = now_ms,
                              .duration_ms = 5,
                              .error = true};
}

static enum otlp_signal signal_of_url(const char *url)
{
    const char *name = strrchr(url, '/') + 1;
    enum otlp_signal signal;

    if (!otlp_signal_find(name, strlen(name), &signal))
        abort();
    return signal;
}

static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    struct signal_backend *b = arg;
    enum otlp_signal signal = signal_of_url(request->url);

    b->requests[signal]++;
    answer->status = 200;
    if (b->down[signal] || (b->fail_one_in && rng_next(&b->rng) % b->fail_one_in == 0))
        answer->status = 503;
    else
        buf_append(&b->body[signal], request->body.data, request->body.len);
    return NS_PER_MS;
}

static void start_sim(struct sim *s, struct signal_backend *b, const char *config, unsigned cpus)
{
    *b = (struct signal_backend){.fail_one_in = 0};
    rng_seed(&b->rng, 7);
    for (int i = 0; i < OTLP_SIGNALS; i++)
        buf_init(&b->body[i], 64 << 20, NULL);
    sim_init(s,
             &(struct sim_options){.config = config, .cpus = cpus, .serve = serve, .serve_arg = b});
}

static void end_sim(struct sim *s, struct signal_backend *b)
{
    balanced(s);
    sim_fini(s);
    for (int i = 0; i < OTLP_SIGNALS; i++)
        buf_fini(&b->body[i]);
}

/* Items that a backend was given. */
static size_t given(const struct signal_backend *b, enum otlp_signal signal)
{
    struct scan_result r;

    CHECK(scan_items(signal, buf_slice(&b->body[signal]), NULL, 0, &r) == ERR_OK);
    CHECK(r.rejected == 0);
    return r.items;
}

static void put_metric(struct buf *b, size_t points, const char *host)
{
    size_t metric = otlp_write_begin(b, 2), gauge, point;

    wire_put_bytes(b, 1, slice_str("cpu"));
    gauge = otlp_write_begin(b, 5);
    for (size_t i = 0; i < points; i++) {
        point = otlp_write_begin(b, 1);
        wire_put_fixed64(b, 6, i);
        otlp_write_attr_str(b, 7, "host", slice_str(host));
        otlp_write_end(b, point);
    }
    otlp_write_end(b, gauge);
    otlp_write_end(b, metric);
}

static void put_records(struct buf *b, size_t records, const char *text)
{
    for (size_t i = 0; i < records; i++) {
        size_t record = otlp_write_begin(b, 2);

        wire_put_bytes(b, 3, slice_str(text));
        otlp_write_end(b, record);
    }
}

/* Appends a request with one resource and so many items; `text` is in each. */
static void put_request(struct buf *b, enum otlp_signal signal, size_t items, const char *text)
{
    size_t resource = otlp_write_begin(b, 1), scope = otlp_write_begin(b, 2);

    if (signal == OTLP_METRICS)
        put_metric(b, items, text);
    else
        put_records(b, items, text);
    otlp_write_end(b, scope);
    otlp_write_end(b, resource);
}

static int post_items(struct sim *s, int fd, enum otlp_signal signal, size_t items,
                      const char *text)
{
    struct buf body;
    char path[32];
    int status;

    buf_init(&body, 64 << 20, NULL);
    put_request(&body, signal, items, text);
    snprintf(path, sizeof(path), "/v1/%s", otlp_signal_name(signal));
    status = sim_post_to(s, fd, path, buf_slice(&body));
    buf_fini(&body);
    return status;
}

static const struct export_stats *stats_of(struct sim *s, enum otlp_signal signal, size_t exporter)
{
    return &sim_ledger(s)->passed[signal].exporters[exporter].stats;
}

static void metrics_and_logs_pass_beside_traces_without_a_wait(void)
{
    const struct test_span span = error_span(1);
    struct signal_backend b;
    struct sim s;
    int fd;

    start_sim(&s, &b,
              PLAIN("resource = { cluster = 'blue' }, tail_sampling = { decision_wait = '60s', "
                    "policies = { policy 'status_code' { status_codes = { 'ERROR' } } } },",
                    EXPORTER("all", "")),
              1);
    fd = sim_connect(&s);
    CHECK(post_items(&s, fd, OTLP_METRICS, 3, "a") == 200);
    CHECK(post_items(&s, fd, OTLP_LOGS, 5, "INFO") == 200);
    post(&s, fd, &span, 1);
    balanced(&s);
    sim_run(&s, NS_PER_S);
    CHECK(given(&b, OTLP_METRICS) == 3 && given(&b, OTLP_LOGS) == 5 && given(&b, OTLP_TRACES) == 0);
    CHECK(memmem(b.body[OTLP_METRICS].data, b.body[OTLP_METRICS].len, "cluster", 7));
    CHECK(memmem(b.body[OTLP_LOGS].data, b.body[OTLP_LOGS].len, "cluster", 7));
    CHECK(sim_ledger(&s)->sum.received == 1 && sim_ledger(&s)->pending == 1);
    sim_run(&s, 61 * NS_PER_S);
    CHECK(given(&b, OTLP_TRACES) == 1);
    CHECK(sim_ledger(&s)->exporters[0].stats.delivered == 1);
    CHECK(stats_of(&s, OTLP_METRICS, 0)->delivered == 3);
    CHECK(stats_of(&s, OTLP_LOGS, 0)->delivered == 5);
    end_sim(&s, &b);
}

static uint64_t filtered(struct sim *s, enum otlp_signal signal)
{
    const struct ledger *l = sim_ledger(s);

    return ledger_sum(l->sum.passed[signal].filtered, l->filters);
}

static void what_processors_drop_of_metrics_and_logs_is_filtered_and_the_rest_kept(void)
{
    struct signal_backend b;
    struct sim s;
    int fd;

    start_sim(
        &s, &b,
        PLAIN("processors = {\n"
              "  received = { processor 'drop_at_door' { logs = match { log = { severity_text = "
              "'door' } } } },\n"
              "  kept = { processor 'filter' { metrics = match { point = { value = 1 } }, logs = "
              "match { log = { severity_text = 'DEBUG' } } } } },",
              EXPORTER("all", "")),
        2);
    fd = sim_connect(&s);
    CHECK(post_items(&s, fd, OTLP_METRICS, 3, "a") == 200);
    CHECK(post_items(&s, fd, OTLP_LOGS, 5, "INFO") == 200);
    CHECK(post_items(&s, fd, OTLP_LOGS, 7, "DEBUG") == 200);
    CHECK(post_items(&s, fd, OTLP_LOGS, 11, "door") == 200);
    CHECK(post_items(&s, fd, OTLP_LOGS, 2, "bad \xff") == 200);
    balanced(&s);
    sim_run(&s, NS_PER_S);
    CHECK(given(&b, OTLP_METRICS) == 2 && given(&b, OTLP_LOGS) == 5);
    CHECK(b.requests[OTLP_LOGS] == 1);
    CHECK(filtered(&s, OTLP_METRICS) == 1 && filtered(&s, OTLP_LOGS) == 18);
    CHECK(sim_ledger(&s)->sum.passed[OTLP_LOGS].received == 25);
    CHECK(sim_ledger(&s)->sum.passed[OTLP_LOGS].rejected == 2);
    CHECK(sim_ledger(&s)->sum.passed[OTLP_LOGS].kept == 5);
    end_sim(&s, &b);
}

static void edits_come_before_the_stamp_of_resources_and_leave_the_rest_as_it_was(void)
{
    struct signal_backend b;
    struct sim s;
    struct buf body;
    int fd;

    start_sim(
        &s, &b,
        PLAIN("resource = { cluster = 'blue' }, processors = { kept = { processor 'attributes' { "
              "logs = true, target = 'resource', upsert = { cluster = 'red', zone = 'a' } } } },",
              EXPORTER("all", "")),
        1);
    fd = sim_connect(&s);
    buf_init(&body, 1 << 20, NULL);
    put_request(&body, OTLP_LOGS, 2, "INFO");
    wire_put_bytes(&body, 99, slice_str("unknown to us"));
    CHECK(sim_post_to(&s, fd, "/v1/logs", buf_slice(&body)) == 200);
    buf_fini(&body);
    sim_run(&s, NS_PER_S);
    CHECK(given(&b, OTLP_LOGS) == 2 && filtered(&s, OTLP_LOGS) == 0);
    CHECK(memmem(b.body[OTLP_LOGS].data, b.body[OTLP_LOGS].len, "blue", 4));
    CHECK(memmem(b.body[OTLP_LOGS].data, b.body[OTLP_LOGS].len, "zone", 4));
    CHECK(!memmem(b.body[OTLP_LOGS].data, b.body[OTLP_LOGS].len, "red", 3));
    CHECK(memmem(b.body[OTLP_LOGS].data, b.body[OTLP_LOGS].len, "unknown to us", 13));
    end_sim(&s, &b);
}

static void a_body_that_processors_make_much_longer_is_taken(void)
{
    struct signal_backend b;
    struct sim s;

    start_sim(
        &s, &b,
        PLAIN("processors = { kept = { processor 'attributes' { logs = true, upsert = { long = "
              "'0123456789012345678901234567890123456789012345678901234567890123456789' } } } },",
              EXPORTER("all", "")),
        1);
    CHECK(post_items(&s, sim_connect(&s), OTLP_LOGS, 50000, "") == 200);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(given(&b, OTLP_LOGS) == 50000);
    end_sim(&s, &b);
}

#define STAMPED(long_value)                                                                        \
    PLAIN("resource = { long = string.rep('x', " #long_value ") },", EXPORTER("all", ""))

/* As a gateway sends them: an item or two of each resource, and the stamp is longer than they are.
 */
static void a_body_of_many_small_resources_is_stamped_and_taken(void)
{
    struct signal_backend b;
    struct sim s;
    struct buf body;

    buf_init(&body, 1 << 20, NULL);
    for (int i = 0; i < 5000; i++)
        put_request(&body, OTLP_LOGS, 1, "INFO");
    start_sim(&s, &b, STAMPED(500), 1);
    CHECK(sim_post_to(&s, sim_connect(&s), "/v1/logs", buf_slice(&body)) == 200);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(given(&b, OTLP_LOGS) == 5000);
    end_sim(&s, &b);
    buf_fini(&body);
}

/* And not as overload, which its sender would repeat. */
static void what_stamping_makes_far_too_long_is_refused_for_good(void)
{
    struct signal_backend b;
    struct sim s;
    struct buf body;

    buf_init(&body, 1 << 20, NULL);
    put_request(&body, OTLP_LOGS, 1, "INFO");
    for (int i = 0; i < 200000; i++)
        wire_put_bytes(&body, 1, slice_make("", 0));
    start_sim(&s, &b, STAMPED(500), 1);
    CHECK(sim_post_to(&s, sim_connect(&s), "/v1/logs", buf_slice(&body)) == 400);
    CHECK(sim_ledger(&s)->sum.passed[OTLP_LOGS].received == 0);
    end_sim(&s, &b);
    buf_fini(&body);
}

static void rejected_items_are_cut_out_and_counted_and_empty_requests_go_nowhere(void)
{
    struct signal_backend b;
    struct sim s;
    struct buf body;
    int fd;

    start_sim(&s, &b, PLAIN("", EXPORTER("all", "")), 1);
    fd = sim_connect(&s);
    buf_init(&body, 1 << 20, NULL);
    put_request(&body, OTLP_LOGS, 200, "bad \xff");
    put_request(&body, OTLP_LOGS, 4, "good");
    CHECK(sim_post_to(&s, fd, "/v1/logs", buf_slice(&body)) == 200);
    buf_fini(&body);
    CHECK(post_items(&s, fd, OTLP_METRICS, 0, "") == 200);
    CHECK(post_items(&s, fd, OTLP_METRICS, 2, "\xff") == 200);
    CHECK(sim_post_to(&s, fd, "/v1/metrics", slice_str("\x0a\x7f")) == 400);
    sim_run(&s, NS_PER_S);
    CHECK(given(&b, OTLP_LOGS) == 4);
    CHECK(b.requests[OTLP_LOGS] == 1 && b.requests[OTLP_METRICS] == 0);
    CHECK(sim_ledger(&s)->sum.passed[OTLP_LOGS].received == 204);
    CHECK(sim_ledger(&s)->sum.passed[OTLP_LOGS].rejected == 200);
    CHECK(sim_ledger(&s)->sum.passed[OTLP_METRICS].received == 2);
    CHECK(sim_ledger(&s)->sum.passed[OTLP_METRICS].rejected == 2);
    end_sim(&s, &b);
}

static void one_signal_waits_for_its_backend_while_others_go(void)
{
    struct signal_backend b;
    struct sim s;
    int fd;

    start_sim(&s, &b, PLAIN("", EXPORTER("all", "")), 1);
    fd = sim_connect(&s);
    b.down[OTLP_LOGS] = true;
    for (int i = 0; i < 5; i++) {
        CHECK(post_items(&s, fd, OTLP_LOGS, 7, "INFO") == 200);
        CHECK(post_items(&s, fd, OTLP_METRICS, 3, "a") == 200);
        sim_run(&s, 50 * NS_PER_MS);
        balanced(&s);
    }
    CHECK(given(&b, OTLP_METRICS) == 15 && given(&b, OTLP_LOGS) == 0);
    CHECK(stats_of(&s, OTLP_LOGS, 0)->queued == 35 && stats_of(&s, OTLP_METRICS, 0)->queued == 0);
    b.down[OTLP_LOGS] = false;
    sim_run(&s, 5 * NS_PER_S);
    CHECK(given(&b, OTLP_METRICS) == 15 && given(&b, OTLP_LOGS) == 35);
    CHECK(stats_of(&s, OTLP_LOGS, 0)->queued == 0 && stats_of(&s, OTLP_LOGS, 0)->delivered == 35);
    end_sim(&s, &b);
}

static void a_full_queue_gives_up_the_oldest_of_any_signal(void)
{
    char text[4096];
    struct signal_backend b;
    struct sim s;
    uint64_t lost = 0;
    int fd;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    start_sim(&s, &b, PLAIN("", EXPORTER("all", "queue = { max_size = '64KiB' }")), 1);
    fd = sim_connect(&s);
    for (int i = 0; i < OTLP_SIGNALS; i++)
        b.down[i] = true;
    for (int i = 0; i < 20; i++) {
        CHECK(post_items(&s, fd, OTLP_LOGS, 1, text) == 200);
        CHECK(post_items(&s, fd, OTLP_METRICS, 2, text) == 200);
        sim_run(&s, 30 * NS_PER_MS);
        balanced(&s);
    }
    for (int signal = OTLP_METRICS; signal < OTLP_SIGNALS; signal++) {
        const struct export_stats *stats = stats_of(&s, (enum otlp_signal)signal, 0);

        CHECK(stats->lost_outbox_full > 0);
        lost += stats->lost_outbox_full;
        CHECK(stats->queued + stats->lost_outbox_full == stats->enqueued);
    }
    for (int i = 0; i < OTLP_SIGNALS; i++)
        b.down[i] = false;
    sim_run(&s, 5 * NS_PER_S);
    CHECK(given(&b, OTLP_LOGS) + given(&b, OTLP_METRICS) + lost == 60);
    CHECK(sim_ledger(&s)->exporters[0].stats.lost_outbox_full == 0);
    end_sim(&s, &b);
}

static void each_exporter_has_the_signals_that_it_takes_and_its_own_ledger(void)
{
    struct signal_backend b;
    struct sim s;
    int fd;

    start_sim(&s, &b,
              PLAIN("", EXPORTER("logs", "signals = { 'logs' }") ", " EXPORTER(
                            "both", "signals = { 'logs', 'traces' }")),
              2);
    fd = sim_connect(&s);
    CHECK(post_items(&s, fd, OTLP_LOGS, 2, "INFO") == 200);
    CHECK(post_items(&s, fd, OTLP_METRICS, 2, "a") == 404);
    CHECK(strstr(s.answer, "no exporter takes this signal"));
    sim_run(&s, NS_PER_S);
    CHECK(stats_of(&s, OTLP_LOGS, 0)->delivered == 2 && stats_of(&s, OTLP_LOGS, 1)->delivered == 2);
    CHECK(stats_of(&s, OTLP_METRICS, 1)->enqueued == 0);
    CHECK(sim_ledger(&s)->receive.refused[REFUSED_NOT_FOUND] == 1);
    end_sim(&s, &b);
}

static void where_does_not_ask_metrics_and_logs(void)
{
    const struct test_span span = error_span(1);
    struct signal_backend b;
    struct sim s;
    int fd;

    start_sim(&s, &b, PLAIN("", EXPORTER("all", "where = match { service = 'nowhere' }")), 1);
    fd = sim_connect(&s);
    post(&s, fd, &span, 1);
    CHECK(post_items(&s, fd, OTLP_LOGS, 2, "INFO") == 200);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(given(&b, OTLP_LOGS) == 2 && given(&b, OTLP_TRACES) == 0);
    end_sim(&s, &b);
}

static void without_memory_requests_wait_and_nothing_is_lost(void)
{
    struct signal_backend b;
    char *text = malloc(1 << 20);
    size_t taken = 0, refused = 0;
    struct sim s;
    int fd;

    memset(text, 'x', (1 << 20) - 1);
    text[(1 << 20) - 1] = '\0';
    start_sim(&s, &b,
              PLAIN("memory_limiter = { limit = '64MiB', spike_limit = '16MiB' }, "
                    "journal = { ack = 'memory' },",
                    EXPORTER("all", "queue = { max_size = '1GiB' }")),
              1);
    fd = sim_connect(&s);
    b.down[OTLP_LOGS] = true;
    for (int i = 0; i < (SIM_IS_SLOW ? 60 : 100); i++) {
        int status = post_items(&s, fd, OTLP_LOGS, 1, text);

        CHECK(status == 200 || status == 503);
        taken += status == 200;
        refused += status == 503;
        balanced(&s);
    }
    CHECK(taken > 10 && refused > 10);
    b.down[OTLP_LOGS] = false;
    sim_run(&s, 60 * NS_PER_S);
    CHECK(given(&b, OTLP_LOGS) == taken);
    CHECK(post_items(&s, fd, OTLP_LOGS, 1, text) == 200);
    end_sim(&s, &b);
    free(text);
}

static void send_one_of(struct sim *s, int fd, struct rng *rng, size_t sent[OTLP_SIGNALS])
{
    enum otlp_signal signal = (enum otlp_signal)(rng_next(rng) % OTLP_SIGNALS);
    size_t items = 1 + rng_next(rng) % 30;
    const struct test_span span = error_span(rng_next(rng));

    if (signal == OTLP_TRACES) {
        post(s, fd, &span, 1);
        sent[signal]++;
        return;
    }
    CHECK(post_items(s, fd, signal, items, "some text") == 200);
    sent[signal] += items;
}

/* Whatever the order of signals and failures, each item arrives once and the ledgers hold. */
static void signals_in_any_order_arrive_once_through_failures(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        size_t sent[OTLP_SIGNALS] = {0};
        struct signal_backend b;
        struct rng rng;
        struct sim s;
        int fd;

        start_sim(&s, &b,
                  PLAIN("", EXPORTER("all", "") ", " EXPORTER("few", "signals = { 'metrics' }")),
                  1 + seed % 3);
        rng_seed(&rng, seed);
        b.fail_one_in = 3;
        fd = sim_connect(&s);
        for (int i = 0; i < 60; i++) {
            send_one_of(&s, fd, &rng, sent);
            sim_run(&s, rng_next(&rng) % 40 * NS_PER_MS);
            balanced(&s);
        }
        b.fail_one_in = 0;
        sim_run(&s, 20 * NS_PER_S);
        CHECK(given(&b, OTLP_TRACES) == sent[OTLP_TRACES]);
        CHECK(given(&b, OTLP_LOGS) == sent[OTLP_LOGS]);
        CHECK(given(&b, OTLP_METRICS) == 2 * sent[OTLP_METRICS]);
        CHECK(ledger_unsettled(sim_ledger(&s)) == 0);
        end_sim(&s, &b);
    }
}

static void a_stop_sends_what_waits(void)
{
    struct signal_backend b;
    struct sim s;
    int fd;

    start_sim(&s, &b,
              PLAIN("", "exporter 'otlp' { endpoint = 'http://h:1', compression = 'none', protocol "
                        "= 'http/protobuf', batch = { timeout = '1h' } }"),
              2);
    fd = sim_connect(&s);
    CHECK(post_items(&s, fd, OTLP_LOGS, 4, "INFO") == 200);
    CHECK(post_items(&s, fd, OTLP_METRICS, 5, "a") == 200);
    sim_run(&s, NS_PER_S);
    CHECK(given(&b, OTLP_LOGS) == 0 && given(&b, OTLP_METRICS) == 0);
    sim_stop(&s);
    CHECK(given(&b, OTLP_LOGS) == 4 && given(&b, OTLP_METRICS) == 5);
    end_sim(&s, &b);
}

int main(void)
{
    RUN(metrics_and_logs_pass_beside_traces_without_a_wait);
    RUN(what_processors_drop_of_metrics_and_logs_is_filtered_and_the_rest_kept);
    RUN(edits_come_before_the_stamp_of_resources_and_leave_the_rest_as_it_was);
    RUN(a_body_that_processors_make_much_longer_is_taken);
    RUN(a_body_of_many_small_resources_is_stamped_and_taken);
    RUN(what_stamping_makes_far_too_long_is_refused_for_good);
    RUN(rejected_items_are_cut_out_and_counted_and_empty_requests_go_nowhere);
    RUN(one_signal_waits_for_its_backend_while_others_go);
    RUN(a_full_queue_gives_up_the_oldest_of_any_signal);
    RUN(each_exporter_has_the_signals_that_it_takes_and_its_own_ledger);
    RUN(where_does_not_ask_metrics_and_logs);
    RUN(without_memory_requests_wait_and_nothing_is_lost);
    RUN(signals_in_any_order_arrive_once_through_failures);
    RUN(a_stop_sends_what_waits);
    return DONE();
}
