/* A segment of the outbox that is on disk more than once, each time with other holes: all that one
 * of the copies has is there, and stays when they become one. */
#include "journal/regions.h"

enum { KEEPS = 4 };

/* Live regions of the outbox; *any is the last of them, *spare one that is free. */
static unsigned live_outboxes(unsigned *any, unsigned *spare)
{
    struct segment_header h;
    unsigned count = 0;

    for (unsigned i = 0; i < REGIONS; i++) {
        if (read_region(i, &h, sizeof(h)) != ERR_OK)
            continue;
        if (h.state == SEGMENT_IS_FREE)
            *spare = i;
        if (h.state != SEGMENT_LIVE || h.use != USE_OUTBOX)
            continue;
        *any = i;
        count++;
    }
    return count;
}

/* The n-th keep of a segment is not there. */
static void make_hole(uint8_t *bytes, unsigned n)
{
    struct frame_header h;

    for (size_t at = FORMAT_PAGE; at + sizeof(h) <= SEGMENT; at += FRAME_ALIGN) {
        memcpy(&h, bytes + at, sizeof(h));
        if (h.magic == FRAME_MAGIC && h.signal == FRAME_KEEP && n-- == 0)
            memset(bytes + at, 0, sizeof(h) + 32);
    }
}

/* Four keeps, whose frames are free already; killed. The outbox is there `copies` times, and each
 * has a hole that others have not. */
static void leave_copies(enum journal_ack ack, unsigned copies)
{
    struct journal *j = (begin(), open_journal(ack));
    unsigned original = 0, spare = 0;
    uint8_t all[SEGMENT], copy[SEGMENT];

    for (char c = 'a'; c < 'a' + KEEPS; c++) {
        decide(j, write_frame(j, c, 100), c, true, 3);
        fake_clock_advance(&fake, NS_PER_MS);
    }
    kill_journal(j);
    CHECK(live_outboxes(&original, &spare) == 1);
    CHECK(read_region(original, all, SEGMENT) == ERR_OK);
    for (unsigned i = 0; i < copies; i++) {
        memcpy(copy, all, SEGMENT);
        make_hole(copy, i);
        if (i > 0)
            live_outboxes(&original, &spare);
        write_region(i == 0 ? original : spare, copy, SEGMENT);
    }
    CHECK(live_outboxes(&original, &spare) == copies);
}

static void check_all_are_queued(struct journal *j)
{
    uint64_t at = outbox_acked(j, 0);
    struct outbox_item item;

    for (char c = 'a'; c < 'a' + KEEPS; c++, at = item.next)
        if (outbox_look(j, at, &item) != OUTBOX_HERE || item.payload.len != 1 ||
            item.payload.data[0] != c) {
            CHECK(!"a keep is missing");
            return;
        }
    CHECK(outbox_look(j, at, &item) == OUTBOX_END);
}

/* One is left, or (of files that are not trusted any more) all have the same. */
static void check_is_one(enum journal_ack ack, bool is_trusted)
{
    unsigned any = 0, spare = 0;
    struct journal *j;
    struct found f;

    CHECK(!is_trusted || live_outboxes(&any, &spare) == 1);
    j = recover(ack, &f);
    CHECK(f.counts.damaged_frames == 0);
    check_all_are_queued(j);
    end(j);
}

static void become_one(enum journal_ack ack, unsigned copies)
{
    struct journal *j;
    struct found f;

    leave_copies(ack, copies);
    j = recover(ack, &f);
    CHECK(f.counts.damaged_frames == 0 && f.counts.damaged_items == 0);
    check_all_are_queued(j);
    kill_journal(j);
    check_is_one(ack, true);
}

static void the_copies_of_a_segment_become_one_that_has_all(void)
{
    for (unsigned copies = 2; copies < 5; copies++) {
        become_one(ACK_WRITTEN, copies);
        become_one(ACK_FSYNC, copies);
    }
}

/* Until it can, all copies stay; afterwards they are one. */
static void a_disk_that_cannot_take_it_now_loses_nothing(enum journal_ack ack, unsigned calls,
                                                         unsigned errors)
{
    struct rng rng;
    struct fake_disk after;
    struct journal *j;
    struct found f;

    leave_copies(ack, 3);
    rng_seed(&rng, 1);
    j = open_journal(ack);
    disk.faults = (struct fake_faults){&rng, 1, calls, errors};
    f = (struct found){.journal = j};
    CHECK(journal_recover(j,
                          &(struct recovery){.arg = &f, .decision = on_decision, .frame = on_frame},
                          fake.now, &f.counts, NULL) == ERR_OK);
    check_all_are_queued(j);
    fake_disk_crash(&disk, CRASH_KILL, NULL, &after);
    disk.faults.chance = 0;
    for (unsigned i = 0; i < 20; i++) {
        fake_clock_advance(&fake, 100 * NS_PER_MS);
        journal_step(j, fake.now);
    }
    kill_journal(j);
    check_is_one(ack, errors == FAKE_ENOSPC);
    disk = after;
    j = recover(ack, &f);
    check_all_are_queued(j);
    end(j);
}

static void nothing_is_given_up_before_it_is_written_again(void)
{
    const unsigned write = 1U << FAKE_CALL_WRITE, sync = 1U << FAKE_CALL_SYNC;

    a_disk_that_cannot_take_it_now_loses_nothing(ACK_WRITTEN, write, FAKE_ENOSPC);
    a_disk_that_cannot_take_it_now_loses_nothing(ACK_WRITTEN, write, FAKE_EIO);
    a_disk_that_cannot_take_it_now_loses_nothing(ACK_FSYNC, write, FAKE_ENOSPC);
    a_disk_that_cannot_take_it_now_loses_nothing(ACK_FSYNC, write, FAKE_EIO);
    a_disk_that_cannot_take_it_now_loses_nothing(ACK_FSYNC, sync, FAKE_EIO);
}

int main(void)
{
    RUN(the_copies_of_a_segment_become_one_that_has_all);
    RUN(nothing_is_given_up_before_it_is_written_again);
    return DONE();
}
