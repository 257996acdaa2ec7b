/* Exporters come, change and go while spans come in. */
#include "reloading.h"

#define KEEP_ALL "decision_wait = '1s', policies = { policy 'always_sample' }"

static const char at_1[] = CONFIG(KEEP_ALL, OTLP("a", "1", ""));
static const char at_2[] = CONFIG(KEEP_ALL, OTLP("a", "2", ""));
static const char at_1_and_b[] = CONFIG(KEEP_ALL, OTLP("a", "1", "") ", " OTLP("b", "2", ""));
static const char only_b[] = CONFIG(KEEP_ALL, OTLP("b", "2", ""));

static struct {
    struct backend backend;
    struct sim sim;
    int fd;
} t;

static void begin(const char *config)
{
    sim_with_backend(&t.sim, &t.backend, config);
    t.fd = sim_connect(&t.sim);
}

static void end(void)
{
    balanced(&t.sim);
    sim_fini(&t.sim);
    backend_fini(&t.backend);
}

/* Posts that many traces of one span, numbered from `from`, and lets them be decided. */
static void post_and_decide(uint64_t from, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        post_trace(&t.sim, t.fd, from + i);
    sim_run(&t.sim, 1100 * NS_PER_MS);
}

static const struct export_stats *stats_of(const char *name)
{
    const struct ledger *l = sim_ledger(&t.sim);

    for (size_t i = 0; i < l->exporter_count; i++)
        if (strcmp(l->exporters[i].name, name) == 0)
            return &l->exporters[i].stats;
    abort();
}

static void take(const char *config)
{
    sim_write(&t.sim, config);
    CHECK(reload(&t.sim));
    CHECK(collector_last_reload(t.sim.collector)->restart.len == 0);
}

static void an_exporter_that_is_added_gets_what_is_decided_after_it(void)
{
    begin(at_1);
    post_and_decide(1, 3);
    take(at_1_and_b);
    sim_run(&t.sim, 200 * NS_PER_MS); /* its position is on disk, and the rules are exchanged */
    post_and_decide(10, 2);
    CHECK(backend_read(&t.backend, 1) == 5);
    CHECK(backend_read(&t.backend, 2) == 2);
    CHECK(stats_of("otlp/b")->delivered == 2);
    end();
}

static void an_exporter_that_was_added_goes_on_after_a_kill(void)
{
    begin(at_1);
    take(at_1_and_b);
    sim_run(&t.sim, 200 * NS_PER_MS);
    t.backend.down[2] = true;
    post_and_decide(1, 4);
    CHECK(backend_read(&t.backend, 1) == 4);
    sim_kill(&t.sim);
    t.backend.down[2] = false;
    sim_start(&t.sim);
    sim_run(&t.sim, NS_PER_S);
    CHECK(backend_read(&t.backend, 2) == 4);
    CHECK(stats_of("otlp/b")->recovered == 4);
    end();
}

static void what_is_queued_for_one_that_is_removed_is_lost_and_counted(void)
{
    begin(at_1_and_b);
    t.backend.down[1] = true;
    post_and_decide(1, 3);
    CHECK(stats_of("otlp/a")->queued == 3);
    take(only_b);
    sim_run(&t.sim, 100 * NS_PER_MS);
    CHECK(stats_of("otlp/a")->queued == 0);
    CHECK(stats_of("otlp/a")->lost_removed == 3);
    CHECK(stats_of("otlp/a")->removed);
    balanced(&t.sim);

    post_and_decide(10, 2); /* nothing is for it any more */
    CHECK(stats_of("otlp/a")->enqueued == 3);
    t.backend.down[1] = false;
    take(at_1_and_b); /* and it comes back */
    post_and_decide(20, 2);
    CHECK(backend_read(&t.backend, 1) == 2);
    CHECK(backend_read(&t.backend, 2) == 7);
    CHECK(!stats_of("otlp/a")->removed);
    end();
}

static void late_spans_of_a_trace_do_not_go_to_one_that_was_removed(void)
{
    begin(at_1_and_b);
    post_and_decide(1, 1);
    take(only_b);
    post_and_decide(1, 1);
    CHECK(stats_of("otlp/a")->lost_removed == 0);
    CHECK(backend_read(&t.backend, 1) == 1 && backend_read(&t.backend, 2) == 2);
    end();
}

static void what_is_queued_goes_to_the_new_endpoint_at_once(void)
{
    begin(at_1);
    t.backend.down[1] = true;
    post_and_decide(1, 5);
    sim_run(&t.sim, 40 * NS_PER_S); /* the circuit is open */
    CHECK(stats_of("otlp/a")->circuit_open);
    take(at_2);
    sim_run(&t.sim, 100 * NS_PER_MS);
    CHECK(backend_read(&t.backend, 2) == 5);
    CHECK(!stats_of("otlp/a")->circuit_open);
    post_and_decide(10, 2);
    CHECK(backend_read(&t.backend, 1) == 0 && backend_read(&t.backend, 2) == 7);
    end();
}

static void what_is_in_flight_ends_before_the_new_one_goes_on(void)
{
    begin(at_1);
    t.backend.delay_ns = 3 * NS_PER_S;
    post_and_decide(1, 3);
    CHECK(stats_of("otlp/a")->in_flight > 0);
    take(at_2);
    post_and_decide(10, 2);
    CHECK(t.backend.requests[2] == 0);
    sim_run(&t.sim, 10 * NS_PER_S);
    CHECK(backend_read(&t.backend, 1) == 3 && backend_read(&t.backend, 2) == 2);
    CHECK(stats_of("otlp/a")->redelivered == 0);
    end();
}

static void what_is_never_answered_is_sent_again_after_ten_seconds(void)
{
    begin(CONFIG(KEEP_ALL, OTLP("a", "1", "timeout = '1h'")));
    t.backend.delay_ns = 3000 * NS_PER_S;
    post_and_decide(1, 3);
    t.backend.delay_ns = 0;
    take(at_2);
    sim_run(&t.sim, 9 * NS_PER_S);
    CHECK(t.backend.requests[2] == 0);
    sim_run(&t.sim, 2 * NS_PER_S);
    CHECK(backend_read(&t.backend, 2) == 3);
    CHECK(stats_of("otlp/a")->redelivered == 3);
    end();
}

static void a_change_in_the_middle_of_a_change_takes_its_place(void)
{
    begin(at_1);
    t.backend.delay_ns = 3 * NS_PER_S;
    post_and_decide(1, 1);
    take(at_2);
    take(CONFIG(KEEP_ALL, OTLP("a", "3", "")));
    take(only_b);
    take(CONFIG(KEEP_ALL, OTLP("a", "4", "")));
    post_and_decide(10, 2);
    sim_run(&t.sim, 10 * NS_PER_S);
    CHECK(backend_read(&t.backend, 1) == 1 && backend_read(&t.backend, 4) == 2);
    CHECK(t.backend.requests[2] + t.backend.requests[3] == 0);
    end();
}

static void batches_that_were_cut_by_other_limits_stay_whole(void)
{
    struct test_span spans[100];

    begin(CONFIG(KEEP_ALL, OTLP("a", "1", "")));
    take("return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"
         "tail_sampling = { " KEEP_ALL " }, exporters = { exporter 'otlp/a' {\n"
         "endpoint = 'http://h:1', compression = 'none', protocol = 'http/protobuf',\n"
         "batch = { timeout = '10ms', max_spans = 7 } } } }");
    t.backend.down[1] = true;
    for (unsigned i = 0; i < 100; i++)
        spans[i] = (struct test_span){.trace_high = 5,
                                      .trace_low = mix(5),
                                      .id = i + 1,
                                      .start_ms = now_ms,
                                      .duration_ms = 5};
    post(&t.sim, t.fd, spans, 100);
    sim_run(&t.sim, 1500 * NS_PER_MS);
    take(at_2);
    sim_run(&t.sim, NS_PER_S);
    CHECK(backend_read(&t.backend, 2) == 100);
    for (uint64_t i = 1; i <= 100; i++)
        CHECK(backend_span(&t.backend, 2, 5, i).span.len > 0);
    end();
}

static void where_follows_with_the_exporters(void)
{
    begin(CONFIG(KEEP_ALL, OTLP("a", "1", "where = match { is_error = true }")));
    post_and_decide(1, 1);
    CHECK(backend_read(&t.backend, 1) == 0);
    take(CONFIG(KEEP_ALL,
                OTLP("b", "2", "") ", " OTLP("a", "1", "where = match { is_error = false }")));
    sim_run(&t.sim, 200 * NS_PER_MS);
    post_and_decide(10, 1);
    CHECK(backend_read(&t.backend, 1) == 1 && backend_read(&t.backend, 2) == 1);
    take(CONFIG(KEEP_ALL, OTLP("a", "1", "where = match { is_error = true }")));
    post_and_decide(20, 1);
    CHECK(backend_read(&t.backend, 1) == 1 && backend_read(&t.backend, 2) == 1);
    end();
}

/* ---- in Lua ---- */

#define MINE(mark)                                                                                 \
    "return exporter { doc = 'd', options = { url = option.string { doc = 'd' } }, encode = "      \
    "function(batch, opt)\n"                                                                       \
    "  return { url = opt.url, body = '" mark "' .. batch.span_count .. ';' }\n"                   \
    "end }"

static void write_exporter(const char *text)
{
    char path[192];
    FILE *file;

    snprintf(path, sizeof(path), "%s/exporters.mine.lua", t.sim.folder);
    file = fopen(path, "we");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
}

static bool body_is(int port, const char *text)
{
    return t.backend.body[port].len == strlen(text) &&
           memcmp(t.backend.body[port].data, text, t.backend.body[port].len) == 0;
}

#define LUA(port) "exporter 'mine' { url = 'http://h:" port "/', batch = { timeout = '10ms' } }"

static void exporters_in_lua_come_change_and_go(void)
{
    begin(at_1);
    write_exporter(MINE("a"));
    take(CONFIG(KEEP_ALL, OTLP("a", "1", "") ", " LUA("2"))); /* the first one */
    sim_run(&t.sim, 200 * NS_PER_MS);
    post_and_decide(1, 1);
    CHECK(body_is(2, "a1;"));
    write_exporter(MINE("b"));
    CHECK(reload(&t.sim)); /* another script */
    post_and_decide(10, 1);
    CHECK(body_is(2, "a1;b1;"));
    t.backend.down[2] = true; /* what was encoded and not sent is encoded anew */
    post_and_decide(20, 1);
    write_exporter(MINE("c"));
    take(CONFIG(KEEP_ALL, OTLP("a", "1", "") ", " LUA("3")));
    sim_run(&t.sim, 100 * NS_PER_MS);
    CHECK(body_is(3, "c1;"));
    CHECK(stats_of("mine")->delivered == 3);
    take(at_1);
    post_and_decide(30, 1);
    CHECK(body_is(3, "c1;"));
    CHECK(backend_read(&t.backend, 1) == 4);
    end();
}

#define INLINE(mark)                                                                               \
    "exporter { name = 'inline', doc = 'd', batch = { timeout = '10ms' }, encode = "               \
    "function(batch)\n"                                                                            \
    "  return { url = 'http://h:2/', body = '" mark "' } end }"

static void an_exporter_within_config_lua_changes_with_it(void)
{
    begin(CONFIG(KEEP_ALL, INLINE("a")));
    post_and_decide(1, 1);
    take(CONFIG(KEEP_ALL, INLINE("b")));
    post_and_decide(2, 1);
    CHECK(body_is(2, "ab"));
    end();
}

/* ---- refused ---- */

static void an_exporter_that_cannot_be_made_refuses_the_whole_change(void)
{
    static const struct {
        const char *exporter, *sentence;
    } wrong[] = {
        {"exporter 'file/x' { path = '/nowhere/at/all.jsonl' }", "exporter \"file/x\": path: "},
        {"exporter 'otlp/x' { endpoint = 'https://h:2', tls = { ca_file = '/nowhere.pem' } }",
         "exporter \"otlp/x\": tls.ca_file \"/nowhere.pem\" can't be used"},
        {"exporter 'nothing'", "or exporters/nothing.lua of yours"},
    };
    char text[1024];

    begin(at_1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), CONFIG(KEEP_ALL, OTLP("a", "2", "") ", %s"),
                 wrong[i].exporter);
        sim_write(&t.sim, text);
        CHECK(!reload(&t.sim));
        CHECK(report_has(&t.sim, wrong[i].sentence));
    }
    post_and_decide(1, 2);
    CHECK(backend_read(&t.backend, 1) == 2 && t.backend.requests[2] == 0);
    CHECK(sim_ledger(&t.sim)->exporter_count == 1);
    end();
}

static void more_names_than_places_are_refused_with_a_sentence(void)
{
    char text[1024];
    bool taken = true;

    begin(at_1);
    for (int i = 0; i < EXPORTER_MAX && taken; i++) {
        snprintf(text, sizeof(text), CONFIG(KEEP_ALL, "exporter 'nop/%d'"), i);
        sim_write(&t.sim, text);
        taken = reload(&t.sim);
        sim_run(&t.sim, 200 * NS_PER_MS);
        CHECK(taken == (i < EXPORTER_MAX - 1));
    }
    CHECK(report_has(&t.sim, "allowed: 64 until a restart"));
    end();
}

/* ---- many ---- */

static void sixty_changes_of_exporters_lose_nothing(void)
{
    const char *const versions[] = {at_1, at_1_and_b, at_2, "return {", only_b};
    uint64_t traces = 0, arrived = 0;

    begin(at_1);
    for (unsigned i = 0; i < 60; i++) {
        uint64_t random = mix(i);

        t.backend.down[1] = random & 1;
        t.backend.delay_ns = random % 7 * 100 * NS_PER_MS;
        post_trace(&t.sim, t.fd, ++traces);
        sim_write(&t.sim, versions[random / 8 % 5]);
        (void)reload(&t.sim);
        post_trace(&t.sim, t.fd, ++traces);
        sim_run(&t.sim, random % 500 * NS_PER_MS);
        balanced(&t.sim);
    }
    t.backend.down[1] = false;
    t.backend.delay_ns = 0;
    sim_run(&t.sim, 300 * NS_PER_S);
    balanced(&t.sim);
    CHECK(sim_kept(&t.sim, "always_sample", NULL) == traces);
    CHECK(ledger_unsettled(sim_ledger(&t.sim)) == 0);
    arrived = backend_read(&t.backend, 1) + backend_read(&t.backend, 2);
    CHECK(arrived + stats_of("otlp/a")->lost_removed + stats_of("otlp/b")->lost_removed >= traces);
    end();
}

int main(void)
{
    RUN(an_exporter_that_is_added_gets_what_is_decided_after_it);
    RUN(an_exporter_that_was_added_goes_on_after_a_kill);
    RUN(what_is_queued_for_one_that_is_removed_is_lost_and_counted);
    RUN(late_spans_of_a_trace_do_not_go_to_one_that_was_removed);
    RUN(what_is_queued_goes_to_the_new_endpoint_at_once);
    RUN(what_is_in_flight_ends_before_the_new_one_goes_on);
    RUN(what_is_never_answered_is_sent_again_after_ten_seconds);
    RUN(a_change_in_the_middle_of_a_change_takes_its_place);
    RUN(batches_that_were_cut_by_other_limits_stay_whole);
    RUN(where_follows_with_the_exporters);
    RUN(exporters_in_lua_come_change_and_go);
    RUN(an_exporter_within_config_lua_changes_with_it);
    RUN(an_exporter_that_cannot_be_made_refuses_the_whole_change);
    RUN(more_names_than_places_are_refused_with_a_sentence);
    RUN(sixty_changes_of_exporters_lose_nothing);
    return DONE();
}
