/* Log records that follow their traces, through the whole collector on virtual time. */
#include "following.h"

/* ---- what becomes of them ---- */

static void records_are_kept_or_dropped_with_their_trace_and_others_pass_at_once(void)
{
    const struct test_log logs[] = {{1, "kept"}, {0, "passes"},  {2, "dropped"},
                                    {1, "kept"}, {2, "dropped"}, {0, "passes"}};
    struct places p;
    struct sim s;

    start_sim(&s, &p,
              &(struct sim_options){.config = FOLLOWING("resource = { cluster = 'blue' },",
                                                        EXPORTER("all", "1", ""))});
    CHECK(post_logs(&s, logs, 6) == 200);
    post_span(&s, 1, true);
    post_span(&s, 2, false);
    balanced(&s);
    sim_run(&s, NS_PER_S);
    CHECK(given(&p, 1, OTLP_LOGS) == 2 && !has_text(&p, OTLP_LOGS, "kept"));
    CHECK(pending(&s) == 4 && sim_ledger(&s)->pending == 2 && sim_ledger(&s)->table.traces == 2);
    sim_run(&s, 11 * NS_PER_S);
    CHECK(given(&p, 1, OTLP_LOGS) == 4 && logs_of(&p, 1) == 2);
    CHECK(has_text(&p, OTLP_LOGS, "kept") && !has_text(&p, OTLP_LOGS, "dropped"));
    CHECK(has_text(&p, OTLP_LOGS, "cluster") && given(&p, 1, OTLP_TRACES) == 1);
    CHECK(counts(&s)->received == 6 && counts(&s)->kept == 4 && counts(&s)->dropped == 2);
    CHECK(pending(&s) == 0 && sim_ledger(&s)->passed[OTLP_LOGS].exporters[0].stats.delivered == 4);
    CHECK(sim_ledger(&s)->sum.received == 2 && sim_ledger(&s)->exporters[0].stats.delivered == 1);
    end_sim(&s, &p);
}

static void late_records_follow_what_is_remembered(void)
{
    const struct test_log logs[] = {{1, "late"}, {2, "dropped"}, {1, "late"}};
    struct places p;
    struct sim s;

    start_sim(&s, &p, &(struct sim_options){.config = FOLLOWING("", EXPORTER("all", "1", ""))});
    post_span(&s, 1, true);
    post_span(&s, 2, false);
    sim_run(&s, 11 * NS_PER_S);
    CHECK(post_logs(&s, logs, 3) == 200);
    sim_run(&s, NS_PER_S);
    CHECK(logs_of(&p, 1) == 2 && logs_of(&p, 2) == 0 && pending(&s) == 0);
    CHECK(counts(&s)->kept == 2 && counts(&s)->dropped == 1);
    CHECK(sim_ledger(&s)->sum.late_kept == 0 && sim_ledger(&s)->sum.late_dropped == 0);
    end_sim(&s, &p);
}

static void records_of_which_no_span_came_are_kept_and_later_spans_are_judged(void)
{
    struct places p;
    struct sim s;

    start_sim(&s, &p, &(struct sim_options){.config = FOLLOWING("", EXPORTER("all", "1", ""))});
    post_log(&s, 7, "alone");
    post_log(&s, 7, "alone");
    sim_run(&s, 12 * NS_PER_S);
    CHECK(logs_of(&p, 7) == 2 && kept_traces(&s) == 1 && pending(&s) == 0);
    CHECK(counts(&s)->alone == 2);
    CHECK(sim_ledger(&s)->sum.decided[0][TRIGGER_WAIT] == 1);
    CHECK(sim_ledger(&s)->table.remembered == 0 && sim_ledger(&s)->table.traces == 0);
    post_span(&s, 7, false);
    post_log(&s, 7, "not alone");
    sim_run(&s, 12 * NS_PER_S);
    CHECK(given(&p, 1, OTLP_TRACES) == 0 && !has_text(&p, OTLP_LOGS, "not alone"));
    CHECK(kept_traces(&s) == 1 && counts(&s)->dropped == 1);
    end_sim(&s, &p);
}

static void without_the_setting_all_records_pass(void)
{
    struct places p;
    struct sim s;

    start_sim(&s, &p,
              &(struct sim_options){
                  .config = CONFIG("policies = { policy 'latency' { threshold_ms = 500 } }",
                                   EXPORTER("all", "1", ""))});
    post_log(&s, 1, "one");
    post_span(&s, 1, false);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(logs_of(&p, 1) == 1 && counts(&s)->kept == 1 && counts(&s)->dropped == 0);
    end_sim(&s, &p);
}

static void exporters_that_take_no_logs_get_spans_alone_and_where_is_of_the_trace(void)
{
    struct places p;
    struct sim s;

    start_sim(
        &s, &p,
        &(struct sim_options){
            .config = FOLLOWING("", EXPORTER("spans", "1", "signals = { 'traces' }") ", " EXPORTER(
                                        "some", "2", "where = match { is_error = false }"))});
    post_log(&s, 1, "kept");
    post_span(&s, 1, true);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(given(&p, 1, OTLP_TRACES) == 1 && given(&p, 1, OTLP_LOGS) == 0);
    CHECK(given(&p, 2, OTLP_TRACES) == 0 && given(&p, 2, OTLP_LOGS) == 0);
    post_log(&s, 0, "passes");
    post_log(&s, 9, "alone");
    sim_run(&s, 12 * NS_PER_S);
    CHECK(given(&p, 1, OTLP_LOGS) == 0 && given(&p, 2, OTLP_LOGS) == 2);
    end_sim(&s, &p);
}

static void an_exporter_of_logs_alone_gets_those_of_kept_traces(void)
{
    struct places p;
    struct sim s;

    start_sim(
        &s, &p,
        &(struct sim_options){
            .config = FOLLOWING("", EXPORTER("logs", "2", "signals = { 'logs' }") ", " EXPORTER(
                                        "slow", "1", "where = match { is_error = true }"))});
    post_log(&s, 1, "kept");
    post_log(&s, 2, "dropped");
    post_span(&s, 1, true);
    post_span(&s, 2, false);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(given(&p, 2, OTLP_LOGS) == 1 && given(&p, 2, OTLP_TRACES) == 0);
    CHECK(given(&p, 1, OTLP_LOGS) == 1 && given(&p, 1, OTLP_TRACES) == 1 && logs_of(&p, 1) == 1);
    CHECK(counts(&s)->dropped == 1);
    end_sim(&s, &p);
}

static void processors_see_them_as_they_come_and_when_they_are_kept(void)
{
    const struct test_log logs[] = {{1, "INFO"},  {1, "DEBUG"}, {1, "door"},
                                    {0, "DEBUG"}, {0, "INFO"},  {1, "bad \xff"}};
    struct places p;
    struct sim s;

    start_sim(
        &s, &p,
        &(struct sim_options){
            .config = FOLLOWING(
                "resource = { cluster = 'blue' }, processors = {\n"
                "  received = { processor 'drop_at_door' { logs = match { log = { severity_text = "
                "'door' } } } },\n"
                "  kept = { processor 'filter' { logs = match { log = { severity_text = 'DEBUG' } "
                "} }, processor 'attributes' { logs = true, upsert = { zone = 'a' } } } },",
                EXPORTER("all", "1", ""))});
    CHECK(post_logs(&s, logs, 6) == 200);
    post_span(&s, 1, true);
    balanced(&s);
    CHECK(pending(&s) == 2);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(given(&p, 1, OTLP_LOGS) == 2 && logs_of(&p, 1) == 1);
    CHECK(has_text(&p, OTLP_LOGS, "zone") && has_text(&p, OTLP_LOGS, "cluster"));
    CHECK(!has_text(&p, OTLP_LOGS, "DEBUG") && !has_text(&p, OTLP_LOGS, "door"));
    CHECK(counts(&s)->received == 6 && counts(&s)->rejected == 1 && counts(&s)->kept == 2);
    CHECK(ledger_sum(counts(&s)->filtered, sim_ledger(&s)->filters) == 3);
    end_sim(&s, &p);
}

static void what_waits_is_redacted_before_it_is_held(void)
{
    const struct test_log logs[] = {{1, "kept"}, {0, "passes"}, {1, "kept"}};
    struct places p;
    struct sim s;

    start_sim(&s, &p,
              &(struct sim_options){
                  .config = FOLLOWING("processors = { received = { processor 'redact' {} } },",
                                      EXPORTER("all", "1", ""))});
    CHECK(post_logs(&s, logs, 3) == 200);
    CHECK(post_logs(&s, logs, 1) == 200);
    post_span(&s, 1, true);
    sim_run(&s, NS_PER_S); /* what passes has settled */
    restart(&s, 2);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(logs_of(&p, 1) == 3 && given(&p, 1, OTLP_LOGS) == 4);
    CHECK(has_text(&p, OTLP_LOGS, "password") && !has_text(&p, OTLP_LOGS, "hunter2"));
    end_sim(&s, &p);
}

/* A record of the trace that has little else. */
static int post_secrets(struct sim *s, uint64_t trace, int secrets)
{
    uint64_t id[2] = {htobe64(trace), htobe64(mix(trace))};
    size_t resource, scope, record;
    struct buf body;
    int status;

    buf_init(&body, 1 << 20, NULL);
    resource = otlp_write_begin(&body, 1);
    scope = otlp_write_begin(&body, 2);
    record = otlp_write_begin(&body, 2);
    wire_put_bytes(&body, 9, slice_make((const uint8_t *)id, sizeof(id)));
    for (int i = 0; i < secrets; i++)
        otlp_write_attr_str(&body, 6, "token", slice_str("hunter2"));
    otlp_write_end(&body, record);
    otlp_write_end(&body, scope);
    otlp_write_end(&body, resource);
    status = sim_post_to(s, sim_connect(s), "/v1/logs", buf_slice(&body));
    buf_fini(&body);
    return status;
}

/* 7 bytes become 37: of many there is more than there is room for where they are held. */
static void held_records_that_grow_too_much_are_refused_and_nothing_of_them_is_stored(void)
{
    struct places p;
    struct sim s;

    start_sim(&s, &p,
              &(struct sim_options){
                  .config = FOLLOWING("processors = { received = { processor 'redact' { action = "
                                      "'hmac', hmac_key = ('k'):rep(32) } } },",
                                      EXPORTER("all", "1", ""))});
    CHECK(post_secrets(&s, 1, 2000) == 400 && strstr(s.answer, "twice as long"));
    CHECK(pending(&s) == 0 && counts(&s)->received == 0 && sim_ledger(&s)->table.traces == 0);
    balanced(&s);
    CHECK(post_secrets(&s, 1, 20) == 200 && pending(&s) == 1);
    restart(&s, 2);
    CHECK(pending(&s) == 1 && counts(&s)->recovered == 1);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(logs_of(&p, 1) == 1 && !has_text(&p, OTLP_LOGS, "hunter2"));
    CHECK(has_text(&p, OTLP_LOGS, "hmac:"));
    end_sim(&s, &p);
}

static void head_sampling_drops_records_with_their_trace(void)
{
    struct places p;
    struct sim s;

    start_sim(&s, &p,
              &(struct sim_options){.config = FOLLOWING("head_sampling = { sampling_percentage = 0 "
                                                        "},",
                                                        EXPORTER("all", "1", ""))});
    post_log(&s, 1, "out");
    post_log(&s, 0, "passes");
    CHECK(post_logs(&s, (struct test_log[]){{2, "out"}, {0, "passes"}}, 2) == 200);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(given(&p, 1, OTLP_LOGS) == 2 && logs_of(&p, 1) == 0 && pending(&s) == 0);
    CHECK(ledger_sum(counts(&s)->filtered, sim_ledger(&s)->filters) == 2);
    end_sim(&s, &p);
}

static void a_trace_of_too_many_records_is_decided_at_once(void)
{
    struct test_log logs[6];
    struct places p;
    struct sim s;

    for (int i = 0; i < 6; i++)
        logs[i] = (struct test_log){1, "kept"};
    start_sim(&s, &p,
              &(struct sim_options){
                  .config = "local c = (function() " FOLLOWING(
                      "", EXPORTER("all", "1", "")) " end)() "
                                                    "c.tail_sampling.max_spans_per_trace = 5 "
                                                    "return c"});
    post_span(&s, 1, true);
    CHECK(post_logs(&s, logs, 6) == 200);
    sim_run(&s, NS_PER_S);
    CHECK(logs_of(&p, 1) == 6 && given(&p, 1, OTLP_TRACES) == 1);
    CHECK(sim_ledger(&s)->sum.decided[1][TRIGGER_TOO_LARGE] == 1);
    end_sim(&s, &p);
}

/* ---- over the end of a process ---- */

enum { TRACES = 200 };

/* Two records of each of ten traces in a request, by turns; odd traces are kept. */
static void post_all(struct sim *s)
{
    struct test_log logs[20];

    for (uint64_t first = 1; first <= TRACES; first += 10) {
        for (uint64_t i = 0; i < 20; i++)
            logs[i] = (struct test_log){first + i % 10, "a record"};
        CHECK(post_logs(s, logs, 20) == 200);
        for (uint64_t i = 0; i < 10; i++)
            post_span(s, first + i, (first + i) % 2 == 1);
        sim_run(s, 20 * NS_PER_MS);
    }
}

static void check_all(const struct places *p)
{
    for (uint64_t trace = 1; trace <= TRACES; trace++)
        CHECK(logs_of(p, trace) == (trace % 2 ? 2U : 0U));
    CHECK(given(p, 1, OTLP_LOGS) == TRACES && given(p, 1, OTLP_TRACES) == TRACES / 2);
}

static void what_waits_survives_kills_with_any_number_of_workers(void)
{
    struct places p;
    struct sim s;

    start_sim(&s, &p,
              &(struct sim_options){.config = FOLLOWING("", EXPORTER("all", "1", "")), .cpus = 2});
    post_all(&s);
    restart(&s, 4);
    CHECK(counts(&s)->recovered == 2 * TRACES && pending(&s) == 2 * TRACES);
    CHECK(sim_ledger(&s)->sum.recovered == TRACES && sim_ledger(&s)->table.traces == TRACES);
    restart(&s, 1);
    CHECK(pending(&s) == 2 * TRACES);
    sim_run(&s, 20 * NS_PER_S);
    CHECK(pending(&s) == 0);
    CHECK(sim_ledger(&s)->journal.decisions_logged == TRACES); /* decision_cache counts traces */
    check_all(&p);
    restart(&s, 2);
    CHECK(counts(&s)->recovered == 0);
    CHECK(sim_ledger(&s)->journal.decisions_logged == TRACES);
    sim_run(&s, 20 * NS_PER_S);
    check_all(&p);
    end_sim(&s, &p);
}

/* The kill comes at each moment around the decisions, some of which share frames. */
static void each_record_leaves_once_whenever_the_kill_comes(void)
{
    for (uint64_t ms = 9900; ms < 10500; ms += SIM_IS_SLOW ? 199 : 37) {
        struct places p;
        struct sim s;

        start_sim(&s, &p,
                  &(struct sim_options){.config = FOLLOWING("", EXPORTER("all", "1", "")),
                                        .cpus = 2,
                                        .moves_eagerly = ms % 2 == 1});
        p.is_down = true; /* nothing is on its way twice */
        post_all(&s);
        sim_run(&s, ms * NS_PER_MS - 400 * NS_PER_MS);
        p.is_down = false;
        restart(&s, 3);
        sim_run(&s, 25 * NS_PER_S);
        CHECK(pending(&s) == 0 && counts(&s)->lost[LOST_DAMAGED] == 0);
        check_all(&p);
        end_sim(&s, &p);
    }
}

static void records_alone_are_not_sent_again_after_a_kill(void)
{
    struct places p;
    struct sim s;

    start_sim(&s, &p, &(struct sim_options){.config = FOLLOWING("", EXPORTER("all", "1", ""))});
    post_log(&s, 1, "alone");
    sim_run(&s, 5 * NS_PER_S);
    CHECK(post_logs(&s, (struct test_log[]){{1, "alone"}, {3, "alone"}}, 2) == 200);
    sim_run(&s, 7 * NS_PER_S);
    CHECK(logs_of(&p, 1) == 2 && logs_of(&p, 3) == 0);
    restart(&s, 1); /* the frame of the second request has one that waits */
    CHECK(pending(&s) == 1 && counts(&s)->recovered == 1);
    sim_run(&s, 20 * NS_PER_S);
    CHECK(logs_of(&p, 1) == 2 && logs_of(&p, 3) == 1);
    end_sim(&s, &p);
}

static void records_move_out_of_thin_segments_as_spans_do(void)
{
    struct places p;
    struct sim s;

    start_sim(&s, &p,
              &(struct sim_options){.config = FOLLOWING("", EXPORTER("all", "1", "")),
                                    .cpus = 1,
                                    .moves_eagerly = true});
    for (uint64_t i = 0; i < 40; i++) { /* those that came before are decided meanwhile */
        post_log(&s, 1000 + i, "alone");
        post_log(&s, 1 + i % 2, "a record");
        post_span(&s, 1 + i % 2, i % 2 == 0);
        sim_run(&s, 700 * NS_PER_MS);
        balanced(&s);
    }
    CHECK(sim_ledger(&s)->sum.moved_spans > 0);
    restart(&s, 2);
    sim_run(&s, 30 * NS_PER_S);
    CHECK(pending(&s) == 0 && logs_of(&p, 1) == 20 && logs_of(&p, 2) == 0);
    for (uint64_t i = 0; i < 40; i++)
        CHECK(logs_of(&p, 1000 + i) == 1);
    end_sim(&s, &p);
}

/* ---- reload, shutdown ---- */

static void a_reload_turns_it_on_and_off_and_what_waits_is_decided(void)
{
    static const char on[] = FOLLOWING("", EXPORTER("all", "1", ""));
    static const char off[] = CONFIG("decision_wait = '10s', policies = { policy 'status_code' { "
                                     "status_codes = { 'ERROR' } } }",
                                     EXPORTER("all", "1", ""));
    struct places p;
    struct sim s;

    start_sim(&s, &p, &(struct sim_options){.config = off});
    sim_write(&s, on);
    CHECK(reload(&s));
    post_log(&s, 1, "waits");
    post_span(&s, 1, false);
    sim_run(&s, NS_PER_S);
    CHECK(pending(&s) == 1 && given(&p, 1, OTLP_LOGS) == 0);
    sim_write(&s, off);
    CHECK(reload(&s));
    post_log(&s, 1, "passes");
    sim_run(&s, NS_PER_S);
    CHECK(pending(&s) == 1 && logs_of(&p, 1) == 1 && has_text(&p, OTLP_LOGS, "passes"));
    sim_run(&s, 11 * NS_PER_S);
    CHECK(pending(&s) == 0 && logs_of(&p, 1) == 1 && counts(&s)->dropped == 1);
    end_sim(&s, &p);
}

static void a_shutdown_decides_what_waits(void)
{
    struct places p;
    struct sim s;

    start_sim(&s, &p,
              &(struct sim_options){.config = FOLLOWING("", EXPORTER("all", "1", "")), .cpus = 2});
    post_all(&s);
    post_log(&s, 1000, "alone");
    sim_stop(&s);
    CHECK(collector_phase(s.collector) == PHASE_STOPPED && pending(&s) == 0);
    CHECK(given(&p, 1, OTLP_LOGS) == TRACES + 1 && logs_of(&p, 1000) == 1);
    balanced(&s);
    sim_fini(&s);
    for (int i = 0; i < 2 * OTLP_SIGNALS; i++)
        buf_fini(&p.body[i / OTLP_SIGNALS][i % OTLP_SIGNALS]);
}

static void in_memory_they_wait_and_follow_too(void)
{
    struct places p;
    struct sim s;

    start_sim(&s, &p,
              &(struct sim_options){
                  .config = FOLLOWING("journal = { ack = 'memory' },", EXPORTER("all", "1", "")),
                  .cpus = 3});
    post_all(&s);
    CHECK(pending(&s) == 2 * TRACES);
    sim_run(&s, 12 * NS_PER_S);
    check_all(&p);
    post_log(&s, 1, "late");
    post_log(&s, 2, "dropped");
    sim_run(&s, NS_PER_S);
    CHECK(logs_of(&p, 1) == 3 && logs_of(&p, 2) == 0);
    end_sim(&s, &p);
}

int main(void)
{
    RUN(records_are_kept_or_dropped_with_their_trace_and_others_pass_at_once);
    RUN(late_records_follow_what_is_remembered);
    RUN(records_of_which_no_span_came_are_kept_and_later_spans_are_judged);
    RUN(without_the_setting_all_records_pass);
    RUN(exporters_that_take_no_logs_get_spans_alone_and_where_is_of_the_trace);
    RUN(an_exporter_of_logs_alone_gets_those_of_kept_traces);
    RUN(processors_see_them_as_they_come_and_when_they_are_kept);
    RUN(what_waits_is_redacted_before_it_is_held);
    RUN(held_records_that_grow_too_much_are_refused_and_nothing_of_them_is_stored);
    RUN(head_sampling_drops_records_with_their_trace);
    RUN(a_trace_of_too_many_records_is_decided_at_once);
    RUN(what_waits_survives_kills_with_any_number_of_workers);
    RUN(each_record_leaves_once_whenever_the_kill_comes);
    RUN(records_alone_are_not_sent_again_after_a_kill);
    RUN(records_move_out_of_thin_segments_as_spans_do);
    RUN(a_reload_turns_it_on_and_off_and_what_waits_is_decided);
    RUN(a_shutdown_decides_what_waits);
    RUN(in_memory_they_wait_and_follow_too);
    return DONE();
}
