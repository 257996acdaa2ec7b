/* Exporters come, change and go while spans come in. */
#include "reloading.h"

#define KEEP_ALL "decision_wait = '1s', policies = { policy 'always_sample' }"

static const char at_1[] = CONFIG(KEEP_ALL, OTLP("a", "1", ""));
static const char at_2[] = CONFIG(KEEP_ALL, OTLP("a", "2", ""));
static const char at_1_and_b[] = CONFIG(KEEP_ALL, OTLP("a", "1", "") ", " OTLP("b", "2", ""));
static const char only_b[] = CONFIG(KEEP_ALL, OTLP("b", "2", ""));

/* Posts that many traces of one span, numbered from `from`, and lets them be decided. */
static void post_and_decide(struct sim *s, int fd, uint64_t from, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        post_trace(s, fd, from + i);
    sim_run(s, 1100 * NS_PER_MS);
}

static const struct export_stats *stats_of(struct sim *s, const char *name)
{
    const struct ledger *l = sim_ledger(s);

    for (size_t i = 0; i < l->exporter_count; i++)
        if (strcmp(l->exporters[i].name, name) == 0)
            return &l->exporters[i].stats;
    abort();
}

static void take(struct sim *s, const char *config)
{
    sim_write(s, config);
    CHECK(reload(s));
    CHECK(collector_last_reload(s->collector)->restart.len == 0);
}

static void an_exporter_that_is_added_gets_what_is_decided_after_it(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1);
    fd = sim_connect(&s);
    post_and_decide(&s, fd, 1, 3);
    take(&s, at_1_and_b);
    sim_run(&s, 200 * NS_PER_MS); /* its position is on disk, and the rules are exchanged */
    post_and_decide(&s, fd, 10, 2);
    CHECK(backend_read(&b, 1) == 5);
    CHECK(backend_read(&b, 2) == 2);
    CHECK(stats_of(&s, "otlp/b")->delivered == 2);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void an_exporter_that_was_added_goes_on_after_a_kill(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1);
    fd = sim_connect(&s);
    take(&s, at_1_and_b);
    sim_run(&s, 200 * NS_PER_MS);
    b.down[2] = true;
    post_and_decide(&s, fd, 1, 4);
    CHECK(backend_read(&b, 1) == 4);
    sim_kill(&s);
    b.down[2] = false;
    sim_start(&s);
    sim_run(&s, NS_PER_S);
    CHECK(backend_read(&b, 2) == 4);
    CHECK(stats_of(&s, "otlp/b")->recovered == 4);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_is_queued_for_one_that_is_removed_is_lost_and_counted(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1_and_b);
    fd = sim_connect(&s);
    b.down[1] = true;
    post_and_decide(&s, fd, 1, 3);
    CHECK(stats_of(&s, "otlp/a")->queued == 3);
    take(&s, only_b);
    sim_run(&s, 100 * NS_PER_MS);
    CHECK(stats_of(&s, "otlp/a")->queued == 0);
    CHECK(stats_of(&s, "otlp/a")->lost_removed == 3);
    CHECK(stats_of(&s, "otlp/a")->removed);
    balanced(&s);

    post_and_decide(&s, fd, 10, 2); /* nothing is for it any more */
    CHECK(stats_of(&s, "otlp/a")->enqueued == 3);
    b.down[1] = false;
    take(&s, at_1_and_b); /* and it comes back */
    post_and_decide(&s, fd, 20, 2);
    CHECK(backend_read(&b, 1) == 2);
    CHECK(backend_read(&b, 2) == 7);
    CHECK(!stats_of(&s, "otlp/a")->removed);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void late_spans_of_a_trace_do_not_go_to_one_that_was_removed(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1_and_b);
    fd = sim_connect(&s);
    post_and_decide(&s, fd, 1, 1);
    take(&s, only_b);
    post_and_decide(&s, fd, 1, 1);
    CHECK(stats_of(&s, "otlp/a")->lost_removed == 0);
    CHECK(backend_read(&b, 1) == 1 && backend_read(&b, 2) == 2);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_is_queued_goes_to_the_new_endpoint_at_once(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1);
    fd = sim_connect(&s);
    b.down[1] = true;
    post_and_decide(&s, fd, 1, 5);
    sim_run(&s, 40 * NS_PER_S); /* the circuit is open */
    CHECK(stats_of(&s, "otlp/a")->circuit_open);
    take(&s, at_2);
    sim_run(&s, 100 * NS_PER_MS);
    CHECK(backend_read(&b, 2) == 5);
    CHECK(!stats_of(&s, "otlp/a")->circuit_open);
    post_and_decide(&s, fd, 10, 2);
    CHECK(backend_read(&b, 1) == 0 && backend_read(&b, 2) == 7);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_is_in_flight_ends_before_the_new_one_goes_on(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1);
    fd = sim_connect(&s);
    b.delay_ns = 3 * NS_PER_S;
    post_and_decide(&s, fd, 1, 3);
    CHECK(stats_of(&s, "otlp/a")->in_flight > 0);
    take(&s, at_2);
    post_and_decide(&s, fd, 10, 2);
    CHECK(b.requests[2] == 0);
    sim_run(&s, 10 * NS_PER_S);
    CHECK(backend_read(&b, 1) == 3 && backend_read(&b, 2) == 2);
    CHECK(stats_of(&s, "otlp/a")->redelivered == 0);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_is_never_answered_is_sent_again_after_ten_seconds(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, CONFIG(KEEP_ALL, OTLP("a", "1", "timeout = '1h'")));
    fd = sim_connect(&s);
    b.delay_ns = 3000 * NS_PER_S;
    post_and_decide(&s, fd, 1, 3);
    b.delay_ns = 0;
    take(&s, at_2);
    sim_run(&s, 9 * NS_PER_S);
    CHECK(b.requests[2] == 0);
    sim_run(&s, 2 * NS_PER_S);
    CHECK(backend_read(&b, 2) == 3);
    CHECK(stats_of(&s, "otlp/a")->redelivered == 3);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_change_in_the_middle_of_a_change_takes_its_place(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1);
    fd = sim_connect(&s);
    b.delay_ns = 3 * NS_PER_S;
    post_and_decide(&s, fd, 1, 1);
    take(&s, at_2);
    take(&s, CONFIG(KEEP_ALL, OTLP("a", "3", "")));
    take(&s, only_b);
    take(&s, CONFIG(KEEP_ALL, OTLP("a", "4", "")));
    post_and_decide(&s, fd, 10, 2);
    sim_run(&s, 10 * NS_PER_S);
    CHECK(backend_read(&b, 1) == 1 && backend_read(&b, 4) == 2);
    CHECK(b.requests[2] + b.requests[3] == 0);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void batches_that_were_cut_by_other_limits_stay_whole(void)
{
    struct test_span spans[100];
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, CONFIG(KEEP_ALL, OTLP("a", "1", "")));
    take(&s, "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"
             "tail_sampling = { " KEEP_ALL " }, exporters = { exporter 'otlp/a' {\n"
             "endpoint = 'http://h:1', compression = 'none', protocol = 'http/protobuf',\n"
             "batch = { timeout = '10ms', max_spans = 7 } } } }");
    fd = sim_connect(&s);
    b.down[1] = true;
    for (unsigned i = 0; i < 100; i++)
        spans[i] = (struct test_span){.trace_high = 5,
                                      .trace_low = mix(5),
                                      .id = i + 1,
                                      .start_ms = now_ms,
                                      .duration_ms = 5};
    post(&s, fd, spans, 100);
    sim_run(&s, 1500 * NS_PER_MS);
    take(&s, at_2);
    sim_run(&s, NS_PER_S);
    CHECK(backend_read(&b, 2) == 100);
    for (uint64_t i = 1; i <= 100; i++)
        CHECK(backend_span(&b, 2, 5, i).span.len > 0);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void where_follows_with_the_exporters(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, CONFIG(KEEP_ALL, OTLP("a", "1", "where = match { is_error = true }")));
    fd = sim_connect(&s);
    post_and_decide(&s, fd, 1, 1);
    CHECK(backend_read(&b, 1) == 0);
    take(&s, CONFIG(KEEP_ALL,
                    OTLP("b", "2", "") ", " OTLP("a", "1", "where = match { is_error = false }")));
    sim_run(&s, 200 * NS_PER_MS);
    post_and_decide(&s, fd, 10, 1);
    CHECK(backend_read(&b, 1) == 1 && backend_read(&b, 2) == 1);
    take(&s, CONFIG(KEEP_ALL, OTLP("a", "1", "where = match { is_error = true }")));
    post_and_decide(&s, fd, 20, 1);
    CHECK(backend_read(&b, 1) == 1 && backend_read(&b, 2) == 1);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* ---- in Lua ---- */

#define MINE(mark)                                                                                 \
    "return exporter { doc = 'd', options = { url = option.string { doc = 'd' } }, encode = "      \
    "function(batch, opt)\n"                                                                       \
    "  return { url = opt.url, body = '" mark "' .. batch.span_count .. ';' }\n"                   \
    "end }"

static void write_exporter(struct sim *s, const char *text)
{
    char path[192];
    FILE *file;

    snprintf(path, sizeof(path), "%s/exporters.mine.lua", s->folder);
    file = fopen(path, "we");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
}

static bool body_is(struct backend *b, int port, const char *text)
{
    return b->body[port].len == strlen(text) &&
           memcmp(b->body[port].data, text, b->body[port].len) == 0;
}

#define LUA(port) "exporter 'mine' { url = 'http://h:" port "/', batch = { timeout = '10ms' } }"

static void exporters_in_lua_come_change_and_go(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1);
    fd = sim_connect(&s);
    write_exporter(&s, MINE("a"));
    take(&s, CONFIG(KEEP_ALL, OTLP("a", "1", "") ", " LUA("2"))); /* the first one */
    sim_run(&s, 200 * NS_PER_MS);
    post_and_decide(&s, fd, 1, 1);
    CHECK(body_is(&b, 2, "a1;"));
    write_exporter(&s, MINE("b"));
    CHECK(reload(&s)); /* another script */
    post_and_decide(&s, fd, 10, 1);
    CHECK(body_is(&b, 2, "a1;b1;"));
    b.down[2] = true; /* what was encoded and not sent is encoded anew */
    post_and_decide(&s, fd, 20, 1);
    write_exporter(&s, MINE("c"));
    take(&s, CONFIG(KEEP_ALL, OTLP("a", "1", "") ", " LUA("3")));
    sim_run(&s, 100 * NS_PER_MS);
    CHECK(body_is(&b, 3, "c1;"));
    CHECK(stats_of(&s, "mine")->delivered == 3);
    take(&s, at_1);
    post_and_decide(&s, fd, 30, 1);
    CHECK(body_is(&b, 3, "c1;"));
    CHECK(backend_read(&b, 1) == 4);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

#define INLINE(mark)                                                                               \
    "exporter { name = 'inline', doc = 'd', batch = { timeout = '10ms' }, encode = "               \
    "function(batch)\n"                                                                            \
    "  return { url = 'http://h:2/', body = '" mark "' } end }"

static void an_exporter_within_config_lua_changes_with_it(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, CONFIG(KEEP_ALL, INLINE("a")));
    fd = sim_connect(&s);
    post_and_decide(&s, fd, 1, 1);
    take(&s, CONFIG(KEEP_ALL, INLINE("b")));
    post_and_decide(&s, fd, 2, 1);
    CHECK(body_is(&b, 2, "ab"));
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* ---- refused ---- */

static void an_exporter_that_cannot_be_made_refuses_the_whole_change(void)
{
    static const struct {
        const char *exporter, *sentence;
    } wrong[] = {
        {"exporter 'file/x' { path = '/nowhere/at/all.jsonl' }", "exporter \"file/x\": "},
        {"exporter 'otlp/x' { endpoint = 'https://h:2', tls = { ca_file = '/nowhere.pem' } }",
         "exporter \"otlp/x\": the CA file \"/nowhere.pem\" can't be used"},
        {"exporter 'nothing'", "no exporters/nothing.lua"},
    };
    char text[1024];
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1);
    fd = sim_connect(&s);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), CONFIG(KEEP_ALL, OTLP("a", "2", "") ", %s"),
                 wrong[i].exporter);
        sim_write(&s, text);
        CHECK(!reload(&s));
        CHECK(report_has(&s, wrong[i].sentence));
    }
    post_and_decide(&s, fd, 1, 2);
    CHECK(backend_read(&b, 1) == 2 && b.requests[2] == 0);
    CHECK(sim_ledger(&s)->exporter_count == 1);
    sim_fini(&s);
    backend_fini(&b);
}

static void more_names_than_places_are_refused_with_a_sentence(void)
{
    char text[1024];
    struct backend b;
    struct sim s;
    bool taken = true;

    sim_with_backend(&s, &b, at_1);
    for (int i = 0; i < EXPORTER_MAX && taken; i++) {
        snprintf(text, sizeof(text), CONFIG(KEEP_ALL, "exporter 'nop/%d'"), i);
        sim_write(&s, text);
        taken = reload(&s);
        sim_run(&s, 200 * NS_PER_MS);
        CHECK(taken == (i < EXPORTER_MAX - 1));
    }
    CHECK(report_has(&s, "allowed: 64 until a restart"));
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* ---- many ---- */

static void sixty_changes_of_exporters_lose_nothing(void)
{
    const char *const versions[] = {at_1, at_1_and_b, at_2, "return {", only_b};
    uint64_t traces = 0, arrived = 0;
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, at_1);
    fd = sim_connect(&s);
    for (unsigned i = 0; i < 60; i++) {
        uint64_t random = mix(i);

        b.down[1] = random & 1;
        b.delay_ns = random % 7 * 100 * NS_PER_MS;
        post_trace(&s, fd, ++traces);
        sim_write(&s, versions[random / 8 % 5]);
        (void)reload(&s);
        post_trace(&s, fd, ++traces);
        sim_run(&s, random % 500 * NS_PER_MS);
        balanced(&s);
    }
    b.down[1] = false;
    b.delay_ns = 0;
    sim_run(&s, 300 * NS_PER_S);
    balanced(&s);
    CHECK(sim_kept(&s, "always_sample", NULL) == traces);
    CHECK(ledger_unsettled(sim_ledger(&s)) == 0);
    arrived = backend_read(&b, 1) + backend_read(&b, 2);
    CHECK(arrived + stats_of(&s, "otlp/a")->lost_removed + stats_of(&s, "otlp/b")->lost_removed >=
          traces);
    sim_fini(&s);
    backend_fini(&b);
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
