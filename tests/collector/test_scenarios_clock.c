/* Scenarios of clocks that are set by hours: deadlines run on the clock that nobody sets; after
 * another boot, which it does not outlive, the other one says how long traces have waited. */
#include "base/fake_disk.h"
#include "scenario.h"

#include <fcntl.h>

#define SLOW "policies = { policy 'latency' { threshold_ms = 500 } }" /* waits 10 s */

static const int64_t hour_ns = INT64_C(3600) * 1000000000;
static struct fake_disk disk;

static void begin(struct sim *s, struct backend *b)
{
    fake_disk_init(&disk);
    backend_init(b);
    sim_init(s, &(struct sim_options){.config = CONFIG(SLOW, OTLP("all", "1", "")),
                                      .serve = backend_serve,
                                      .serve_arg = b,
                                      .disk = &disk.disk});
}

static void end(struct sim *s, struct backend *b)
{
    balanced(s);
    sim_fini(s);
    backend_fini(b);
    fake_disk_fini(&disk);
}

static void post_one(struct sim *s, uint64_t trace, uint64_t id)
{
    struct test_span span = {.trace_high = trace,
                             .trace_low = mix(trace),
                             .id = id,
                             .parent = id == 1 ? 0 : 1,
                             .start_ms = now_ms,
                             .duration_ms = 900};

    post(s, sim_connect(s), &span, 1);
}

static void step_clock(struct sim *s, int64_t hours)
{
    s->clock.unix_now += (uint64_t)(hours * hour_ns);
}

/* What was written to the disk is there, and a kernel that was started `now_ns` ago. */
static void boot(struct sim *s, unsigned number, uint64_t now_ns)
{
    char path[] = "/proc/sys/kernel/random/boot_id", id[40];
    struct fake_disk after;
    int fd;

    fake_disk_crash(&disk, CRASH_KILL, NULL, &after);
    sim_kill(s);
    fake_disk_fini(&disk);
    disk = after;
    snprintf(id, sizeof(id), "%08x-0000-4000-8000-000000000000\n", number);
    if (disk.disk.open(&disk.disk, path, O_RDWR | O_CREAT, 0600, &fd, NULL) != ERR_OK ||
        disk.disk.pwrite(&disk.disk, fd, id, strlen(id), 0, NULL) != ERR_OK)
        abort();
    disk.disk.close(&disk.disk, fd);
    s->clock.now = now_ns;
}

static void wait_with_a_step_of(int64_t hours)
{
    struct backend b;
    struct sim s;

    begin(&s, &b);
    post_one(&s, 1, 1);
    sim_run(&s, NS_PER_S);
    step_clock(&s, hours);
    sim_run(&s, 8 * NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 1);
    sim_run(&s, 2 * NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0 && backend_read(&b, 1) == 1);
    step_clock(&s, -2 * hours);
    post_one(&s, 1, 2); /* late: it follows the decision */
    post_one(&s, 2, 1);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(backend_read(&b, 1) == 2 && sim_ledger(&s)->pending == 1);
    sim_run(&s, 8 * NS_PER_S);
    CHECK(backend_read(&b, 1) == 3 && sim_kept(&s, "latency", "slow") == 3);
    end(&s, &b);
}

static void the_clock_on_the_wall_moves_no_deadline(void)
{
    wait_with_a_step_of(5);
    wait_with_a_step_of(-5);
}

/* The backend is down for a while: retries and probes come as they would have. */
static void retry_with_a_step_of(int64_t hours)
{
    struct backend b;
    struct sim s;
    size_t before;

    begin(&s, &b);
    b.down[1] = true;
    post_one(&s, 1, 1);
    sim_run(&s, 300 * NS_PER_S);
    CHECK(b.requests[1] > 5);
    before = b.requests[1];
    step_clock(&s, hours);
    sim_run(&s, 300 * NS_PER_S);
    CHECK(b.requests[1] - before >= 9 && b.requests[1] - before <= 11);
    b.down[1] = false;
    sim_run(&s, 31 * NS_PER_S);
    CHECK(backend_read(&b, 1) == 1);
    end(&s, &b);
}

static void the_clock_on_the_wall_moves_no_retry(void)
{
    retry_with_a_step_of(5);
    retry_with_a_step_of(-5);
}

/* Killed after 4 of 10 s, and started again by the same kernel: 6 are left, whatever the time. */
static void restart_with_a_step_of(int64_t hours)
{
    struct backend b;
    struct sim s;

    begin(&s, &b);
    boot(&s, 1, 100 * NS_PER_S);
    sim_start(&s);
    post_one(&s, 1, 1);
    sim_run(&s, 4 * NS_PER_S);
    boot(&s, 1, s.clock.now);
    step_clock(&s, hours);
    sim_start(&s);
    CHECK(sim_ledger(&s)->sum.recovered == 1);
    sim_run(&s, 5500 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 1);
    sim_run(&s, NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0 && backend_read(&b, 1) == 1);
    end(&s, &b);
}

static void the_same_kernel_knows_the_deadline_after_a_restart(void)
{
    restart_with_a_step_of(0);
    restart_with_a_step_of(5);
    restart_with_a_step_of(-5);
}

/* Another kernel, whose clock begins anew: what waited for hours is due when senders have had their
 * 5 s to come again; where time went backwards the whole wait begins again, and no more. */
static void another_boot_after(int64_t hours, uint64_t waits_ns)
{
    struct backend b;
    struct sim s;

    begin(&s, &b);
    boot(&s, 1, 5000 * NS_PER_S);
    sim_start(&s);
    post_one(&s, 1, 1);
    sim_run(&s, 4 * NS_PER_S);
    boot(&s, 2, 30 * NS_PER_S);
    step_clock(&s, hours);
    sim_start(&s);
    CHECK(sim_ledger(&s)->sum.recovered == 1);
    sim_run(&s, waits_ns - 500 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 1);
    sim_run(&s, NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0 && backend_read(&b, 1) == 1);
    post_one(&s, 1, 2);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(backend_read(&b, 1) == 2);
    end(&s, &b);
}

static void after_another_boot_the_clock_on_the_wall_says_how_long_traces_waited(void)
{
    another_boot_after(0, 6 * NS_PER_S);
    another_boot_after(5, 5 * NS_PER_S);
    another_boot_after(-5, 10 * NS_PER_S);
}

int main(void)
{
    RUN(the_clock_on_the_wall_moves_no_deadline);
    RUN(the_clock_on_the_wall_moves_no_retry);
    RUN(the_same_kernel_knows_the_deadline_after_a_restart);
    RUN(after_another_boot_the_clock_on_the_wall_says_how_long_traces_waited);
    return DONE();
}
