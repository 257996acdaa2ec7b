/* The journal with files, on a disk in memory: what is there again after each kind of end. */
#include "base/fake_disk.h"
#include "check.h"
#include "journals.h"

#include <string.h>

enum { SEGMENT = 64 << 10, LABELS = 4 };

static struct memory memory;
static struct fake_clock fake;
static struct fake_disk disk;

/* ---- names ---- */

static size_t count_labels(void *arg)
{
    (void)arg;
    return LABELS;
}

static void label(void *arg, uint16_t number, const char **policy, const char **reason)
{
    static const char *const policies[LABELS] = {"other", "latency", "health", "random"};

    (void)arg;
    *policy = policies[number];
    *reason = "because";
}

static uint16_t intern(void *arg, const char *policy, const char *reason)
{
    (void)arg, (void)reason;
    for (uint16_t i = 0; i < LABELS; i++) {
        const char *p, *r;

        label(NULL, i, &p, &r);
        if (strcmp(p, policy) == 0)
            return i;
    }
    return 0;
}

static const char *const exporters[] = {"one", "two"};
static const char *const policies[] = {"latency", "random"};
static const struct journal_names names = {.labels = count_labels,
                                           .label = label,
                                           .intern = intern,
                                           .exporters = exporters,
                                           .exporter_count = 2,
                                           .policies = policies,
                                           .policy_count = 2,
                                           .config_hash = "abc"};

/* ---- a journal and what it finds ---- */

static struct journal *open_journal(enum journal_ack ack)
{
    return journal_made(&(struct journal_config){.workers = 1,
                                                 .exporters = 2,
                                                 .segment_bytes = SEGMENT,
                                                 .memory = &memory,
                                                 .clock = &fake.clock,
                                                 .ack = ack,
                                                 .disk = &disk.disk,
                                                 .path = "/j",
                                                 .file_bytes = 4 * SEGMENT,
                                                 .max_bytes = 64 * SEGMENT,
                                                 .wait_ns = 10 * NS_PER_S,
                                                 .decision_cache = 1000,
                                                 .salt_seed = 7,
                                                 .names = &names});
}

struct found {
    struct journal *journal;
    struct journal_recovered counts;
    unsigned frames, decisions;
    char bodies[64]; /* the first byte of each frame */
    frame_id ids[64];
    bool has_source[64];
    struct decision_record decided[64];
};

static void on_decision(void *arg, const struct decision_record *d)
{
    struct found *f = arg;

    if (f->decisions < 64)
        f->decided[f->decisions] = *d;
    f->decisions++;
}

/* The trace id of a frame is its first byte, sixteen times. */
static uint32_t on_frame(void *arg, const struct recovered_frame *frame)
{
    struct found *f = arg;
    uint8_t id[16];

    memset(id, frame->body.data[0], sizeof(id));
    f->bodies[f->frames] = (char)frame->body.data[0];
    f->ids[f->frames] = frame->frame;
    f->has_source[f->frames] = recovery_has_source(f->journal, id, frame->source);
    f->frames++;
    for (unsigned i = 0; i < f->decisions && i < 64; i++)
        if (memcmp(f->decided[i].trace_id, id, sizeof(id)) == 0)
            return 0;
    return frame->items;
}

static struct journal *recover(enum journal_ack ack, struct found *f)
{
    struct journal *j = open_journal(ack);
    struct recovery to = {f, on_decision, on_frame};
    struct err_info info;

    *f = (struct found){.journal = j};
    CHECK(journal_recover(j, &to, fake.now, &f->counts, &info) == ERR_OK);
    return j;
}

static frame_id write_frame(struct journal *j, char fill, size_t len)
{
    struct journal_writer *w = journal_writer(j, 0, NULL);
    uint8_t *at = journal_stage(w, len);
    frame_id frame;

    for (int i = 0; !at && i < 10; i++) {
        journal_step(j, fake.now);
        at = journal_stage(w, len);
    }
    CHECK(at);
    memset(at, fill, len);
    frame = journal_commit(w, len, 1, SIGNAL_TRACES, fake.now);
    journal_submit(w);
    return frame;
}

static void decide(struct journal *j, frame_id frame, char fill, bool keep, uint64_t mask)
{
    struct journal_writer *w = journal_writer(j, 0, NULL);
    uint64_t source = journal_source(j, frame), sequence;
    struct decision_details details = {.sources = &source, .source_count = 1};
    struct decision_record d = {.keep = keep,
                                .label = keep ? 1 : 2,
                                .spans = 1,
                                .unix_ns = fake.unix_now,
                                .exporters = keep ? mask : 0,
                                .payload_spans = keep};
    struct buf payload;

    memset(d.trace_id, fill, sizeof(d.trace_id));
    buf_init(&payload, 1024, NULL);
    buf_append(&payload, &fill, 1);
    sequence = journal_decide(w, &d, &details, keep ? &payload : NULL);
    buf_fini(&payload);
    CHECK(sequence > 0);
    for (int i = 0; i < 4 && journal_decided(w) < sequence; i++) {
        uint64_t due = journal_step(j, fake.now);

        if (due != NEVER_NS && due > fake.now && journal_decided(w) < sequence)
            fake_clock_advance(&fake, due - fake.now);
    }
    CHECK(journal_decided(w) == sequence);
    journal_release(w, frame, 1);
}

static void begin(void)
{
    memory_init(&memory, 64 << 20, 16 << 20);
    fake_clock_init(&fake, 100 * NS_PER_S, 1700000000 * NS_PER_S);
    fake_disk_init(&disk);
}

static void kill_journal(struct journal *j)
{
    struct fake_disk after;

    fake_disk_crash(&disk, CRASH_KILL, NULL, &after);
    journal_free(j);
    fake_disk_fini(&disk);
    disk = after;
}

static void end(struct journal *j)
{
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
    fake_disk_fini(&disk);
}

/* ---- tests ---- */

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

int main(void)
{
    RUN(a_disk_that_fails_is_seldom_asked_for_new_files);
    RUN(a_full_disk_sheds_then_decides_then_refuses_and_comes_back);
    RUN(a_frame_is_acknowledged_once_it_is_written);
    RUN(what_was_acknowledged_is_there_after_a_kill);
    RUN(what_was_found_after_a_kill_is_durable);
    RUN(decisions_and_the_outbox_are_there_too);
    RUN(exporters_go_on_where_they_were);
    RUN(nothing_is_left_after_an_orderly_end);
    RUN(segments_are_used_again_and_again);
    return DONE();
}
