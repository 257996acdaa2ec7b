/* What span_metrics cost: CPU time of a span, beside that of the scan; and what service_graph does.
 *
 *     build/bench/spanmetrics [ROUNDS [explicit|exponential]]
 *     build/bench/spanmetrics ROUNDS edges
 *
 * The requests are those of `moontail load --bench`, more than the caches hold, each counted in
 * turn. Under callgrind (--toggle-collect='spanmetrics_*' counts it alone) ROUNDS 1 is enough.
 */
#include "spanmetrics/spanmetrics.h"

#include "cli/bench_pool.h"
#include "otlp/view.h"

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

/* ---- edges: all spans, by trace ---- */

struct place {
    uint8_t trace_id[16];
    struct span_view view;
};

static struct place *places;
static size_t place_count;

static int by_trace(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = memcmp(x->trace_id, y->trace_id, sizeof(x->trace_id));

    return order
               ? order
               : (x->view.span.data > y->view.span.data) - (x->view.span.data < y->view.span.data);
}

static void find_places(void)
{
    places = calloc((size_t)REQUESTS * BENCH_SPANS, sizeof(*places));
    if (!places)
        abort();
    for (int i = 0; i < REQUESTS; i++) {
        size_t count = scan(i);

        for (size_t s = 0; s < count; s++) {
            struct place *p = &places[place_count++];

            memcpy(p->trace_id, spans[s].trace_id, sizeof(p->trace_id));
            p->view = span_view_of(buf_slice(&bodies[i]), &spans[s]);
        }
    }
    qsort(places, place_count, sizeof(*places), by_trace);
}

static struct span_view view_at(void *arg, uint32_t i)
{
    return ((struct place *)arg)[i].view;
}

static double edges_pass(struct spanmetrics_recorder *r)
{
    double start = cpu_ns();

    for (size_t i = 0, end; i < place_count; i = end) {
        for (end = i + 1;
             end < place_count && memcmp(places[end].trace_id, places[i].trace_id, 16) == 0;)
            end++;
        spanmetrics_count_edges(
            r, &(struct spanmetrics_trace){(uint32_t)(end - i), view_at, &places[i]});
    }
    return (cpu_ns() - start) / (double)place_count;
}

static void measure_edges(int rounds)
{
    static const char *const databases[] = {"db.name", "db.namespace", NULL};
    static const char *const peers[] = {"peer.service", "db.name", "db.system", NULL};
    struct spanmetrics_options options = {
        .edges = true,
        .databases = databases,
        .peers = peers,
        .prefix = "traces_service_graph",
        .shape = {.unit_ns = 1e9, .buckets = 17, .explicit = true},
        .max_series = 5000,
    };
    struct spanmetrics *m;
    double least = 1e9;

    for (int i = 0; i < 16; i++)
        options.shape.bounds_ns[i] = UINT64_C(2000000) << i;
    m = spanmetrics_new(&options, &memory, (struct hash_key){1, 2}, 1, 0);
    find_places();
    for (int i = 0; i < rounds; i++) {
        double ns = edges_pass(spanmetrics_recorder(m, 0));

        least = ns < least ? ns : least;
    }
    printf("edges %.1f ns a span\n", least);
    spanmetrics_free(m);
    free(places);
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
    if (argc > 2 && strcmp(argv[2], "edges") == 0) {
        measure_edges(rounds);
        return 0;
    }
    without = best(NULL, rounds);
    with = best(spanmetrics_recorder(m, 0), rounds);
    printf("scan %.1f ns a span; with span_metrics (%s) %.1f: %.1f more\n", without,
           options.shape.explicit ? "explicit" : "exponential", with, with - without);
    spanmetrics_free(m);
    for (int i = 0; i < REQUESTS; i++)
        buf_fini(&bodies[i]);
    return 0;
}
