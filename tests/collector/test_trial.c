/* A changed configuration is tried on the last traces before it is taken. */
#include "collector/parts.h"
#include "collector/remembered.h"
#include "scenario.h"

#include <pthread.h>

#define POLICIES(text) CONFIG("decision_wait = '1s', policies = { " text " }", OTLP("a", "1", ""))
#define LATENCY(ms)    "policy 'latency' { threshold_ms = " ms " }"
#define ERRORS         "policy 'status_code' { status_codes = { 'ERROR' } }"

static void post_trace(struct sim *s, int fd, uint64_t trace, uint64_t duration_ms, bool error)
{
    struct test_span spans[2];

    for (uint64_t i = 0; i < 2; i++)
        spans[i] = (struct test_span){.trace_high = mix(trace),
                                      .trace_low = mix(~trace),
                                      .id = i + 1,
                                      .parent = i,
                                      .start_ms = now_ms,
                                      .duration_ms = i ? 1 : duration_ms,
                                      .error = i && error};
    post(s, fd, &spans[0], 1); /* two requests, so two frames */
    post(s, fd, &spans[1], 1);
}

/* Of every ten traces two take 700 ms, three 300 ms, the rest 10 ms; the last one is an error. */
static void post_traces(struct sim *s, unsigned count)
{
    int fd = sim_connect(s);

    for (unsigned i = 0; i < count; i++) {
        unsigned kind = i % 10;

        post_trace(s, fd, s->clock.now + i, kind < 2 ? 700 : kind < 5 ? 300 : 10, kind == 9);
    }
    sim_run(s, 1500 * NS_PER_MS);
}

static const struct trial_report *reload(struct sim *s, const char *config)
{
    const struct reload_outcome *last;

    sim_write(s, config);
    collector_reload(s->collector, RELOAD_COMMAND);
    sim_run(s, 2 * NS_PER_MS);
    last = collector_last_reload(s->collector);
    CHECK(last && last->is_taken);
    return &last->trial;
}

static void the_line_says_exactly_what_a_change_does(void)
{
    const struct trial_report *r;
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    post_traces(&s, 40);
    CHECK(sim_kept(&s, "latency", "slow") == 16);
    r = reload(&s, POLICIES(LATENCY("200") ", " ERRORS));
    CHECK(r->tried == 40);
    CHECK(!strcmp(r->keep, "20.0 % -> 60.0 %"));
    CHECK(!strcmp(r->change, "+12 slow, +4 error, -0"));
    CHECK(!strcmp(r->failed, ""));
    CHECK(sim_kept(&s, "latency", "slow") == 16); /* nothing was decided again */

    r = reload(&s, POLICIES(ERRORS)); /* against what was decided, not against the last version */
    CHECK(!strcmp(r->keep, "20.0 % -> 10.0 %"));
    CHECK(!strcmp(r->change, "+4 error, -8 slow"));
    r = reload(&s, POLICIES(LATENCY("500")));
    CHECK(!strcmp(r->keep, "20.0 % -> 20.0 %"));
    CHECK(!strcmp(r->change, "+0, -0"));
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void reload_prints_what_the_trial_says(void)
{
    struct backend b;
    struct sim s;
    struct buf out;

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    post_traces(&s, 10);
    reload(&s, POLICIES(LATENCY("200")));
    buf_init(&out, 4096, NULL);
    CHECK(collector_control(s.collector, slice_str("reload 1"), &out) == ERR_OK);
    buf_byte(&out, '\0');
    CHECK(strstr((char *)out.data,
                 "\ntried on the last 10 traces: keep 20.0 % -> 50.0 %, +3 slow, -0\n"));
    buf_fini(&out);
    sim_fini(&s);
    backend_fini(&b);
}

static void the_reasons_that_matter_come_first_and_the_rest_is_a_number(void)
{
    const struct trial_report *r;
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    post_traces(&s, 100);
    r = reload(&s, POLICIES("policy { name = 'p', decide = function(trace)\n"
                            " local n = tonumber(trace.id:sub(1, 1), 16)\n"
                            " if trace.duration_ms >= 500 then return drop 'slow' end\n"
                            " if trace.duration_ms >= 200 then return keep 'middle' end\n"
                            " if trace.error_count > 0 then return keep 'error' end\n"
                            " return keep('r' .. n % 4) end }"));
    CHECK(r->tried == 100);
    CHECK(!strcmp(r->keep, "20.0 % -> 80.0 %"));
    CHECK(strstr(r->change, "+30 middle, +") == r->change);
    CHECK(strstr(r->change, " others, -20 slow"));
    sim_fini(&s);
    backend_fini(&b);
}

static void what_scripts_say_stays_in_its_line(void)
{
    const struct trial_report *r;
    struct backend b;
    struct sim s;
    struct buf out;

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    post_traces(&s, 10);
    r = reload(&s, POLICIES("policy { name = 'p', decide = function(trace)\n"
                            " if trace.duration_ms >= 200 then error('a\\27[2J\\nb') end\n"
                            " return keep('r\\27[2J\\ntaken') end }"));
    buf_init(&out, 4096, NULL);
    trial_write(r, &out);
    buf_byte(&out, '\0');
    CHECK(strstr((char *)out.data, "+5 r?[2J?taken, "));
    CHECK(strstr((char *)out.data, "config.lua:3: a?[2J?b\n"));
    for (const char *at = (char *)out.data; *at; at++)
        CHECK(*at >= ' ' || *at == '\n');
    buf_fini(&out);
    sim_fini(&s);
    backend_fini(&b);
}

static void where_nothing_can_be_tried_it_says_why(void)
{
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    CHECK(!strcmp(reload(&s, POLICIES(LATENCY("200")))->because, "no trace was decided yet"));
    CHECK(reload(&s, POLICIES(LATENCY("500")))->tried == 0);
    post_traces(&s, 10);
    memory_add(&s.memory, (size_t)s.memory.soft_limit);
    CHECK(!strcmp(reload(&s, POLICIES(LATENCY("200")))->because, "memory is short"));
    memory_release(&s.memory, (size_t)s.memory.soft_limit);
    CHECK(reload(&s, POLICIES(LATENCY("500")))->tried == 10);
    sim_fini(&s);
    backend_fini(&b);
}

#define IN_MEMORY(tail)                                                                            \
    "return { journal = { ack = 'memory' }, receivers = { otlp = { grpc = false, http = "          \
    "'127.0.0.1:0' } },\n tail_sampling = { " tail " }, exporters = { " OTLP("a", "1", "") " } }"

static void at_level_memory_a_few_traces_are_remembered(void)
{
    const struct trial_report *r;
    struct backend b;
    struct sim s;
    int fd;

    backend_init(&b);
    sim_init(&s, &(struct sim_options){
                     .config = IN_MEMORY("decision_wait = '1s', policies = { " LATENCY("500") " }"),
                     .cpus = 2,
                     .serve = backend_serve,
                     .serve_arg = &b});
    fd = sim_connect(&s);
    CHECK(!strcmp(reload(&s, IN_MEMORY("policies = { " LATENCY("500") " }"))->because,
                  "no trace was decided yet"));
    reload(&s, IN_MEMORY("decision_wait = '1s', policies = { " LATENCY("500") " }"));
    for (uint64_t i = 0; i < 60; i++) {
        post_trace(&s, fd, 50 + i, i % 3 == 0 ? 300 : 10, false);
        sim_run(&s, 50 * NS_PER_MS);
    }
    sim_run(&s, 1500 * NS_PER_MS);
    r = reload(&s, IN_MEMORY("decision_wait = '1s', policies = { " LATENCY("200") " }"));
    CHECK(r->tried == 60); /* no two of them were decided within 20 ms */
    CHECK(!strcmp(r->change, "+20 slow, -0") && !strcmp(r->keep, "0.0 % -> 33.3 %"));
    for (uint64_t i = 0; i < 60; i++)
        post_trace(&s, fd, 500 + i, 10, false);
    sim_run(&s, 1500 * NS_PER_MS);
    r = reload(&s, IN_MEMORY("decision_wait = '1s', policies = { " LATENCY("200") " }"));
    CHECK(r->tried >= 62 && r->tried < 90); /* of many at once a few */
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_is_remembered_is_the_last_and_bounded(void)
{
    static struct memory memory;
    struct recent_limits limits = {.max_traces = 10, .max_bytes = 1 << 20};
    struct labels *labels = labels_new();
    struct remembered *r;
    struct recent recent;
    struct compose_span span = {.body = (const uint8_t *)""};
    uint8_t bytes[600] = {0x0a, 16};

    memory_init(&memory, 64 << 20, 16 << 20);
    r = remembered_new(&memory, 10, 64 << 10);
    span.view.span = slice_make(bytes, sizeof(bytes));
    CHECK(remembered_is_due(r, 0) && !remembered_is_due(NULL, 0));
    for (uint64_t i = 1; i <= 200; i++)
        remembered_add(r, &(struct recent_trace){.spans = 1, .unix_ns = i, .is_decided = true},
                       &span, i);
    CHECK(!remembered_is_due(r, 200) && remembered_is_due(r, 200 + 20 * NS_PER_MS));
    CHECK(memory_used(&memory) > 6000 && memory_used(&memory) < 64 << 10);
    CHECK(recent_of_workers(&r, 1, labels, &limits, &recent, NULL) == ERR_OK);
    CHECK(recent.count == 10);
    CHECK(recent.traces[0].unix_ns == 191 && recent.traces[9].unix_ns == 200);
    recent_fini(&recent);
    memory_add(&memory, 63 << 20); /* high: all are given back */
    remembered_relieve(r);
    remembered_add(r, &(struct recent_trace){.spans = 1}, &span, 300);
    CHECK(memory_used(&memory) == 63 << 20);
    CHECK(recent_of_workers(&r, 1, labels, &limits, &recent, NULL) == ERR_OK && recent.count == 0);
    recent_fini(&recent);
    remembered_free(r);
    labels_free(labels);
}

static const uint8_t one_span[600] = {0x0a, 16};

static void *add_many(void *remembered)
{
    const struct compose_span span = {.view.span = {one_span, sizeof(one_span)}, .body = one_span};

    for (uint64_t i = 1; i <= 3000; i++) {
        remembered_relieve(remembered);
        remembered_add(remembered, &(struct recent_trace){.spans = 1, .unix_ns = i}, &span, i);
    }
    return NULL;
}

static void the_builder_reads_while_a_worker_remembers(void)
{
    static struct memory memory;
    struct recent_limits limits = {.max_traces = 100, .max_bytes = 1 << 20};
    struct labels *labels = labels_new();
    struct remembered *r;
    struct recent recent;
    pthread_t worker;

    memory_init(&memory, 64 << 20, 16 << 20);
    r = remembered_new(&memory, 100, 64 << 10);
    if (pthread_create(&worker, NULL, add_many, r) != 0)
        abort();
    for (int i = 0; i < 50; i++) {
        CHECK(recent_of_workers(&r, 1, labels, &limits, &recent, NULL) == ERR_OK);
        for (size_t k = 1; k < recent.count; k++)
            CHECK(recent.traces[k].unix_ns > recent.traces[k - 1].unix_ns);
        recent_fini(&recent);
    }
    pthread_join(worker, NULL);
    remembered_free(r);
    CHECK(memory_used(&memory) == 0);
    labels_free(labels);
}

static void at_most_a_thousand_are_tried_the_last_ones(void)
{
    const struct trial_report *r;
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    fd = sim_connect(&s);
    for (uint64_t i = 0; i < 50; i++)
        post_trace(&s, fd, 100000 + i, 300, false);
    sim_run(&s, 1500 * NS_PER_MS);
    post_traces(&s, 1000);
    r = reload(&s, POLICIES(LATENCY("200")));
    CHECK(r->tried == 1000);
    CHECK(!strcmp(r->change, "+300 slow, -0"));
    sim_fini(&s);
    backend_fini(&b);
}

/* ---- the trial touches nothing that lives ---- */

/* As of one moment, whenever it is asked for: what differs was done by somebody. */
static void snapshot_cells(struct sim *s, struct buf *out)
{
    static uint64_t now_ns;

    now_ns = now_ns ? now_ns : s->clock.now;
    cells_write(s->collector->cells, now_ns, NS_PER_S, out);
}

static void limits_and_the_like_are_as_they_were_before_a_trial(void)
{
    static const char text[] =
        POLICIES("policy { name = 'p', setup = function() return {\n"
                 " few = limit { rate = 1, per = '1h', burst = 12, name = 'few' },\n"
                 " new = seen { window = '1h', name = 'new' },\n"
                 " all = counter { window = '1h', name = 'all' } } end,\n"
                 " decide = function(trace, opt, my) my.all:add('x') my.new:add(trace.id)\n"
                 " if my.few:take() then return keep 'few' end end }");
    const struct trial_report *r;
    struct buf before, after;
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, text);
    post_traces(&s, 10);
    CHECK(sim_kept(&s, "p", "few") == 20);
    buf_init(&before, 1 << 20, NULL);
    buf_init(&after, 1 << 20, NULL);
    snapshot_cells(&s, &before);
    r = reload(&s, text);
    CHECK(r->tried == 10);
    /* Two of twelve were left of the limit: the copy began with that, and gave no more. */
    CHECK(!strcmp(r->keep, "100.0 % -> 20.0 %"));
    CHECK(!strcmp(r->change, "+0, -8 few"));
    CHECK(!strcmp(reload(&s, text)->keep, "100.0 % -> 20.0 %")); /* so does the next one */
    snapshot_cells(&s, &after);
    CHECK(before.len > 100 && before.len == after.len);
    CHECK(memcmp(before.data, after.data, before.len) == 0);
    post_traces(&s, 10);
    CHECK(sim_kept(&s, "p", "few") == 24);
    buf_fini(&before);
    buf_fini(&after);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static uint64_t errors_counted(struct sim *s)
{
    const struct policy_shared *shared = collector_policy_shared(s->collector);
    const char *name, *kind;
    uint64_t count, sum = 0;

    for (size_t at = 0; policy_errors_next(shared, &at, &name, &kind, &count);)
        sum += count;
    for (size_t at = 0; processor_errors_next(shared, &at, &name, &kind, &count);)
        sum += count;
    return sum;
}

static bool has_quarantine(struct sim *s)
{
    const char *name;
    bool out, any = false;

    for (size_t at = 0;
         policy_quarantine_next(collector_policy_shared(s->collector), &at, &name, &out);)
        any |= out;
    return any;
}

static void a_policy_that_raises_is_named_and_taken_all_the_same(void)
{
    const struct trial_report *r;
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    post_traces(&s, 20);
    r = reload(&s, CONFIG("decision_wait = '1s', quarantine = { errors = 1, window = '60s' },\n"
                          "policies = { " LATENCY("500") ", policy { name = 'mine',\n"
                                                         "decide = function(trace)\n"
                                                         "  return keep(trace.nonsense)\n"
                                                         "end } }",
                          OTLP("a", "1", "")));
    CHECK(r->tried == 20);
    CHECK(strstr(r->failed, "policy mine, 1 time: ") == r->failed); /* in quarantine then */
    CHECK(strstr(r->failed, "config.lua:5: "));
    CHECK(!strcmp(r->keep, "20.0 % -> 70.0 %")); /* ten a second are kept for that */
    CHECK(errors_counted(&s) == 0 && !has_quarantine(&s));
    sim_fini(&s);
    backend_fini(&b);
}

static void an_overrun_is_named_and_bounded(void)
{
    const struct trial_report *r;
    struct backend b;
    struct sim s;
    uint64_t began = clock_thread_cpu_ns();

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    post_traces(&s, 400);
    r = reload(&s, CONFIG("decision_wait = '1s', quarantine = { errors = 1000000 },\n"
                          "policies = { policy { name = 'mine', decide = function()\n"
                          "  while true do end\n"
                          "end } }",
                          OTLP("a", "1", "")));
    CHECK(r->tried > 0 && r->tried < 400);
    CHECK(strstr(r->failed, "policy mine, ") == r->failed && strstr(r->failed, "config.lua:4: "));
    CHECK(clock_thread_cpu_ns() - began < 5 * NS_PER_S);
    sim_fini(&s);
    backend_fini(&b);
}

#define PROCESSORS(received, kept)                                                                 \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "processors = { received = { " received " },\n"                                                \
    "kept = { " kept " } },\n"                                                                     \
    "tail_sampling = { decision_wait = '1s', policies = { " LATENCY(                               \
        "500") " } }, exporters = { " OTLP("a", "1", "") " } }"

static void processors_run_in_the_trial_and_are_named_too(void)
{
    const struct trial_report *r;
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    post_traces(&s, 20);
    r = reload(&s, PROCESSORS("processor { name = 'door', on = 'received',\n"
                              " span = function(span) return keep() end }",
                              "processor { name = 'last', on = 'kept',\n"
                              " span = function(span) span:set_name(nil) end }"));
    CHECK(strstr(r->failed, "processor door, ") == r->failed);
    CHECK(strstr(r->failed, "config.lua:3: span returned another verdict; allowed: drop() or nil"));
    CHECK(strstr(r->failed, "; processor last, ") && strstr(r->failed, "config.lua:5: "));
    CHECK(!strcmp(r->change, "+0, -0"));
    CHECK(errors_counted(&s) == 0);

    r = reload(&s, PROCESSORS("processor 'drop_at_door' { when = match { is_root = true } }", ""));
    CHECK(!strcmp(r->keep, "20.0 % -> 0.0 %")); /* the long spans are the roots */
    CHECK(!strcmp(r->change, "+0, -4 slow"));
    sim_fini(&s);
    backend_fini(&b);
}

/* ---- what is read back ---- */

static void read_back(struct sim *s, struct recent *r)
{
    struct recent_limits limits = {.max_traces = 1000, .max_bytes = 32 << 20};
    struct err_info info;

    CHECK(recent_read(disk_system(), collector_config(s->collector)->journal.path, &limits, r,
                      &info) == ERR_OK);
}

static void a_trace_reads_back_as_it_was_decided(void)
{
    struct scan_span spans[4];
    struct scan_result found;
    struct backend b;
    struct recent r;
    struct sim s;

    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    post_trace(&s, sim_connect(&s), 7, 700, true);
    sim_run(&s, 1500 * NS_PER_MS);
    post_trace(&s, sim_connect(&s), 7, 5, false); /* late: no part of it */
    sim_run(&s, NS_PER_S);
    post_trace(&s, sim_connect(&s), 8, 5, false); /* not decided yet */
    read_back(&s, &r);
    CHECK(r.count == 1 && r.decided == 1);
    CHECK(r.traces[0].is_decided && r.traces[0].kept && r.traces[0].complete);
    CHECK(r.traces[0].spans == 2 && view_id(slice_make(r.traces[0].id, 8)) == mix(7));
    CHECK(!strcmp(labels_reason(r.labels, r.traces[0].label), "slow"));
    CHECK(scan_traces(buf_slice(&r.traces[0].body), spans, 4, &found) == ERR_OK);
    CHECK(found.spans == 2 && found.rejected == 0);
    CHECK(spans[0].span_id == 1 && spans[1].span_id == 2 && spans[1].parent_id == 1);
    recent_fini(&r);
    sim_fini(&s);
    backend_fini(&b);
}

/* Of each request's traces one waits for long; half of its spans came in the request before. */
static uint64_t post_with_lonely_ones(struct sim *s, uint64_t requests)
{
    static char name[2000];
    struct test_span spans[20];
    int fd = sim_connect(s);

    memset(name, 'x', sizeof(name) - 1);
    for (uint64_t k = 0; k < requests; k++) {
        for (uint64_t i = 0; i < 20; i++)
            spans[i] = (struct test_span){.trace_high = mix(i < 2 ? k + i : 1000 + 20 * k + i),
                                          .trace_low = i < 2,
                                          .id = i + 1,
                                          .parent = i < 2 ? 99 : 0,
                                          .name = name,
                                          .start_ms = now_ms,
                                          .duration_ms = 1};
        post(s, fd, spans, 20);
        sim_run(s, 20 * NS_PER_MS);
    }
    sim_run(s, 4 * NS_PER_S);
    return requests + 1; /* that wait */
}

static void a_span_that_was_moved_reads_back_once(void)
{
    static const char text[] = CONFIG("decision_wait = '3s', decision_wait_after_root = '100ms', "
                                      "policies = { " LATENCY("500") " }",
                                      OTLP("a", "1", ""));
    struct scan_span spans[4];
    struct scan_result found;
    struct backend b;
    struct recent r;
    struct sim s;
    uint64_t lonely = 0, sent;

    backend_init(&b);
    sim_init(&s,
             &(struct sim_options){
                 .config = text, .moves_eagerly = true, .serve = backend_serve, .serve_arg = &b});
    sent = post_with_lonely_ones(&s, 40);
    CHECK(sim_ledger(&s)->sum.moved_spans > 10);
    read_back(&s, &r);
    CHECK(r.decided == sent + UINT64_C(40) * 18);
    for (size_t i = 0; i < r.count; i++) {
        if (scan_traces(buf_slice(&r.traces[i].body), spans, 4, &found) != ERR_OK)
            abort();
        CHECK(found.spans == r.traces[i].spans);
        lonely += spans[0].parent_id == 99;
        CHECK(found.spans == 1 || (found.spans == 2 && spans[0].span_id != spans[1].span_id));
    }
    CHECK(lonely == sent);
    recent_fini(&r);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_is_overwritten_is_left_out(void)
{
    struct test_span *spans = calloc(40, sizeof(*spans));
    struct backend b;
    struct recent r;
    struct sim s;
    size_t all = 0;
    int fd;

    if (!spans)
        abort();
    sim_with_backend(&s, &b, POLICIES(LATENCY("500")));
    fd = sim_connect(&s);
    for (uint64_t round = 0; round < 40; round++) {
        static char large[20000];

        memset(large, 'x', sizeof(large) - 1);
        for (uint64_t i = 0; i < 40; i++)
            spans[i] = (struct test_span){.trace_high = mix(round * 40 + i),
                                          .trace_low = mix(round),
                                          .id = 1,
                                          .name = large,
                                          .start_ms = now_ms,
                                          .duration_ms = 1};
        post(&s, fd, spans, 40);
        sim_run(&s, 1500 * NS_PER_MS);
        all += 40;
    }
    read_back(&s, &r);
    CHECK(r.count > 40 && r.decided == all && r.count < all - 40);
    for (size_t i = 1; i < r.count; i++)
        CHECK(r.traces[i].unix_ns >= r.traces[i - 1].unix_ns);
    CHECK(memcmp(r.traces[r.count - 1].id + 8, &(uint64_t){__builtin_bswap64(mix(39))}, 8) == 0);
    recent_fini(&r);
    free(spans);
    sim_fini(&s);
    backend_fini(&b);
}

int main(void)
{
    RUN(the_line_says_exactly_what_a_change_does);
    RUN(reload_prints_what_the_trial_says);
    RUN(the_reasons_that_matter_come_first_and_the_rest_is_a_number);
    RUN(what_scripts_say_stays_in_its_line);
    RUN(where_nothing_can_be_tried_it_says_why);
    RUN(at_level_memory_a_few_traces_are_remembered);
    RUN(what_is_remembered_is_the_last_and_bounded);
    RUN(the_builder_reads_while_a_worker_remembers);
    RUN(at_most_a_thousand_are_tried_the_last_ones);
    RUN(limits_and_the_like_are_as_they_were_before_a_trial);
    RUN(a_policy_that_raises_is_named_and_taken_all_the_same);
    RUN(an_overrun_is_named_and_bounded);
    RUN(processors_run_in_the_trial_and_are_named_too);
    RUN(a_trace_reads_back_as_it_was_decided);
    RUN(a_span_that_was_moved_reads_back_once);
    RUN(what_is_overwritten_is_left_out);
    return DONE();
}
