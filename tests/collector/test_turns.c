/* Scenarios: a worker's turn ends although there is more to do, on a machine on which each look at
 * the clock takes a while. */
#include "collector/decide.h"
#include "collector/worker.h"
#include "scenario.h"

enum { TRACES = 4000 };

static const char config[] =
    CONFIG("decision_wait = '1s', policies = { policy 'always_sample' {} }", OTLP("one", "1", ""));
static const char at_level_written[] =
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"
    "  journal = { ack = 'written' }, tail_sampling = { decision_wait = '1s', policies = { policy "
    "'always_sample' {} } },"
    "  exporters = { " OTLP("one", "1", "") " } }\n";

static const char two_workers[] = "return { workers = 2, journal = { ack = 'memory' }, receivers = "
                                  "{ otlp = { grpc = false, http = '127.0.0.1:0' } },"
                                  "  exporters = { " OTLP("one", "1", "") " } }\n";

static uint64_t slow_now_ns(const struct clock *c)
{
    struct fake_clock *f = (struct fake_clock *)(uintptr_t)c;

    fake_clock_advance(f, 50 * NS_PER_US);
    return f->now;
}

static struct test_span *make_spans(uint64_t id)
{
    struct test_span *spans = calloc(TRACES, sizeof(*spans));

    for (uint64_t i = 0; spans && i < TRACES; i++)
        spans[i] = (struct test_span){.trace_high = mix(i),
                                      .trace_low = i + 1,
                                      .id = id,
                                      .parent = id - 1,
                                      .start_ms = now_ms,
                                      .duration_ms = 1};
    return spans;
}

/* TRACES traces of a span are kept, and come in requests of a hundred. */
static int send_traces(struct sim *s, const struct test_span *spans)
{
    int fd = sim_connect(s);

    for (size_t i = 0; i < TRACES; i += 100)
        post(s, fd, &spans[i], 100);
    return fd;
}

static const struct task *task_named(struct sim *s, const char *name)
{
    unsigned count;
    const struct task *tasks = collector_tasks(s->collector, &count);

    for (unsigned i = 0; i < count; i++)
        if (strcmp(tasks[i].name, name) == 0)
            return &tasks[i];
    return NULL;
}

static void step(struct sim *s, const struct task *task)
{
    loop_wait(task->loop, s->clock.now);
    task->step(task->arg, s->clock.now);
}

/* Sends without waiting for an answer. */
static void send_request(struct sim *s, int fd, const struct test_span *spans, size_t count)
{
    struct buf body, request;

    buf_init(&body, 1 << 20, NULL);
    buf_init(&request, 1 << 20, NULL);
    spans_put(&body, spans, count);
    buf_printf(&request,
               "POST /v1/traces HTTP/1.1\r\nHost: sim\r\n"
               "Content-Type: application/x-protobuf\r\nContent-Length: %zu\r\n\r\n",
               body.len);
    buf_append(&request, body.data, body.len);
    CHECK(fake_net_send(s->net, fd, buf_slice(&request)) == request.len);
    buf_fini(&request);
    buf_fini(&body);
}

static void late_spans_are_handed_on_over_several_turns(void)
{
    struct sim s;
    struct test_span *first = make_spans(1), *late = make_spans(2);
    const struct worker *w;
    int fd;

    sim_init(&s, &(struct sim_options){.config = config});
    w = task_named(&s, "worker-0")->arg;
    fd = send_traces(&s, first);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(sim_kept(&s, "always_sample", "always") == TRACES);
    s.clock.clock.now_ns = slow_now_ns;
    post(&s, fd, late, TRACES);
    CHECK(decider_pending(w->decider) > TRACES / 2);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(decider_pending(w->decider) == 0);
    CHECK(sim_kept(&s, "always_sample", "always") == 2 * TRACES);
    balanced(&s);
    sim_fini(&s);
    free(first);
    free(late);
}

/* They were decided while the disk stood still. */
static void what_is_committed_at_once_is_released_over_several_turns(void)
{
    struct sim s;
    struct test_span *spans = make_spans(1);
    const struct task *journal, *worker;
    const struct worker *w;
    uint64_t before;

    sim_init(&s, &(struct sim_options){.config = at_level_written});
    journal = task_named(&s, "journal");
    worker = task_named(&s, "worker-0");
    w = worker->arg;
    send_traces(&s, spans);
    fake_clock_advance(&s.clock, 2 * NS_PER_S);
    for (int i = 0; i < 200; i++)
        step(&s, worker);
    before = decider_releasing(w->decider);
    CHECK(before == TRACES);
    for (int i = 0; i < 4; i++)
        step(&s, journal);
    s.clock.clock.now_ns = slow_now_ns;
    step(&s, worker);
    CHECK(decider_releasing(w->decider) < before);
    CHECK(decider_releasing(w->decider) > before / 4);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(decider_releasing(w->decider) == 0);
    CHECK(sim_kept(&s, "always_sample", "always") == TRACES);
    balanced(&s);
    sim_fini(&s);
    free(spans);
}

/* A worker had no turn for long, and its inbox is full. */
static void an_inbox_is_emptied_over_several_turns(void)
{
    struct sim s;
    struct test_span *spans = make_spans(1);
    const struct task *busy, *other;
    const struct worker *w;
    struct ring *inbox;
    size_t before;
    int fd;

    sim_init(&s, &(struct sim_options){.config = two_workers, .cpus = 2});
    fd = sim_connect(&s);
    sim_run(&s, NS_PER_MS);
    busy = task_named(&s, "worker-0");
    other = task_named(&s, "worker-1");
    w = busy->arg;
    if (w->open_connections == 0) {
        busy = other;
        other = task_named(&s, "worker-0");
    }
    w = other->arg;
    inbox = &w->inboxes[((const struct worker *)busy->arg)->index];
    for (size_t i = 0; i < TRACES / 4; i++) {
        send_request(&s, fd, &spans[i], 1);
        step(&s, busy);
    }
    before = ring_count(inbox);
    CHECK(before > 200);
    s.clock.clock.now_ns = slow_now_ns;
    step(&s, other);
    CHECK(ring_count(inbox) < before);
    CHECK(ring_count(inbox) > before / 4);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(ring_count(inbox) == 0);
    balanced(&s);
    sim_fini(&s);
    free(spans);
}

int main(void)
{
    RUN(late_spans_are_handed_on_over_several_turns);
    RUN(an_inbox_is_emptied_over_several_turns);
    RUN(what_is_committed_at_once_is_released_over_several_turns);
    return DONE();
}
