/* Listeners come, change and go while spans come in. */
#include "reloading.h"

#define RECEIVER(http)                                                                             \
    "return { receivers = { otlp = { grpc = false, http = " http " } },\n"                         \
    "  tail_sampling = { decision_wait = '1s', policies = { policy 'always_sample' } },\n"         \
    "  exporters = { exporter 'nop' } }\n"

static const char plain[] = RECEIVER("'127.0.0.1:0'");
static const char with_token[] =
    RECEIVER("{ listen = '127.0.0.1:0', auth = { bearer = { secret 'word' } } }");
static const char small[] = RECEIVER("{ listen = '127.0.0.1:0', max_body = '1KiB' }");
static const char elsewhere[] = RECEIVER("'127.0.0.2:0'");
static const char bad_tls[] = RECEIVER(
    "{ listen = '127.0.0.1:0', tls = { cert_file = '/nowhere.pem', key_file = '/nowhere.pem' } }");
static const char grpc_only[] =
    "return { receivers = { otlp = { http = false, grpc = '127.0.0.1:0' } },\n"
    "  exporters = { exporter 'nop' } }\n";

static void start_plain(struct sim *s)
{
    sim_init(s, &(struct sim_options){.config = plain, .cpus = 2});
}

static void take(struct sim *s, const char *config)
{
    sim_write(s, config);
    CHECK(reload(s));
    CHECK(collector_last_reload(s->collector)->restart.len == 0);
}

static int post_one(struct sim *s, int fd, uint64_t trace)
{
    const struct test_span span = {.trace_high = trace,
                                   .trace_low = mix(trace),
                                   .id = 1,
                                   .start_ms = now_ms,
                                   .duration_ms = 5};

    return post_status(s, fd, &span, 1);
}

static bool was_sent_away(const struct sim *s)
{
    return strcasestr(s->answer, "\r\nConnection: close\r\n") != NULL;
}

static void a_listener_with_other_options_asks_clients_to_come_again(void)
{
    struct sim s;
    char before[64];
    int fd;

    start_plain(&s);
    fd = sim_connect(&s);
    snprintf(before, sizeof(before), "%s", collector_address(s.collector, RECEIVE_HTTP));
    CHECK(post_one(&s, fd, 1) == 200 && !was_sent_away(&s));
    take(&s, with_token);
    CHECK(strcmp(collector_address(s.collector, RECEIVE_HTTP), before) == 0); /* the same socket */
    CHECK(post_one(&s, fd, 2) == 200 && was_sent_away(&s)); /* it came in without */
    CHECK(post_one(&s, sim_connect(&s), 3) == 401);
    take(&s, plain);
    CHECK(post_one(&s, sim_connect(&s), 4) == 200);
    sim_run(&s, 3 * NS_PER_S);
    CHECK(sim_kept(&s, "always_sample", NULL) == 3);
    balanced(&s);
    sim_fini(&s);
}

static void limits_are_those_of_the_new_version(void)
{
    struct test_span spans[64];
    struct sim s;

    start_plain(&s);
    for (unsigned i = 0; i < 64; i++)
        spans[i] = (struct test_span){
            .trace_high = 1, .trace_low = 1, .id = i + 1, .start_ms = now_ms, .duration_ms = 5};
    CHECK(post_status(&s, sim_connect(&s), spans, 64) == 200);
    take(&s, small);
    CHECK(post_status(&s, sim_connect(&s), spans, 64) == 413);
    sim_fini(&s);
}

static void a_client_that_is_silent_is_let_go_after_ten_seconds(void)
{
    struct sim s;
    int fd;

    start_plain(&s);
    fd = sim_connect(&s);
    CHECK(post_one(&s, fd, 1) == 200);
    take(&s, small);
    sim_run(&s, 9 * NS_PER_S);
    CHECK(!fake_net_is_closed(s.net, fd));
    sim_run(&s, 3 * NS_PER_S);
    CHECK(fake_net_is_closed(s.net, fd));
    sim_fini(&s);
}

static void another_address_serves_and_the_old_one_does_not(void)
{
    struct sim s;
    char before[64];
    int fd;

    start_plain(&s);
    fd = sim_connect(&s);
    snprintf(before, sizeof(before), "%s", collector_address(s.collector, RECEIVE_HTTP));
    take(&s, elsewhere);
    CHECK(strcmp(collector_address(s.collector, RECEIVE_HTTP), before) != 0);
    CHECK(fake_net_connect(s.net, before) < 0);
    CHECK(post_one(&s, fd, 1) == 200 && was_sent_away(&s));
    CHECK(post_one(&s, sim_connect(&s), 2) == 200);
    take(&s, grpc_only);
    CHECK(sim_connect(&s) < 0);
    CHECK(collector_address(s.collector, RECEIVE_GRPC) != NULL);
    take(&s, plain);
    CHECK(collector_address(s.collector, RECEIVE_GRPC) == NULL);
    CHECK(post_one(&s, sim_connect(&s), 3) == 200);
    balanced(&s);
    sim_fini(&s);
}

static void two_receivers_at_any_port_have_a_socket_each(void)
{
    static const char both[] = "return { receivers = { otlp = { grpc = '127.0.0.1:0',\n"
                               "  http = { listen = '127.0.0.1:0', max_body = '1MiB' } } }, "
                               "exporters = { exporter 'nop' } }";
    struct sim s;
    char before[64];

    start_plain(&s);
    snprintf(before, sizeof(before), "%s", collector_address(s.collector, RECEIVE_HTTP));
    take(&s, both);
    CHECK(strcmp(collector_address(s.collector, RECEIVE_HTTP), before) == 0);
    CHECK(strcmp(collector_address(s.collector, RECEIVE_GRPC), before) != 0);
    CHECK(post_one(&s, sim_connect(&s), 1) == 200);
    take(&s, plain);
    CHECK(strcmp(collector_address(s.collector, RECEIVE_HTTP), before) == 0);
    take(&s, both);
    take(&s, grpc_only);
    CHECK(strcmp(collector_address(s.collector, RECEIVE_GRPC), before) != 0);
    take(&s, both);
    CHECK(post_one(&s, sim_connect(&s), 2) == 200);
    sim_fini(&s);
}

static void who_waits_to_be_accepted_is_taken(void)
{
    struct sim s;
    int fd;

    start_plain(&s);
    sim_write(&s, elsewhere);
    fd = sim_connect(&s); /* nobody has looked yet */
    CHECK(reload(&s));
    CHECK(post_one(&s, fd, 1) == 200);
    sim_fini(&s);
}

static void what_cannot_be_made_leaves_all_as_it_is(void)
{
    struct sim s;
    int fd;

    start_plain(&s);
    fd = sim_connect(&s);
    sim_write(&s, bad_tls);
    CHECK(!reload(&s));
    CHECK(report_has(&s, "receivers.otlp.http: tls.cert_file \"/nowhere.pem\" can't be used"));
    CHECK(post_one(&s, fd, 1) == 200 && !was_sent_away(&s));
    CHECK(post_one(&s, sim_connect(&s), 2) == 200);
    sim_fini(&s);
}

static void what_does_not_change_goes_on_untouched(void)
{
    struct sim s;
    int fd;

    start_plain(&s);
    fd = sim_connect(&s);
    for (uint64_t i = 1; i < 20; i++) {
        CHECK(reload(&s));
        CHECK(post_one(&s, fd, i) == 200 && !was_sent_away(&s));
    }
    sim_fini(&s);
}

static void a_collector_may_stop_with_listeners_in_the_making(void)
{
    struct sim s;

    start_plain(&s);
    sim_write(&s, elsewhere);
    collector_reload(s.collector, RELOAD_COMMAND);
    sim_stop(&s);
    sim_fini(&s);
}

static void eighty_changes_of_listeners_refuse_nobody(void)
{
    const char *const versions[] = {plain, elsewhere, bad_tls, plain, "return {"};
    struct sim s;
    int fd;

    start_plain(&s);
    fd = sim_connect(&s);
    for (unsigned i = 0; i < 80; i++) {
        sim_write(&s, versions[mix(i) % 5]);
        (void)reload(&s);
        CHECK(post_one(&s, fd, i + 1) == 200);
        if (was_sent_away(&s))
            fd = sim_connect(&s);
        sim_run(&s, mix(i) % 300 * NS_PER_MS);
    }
    sim_run(&s, 30 * NS_PER_S);
    CHECK(sim_kept(&s, "always_sample", NULL) == 80);
    CHECK(sim_ledger(&s)->receive.connections <= 1);
    balanced(&s);
    sim_fini(&s);
}

int main(void)
{
    RUN(a_listener_with_other_options_asks_clients_to_come_again);
    RUN(limits_are_those_of_the_new_version);
    RUN(a_client_that_is_silent_is_let_go_after_ten_seconds);
    RUN(another_address_serves_and_the_old_one_does_not);
    RUN(two_receivers_at_any_port_have_a_socket_each);
    RUN(who_waits_to_be_accepted_is_taken);
    RUN(what_cannot_be_made_leaves_all_as_it_is);
    RUN(what_does_not_change_goes_on_untouched);
    RUN(a_collector_may_stop_with_listeners_in_the_making);
    RUN(eighty_changes_of_listeners_refuse_nobody);
    return DONE();
}
