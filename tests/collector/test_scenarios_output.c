/* Scenarios: what a backend is given: which traces, and what was edited in them. */
#include "scenario.h"

#define ERRORS_AND_TEN_PERCENT                                                                     \
    "policies = { policy 'status_code' { status_codes = { 'ERROR' } }, "                           \
    "policy 'probabilistic' { sampling_percentage = 10 } }"

#define ERRORS_ONLY     OTLP("errors", "2", "where = match { decision = { reason = 'error' } }")
#define CHECKOUT_ONLY   OTLP("checkout", "3", "where = match { service = 'checkout' }")
#define THREE_EXPORTERS OTLP("all", "1", "") ", " ERRORS_ONLY ", " CHECKOUT_ONLY

/* R just under 2^56: sampled whatever the trace's id is. */
#define SURELY_SAMPLED "ot=rv:ffffffffffffff"

static bool attr_is(struct slice message, const char *key, const char *text)
{
    struct value v;

    return view_attr(message, ATTRS_SPAN, slice_str(key), &v) && v.type == VALUE_STRING &&
           slice_is(v.bytes, text);
}

static bool resource_is(struct span_view view, const char *key, const char *text)
{
    struct value v;

    return view_resource_attr(view.resource, slice_str(key), &v) && v.type == VALUE_STRING &&
           slice_is(v.bytes, text);
}

static bool has_attr(struct slice message, const char *key)
{
    struct value v;

    return view_attr(message, ATTRS_SPAN, slice_str(key), &v);
}

static bool is_unrecorded(struct span_view view)
{
    return !has_attr(view.span, "sampling.policy") && !has_attr(view.span, "sampling.reason") &&
           !has_attr(view.span, "sampling.probability");
}

static bool state_is(struct span_view view, const char *text)
{
    struct span_fields f;
    bool same;

    view_span_fields(view.span, &f);
    same = slice_is(f.trace_state, text);
    if (!same)
        printf("  tracestate: %.*s\n", (int)f.trace_state.len, (const char *)f.trace_state.data);
    return same;
}

static struct test_span span(uint64_t trace, uint64_t id, const char *trace_state)
{
    return (struct test_span){.trace_high = trace,
                              .id = id,
                              .parent = id - 1,
                              .start_ms = now_ms + id,
                              .duration_ms = 10,
                              .trace_state = trace_state};
}

static struct test_span error_span(uint64_t trace, uint64_t id, const char *trace_state)
{
    struct test_span s = span(trace, id, trace_state);

    s.error = true;
    return s;
}

static void run_out(struct sim *s)
{
    sim_run(s, 12 * NS_PER_S);
    CHECK(sim_ledger(s)->pending == 0);
    balanced(s);
}

static void each_exporter_gets_what_its_where_selects(void)
{
    struct test_span spans[] = {error_span(1, 1, NULL), span(2, 1, SURELY_SAMPLED),
                                span(2, 2, SURELY_SAMPLED), span(3, 1, NULL)};
    struct test_span late[] = {span(1, 2, NULL), span(2, 3, NULL)};
    struct backend b;
    struct sim s;
    int fd;

    spans[2].service = "checkout";
    sim_with_backend(&s, &b, CONFIG(ERRORS_AND_TEN_PERCENT, THREE_EXPORTERS));
    fd = sim_connect(&s);
    post(&s, fd, spans, 4);
    run_out(&s);
    CHECK(sim_dropped(&s, "probabilistic", NULL) == 1);
    CHECK(backend_read(&b, 1) == 3);
    CHECK(backend_read(&b, 2) == 1);
    backend_span(&b, 2, 1, 1);
    CHECK(backend_read(&b, 3) == 2);
    backend_span(&b, 3, 2, 1);
    backend_span(&b, 3, 2, 2);
    post(&s, fd, late, 2);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 5);
    CHECK(backend_read(&b, 2) == 2);
    backend_span(&b, 2, 1, 2);
    CHECK(backend_read(&b, 3) == 3);
    backend_span(&b, 3, 2, 3); /* its own service is not selected; its trace was */
    CHECK(sim_ledger(&s)->exporters[0].stats.delivered == 5);
    CHECK(sim_ledger(&s)->exporters[1].stats.delivered == 2);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_no_exporter_selects_is_kept_and_goes_nowhere(void)
{
    const struct test_span kept = error_span(1, 1, NULL);
    struct backend b;
    struct sim s;

    sim_with_backend(
        &s, &b,
        CONFIG(ERRORS_AND_TEN_PERCENT, OTLP("none", "1", "where = match { service = 'nowhere' }")));
    post(&s, sim_connect(&s), &kept, 1);
    run_out(&s);
    CHECK(sim_kept(&s, "status_code", "error") == 1);
    CHECK(sim_ledger(&s)->exporters[0].stats.enqueued == 0);
    CHECK(sim_ledger(&s)->journal.live_items == 0);
    CHECK(b.requests[1] == 0);
    sim_fini(&s);
    backend_fini(&b);
}

static void check_resource(struct span_view view)
{
    struct value v;

    CHECK(resource_is(view, "service.name", "renamed"));
    CHECK(resource_is(view, "cluster", "c1"));
    CHECK(resource_is(view, "env", "prod"));
    CHECK(view_resource_attr(view.resource, slice_str("n"), &v) && v.type == VALUE_INT &&
          v.integer == -3);
    CHECK(view_resource_attr(view.resource, slice_str("half"), &v) && v.type == VALUE_DOUBLE &&
          v.number == 0.5);
    CHECK(view_resource_attr(view.resource, slice_str("ok"), &v) && v.type == VALUE_BOOL &&
          v.boolean);
    CHECK(!view_resource_attr(view.resource, slice_str("absent"), &v));
    CHECK(!view_resource_attr(view.resource, slice_str("zone"), &v));
}

static void resources_are_edited_in_kept_and_late_spans(void)
{
    static const char config[] = "local c = (function() " CONFIG(
        ERRORS_AND_TEN_PERCENT,
        OTLP("all", "1", "")) " end)()\n"
                              "c.resource = { cluster = 'c1' }\n"
                              "c.processors = { kept = {\n"
                              "  processor 'resource' { insert = { ['service.name'] = 'x', env = "
                              "'prod', zone = 'a' },\n"
                              "    update = { ['service.name'] = 'renamed', absent = 'x' } },\n"
                              "  processor 'resource/more' { upsert = { n = -3, half = 0.5, ok = "
                              "true, cluster = 'c0' },\n"
                              "    delete = { 'zone', 'nothing' } } } }\n"
                              "return c";
    const struct test_span kept[] = {error_span(1, 1, NULL), span(1, 2, NULL)};
    const struct test_span late = span(1, 3, NULL);
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, config);
    fd = sim_connect(&s);
    post(&s, fd, kept, 2);
    run_out(&s);
    post(&s, fd, &late, 1);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 3);
    for (uint64_t id = 1; id <= 3; id++)
        check_resource(backend_span(&b, 1, 1, id));
    sim_fini(&s);
    backend_fini(&b);
}

static void the_entry_span_says_who_kept_its_trace(void)
{
    const struct test_span spans[] = {span(1, 2, NULL), error_span(1, 1, NULL),
                                      span(2, 1, SURELY_SAMPLED), span(2, 2, NULL)};
    const struct test_span late = span(2, 3, NULL);
    struct span_view entry;
    struct backend b;
    struct value v;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, CONFIG(ERRORS_AND_TEN_PERCENT, OTLP("all", "1", "")));
    fd = sim_connect(&s);
    post(&s, fd, spans, 4);
    run_out(&s);
    post(&s, fd, &late, 1);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 5);
    entry = backend_span(&b, 1, 1, 1);
    CHECK(attr_is(entry.span, "sampling.policy", "status_code"));
    CHECK(attr_is(entry.span, "sampling.reason", "error"));
    CHECK(!has_attr(entry.span, "sampling.probability"));
    CHECK(is_unrecorded(backend_span(&b, 1, 1, 2)));
    entry = backend_span(&b, 1, 2, 1);
    CHECK(attr_is(entry.span, "sampling.policy", "probabilistic"));
    CHECK(attr_is(entry.span, "sampling.reason", "sampled"));
    CHECK(view_attr(entry.span, ATTRS_SPAN, slice_str("sampling.probability"), &v) &&
          v.type == VALUE_DOUBLE && v.number == 0.1);
    CHECK(is_unrecorded(backend_span(&b, 1, 2, 2)));
    CHECK(is_unrecorded(backend_span(&b, 1, 2, 3)));
    sim_fini(&s);
    backend_fini(&b);
}

static void with_record_off_nothing_is_said(void)
{
    const struct test_span kept = error_span(1, 1, NULL);
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b,
                     CONFIG("record = false, " ERRORS_AND_TEN_PERCENT, OTLP("all", "1", "")));
    post(&s, sim_connect(&s), &kept, 1);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 1);
    CHECK(is_unrecorded(backend_span(&b, 1, 1, 1)));
    sim_fini(&s);
    backend_fini(&b);
}

static void a_sampled_keep_writes_the_threshold_that_drew(void)
{
    const struct test_span spans[] = {
        span(1, 1, SURELY_SAMPLED ",vendor=x"),
        span(1, 2, NULL),
        span(1, 3, "ot=th:8"),
        span(1, 4, "ot=th:f"),
        span(1, 5, "vendor=y"),
    };
    const struct test_span late[] = {span(1, 6, NULL), span(1, 7, "ot=th:fff")};
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, CONFIG(ERRORS_AND_TEN_PERCENT, OTLP("all", "1", "")));
    fd = sim_connect(&s);
    post(&s, fd, spans, 5);
    run_out(&s);
    post(&s, fd, late, 2);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 7);
    CHECK(state_is(backend_span(&b, 1, 1, 1), "ot=th:e666;rv:ffffffffffffff,vendor=x"));
    CHECK(state_is(backend_span(&b, 1, 1, 2), "ot=th:e666"));
    CHECK(state_is(backend_span(&b, 1, 1, 3), "ot=th:e666"));
    CHECK(state_is(backend_span(&b, 1, 1, 4), "ot=th:f"));
    CHECK(state_is(backend_span(&b, 1, 1, 5), "ot=th:e666,vendor=y"));
    CHECK(state_is(backend_span(&b, 1, 1, 6), "ot=th:e666"));
    CHECK(state_is(backend_span(&b, 1, 1, 7), "ot=th:fff"));
    sim_fini(&s);
    backend_fini(&b);
}

/* A certain keep: what came in stays; th:0 is said where an ot member came, or always if asked. */
static void keep_for_certain(const char *option, const char *const expected[4])
{
    const struct test_span spans[] = {
        error_span(1, 1, "ot=rv:80000000000001"),
        span(1, 2, "ot=th:8"),
        span(1, 3, "vendor=y"),
        span(1, 4, NULL),
    };
    char config[2048];
    struct backend b;
    struct sim s;

    snprintf(config, sizeof(config),
             "local c = (function() %s end)() c.tail_sampling.tracestate = '%s' return c",
             CONFIG(ERRORS_AND_TEN_PERCENT, OTLP("all", "1", "")), option);
    sim_with_backend(&s, &b, config);
    post(&s, sim_connect(&s), spans, 4);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 4);
    for (int i = 0; i < 4; i++)
        CHECK(state_is(backend_span(&b, 1, 1, (uint64_t)i + 1), expected[i]));
    sim_fini(&s);
    backend_fini(&b);
}

static void a_certain_keep_says_th_0_where_an_ot_member_came_in(void)
{
    keep_for_certain("auto",
                     (const char *const[]){"ot=th:0;rv:80000000000001", "ot=th:8", "vendor=y", ""});
    keep_for_certain("always", (const char *const[]){"ot=th:0;rv:80000000000001", "ot=th:8",
                                                     "ot=th:0,vendor=y", "ot=th:0"});
}

/* A policy that raises keeps with unknown probability. */
static void a_keep_of_unknown_probability_erases_th(void)
{
    const struct test_span spans[] = {
        span(1, 1, "ot=th:8;rv:00000000000001,vendor=x"),
        span(1, 2, "ot=th:8"),
        span(1, 3, "vendor=y"),
        span(1, 4, NULL),
    };
    const struct test_span late = span(1, 5, "ot=th:4");
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(
        &s, &b,
        CONFIG("policies = { policy { name = 'broken', decide = function(trace) return trace.x "
               "end } }",
               OTLP("all", "1", "")));
    fd = sim_connect(&s);
    post(&s, fd, spans, 4);
    run_out(&s);
    post(&s, fd, &late, 1);
    run_out(&s);
    CHECK(sim_kept(&s, "broken", "policy_error") == 5);
    CHECK(backend_read(&b, 1) == 5);
    CHECK(state_is(backend_span(&b, 1, 1, 1), "ot=rv:00000000000001,vendor=x"));
    CHECK(state_is(backend_span(&b, 1, 1, 2), ""));
    CHECK(state_is(backend_span(&b, 1, 1, 3), "vendor=y"));
    CHECK(state_is(backend_span(&b, 1, 1, 4), ""));
    CHECK(state_is(backend_span(&b, 1, 1, 5), ""));
    CHECK(attr_is(backend_span(&b, 1, 1, 1).span, "sampling.policy", "broken"));
    CHECK(attr_is(backend_span(&b, 1, 1, 1).span, "sampling.reason", "policy_error"));
    CHECK(!has_attr(backend_span(&b, 1, 1, 1).span, "sampling.probability"));
    sim_fini(&s);
    backend_fini(&b);
}

/* Without edits a body leaves as it came, byte for byte. */
static void what_is_not_edited_leaves_as_it_came(void)
{
    const struct test_span spans[] = {span(1, 1, "ot=th:8,vendor=x"), span(1, 2, NULL)};
    struct backend b;
    struct buf body;
    struct sim s;

    sim_with_backend(&s, &b,
                     "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } }, "
                     "exporters = { " OTLP("all", "1", "") " } }");
    buf_init(&body, 1 << 20, NULL);
    spans_put(&body, spans, 2);
    CHECK(sim_post(&s, sim_connect(&s), buf_slice(&body)) == 200);
    run_out(&s);
    CHECK(slice_equal(buf_slice(&body), buf_slice(&b.body[1])));
    buf_fini(&body);
    sim_fini(&s);
    backend_fini(&b);
}

int main(void)
{
    RUN(each_exporter_gets_what_its_where_selects);
    RUN(what_no_exporter_selects_is_kept_and_goes_nowhere);
    RUN(resources_are_edited_in_kept_and_late_spans);
    RUN(the_entry_span_says_who_kept_its_trace);
    RUN(with_record_off_nothing_is_said);
    RUN(a_sampled_keep_writes_the_threshold_that_drew);
    RUN(a_certain_keep_says_th_0_where_an_ot_member_came_in);
    RUN(a_keep_of_unknown_probability_erases_th);
    RUN(what_is_not_edited_leaves_as_it_came);
    return DONE();
}
