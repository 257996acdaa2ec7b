/* Scenarios: what goes wrong is said in the log, a line for each cause in ten seconds. */
#include "base/log.h"
#include "scenario.h"

static char said[1 << 16];
static size_t said_len;

static void keep_line(void *arg, const char *line, size_t len)
{
    (void)arg;
    if (said_len + len >= sizeof(said))
        return;
    memcpy(said + said_len, line, len);
    said_len += len;
    said[said_len] = '\0';
}

static void begin(struct sim *s, struct backend *b, const char *config)
{
    said_len = 0;
    said[0] = '\0';
    sim_with_backend(s, b, config);
    log_redirect(keep_line, NULL);
}

static void end(struct sim *s, struct backend *b)
{
    log_redirect(NULL, NULL);
    balanced(s);
    sim_fini(s);
    backend_fini(b);
}

static unsigned count_of(const char *text)
{
    unsigned n = 0;

    for (const char *at = said; (at = strstr(at, text)); at++)
        n++;
    return n;
}

#define ALWAYS "decision_wait = '1s', policies = { policy 'always_sample' {} }"

/* A request each 50 ms, of one span. Returns how many were not taken. */
static unsigned send_some(struct sim *s, unsigned requests)
{
    static char name[5000];
    unsigned refused = 0;

    memset(name, 'x', sizeof(name) - 1);
    for (unsigned i = 0; i < requests; i++) {
        struct test_span span = only_span(i, name);

        refused += post_status(s, sim_connect(s), &span, 1) != 200;
        sim_run(s, 50 * NS_PER_MS);
    }
    return refused;
}

static void refused_requests_are_told_with_their_reason_until_there_are_none(void)
{
    char line[128];
    struct backend b;
    struct sim s;
    unsigned refused;

    begin(&s, &b,
          CONFIG(ALWAYS, OTLP("all", "1", "queue = { max_size = '64KiB', on_full = 'refuse' }")));
    b.down[1] = true;
    refused = send_some(&s, 100);
    CHECK(refused > 10);
    sim_run(&s, 11 * NS_PER_S);
    snprintf(line, sizeof(line), "reason=queue_full requests=%u", refused);
    CHECK(count_of("msg=\"requests were refused\"") == 1 && count_of(line) == 1);
    sim_run(&s, 60 * NS_PER_S);
    CHECK(count_of("msg=\"requests were refused\"") == 1);
    end(&s, &b);
}

static void health_checks_are_counted_and_not_told(void)
{
    static const char check[] = "GET / HTTP/1.1\r\nHost: sim\r\n\r\n";
    struct backend b;
    struct sim s;

    begin(&s, &b, CONFIG(ALWAYS, OTLP("all", "1", "")));
    for (unsigned i = 0; i < 3; i++) {
        CHECK(fake_net_send(s.net, sim_connect(&s), slice_str(check)) == sizeof(check) - 1);
        sim_run(&s, 5 * NS_PER_S);
    }
    CHECK(sim_ledger(&s)->receive.refused[REFUSED_METHOD] == 3);
    CHECK(count_of("msg=\"requests were refused\"") == 0);
    end(&s, &b);
}

static void what_exporters_give_up_is_told_by_exporter_and_reason(void)
{
    char line[128];
    struct backend b;
    struct sim s;

    begin(&s, &b,
          CONFIG(ALWAYS,
                 OTLP("all", "1", "queue = { max_size = '64KiB', on_full = 'drop_oldest' }")));
    b.down[1] = true;
    CHECK(send_some(&s, 100) == 0);
    sim_run(&s, 11 * NS_PER_S);
    snprintf(line, sizeof(line), "exporter=otlp/all reason=outbox_full spans=%lu",
             (unsigned long)sim_ledger(&s)->exporters[0].stats.lost_outbox_full);
    CHECK(count_of("msg=\"kept items are lost\"") == 1 && count_of(line) == 1);
    end(&s, &b);
}

static void traces_that_are_decided_early_are_told_with_what_was_short(void)
{
    struct backend b;
    struct sim s;

    begin(&s, &b,
          CONFIG("decision_wait = '60s', num_traces = 10, policies = { policy 'always_sample' {} }",
                 OTLP("all", "1", "")));
    CHECK(send_some(&s, 50) == 0);
    sim_run(&s, 10 * NS_PER_S);
    CHECK(count_of(
              "msg=\"traces were decided early\" reason=pressure traces=40 short=num_traces") == 1);
    end(&s, &b);
}

/* What was short is not any more once enough has been decided: that is what deciding early is for.
 */
static void what_was_short_is_told_when_it_is_over_too(void)
{
    static char name[5000];
    struct test_span spans[40];
    struct backend b;
    struct sim s;
    int fd;

    memset(name, 'x', sizeof(name) - 1);
    begin(&s, &b,
          "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } }, workers = 1,\n"
          "  journal = { ack = 'written', max_size = '22MiB', min_free = 0 },\n"
          "  tail_sampling = { decision_wait = '1h', default = drop(),\n"
          "    policies = { policy 'latency' { threshold_ms = 60000 } } },\n"
          "  exporters = { " OTLP("all", "1", "") " } }\n");
    fd = sim_connect(&s);
    for (unsigned i = 0; i < 200; i++) {
        for (unsigned k = 0; k < 40; k++)
            spans[k] = only_span(40 * i + k, name);
        post(&s, fd, spans, 40);
        sim_run(&s, 50 * NS_PER_MS);
    }
    sim_run(&s, 20 * NS_PER_S);
    CHECK(count_of("reason=pressure") > 0);
    CHECK(count_of("reason=pressure") == count_of("short=disk"));
    end(&s, &b);
}

int main(void)
{
    RUN(refused_requests_are_told_with_their_reason_until_there_are_none);
    RUN(health_checks_are_counted_and_not_told);
    RUN(what_exporters_give_up_is_told_by_exporter_and_reason);
    RUN(traces_that_are_decided_early_are_told_with_what_was_short);
    RUN(what_was_short_is_told_when_it_is_over_too);
    return DONE();
}
