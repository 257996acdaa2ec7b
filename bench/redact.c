/* What redaction costs: CPU time of a span, at the door (whole bodies), as a Span alone, and by
 * processor "redact" of kept traces.
 *
 *     build/bench/redact [ROUNDS]
 *
 * The requests are those of `moontail load --bench`, more than the caches hold: spans of 10
 * attributes and 470 bytes. Their session.id is secret, so each has a find; "without a find" it has
 * another name. Under callgrind ROUNDS 1 is enough.
 */
#include "policy/redact.h"

#include "cli/bench_pool.h"
#include "lua/state.h"
#include "otlp/scan.h"
#include "policy/processor.h"
#include "policy/scripts.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REQUESTS = 1000, SPANS_A_TRACE = 8 };

static struct buf bodies[REQUESTS];
static struct span_view views[REQUESTS][BENCH_SPANS];
static struct buf out;

typedef void work_fn(void *arg, int request);

static double cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static const char secret[] = "session.id", plain[] = "sessions_i";

/* Calls the attribute that is found otherwise. */
static void rename_all(struct buf *body, const char *from, const char *to)
{
    uint8_t *at = body->data, *end = body->data + body->len;

    while ((at = memmem(at, (size_t)(end - at), from, strlen(from))))
        memcpy(at, to, strlen(to));
}

static void rename_bodies(const char *from, const char *to)
{
    for (int i = 0; i < REQUESTS; i++)
        rename_all(&bodies[i], from, to);
}

static void make_bodies(void)
{
    struct bench_pool *pool = bench_pool_new(1, UINT64_C(1700000000000000000), BENCH_SPANS);
    struct scan_span spans[BENCH_SPANS];
    struct scan_result result;

    for (int i = 0; i < REQUESTS; i++) {
        buf_init(&bodies[i], 1 << 20, NULL);
        if (!pool || !bench_pool_next(pool, &bodies[i]) ||
            scan_traces(buf_slice(&bodies[i]), spans, BENCH_SPANS, &result) != ERR_OK ||
            result.spans != BENCH_SPANS)
            abort();
        for (size_t s = 0; s < BENCH_SPANS; s++)
            views[i][s] = span_view_of(buf_slice(&bodies[i]), &spans[s]);
    }
    bench_pool_free(pool);
}

static void at_the_door(void *redact, int request)
{
    buf_clear(&out);
    if (redact_body(redact, OTLP_TRACES, buf_slice(&bodies[request]), &out) == REDACT_FAILED)
        abort();
}

static void each_span(void *redact, int request)
{
    for (size_t i = 0; i < BENCH_SPANS; i++) {
        buf_clear(&out);
        if (redact_span(redact, views[request][i].span, &out) == REDACT_FAILED)
            abort();
    }
}

static void by_processor(void *set, int request)
{
    for (size_t i = 0; i < BENCH_SPANS; i += SPANS_A_TRACE) {
        struct policy_trace trace = {.count = SPANS_A_TRACE,
                                     .trigger = "wait",
                                     .only_root = POLICY_ROOT_UNKNOWN,
                                     .span = policy_span_in_array,
                                     .span_arg = &views[request][i]};
        struct processed left;

        if (!processor_set_run(set, &trace, UINT32_MAX, 0, &left) || left.count != SPANS_A_TRACE)
            abort();
        processor_set_end(set);
    }
}

/* Of one request after the other; the least of the rounds. */
static double least_of(work_fn *work, void *arg, int rounds)
{
    double least = 1e9;

    for (int round = 0; round < rounds; round++) {
        double start = cpu_ns(), ns;

        for (int i = 0; i < REQUESTS; i++)
            work(arg, i);
        ns = (cpu_ns() - start) / (REQUESTS * (double)BENCH_SPANS);
        least = ns < least ? ns : least;
    }
    return least;
}

static void measure(const char *what, work_fn *work, void *arg, int rounds)
{
    double without, with;

    rename_bodies(secret, plain);
    without = least_of(work, arg, rounds);
    rename_bodies(plain, secret);
    with = least_of(work, arg, rounds);
    printf("%-26s %14.0f %10.0f\n", what, without, with);
}

static void measure_processor(const char *config, int rounds)
{
    struct test_state s;
    struct processor_set *set;
    struct err_info info = {.text = ""};
    struct buf errors;

    state_init(&s, true, 0);
    buf_init(&errors, 1 << 16, NULL);
    if (state_run(&s, config, 1, &info) != ERR_OK ||
        processor_set_new(s.L, "kept", lua_gettop(s.L), &s.shared, &set, &errors) != ERR_OK) {
        fprintf(stderr, "%s\n%.*s", info.text, (int)errors.len, errors.data);
        exit(1);
    }
    measure("processor \"redact\", kept", by_processor, set, rounds);
    processor_set_free(set);
    buf_fini(&errors);
    state_fini(&s);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 10;
    struct redact *redact = redact_new();

    if (!redact)
        abort();
    buf_init(&out, 1 << 20, NULL);
    make_bodies();
    printf("ns of CPU time a span      without a find   with one\n");
    measure("at the door, whole bodies", at_the_door, redact, rounds);
    measure("a Span alone", each_span, redact, rounds);
    measure_processor("return { processor 'redact' {} }", rounds);
    redact_free(redact);
    for (int i = 0; i < REQUESTS; i++)
        buf_fini(&bodies[i]);
    buf_fini(&out);
    return 0;
}
