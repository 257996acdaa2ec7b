/* The journal with files, on a disk in memory: what is there again after each kind of end. */
#include "journal/format.h"
#include "journal/restarts.h"

#include <fcntl.h>

static void a_frame_is_acknowledged_once_it_is_written(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct journal_writer *w = journal_writer(j, 0, NULL);

    journal_step(j, fake.now);
    write_frame(j, 'a', 100);
    CHECK(journal_acked(w) < journal_ticket(w));
    journal_step(j, fake.now);
    CHECK(journal_acked(w) == journal_ticket(w));
    end(j);
}

static void what_was_acknowledged_is_there_after_a_kill(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct found f;

    for (char c = 'a'; c < 'k'; c++) {
        fake_clock_advance(&fake, NS_PER_MS);
        write_frame(j, c, 20000);
        journal_step(j, fake.now);
    }
    kill_journal(j);
    j = recover(ACK_WRITTEN, &f);
    CHECK(f.frames == 10 && strcmp(f.bodies, "abcdefghij") == 0);
    CHECK(f.counts.damaged_frames == 0 && f.counts.items == 10);
    CHECK(journal_body(j, f.ids[3]).len == 20000 && journal_body(j, f.ids[3]).data[19999] == 'd');
    end(j);
}

/* A power cut soon after a kill: the second process knows what the first one had not synced. */
static void what_was_found_after_a_kill_is_durable(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct fake_disk after;
    struct found f;

    decide(j, write_frame(j, 'a', 100), 'a', true, 3);
    write_frame(j, 'b', 100);
    journal_step(j, fake.now);
    journal_free(j); /* the disk goes on: as it was, not synced */
    j = recover(ACK_FSYNC, &f);
    CHECK(f.frames == 2 && f.decisions == 1);
    fake_disk_crash(&disk, CRASH_POWER, NULL, &after);
    journal_free(j);
    fake_disk_fini(&disk);
    disk = after;
    j = recover(ACK_FSYNC, &f);
    CHECK(f.frames == 2 && f.decisions == 1);
    end(j);
}

static void decisions_and_the_outbox_are_there_too(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct outbox_item item;
    struct found f;
    frame_id a, b;

    a = write_frame(j, 'a', 100);
    b = write_frame(j, 'b', 100);
    write_frame(j, 'c', 100);
    journal_step(j, fake.now);
    decide(j, a, 'a', true, 3);
    decide(j, b, 'b', false, 0);
    kill_journal(j);
    j = recover(ACK_WRITTEN, &f);
    CHECK(f.decisions == 2 && f.decided[0].keep && f.decided[0].label == 1 &&
          f.decided[0].exporters == 3 && !f.decided[1].keep && f.decided[1].label == 2);
    CHECK(f.frames == 3 && f.has_source[0] && !f.has_source[2]);
    CHECK(outbox_read(j, outbox_acked(j, 0), &item) && item.payload.len == 1 &&
          item.payload.data[0] == 'a' && item.record.label == 1);
    CHECK(!outbox_read(j, item.next, &item));
    end(j);
}

/* Late spans may be in the frame of the first decision's, and a rescue sends what was dropped. */
static void late_decisions_on_the_same_frames_are_known_each(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct outbox_item item;
    struct found f;
    frame_id a, b;

    a = write_frame_of(j, 'a', 100, 3);
    b = write_frame_of(j, 'b', 100, 2);
    decide(j, a, 'a', true, 3);
    decide(j, b, 'b', false, 0);
    fake_clock_advance(&fake, NS_PER_MS);
    decide_late(j, a, 'a', 3);
    fake_clock_advance(&fake, NS_PER_MS);
    decide_late(j, a, 'a', 3);
    decide_late(j, b, 'b', 3);
    for (unsigned kill = 0; kill < 2; kill++) {
        kill_journal(j);
        j = recover(ACK_WRITTEN, &f);
        CHECK(f.decisions == 5 && f.counts.decisions == 5);
        CHECK(!f.decided[0].late && !f.decided[1].late);
        for (unsigned i = 2; i < 5; i++)
            CHECK(f.decided[i].late && f.decided[i].keep);
        CHECK(outbox_read(j, outbox_acked(j, 0), &item) && !item.record.late);
        for (unsigned i = 0; i < 3; i++)
            CHECK(outbox_read(j, item.next, &item) && item.record.late);
        CHECK(!outbox_read(j, item.next, &item));
    }
    end(j);
}

static void exporters_go_on_where_they_were(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct outbox_item item;
    struct found f;

    for (char c = 'a'; c < 'd'; c++)
        decide(j, write_frame(j, c, 100), c, true, 3);
    CHECK(outbox_read(j, outbox_acked(j, 0), &item));
    outbox_ack(j, 0, item.next);
    fake_clock_advance(&fake, NS_PER_S);
    journal_step(j, fake.now);
    kill_journal(j);
    j = recover(ACK_WRITTEN, &f);
    CHECK(outbox_read(j, outbox_acked(j, 0), &item) && item.payload.data[0] == 'b');
    CHECK(outbox_read(j, outbox_acked(j, 1), &item) && item.payload.data[0] == 'a');
    decide(j, write_frame(j, 'x', 100), 'x', true, 3);
    outbox_read(j, outbox_acked(j, 0), &item);
    CHECK(outbox_read(j, item.next, &item) && item.payload.data[0] == 'c');
    CHECK(outbox_read(j, item.next, &item) && item.payload.data[0] == 'x');
    CHECK(!outbox_read(j, item.next, &item));
    outbox_ack(j, 0, item.next);
    outbox_ack(j, 1, item.next);
    journal_step(j, fake.now);
    journal_finish(j, fake.now);
    end(j);
}

/* They don't move any more; the disk is asked less and less often, and they are written once it
 * can.
 */
static void positions_that_could_not_be_written_are_written_later(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct outbox_item item;
    struct rng rng;
    struct found f;
    struct journal_stats stats;

    for (char c = 'a'; c < 'c'; c++)
        decide(j, write_frame(j, c, 100), c, true, 3);
    journal_step(j, fake.now);
    rng_seed(&rng, 1);
    disk.faults = (struct fake_faults){&rng, 1, 1U << FAKE_CALL_WRITE, FAKE_EIO};
    CHECK(outbox_read(j, outbox_acked(j, 0), &item));
    outbox_ack(j, 0, item.next);
    for (unsigned i = 0; i < 6000; i++) { /* a minute */
        fake_clock_advance(&fake, 10 * NS_PER_MS);
        CHECK(journal_step(j, fake.now) <= fake.now + 2 * NS_PER_S);
    }
    journal_stats(j, &stats);
    CHECK(stats.write_errors >= 25 && stats.write_errors <= 40);
    disk.faults.chance = 0;
    fake_clock_advance(&fake, 2 * NS_PER_S);
    journal_step(j, fake.now);
    kill_journal(j);
    j = recover(ACK_WRITTEN, &f);
    CHECK(outbox_read(j, outbox_acked(j, 0), &item) && item.payload.data[0] == 'b');
    end(j);
}

static void nothing_is_left_after_an_orderly_end(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct outbox_item item;
    struct found f;

    decide(j, write_frame(j, 'a', 100), 'a', true, 3);
    outbox_read(j, outbox_acked(j, 0), &item);
    outbox_ack(j, 0, item.next);
    outbox_ack(j, 1, item.next);
    journal_step(j, fake.now);
    journal_finish(j, fake.now);
    kill_journal(j);
    j = recover(ACK_WRITTEN, &f);
    CHECK(f.frames == 0 && f.decisions == 1);
    CHECK(!outbox_read(j, outbox_acked(j, 0), &item));
    end(j);
}

static void segments_are_used_again_and_again(void)
{
    struct journal *j = (begin(), open_journal(ACK_FSYNC));
    struct journal_stats s;
    struct found f;

    for (int i = 0; i < 2000; i++) {
        fake_clock_advance(&fake, 10 * NS_PER_MS);
        decide(j, write_frame(j, 'a', 10000), 'a', i % 4 == 0, 1);
        outbox_ack(j, 0, UINT64_MAX >> 16);
        outbox_ack(j, 1, UINT64_MAX >> 16);
    }
    journal_stats(j, &s);
    CHECK(s.file_bytes <= 24 * SEGMENT && s.decisions_logged >= 1000);
    CHECK(s.syncs > 0 && s.write_errors == 0);
    kill_journal(j);
    j = recover(ACK_FSYNC, &f);
    CHECK(f.frames <= 7 && f.counts.damaged_frames == 0);
    end(j);
}

/* Until the journal refuses; returns how many frames it took. */
static unsigned fill(struct journal *j, frame_id *frames, unsigned max)
{
    struct journal_writer *w = journal_writer(j, 0, NULL);
    unsigned n = 0;

    while (n < max && !journal_is_refusing(j)) {
        uint8_t *at = journal_stage(w, 30000);

        for (int i = 0; !at && i < 3; i++) {
            journal_step(j, fake.now);
            at = journal_stage(w, 30000);
        }
        if (!at)
            break;
        memset(at, 'a', 30000);
        frames[n++] = journal_commit(w, 30000, 1, SIGNAL_TRACES, fake.now);
        journal_submit(w);
        journal_step(j, fake.now);
    }
    return n;
}

static void a_full_disk_sheds_then_decides_then_refuses_and_comes_back(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    enum journal_pressure seen[3] = {PRESSURE_NONE};
    static frame_id frames[400];
    unsigned n = 0, more, kinds = 0;

    /* Records that no exporter acknowledges fill a good quarter. */
    CHECK(outbox_shed_to(j) == 0);
    for (int i = 0; i < 18; i++) {
        struct buf payload;
        uint8_t zeros[SEGMENT / 2 + 9000] = {0};

        buf_init(&payload, sizeof(zeros), NULL);
        buf_append(&payload, zeros, sizeof(zeros));
        CHECK(journal_decide(journal_writer(j, 0, NULL),
                             &(struct decision_record){
                                 .keep = true, .spans = 1, .exporters = 1, .payload_spans = 1},
                             &(struct decision_details){0}, &payload) > 0);
        buf_fini(&payload);
        fake_clock_advance(&fake, 10 * NS_PER_MS); /* decisions gather */
        journal_step(j, fake.now);
    }
    while (n < 400 && (more = fill(j, frames + n, 1)) > 0) {
        enum journal_pressure now = journal_pressure(j);

        n += more;
        if (kinds == 0 || seen[kinds - 1] != now) {
            CHECK(kinds < 3);
            seen[kinds++] = now;
        }
    }
    CHECK(kinds == 3 && seen[0] == PRESSURE_NONE && seen[1] == PRESSURE_OUTBOX &&
          seen[2] == PRESSURE_EARLY);
    CHECK(journal_is_refusing(j) && outbox_shed_to(j) > outbox_begin(j));
    for (unsigned i = 0; i < n; i++)
        journal_release(journal_writer(j, 0, NULL), frames[i], 1);
    fake_clock_advance(&fake, NS_PER_S);
    journal_step(j, fake.now);
    journal_step(j, fake.now);
    CHECK(!journal_is_refusing(j) && journal_pressure(j) == PRESSURE_NONE);
    write_frame(j, 'b', 100);
    end(j);
}

/* rm -rf of the folder of a program that runs: what it wrote then would be found by nobody. */
static void files_that_were_removed_are_noticed_and_nothing_is_taken_any_more(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));

    write_frame(j, 'a', 100);
    fake_clock_advance(&fake, 30 * NS_PER_S);
    journal_step(j, fake.now);
    CHECK(!journal_is_refusing(j));
    CHECK(disk.disk.unlink(&disk.disk, "/j/segments-00000001", NULL) == ERR_OK);
    fake_clock_advance(&fake, 11 * NS_PER_S);
    journal_step(j, fake.now);
    CHECK(journal_is_refusing(j));
    end(j);
}

static void a_disk_that_fails_is_seldom_asked_for_new_files(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct journal_stats stats;
    uint64_t calls, bytes;
    struct rng rng;

    rng_seed(&rng, 1);
    journal_stats(j, &stats);
    bytes = stats.file_bytes;
    calls = disk.calls;
    disk.faults = (struct fake_faults){&rng, 1, 1U << FAKE_CALL_WRITE, FAKE_EIO};
    write_frame(j, 'a', 100);
    for (int i = 0; i < 10000; i++) {
        fake_clock_advance(&fake, NS_PER_MS);
        journal_step(j, fake.now);
    }
    CHECK(disk.calls > calls && disk.calls - calls < 1000);
    disk.faults.chance = 0;
    for (int i = 0; i < 1000; i++) {
        fake_clock_advance(&fake, NS_PER_MS);
        journal_step(j, fake.now);
    }
    journal_stats(j, &stats);
    CHECK(stats.file_bytes > bytes);
    end(j);
}

/* Flips a byte in the body of the first frame with items in that region; false: there is none. */
static bool damage_frame(const char *path, int fd, uint64_t region)
{
    struct frame_header header;
    struct err_info info;
    size_t got;

    for (uint64_t at = region + FORMAT_PAGE; at < region + SEGMENT; at += 8) {
        if (disk.disk.pread(&disk.disk, fd, &header, sizeof(header), at, &got, &info) != ERR_OK)
            return false;
        if (header.magic == FRAME_MAGIC && header.items > 0)
            return fake_disk_damage(
                &disk, path,
                &(struct fake_damage){FAKE_DAMAGE_FLIP, at + sizeof(header) + 8, 1, 1});
    }
    return false;
}

/* In the first file, each live region of that use; how many there are. */
static unsigned damage_use(enum segment_use use)
{
    const char *path = "/j/segments-00000001";
    struct segment_header header;
    struct err_info info;
    unsigned found = 0;
    size_t got;
    int fd;

    CHECK(disk.disk.open(&disk.disk, path, O_RDONLY, 0, &fd, &info) == ERR_OK);
    for (uint64_t at = 0; at < (uint64_t)4 * SEGMENT; at += SEGMENT) {
        CHECK(disk.disk.pread(&disk.disk, fd, &header, sizeof(header), at, &got, &info) == ERR_OK);
        if (header.use == use && header.state == SEGMENT_LIVE)
            found += damage_frame(path, fd, at);
    }
    disk.disk.close(&disk.disk, fd);
    return found;
}

/* Each start reads the log of decisions, as long as they are remembered. */
static void damage_in_the_log_of_decisions_is_not_counted_as_lost_spans(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct found f;

    decide(j, write_frame(j, 'a', 100), 'a', false, 0);
    decide(j, write_frame(j, 'b', 100), 'b', false, 0);
    for (int i = 0; i < 10; i++) {
        fake_clock_advance(&fake, NS_PER_S);
        journal_step(j, fake.now);
    }
    kill_journal(j);
    CHECK(damage_use(USE_DECISIONS) == 1);
    j = recover(ACK_WRITTEN, &f);
    CHECK(f.counts.damaged_frames >= 1 && f.counts.damaged_items == 0);
    end(j);
}

static void write_more(struct journal *j)
{
    struct journal_writer *w = journal_writer(j, 0, NULL);
    uint8_t *at = journal_stage(w, 30000);

    if (at) {
        memset(at, 'a', 30000);
        (void)journal_commit(w, 30000, 1, SIGNAL_TRACES, fake.now);
        journal_submit(w);
    }
    fake_clock_advance(&fake, NS_PER_MS);
    journal_step(j, fake.now);
}

/* Nothing is decided while something cannot be written, so that nothing else would make room. */
static void what_a_failed_file_held_finds_a_place_on_a_full_disk(void)
{
    struct journal *j = (begin(), open_journal(ACK_WRITTEN));
    struct journal_writer *w = journal_writer(j, 0, NULL);
    struct rng rng;

    rng_seed(&rng, 1);
    for (int i = 0; i < 1000 && !journal_is_refusing(j); i++)
        write_more(j);
    CHECK(journal_is_refusing(j) && journal_acked(w) == journal_ticket(w));
    write_frame(j, 'b', 100);
    disk.faults = (struct fake_faults){&rng, 1, 1U << FAKE_CALL_WRITE, FAKE_EIO};
    journal_step(j, fake.now);
    CHECK(journal_acked(w) < journal_ticket(w));
    disk.faults.chance = 0;
    for (int i = 0; i < 15; i++) /* new frames take what room there is before it is tried again */
        write_more(j);
    for (int i = 0; i < 10; i++) {
        fake_clock_advance(&fake, NS_PER_S);
        journal_step(j, fake.now);
    }
    CHECK(journal_acked(w) == journal_ticket(w));
    end(j);
}

int main(void)
{
    RUN(damage_in_the_log_of_decisions_is_not_counted_as_lost_spans);
    RUN(what_a_failed_file_held_finds_a_place_on_a_full_disk);
    RUN(files_that_were_removed_are_noticed_and_nothing_is_taken_any_more);
    RUN(a_disk_that_fails_is_seldom_asked_for_new_files);
    RUN(a_full_disk_sheds_then_decides_then_refuses_and_comes_back);
    RUN(a_frame_is_acknowledged_once_it_is_written);
    RUN(what_was_acknowledged_is_there_after_a_kill);
    RUN(what_was_found_after_a_kill_is_durable);
    RUN(decisions_and_the_outbox_are_there_too);
    RUN(late_decisions_on_the_same_frames_are_known_each);
    RUN(exporters_go_on_where_they_were);
    RUN(positions_that_could_not_be_written_are_written_later);
    RUN(nothing_is_left_after_an_orderly_end);
    RUN(segments_are_used_again_and_again);
    return DONE();
}
