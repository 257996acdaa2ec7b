/* The whole collector from a seed: traffic, backends that are down, a disk that fails, kills, power
 * cuts, restarts with other workers and exporters, clocks that are set. Every ledger balances at
 * every step; what was acknowledged arrives, as its level promises; a trace has one decision.
 *
 *     collector_test_simulation [SEEDS [FIRST_SEED [log]]]
 */
#include "backends.h"
#include "invariants.h"
#include "senders.h"

#include <fcntl.h>
#include <signal.h>

#if defined(__SANITIZE_THREAD__)
static unsigned seeds = 1;
#else
static unsigned seeds = 4;
#endif
static uint64_t first_seed = 1;
static bool shows_log;

static void heal(void)
{
    w.disk.full = false;
    w.disk.faults.chance = 0;
    if (!w.well_ns)
        w.well_ns = world_ns();
}

/* Somebody sets the clock on the wall: by a minute, or by hours. */
static void step_clock(void)
{
    uint64_t most = (chance(50) ? 1 : 600) * 60 * NS_PER_S;

    w.sim.clock.unix_now += rng_below(&w.rng, 2 * most) - most;
}

/* Another kernel runs, whose clock begins anew. */
static void boot(void)
{
    char path[] = "/proc/sys/kernel/random/boot_id", id[40];
    int fd;

    snprintf(id, sizeof(id), "%08x-0000-4000-8000-000000000000\n", ++w.boot);
    if (w.disk.disk.open(&w.disk.disk, path, O_RDWR | O_CREAT, 0600, &fd, NULL) != ERR_OK ||
        w.disk.disk.pwrite(&w.disk.disk, fd, id, strlen(id), 0, NULL) != ERR_OK)
        abort();
    w.disk.disk.close(&w.disk.disk, fd);
    w.boots_ns += w.sim.clock.now;
    w.sim.clock.now = 10 * NS_PER_S;
    w.boots_ns -= w.sim.clock.now;
}

/* ---- lives ---- */

static void start(void)
{
    w.sim.host.seed = rng_next(&w.rng) | 1;
    if (has(CLOCK_STEPS) && chance(30))
        step_clock();
    w.moment++;
    change_exporters();
    make_config(1 + (unsigned)rng_below(&w.rng, 4));
    ends++;
    if (has(FAULTY_DISK) && chance(30)) {
        w.disk.faults.chance = 0.1;
        w.well_ns = 0;
        if (sim_try_start(&w.sim))
            return;
        say("does not start");
    }
    heal();
    sim_start(&w.sim);
}

static void crash(enum crash kind)
{
    struct fake_disk after;

    say("crash: %s", kind == CRASH_KILL ? "kill" : "power");
    if (w.level == LEVEL_MEMORY || (w.level == LEVEL_WRITTEN && kind == CRASH_POWER))
        excuse_all();
    w.killed_ns = world_ns();
    end_life();
    fake_disk_crash(&w.disk, kind, &w.rng, &after);
    sim_kill(&w.sim);
    fake_disk_fini(&w.disk);
    w.disk = after;
    heal();
    if (kind == CRASH_POWER)
        boot();
    start();
}

static bool all_good(void)
{
    for (unsigned i = 0; i < EXPORTERS; i++)
        if (w.place[i].is_on && w.place[i].mood != GOOD)
            return false;
    return true;
}

/* An orderly end. With good backends it leaves nothing, or, where it keeps, what waits. */
static void stop(void)
{
    const struct ledger *l;
    bool is_good =
        all_good() && w.disk.faults.chance == 0 && !w.disk.full && !has(SMALL_DISK | SMALL_MEMORY);

    say("stop");
    sim_stop(&w.sim);
    check_now();
    l = sim_ledger(&w.sim);
    MUST(!is_good || w.keeps ||
             (l->pending == 0 && l->passed[OTLP_LOGS].pending == 0 && ledger_unsettled(l) == 0),
         "%llu pending and %llu not settled after the end", (unsigned long long)l->pending,
         (unsigned long long)ledger_unsettled(l));
    if (w.level == LEVEL_MEMORY)
        excuse_all();
    w.killed_ns = world_ns();
    end_life();
    sim_kill(&w.sim);
    start();
}

/* SIGTERM, and before it is done, a second one. */
static void stop_twice(void)
{
    say("stop, and a kill");
    collector_stop(w.sim.collector, w.sim.clock.now);
    sim_run(&w.sim, rng_below(&w.rng, 200 * NS_PER_MS));
    crash(CRASH_KILL);
}

/* ---- a run ---- */

static void fail_disk(void)
{
    w.disk.full = has(FULL_DISK) && chance(50);
    if (has(FAULTY_DISK))
        w.disk.faults = (struct fake_faults){
            .rng = &w.fault_rng,
            .chance = chance(50) ? 0.05 : 0.5,
            .calls = 1U << FAKE_CALL_WRITE | 1U << FAKE_CALL_SYNC |
                     (chance(30) ? 1U << FAKE_CALL_OPEN | 1U << FAKE_CALL_SYNC_FOLDER : 0),
            .errors = FAKE_EIO | FAKE_ENOSPC | FAKE_EMFILE};
    w.well_ns = w.disk.full || w.disk.faults.chance > 0 ? 0 : world_ns();
    say("the disk fails: full %d, chance %.2f", w.disk.full, w.disk.faults.chance);
}

static void change_mood(void)
{
    unsigned i = (unsigned)rng_below(&w.rng, EXPORTERS);

    w.place[i].mood = chance(40) ? GOOD : (enum mood)rng_below(&w.rng, MOODS);
    say("%c is %d", 'a' + i, w.place[i].mood);
}

/* Other policies, while spans come in and traces wait. */
static void reload(void)
{
    bool was_full = w.disk.full;

    w.threshold_ms = 200 + 100 * (unsigned)rng_below(&w.rng, 5);
    say("reload: %u ms", w.threshold_ms);
    make_config(w.sim.host.cpus);
    w.disk.full = false; /* the configuration is not on the disk that fails */
    w.disk.faults.rng = NULL;
    sim_write(&w.sim, w.config);
    w.disk.full = was_full;
    w.disk.faults.rng = &w.fault_rng;
    (void)collector_reload(w.sim.collector, RELOAD_COMMAND);
}

static void something_happens(void)
{
    uint64_t dice = rng_below(&w.rng, 100);

    if (dice < 8 && has(KILLS))
        crash(CRASH_KILL);
    else if (dice >= 8 && dice < 12 && has(POWER_CUTS))
        crash(CRASH_POWER);
    else if (dice >= 12 && dice < 16 && has(STOPS))
        stop();
    else if (dice >= 16 && dice < 18 && has(STOPS))
        stop_twice();
    else if (dice >= 18 && dice < 28 && has(FAULTY_DISK | FULL_DISK))
        fail_disk();
    else if (dice >= 28 && dice < 40)
        heal();
    else if (dice >= 40 && dice < 65 && has(BAD_BACKENDS))
        change_mood();
    else if (dice >= 70 && dice < 80 && has(RELOADS))
        reload();
    else if (dice >= 65 && dice < 70 && has(CLOCK_STEPS))
        step_clock();
}

/* Two seconds after there is space again, spans are taken. */
static void check_that_it_takes_spans(void)
{
    const struct test_span span = make_span(TRACES, ++w.sent[TRACES], NULL);
    int status;

    sim_run(&w.sim, 2 * NS_PER_S);
    if (has(SMALL_DISK | SMALL_MEMORY | SMALL_QUEUES))
        return;
    note_copies(&span, 1);
    status = post_status(&w.sim, sim_connect(&w.sim), &span, 1);
    MUST(status == 200, "after all is well the answer is %d", status);
    note_acked(&span, 1);
}

static void all_get_well(void)
{
    heal();
    for (unsigned i = 0; i < EXPORTERS; i++)
        w.place[i].mood = GOOD;
    check_that_it_takes_spans();
    for (int i = 0; i < 10; i++) {
        sim_run(&w.sim, 60 * NS_PER_S);
        check_now();
        if (sim_ledger(&w.sim)->pending == 0 &&
            sim_ledger(&w.sim)->passed[OTLP_LOGS].pending == 0 &&
            ledger_unsettled(sim_ledger(&w.sim)) == 0)
            return;
    }
}

/* After an orderly end with everything delivered, the next life finds nothing and sends nothing. */
static void check_that_nothing_is_left(void)
{
    unsigned long before = delivered_again;

    sim_stop(&w.sim);
    sim_kill(&w.sim);
    w.families &= ~(unsigned)(CHANGES | FAULTY_DISK | BAD_BACKENDS);
    start();
    sim_run(&w.sim, 10 * NS_PER_S);
    check_now();
    MUST(sim_ledger(&w.sim)->sum.recovered == 0, "%llu spans are recovered after an orderly end",
         (unsigned long long)sim_ledger(&w.sim)->sum.recovered);
    MUST(sim_ledger(&w.sim)->sum.passed[OTLP_LOGS].recovered == 0,
         "%llu log records are recovered after an orderly end",
         (unsigned long long)sim_ledger(&w.sim)->sum.passed[OTLP_LOGS].recovered);
    MUST(delivered_again == before, "spans are sent again after an orderly end");
}

static void begin(uint64_t seed)
{
    memset(&w, 0, sizeof(w));
    w.seed = seed;
    rng_seed(&w.rng, seed);
    rng_seed(&w.fault_rng, ~seed);
    buf_init(&w.log, 64 << 20, NULL);
    w.families = (unsigned)(rng_next(&w.rng) & (rng_next(&w.rng) | rng_next(&w.rng))) &
                 ((1U << FAMILIES) - 1);
    w.families |= 1U << rng_below(&w.rng, FAMILIES);
    w.level = (enum level)rng_below(&w.rng, 3);
    w.keeps = chance(50);
    w.drops_oldest = chance(30);
    w.has_history = chance(30);
    w.threshold_ms = 500;
    fake_disk_init(&w.disk);
    change_exporters();
    make_config(1 + (unsigned)(seed % 3));
    log_redirect(log_line, NULL);
    log_use_clock(&w.sim.clock.clock);
    sim_init(&w.sim, &(struct sim_options){.config = w.config,
                                           .cpus = 1 + (unsigned)(seed % 3),
                                           .seed = seed,
                                           .moves_eagerly = seed % 4 > 0,
                                           .serve = serve_world,
                                           .disk = &w.disk.disk});
    say("seed %llu, families %x, level %d", (unsigned long long)seed, w.families, w.level);
}

static void end(void)
{
    log_flush();
    sim_fini(&w.sim);
    fake_disk_fini(&w.disk);
    log_redirect(NULL, NULL);
    log_use_clock(NULL);
    if (check_failures || shows_log)
        show_log(shows_log ? SIZE_MAX : 25);
}

/* One seed; its log stays until the next begins (buf_fini). */
static void simulate(uint64_t seed)
{
    begin(seed);
    for (unsigned i = 0; i < STEPS && !check_failures; i++) {
        w.moment++;
        something_happens();
        for (uint64_t n = rng_below(&w.rng, 6); n > 0 && !check_failures; n--)
            send_batch(1 + (uint64_t)(TRACES - 1) * (i + 1) / STEPS);
        if (has(PASSING | FOLLOWING) && chance(50))
            send_items(chance(50) ? OTLP_LOGS : OTLP_METRICS,
                       1 + (uint64_t)(TRACES - 1) * (i + 1) / STEPS);
        sim_run(&w.sim, rng_below(&w.rng, 3 * NS_PER_S));
        check_now();
    }
    if (!check_failures)
        all_get_well();
    if (!check_failures)
        check_all();
    if (!check_failures)
        check_that_nothing_is_left();
    end();
}

static void what_was_acknowledged_arrives_whatever_happens(void)
{
    for (uint64_t seed = first_seed; seed < first_seed + seeds && !check_failures; seed++) {
        simulate(seed);
        buf_fini(&w.log);
    }
}

static void a_seed_gives_the_same_run_again(void)
{
    struct buf first;

    simulate(first_seed);
    first = w.log;
    simulate(first_seed);
    CHECK(first.len > 1000 && first.len == w.log.len &&
          memcmp(first.data, w.log.data, first.len) == 0);
    buf_fini(&first);
    buf_fini(&w.log);
}

static void on_abort(int number)
{
    (void)number;
    signal(SIGABRT, SIG_DFL);
    show_log(25);
    abort();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seeds = (unsigned)atoi(argv[1]);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    shows_log = argc > 3;
    signal(SIGABRT, on_abort);
    RUN(what_was_acknowledged_arrives_whatever_happens);
    if (argc == 1 && seeds > 1)
        RUN(a_seed_gives_the_same_run_again);
    printf("%lu spans acknowledged, %lu delivered again, %lu ends, %lu moves\n", acknowledged,
           delivered_again, ends, moves);
    return DONE();
}
