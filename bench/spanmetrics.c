/* What span_metrics cost: CPU time of a span, beside that of the scan.
 *
 *     build/bench/spanmetrics [ROUNDS [explicit|exponential]]
 *
 * The requests are those of `moontail load --bench`, more than the caches hold, each counted in
 * turn. Under callgrind (--toggle-collect='spanmetrics_*' counts it alone) ROUNDS 1 is enough.
 */
#include "spanmetrics/spanmetrics.h"

#include "cli/bench_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REQUESTS = 2000 };

static struct memory memory;
static struct buf bodies[REQUESTS];
static struct scan_span spans[BENCH_SPANS];
static uint32_t series[BENCH_SPANS];

static double cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void make_bodies(void)
{
    struct bench_pool *pool = bench_pool_new(1, UINT64_C(1700000000000000000), BENCH_SPANS);

    for (int i = 0; pool && i < REQUESTS; i++) {
        buf_init(&bodies[i], 1 << 20, NULL);
        if (!bench_pool_next(pool, &bodies[i]) || !buf_ok(&bodies[i]))
            abort();
    }
    bench_pool_free(pool);
}

static size_t scan(int i)
{
    struct scan_result result;

    if (scan_traces(buf_slice(&bodies[i]), spans, BENCH_SPANS, &result) != ERR_OK)
        abort();
    return result.spans;
}

/* One pass over all requests; CPU time of a span. */
static double pass(struct spanmetrics_recorder *r)
{
    double start = cpu_ns();
    size_t all = 0;

    for (int i = 0; i < REQUESTS; i++) {
        size_t count = scan(i);

        if (r) {
            spanmetrics_find(r, buf_slice(&bodies[i]), spans, count, series);
            spanmetrics_count(r, spans, count, series);
        }
        all += count;
    }
    return (cpu_ns() - start) / (double)all;
}

static double best(struct spanmetrics_recorder *r, int rounds)
{
    double least = 1e9;

    for (int i = 0; i < rounds; i++) {
        double ns = pass(r);

        least = ns < least ? ns : least;
    }
    return least;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20;
    struct spanmetrics_options options = {
        .prefix = "traces.span.metrics",
        .shape = {.unit_ns = 1e6, .buckets = 160},
        .max_series = 10000,
    };
    struct spanmetrics *m;
    double without, with;

    if (argc > 2 && strcmp(argv[2], "explicit") == 0) {
        options.shape = (struct histogram_shape){.unit_ns = 1e6, .buckets = 17, .explicit = true};
        for (int i = 0; i < 16; i++)
            options.shape.bounds_ns[i] = UINT64_C(2000000) << i;
    }
    memory_init(&memory, 1 << 30, 1 << 28);
    m = spanmetrics_new(&options, &memory, (struct hash_key){1, 2}, 1, 0);
    make_bodies();
    without = best(NULL, rounds);
    with = best(spanmetrics_recorder(m, 0), rounds);
    printf("scan %.1f ns a span; with span_metrics (%s) %.1f: %.1f more\n", without,
           options.shape.explicit ? "explicit" : "exponential", with, with - without);
    spanmetrics_free(m);
    for (int i = 0; i < REQUESTS; i++)
        buf_fini(&bodies[i]);
    return 0;
}
