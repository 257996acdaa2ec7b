/* The journal's worker side on virtual time, all in one thread. */
#include "check.h"
#include "journal/segments.h"
#include "journals.h"

#include <stdlib.h>

enum { SEGMENT = 4096 };

static struct memory memory;
static struct fake_clock fake;

static struct journal *journal_of(unsigned workers, unsigned exporters, size_t limit)
{
    memory_init(&memory, limit, 1);
    fake_clock_init(&fake, 0, 77 * NS_PER_S);
    return journal_made(&(struct journal_config){.workers = workers,
                                                 .exporters = exporters,
                                                 .segment_bytes = SEGMENT,
                                                 .memory = &memory,
                                                 .clock = &fake.clock});
}

static struct journal_stats stats_of(const struct journal *j)
{
    struct journal_stats s;

    journal_stats(j, &s);
    return s;
}

/* Stages, asking the journal once if it must, and fills with a byte. */
static frame_id write_frame(struct journal *j, struct journal_writer *w, size_t len, uint8_t fill,
                            uint32_t items)
{
    uint8_t *at = journal_stage(w, len);

    if (!at) {
        journal_step(j, 0);
        at = journal_stage(w, len);
    }
    if (!at)
        return 0;
    memset(at, fill, len);
    return journal_commit(w, len, items, SIGNAL_TRACES, 0);
}

static bool body_is(const struct journal *j, frame_id frame, size_t len, uint8_t fill)
{
    struct slice body = journal_body(j, frame);

    for (size_t i = 0; i < body.len; i++)
        if (body.data[i] != fill)
            return false;
    return body.len == len;
}

static void a_body_comes_back_by_its_frame(void)
{
    struct journal *j = journal_of(1, 1, 1 << 20);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    frame_id a, b;

    CHECK(journal_stage(w, 100) == NULL);  /* the journal thread has not had its turn */
    CHECK(journal_step(j, 0) < NS_PER_MS); /* one block is there, one more comes */
    CHECK(journal_step(j, NS_PER_S) == NEVER_NS);
    a = write_frame(j, w, 100, 'a', 3);
    b = write_frame(j, w, 50, 'b', 1);
    CHECK(a != 0 && b != 0 && a != b);
    CHECK(body_is(j, a, 100, 'a') && body_is(j, b, 50, 'b'));
    CHECK(stats_of(j).live_items == 4);
    journal_release(w, a, 2);
    journal_release(w, b, 1);
    CHECK(stats_of(j).live_items == 1 && body_is(j, a, 100, 'a'));
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
}

static void a_stage_that_is_not_committed_is_given_up(void)
{
    struct journal *j = journal_of(1, 1, 1 << 20);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    uint8_t *first, *second;

    journal_step(j, 0);
    first = journal_stage(w, 1000);
    second = journal_stage(w, 2000);
    CHECK(first && first == second);
    memset(second, 'x', 10);
    CHECK(body_is(j, journal_commit(w, 10, 1, SIGNAL_TRACES, 0), 10, 'x'));
    journal_free(j);
}

/* A frame is written with its padding, in which longer bytes may have been staged. */
static void nothing_staged_before_is_behind_a_body(void)
{
    struct journal *j = journal_of(1, 1, 1 << 20);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    struct slice body;
    uint8_t *at;

    journal_step(j, 0);
    at = journal_stage(w, 2000);
    memset(at, 'x', 2000);
    at = journal_stage(w, 10);
    memset(at, 'y', 10);
    body = journal_body(j, journal_commit(w, 10, 1, SIGNAL_TRACES, 0));
    CHECK(body.len == 10 && body.data == at);
    for (size_t i = 10; (uintptr_t)(body.data + i) % FRAME_ALIGN != 0; i++)
        CHECK(body.data[i] == 0);
    CHECK((uintptr_t)(body.data + 10) % FRAME_ALIGN != 0);
    journal_free(j);
}

static void the_header_says_when_and_how_many(void)
{
    struct journal *j = journal_of(1, 1, 1 << 20);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    const struct frame_header *header;

    journal_step(j, 0);
    CHECK(journal_stage(w, 5) != NULL);
    header =
        (const struct frame_header *)journal_body(j, journal_commit(w, 5, 9, SIGNAL_TRACES, 123))
            .data -
        1;
    CHECK(header->items == 9 && header->boot_ns == 123 && header->unix_ns == 77 * NS_PER_S);
    CHECK(header->stored_len == 5 && header->decoded_len == 5 && header->signal == SIGNAL_TRACES);
    CHECK(header->sequence == 1 && header->tlv_len == 0 && header->encoding == 0);
    journal_free(j);
}

static void a_segment_is_reused_when_its_last_reference_is_gone(void)
{
    struct journal *j = journal_of(1, 1, 1 << 20);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    uint64_t held = 0;

    for (int i = 0; i < 1000; i++) {
        frame_id frame = write_frame(j, w, 1000, (uint8_t)i, 2);

        CHECK(body_is(j, frame, 1000, (uint8_t)i));
        journal_release(w, frame, 2);
        if (i == 10)
            held = memory_used(&memory);
    }
    CHECK(memory_used(&memory) <= held + SEGMENT && held <= 5 * SEGMENT);
    CHECK(stats_of(j).live_items == 0);
    journal_free(j);
}

static void one_reference_holds_its_segment_and_no_other(void)
{
    struct journal *j = journal_of(1, 1, 1 << 20);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    frame_id kept = write_frame(j, w, 1000, 'k', 2);

    journal_release(w, kept, 1);
    for (int i = 0; i < 100; i++)
        journal_release(w, write_frame(j, w, 1000, 'o', 1), 1);
    CHECK(body_is(j, kept, 1000, 'k'));
    CHECK(stats_of(j).live_items == 1 && stats_of(j).live_bytes <= 2 * SEGMENT);
    journal_release(w, kept, 1);
    CHECK(stats_of(j).live_items == 0);
    journal_free(j);
}

static void a_large_body_gets_a_segment_of_its_own(void)
{
    struct journal *j = journal_of(1, 1, 1 << 22);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    frame_id large = write_frame(j, w, 100000, 'l', 1), small = write_frame(j, w, 10, 's', 1);

    CHECK(large && body_is(j, large, 100000, 'l') && body_is(j, small, 10, 's'));
    CHECK(stats_of(j).live_bytes < 100000 + 4 * SEGMENT + 100000 / 8);
    journal_release(w, large, 1);
    journal_step(j, 0);
    CHECK(stats_of(j).live_bytes == SEGMENT && stats_of(j).free_bytes > 100000);
    large = write_frame(j, w, 99000, 'm', 1); /* the free one fits */
    CHECK(body_is(j, large, 99000, 'm') && stats_of(j).free_bytes < 4 * SEGMENT);
    journal_release(w, large, 1);
    journal_step(j, 10 * NS_PER_S); /* dates it */
    journal_step(j, 20 * NS_PER_S);
    CHECK(stats_of(j).live_bytes + stats_of(j).free_bytes < 6 * SEGMENT);
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
}

static void a_large_stage_that_held_little_costs_little(void)
{
    struct journal *j = journal_of(1, 1, 1 << 22);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    uint8_t *at;
    frame_id frame;

    journal_step(j, 0);
    CHECK(journal_stage(w, 1 << 20) == NULL);
    journal_step(j, 0);
    at = journal_stage(w, 1 << 20);
    CHECK(at != NULL);
    memset(at, 's', 500);
    frame = journal_commit(w, 500, 1, SIGNAL_TRACES, 0);
    CHECK(body_is(j, frame, 500, 's') && stats_of(j).live_bytes == SEGMENT);
    at = journal_stage(w, 1 << 20); /* still there for the next one */
    CHECK(at != NULL);
    memset(at, 'm', 50000);
    frame = journal_commit(w, 50000, 1, SIGNAL_TRACES, 0);
    CHECK(body_is(j, frame, 50000, 'm') && stats_of(j).live_bytes < 50000 + 4 * SEGMENT);
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
}

static void an_unused_large_block_goes_back(void)
{
    struct journal *j = journal_of(1, 1, 1 << 22);
    struct journal_writer *w = journal_writer(j, 0, NULL);

    CHECK(journal_stage(w, 1 << 20) == NULL); /* asked for, then forgotten */
    for (int i = 0; i < 200; i++)
        journal_release(w, write_frame(j, w, 100, 's', 1), 1);
    journal_step(j, NS_PER_S);
    journal_step(j, 3 * NS_PER_S);
    CHECK(memory_used(&memory) < 1 << 17);
    journal_free(j);
}

static void without_memory_stage_waits_and_later_succeeds(void)
{
    struct journal *j = journal_of(1, 1, 4 * SEGMENT);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    frame_id frames[16], more;
    int n = 0;

    while (n < 16 && (frames[n] = write_frame(j, w, 3000, (uint8_t)n, 1)) != 0)
        n++;
    CHECK(n == 4 && memory_used(&memory) == 4 * SEGMENT);
    CHECK(journal_stage(w, 3000) == NULL && journal_stage(w, 1 << 16) == NULL);
    CHECK(journal_step(j, 5) < NS_PER_S); /* it looks again */
    for (int i = 0; i < n; i++)
        CHECK(body_is(j, frames[i], 3000, (uint8_t)i));
    journal_release(w, frames[0], 1);
    more = write_frame(j, w, 3000, 'n', 1);
    CHECK(more && body_is(j, more, 3000, 'n'));
    CHECK(journal_stage(w, 3000) == NULL);
    journal_step(j, 10);
    CHECK(journal_step(j, 20 * NS_PER_S) > 20010 * NS_PER_MS); /* nobody asks any more */
    CHECK(journal_stage(w, SIZE_MAX) == NULL && journal_stage(w, UINT32_MAX) == NULL);
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
}

static void what_was_not_needed_for_a_while_leaves_the_process(void)
{
    enum { FRAMES = 100 };
    struct journal *j = journal_of(1, 1, 1 << 22);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    frame_id frames[FRAMES];
    uint64_t now = 0;

    for (int i = 0; i < FRAMES; i++)
        frames[i] = write_frame(j, w, 3000, 'x', 1);
    for (int i = 0; i < FRAMES; i++)
        journal_release(w, frames[i], 1);
    journal_step(j, now);
    CHECK(stats_of(j).free_bytes > (FRAMES - 5) * SEGMENT);
    for (uint64_t due = journal_step(j, now); due != NEVER_NS; due = journal_step(j, now)) {
        CHECK(due > now);
        now = due;
    }
    CHECK(now >= 10 * NS_PER_S && now < 25 * NS_PER_S && stats_of(j).free_bytes <= 4 * SEGMENT);
    CHECK(memory_used(&memory) <= 5 * SEGMENT);
    journal_free(j);
}

static void free_segments_leave_at_once_when_memory_is_high(void)
{
    enum { FRAMES = 60 };
    struct journal *j = journal_of(1, 1, 1 << 20);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    frame_id frames[FRAMES];

    for (int i = 0; i < FRAMES; i++)
        frames[i] = write_frame(j, w, 3000, 'x', 1);
    for (int i = 0; i < FRAMES; i++)
        journal_release(w, frames[i], 1);
    memory.soft_limit = 1000;
    journal_step(j, 1);
    journal_step(j, 2);
    CHECK(memory_used(&memory) <= 9 * SEGMENT);
    CHECK(write_frame(j, w, 3000, 'y', 1) != 0);
    journal_free(j);
}

static void no_more_segments_are_given_out_than_a_frame_id_can_name(void)
{
    struct segments s;

    memory_init(&memory, 1 << 20, 1);
    segments_init(&s, SEGMENT, 2, &memory);
    CHECK(segments_take(&s, 1, SEGMENT_FRAMES, false) == 1);
    CHECK(segments_take(&s, 1, SEGMENT_OUTBOX, true) == 2);
    CHECK(segments_take(&s, 1, SEGMENT_FRAMES, false) == 3);
    CHECK(segments_take(&s, 1, SEGMENT_FRAMES, false) == 0);
    CHECK(segments_take(&s, 1, SEGMENT_OUTBOX, true) == 0);
    (void)segments_release(&s, 2, 1);
    segments_put(&s, segments_collect(&s));
    CHECK(segments_take(&s, 1, SEGMENT_FRAMES, false) == 2);
    segments_fini(&s);
    CHECK(memory_used(&memory) == 0);
}

static void workers_have_segments_of_their_own(void)
{
    struct journal *j = journal_of(2, 1, 1 << 20);
    struct journal_writer *a = journal_writer(j, 0, NULL), *b = journal_writer(j, 1, NULL);
    frame_id from_a = write_frame(j, a, 100, 'a', 2), from_b = write_frame(j, b, 100, 'b', 1);

    CHECK(body_is(j, from_a, 100, 'a') && body_is(j, from_b, 100, 'b'));
    journal_release(b, from_a, 1); /* anybody releases */
    journal_release(a, from_b, 1);
    CHECK(stats_of(j).live_items == 1);
    journal_release(b, from_a, 1);
    CHECK(stats_of(j).live_items == 0);
    journal_free(j);
}

static void idle_workers_hold_little(void)
{
    struct journal *j = journal_of(64, 1, 1 << 22);

    CHECK(journal_step(j, 0) == NEVER_NS);
    CHECK(memory_used(&memory) == 64 * SEGMENT);
    journal_free(j);
}

int main(void)
{
    RUN(a_body_comes_back_by_its_frame);
    RUN(a_stage_that_is_not_committed_is_given_up);
    RUN(nothing_staged_before_is_behind_a_body);
    RUN(the_header_says_when_and_how_many);
    RUN(a_segment_is_reused_when_its_last_reference_is_gone);
    RUN(one_reference_holds_its_segment_and_no_other);
    RUN(a_large_body_gets_a_segment_of_its_own);
    RUN(a_large_stage_that_held_little_costs_little);
    RUN(an_unused_large_block_goes_back);
    RUN(without_memory_stage_waits_and_later_succeeds);
    RUN(what_was_not_needed_for_a_while_leaves_the_process);
    RUN(free_segments_leave_at_once_when_memory_is_high);
    RUN(no_more_segments_are_given_out_than_a_frame_id_can_name);
    RUN(workers_have_segments_of_their_own);
    RUN(idle_workers_hold_little);
    return DONE();
}
