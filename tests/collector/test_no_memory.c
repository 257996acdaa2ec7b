/* A start without memory: an allocation fails, alone or with all behind it. The program starts, or
 * ends with a sentence and exit code 1; it never dies of a signal, and the next start finds all
 * that was there.
 *
 *     collector_test_no_memory [STEP [FIRST]]   tries each STEP-th allocation
 */
#include "journal/failing_memory.h"
#include "scenario.h"

#include <sys/wait.h>

enum { TRACES = 20, ENOUGH = 40, ENOUGH_OF_JOURNAL = 100 };

static unsigned step = 0, first = 1;
static unsigned failures, starts;

#define TEXT CONFIG("policies = { policy 'latency' { threshold_ms = 500 } }", OTLP("all", "1", ""))

static void post_some(struct sim *s)
{
    for (uint64_t i = 1; i <= TRACES; i++) {
        struct test_span span = {
            .trace_high = i, .trace_low = mix(i), .id = 1, .start_ms = now_ms, .duration_ms = 900};

        post(s, sim_connect(s), &span, 1);
    }
}

/* Which allocation fails. How many Lua makes differs by hundreds from run to run; those that the
 * journal needs are few, and are counted from where its folder is listed. */
struct missing {
    unsigned n;
    bool all; /* and all behind it */
    bool from_journal;
};

static enum err list_and_count(struct disk *d, const char *path,
                               void (*fn)(void *arg, const char *name), void *arg,
                               struct err_info *info)
{
    (void)d;
    failing.paused = false;
    return disk_system()->list(disk_system(), path, fn, arg, info);
}

static bool start_with(struct sim *s, struct missing m)
{
    static struct disk disk; /* the host keeps it */

    disk = *s->host.disk;
    disk.list = list_and_count;
    if (m.from_journal)
        s->host.disk = &disk;
    failing.paused = m.from_journal;
    fail_allocation(m.n, m.all);
    return sim_try_start(s);
}

/* In a process of its own: says on the pipe how many allocations there were. */
static void start_without(struct sim *s, struct missing m, int to)
{
    bool is_started;

    dup2(to, STDERR_FILENO);
    is_started = start_with(s, m);
    failing.paused = true;
    dprintf(to, "made %u\n", failing.made);
    _exit(is_started ? 0 : 1);
}

static void read_all(int from, char *text, size_t size)
{
    size_t len = 0;
    ssize_t got;

    while (len + 1 < size && (got = read(from, text + len, size - len - 1)) > 0)
        len += (size_t)got;
    text[len] = '\0';
}

static void look_at_end(struct missing m, int status, const char *text)
{
    failures += WIFEXITED(status) && WEXITSTATUS(status) == 1;
    starts += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1 && strstr(text, "memory"))
        return;
    printf("  allocation %u%s%s: status %x, %s\n", m.n, m.from_journal ? " of the journal" : "",
           m.all ? " and all behind it" : "", (unsigned)status, text);
    check_failures++;
}

/* Returns whether the n-th was reached. */
static bool try_without(struct sim *s, struct missing m)
{
    char text[8192];
    int ends[2], status = 0;
    const char *made;
    pid_t child;

    fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0)
        abort();
    if (child == 0)
        start_without(s, m, ends[1]);
    close(ends[1]);
    read_all(ends[0], text, sizeof(text));
    close(ends[0]);
    waitpid(child, &status, 0);
    look_at_end(m, status, text);
    made = strstr(text, "made ");
    return !made || strtoul(made + 5, NULL, 10) >= m.n;
}

static unsigned count_allocations(struct sim *s, bool from_journal)
{
    unsigned low = 1, high = 1 << 20;

    while (low + (from_journal ? 1 : 64) < high) { /* the last one that is reached, roughly */
        unsigned middle = low + (high - low) / 2;

        if (try_without(s, (struct missing){middle, false, from_journal}))
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void try_each(struct sim *s, unsigned count, unsigned by, bool from_journal)
{
    for (unsigned n = first; n < count && check_failures < 5; n += by) {
        try_without(s, (struct missing){n, false, from_journal});
        try_without(s, (struct missing){n, true, from_journal});
    }
}

static void a_start_without_memory_ends_with_a_sentence_and_loses_nothing(void)
{
    unsigned count, of_journal;
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, TEXT);
    post_some(&s);
    sim_kill(&s);
    if (getenv("DIRECT")) {
        fail_allocation((unsigned)atoi(getenv("DIRECT")), getenv("ALL") != NULL);
        sim_try_start(&s);
        _exit(7);
    }
    count = count_allocations(&s, false);
    of_journal = count_allocations(&s, true);
    CHECK(count > 100 && of_journal > 10);
    try_each(&s, count, step ? step : 1 + count / ENOUGH, false);
    try_each(&s, of_journal + 1, 1 + of_journal / ENOUGH_OF_JOURNAL, true);
    CHECK(failures > 20);
    sim_start(&s);
    CHECK(sim_ledger(&s)->sum.recovered == TRACES);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(backend_read(&b, 1) == TRACES);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
    printf("%u allocations, %u of the journal: %u starts ended, %u did not\n", count, of_journal,
           failures, starts);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        step = (unsigned)atoi(argv[1]);
    if (argc > 2)
        first = (unsigned)atoi(argv[2]);
    RUN(a_start_without_memory_ends_with_a_sentence_and_loses_nothing);
    return DONE();
}
