/* A start without memory: an allocation fails, alone or with all behind it. The program starts, or
 * ends with a sentence and exit code 1; it never dies of a signal, and the next start finds all
 * that was there.
 *
 *     collector_test_no_memory [STEP [FIRST]]   tries each STEP-th allocation
 */
#include "journal/failing_memory.h"
#include "scenario.h"

#include <sys/wait.h>

enum { TRACES = 20, ENOUGH = 40 };

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

/* In a process of its own: says on the pipe how many allocations there were. */
static void start_without(struct sim *s, unsigned n, bool all, int to)
{
    bool is_started;

    dup2(to, STDERR_FILENO);
    fail_allocation(n, all);
    is_started = sim_try_start(s);
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

/* Returns whether the n-th was reached. */
static bool try_without(struct sim *s, unsigned n, bool all)
{
    char text[8192];
    int ends[2], status = 0;
    const char *made;
    pid_t child;

    fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0)
        abort();
    if (child == 0)
        start_without(s, n, all, ends[1]);
    close(ends[1]);
    read_all(ends[0], text, sizeof(text));
    close(ends[0]);
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1 ||
        (WEXITSTATUS(status) == 1 && !strstr(text, "memory"))) {
        printf("  allocation %u%s: status %x, %s\n", n, all ? " and all behind it" : "",
               (unsigned)status, text);
        check_failures++;
    }
    failures += WIFEXITED(status) && WEXITSTATUS(status) == 1;
    starts += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    made = strstr(text, "made ");
    return !made || strtoul(made + 5, NULL, 10) >= n;
}

static unsigned count_allocations(struct sim *s)
{
    unsigned low = 1, high = 1 << 20;

    while (low + 64 < high) { /* the last one that is reached, roughly */
        unsigned middle = low + (high - low) / 2;

        if (try_without(s, middle, false))
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void a_start_without_memory_ends_with_a_sentence_and_loses_nothing(void)
{
    struct backend b;
    unsigned count;
    struct sim s;

    sim_with_backend(&s, &b, TEXT);
    post_some(&s);
    sim_kill(&s);
    if (getenv("DIRECT")) {
        fail_allocation((unsigned)atoi(getenv("DIRECT")), getenv("ALL") != NULL);
        sim_try_start(&s);
        _exit(7);
    }
    count = count_allocations(&s);
    CHECK(count > 100);
    for (unsigned n = first; n < count && check_failures < 5;
         n += step ? step : 1 + count / ENOUGH) {
        try_without(&s, n, false);
        try_without(&s, n, true);
    }
    CHECK(failures > 20);
    sim_start(&s);
    CHECK(sim_ledger(&s)->sum.recovered == TRACES);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(backend_read(&b, 1) == TRACES);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
    printf("%u allocations: %u starts ended, %u did not\n", count, failures, starts);
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
