/* Scenarios: limits and the like in scripts, over workers, over a kill. */
#include "base/log.h"
#include "collector/state_file.h"
#include "scenario.h"

#include <fcntl.h>
#include <unistd.h>

#define LIMITED                                                                                    \
    "policies = { policy { name = 'p', decide = (function()\n"                                     \
    "  local few = limit { rate = 100, per = '1s', burst = 10, name = 'few' }\n"                   \
    "  return function() if few:take() then return keep 'few' end end\n"                           \
    "end)() } }, decision_wait = '1s', tracestate = 'always'"

/* `per_10_ms` new traces each 10 ms for `ms`. */
static void send(struct sim *s, int fd, uint64_t *number, unsigned per_10_ms, unsigned ms)
{
    struct test_span spans[64];

    for (unsigned at = 0; at < ms; at += 10) {
        for (unsigned i = 0; i < per_10_ms; i++)
            spans[i] = (struct test_span){.trace_high = mix(++*number),
                                          .trace_low = mix(~*number),
                                          .id = 1,
                                          .start_ms = now_ms,
                                          .duration_ms = 1};
        post(s, fd, spans, per_10_ms);
        sim_run(s, 10 * NS_PER_MS - s->clock.now % (10 * NS_PER_MS));
    }
}

static uint64_t kept(struct sim *s)
{
    return sim_kept(s, "p", "few");
}

static uint64_t decided(struct sim *s, unsigned worker)
{
    return collector_worker(s->collector, worker)->counts.decided[true][TRIGGER_ROOT] +
           collector_worker(s->collector, worker)->counts.decided[true][TRIGGER_WAIT];
}

static void two_workers_keep_exactly_what_one_limit_allows(void)
{
    struct sim s;
    uint64_t number = 0, first, second, third;
    int fd;

    sim_init(&s, &(struct sim_options){.config = CONFIG(LIMITED, "exporter 'nop'"), .cpus = 2});
    fd = sim_connect(&s);
    send(&s, fd, &number, 10, 2000); /* 1,000 traces a second; the first second only waits */
    first = kept(&s);
    CHECK(decided(&s, 0) > 300 && decided(&s, 1) > 300);
    send(&s, fd, &number, 10, 1000);
    second = kept(&s);
    send(&s, fd, &number, 10, 1000);
    third = kept(&s);
    CHECK(first == 10 + 100);
    CHECK(second - first == 100);
    CHECK(third - second == 100);
    balanced(&s);
    sim_fini(&s);
}

#define SPARSE                                                                                     \
    "policies = { policy { name = 'p', decide = (function()\n"                                     \
    "  local few = limit { rate = 5, per = '1h', name = 'few' }\n"                                 \
    "  return function() if few:take() then return keep 'few' end end\n"                           \
    "end)() } }, decision_wait = '1s'"

static char logged[4096];

static void on_log(void *arg, const char *line, size_t len)
{
    size_t had = strlen(logged);

    (void)arg;
    snprintf(logged + had, sizeof(logged) - had, "%.*s", (int)len, line);
}

static void start_sparse(struct sim *s)
{
    sim_init(s, &(struct sim_options){.config = CONFIG(SPARSE, "exporter 'nop'"), .cpus = 2});
}

/* How many of 20 new traces are kept. */
static uint64_t kept_of_20(struct sim *s, uint64_t *number)
{
    uint64_t before = kept(s);
    int fd = sim_connect(s);

    send(s, fd, number, 10, 20);
    sim_run(s, 4 * NS_PER_S);
    return kept(s) - before;
}

static bool metrics_say(struct sim *s, const char *line)
{
    struct buf page;
    bool said;

    buf_init(&page, 1 << 20, NULL);
    CHECK(collector_write_metrics(s->collector, false, &page) == 200);
    buf_byte(&page, 0);
    said = strstr((const char *)page.data, line) != NULL;
    buf_fini(&page);
    return said;
}

static void keys_and_overflows_are_metrics(void)
{
    struct sim s;
    uint64_t number = 0;

    sim_init(&s, &(struct sim_options){
                     .config = CONFIG(
                         "policies = { policy { name = 'p', decide = (function()\n"
                         "  local ids = seen { window = '1h', max_keys = 3, name = 'ids' }\n"
                         "  return function(trace) if ids:add(trace.id) then return keep 'few' end "
                         "end\nend)() } }, decision_wait = '1s'",
                         "exporter 'nop'")});
    CHECK(kept_of_20(&s, &number) == 4);
    CHECK(metrics_say(
        &s, "moontail_state_keys{component=\"config.lua\",kind=\"seen\",name=\"ids\"} 3"));
    CHECK(metrics_say(
        &s,
        "moontail_state_overflow_total{component=\"config.lua\",kind=\"seen\",name=\"ids\"} 17"));
    sim_fini(&s);
}

static void a_limit_goes_on_where_it_was_after_a_kill(void)
{
    struct sim s;
    uint64_t number = 0;

    start_sparse(&s);
    CHECK(kept_of_20(&s, &number) == 5);
    sim_kill(&s);
    sim_start(&s);
    CHECK(kept_of_20(&s, &number) == 0);
    fake_clock_advance(&s.clock, 24 * 60 * NS_PER_S); /* two of the five are back */
    sim_kill(&s);
    sim_start(&s);
    CHECK(kept_of_20(&s, &number) == 2);
    sim_fini(&s);
}

#define SETUP(limit)                                                                               \
    CONFIG(                                                                                        \
        "policies = { policy { name = 'p', setup = function() return " limit " end,\n"             \
        "  decide = function(trace, opt, my) if my:take() then return keep 'few' end end } },\n"   \
        "decision_wait = '1s'",                                                                    \
        "exporter 'nop'")

static bool reload(struct sim *s, const char *config)
{
    unsigned number;

    sim_write(s, config);
    number = collector_reload(s->collector, RELOAD_COMMAND);
    sim_run(s, NS_PER_S);
    return collector_last_reload(s->collector)->number == number &&
           collector_last_reload(s->collector)->is_taken;
}

static void a_reload_keeps_levels_and_carries_them_over_to_other_rates(void)
{
    struct sim s;
    uint64_t number = 0;

    sim_init(&s,
             &(struct sim_options){.config = SETUP("limit { rate = 10, per = '1h' }"), .cpus = 2});
    CHECK(kept_of_20(&s, &number) == 10);
    CHECK(reload(&s, SETUP("limit { per = '1h', rate = 10 }")));
    CHECK(kept_of_20(&s, &number) == 0);
    CHECK(!reload(&s, SETUP("limit { per = '1h', rate = 10 }:take()"))); /* no time yet */
    CHECK(reload(&s, SETUP("limit { per = '1h', rate = 15 }")));
    CHECK(kept_of_20(&s, &number) == 5);
    CHECK(reload(&s, SETUP("limit { per = '1h', rate = 15, name = 'another' }")));
    CHECK(kept_of_20(&s, &number) == 15);
    balanced(&s);
    sim_fini(&s);
}

#define AT_LEVEL(ack, policies)                                                                    \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "  journal = { ack = '" ack "' }, exporters = { exporter 'nop' },\n"                           \
    "  tail_sampling = { decision_wait = '1s', policies = { " policies " } } }\n"

#define KNOWS_IDS                                                                                  \
    "policy { name = 'p', setup = function() return seen { window = '10s' } end,\n"                \
    "  decide = function(trace, opt, my) if my:add(trace.id) then return keep 'few' end end }"

static void forgets(const char *config, const char *without)
{
    struct sim s;
    uint64_t number = 0;

    sim_init(&s, &(struct sim_options){.config = config, .cpus = 2});
    CHECK(kept_of_20(&s, &number) == 20);
    CHECK(reload(&s, without));
    CHECK(metrics_say(&s, "moontail_state_keys{component=\"p\",kind=\"seen\",name=\"#1\"} 20"));
    CHECK(reload(&s, config));
    CHECK(reload(&s, without));
    sim_run(&s, 12 * NS_PER_S);
    CHECK(!metrics_say(&s, "moontail_state_keys{"));
    sim_fini(&s);
}

static void what_a_removed_policy_knew_is_let_go_when_it_is_over(void)
{
    forgets(AT_LEVEL("written", KNOWS_IDS), AT_LEVEL("written", "policy 'always_sample'"));
    forgets(AT_LEVEL("memory", KNOWS_IDS), AT_LEVEL("memory", "policy 'always_sample'"));
}

static void write_state(const struct sim *s, const char *text)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/journal/" STATE_FILE_NAME, s->folder);
    fd = open(path, O_WRONLY | O_TRUNC);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void a_damaged_state_file_begins_anew_and_is_said(void)
{
    struct sim s;
    uint64_t number = 0;

    start_sparse(&s);
    CHECK(kept_of_20(&s, &number) == 5);
    sim_kill(&s);
    write_state(&s, "MTCELLS1 and then nonsense, long enough to be looked at");
    log_redirect(on_log, NULL);
    sim_start(&s);
    log_redirect(NULL, NULL);
    CHECK(strstr(logged, "policy-state") && strstr(logged, "checksum"));
    CHECK(kept_of_20(&s, &number) == 5);
    sim_kill(&s);
    sim_start(&s);
    CHECK(kept_of_20(&s, &number) == 0); /* it was written over */
    sim_fini(&s);
}

int main(void)
{
    RUN(keys_and_overflows_are_metrics);
    RUN(a_limit_goes_on_where_it_was_after_a_kill);
    RUN(a_reload_keeps_levels_and_carries_them_over_to_other_rates);
    RUN(what_a_removed_policy_knew_is_let_go_when_it_is_over);
    RUN(a_damaged_state_file_begins_anew_and_is_said);
    RUN(two_workers_keep_exactly_what_one_limit_allows);
    return DONE();
}
