/* Scenarios with a small journal.max_size, or a disk on which the journal cannot grow: what fits,
 * what is refused, and what is given up. */
#include "base/fake_disk.h"
#include "scenario.h"

#define DISK_OF(size)                                                                              \
    "local c = (function() " CONFIG(                                                               \
        "decision_wait = '1s', policies = { policy 'always_sample' {} }",                          \
        OTLP("all", "1",                                                                           \
             "queue = { max_size = '1GiB', "                                                       \
             "on_full = 'drop_oldest' }")) " end)() c.journal = { max_size = '" size               \
                                           "' } return c"

static void start_with(struct sim *s, unsigned workers)
{
    sim_kill(s);
    s->host.cpus = workers;
}

/* 40 MiB are 20 segments: three for each worker, eight for what is decided. */
static void a_bound_too_small_for_the_workers_is_refused_and_the_least_one_works(void)
{
    enum { TRACES = 64 };
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, DISK_OF("40MiB"));
    start_with(&s, 5);
    CHECK(!sim_try_start(&s));
    s.host.cpus = 4;
    CHECK(sim_try_start(&s));
    for (uint64_t i = 0; i < TRACES; i++) { /* each connection may be another worker's */
        struct test_span span = only_span(i, "small");

        CHECK(post_status(&s, sim_connect(&s), &span, 1) == 200);
    }
    sim_run(&s, 12 * NS_PER_S);
    CHECK(backend_read(&b, 1) == TRACES);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* Sends until spans are given up. Returns how many were acknowledged. */
static uint64_t fill_disk(struct sim *s)
{
    enum { REQUESTS = 400, PER_REQUEST = 50, NAME = 2000 };
    static char name[NAME];
    struct test_span spans[PER_REQUEST];
    uint64_t taken = 0, next = 0;
    int fd = sim_connect(s);

    memset(name, 'x', sizeof(name) - 1);
    for (unsigned i = 0; i < REQUESTS; i++) {
        for (unsigned k = 0; k < PER_REQUEST; k++)
            spans[k] = only_span(next++, name);
        if (post_status(s, fd, spans, PER_REQUEST) == 200)
            taken += PER_REQUEST;
        else
            fd = sim_connect(s);
        sim_run(s, 50 * NS_PER_MS);
    }
    return taken;
}

static void spans_given_up_for_a_full_disk_are_counted_to_the_last_one(void)
{
    const struct export_stats *stats;
    struct backend b;
    struct sim s;
    uint64_t taken;

    sim_with_backend(&s, &b, DISK_OF("22MiB")); /* the least for one */
    b.down[1] = true;
    taken = fill_disk(&s);
    sim_run(&s, 5 * NS_PER_S);
    balanced(&s);
    stats = &sim_ledger(&s)->exporters[0].stats;
    CHECK(taken > 1000 && sim_ledger(&s)->sum.received == taken);
    CHECK(stats->lost_disk_full > 0 && stats->lost_outbox_full == 0);
    CHECK(stats->queued + stats->lost_disk_full == taken);
    b.down[1] = false;
    sim_run(&s, 60 * NS_PER_S);
    balanced(&s);
    stats = &sim_ledger(&s)->exporters[0].stats;
    CHECK(stats->queued == 0 && stats->delivered + stats->lost_disk_full == taken);
    CHECK(backend_read(&b, 1) == stats->delivered);
    sim_fini(&s);
    backend_fini(&b);
}

static uint64_t decided_by(struct sim *s, enum trace_trigger trigger)
{
    const struct worker_counts *sum = &sim_ledger(s)->sum;

    return sum->decided[0][trigger] + sum->decided[1][trigger];
}

static void send_for(struct sim *s, int fd, uint64_t *next, unsigned seconds)
{
    for (unsigned i = 0; i < 20 * seconds; i++) {
        struct test_span span = only_span((*next)++, "steady");

        post(s, fd, &span, 1);
        sim_run(s, 50 * NS_PER_MS);
    }
}

/* Others fill the disk, far below max_size, and leave it again: there is room in the files that are
 * there, so every trace has its time. */
static void a_disk_that_others_fill_makes_nobody_decide_early_while_the_files_have_room(void)
{
    static struct fake_disk disk;
    uint64_t next = 0;
    struct sim s;
    int fd;

    fake_disk_init(&disk);
    sim_init(&s, &(struct sim_options){.config = CONFIG("decision_wait = '1s', policies = { "
                                                        "policy 'always_sample' {} }",
                                                        "exporter 'nop'"),
                                       .disk = &disk.disk});
    fd = sim_connect(&s);
    send_for(&s, fd, &next, 5);
    disk.full = true;
    send_for(&s, fd, &next, 40);
    disk.full = false;
    send_for(&s, fd, &next, 20);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(decided_by(&s, TRIGGER_PRESSURE) == 0 && decided_by(&s, TRIGGER_WAIT) == next);
    balanced(&s);
    sim_fini(&s);
    fake_disk_fini(&disk);
}

/* Nobody takes what is kept, and the files cannot grow: the oldest are given up, not all that come
 * refused. */
static void a_disk_that_others_filled_holds_as_much_of_a_queue_as_the_files_do(void)
{
    static struct fake_disk disk;
    const struct export_stats *stats;
    struct backend b;
    struct sim s;
    uint64_t taken;

    fake_disk_init(&disk);
    disk.capacity = 48 << 20;
    backend_init(&b);
    b.down[1] = true;
    sim_init(&s, &(struct sim_options){.config = DISK_OF("1GiB"),
                                       .serve = backend_serve,
                                       .serve_arg = &b,
                                       .disk = &disk.disk});
    taken = fill_disk(&s);
    sim_run(&s, 5 * NS_PER_S);
    stats = &sim_ledger(&s)->exporters[0].stats;
    CHECK(taken == 20000 && stats->lost_disk_full > 0);
    CHECK(stats->queued + stats->lost_disk_full == taken);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
    fake_disk_fini(&disk);
}

int main(void)
{
    RUN(a_bound_too_small_for_the_workers_is_refused_and_the_least_one_works);
    RUN(a_disk_that_others_fill_makes_nobody_decide_early_while_the_files_have_room);
    RUN(a_disk_that_others_filled_holds_as_much_of_a_queue_as_the_files_do);
    RUN(spans_given_up_for_a_full_disk_are_counted_to_the_last_one);
    return DONE();
}
