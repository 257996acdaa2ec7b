/* Dropped traces that are sent after all, in whole-program scenarios; and what explain says then.
 */
#include "cli/explanation.h"
#include "collector/rescue.h"
#include "scenario.h"

#define SLOW "policies = { policy 'latency' { threshold_ms = 500 } }"
#define TWO                                                                                        \
    CONFIG(SLOW, OTLP("all", "1", "") "," OTLP("failed", "2", "where = match { is_error = true }"))

static const uint8_t id_1[16] = {0, 0, 0, 0, 0, 0, 0, 1};

static struct test_span span_of(uint64_t trace, uint64_t id, bool error)
{
    return (struct test_span){.trace_high = trace,
                              .id = id,
                              .parent = id == 1 ? 0 : 1,
                              .start_ms = now_ms,
                              .duration_ms = 1,
                              .error = error};
}

static void post_one(struct sim *s, uint64_t trace, uint64_t id, bool error)
{
    struct test_span span = span_of(trace, id, error);

    post(s, sim_connect(s), &span, 1);
}

static void explain(struct sim *s, struct explanation *x)
{
    struct err_info info;

    CHECK(explanation_read(disk_system(), collector_config(s->collector)->journal.path, id_1, x,
                           &info) == ERR_OK);
}

/* The command, for the segments that hold the trace's spans. */
static enum err rescue(struct sim *s, char answer[256])
{
    struct explanation x;
    struct buf command, out;
    enum err err;

    explain(s, &x);
    buf_init(&command, 4096, NULL);
    buf_init(&out, 255, NULL);
    buf_str(&command, "rescue 00000000000000010000000000000000");
    for (size_t i = 0; i < x.segment_count; i++)
        buf_printf(&command, " %llu", (unsigned long long)x.segments[i]);
    if (x.segment_count == 0)
        buf_str(&command, " 1");
    explanation_fini(&x);
    err = collector_control(s->collector, buf_slice(&command), &out);
    snprintf(answer, 256, "%.*s", (int)out.len, (const char *)out.data);
    buf_fini(&command);
    buf_fini(&out);
    return err;
}

static void a_dropped_trace_is_sent_to_those_whose_where_holds(void)
{
    struct explanation x;
    struct backend b;
    struct sim s;
    char answer[256];

    sim_with_backend(&s, &b, TWO);
    post_one(&s, 1, 1, false);
    post_one(&s, 1, 2, false);
    post_one(&s, 2, 1, false);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(sim_dropped(&s, "default", "default") == 3 && backend_read(&b, 1) == 0);

    CHECK(rescue(&s, answer) == ERR_OK);
    CHECK(!strcmp(answer, "rescuing 2 spans, 0 log records\n"));
    sim_run(&s, NS_PER_S);
    CHECK(backend_read(&b, 1) == 2 && backend_read(&b, 2) == 0);
    CHECK(sim_ledger(&s)->sum.rescued == 2);
    CHECK(sim_dropped(&s, "default", "default") == 3); /* as before */
    balanced(&s);

    explain(&s, &x);
    CHECK(x.decision && !x.decision->record.keep && x.late_spans == 0);
    CHECK(x.after_count == 1 && x.after[0].rescue && x.after[0].spans == 2);
    CHECK(!strcmp(x.after[0].exporters, "otlp/all"));
    CHECK(!strcmp(x.after[0].policy, "rescue") && !strcmp(x.after[0].reason, "rescued"));
    explanation_fini(&x);
    sim_fini(&s);
    backend_fini(&b);
}

static void late_spans_of_a_dropped_trace_are_rescued_too(void)
{
    struct backend b;
    struct sim s;
    char answer[256];

    sim_with_backend(&s, &b, TWO);
    post_one(&s, 1, 1, true);
    sim_run(&s, 12 * NS_PER_S);
    post_one(&s, 1, 2, false);
    sim_run(&s, NS_PER_S);
    CHECK(sim_ledger(&s)->sum.late_dropped == 1);
    CHECK(rescue(&s, answer) == ERR_OK);
    sim_run(&s, NS_PER_S);
    CHECK(backend_read(&b, 1) == 2 && backend_read(&b, 2) == 2);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_rescue_is_not_repeated_after_a_kill_and_changes_no_decision(void)
{
    struct backend b;
    struct sim s;
    char answer[256];

    sim_with_backend(&s, &b, TWO);
    post_one(&s, 1, 1, false);
    sim_run(&s, 8 * NS_PER_S);
    post_one(&s, 2, 1, false); /* waits in the same segment, which so stays live */
    sim_run(&s, 4 * NS_PER_S);
    CHECK(rescue(&s, answer) == ERR_OK);
    sim_run(&s, NS_PER_S);
    CHECK(backend_read(&b, 1) == 1);

    sim_kill(&s);
    sim_start(&s);
    CHECK(sim_ledger(&s)->table.remembered == 1);
    post_one(&s, 1, 2, false);
    sim_run(&s, 20 * NS_PER_S);
    CHECK(sim_ledger(&s)->sum.late_dropped == 1 && sim_ledger(&s)->sum.late_kept == 0);
    CHECK(backend_read(&b, 1) == 1);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_is_not_there_is_refused(void)
{
    static const char *const wrong[] = {
        "rescue ",
        "rescue 1",
        "rescue 0000000000000001000000000000000g 1",
        "rescue 00000000000000010000000000000000",
        "rescue 00000000000000010000000000000000 x",
        "rescue 00000000000000010000000000000000 1 2 3x",
    };
    struct backend b;
    struct sim s;
    char answer[256];

    sim_with_backend(&s, &b, TWO);
    CHECK(rescue(&s, answer) == ERR_IO);
    CHECK(!strcmp(answer, "its spans are not in the journal any more\n"));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf out;

        buf_init(&out, 4096, NULL);
        CHECK(collector_control(s.collector, slice_str(wrong[i]), &out) == ERR_PARSE);
        CHECK(out.len > 0);
        buf_fini(&out);
    }
    sim_run(&s, NS_PER_S);
    CHECK(sim_ledger(&s)->sum.rescued == 0);
    sim_fini(&s);
    backend_fini(&b);
}

static void one_rescue_at_a_time(void)
{
    struct backend b;
    struct sim s;
    char answer[256];

    sim_with_backend(&s, &b, TWO);
    post_one(&s, 1, 1, false);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(rescue(&s, answer) == ERR_OK);
    CHECK(rescue(&s, answer) == ERR_AGAIN);
    sim_run(&s, NS_PER_S);
    CHECK(rescue(&s, answer) == ERR_OK); /* sent once more: the command asks before */
    sim_run(&s, NS_PER_S);
    CHECK(backend_read(&b, 1) == 2 && sim_ledger(&s)->sum.rescued == 2);
    balanced(&s);
    CHECK(rescue(&s, answer) == ERR_OK);
    sim_fini(&s); /* nothing is left of one that nobody took */
    backend_fini(&b);
}

static void at_level_memory_nothing_can_be_rescued(void)
{
    struct backend b;
    struct sim s;
    struct buf out;

    sim_with_backend(&s, &b,
                     "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },"
                     " journal = { ack = 'memory' }, tail_sampling = { " SLOW " },"
                     " exporters = { " OTLP("all", "1", "") " } }");
    buf_init(&out, 4096, NULL);
    CHECK(collector_control(s.collector, slice_str("rescue 00000000000000010000000000000000 1"),
                            &out) == ERR_CONFIG);
    buf_byte(&out, '\0');
    CHECK(!strcmp((char *)out.data, "journal.ack is \"memory\": nothing dropped is kept\n"));
    buf_fini(&out);
    sim_fini(&s);
    backend_fini(&b);
}

int main(void)
{
    RUN(a_dropped_trace_is_sent_to_those_whose_where_holds);
    RUN(late_spans_of_a_dropped_trace_are_rescued_too);
    RUN(a_rescue_is_not_repeated_after_a_kill_and_changes_no_decision);
    RUN(what_is_not_there_is_refused);
    RUN(one_rescue_at_a_time);
    RUN(at_level_memory_nothing_can_be_rescued);
    return DONE();
}
