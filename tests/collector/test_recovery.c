/* Scenarios with files: what was acknowledged is there after a kill, for any number of workers. */
#include "scenario.h"

#define SLOW "policies = { policy 'latency' { threshold_ms = 500 } }"

static struct test_span span_of(uint64_t trace, uint64_t id, uint64_t duration_ms)
{
    return (struct test_span){.trace_high = trace,
                              .trace_low = mix(trace),
                              .id = id,
                              .parent = id == 1 ? 0 : 1,
                              .start_ms = now_ms,
                              .duration_ms = duration_ms};
}

static void post_one(struct sim *s, uint64_t trace, uint64_t id, uint64_t duration_ms)
{
    struct test_span span = span_of(trace, id, duration_ms);

    post(s, sim_connect(s), &span, 1);
}

/* Kills it and starts it again with `workers`. */
static void restart(struct sim *s, unsigned workers)
{
    sim_kill(s);
    s->host.cpus = workers;
    s->host.seed = s->host.seed * 2 + 1; /* another key: traces have other owners */
    sim_start(s);
    balanced(s);
}

/* Ledgers over a life: what was there at the start or came is somewhere. */
static const struct worker_counts *sums(struct sim *s)
{
    return &sim_ledger(s)->sum;
}

static void pending_spans_are_decided_after_a_kill_by_any_number_of_workers(void)
{
    enum { TRACES = 300 };
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, CONFIG(SLOW, OTLP("all", "1", "")));
    for (uint64_t i = 0; i < TRACES; i++)
        post_one(&s, i, 1, i % 2 ? 900 : 1);
    restart(&s, 4);
    CHECK(sums(&s)->recovered == TRACES && sums(&s)->received == 0);
    CHECK(sim_ledger(&s)->pending == TRACES && sim_ledger(&s)->table.traces == TRACES);
    for (uint64_t i = 0; i < TRACES; i++) /* the other half of each comes to its owner now */
        post_one(&s, i, 2, 1);
    restart(&s, 2);
    CHECK(sums(&s)->recovered == 2 * TRACES && sim_ledger(&s)->table.traces == TRACES);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0);
    CHECK(sim_kept(&s, "latency", "slow") == TRACES);
    CHECK(sim_dropped(&s, "default", "default") == TRACES);
    CHECK(sums(&s)->decided[1][TRIGGER_WAIT] == TRACES); /* whole */
    CHECK(backend_read(&b, 1) == TRACES);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_decision_is_remembered_over_kills_and_late_spans_follow_it(void)
{
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, CONFIG(SLOW, OTLP("all", "1", "")));
    post_one(&s, 1, 1, 900);
    post_one(&s, 2, 1, 1);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(backend_read(&b, 1) == 1);
    restart(&s, 2);
    CHECK(sums(&s)->recovered == 0 && sim_ledger(&s)->pending == 0);
    CHECK(sim_ledger(&s)->table.remembered == 2);
    post_one(&s, 1, 2, 1);
    post_one(&s, 2, 2, 900); /* slow, but its trace is dropped */
    sim_run(&s, 3 * NS_PER_S);
    CHECK(sums(&s)->late_kept == 1 && sums(&s)->late_dropped == 1);
    CHECK(sim_kept(&s, "latency", "slow") == 1 && sim_dropped(&s, "default", "default") == 1);
    CHECK(backend_read(&b, 1) == 2);
    restart(&s, 1);
    CHECK(sim_ledger(&s)->table.remembered == 2 && sim_ledger(&s)->pending == 0);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(backend_read(&b, 1) == 2);
    sim_fini(&s);
    backend_fini(&b);
}

/* They lie beside spans that wait, in one segment. The table holds no more decisions than
 * decision_cache; the journal's log holds those of all frames that are still there. */
static void what_was_decided_is_not_decided_again_however_few_decisions_are_remembered(void)
{
    enum { TRACES = 64 };
    static const char *const caches[] = {"0", "4", "1000000"};
    char text[1024];
    struct backend b;
    struct sim s;

    for (size_t c = 0; c < sizeof(caches) / sizeof(caches[0]); c++) {
        snprintf(text, sizeof(text),
                 CONFIG("decision_wait_after_root = '1s', decision_cache = %s, " SLOW,
                        OTLP("all", "1", "")),
                 caches[c]);
        sim_with_backend(&s, &b, text);
        for (uint64_t i = 0; i < TRACES; i++)
            post_one(&s, i, 1, i % 2 ? 900 : 1);
        post_one(&s, TRACES, 2, 900); /* its root is missing */
        sim_run(&s, 3 * NS_PER_S);
        CHECK(backend_read(&b, 1) == TRACES / 2 && sim_ledger(&s)->pending == 1);
        restart(&s, 2);
        CHECK(sums(&s)->recovered == 1 && sim_ledger(&s)->pending == 1);
        sim_run(&s, 12 * NS_PER_S);
        CHECK(backend_read(&b, 1) == TRACES / 2 + 1);
        balanced(&s);
        sim_fini(&s);
        backend_fini(&b);
    }
}

/* Recovery knows frames that are done by trace: two records of one frame could be torn apart by a
 * kill, and the second one's spans would pass for done. */
static void late_spans_of_a_trace_in_one_request_are_one_record(void)
{
    struct decision_record recent[8];
    struct test_span spans[6];
    size_t n, records = 0;
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, CONFIG(SLOW, OTLP("all", "1", "")));
    post_one(&s, 1, 1, 900);
    post_one(&s, 2, 1, 900);
    sim_run(&s, 12 * NS_PER_S);
    for (uint64_t i = 0; i < 6; i++) /* by turns */
        spans[i] = span_of(1 + i % 2, 2 + i, 1);
    post(&s, sim_connect(&s), spans, 6);
    sim_run(&s, 3 * NS_PER_S);
    n = journal_recent(collector_journal(s.collector), recent, 8);
    for (size_t i = 0; i < n; i++)
        if (recent[i].late) {
            records++;
            CHECK(recent[i].spans == 3 && recent[i].payload_spans == 3);
        }
    CHECK(n == 4 && records == 2 && sums(&s)->late_kept == 6);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* They wait for their turn to be handed on, and meanwhile their bodies leave memory. */
static void late_spans_of_dropped_traces_may_be_on_disk_only(void)
{
    enum { TRACES = 20000, TIMES = 4 };
    static const char config[] = "local c = (function() " CONFIG(
        SLOW,
        OTLP(
            "all", "1",
            "")) " end)() c.memory_limiter = { limit = '128MiB', spike_limit = '100MiB' } return c";
    struct test_span *spans = calloc(TRACES, sizeof(*spans));
    struct backend b;
    char name[400];
    struct sim s;

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    for (uint64_t i = 0; i < TRACES; i++) {
        spans[i] = span_of(i, 1, 1);
        spans[i].name = name;
    }
    sim_with_backend(&s, &b, config);
    for (unsigned i = 0; i < TIMES; i++) {
        post(&s, sim_connect(&s), spans, TRACES);
        sim_run(&s, 12 * NS_PER_S);
    }
    CHECK(sums(&s)->late_dropped == (TIMES - 1) * TRACES && sim_ledger(&s)->pending == 0);
    CHECK(sim_dropped(&s, "default", "default") == TIMES * TRACES);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
    free(spans);
}

static void what_was_queued_for_a_backend_is_sent_after_a_kill(void)
{
    enum { TRACES = 50 };
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, CONFIG(SLOW, OTLP("all", "1", "") "," OTLP("two", "2", "")));
    b.down[1] = true;
    for (uint64_t i = 0; i < TRACES; i++)
        post_one(&s, i, 1, 900);
    sim_run(&s, 20 * NS_PER_S);
    CHECK(backend_read(&b, 2) == TRACES);
    b.down[1] = false;
    restart(&s, 1);
    CHECK(sim_ledger(&s)->exporters[0].stats.recovered == TRACES);
    CHECK(sim_ledger(&s)->exporters[0].stats.enqueued == 0);
    CHECK(sim_ledger(&s)->exporters[1].stats.recovered == 0);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(backend_read(&b, 1) == TRACES && backend_read(&b, 2) == TRACES);
    CHECK(sim_ledger(&s)->exporters[0].stats.delivered == TRACES);
    balanced(&s);
    restart(&s, 1);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(backend_read(&b, 1) == TRACES && backend_read(&b, 2) == TRACES);
    sim_fini(&s);
    backend_fini(&b);
}

static bool page_says(struct sim *s, const char *line)
{
    struct buf page;
    bool says;

    buf_init(&page, 1 << 20, NULL);
    CHECK(collector_write_metrics(s->collector, false, &page) == 200);
    buf_byte(&page, '\0');
    says = buf_ok(&page) && strstr((const char *)page.data, line);
    buf_fini(&page);
    return says;
}

/* As a reload that takes it away counts it: nothing is lost without a word. */
static void what_was_queued_for_an_exporter_that_is_gone_at_a_start_is_counted(void)
{
    enum { TRACES = 50, SETTLED = 20 };
#define LOST "moontail_export_lost_spans_total{exporter=\"otlp/all\",reason=\"removed\"} "
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, CONFIG(SLOW, OTLP("all", "1", "") "," OTLP("two", "2", "")));
    for (uint64_t i = 0; i < TRACES; i++) {
        if (i == SETTLED)
            sim_run(&s, 20 * NS_PER_S);
        b.down[1] = i >= SETTLED;
        post_one(&s, i, 1, 900);
    }
    sim_run(&s, 20 * NS_PER_S);
    CHECK(backend_read(&b, 1) == SETTLED && backend_read(&b, 2) == TRACES);
    sim_write(&s, CONFIG(SLOW, OTLP("two", "2", "")));
    restart(&s, 1);
    CHECK(page_says(&s, LOST "30\n"));
    sim_run(&s, NS_PER_S);
    restart(&s, 1); /* once */
    CHECK(!page_says(&s, LOST));
    sim_write(&s, CONFIG(SLOW, OTLP("all", "1", "") "," OTLP("two", "2", "")));
    restart(&s, 1);
    CHECK(page_says(&s, LOST "0\n"));
    sim_fini(&s);
    backend_fini(&b);
#undef LOST
}

/* decision_wait is 10 s. Senders repeat what they could not deliver: 5 s are left to them. */
static void what_is_recovered_keeps_its_deadline_but_no_sooner_than_five_seconds(void)
{
    struct sim s;

    sim_init(&s, &(struct sim_options){.config = CONFIG(SLOW, "exporter 'nop'")});
    post_one(&s, 1, 1, 900);
    sim_run(&s, 2 * NS_PER_S);
    restart(&s, 1); /* 8 s are left */
    sim_run(&s, 7500 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 1);
    sim_run(&s, 600 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 0);
    post_one(&s, 2, 1, 900);
    sim_run(&s, 9 * NS_PER_S);
    restart(&s, 1); /* 1 s is left */
    sim_run(&s, 4900 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 1);
    sim_run(&s, 200 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 0 && sim_kept(&s, "latency", "slow") == 1);
    balanced(&s);
    sim_fini(&s);
}

#define KEEPING(tail, exporters)                                                                   \
    "local c = (function() " CONFIG(tail,                                                          \
                                    exporters) " end)() "                                          \
                                               "c.journal = { on_shutdown = 'keep' } return c"

static void a_shutdown_that_keeps_decides_nothing_and_the_next_start_goes_on(void)
{
    enum { TRACES = 100 };
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, KEEPING(SLOW, OTLP("all", "1", "")));
    b.delay_ns = 300 * NS_PER_MS;
    for (uint64_t i = 0; i < TRACES / 2; i++)
        post_one(&s, i, 1, 900);
    sim_run(&s, 10100 * NS_PER_MS); /* decided, and in flight */
    fd = sim_connect(&s);
    for (uint64_t i = TRACES / 2; i < TRACES; i++) {
        struct test_span span = span_of(i, 1, 900);

        post(&s, fd, &span, 1);
    }
    sim_stop(&s);
    CHECK(collector_phase(s.collector) == PHASE_STOPPED);
    CHECK(sim_ledger(&s)->pending == TRACES / 2);
    CHECK(sim_ledger(&s)->exporters[0].stats.in_flight == 0);
    CHECK(sums(&s)->decided[1][TRIGGER_SHUTDOWN] == 0);
    balanced(&s);
    restart(&s, 1);
    CHECK(sums(&s)->recovered == TRACES / 2);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(backend_read(&b, 1) == TRACES); /* what was in flight ended: nothing twice */
    CHECK(sim_kept(&s, "latency", "slow") == TRACES / 2);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void after_a_shutdown_that_decides_nothing_is_left(void)
{
    enum { TRACES = 100 };
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, CONFIG(SLOW, OTLP("all", "1", "")));
    for (uint64_t i = 0; i < TRACES; i++)
        post_one(&s, i, 1, 900);
    sim_stop(&s);
    CHECK(backend_read(&b, 1) == TRACES);
    CHECK(sim_ledger(&s)->journal.live_items == 0);
    restart(&s, 2);
    CHECK(sums(&s)->recovered == 0 && sim_ledger(&s)->pending == 0);
    CHECK(sim_ledger(&s)->exporters[0].stats.recovered == 0);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(backend_read(&b, 1) == TRACES);
    sim_fini(&s);
    backend_fini(&b);
}

/* A kill at each moment of a run with late spans: every span that was acknowledged is delivered,
 * and twice at most what the backend had not confirmed. */
static void a_kill_at_any_moment_loses_nothing_that_was_acknowledged(void)
{
    enum { TRACES = 40, MOMENTS = 12 };
    uint64_t twice = 0;

    for (uint64_t moment = 0; moment < MOMENTS; moment++) {
        struct backend b;
        struct sim s;
        size_t n;

        sim_with_backend(&s, &b,
                         CONFIG("decision_wait = '1s', policies = { policy 'always_sample' {} }",
                                OTLP("all", "1", "")));
        for (uint64_t i = 0; i < TRACES; i++)
            post_one(&s, i, 1, 1);
        sim_run(&s, 1000 * NS_PER_MS - 5 * NS_PER_MS + moment * 2 * NS_PER_MS);
        for (uint64_t i = 0; i < TRACES; i++)
            post_one(&s, i, 2, 1);
        if (moment % 3)
            sim_run(&s, moment * NS_PER_MS);
        restart(&s, 1 + (unsigned)moment % 3);
        sim_run(&s, 12 * NS_PER_S);
        CHECK(sim_ledger(&s)->pending == 0);
        balanced(&s);
        n = backend_read(&b, 1);
        CHECK(n >= (size_t)2 * TRACES);
        twice += n - (size_t)2 * TRACES;
        for (uint64_t i = 0; i < TRACES; i++)
            for (uint64_t id = 1; id <= 2; id++) {
                size_t found = 0;

                for (size_t k = 0; k < b.count; k++)
                    found += view_id(slice_make(b.spans[k].trace_id, 8)) == i &&
                             b.spans[k].span_id == id;
                CHECK(found >= 1);
            }
        sim_fini(&s);
        backend_fini(&b);
    }
    printf("  sent twice: %llu of %d\n", (unsigned long long)twice, 2 * TRACES * MOMENTS);
}

/* Each of the traces is there once; from one worker in the order in which they came. */
static void each_is_there_once(const struct backend *b, uint64_t traces, bool in_order)
{
    uint8_t *seen = calloc(traces, 1);
    uint64_t last = 0, behind = 0;

    CHECK(seen && b->count == traces);
    for (size_t i = 0; i < b->count; i++) {
        uint64_t trace = view_id(slice_make(b->spans[i].trace_id, 8));

        CHECK(trace < traces && !seen[trace]++);
        behind += trace < last;
        last = trace;
    }
    CHECK(behind == 0 || !in_order);
    free(seen);
}

/* A backend is down for long and everything is kept: the outbox becomes larger than memory may, but
 * it is on disk, also over a restart, so nobody is refused; and when the backend is there again all
 * of it arrives. The limit in MiB, `over` too: what three open segments and the tables of a small
 * limit need more. */
static void outgrow_memory(unsigned workers, unsigned limit, unsigned over, unsigned requests)
{
    enum { PER_REQUEST = 50, NAME = 2000 };
    static char name[NAME];
    struct test_span spans[PER_REQUEST];
    const uint64_t most = (uint64_t)(limit + over) << 20;
    uint64_t taken = 0;
    char config[2048];
    struct backend b;
    struct sim s;
    int fd;

    memset(name, 'x', sizeof(name) - 1);
    snprintf(config, sizeof(config),
             "local c = (function() %s end)() "
             "c.memory_limiter = { limit = '%uMiB', spike_limit = '%uMiB' } "
             "c.workers = %u return c",
             CONFIG("policies = { policy 'always_sample' {} }", OTLP("all", "1", "")), limit,
             limit / 4, workers);
    sim_with_backend(&s, &b, config);
    fd = sim_connect(&s);
    b.down[1] = true;
    for (unsigned i = 0; i < requests; i++) {
        for (uint64_t k = 0; k < PER_REQUEST; k++) {
            spans[k] = span_of(taken++, 1, 10);
            spans[k].name = name;
        }
        CHECK(post_status(&s, fd, spans, PER_REQUEST) == 200);
        sim_run(&s, 50 * NS_PER_MS);
    }
    sim_run(&s, 31 * NS_PER_S);
    CHECK(sim_ledger(&s)->exporters[0].stats.queued == taken);
    CHECK(sim_ledger(&s)->journal.spilled_bytes > (uint64_t)limit << 20);
    CHECK(sim_ledger(&s)->memory_peak <= most);
    balanced(&s);
    restart(&s, workers);
    CHECK(sim_ledger(&s)->exporters[0].stats.queued == taken);
    CHECK(sim_ledger(&s)->journal.spilled_bytes > (uint64_t)limit << 20);
    b.down[1] = false;
    sim_run(&s, 60 * NS_PER_S);
    CHECK(sim_ledger(&s)->exporters[0].stats.delivered == taken);
    CHECK(sim_ledger(&s)->memory_peak <= most);
    CHECK(backend_read(&b, 1) == taken);
    each_is_there_once(&b, taken, workers == 1);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* Bodies of traces that are due fill memory, and what they are composed to finds none. */
static void full_memory_does_not_slow_decisions_down_to_a_trickle(void)
{
    enum { PER_REQUEST = 100, REQUESTS = 900 };
    static const char config[] = "local c = (function() " CONFIG(
        "policies = { policy 'always_sample' {} }",
        OTLP("all", "1",
             "")) " end)() c.memory_limiter = { limit = '32MiB', spike_limit = '8MiB' } return c";
    struct test_span spans[PER_REQUEST];
    uint64_t taken = 0, began;
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, config);
    fd = sim_connect(&s);
    b.down[1] = true;
    began = s.clock.now;
    for (unsigned i = 0; i < REQUESTS; i++) {
        for (uint64_t k = 0; k < PER_REQUEST; k++)
            spans[k] = span_of(taken++, 1, 10);
        CHECK(post_status(&s, fd, spans, PER_REQUEST) == 200);
    }
    sim_run(&s, 12 * NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0);
    CHECK(s.clock.now - began < 40 * NS_PER_S);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_queue_that_is_larger_than_memory_is_on_disk_and_arrives_whole(void)
{
    outgrow_memory(1, 32, 4, 500);
    if (!SIM_IS_SLOW)
        outgrow_memory(4, 64, 0, 1000);
}

int main(void)
{
    RUN(full_memory_does_not_slow_decisions_down_to_a_trickle);
    RUN(a_queue_that_is_larger_than_memory_is_on_disk_and_arrives_whole);
    RUN(pending_spans_are_decided_after_a_kill_by_any_number_of_workers);
    RUN(a_decision_is_remembered_over_kills_and_late_spans_follow_it);
    RUN(what_was_decided_is_not_decided_again_however_few_decisions_are_remembered);
    RUN(late_spans_of_a_trace_in_one_request_are_one_record);
    RUN(late_spans_of_dropped_traces_may_be_on_disk_only);
    RUN(what_was_queued_for_a_backend_is_sent_after_a_kill);
    RUN(what_was_queued_for_an_exporter_that_is_gone_at_a_start_is_counted);
    RUN(what_is_recovered_keeps_its_deadline_but_no_sooner_than_five_seconds);
    RUN(a_shutdown_that_keeps_decides_nothing_and_the_next_start_goes_on);
    RUN(after_a_shutdown_that_decides_nothing_is_left);
    RUN(a_kill_at_any_moment_loses_nothing_that_was_acknowledged);
    return DONE();
}
