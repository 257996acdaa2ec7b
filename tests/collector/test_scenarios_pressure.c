/* Scenarios: backends that are down, queues and memory that are full, and the end. */
#include "scenario.h"

#define EVERYTHING "policies = { policy 'always_sample' {} }"

static struct test_span root(uint64_t trace)
{
    return (struct test_span){.trace_high = trace,
                              .trace_low = mix(trace),
                              .id = 1,
                              .start_ms = now_ms,
                              .duration_ms = 10};
}

enum { PER_REQUEST = 50 };

/* Posts PER_REQUEST traces of one span; the status. */
static int post_traces(struct sim *s, int fd, uint64_t first)
{
    struct test_span spans[PER_REQUEST];

    for (uint64_t i = 0; i < PER_REQUEST; i++)
        spans[i] = root(first + i);
    return post_status(s, fd, spans, PER_REQUEST);
}

static const struct ledger_exporter *exporter(struct sim *s)
{
    return &sim_ledger(s)->exporters[0];
}

/* With the default limit of memory, from more connections than it has room for segments. */
static void a_machine_of_many_cpus_takes_requests(void)
{
    enum { CONNECTIONS = 100 };
    struct backend b;
    struct sim s;

    backend_init(&b);
    sim_init(&s, &(struct sim_options){
                     .config = CONFIG("decision_wait = '1s', " EVERYTHING, OTLP("all", "1", "")),
                     .cpus = 96,
                     .serve = backend_serve,
                     .serve_arg = &b});
    for (uint64_t i = 0; i < CONNECTIONS; i++)
        CHECK(post_traces(&s, sim_connect(&s), i * PER_REQUEST) == 200);
    CHECK(sim_ledger(&s)->sum.received == CONNECTIONS * PER_REQUEST);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_full_queue_that_refuses_makes_senders_wait_and_loses_nothing(void)
{
    uint64_t taken = 0;
    struct backend b;
    struct sim s;
    int fd, status = 200;

    sim_with_backend(
        &s, &b,
        CONFIG("decision_wait = '1s', " EVERYTHING,
               OTLP("all", "1", "queue = { max_size = '64KiB', on_full = 'refuse' }")));
    fd = sim_connect(&s);
    b.down[1] = true;
    for (int i = 0; i < 100 && status == 200; i++) {
        status = post_traces(&s, fd, taken);
        taken += status == 200 ? PER_REQUEST : 0;
        sim_run(&s, 2 * NS_PER_S);
        balanced(&s);
    }
    CHECK(status == 503);
    CHECK(strstr(s.answer, "Retry-After: "));
    CHECK(taken >= 200 && sim_ledger(&s)->sum.received == taken);
    CHECK(sim_ledger(&s)->receive.refused[REFUSED_QUEUE_FULL] == 1);
    CHECK(exporter(&s)->stats.queued == taken && exporter(&s)->stats.queue_bytes > 64 << 10);
    CHECK(exporter(&s)->stats.lost_outbox_full == 0);
    b.down[1] = false;
    sim_run(&s, 31 * NS_PER_S);
    CHECK(exporter(&s)->stats.delivered == taken);
    CHECK(post_traces(&s, fd, taken) == 200);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(backend_read(&b, 1) == taken + PER_REQUEST);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_full_queue_that_drops_counts_the_oldest_as_lost(void)
{
    enum { REQUESTS = 40 };
    uint64_t lost;
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b,
                     CONFIG("decision_wait = '1s', " EVERYTHING,
                            OTLP("all", "1", "queue = { max_size = '64KiB' }")));
    fd = sim_connect(&s);
    b.down[1] = true;
    for (uint64_t i = 0; i < REQUESTS; i++) {
        CHECK(post_traces(&s, fd, i * PER_REQUEST) == 200);
        sim_run(&s, 2 * NS_PER_S);
        balanced(&s);
    }
    lost = exporter(&s)->stats.lost_outbox_full;
    CHECK(lost > 0 && exporter(&s)->stats.queue_bytes <= 64 << 10);
    CHECK(exporter(&s)->stats.queued + lost == (uint64_t)REQUESTS * PER_REQUEST);
    b.down[1] = false;
    sim_run(&s, 31 * NS_PER_S);
    CHECK(exporter(&s)->stats.lost_outbox_full == lost);
    CHECK(exporter(&s)->stats.delivered == (uint64_t)REQUESTS * PER_REQUEST - lost);
    CHECK(backend_read(&b, 1) == REQUESTS * PER_REQUEST - lost);
    backend_span(&b, 1, REQUESTS * PER_REQUEST - 1, 1); /* the newest are there */
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* Without files nothing leaves and everything is kept, so memory fills up to its limit (with them
 * test_recovery.c has what happens: the queue is on disk); when the backend is there
 * again all of it leaves. The limits in MiB, `over` in KiB: what a quarter of spike_limit is too
 * small to hold back for a segment of the outbox and a request. */
static void fill_memory_and_recover(unsigned workers, unsigned limit, unsigned spike, unsigned over)
{
    const uint64_t most = ((uint64_t)limit << 20) + (over << 10);
    char config[2048];
    uint64_t taken = 0, before = 0, waited;
    struct backend b;
    struct sim s;
    int fd, status = 200;

    snprintf(
        config, sizeof(config),
        "local c = (function() %s end)() "
        "c.memory_limiter = { limit = '%uMiB', spike_limit = '%uMiB', compression = 'lz4' } "
        "c.journal = { ack = 'memory' } c.workers = %u return c",
        CONFIG(EVERYTHING, OTLP("all", "1", "queue = { max_size = '1GiB', on_full = 'refuse' }")),
        limit, spike, workers);
    sim_with_backend(&s, &b, config);
    fd = sim_connect(&s);
    b.down[1] = true;
    for (int i = 0; i < 10000 && status == 200; i++) {
        before = s.clock.now;
        status = post_traces(&s, fd, taken);
        taken += status == 200 ? PER_REQUEST : 0;
    }
    waited = s.clock.now - before;
    CHECK(status == 503);
    CHECK(strstr(s.answer, "Retry-After: "));
    CHECK(waited >= 2 * NS_PER_S && waited < 2200 * NS_PER_MS);
    CHECK(sim_ledger(&s)->receive.paused >= 1);
    CHECK(sim_ledger(&s)->receive.refused[REFUSED_MEMORY] == 1);
    CHECK(sim_ledger(&s)->sum.received == taken && taken > 10000);
    CHECK(sim_ledger(&s)->sum.decided[1][TRIGGER_PRESSURE] > 1000);
    CHECK(sim_ledger(&s)->memory_peak <= most);
    balanced(&s);
    b.down[1] = false;
    sim_run(&s, 45 * NS_PER_S);
    CHECK(exporter(&s)->stats.delivered == taken);
    CHECK(post_traces(&s, fd, taken) == 200);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(backend_read(&b, 1) == taken + PER_REQUEST);
    CHECK(sim_ledger(&s)->memory_peak <= most);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void without_memory_a_request_waits_two_seconds_and_nothing_is_stuck_for_good(void)
{
    fill_memory_and_recover(1, 32, 20, 0);
    if (SIM_IS_SLOW)
        return;
    fill_memory_and_recover(1, 24, 4, 1536);
    fill_memory_and_recover(1, 32, 8, 512);
    fill_memory_and_recover(1, 48, 28, 0);
    fill_memory_and_recover(4, 64, 8, 1536);
}

/* A kept trace needs as much memory again as it has, more than is left to decisions. */
static void large_traces_do_not_block_each_other_when_memory_is_full(void)
{
    enum { LARGE = 1 << 20, TRACES_MAX = 60 };
    static const char config[] = "local c = (function() " CONFIG(
        EVERYTHING,
        OTLP("all", "1",
             "")) " end)() c.journal = { ack = 'memory' } c.memory_limiter = { limit = '24MiB', "
                  "spike_limit = '4MiB' } return c";
    static char name[LARGE];
    uint64_t taken = 0;
    int status = 200;
    struct backend b;
    struct sim s;
    int fd;

    memset(name, 'x', sizeof(name) - 1);
    sim_with_backend(&s, &b, config);
    fd = sim_connect(&s);
    b.down[1] = true;
    for (uint64_t i = 1; i <= TRACES_MAX && status == 200; i++) {
        struct test_span large = root(i);

        large.name = name;
        status = post_status(&s, fd, &large, 1);
        taken += status == 200;
    }
    CHECK(status == 503 && taken > 5);
    b.down[1] = false;
    sim_run(&s, 60 * NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0);
    CHECK(exporter(&s)->stats.delivered == taken);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* Where only large traces wait and nothing is on its way out, no memory will be let go: a trace
 * must not grow larger than what intake leaves to decisions. */
static void grow_large_traces(size_t more)
{
    enum { LARGE = 1 << 20, TRACES = 2, SPANS_MAX = 30 };
    static const char config[] = "local c = (function() " CONFIG(
        "decision_wait = '5s', " EVERYTHING,
        OTLP("all", "1", "")) " end)() c.memory_limiter = { limit = '24MiB', "
                              "spike_limit = '4MiB' } return c";
    static char name[LARGE];
    uint64_t taken = 0;
    int status = 200;
    struct backend b;
    struct sim s;
    int fd;

    memset(name, 'x', sizeof(name) - 1);
    sim_with_backend(&s, &b, config);
    fd = sim_connect(&s);
    memory_add(&s.memory, more);
    for (uint64_t i = 0; i < SPANS_MAX && status == 200; i++) {
        struct test_span large = root(i % TRACES);

        large.id = 1 + i;
        large.name = name;
        status = post_status(&s, fd, &large, 1);
        taken += status == 200;
    }
    CHECK(status == 200 && taken == SPANS_MAX);
    CHECK(more > 0 || sim_ledger(&s)->sum.decided[1][TRIGGER_TOO_LARGE] == TRACES);
    sim_run(&s, 10 * NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0);
    CHECK(exporter(&s)->stats.delivered == taken);
    CHECK(sim_ledger(&s)->memory_peak <= 25 << 20); /* so small a spike_limit may be passed */
    balanced(&s);
    memory_release(&s.memory, more);
    sim_fini(&s);
    backend_fini(&b);
}

/* Wherever the parts of what is held lie beside the bounds. */
static void a_trace_does_not_grow_larger_than_what_decisions_have(void)
{
    for (size_t more = 0; more < 2 << 20; more += 384 << 10)
        grow_large_traces(more);
}

/* delay_ns: what a request to the backend hangs before it fails. */
static void end_with_a_dead_backend(uint64_t delay_ns)
{
    static const char config[] = "local c = (function() " CONFIG(
        EVERYTHING, OTLP("all", "1", "")) " end)() c.shutdown_timeout = '3s' return c";
    struct backend b;
    uint64_t before;
    struct sim s;

    sim_with_backend(&s, &b, config);
    b.down[1] = true;
    b.delay_ns = delay_ns;
    CHECK(post_traces(&s, sim_connect(&s), 1) == 200);
    before = s.clock.now;
    sim_stop(&s);
    CHECK(collector_phase(s.collector) == PHASE_STOPPED);
    CHECK(s.clock.now - before >= 3 * NS_PER_S);
    CHECK(s.clock.now - before < 3100 * NS_PER_MS);
    CHECK(b.requests[1] > 0);
    CHECK(sim_ledger(&s)->pending == 0);
    CHECK(sim_ledger(&s)->sum.decided[1][TRIGGER_SHUTDOWN] == PER_REQUEST);
    CHECK(exporter(&s)->stats.queued == PER_REQUEST);
    CHECK(exporter(&s)->stats.delivered == 0);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_shutdown_with_a_dead_backend_ends_in_time_and_counts_what_is_left(void)
{
    end_with_a_dead_backend(0);
    end_with_a_dead_backend(3600 * NS_PER_S);
}

static void a_shutdown_with_a_backend_that_works_waits_no_longer_than_needed(void)
{
    struct backend b;
    uint64_t before;
    struct sim s;

    sim_with_backend(&s, &b, CONFIG(EVERYTHING, OTLP("all", "1", "")));
    b.delay_ns = 500 * NS_PER_MS;
    CHECK(post_traces(&s, sim_connect(&s), 1) == 200);
    before = s.clock.now;
    sim_stop(&s);
    CHECK(s.clock.now - before < 600 * NS_PER_MS);
    CHECK(exporter(&s)->stats.delivered == PER_REQUEST);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void an_open_circuit_sends_one_request_a_probe(void)
{
    enum { TRACES = 1000, PROBES = 20 };
    size_t requests;
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b,
                     CONFIG("decision_wait = '1s', " EVERYTHING,
                            "exporter 'otlp' { endpoint = 'http://h:1', compression = 'none', "
                            "protocol = 'http/protobuf', batch = { max_spans = 1 } }"));
    fd = sim_connect(&s);
    b.down[1] = true;
    for (uint64_t i = 0; i < TRACES; i += PER_REQUEST)
        CHECK(post_traces(&s, fd, i) == 200);
    sim_run(&s, 30 * NS_PER_S);
    CHECK(exporter(&s)->stats.circuit_open);
    CHECK(exporter(&s)->stats.queued == TRACES);
    requests = b.requests[1];
    CHECK(requests >= 5 && requests <= 20); /* those in flight when the first ones failed, too */
    sim_run(&s, PROBES * 30 * NS_PER_S);
    CHECK(b.requests[1] - requests >= PROBES - 1 && b.requests[1] - requests <= PROBES + 1);
    CHECK(exporter(&s)->stats.queued == TRACES);
    balanced(&s);
    b.down[1] = false;
    sim_run(&s, 31 * NS_PER_S);
    CHECK(!exporter(&s)->stats.circuit_open);
    CHECK(exporter(&s)->stats.delivered == TRACES);
    CHECK(backend_read(&b, 1) == TRACES);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_failed_endpoint_is_left_and_come_back_to(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b,
                     CONFIG("decision_wait = '1s', " EVERYTHING,
                            "exporter 'otlp' { endpoints = { 'http://h:1', 'http://h:2' }, "
                            "compression = 'none', protocol = 'http/protobuf' }"));
    fd = sim_connect(&s);
    CHECK(post_traces(&s, fd, 0) == 200);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(backend_read(&b, 1) == PER_REQUEST && backend_read(&b, 2) == 0);
    b.down[1] = true;
    for (uint64_t i = 1; i <= 10; i++) {
        CHECK(post_traces(&s, fd, i * PER_REQUEST) == 200);
        sim_run(&s, 2 * NS_PER_S);
    }
    sim_run(&s, 2 * NS_PER_S);
    CHECK(b.requests[1] == 2); /* the one that was answered, and the one that was not */
    CHECK(backend_read(&b, 2) == (size_t)10 * PER_REQUEST);
    CHECK(!exporter(&s)->stats.circuit_open);
    b.down[1] = false;
    sim_run(&s, 30 * NS_PER_S);
    CHECK(post_traces(&s, fd, 1000) == 200);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(post_traces(&s, fd, 2000) == 200);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(backend_read(&b, 1) == (size_t)3 * PER_REQUEST);
    CHECK(backend_read(&b, 2) == (size_t)10 * PER_REQUEST);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

int main(void)
{
    RUN(a_machine_of_many_cpus_takes_requests);
    RUN(a_full_queue_that_refuses_makes_senders_wait_and_loses_nothing);
    RUN(a_full_queue_that_drops_counts_the_oldest_as_lost);
    RUN(without_memory_a_request_waits_two_seconds_and_nothing_is_stuck_for_good);
    RUN(large_traces_do_not_block_each_other_when_memory_is_full);
    RUN(a_trace_does_not_grow_larger_than_what_decisions_have);
    RUN(a_shutdown_with_a_dead_backend_ends_in_time_and_counts_what_is_left);
    RUN(a_shutdown_with_a_backend_that_works_waits_no_longer_than_needed);
    RUN(an_open_circuit_sends_one_request_a_probe);
    RUN(a_failed_endpoint_is_left_and_come_back_to);
    return DONE();
}
