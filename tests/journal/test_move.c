/* Spans that move out of a thin segment: which segments those are, what a copy is called, and which
 * of original and copies counts after a kill. */
#include "restarts.h"

enum { BODY = 20000, ITEMS = 10 };

/* Three frames fill a segment. */
static void fill_segment(struct journal *j, frame_id *frames, char first)
{
    for (int i = 0; i < 3; i++)
        frames[i] = write_frame_of(j, (char)(first + i), BODY, ITEMS);
}

static bool may_move(struct journal *j, frame_id frame)
{
    struct journal_writer *w = journal_writer(j, 0, NULL);
    bool may;

    journal_read_begin(w);
    may = journal_may_move(w, frame);
    journal_read_end(w);
    return may;
}

/* Copies one item, which was at `place` of `from`, to 5. */
static frame_id copy_item(struct journal *j, frame_id from, char fill, uint32_t place)
{
    struct journal_writer *w = journal_writer(j, 0, NULL);
    const struct moved_span span = {place, 5};
    uint8_t *at = journal_stage_move(w, 100, 1);
    frame_id to;

    if (!at) {
        journal_step(j, fake.now);
        at = journal_stage_move(w, 100, 1);
    }
    if (!at)
        abort();
    memset(at, fill, 100);
    to = journal_commit_move(w, from, 100, &span, 1, fake.now);
    journal_submit(w);
    return to;
}

static void step(struct journal *j, uint64_t ns)
{
    fake_clock_advance(&fake, ns);
    journal_step(j, fake.now);
}

static uint64_t pinned(const struct journal *j)
{
    struct journal_stats stats;

    journal_stats(j, &stats);
    return stats.pinned_bytes;
}

static void a_segment_is_thin_when_less_than_a_quarter_of_it_is_alive(void)
{
    struct journal_writer *w;
    struct journal *j;
    frame_id frames[15];
    uint64_t before;

    begin();
    j = open_journal(ACK_MEMORY);
    w = journal_writer(j, 0, NULL);
    for (int i = 0; i < 5; i++)
        fill_segment(j, frames + 3 * i, 'a');
    before = journal_thinned(j);
    for (int i = 0; i < 3; i++) { /* 27 of 30 are dead, in three segments of five */
        journal_release(w, frames[3 * i], ITEMS);
        journal_release(w, frames[3 * i + 1], ITEMS);
        if (i < 2)
            journal_release(w, frames[3 * i + 2], ITEMS - 3);
    }
    step(j, NS_PER_S);
    CHECK(journal_thinned(j) == before + 1);
    CHECK(may_move(j, frames[2]) && may_move(j, frames[5]));
    CHECK(!may_move(j, frames[8]) && !may_move(j, frames[11]));
    step(j, 900 * NS_PER_MS);
    CHECK(journal_thinned(j) == before + 1); /* it was asked */
    step(j, 200 * NS_PER_MS);
    CHECK(journal_thinned(j) == before + 2);
    end(j);
}

/* Nothing is gained by one segment for another. */
static void little_that_is_dead_moves_nothing(void)
{
    struct journal_writer *w;
    frame_id frames[30];
    struct journal *j;

    begin();
    j = open_journal(ACK_MEMORY);
    w = journal_writer(j, 0, NULL);
    for (int i = 0; i < 10; i++)
        fill_segment(j, frames + 3 * i, 'a');
    journal_release(w, frames[0], ITEMS);
    journal_release(w, frames[1], ITEMS);
    journal_release(w, frames[2], ITEMS - 1);
    step(j, NS_PER_S);
    CHECK(journal_thinned(j) == 0 && !may_move(j, frames[2]));
    end(j);
}

static void a_copy_has_the_name_of_the_original_and_holds_nothing_of_it(void)
{
    struct journal_writer *w;
    frame_id frames[4], copy, again;
    struct journal *j;

    begin();
    j = open_journal(ACK_MEMORY);
    w = journal_writer(j, 0, NULL);
    fill_segment(j, frames, 'a');
    frames[3] = write_frame(j, 'n', BODY); /* the segment is full */
    copy = copy_item(j, frames[0], 'c', 77);
    again = copy_item(j, copy, 'd', 5);
    CHECK(copy != again && journal_body(j, copy).data[99] == 'c' &&
          journal_body(j, copy).len == 100);
    CHECK(journal_body(j, again).data[0] == 'd');
    CHECK(journal_source(j, copy) == journal_source(j, frames[0]));
    CHECK(journal_source(j, again) == journal_source(j, frames[0]));
    CHECK(journal_source(j, frames[1]) != journal_source(j, frames[0]));
    CHECK(journal_ticket(w) <= journal_acked(w));
    for (int i = 0; i < 3; i++)
        journal_release(w, frames[i], ITEMS);
    journal_release(w, frames[3], 1);
    journal_release(w, copy, 1);
    step(j, NS_PER_S);
    CHECK(journal_body(j, again).data[99] == 'd' && pinned(j) == SEGMENT);
    end(j);
}

/* What a kill leaves: frames, by the first byte of their bodies. */
static struct journal *kill_and_recover(struct journal *j, struct found *f)
{
    kill_journal(j);
    return recover(ACK_WRITTEN, f);
}

static bool has_body(const struct found *f, char first)
{
    return memchr(f->bodies, first, f->frames) != NULL;
}

static void release_all(struct journal *j, const frame_id *frames)
{
    for (int i = 0; i < 3; i++)
        journal_release(journal_writer(j, 0, NULL), frames[i], ITEMS);
    step(j, NS_PER_MS);
}

/* A copy that did not count stays in its segment because of X, and counts when the original is free
 * by later copies: then the same item is there twice. */
static void a_copy_counts_when_the_original_is_free_and_once(void)
{
    struct journal_writer *w;
    frame_id gone[3], frames[3];
    unsigned first = 0;
    struct journal *j;
    struct found f;

    begin();
    j = recover(ACK_WRITTEN, &f);
    w = journal_writer(j, 0, NULL);
    fill_segment(j, gone, 'x');
    fill_segment(j, frames, 'a');
    write_frame(j, 'n', BODY);
    step(j, NS_PER_MS);
    copy_item(j, gone[0], 'X', 1);
    copy_item(j, frames[0], 'A', 1);
    copy_item(j, frames[1], 'B', 1);
    step(j, NS_PER_MS);
    CHECK(journal_acked(w) == journal_ticket(w));
    release_all(j, gone);
    j = kill_and_recover(j, &f);
    CHECK(f.frames == 5 && has_body(&f, 'a') && has_body(&f, 'X') && !has_body(&f, 'A'));

    frames[0] = f.ids[strchr(f.bodies, 'a') - f.bodies];
    frames[1] = f.ids[strchr(f.bodies, 'b') - f.bodies];
    frames[2] = f.ids[strchr(f.bodies, 'c') - f.bodies];
    copy_item(j, frames[0], 'Z', 2);
    copy_item(j, frames[0], 'A', 1);
    step(j, NS_PER_MS);
    release_all(j, frames);
    j = kill_and_recover(j, &f);
    CHECK(f.frames == 6 && !has_body(&f, 'a') && has_body(&f, 'Z') && has_body(&f, 'B'));
    for (unsigned i = 0; i < f.frames; i++)
        first += f.is_first[i];
    CHECK(first == 5 && f.counts.damaged_frames == 0);
    end(j);
}

static void a_copy_that_is_not_written_is_not_acknowledged(void)
{
    struct journal_writer *w;
    frame_id frames[4];
    struct journal *j;
    struct found f;
    struct rng rng;

    begin();
    rng_seed(&rng, 1);
    j = recover(ACK_WRITTEN, &f);
    w = journal_writer(j, 0, NULL);
    fill_segment(j, frames, 'a');
    frames[3] = write_frame(j, 'n', BODY);
    step(j, NS_PER_MS);
    disk.faults = (struct fake_faults){
        .rng = &rng, .chance = 1, .calls = 1U << FAKE_CALL_WRITE, .errors = FAKE_EIO};
    copy_item(j, frames[0], 'A', 1);
    step(j, NS_PER_S);
    CHECK(journal_acked(w) < journal_ticket(w));
    disk.faults.chance = 0;
    step(j, NS_PER_S);
    CHECK(journal_acked(w) == journal_ticket(w));
    end(j);
}

int main(void)
{
    RUN(a_segment_is_thin_when_less_than_a_quarter_of_it_is_alive);
    RUN(little_that_is_dead_moves_nothing);
    RUN(a_copy_has_the_name_of_the_original_and_holds_nothing_of_it);
    RUN(a_copy_counts_when_the_original_is_free_and_once);
    RUN(a_copy_that_is_not_written_is_not_acknowledged);
    return DONE();
}
