/* Scenarios: a few traces that wait for long do not hold what came with them.
 *
 *     collector_test_scenarios_moves all
 *
 * looks at the bytes held at other levels and with more workers, too.
 */
#include "base/fake_disk.h"
#include "scenario.h"

enum { NAME = 4000, PER_REQUEST = 20, LONELY_ONE_IN = 20 };

/* Of 10 MB a second, and for `all` of 20; there the part that is open, or not worth moving, is
 * small. */
#if defined(__SANITIZE_THREAD__)
static uint64_t every_ns = 32 * NS_PER_MS;
static const double most = 4;
#else
static uint64_t every_ns = 8 * NS_PER_MS;
static const double most = 1.6;
#endif

static bool all;

#define WAITING(level, wait)                                                                       \
    "local c = (function() " CONFIG("decision_wait = '" wait "', decision_wait_after_root = '1s'," \
                                    "policies = { policy 'latency' { threshold_ms = 500 } }",      \
                                    OTLP("all", "1", "")) " end)() "                               \
                                                          "c.journal = { ack = '" level            \
                                                          "', segment_size = '2MiB' } return c"

/* One without a root waits for long, and is kept; the others are dropped. */
static bool is_lonely(uint64_t trace)
{
    return trace % LONELY_ONE_IN == 0;
}

static void post_some(struct sim *s, int fd, uint64_t first)
{
    static char name[NAME];
    struct test_span spans[PER_REQUEST];

    memset(name, 'x', sizeof(name) - 1);
    for (uint64_t i = 0; i < PER_REQUEST; i++)
        spans[i] = (struct test_span){.trace_high = first + i,
                                      .trace_low = mix(first + i),
                                      .id = 7,
                                      .parent = is_lonely(first + i) ? 5 : 0,
                                      .name = name,
                                      .start_ms = now_ms,
                                      .duration_ms = is_lonely(first + i) ? 900 : 1};
    post(s, fd, spans, PER_REQUEST);
}

/* Each trace that is to be kept has arrived once, with its name. */
static void check_kept(struct backend *b, uint64_t sent)
{
    CHECK(backend_read(b, 1) == sent / LONELY_ONE_IN);
    for (uint64_t trace = 0; trace < sent; trace += LONELY_ONE_IN * 7)
        CHECK(backend_span(b, 1, trace, 7).span.len > NAME);
}

/* The most that was held for what waits, once it is as much as it will be. */
static double most_held(const char *config, unsigned cpus, uint64_t wait_ns)
{
    const uint64_t until_ns = all ? wait_ns + 4 * NS_PER_S : wait_ns * 2 / 3;
    const struct ledger *l;
    double found = 0, held;
    uint64_t sent = 0;
    struct backend b;
    struct sim s;
    int fd;

    backend_init(&b);
    sim_init(&s, &(struct sim_options){
                     .config = config, .cpus = cpus, .serve = backend_serve, .serve_arg = &b});
    fd = sim_connect(&s);
    for (uint64_t ns = 0; ns < until_ns; ns += every_ns) {
        post_some(&s, fd, sent);
        sent += PER_REQUEST;
        sim_run(&s, every_ns);
        if (ns < wait_ns / 2 || ns % (10 * every_ns))
            continue;
        l = sim_ledger(&s);
        held = (double)l->journal.pinned_bytes / (double)l->table.bytes;
        found = held > found ? held : found;
    }
    balanced(&s);
    l = sim_ledger(&s);
    printf("    %u workers: at most %.2f bytes are held for a byte that waits; %llu of %llu spans "
           "were copied\n",
           cpus, found, (unsigned long long)l->sum.moved_spans, (unsigned long long)sent);
    sim_run(&s, wait_ns + NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 0 && sim_ledger(&s)->journal.live_items == 0);
    check_kept(&b, sent);
    sim_fini(&s);
    backend_fini(&b);
    return found;
}

static void what_waits_for_long_holds_little_more_than_itself(void)
{
    CHECK(most_held(WAITING("memory", "30s"), 1, 30 * NS_PER_S) < most);
    if (!all)
        return;
    every_ns /= 2;
    CHECK(most_held(WAITING("memory", "30s"), 2, 30 * NS_PER_S) < most);
    CHECK(most_held(WAITING("written", "30s"), 1, 30 * NS_PER_S) < most);
    CHECK(most_held(WAITING("fsync", "30s"), 2, 30 * NS_PER_S) < most);
}

static uint64_t post_for(struct sim *s, uint64_t first, uint64_t ns)
{
    int fd = sim_connect(s);

    for (uint64_t at = 0; at < ns; at += 20 * NS_PER_MS, first += PER_REQUEST) {
        post_some(s, fd, first);
        sim_run(s, 20 * NS_PER_MS);
        balanced(s);
    }
    return first;
}

static void start_again(struct sim *s, unsigned cpus)
{
    sim_kill(s);
    s->host.cpus = cpus;
    sim_start(s);
}

static void what_was_moved_is_there_once_after_each_kill(void)
{
    struct fake_disk disk;
    struct backend b;
    struct sim s;
    uint64_t sent;

    fake_disk_init(&disk);
    backend_init(&b);
    sim_init(&s, &(struct sim_options){.config = WAITING("written", "30s"),
                                       .cpus = 2,
                                       .moves_eagerly = true,
                                       .serve = backend_serve,
                                       .serve_arg = &b,
                                       .disk = &disk.disk});
    sent = post_for(&s, 0, 4 * NS_PER_S);
    CHECK(sim_ledger(&s)->sum.moved_spans > 50);
    start_again(&s, 3);
    CHECK(sim_ledger(&s)->sum.recovered == sim_ledger(&s)->pending);
    sent = post_for(&s, sent, 7 * NS_PER_S);
    CHECK(sim_ledger(&s)->sum.moved_spans > 50);
    start_again(&s, 1);
    sim_run(&s, 33 * NS_PER_S);
    balanced(&s);
    CHECK(sim_ledger(&s)->pending == 0 && sim_ledger(&s)->journal.live_items == 0);
    check_kept(&b, sent);
    sim_fini(&s);
    fake_disk_fini(&disk);
    backend_fini(&b);
}

int main(int argc, char **argv)
{
    all = argc > 1 && strcmp(argv[1], "all") == 0;
    RUN(what_waits_for_long_holds_little_more_than_itself);
    RUN(what_was_moved_is_there_once_after_each_kill);
    return DONE();
}
