#include "base/clock.h"
#include "check.h"
#include "cli/traffic.h"
#include "otlp/scan.h"

#define NOW (UINT64_C(1795000000) * NS_PER_S)

/* What a receiver learns of one trace from its bodies. */
struct seen {
    size_t spans, roots, orphans, errors;
    uint64_t start_ns, end_ns;
    bool valid;
};

static bool is_parent_here(const struct scan_span *all, size_t count, uint64_t parent_id)
{
    for (size_t i = 0; i < count; i++)
        if (all[i].span_id == parent_id)
            return true;
    return false;
}

static struct seen look(const struct traffic_trace *trace)
{
    struct scan_span spans[TRAFFIC_STEPS];
    struct seen s = {.start_ns = UINT64_MAX, .valid = true};

    for (size_t i = 0; i < trace->count; i++) {
        struct scan_result r;
        enum err e =
            scan_traces(buf_slice(&trace->bodies[i]), spans + s.spans, TRAFFIC_STEPS - s.spans, &r);

        s.valid = s.valid && !e && r.rejected == 0 && r.spans == trace->body_spans[i];
        s.spans += r.spans;
    }
    for (size_t i = 0; i < s.spans; i++) {
        const struct scan_span *span = &spans[i];

        s.valid = s.valid && memcmp(span->trace_id, trace->id, 16) == 0;
        s.roots += (span->flags & SCAN_ROOT) != 0;
        s.errors += (span->flags & SCAN_ERROR) != 0;
        s.orphans += span->parent_id && !is_parent_here(spans, s.spans, span->parent_id);
        s.start_ns = span->start_ns < s.start_ns ? span->start_ns : s.start_ns;
        s.end_ns = span->end_ns > s.end_ns ? span->end_ns : s.end_ns;
    }
    return s;
}

static void every_trace_is_whole_and_valid(void)
{
    struct traffic t;
    struct traffic_trace trace;

    traffic_init(&t, 1);
    traffic_trace_init(&trace);
    for (int i = 0; i < 2000; i++) {
        struct seen s;

        CHECK(!traffic_next(&t, NOW, &trace));
        s = look(&trace);
        CHECK(s.valid && s.spans == trace.spans && s.roots == 1 && s.orphans == 0);
        if (trace.kind == TRAFFIC_HEALTH)
            CHECK(trace.count == 1 && trace.spans == 1);
        else
            CHECK(trace.count >= 2 && trace.count <= 4 && trace.spans >= 3 && trace.spans <= 12);
    }
    traffic_trace_fini(&trace);
}

static void a_trace_is_what_its_kind_says(void)
{
    struct traffic t;
    struct traffic_trace trace;

    traffic_init(&t, 2);
    traffic_trace_init(&trace);
    for (int i = 0; i < 2000; i++) {
        struct seen s;
        uint64_t ms;

        CHECK(!traffic_next(&t, NOW, &trace));
        s = look(&trace);
        ms = (s.end_ns - s.start_ns) / NS_PER_MS;
        CHECK((s.errors > 0) == (trace.kind == TRAFFIC_ERROR));
        CHECK((ms >= 500) == (trace.kind == TRAFFIC_SLOW));
        CHECK(s.end_ns == NOW);
    }
    traffic_trace_fini(&trace);
}

static void the_shares_are_about_what_was_asked_for(void)
{
    struct traffic t;
    struct traffic_trace trace;
    int kinds[TRAFFIC_KINDS] = {0};

    traffic_init(&t, 3);
    traffic_trace_init(&trace);
    for (int i = 0; i < 10000; i++) {
        CHECK(!traffic_next(&t, NOW, &trace));
        kinds[trace.kind]++;
    }
    CHECK(kinds[TRAFFIC_ERROR] > 400 && kinds[TRAFFIC_ERROR] < 600);
    CHECK(kinds[TRAFFIC_SLOW] > 400 && kinds[TRAFFIC_SLOW] < 600);
    CHECK(kinds[TRAFFIC_HEALTH] > 850 && kinds[TRAFFIC_HEALTH] < 1150);
    traffic_trace_fini(&trace);
}

static void the_same_seed_makes_the_same_bytes(void)
{
    struct traffic a, b;
    struct traffic_trace of_a, of_b;

    traffic_init(&a, 4);
    traffic_init(&b, 4);
    traffic_trace_init(&of_a);
    traffic_trace_init(&of_b);
    for (int i = 0; i < 100; i++) {
        CHECK(!traffic_next(&a, NOW, &of_a) && !traffic_next(&b, NOW, &of_b));
        CHECK(of_a.count == of_b.count);
        for (size_t k = 0; k < of_a.count; k++)
            CHECK(slice_equal(buf_slice(&of_a.bodies[k]), buf_slice(&of_b.bodies[k])));
    }
    traffic_trace_fini(&of_a);
    traffic_trace_fini(&of_b);
}

int main(void)
{
    RUN(every_trace_is_whole_and_valid);
    RUN(a_trace_is_what_its_kind_says);
    RUN(the_shares_are_about_what_was_asked_for);
    RUN(the_same_seed_makes_the_same_bytes);
    return DONE();
}
