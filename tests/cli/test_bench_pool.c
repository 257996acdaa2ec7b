#include "base/clock.h"
#include "check.h"
#include "cli/bench_pool.h"
#include "otlp/scan.h"

#include <stdlib.h>

#define NOW (UINT64_C(1795000000) * NS_PER_S)

enum { BLOCKS = 50, ALL = BLOCKS * BENCH_TRACES * 8 };

static struct scan_span *spans; /* of a whole run */
static size_t span_count, request_count, byte_count;

static int by_id(const void *a, const void *b)
{
    const struct scan_span *x = a, *y = b;
    int order = memcmp(x->trace_id, y->trace_id, 16);

    if (order)
        return order;
    return x->span_id < y->span_id ? -1 : x->span_id > y->span_id;
}

static void run_pool_of(uint64_t seed, unsigned spans_a_request)
{
    struct bench_pool *p = bench_pool_new(seed, NOW, spans_a_request);
    struct buf body;

    buf_init(&body, 1 << 20, NULL);
    span_count = request_count = byte_count = 0;
    bench_pool_limit(p, (uint64_t)BLOCKS * BENCH_TRACES);
    while (bench_pool_next(p, &body)) {
        struct scan_result r;

        CHECK(!scan_traces(buf_slice(&body), spans + span_count, ALL - span_count, &r));
        CHECK(r.spans == spans_a_request && r.rejected == 0);
        span_count += r.spans;
        request_count++;
        byte_count += body.len;
        buf_clear(&body);
    }
    CHECK(bench_pool_traces(p) == (uint64_t)BLOCKS * BENCH_TRACES);
    buf_fini(&body);
    bench_pool_free(p);
    qsort(spans, span_count, sizeof(*spans), by_id);
}

static void run_pool(uint64_t seed)
{
    run_pool_of(seed, BENCH_SPANS);
}

/* Of `trace`, its eight spans: one root, the others below another one. */
static void is_whole(const struct scan_span *trace)
{
    int roots = 0;

    for (size_t k = 0; k < 8; k++) {
        bool found = trace[k].parent_id == 0;

        CHECK(memcmp(trace[k].trace_id, trace->trace_id, 16) == 0);
        roots += found;
        for (size_t p = 0; p < 8 && !found; p++)
            found = trace[p].span_id == trace[k].parent_id && p != k;
        CHECK(found);
    }
    CHECK(roots == 1);
}

static void all_are_whole_traces_of_eight_spans(void)
{
    CHECK(span_count == ALL);
    for (size_t i = 0; i + 8 <= span_count; i += 8) {
        is_whole(spans + i);
        CHECK(i == 0 || memcmp(spans[i].trace_id, spans[i - 1].trace_id, 16) != 0);
    }
}

static void a_run_gives_out_whole_traces_of_eight_spans(void)
{
    run_pool(1);
    CHECK(request_count == (size_t)BLOCKS * BENCH_SERVICES);
    all_are_whole_traces_of_eight_spans();
}

static void requests_of_other_sizes_have_the_same_traces(void)
{
    static const unsigned sizes[] = {10, 500};

    for (size_t i = 0; i < 2; i++) {
        run_pool_of(1, sizes[i]);
        CHECK(request_count == (size_t)BLOCKS * BENCH_SERVICES * BENCH_SPANS / sizes[i]);
        all_are_whole_traces_of_eight_spans();
    }
}

static void a_size_that_never_fills_its_last_request_is_refused(void)
{
    CHECK(!bench_pool_allows(997) && !bench_pool_new(1, NOW, 997));
    CHECK(!bench_pool_allows(0) && bench_pool_allows(BENCH_SPANS));
}

static void a_twentieth_has_an_error_and_a_twentieth_is_slow(void)
{
    size_t errors = 0, slow = 0;

    run_pool(2);
    for (size_t i = 0; i + 8 <= span_count; i += 8) {
        uint64_t start = UINT64_MAX, end = 0;
        bool error = false;

        for (size_t k = i; k < i + 8; k++) {
            error = error || spans[k].flags & SCAN_ERROR;
            start = spans[k].start_ns < start ? spans[k].start_ns : start;
            end = spans[k].end_ns > end ? spans[k].end_ns : end;
        }
        errors += error;
        slow += end - start >= 500 * NS_PER_MS;
    }
    CHECK(errors == 2UL * BLOCKS && slow == 2UL * BLOCKS);
}

static void a_span_has_about_470_bytes(void)
{
    run_pool(3);
    CHECK(byte_count / span_count >= 460 && byte_count / span_count <= 480);
}

static void another_seed_gives_other_ids(void)
{
    uint8_t first[16];

    run_pool(4);
    memcpy(first, spans[0].trace_id, 16);
    run_pool(5);
    for (size_t i = 0; i < span_count; i += 8)
        CHECK(memcmp(first, spans[i].trace_id, 16) != 0);
}

int main(void)
{
    spans = calloc(ALL, sizeof(*spans));
    RUN(a_run_gives_out_whole_traces_of_eight_spans);
    RUN(requests_of_other_sizes_have_the_same_traces);
    RUN(a_size_that_never_fills_its_last_request_is_refused);
    RUN(a_twentieth_has_an_error_and_a_twentieth_is_slow);
    RUN(a_span_has_about_470_bytes);
    RUN(another_seed_gives_other_ids);
    free(spans);
    return DONE();
}
