#include "check.h"
#include "journal/entry.h"
#include "journal/journals.h"

#include <stdlib.h>

static const struct decision_record sample = {
    .trace_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .keep = true,
    .signal = SIGNAL_TRACES,
    .label = 513,
    .trigger = 3,
    .complete = 1,
    .spans = 70000,
    .config_version = 42,
    .threshold = UINT64_MAX,
    .probability = 0.1,
    .duration_ns = UINT64_C(12345678901),
    .unix_ns = UINT64_C(1700000000000000001),
    .exporters = UINT64_C(1) << 63 | 5,
    .payload_spans = 69999,
    .errors = 7,
    .randomness = (UINT64_C(1) << 56) - 1,
};

static struct buf out;

static bool same(const struct decision_record *a, const struct decision_record *b)
{
    return memcmp(a->trace_id, b->trace_id, 16) == 0 && a->keep == b->keep && a->late == b->late &&
           a->signal == b->signal && a->label == b->label && a->trigger == b->trigger &&
           a->complete == b->complete && a->spans == b->spans &&
           a->config_version == b->config_version && a->threshold == b->threshold &&
           memcmp(&a->probability, &b->probability, sizeof(double)) == 0 &&
           a->duration_ns == b->duration_ns && a->unix_ns == b->unix_ns &&
           a->exporters == b->exporters && a->payload_spans == b->payload_spans &&
           a->errors == b->errors && a->randomness == b->randomness;
}

static void an_entry_comes_back_as_it_was_written(void)
{
    const uint64_t sources[] = {1, UINT64_MAX, UINT64_C(0x0123456789abcdef)};
    const struct decision_vote votes[] = {
        {VOTE_NONE, 0, 0}, {VOTE_SAMPLE, 513, 0.25f}, {VOTE_FAILED, 65535, -1}};
    const struct decision_details details = {sources, 3, votes, 3};
    struct decision_record bare = {.late = true, .probability = -1};
    struct entry e;
    size_t at = 0;

    buf_clear(&out);
    CHECK(entry_write(&out, &sample, &details));
    CHECK(out.len == entry_size(&details) && out.len == 96 + 3 * 8 + 3 * 8);
    CHECK(entry_write(&out, &bare, NULL));
    CHECK(out.len == entry_size(&details) + entry_size(NULL));

    CHECK(entry_read(buf_slice(&out), &at, &e));
    CHECK(same(&e.record, &sample) && e.vote_count == 3 && e.source_count == 3);
    for (unsigned i = 0; i < 3; i++) {
        struct decision_vote v = entry_vote(&e, i);

        CHECK(v.kind == votes[i].kind && v.label == votes[i].label);
        CHECK(v.probability == votes[i].probability);
        CHECK(entry_source(&e, i) == sources[i]);
    }
    CHECK(entry_read(buf_slice(&out), &at, &e));
    CHECK(same(&e.record, &bare) && e.vote_count == 0 && e.source_count == 0);
    CHECK(!entry_read(buf_slice(&out), &at, &e));
    CHECK(at == out.len);
}

static void what_passes_the_bounds_is_cut(void)
{
    uint64_t *sources = calloc(ENTRY_MAX_SOURCES + 1, sizeof(*sources));
    struct decision_vote *votes = calloc(ENTRY_MAX_VOTES + 1, sizeof(*votes));
    const struct decision_details details = {sources, ENTRY_MAX_SOURCES + 1, votes,
                                             ENTRY_MAX_VOTES + 1};
    struct entry e;
    size_t at = 0;

    buf_clear(&out);
    CHECK(entry_write(&out, &sample, &details));
    CHECK(out.len == entry_size(&details));
    CHECK(entry_read(buf_slice(&out), &at, &e) && at == out.len);
    CHECK(e.vote_count == ENTRY_MAX_VOTES && e.source_count == ENTRY_MAX_SOURCES);
    free(sources);
    free(votes);
}

static void without_room_nothing_is_appended(void)
{
    struct buf small;

    buf_init(&small, entry_size(NULL) - 1, NULL);
    CHECK(!entry_write(&small, &sample, NULL));
    CHECK(small.len == 0);
    buf_fini(&small);
}

static void a_cut_entry_is_not_read(void)
{
    const uint64_t source = 9;
    const struct decision_details details = {&source, 1, NULL, 0};

    buf_clear(&out);
    CHECK(entry_write(&out, &sample, &details));
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *copy = malloc(len ? len : 1);
        struct entry e;
        size_t at = 0;

        memcpy(copy, out.data, len);
        CHECK(!entry_read(slice_make(copy, len), &at, &e));
        CHECK(at == 0);
        free(copy);
    }
}

static bool reads_with(size_t offset, size_t len, uint32_t value)
{
    struct entry e;
    size_t at = 0;

    buf_clear(&out);
    if (!entry_write(&out, &sample, NULL))
        return false;
    memcpy(out.data + offset, &value, len);
    return entry_read(buf_slice(&out), &at, &e);
}

static void counts_that_do_not_fit_are_damage(void)
{
    CHECK(reads_with(0, 4, 96));
    CHECK(!reads_with(0, 4, 0));
    CHECK(!reads_with(0, 4, 88));
    CHECK(!reads_with(0, 4, 104));
    CHECK(!reads_with(0, 4, UINT32_MAX));
    CHECK(!reads_with(4, 1, 2));       /* version */
    CHECK(!reads_with(5, 1, 11));      /* head */
    CHECK(!reads_with(5, 1, 255));     /* head */
    CHECK(!reads_with(24, 1, 200));    /* signal */
    CHECK(!reads_with(28, 2, 1));      /* votes */
    CHECK(!reads_with(30, 2, 1));      /* sources */
    CHECK(!reads_with(30, 2, 0xffff)); /* sources */
}

static void a_longer_entry_of_later_times_is_read(void)
{
    struct decision_record second = sample;
    struct entry e;
    size_t at = 0;

    second.label = 3;
    buf_clear(&out);
    CHECK(entry_write(&out, &sample, NULL));
    buf_append(&out, "grown by", 8); /* a field behind those we know */
    out.data[0] += 8;
    out.data[5] += 1;
    CHECK(entry_write(&out, &second, NULL));
    CHECK(entry_read(buf_slice(&out), &at, &e) && same(&e.record, &sample));
    CHECK(entry_read(buf_slice(&out), &at, &e) && same(&e.record, &second));
}

/* ---- names ---- */

static const char *const labels[][2] = {
    {"default", ""}, {"keep_errors", "error"}, {"slow", "over \"2s\""}};
static const char *const exporters[] = {"xray", "archive"};
static const char *const policies[] = {"keep_errors", "slow", "base", "rare"};
static const struct journal_names names = {
    LABEL_PAIRS(labels),  .exporters = exporters, .exporter_count = 2,
    .policies = policies, .policy_count = 4,      .config_hash = "0123abcd",
};

static void names_come_back(void)
{
    struct names_read n;

    buf_clear(&out);
    CHECK(names_write(&out, &names));
    CHECK(names_read(buf_slice(&out), &n) == ERR_OK);
    CHECK(n.label_count == 3 && n.exporter_count == 2 && n.policy_count == 4);
    CHECK(!strcmp(n.labels[1].policy, "keep_errors") && !strcmp(n.labels[1].reason, "error"));
    CHECK(!strcmp(n.labels[0].reason, "") && !strcmp(n.labels[2].reason, "over \"2s\""));
    CHECK(!strcmp(n.exporters[0], "xray") && !strcmp(n.exporters[1], "archive"));
    CHECK(!strcmp(n.policies[3], "rare") && !strcmp(n.config_hash, "0123abcd"));
    names_free(&n);
    names_free(&n);
}

static void names_that_are_cut_or_count_too_many_are_refused(void)
{
    struct names_read n;

    buf_clear(&out);
    CHECK(names_write(&out, &names));
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *copy = malloc(len ? len : 1);

        memcpy(copy, out.data, len);
        CHECK(names_read(slice_make(copy, len), &n) == ERR_PARSE);
        CHECK(!n.text && !n.labels);
        free(copy);
    }
    for (size_t byte = 0; byte < 8; byte++) {
        out.data[byte] ^= 0x80;
        CHECK(names_read(buf_slice(&out), &n) == ERR_PARSE);
        out.data[byte] ^= 0x80;
    }
    CHECK(names_read(buf_slice(&out), &n) == ERR_OK);
    names_free(&n);
}

int main(void)
{
    buf_init(&out, 1 << 20, NULL);
    RUN(an_entry_comes_back_as_it_was_written);
    RUN(what_passes_the_bounds_is_cut);
    RUN(without_room_nothing_is_appended);
    RUN(a_cut_entry_is_not_read);
    RUN(counts_that_do_not_fit_are_damage);
    RUN(a_longer_entry_of_later_times_is_read);
    RUN(names_come_back);
    RUN(names_that_are_cut_or_count_too_many_are_refused);
    buf_fini(&out);
    return DONE();
}
