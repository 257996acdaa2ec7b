/* Log records of dropped traces that are sent after all, and what explain says of them. */
#include "base/encode.h"
#include "cli/explanation.h"
#include "collector/rescue.h"
#include "following.h"

static void explain(struct sim *s, uint64_t trace, struct explanation *x)
{
    uint64_t id[2] = {htobe64(trace), htobe64(mix(trace))};
    struct err_info info;

    CHECK(explanation_read(disk_system(), collector_config(s->collector)->journal.path,
                           (const uint8_t *)id, x, &info) == ERR_OK);
}

static bool says(struct sim *s, uint64_t trace, const char *text)
{
    struct explanation x;
    struct buf out;
    bool found;

    explain(s, trace, &x);
    buf_init(&out, 1 << 16, NULL);
    explanation_text(&x, NS_PER_S, &out);
    found = memmem(out.data, out.len, text, strlen(text)) != NULL;
    explanation_fini(&x);
    buf_fini(&out);
    return found;
}

static enum err rescue(struct sim *s, uint64_t trace, size_t *spans, size_t *logs)
{
    struct explanation x;
    struct buf command, out;
    enum err err;

    explain(s, trace, &x);
    buf_init(&command, 4096, NULL);
    buf_init(&out, 256, NULL);
    buf_str(&command, "rescue ");
    encode_hex(&command, slice_make(x.trace_id, sizeof(x.trace_id)));
    for (size_t i = 0; i < x.segment_count; i++)
        buf_printf(&command, " %llu", (unsigned long long)x.segments[i]);
    explanation_fini(&x);
    err = collector_control(s->collector, buf_slice(&command), &out);
    buf_byte(&out, '\0');
    CHECK(err != ERR_OK || sscanf((const char *)out.data, RESCUE_ANSWER, spans, logs) == 2);
    buf_fini(&command);
    buf_fini(&out);
    return err;
}

#define ALL                                                                                        \
    FOLLOWING("resource = { cluster = 'blue' },",                                                  \
              EXPORTER("all", "1", "") ", " EXPORTER("failed", "2",                                \
                                                     "where = match { is_error = true }"))

static void they_leave_behind_the_spans_each_once(void)
{
    const struct test_log logs[] = {{1, "same"}, {2, "other"}, {1, "same"}, {0, "none"}};
    struct explanation x;
    struct places p;
    struct sim s;
    size_t spans = 0, records = 0;

    start_sim(&s, &p, &(struct sim_options){.config = ALL});
    CHECK(post_logs(&s, logs, 4) == 200);
    post_span(&s, 1, false);
    post_span(&s, 2, false);
    sim_run(&s, 12 * NS_PER_S);
    post_log(&s, 1, "late");
    sim_run(&s, NS_PER_S);
    CHECK(counts(&s)->dropped == 4 && logs_of(&p, 1) == 0);
    CHECK(says(&s, 1, "1 span and 3 log records are still there: `moontail rescue"));
    CHECK(rescue(&s, 1, &spans, &records) == ERR_OK && spans == 1 && records == 3);
    sim_run(&s, NS_PER_S);
    CHECK(given(&p, 1, OTLP_TRACES) == 1 && logs_of(&p, 1) == 3 && logs_of(&p, 2) == 0);
    CHECK(has_text(&p, OTLP_LOGS, "cluster") && given(&p, 2, OTLP_LOGS) == 1);
    CHECK(counts(&s)->rescued == 3 && counts(&s)->dropped == 4);
    CHECK(says(&s, 1, "3 log records rescued"));
    explain(&s, 1, &x);
    CHECK(x.rescued_logs == 3 && x.after_count == 1 && x.after[0].spans == 1);
    explanation_fini(&x);
    end_sim(&s, &p);
}

static void what_was_moved_is_sent_once(void)
{
    struct places p;
    struct sim s;
    size_t spans = 0, records = 0;

    start_sim(&s, &p,
              &(struct sim_options){
                  .config = FOLLOWING("journal = { history = '64MiB' },", EXPORTER("all", "1", "")),
                  .cpus = 1,
                  .moves_eagerly = true});
    for (uint64_t i = 0; i < 30; i++) { /* those that came before are decided meanwhile */
        post_log(&s, 1000 + i, "alone");
        if (i >= 15)
            post_log(&s, 1, "same");
        if (i == 15)
            post_span(&s, 1, false);
        sim_run(&s, 600 * NS_PER_MS);
    }
    CHECK(sim_ledger(&s)->sum.moved_spans > 0);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(logs_of(&p, 1) == 0 && counts(&s)->dropped == 15);
    CHECK(rescue(&s, 1, &spans, &records) == ERR_OK && spans == 1 && records == 15);
    sim_run(&s, NS_PER_S);
    CHECK(given(&p, 1, OTLP_TRACES) == 1 && logs_of(&p, 1) == 15);
    end_sim(&s, &p);
}

static void processors_of_kept_ones_see_them(void)
{
    const struct test_log logs[] = {{1, "INFO"}, {1, "DEBUG"}};
    struct places p;
    struct sim s;
    size_t spans = 0, records = 0;

    start_sim(&s, &p,
              &(struct sim_options){
                  .config = FOLLOWING("processors = { kept = { processor 'filter' { logs = match { "
                                      "log = { severity_text = 'DEBUG' } } } } },",
                                      EXPORTER("all", "1", ""))});
    CHECK(post_logs(&s, logs, 2) == 200);
    post_span(&s, 1, false);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(rescue(&s, 1, &spans, &records) == ERR_OK && records == 2);
    sim_run(&s, NS_PER_S);
    CHECK(logs_of(&p, 1) == 1 && !has_text(&p, OTLP_LOGS, "DEBUG") && counts(&s)->rescued == 1);
    end_sim(&s, &p);
}

static void over_a_kill_they_are_not_sent_again(void)
{
    struct places p;
    struct sim s;
    size_t spans = 0, records = 0;

    start_sim(&s, &p, &(struct sim_options){.config = ALL});
    post_log(&s, 1, "dropped");
    post_span(&s, 1, false);
    sim_run(&s, 8 * NS_PER_S);
    post_log(&s, 3, "waits"); /* in the same segment, which so stays live */
    sim_run(&s, 4 * NS_PER_S);
    CHECK(rescue(&s, 1, &spans, &records) == ERR_OK && records == 1);
    sim_run(&s, NS_PER_S);
    CHECK(logs_of(&p, 1) == 1);
    restart(&s, 2);
    sim_run(&s, 20 * NS_PER_S);
    CHECK(logs_of(&p, 1) == 1 && logs_of(&p, 3) == 1 && given(&p, 1, OTLP_TRACES) == 1);
    end_sim(&s, &p);
}

int main(void)
{
    RUN(they_leave_behind_the_spans_each_once);
    RUN(what_was_moved_is_sent_once);
    RUN(processors_of_kept_ones_see_them);
    RUN(over_a_kill_they_are_not_sent_again);
    return DONE();
}
