/* Scenarios: when traces are due, how large they may be, what is rejected, late or forgotten. */
#include "scenario.h"

#define TAIL(options)                                                                              \
    CONFIG(options ", policies = { policy { name = 'by_trigger', decide = function(trace) "        \
                   "return keep(trace.trigger .. '_' .. trace.span_count) end } }",                \
           OTLP("all", "1", ""))

static struct test_span root(uint64_t trace)
{
    return (struct test_span){.trace_high = trace, .id = 1, .start_ms = now_ms, .duration_ms = 10};
}

static struct test_span child(uint64_t trace, uint64_t id)
{
    return (struct test_span){
        .trace_high = trace, .id = id, .parent = 1, .start_ms = now_ms, .duration_ms = 10};
}

static void a_root_shortens_the_wait_but_never_lengthens_it(void)
{
    const struct test_span first[] = {root(1), child(2, 2), child(3, 2)};
    const struct test_span late_root = root(3);
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, TAIL("decision_wait = '10s', decision_wait_after_root = '2s'"));
    fd = sim_connect(&s);
    post(&s, fd, first, 3);
    sim_run(&s, 1900 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 3);
    sim_run(&s, 200 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 2);
    CHECK(sim_kept(&s, "by_trigger", "root_1") == 1);
    sim_run(&s, 6900 * NS_PER_MS);
    post(&s, fd, &late_root, 1);
    sim_run(&s, 900 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 3);
    sim_run(&s, 200 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 0);
    CHECK(sim_kept(&s, "by_trigger", "wait_1") == 1);
    CHECK(sim_kept(&s, "by_trigger", NULL) == 4);
    CHECK(sim_ledger(&s)->sum.decided[1][TRIGGER_ROOT] == 1);
    CHECK(sim_ledger(&s)->sum.decided[0][TRIGGER_WAIT] == 1);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void over_num_traces_the_oldest_are_decided(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, TAIL("num_traces = 10"));
    fd = sim_connect(&s);
    for (uint64_t trace = 1; trace <= 15; trace++) {
        struct test_span span = root(trace);

        post(&s, fd, &span, 1);
        sim_run(&s, NS_PER_MS);
    }
    sim_run(&s, NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 10);
    CHECK(sim_kept(&s, "by_trigger", "pressure_1") == 5);
    CHECK(backend_read(&b, 1) == 5);
    for (uint64_t trace = 1; trace <= 5; trace++)
        backend_span(&b, 1, trace, 1);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_trace_with_too_many_spans_is_decided_at_once_and_the_rest_is_late(void)
{
    struct test_span spans[13];
    struct backend b;
    struct sim s;
    int fd;

    for (uint64_t i = 0; i < 13; i++)
        spans[i] = i ? child(1, i + 1) : root(1);
    sim_with_backend(&s, &b, TAIL("max_spans_per_trace = 10"));
    fd = sim_connect(&s);
    post(&s, fd, spans, 10);
    sim_run(&s, NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 10);
    post(&s, fd, spans + 10, 2);
    sim_run(&s, 100 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 0);
    CHECK(sim_kept(&s, "by_trigger", "too_large_12") == 12);
    post(&s, fd, spans + 12, 1);
    sim_run(&s, NS_PER_S);
    CHECK(sim_kept(&s, "by_trigger", "too_large_12") == 13);
    CHECK(sim_ledger(&s)->sum.late_kept == 1);
    CHECK(backend_read(&b, 1) == 13);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_trace_with_too_many_bytes_is_decided_at_once(void)
{
    struct test_span spans[6];
    char name[1001] = "";
    struct backend b;
    struct sim s;
    int fd;

    memset(name, 'x', sizeof(name) - 1);
    for (uint64_t i = 0; i < 6; i++) {
        spans[i] = i ? child(1, i + 1) : root(1);
        spans[i].name = name;
    }
    sim_with_backend(&s, &b, TAIL("max_trace_bytes = '4KiB'"));
    fd = sim_connect(&s);
    post(&s, fd, spans, 3);
    sim_run(&s, NS_PER_S);
    CHECK(sim_ledger(&s)->pending == 3);
    post(&s, fd, spans + 3, 3);
    sim_run(&s, 100 * NS_PER_MS);
    CHECK(sim_kept(&s, "by_trigger", "too_large_6") == 6);
    CHECK(sim_ledger(&s)->sum.decided[1][TRIGGER_TOO_LARGE] == 1);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_request_that_comes_twice_is_there_twice(void)
{
    const struct test_span spans[] = {root(1), child(1, 2)};
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, TAIL("decision_wait = '5s'"));
    fd = sim_connect(&s);
    post(&s, fd, spans, 2);
    post(&s, fd, spans, 2);
    sim_run(&s, 6 * NS_PER_S);
    CHECK(sim_ledger(&s)->sum.received == 4);
    CHECK(sim_ledger(&s)->new_traces == 1);
    CHECK(sim_kept(&s, "by_trigger", "wait_4") == 4);
    CHECK(backend_read(&b, 1) == 4);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void spans_with_wrong_ids_are_rejected_and_counted(void)
{
    const struct test_span spans[] = {
        root(1),
        {.trace_high = 1, .id = 0, .start_ms = now_ms, .duration_ms = 1},
        {.id = 2, .start_ms = now_ms, .duration_ms = 1},
        child(1, 3),
    };
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, TAIL("decision_wait = '5s'"));
    fd = sim_connect(&s);
    post(&s, fd, spans, 4);
    CHECK(sim_ledger(&s)->sum.received == 4);
    CHECK(sim_ledger(&s)->sum.rejected == 2);
    CHECK(sim_ledger(&s)->pending == 2);
    post(&s, fd, spans + 1, 2); /* nothing of it is good */
    CHECK(sim_ledger(&s)->sum.rejected == 4);
    balanced(&s);
    sim_run(&s, 6 * NS_PER_S);
    CHECK(sim_kept(&s, "by_trigger", "wait_2") == 2);
    CHECK(backend_read(&b, 1) == 2);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_forgotten_decision_makes_a_new_trace(void)
{
    enum { TRACES = 40 };
    uint64_t forgotten, late, again;
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, TAIL("decision_wait = '5s', decision_cache = 16"));
    fd = sim_connect(&s);
    for (uint64_t trace = 1; trace <= TRACES; trace++) {
        struct test_span span = root(trace);

        post(&s, fd, &span, 1);
    }
    sim_run(&s, 6 * NS_PER_S);
    forgotten = sim_ledger(&s)->table.forgotten;
    CHECK(forgotten > 0 && forgotten <= TRACES - 16);
    CHECK(sim_ledger(&s)->table.remembered == TRACES - forgotten);
    for (uint64_t trace = 1; trace <= TRACES; trace++) {
        struct test_span span = child(trace, 2);

        post(&s, fd, &span, 1);
    }
    late = sim_ledger(&s)->sum.late_kept;
    again = sim_ledger(&s)->new_traces - TRACES;
    CHECK(again == forgotten && late == TRACES - forgotten);
    balanced(&s);
    sim_run(&s, 6 * NS_PER_S);
    CHECK(sim_kept(&s, "by_trigger", "wait_1") == (uint64_t)2 * TRACES);
    CHECK(backend_read(&b, 1) == (size_t)2 * TRACES);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* A request of 1000 traces of one span. */
static void post_many(struct sim *s, int fd, uint64_t first)
{
    enum { MANY = 1000 };
    struct test_span *spans = calloc(MANY, sizeof(*spans));

    for (uint64_t i = 0; i < MANY; i++)
        spans[i] = root(first + i);
    post(s, fd, spans, MANY);
    free(spans);
}

static void under_full_load_as_much_is_decided_as_comes_in(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, TAIL("decision_wait = '1s'"));
    fd = sim_connect(&s);
    for (uint64_t n = 0; n < 10; n++)
        post_many(&s, fd, 1 + n * 1000);
    CHECK(sim_ledger(&s)->pending == 10000);
    fake_clock_advance(&s.clock, 2 * NS_PER_S); /* these are due, and the sockets never rest */
    for (uint64_t n = 10; n < 20; n++)
        post_many(&s, fd, 1 + n * 1000);
    CHECK(sim_kept(&s, "by_trigger", "wait_1") == 10000);
    CHECK(sim_ledger(&s)->pending == 10000);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

int main(void)
{
    RUN(a_root_shortens_the_wait_but_never_lengthens_it);
    RUN(over_num_traces_the_oldest_are_decided);
    RUN(a_trace_with_too_many_spans_is_decided_at_once_and_the_rest_is_late);
    RUN(a_trace_with_too_many_bytes_is_decided_at_once);
    RUN(a_request_that_comes_twice_is_there_twice);
    RUN(spans_with_wrong_ids_are_rejected_and_counted);
    RUN(a_forgotten_decision_makes_a_new_trace);
    RUN(under_full_load_as_much_is_decided_as_comes_in);
    return DONE();
}
