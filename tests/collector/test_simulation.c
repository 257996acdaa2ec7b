/* The whole collector from a seed: traffic, backends that are down, a disk that fails, kills, power
 * cuts, restarts with other workers, clocks that are set. What was acknowledged arrives.
 *
 *     collector_test_simulation [SEEDS [FIRST_SEED]]
 */
#include "base/fake_disk.h"
#include "scenario.h"

enum { TRACES = 400, SPANS_OF_TRACE = 64, STEPS = 30, BATCH = 12 };

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
static unsigned seeds = 1;
#else
static unsigned seeds = 4;
#endif
static uint64_t first_seed = 1;
static unsigned long acknowledged, delivered_again, ends;

static struct world {
    struct sim sim;
    struct backend backend;
    struct fake_disk disk;
    struct rng rng, fault_rng;
    bool is_durable;                             /* ack = fsync */
    uint8_t sent[TRACES + 1];                    /* spans of each trace */
    uint64_t acked[TRACES + 1];                  /* a bit for each span */
    uint8_t arrived[TRACES + 1][SPANS_OF_TRACE]; /* how often */
} w;

static bool chance(unsigned percent)
{
    return rng_below(&w.rng, 100) < percent;
}

/* All spans of a kept trace are slow, so that whichever of them are there decide the same. */
static bool is_kept(uint64_t trace)
{
    return trace % 3 != 0;
}

static void send_batch(uint64_t newest)
{
    struct test_span spans[BATCH];
    uint64_t traces[BATCH];
    unsigned count = 0;
    int fd = sim_connect(&w.sim), status;

    for (uint64_t n = 1 + rng_below(&w.rng, BATCH); n > 0; n--) {
        uint64_t trace = 1 + (chance(70) && newest > 8 ? newest - 1 - rng_below(&w.rng, 8)
                                                       : rng_below(&w.rng, newest));

        if (w.sent[trace] == SPANS_OF_TRACE)
            continue;
        traces[count] = trace;
        spans[count++] = (struct test_span){.trace_high = trace,
                                            .trace_low = mix(trace),
                                            .id = ++w.sent[trace],
                                            .parent = w.sent[trace] == 1 ? 0 : 1,
                                            .start_ms = now_ms,
                                            .duration_ms = is_kept(trace) ? 900 : 1};
    }
    if (count == 0 || fd < 0)
        return;
    status = post_status(&w.sim, fd, spans, count);
    fake_net_close(w.sim.net, fd);
    for (unsigned i = 0; i < count && status == 200; i++)
        w.acked[traces[i]] |= UINT64_C(1) << (spans[i].id - 1);
    acknowledged += status == 200 ? count : 0;
}

/* ---- ends ---- */

static void start_again(void)
{
    w.sim.host.cpus = 1 + (unsigned)rng_below(&w.rng, 4);
    w.sim.host.seed = rng_next(&w.rng) | 1;
    if (chance(30))
        w.sim.clock.unix_now += rng_below(&w.rng, 60 * NS_PER_S) - 30 * NS_PER_S;
    sim_start(&w.sim);
    balanced(&w.sim);
    ends++;
}

static void crash(enum crash kind)
{
    struct fake_disk after;

    fake_disk_crash(&w.disk, kind, &w.rng, &after);
    sim_kill(&w.sim);
    fake_disk_fini(&w.disk);
    w.disk = after;
    start_again();
}

static void heal(void)
{
    w.disk.full = false;
    w.disk.faults.chance = 0;
}

static void stop(void)
{
    heal();
    sim_stop(&w.sim);
    sim_kill(&w.sim);
    start_again();
}

static void fail_disk(void)
{
    w.disk.full = chance(30);
    w.disk.faults = (struct fake_faults){.rng = &w.fault_rng,
                                         .chance = chance(50) ? 0.05 : 0.5,
                                         .calls = 1U << FAKE_CALL_WRITE | 1U << FAKE_CALL_SYNC,
                                         .errors = FAKE_EIO | FAKE_ENOSPC};
}

/* ---- a run ---- */

static void something_happens(void)
{
    uint64_t dice = rng_below(&w.rng, 100);

    if (dice < 8) {
        heal();
        crash(CRASH_KILL);
    } else if (dice < 12 && w.is_durable) {
        heal();
        crash(CRASH_POWER);
    } else if (dice < 15) {
        stop();
    } else if (dice < 23) {
        fail_disk();
    } else if (dice < 35) {
        heal();
    } else if (dice < 50) {
        w.backend.down[1] = !w.backend.down[1];
    } else if (dice < 55) {
        w.backend.delay_ns = rng_below(&w.rng, 2 * NS_PER_S);
    } else if (dice < 60) {
        w.sim.clock.unix_now += rng_below(&w.rng, 120 * NS_PER_S) - 60 * NS_PER_S;
    }
}

static void count_arrived(void)
{
    backend_read(&w.backend, 1);
    for (size_t i = 0; i < w.backend.count; i++) {
        uint64_t trace = view_id(slice_make(w.backend.spans[i].trace_id, 8));
        uint64_t id = w.backend.spans[i].span_id;

        if (trace == 0 || trace > TRACES || id == 0 || id > w.sent[trace] || !is_kept(trace)) {
            printf("  trace %llu span %llu\n", (unsigned long long)trace, (unsigned long long)id);
            CHECK(!"the backend has only what was sent and kept");
            continue;
        }
        delivered_again += w.arrived[trace][id - 1]++ > 0;
    }
}

static void check_all(void)
{
    unsigned lost = 0;

    CHECK(sim_ledger(&w.sim)->pending == 0);
    CHECK(sim_ledger(&w.sim)->exporters[0].stats.queued == 0);
    for (uint64_t t = 1; t <= TRACES; t++)
        for (unsigned i = 0; i < w.sent[t]; i++)
            lost += is_kept(t) && w.acked[t] >> i & 1 && !w.arrived[t][i];
    if (lost)
        printf("  %u spans are lost\n", lost);
    CHECK(lost == 0);
}

static void simulate(uint64_t seed)
{
    static const char *const configs[] = {
        "return { shutdown_timeout = '3s', receivers = { otlp = { grpc = false, http = "
        "'127.0.0.1:0' } },\n"
        "  journal = { ack = 'written' },\n"
        "  tail_sampling = { decision_wait = '4s', policies = { policy 'latency' { threshold_ms = "
        "500 } } },\n  exporters = { " OTLP("all", "1", "queue = { on_full = 'refuse' }") " } }\n",
        "return { shutdown_timeout = '3s', receivers = { otlp = { grpc = false, http = "
        "'127.0.0.1:0' } },\n"
        "  journal = { ack = 'fsync' },\n"
        "  tail_sampling = { decision_wait = '4s', policies = { policy 'latency' { threshold_ms = "
        "500 } } },\n  exporters = { " OTLP("all", "1", "queue = { on_full = 'refuse' }") " } }\n",
    };

    memset(&w, 0, sizeof(w));
    rng_seed(&w.rng, seed);
    rng_seed(&w.fault_rng, ~seed);
    w.is_durable = seed % 2 == 0;
    fake_disk_init(&w.disk);
    backend_init(&w.backend);
    sim_init(&w.sim, &(struct sim_options){.config = configs[w.is_durable],
                                           .cpus = 1 + (unsigned)(seed % 3),
                                           .seed = seed,
                                           .serve = backend_serve,
                                           .serve_arg = &w.backend,
                                           .disk = &w.disk.disk});
    for (unsigned i = 0; i < STEPS && !check_failures; i++) {
        something_happens();
        for (uint64_t n = rng_below(&w.rng, 6); n > 0; n--)
            send_batch(1 + (TRACES - 1) * (i + 1) / STEPS);
        sim_run(&w.sim, rng_below(&w.rng, 3 * NS_PER_S));
        balanced(&w.sim);
    }
    heal();
    w.backend.down[1] = false;
    w.backend.delay_ns = 0;
    sim_run(&w.sim, 120 * NS_PER_S);
    balanced(&w.sim);
    count_arrived();
    check_all();
    if (check_failures)
        printf("  replay: collector_test_simulation 1 %llu\n", (unsigned long long)seed);
    sim_fini(&w.sim);
    backend_fini(&w.backend);
    fake_disk_fini(&w.disk);
}

static void what_was_acknowledged_arrives_whatever_happens(void)
{
    for (uint64_t seed = first_seed; seed < first_seed + seeds && !check_failures; seed++)
        simulate(seed);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seeds = (unsigned)atoi(argv[1]);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    RUN(what_was_acknowledged_arrives_whatever_happens);
    printf("%lu spans acknowledged, %lu delivered again, %lu ends\n", acknowledged, delivered_again,
           ends);
    return DONE();
}
