#include "base/clock.h"
#include "base/fake_disk.h"
#include "check.h"
#include "cli/explanation.h"
#include "journal/acked_file.h"
#include "journal/journals.h"
#include "journal/made_segment.h"
#include "spans.h"

#define T0  (UINT64_C(1763737331123) * NS_PER_MS) /* 2025-11-21 15:02:11.123 */
#define NOW (T0 + 123 * NS_PER_S)

static const uint8_t id[16] = {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6,
                               0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36};
static const uint8_t other[16] = {1};

static struct fake_disk fake;
static struct made_segment segment;
static struct buf text;

/* ---- a folder ---- */

static const char *const labels[][2] = {{"default", ""},
                                        {"errors", "status"},
                                        {"slow", "over 2s\x1b[31m"},
                                        {"base", "sampled"},
                                        {"rescue", "rescued"}};
static const char *const exporters[] = {"xray", "archive"};
static const char *const policies[] = {"errors", "slow", "base"};
static const struct journal_names names = {
    LABEL_PAIRS(labels),  .exporters = exporters, .exporter_count = 2,
    .policies = policies, .policy_count = 3,      .config_hash = "00c0ffee00c0ffee",
};

static void begin(enum segment_use use)
{
    struct buf body;

    segment_open(&segment, use, 1, UINT64_C(0xfeedface12345678));
    memset(segment.bytes + FORMAT_PAGE, 0, segment.size - FORMAT_PAGE);
    if (use == USE_FRAMES)
        return;
    buf_init(&body, 4096, NULL);
    CHECK(names_write(&body, &names));
    segment_add(&segment, FRAME_NAMES, 1, buf_slice(&body));
    buf_fini(&body);
}

static void end(const char *path, enum segment_state state)
{
    segment.header.state = (uint8_t)state;
    segment_stamp(&segment);
    segment_store(&segment, &fake.disk, path, 0);
}

static struct decision_record decision_of(const uint8_t trace_id[16], uint64_t unix_ns)
{
    struct decision_record r = {.signal = SIGNAL_TRACES,
                                .spans = 12,
                                .payload_spans = 12,
                                .complete = 1,
                                .trigger = 1,
                                .duration_ns = UINT64_C(1234567890),
                                .errors = 1,
                                .config_version = 0x00c0ffee,
                                .threshold = UINT64_MAX,
                                .probability = -1,
                                .unix_ns = unix_ns};

    memcpy(r.trace_id, trace_id, 16);
    return r;
}

static void log_it(const struct decision_record *r, const struct decision_details *details)
{
    struct buf body;

    buf_init(&body, 4096, NULL);
    CHECK(entry_write(&body, r, details));
    segment_add(&segment, FRAME_DECISIONS, 1, buf_slice(&body));
    buf_fini(&body);
}

/* Its place in the outbox. */
static size_t queue_it(const struct decision_record *r)
{
    struct buf tlv;
    struct tlv head = {.type = TLV_DECISION, .len = (uint32_t)entry_size(NULL)};
    size_t at = segment.used;

    buf_init(&tlv, 4096, NULL);
    buf_append(&tlv, &head, sizeof(head));
    CHECK(entry_write(&tlv, r, NULL));
    segment_add_as(&segment, (struct frame_header){.signal = FRAME_KEEP}, buf_slice(&tlv),
                   slice_str("payload"));
    buf_fini(&tlv);
    return at;
}

static void add_spans(uint64_t sequence, uint64_t first_id, size_t count)
{
    struct test_span spans[8] = {0};
    struct buf body;

    for (size_t i = 0; i < count; i++)
        spans[i] = (struct test_span){.trace_high = UINT64_C(0x4bf92f3577b34da6),
                                      .trace_low = UINT64_C(0xa3ce929d0e0e4736),
                                      .id = first_id + i,
                                      .start_ms = T0 / NS_PER_MS,
                                      .duration_ms = 5};
    spans[count] =
        (struct test_span){.trace_low = 5, .id = 99, .start_ms = T0 / NS_PER_MS, .duration_ms = 5};
    buf_init(&body, 1 << 16, NULL);
    spans_put(&body, spans, count + 1);
    segment_add(&segment, FRAME_TRACES, sequence, buf_slice(&body));
    buf_fini(&body);
}

static void write_acked(const char *lines)
{
    int fd;

    if (fake.disk.mkdir(&fake.disk, "j", 0700, NULL) ||
        fake.disk.open(&fake.disk, "j/acked", O_RDWR | O_CREAT, 0600, &fd, NULL) ||
        acked_store(&fake.disk, fd, slice_str(lines), 1, NULL))
        abort();
    fake.disk.close(&fake.disk, fd);
}

/* ---- what is said of it ---- */

static bool has_door;

static const char *explain(bool json)
{
    struct explanation x;
    struct err_info info;

    buf_clear(&text);
    if (explanation_read(&fake.disk, "j", id, &x, &info))
        return info.text[0] ? "no journal" : "";
    x.may_be_left_out = has_door;
    if (json)
        explanation_json(&x, &text);
    else
        explanation_text(&x, NOW, &text);
    explanation_fini(&x);
    buf_byte(&text, '\0');
    return buf_ok(&text) ? (const char *)text.data : "";
}

static bool says(const char *what)
{
    return strstr((const char *)text.data, what) != NULL;
}

static void a_kept_trace_is_explained_with_all_that_decided_it(void)
{
    const struct decision_vote votes[] = {
        {VOTE_NONE, 0, 0}, {VOTE_KEEP, 2, 0}, {VOTE_NOT_ASKED, 0, 0}};
    const struct decision_details details = {NULL, 0, votes, 3};
    struct decision_record r = decision_of(id, T0), o = decision_of(other, T0 - NS_PER_S);

    fake_disk_init(&fake);
    r.keep = true;
    r.label = 2;
    r.exporters = 3;
    begin(USE_DECISIONS);
    log_it(&o, NULL);
    log_it(&r, &details);
    r.late = true;
    r.spans = 2;
    r.unix_ns += NS_PER_S;
    log_it(&r, NULL);
    end("j/segments-00000001", SEGMENT_LIVE);
    explain(false);
    CHECK(!strcmp((const char *)text.data,
                  "4bf92f3577b34da6a3ce929d0e0e4736: kept by slow (over 2s?[31m)\n"
                  "\n"
                  "  when       2025-11-21 15:02:11.123 UTC (2 min ago)\n"
                  "  trace      12 spans, 1 error, 1.235 s, complete\n"
                  "  trigger    root\n"
                  "  votes      errors  no opinion\n"
                  "             slow    keep (over 2s?[31m)\n"
                  "             base    not asked\n"
                  "  config     hash 00c0ffee00c0ffee\n"
                  "  exporters  xray, archive\n"
                  "  since then 2 late spans kept, 2025-11-21 15:02:12.123 UTC\n"
                  "  journal    none of its spans is left\n"));
    fake_disk_fini(&fake);
}

static void a_dropped_trace_shows_its_draw_and_how_to_rescue_it(void)
{
    const struct decision_vote votes[] = {
        {VOTE_FAILED, 0, 0}, {VOTE_AT_LEAST, 2, 0.5f}, {VOTE_SAMPLE, 3, 0.25f}};
    const struct decision_details details = {NULL, 0, votes, 3};
    struct decision_record r = decision_of(id, T0);

    fake_disk_init(&fake);
    r.label = 3;
    r.probability = 0.25;
    r.threshold = UINT64_C(0xc0000000000000);
    r.randomness = UINT64_C(0xce929d0e0e4736) >> 8;
    begin(USE_DECISIONS);
    log_it(&r, &details);
    end("j/segments-00000001", SEGMENT_LIVE);
    begin(USE_FRAMES);
    add_spans(1, 1, 3);
    add_spans(2, 2, 3); /* two of them are the same, moved */
    end("j/segments-00000002", SEGMENT_IS_FREE);
    explain(false);
    CHECK(says("dropped by base (sampled)\n"));
    CHECK(says("errors  failed\n"));
    CHECK(says("slow    at least 0.5 (over 2s?[31m)\n"));
    CHECK(says("base    sample 0.25 (sampled)\n"));
    CHECK(says("sampling   p = 0.25: R 00ce929d0e0e47 is under T c0000000000000\n"));
    CHECK(says("4 spans are still there: `moontail rescue 4bf92f3577b34da6a3ce929d0e0e4736` sends "
               "them\n"));
    CHECK(!says("exporters"));
    fake_disk_fini(&fake);
}

static void what_waits_is_pending(void)
{
    fake_disk_init(&fake);
    begin(USE_FRAMES);
    add_spans(1, 1, 3);
    end("j/segments-00000001", SEGMENT_LIVE);
    explain(false);
    CHECK(says(": pending: 3 spans since "));
    explain(true);
    CHECK(says("\"state\":\"pending\"") && says("\"live_spans\":3,\"history_spans\":0"));
    fake_disk_fini(&fake);
}

static void what_the_log_has_forgotten_is_said_so(void)
{
    fake_disk_init(&fake);
    begin(USE_FRAMES);
    add_spans(1, 1, 1);
    end("j/segments-00000001", SEGMENT_IS_FREE);
    explain(false);
    CHECK(says(": decided, but the log does not go back that far; 1 span can still be read\n"));
    fake_disk_fini(&fake);
}

static void what_may_have_been_left_out_at_the_door_is_said_so(void)
{
    fake_disk_init(&fake);
    begin(USE_FRAMES);
    add_spans(1, 1, 1);
    end("j/segments-00000001", SEGMENT_IS_FREE);
    has_door = true;
    explain(false);
    has_door = false;
    CHECK(says("that far, or left out by head_sampling or processors.received; 1 span can still"));
    fake_disk_fini(&fake);
}

static void an_unknown_trace_is_not_seen_since_the_oldest_decision(void)
{
    struct decision_record o = decision_of(other, T0);

    fake_disk_init(&fake);
    CHECK(!strcmp(explain(false), "no journal"));
    begin(USE_DECISIONS);
    log_it(&o, NULL);
    o.unix_ns += NS_PER_S;
    log_it(&o, NULL);
    end("j/segments-00000001", SEGMENT_LIVE);
    explain(false);
    CHECK(says(": not seen since 2025-11-21 15:02:11.123 UTC (2 min ago): that is as far as the "
               "log goes back, with 2 decisions\n"));
    fake_disk_fini(&fake);
}

static void an_exporter_that_has_not_settled_it_still_queues_it(void)
{
    struct decision_record r = decision_of(id, T0);
    char lines[64];
    size_t at;

    fake_disk_init(&fake);
    r.keep = true;
    r.label = 1;
    r.exporters = 3;
    begin(USE_OUTBOX); /* the log's entry was not written any more */
    at = queue_it(&r);
    end("j/segments-00000001", SEGMENT_LIVE);
    snprintf(lines, sizeof(lines), "1 %zu xray\n1 %zu archive\n", at + 1, at);
    write_acked(lines);
    explain(false);
    CHECK(says(": kept by errors (status)\n") && says("exporters  xray, archive (queued)\n"));
    explain(true);
    CHECK(says("\"exporters\":[{\"name\":\"xray\",\"queued\":false},"
               "{\"name\":\"archive\",\"queued\":true}]"));
    end("j/segments-00000001", SEGMENT_IS_FREE);
    explain(false);
    CHECK(says("exporters  xray, archive\n"));
    fake_disk_fini(&fake);
}

static void a_rescue_stands_behind_the_decision(void)
{
    struct decision_record r = decision_of(id, T0);

    fake_disk_init(&fake);
    begin(USE_DECISIONS);
    log_it(&r, NULL);
    r.keep = true;
    r.label = 4;
    r.unix_ns += 60 * NS_PER_S;
    log_it(&r, NULL);
    end("j/segments-00000001", SEGMENT_LIVE);
    explain(false);
    CHECK(says(": dropped by default\n"));
    CHECK(says("since then 12 spans kept by rescue (rescued), 2025-11-21 15:03:11.123 UTC\n"));
    fake_disk_fini(&fake);
}

static void a_second_decision_is_the_one_that_counts(void)
{
    struct decision_record r = decision_of(id, T0);

    fake_disk_init(&fake);
    begin(USE_DECISIONS);
    log_it(&r, NULL);
    r.keep = true;
    r.label = 1;
    log_it(&r, NULL);
    end("j/segments-00000001", SEGMENT_LIVE);
    explain(false);
    CHECK(says(": kept by errors (status)\n"));
    CHECK(says("earlier    1 decision, forgotten before the rest of the trace came\n"));
    fake_disk_fini(&fake);
}

static void many_late_spans_are_summed(void)
{
    struct decision_record r = decision_of(id, T0);

    fake_disk_init(&fake);
    begin(USE_DECISIONS);
    log_it(&r, NULL);
    r.late = true;
    r.spans = 1;
    for (unsigned i = 0; i < 20; i++)
        log_it(&r, NULL);
    end("j/segments-00000001", SEGMENT_LIVE);
    explain(false);
    CHECK(says("since then 1 late span dropped, ") && says("and 12 more; 20 late spans in all\n"));
    fake_disk_fini(&fake);
}

static void damage_on_the_way_is_said(void)
{
    struct decision_record r = decision_of(id, T0);

    fake_disk_init(&fake);
    begin(USE_DECISIONS);
    segment_add(&segment, FRAME_DECISIONS, 2, slice_str("no entry at all"));
    log_it(&r, NULL);
    end("j/segments-00000001", SEGMENT_LIVE);
    explain(false);
    CHECK(says(": dropped by default\n"));
    CHECK(says("(1 part of the journal could not be read: see `moontail fsck`)\n"));
    fake_disk_fini(&fake);
}

static void json_has_it_all_in_one_line(void)
{
    const struct decision_vote votes[] = {{VOTE_NONE, 0, 0}, {VOTE_SAMPLE, 3, 0.25f}};
    const struct decision_details details = {NULL, 0, votes, 2};
    struct decision_record r = decision_of(id, T0);

    fake_disk_init(&fake);
    r.keep = true;
    r.label = 3;
    r.probability = 0.25;
    r.threshold = 0;
    r.randomness = 1;
    r.exporters = 2;
    begin(USE_DECISIONS);
    log_it(&r, &details);
    end("j/segments-00000001", SEGMENT_LIVE);
    explain(true);
    CHECK(!strcmp(
        (const char *)text.data,
        "{\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"state\":\"kept\",\"decision\":{"
        "\"keep\":true,\"policy\":\"base\",\"reason\":\"sampled\",\"time_unix_nano\":"
        "\"1763737331123000000\",\"spans\":12,\"errors\":1,\"duration_nano\":\"1234567890\","
        "\"complete\":true,\"trigger\":\"root\",\"votes\":[{\"policy\":\"errors\",\"vote\":"
        "\"none\"},{\"policy\":\"base\",\"vote\":\"sample\",\"reason\":\"sampled\",\"p\":0.25}],"
        "\"p\":0.25,\"r\":\"00000000000001\",\"t\":\"00000000000000\",\"config_hash\":"
        "\"00c0ffee00c0ffee\",\"exporters\":[{\"name\":\"archive\",\"queued\":"
        "false}],\"exported_spans\":12},\"earlier_decisions\":0,\"since_then\":[],"
        "\"since_then_count\":0,\"late_spans\":0,\"journal\":{\"live_spans\":0,\"history_spans\":0,"
        "\"live_logs\":0,\"history_logs\":0,"
        "\"decisions\":1,\"oldest_unix_nano\":\"1763737331123000000\",\"damaged\":0}}\n"));
    fake_disk_fini(&fake);
}

static void ids_are_32_hex_digits(void)
{
    uint8_t parsed[16];

    CHECK(trace_id_parse("4bf92f3577b34da6a3ce929d0e0e4736", parsed) && !memcmp(parsed, id, 16));
    CHECK(trace_id_parse("4BF92F3577B34DA6A3CE929D0E0E4736", parsed) && !memcmp(parsed, id, 16));
    CHECK(!trace_id_parse("4bf92f3577b34da6a3ce929d0e0e473", parsed));
    CHECK(!trace_id_parse("4bf92f3577b34da6a3ce929d0e0e47366", parsed));
    CHECK(!trace_id_parse("4bf92f3577b34da6a3ce929d0e0e473g", parsed));
    CHECK(!trace_id_parse("00000000000000000000000000000000", parsed)); /* no trace has it */
    CHECK(!trace_id_parse("", parsed));
}

int main(void)
{
    buf_init(&text, 1 << 16, NULL);
    RUN(a_kept_trace_is_explained_with_all_that_decided_it);
    RUN(a_dropped_trace_shows_its_draw_and_how_to_rescue_it);
    RUN(what_waits_is_pending);
    RUN(what_the_log_has_forgotten_is_said_so);
    RUN(what_may_have_been_left_out_at_the_door_is_said_so);
    RUN(an_unknown_trace_is_not_seen_since_the_oldest_decision);
    RUN(an_exporter_that_has_not_settled_it_still_queues_it);
    RUN(a_rescue_stands_behind_the_decision);
    RUN(a_second_decision_is_the_one_that_counts);
    RUN(many_late_spans_are_summed);
    RUN(damage_on_the_way_is_said);
    RUN(json_has_it_all_in_one_line);
    RUN(ids_are_32_hex_digits);
    segment_close(&segment);
    buf_fini(&text);
    return DONE();
}
