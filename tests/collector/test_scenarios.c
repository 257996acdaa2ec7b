/* Whole-program scenarios: the collector in one thread on virtual time. */
#include "check.h"
#include "sim.h"
#include "spans.h"

#include <stdlib.h>

#define PIPELINE(policies)                                                                         \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "  tail_sampling = { policies = { " policies " } }, exporters = { exporter 'nop' } }\n"

static const char reference[] =
    PIPELINE("policy 'drop_health_checks', policy 'status_code' { status_codes = { 'ERROR' } }, "
             "policy 'latency' { threshold_ms = 500 }, "
             "policy 'probabilistic' { sampling_percentage = 10 }");

static const uint64_t now_ms = UINT64_C(1700000000000);

/* Posts spans in one request and expects 200. */
static void post(struct sim *s, int fd, const struct test_span *spans, size_t count)
{
    struct buf body;

    buf_init(&body, 64 << 20, NULL);
    spans_put(&body, spans, count);
    CHECK(sim_post(s, fd, buf_slice(&body)) == 200);
    buf_fini(&body);
}

static void balanced(struct sim *s)
{
    const struct ledger *l = sim_ledger(s);

    CHECK(l->unaccounted == 0);
    for (size_t i = 0; i < l->exporter_count; i++)
        CHECK(l->exporters[i].unaccounted == 0);
}

static void an_error_and_a_slow_trace_are_kept_whole(void)
{
    /* R of all three is 0: the draw keeps none of them. */
    const struct test_span first[] = {
        {.trace_high = 1, .id = 1, .start_ms = now_ms, .duration_ms = 100},
        {.trace_high = 2, .id = 1, .start_ms = now_ms, .duration_ms = 100},
        {.trace_high = 3, .id = 1, .start_ms = now_ms, .duration_ms = 100},
    };
    const struct test_span second[] = {
        {.trace_high = 1,
         .id = 2,
         .parent = 1,
         .start_ms = now_ms,
         .duration_ms = 5,
         .error = true},
        {.trace_high = 2, .id = 2, .parent = 1, .start_ms = now_ms + 400, .duration_ms = 100},
        {.trace_high = 3, .id = 2, .parent = 1, .start_ms = now_ms + 400, .duration_ms = 99},
    };
    struct sim s;
    int fd;

    sim_init(&s, &(struct sim_options){.config = reference});
    fd = sim_connect(&s);
    post(&s, fd, first, 3);
    sim_run(&s, 5 * NS_PER_S);
    post(&s, fd, second, 3);
    CHECK(sim_ledger(&s)->pending == 6);
    CHECK(sim_ledger(&s)->new_traces == 3);
    sim_run(&s, 4 * NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 6);
    balanced(&s);
    sim_run(&s, 2 * NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0);
    CHECK(sim_kept(&s, "status_code", "error") == 2);
    CHECK(sim_kept(&s, "latency", "slow") == 2);
    CHECK(sim_dropped(&s, "probabilistic", "sampled") == 2);
    CHECK(sim_ledger(&s)->new_traces == 3);
    CHECK(sim_ledger(&s)->exporters[0].stats.delivered == 4);
    balanced(&s);
    sim_fini(&s);
}

/* splitmix64: ids that are spread. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

enum { DRAWN = 3000, PER_REQUEST = 50 };

/* How many of DRAWN traces the integer says are kept. */
static size_t expected_kept(void)
{
    size_t n = 0;

    for (uint64_t i = 0; i < DRAWN; i++)
        n += (mix(i) & ((UINT64_C(1) << 56) - 1)) >= UINT64_C(0xe6660000000000);
    return n;
}

static void draw(unsigned workers, size_t max_chunk)
{
    struct test_span spans[PER_REQUEST];
    char config[1024];
    struct sim s;
    int fds[8];

    snprintf(config, sizeof(config), "local c = (function() %s end)() c.workers = %u return c",
             reference, workers);
    sim_init(&s, &(struct sim_options){.config = config, .max_chunk = max_chunk});
    for (int i = 0; i < 8; i++)
        fds[i] = sim_connect(&s);
    for (uint64_t id = 1; id <= 2; id++)
        for (uint64_t i = 0; i < DRAWN; i += PER_REQUEST) {
            for (uint64_t k = 0; k < PER_REQUEST; k++)
                spans[k] = (struct test_span){.trace_high = i + k,
                                              .trace_low = mix(i + k),
                                              .id = id,
                                              .parent = id - 1,
                                              .start_ms = now_ms,
                                              .duration_ms = 20};
            post(&s, fds[(i / PER_REQUEST) % 8], spans, PER_REQUEST);
        }
    if (workers > 1)
        CHECK(sim_ledger(&s)->sum.crossed > DRAWN / 2);
    sim_run(&s, 11 * NS_PER_S);
    CHECK(sim_kept(&s, "probabilistic", "sampled") == 2 * expected_kept());
    CHECK(sim_dropped(&s, "probabilistic", "sampled") == 2 * (DRAWN - expected_kept()));
    CHECK(sim_ledger(&s)->pending == 0);
    balanced(&s);
    sim_fini(&s);
}

static void the_draw_keeps_what_the_integers_say_with_any_number_of_workers(void)
{
    draw(1, 0);
    draw(2, 0);
    draw(4, 0);
    draw(4, 777);
}

static void a_late_span_follows_the_decision(void)
{
    const struct test_span kept = {
        .trace_high = 1, .id = 1, .start_ms = now_ms, .duration_ms = 900};
    const struct test_span dropped = {
        .trace_high = 2, .id = 1, .start_ms = now_ms, .duration_ms = 1};
    const struct test_span late[] = {
        {.trace_high = 1, .id = 2, .parent = 1, .start_ms = now_ms, .duration_ms = 1},
        {.trace_high = 2,
         .id = 2,
         .parent = 1,
         .start_ms = now_ms,
         .duration_ms = 1,
         .error = true},
    };
    struct sim s;
    int fd;

    sim_init(&s, &(struct sim_options){.config = reference});
    fd = sim_connect(&s);
    post(&s, fd, &kept, 1);
    post(&s, fd, &dropped, 1);
    sim_run(&s, 11 * NS_PER_S);
    post(&s, fd, late, 2);
    sim_run(&s, NS_PER_S);
    CHECK(sim_ledger(&s)->sum.late_kept == 1);
    CHECK(sim_ledger(&s)->sum.late_dropped == 1);
    CHECK(sim_kept(&s, "latency", "slow") == 2);
    CHECK(sim_dropped(&s, "probabilistic", "sampled") == 2);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(sim_ledger(&s)->exporters[0].stats.delivered == 2);
    balanced(&s);
    sim_fini(&s);
}

static void a_shutdown_decides_what_waits_and_delivers_it(void)
{
    const struct test_span spans[] = {
        {.trace_high = 1, .id = 1, .start_ms = now_ms, .duration_ms = 900},
        {.trace_high = 2, .id = 1, .start_ms = now_ms, .duration_ms = 1},
    };
    struct sim s;

    sim_init(&s, &(struct sim_options){.config = reference});
    post(&s, sim_connect(&s), spans, 2);
    sim_stop(&s);
    CHECK(collector_phase(s.collector) == PHASE_STOPPED);
    CHECK(sim_kept(&s, "latency", "slow") == 1);
    CHECK(sim_ledger(&s)->exporters[0].stats.delivered == 1);
    CHECK(sim_ledger(&s)->sum.decided[1][TRIGGER_SHUTDOWN] == 2);
    balanced(&s);
    sim_fini(&s);
}

/* The page says so: a gauge to be alerted by, and the failures by kind. */
static void quarantine_is_on_the_page(struct sim *s, const char *policy, uint64_t traces)
{
    struct buf page;
    char gauge[128];
    const char *name, *kind;
    uint64_t count, failed = 0, unasked = 0;
    size_t at = 0;

    buf_init(&page, 1 << 20, NULL);
    CHECK(collector_write_metrics(s->collector, false, &page) == 200);
    buf_byte(&page, 0);
    snprintf(gauge, sizeof(gauge), "moontail_policy_quarantined{policy=\"%s\"} 1\n", policy);
    CHECK(strstr((const char *)page.data, gauge));
    buf_fini(&page);
    while (policy_errors_next(collector_policy_shared(s->collector), &at, &name, &kind, &count)) {
        failed += strcmp(kind, "error") == 0 ? count : 0;
        unasked += strcmp(kind, "quarantine") == 0 ? count : 0;
    }
    CHECK(failed == 10 && failed + unasked == traces);
}

/* 5,000 traces a second, a third of which an earlier policy drops for certain. */
static void fail_open_is_bounded(unsigned workers)
{
    static const char text[] =
        "return { workers = %u, receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"
        "  tail_sampling = { decision_wait = '1s', policies = {\n"
        "    policy { name = 'third', decide = function(trace)\n"
        "      if trace.duration_ms < 1 then return drop 'quick' end end },\n"
        "    policy { name = 'latency', decide = function(trace) return trace.nonsense end },\n"
        "    policy 'probabilistic' { sampling_percentage = 10 } } },\n"
        "  exporters = { exporter 'nop' } }\n";
    enum { TRACES = 5000, SECONDS = 4, ALL = TRACES * SECONDS };
    struct test_span spans[PER_REQUEST];
    uint64_t failed = 0, dropped, sampled, last = 0;
    char config[1024];
    struct sim s;
    int fd;

    snprintf(config, sizeof(config), text, workers);
    sim_init(&s, &(struct sim_options){.config = config, .cpus = workers});
    fd = sim_connect(&s);
    for (uint64_t second = 0; second < SECONDS + 2; second++) {
        for (uint64_t i = 0; i < TRACES && second < SECONDS; i += PER_REQUEST) {
            for (uint64_t k = 0; k < PER_REQUEST; k++)
                spans[k] = (struct test_span){.trace_high = second,
                                              .trace_low = mix(second * TRACES + i + k),
                                              .id = 1,
                                              .start_ms = now_ms,
                                              .duration_ms = (i + k) % 3};
            post(&s, fd, spans, PER_REQUEST);
        }
        sim_run(&s, NS_PER_S);
        failed = sim_kept(&s, "latency", "policy_error");
        CHECK(failed - last <= (second == 0 ? 20 : 10)); /* a second's worth may come at once */
        last = failed;
    }
    dropped = sim_dropped(&s, "third", "quick");
    sampled = sim_kept(&s, "probabilistic", "sampled");
    CHECK(failed >= 10 * (SECONDS - 1) && failed <= 10 * (SECONDS + 1));
    CHECK(dropped > ALL / 3 - SECONDS && dropped < ALL / 3 + SECONDS);
    CHECK(sampled > ALL / 18 && sampled < ALL / 12);
    quarantine_is_on_the_page(&s, "latency", ALL - dropped);
    balanced(&s);
    sim_fini(&s);
}

static void a_policy_in_quarantine_keeps_no_more_than_its_bound(void)
{
    fail_open_is_bounded(1);
    fail_open_is_bounded(2);
}

static void memory_over_the_soft_limit_decides_the_oldest_early(void)
{
    char config[1024];
    struct test_span spans[PER_REQUEST];
    struct sim s;
    int fd;

    snprintf(config, sizeof(config),
             "local c = (function() %s end)() "
             "c.journal = { ack = 'memory' } "
             "c.memory_limiter = { limit = '28MiB', spike_limit = '8MiB' } return c",
             reference);
    sim_init(&s, &(struct sim_options){.config = config});
    fd = sim_connect(&s);
    for (uint64_t i = 0; i < 100000; i += PER_REQUEST) {
        for (uint64_t k = 0; k < PER_REQUEST; k++)
            spans[k] = (struct test_span){.trace_high = i,
                                          .trace_low = mix(i + k),
                                          .id = 1,
                                          .start_ms = now_ms,
                                          .duration_ms = 1};
        post(&s, fd, spans, PER_REQUEST);
    }
    CHECK(sim_ledger(&s)->sum.decided[1][TRIGGER_PRESSURE] > 1000);
    CHECK(sim_ledger(&s)->memory_peak <= 28 << 20);
    CHECK(sim_ledger(&s)->pending > 1000);
    balanced(&s);
    sim_run(&s, 11 * NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0);
    CHECK(sim_ledger(&s)->sum.received == 100000);
    balanced(&s);
    sim_fini(&s);
}

static void every_counter_that_is_wrong_unbalances_its_ledger(void)
{
    const struct test_span span = {
        .trace_high = 1, .id = 1, .start_ms = now_ms, .duration_ms = 900};
    struct worker_counts *c;
    uint64_t *counters[6];
    struct sim s;

    sim_init(&s, &(struct sim_options){.config = reference});
    post(&s, sim_connect(&s), &span, 1);
    sim_run(&s, 20 * NS_PER_S);
    c = &collector_worker(s.collector, 0)->counts;
    counters[0] = &c->received;
    counters[1] = &c->rejected;
    counters[2] = &c->filtered[0];
    counters[3] = &c->lost[LOST_MEMORY];
    counters[4] = &c->kept[1];
    counters[5] = &c->recovered;
    for (int i = 0; i < 6; i++) {
        balanced(&s);
        (*counters[i])++;
        CHECK(sim_ledger(&s)->unaccounted != 0);
        (*counters[i])--;
    }
    c->dropped[1]++;
    CHECK(sim_ledger(&s)->unaccounted != 0);
    c->dropped[1]--;
    balanced(&s);
    sim_fini(&s);
}

static void the_same_seed_gives_the_same_run(void)
{
    uint64_t steps[2], kept[2];

    for (int run = 0; run < 2; run++) {
        struct test_span spans[PER_REQUEST];
        struct sim s;
        int fd;

        sim_init(&s, &(struct sim_options){.config = reference, .max_chunk = 100});
        fd = sim_connect(&s);
        for (uint64_t k = 0; k < PER_REQUEST; k++)
            spans[k] = (struct test_span){
                .trace_low = mix(k), .id = 1, .start_ms = now_ms, .duration_ms = 1};
        post(&s, fd, spans, PER_REQUEST);
        sim_run(&s, 12 * NS_PER_S);
        steps[run] = s.steps;
        kept[run] = sim_kept(&s, "probabilistic", "sampled");
        sim_fini(&s);
    }
    CHECK(steps[0] == steps[1]);
    CHECK(kept[0] == kept[1]);
}

static void without_tail_sampling_everything_is_kept(void)
{
    const struct test_span span = {.trace_high = 1, .id = 1, .start_ms = now_ms, .duration_ms = 1};
    struct sim s;

    sim_init(&s, &(struct sim_options){
                     .config = "return { receivers = { otlp = { grpc = false, "
                               "http = '127.0.0.1:0' } }, exporters = { exporter 'nop' } }"});
    post(&s, sim_connect(&s), &span, 1);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(sim_kept(&s, "none", NULL) == 1);
    CHECK(sim_ledger(&s)->exporters[0].stats.delivered == 1);
    balanced(&s);
    sim_fini(&s);
}

int main(void)
{
    RUN(an_error_and_a_slow_trace_are_kept_whole);
    RUN(the_draw_keeps_what_the_integers_say_with_any_number_of_workers);
    RUN(a_late_span_follows_the_decision);
    RUN(a_shutdown_decides_what_waits_and_delivers_it);
    RUN(a_policy_in_quarantine_keeps_no_more_than_its_bound);
    RUN(memory_over_the_soft_limit_decides_the_oldest_early);
    RUN(every_counter_that_is_wrong_unbalances_its_ledger);
    RUN(the_same_seed_gives_the_same_run);
    RUN(without_tail_sampling_everything_is_kept);
    return DONE();
}
