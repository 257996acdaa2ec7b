/* Scenarios: processors, at the door and of kept spans: what they drop, edit and break. */
#include "scenario.h"

#define WITH(processors, more)                                                                     \
    "local c = (function() " CONFIG("policies = { policy 'always_sample' }",                       \
                                    OTLP("all", "1", more)) " end)()\n"                            \
                                                            "c.processors = { " processors " }\n"  \
                                                            "return c"
#define KEPT(processors) WITH("kept = { " processors " }", "")

static struct test_span span(uint64_t trace, uint64_t id, const char *name)
{
    return (struct test_span){.trace_high = trace,
                              .id = id,
                              .parent = id - 1,
                              .start_ms = now_ms + id,
                              .duration_ms = 10,
                              .name = name};
}

static void run_out(struct sim *s)
{
    sim_run(s, 12 * NS_PER_S);
    CHECK(sim_ledger(s)->pending == 0);
    balanced(s);
}

static uint64_t filtered(struct sim *s)
{
    const struct ledger *l = sim_ledger(s);

    return ledger_sum(l->sum.filtered, l->filters);
}

static uint64_t filtered_as(struct sim *s, const char *processor, const char *reason)
{
    const struct ledger *l = sim_ledger(s);
    const struct labels *labels = collector_policy_shared(s->collector)->filters;
    uint64_t n = 0;

    for (size_t i = 0; i < l->filters; i++)
        if (strcmp(labels_policy(labels, (uint16_t)i), processor) == 0 &&
            strcmp(labels_reason(labels, (uint16_t)i), reason) == 0)
            n += l->sum.filtered[i];
    return n;
}

static bool attr_is(struct span_view view, const char *key, const char *text)
{
    struct value v;

    return view_attr(view.span, ATTRS_SPAN, slice_str(key), &v) && v.type == VALUE_STRING &&
           slice_is(v.bytes, text);
}

static bool has_attr(struct span_view view, const char *key)
{
    struct value v;

    return view_attr(view.span, ATTRS_SPAN, slice_str(key), &v);
}

static bool resource_is(struct span_view view, const char *key, const char *text)
{
    struct value v;

    return view_resource_attr(view.resource, slice_str(key), &v) && v.type == VALUE_STRING &&
           slice_is(v.bytes, text);
}

static uint64_t parent_of(struct span_view view)
{
    struct span_fields f;

    view_span_fields(view.span, &f);
    return view_id(f.parent_id);
}

static void check_edited(struct span_view view)
{
    struct value v;

    CHECK(attr_is(view, "team", "shop"));
    CHECK(attr_is(view, "method",
                  "14e30cd163c732912e048c4c837e15c4"
                  "e90c062ebb795ab947d57706e2d10dd8"));
    CHECK(!has_attr(view, "http.request.method"));
    CHECK(!has_attr(view, "absent"));
    CHECK(view_attr(view.span, ATTRS_SPAN, slice_str("n"), &v) && v.type == VALUE_INT &&
          v.integer == 3);
    CHECK(resource_is(view, "zone", "a"));
    CHECK(resource_is(view, "service.name", "shop"));
}

static void kept_and_late_spans_leave_as_processors_edited_them(void)
{
    static const char config[] =
        KEPT("processor 'attributes' { insert = { team = 'shop' }, update = { absent = 'x' },\n"
             "  upsert = { n = 3 }, rename = { ['http.request.method'] = 'method' },\n"
             "  hash = { 'method' } },\n"
             "processor 'attributes/r' { target = 'resource', upsert = { zone = 'a' },\n"
             "  insert = { ['service.name'] = 'other' } }");
    const struct test_span spans[] = {span(1, 1, NULL), span(1, 2, NULL)};
    const struct test_span late = span(1, 3, NULL);
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, config);
    fd = sim_connect(&s);
    post(&s, fd, spans, 2);
    run_out(&s);
    post(&s, fd, &late, 1);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 3);
    for (uint64_t id = 1; id <= 3; id++)
        check_edited(backend_span(&b, 1, 1, id));
    CHECK(attr_is(backend_span(&b, 1, 1, 1), "sampling.policy", "always_sample"));
    CHECK(filtered(&s) == 0);
    sim_fini(&s);
    backend_fini(&b);
}

static void children_of_a_dropped_span_go_to_its_parent(void)
{
    const struct test_span spans[] = {span(1, 1, "root"), span(1, 2, "cache"), span(1, 3, "cache"),
                                      span(1, 4, "work"), span(2, 1, "cache"), span(2, 2, "work")};
    struct backend b;
    struct sim s;

    sim_with_backend(
        &s, &b,
        KEPT("processor 'filter/cache' { when = match { name = 'cache' }, reason = 'noise' }"));
    post(&s, sim_connect(&s), spans, 6);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 3);
    CHECK(parent_of(backend_span(&b, 1, 1, 4)) == 1);
    CHECK(parent_of(backend_span(&b, 1, 1, 1)) == 0);
    CHECK(parent_of(backend_span(&b, 1, 2, 2)) == 0);
    CHECK(attr_is(backend_span(&b, 1, 2, 2), "sampling.policy", "always_sample"));
    CHECK(filtered(&s) == 3 && filtered_as(&s, "filter/cache", "noise") == 3);
    CHECK(sim_kept(&s, "always_sample", NULL) == 3);
    CHECK(sim_ledger(&s)->exporters[0].stats.delivered == 3);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_trace_of_which_nothing_is_left_goes_nowhere(void)
{
    const struct test_span spans[] = {span(1, 1, "cache"), span(1, 2, "cache")};
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, KEPT("processor 'filter' { when = match { name = 'cache' } }"));
    post(&s, sim_connect(&s), spans, 2);
    run_out(&s);
    CHECK(b.requests[1] == 0);
    CHECK(filtered(&s) == 2);
    CHECK(sim_ledger(&s)->exporters[0].stats.enqueued == 0);
    CHECK(sim_ledger(&s)->journal.live_items == 0);
    sim_fini(&s);
    backend_fini(&b);
}

/* Sets x, then raises for spans called bad. */
#define BROKEN(on_error)                                                                           \
    KEPT("processor { name = 'broken', on = 'kept', on_error = '" on_error "',\n"                  \
         "  span = function(span) span:set('x', 'y')\n"                                            \
         "    if span.name == 'bad' then error 'no' end end },\n"                                  \
         "processor 'attributes' { insert = { after = 'yes' } }")

static void a_processor_that_fails_does_what_its_on_error_says(void)
{
    static const char *const configs[] = {BROKEN("pass"), BROKEN("strip"), BROKEN("drop")};
    const struct test_span spans[] = {span(1, 1, "good"), span(1, 2, "bad"), span(1, 3, "good")};
    struct span_view bad;
    struct backend b;
    struct sim s;

    for (int i = 0; i < 3; i++) {
        sim_with_backend(&s, &b, configs[i]);
        post(&s, sim_connect(&s), spans, 3);
        run_out(&s);
        CHECK(backend_read(&b, 1) == (i == 2 ? 2 : 3));
        CHECK(attr_is(backend_span(&b, 1, 1, 1), "x", "y"));
        CHECK(parent_of(backend_span(&b, 1, 1, 3)) == (i == 2 ? 1 : 2));
        CHECK(filtered_as(&s, "broken", "error") == (i == 2));
        if (i < 2) {
            bad = backend_span(&b, 1, 1, 2);
            CHECK(!has_attr(bad, "x") && attr_is(bad, "after", "yes"));
            CHECK(has_attr(bad, "http.request.method") == (i == 0));
        }
        sim_fini(&s);
        backend_fini(&b);
    }
}

static void a_processor_that_never_ends_is_ended(void)
{
    const struct test_span spans[] = {span(1, 1, "good"), span(1, 2, "bad")};
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b,
                     WITH("received = { processor { name = 'door', on = 'received',\n"
                          "    span = function(span) while span.name == 'bad' do end end } },\n"
                          "kept = { processor { name = 'endless', on = 'kept', on_error = 'drop',\n"
                          "    span = function(span) while span.name == 'bad' do end end } }",
                          ""));
    post(&s, sim_connect(&s), spans, 2);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 1);
    CHECK(filtered_as(&s, "endless", "error") == 1 && filtered(&s) == 1);
    sim_fini(&s);
    backend_fini(&b);
}

/* Ten failures: then it is not asked, and its on_error goes on. It is counted among processors. */
static void a_processor_that_fails_too_often_is_put_into_quarantine(void)
{
    struct test_span spans[30];
    struct backend b;
    struct sim s;
    const char *name, *kind;
    bool out = false, found = false;
    uint64_t count;
    size_t at = 0;

    for (uint64_t i = 0; i < 30; i++)
        spans[i] = span(1, i + 1, NULL);
    sim_with_backend(&s, &b,
                     KEPT("processor { name = 'counts', on = 'kept', on_error = 'strip',\n"
                          "  setup = function() return { n = 0 } end,\n"
                          "  span = function(span, opt, my) my.n = my.n + 1\n"
                          "    if my.n > 10 then return drop 'asked' end\n"
                          "    error 'no' end }"));
    post(&s, sim_connect(&s), spans, 30);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 30 && filtered(&s) == 0);
    for (uint64_t id = 1; id <= 30; id++)
        CHECK(!has_attr(backend_span(&b, 1, 1, id), "http.request.method"));
    while (policy_quarantine_next(collector_policy_shared(s.collector), &at, &name, &out))
        found |= out && strcmp(name, "processor counts") == 0;
    CHECK(found);
    for (at = 0;
         policy_errors_next(collector_policy_shared(s.collector), &at, &name, &kind, &count);)
        CHECK(strcmp(name, "processor counts") != 0);
    sim_fini(&s);
    backend_fini(&b);
}

static void an_exporter_selects_by_what_processors_made(void)
{
    const struct test_span spans[] = {span(1, 1, "a"), span(2, 1, "b")};
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b,
                     WITH("kept = { processor { name = 'mark', on = 'kept', span = function(span)\n"
                          "  if span.name == 'a' then span:set('mark', true) end end } }",
                          "where = match { attr = { mark = true } }"));
    post(&s, sim_connect(&s), spans, 2);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 1);
    backend_span(&b, 1, 1, 1);
    sim_fini(&s);
    backend_fini(&b);
}

static void edits_in_the_outbox_survive_a_kill(void)
{
    const struct test_span spans[] = {span(1, 1, "op"), span(1, 2, "cache")};
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b,
                     KEPT("processor 'attributes' { insert = { team = 'shop' } },\n"
                          "processor 'filter' { when = match { name = 'cache' } }"));
    b.down[1] = true;
    post(&s, sim_connect(&s), spans, 2);
    run_out(&s);
    sim_kill(&s);
    b.down[1] = false;
    sim_start(&s);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 1);
    CHECK(attr_is(backend_span(&b, 1, 1, 1), "team", "shop"));
    sim_fini(&s);
    backend_fini(&b);
}

static void what_is_dropped_at_the_door_is_filtered_and_never_held(void)
{
    const struct test_span spans[] = {span(1, 1, "GET /healthz"), span(2, 1, "work"),
                                      span(2, 2, "GET /healthz"), span(3, 1, "noise")};
    const struct test_span nothing = span(4, 1, "GET /healthz");
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(
        &s, &b,
        WITH("received = { processor 'drop_at_door' { when = match { name = glob '*/healthz' } },\n"
             "  processor { name = 'own', on = 'received', span = function(span)\n"
             "    if span.name == 'noise' then return drop 'loud' end end } }",
             ""));
    fd = sim_connect(&s);
    post(&s, fd, spans, 4);
    post(&s, fd, &nothing, 1);
    CHECK(sim_ledger(&s)->pending == 1);
    CHECK(sim_ledger(&s)->sum.received == 5);
    CHECK(filtered_as(&s, "drop_at_door", "drop_at_door") == 3);
    CHECK(filtered_as(&s, "own", "loud") == 1);
    balanced(&s);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 1);
    CHECK(sim_ledger(&s)->journal.live_items == 0);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_processor_that_fails_at_the_door_passes_or_drops(void)
{
    const struct test_span spans[] = {span(1, 1, "a"), span(1, 2, "b")};
    struct backend b;
    struct sim s;

    sim_with_backend(
        &s, &b,
        WITH("received = {\n"
             "  processor { name = 'open', on = 'received', span = function() error 'no' end },\n"
             "  processor { name = 'closed', on = 'received', on_error = 'drop',\n"
             "    span = function(span) if span.name == 'b' then return keep() end end } }",
             ""));
    post(&s, sim_connect(&s), spans, 2);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 1);
    CHECK(filtered_as(&s, "closed", "error") == 1 && filtered(&s) == 1);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_was_dropped_at_the_door_is_dropped_again_after_a_kill(void)
{
    const struct test_span spans[] = {span(1, 1, "cache"), span(1, 2, "work")};
    struct backend b;
    struct sim s;

    sim_with_backend(
        &s, &b,
        WITH("received = { processor 'drop_at_door' { when = match { name = 'cache' } } }", ""));
    post(&s, sim_connect(&s), spans, 2);
    sim_kill(&s);
    sim_start(&s);
    balanced(&s);
    CHECK(sim_ledger(&s)->pending == 1);
    run_out(&s);
    CHECK(backend_read(&b, 1) == 1);
    backend_span(&b, 1, 1, 2);
    sim_fini(&s);
    backend_fini(&b);
}

static bool has_th(struct span_view view, const char *th)
{
    struct span_fields f;

    view_span_fields(view.span, &f);
    return f.trace_state.len > 0 &&
           memmem(f.trace_state.data, f.trace_state.len, th, strlen(th)) != NULL;
}

/* 10 %: T is e666. Both spans of a trace share their fate, and those that stay say so. */
static void head_sampling_lets_whole_traces_in_by_their_randomness(void)
{
    static const char config[] =
        "local c = (function() " CONFIG("policies = { policy 'always_sample' }",
                                        OTLP("all", "1", "")) " end)()\n"
                                                              "c.head_sampling = { "
                                                              "sampling_percentage = 10 }\n"
                                                              "return c";
    struct test_span spans[400];
    uint64_t in = 0;
    struct backend b;
    struct sim s;

    for (uint64_t i = 0; i < 400; i++) {
        spans[i] = span(i / 2 + 1, i % 2 + 1, NULL);
        spans[i].trace_low = mix(i / 2);
        in += (spans[i].trace_low & ((UINT64_C(1) << 56) - 1)) >= UINT64_C(0xe6660000000000);
    }
    spans[0].trace_state = spans[1].trace_state = "ot=rv:e6660000000000";
    in += (spans[0].trace_low & ((UINT64_C(1) << 56) - 1)) >= UINT64_C(0xe6660000000000) ? 0 : 2;
    sim_with_backend(&s, &b, config);
    post(&s, sim_connect(&s), spans, 400);
    run_out(&s);
    CHECK(backend_read(&b, 1) == in && in > 10 && in < 80);
    CHECK(filtered_as(&s, "head_sampling", "sampling_percentage") == 400 - in);
    CHECK(has_th(backend_span(&b, 1, 1, 1), "th:e666"));
    CHECK(has_th(backend_span(&b, 1, 1, 2), "th:e666"));
    for (size_t i = 0; i < b.count; i++)
        CHECK(has_th(backend_view(&b, 1, i), "th:e666"));
    sim_fini(&s);
    backend_fini(&b);
}

int main(void)
{
    RUN(what_is_dropped_at_the_door_is_filtered_and_never_held);
    RUN(a_processor_that_fails_at_the_door_passes_or_drops);
    RUN(what_was_dropped_at_the_door_is_dropped_again_after_a_kill);
    RUN(head_sampling_lets_whole_traces_in_by_their_randomness);
    RUN(kept_and_late_spans_leave_as_processors_edited_them);
    RUN(children_of_a_dropped_span_go_to_its_parent);
    RUN(a_trace_of_which_nothing_is_left_goes_nowhere);
    RUN(a_processor_that_fails_does_what_its_on_error_says);
    RUN(a_processor_that_never_ends_is_ended);
    RUN(a_processor_that_fails_too_often_is_put_into_quarantine);
    RUN(an_exporter_selects_by_what_processors_made);
    RUN(edits_in_the_outbox_survive_a_kill);
    return DONE();
}
