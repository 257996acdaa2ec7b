/* Rounds, at level fsync where nothing else is said: how many syncs they take, in which order what
 * they write gets durable, and when they begin. The disk takes a time to sync. */
#include "base/fake_disk.h"
#include "check.h"
#include "journals.h"

#include <string.h>

enum { SEGMENT = 64 << 10, WRITERS = 2 };
static const uint64_t sync_takes_ns = 300 * NS_PER_US;

static enum journal_ack level = ACK_FSYNC;
static size_t payload_bytes = 1;
static struct memory memory;
static struct fake_clock fake;
static struct fake_disk disk;
static struct journal *journal;
static struct journal_writer *writer[WRITERS];
static enum err (*fast_datasync)(struct disk *, int, struct err_info *);

static size_t no_labels(void *arg)
{
    (void)arg;
    return 1;
}

static void a_label(void *arg, uint16_t number, const char **policy, const char **reason)
{
    (void)arg, (void)number;
    *policy = *reason = "other";
}

static uint16_t intern(void *arg, const char *policy, const char *reason)
{
    (void)arg, (void)policy, (void)reason;
    return 0;
}

static const char *const exporters[] = {"one"};
static const struct journal_names names = {.labels = no_labels,
                                           .label = a_label,
                                           .intern = intern,
                                           .exporters = exporters,
                                           .exporter_count = 1,
                                           .config_hash = "abc"};

static enum err slow_datasync(struct disk *d, int fd, struct err_info *err)
{
    fake_clock_advance(&fake, sync_takes_ns);
    return fast_datasync(d, fd, err);
}

static struct journal *open_on(struct fake_disk *d)
{
    return journal_made(&(struct journal_config){.workers = WRITERS,
                                                 .exporters = 1,
                                                 .segment_bytes = SEGMENT,
                                                 .memory = &memory,
                                                 .clock = &fake.clock,
                                                 .ack = level,
                                                 .disk = &d->disk,
                                                 .path = "/j",
                                                 .file_bytes = 64 * SEGMENT,
                                                 .max_bytes = 64 * SEGMENT,
                                                 .wait_ns = 10 * NS_PER_S,
                                                 .decision_cache = 1000,
                                                 .salt_seed = 7,
                                                 .names = &names});
}

static void begin(void)
{
    memory_init(&memory, 64 << 20, 16 << 20);
    fake_clock_init(&fake, 100 * NS_PER_S, 1700000000 * NS_PER_S);
    fake_disk_init(&disk);
    fast_datasync = disk.disk.datasync;
    journal = open_on(&disk);
    disk.disk.datasync = slow_datasync;
    for (unsigned i = 0; i < WRITERS; i++)
        writer[i] = journal_writer(journal, i, NULL);
    journal_step(journal, fake.now); /* blocks */
}

static void end(void)
{
    journal_free(journal);
    CHECK(memory_used(&memory) == 0);
    fake_disk_fini(&disk);
}

static frame_id send(unsigned from, char fill)
{
    uint8_t *at = journal_stage(writer[from], 1000);
    frame_id frame;

    CHECK(at);
    memset(at, fill, 1000);
    frame = journal_commit(writer[from], 1000, 1, SIGNAL_TRACES, fake.now);
    journal_submit(writer[from]);
    return frame;
}

static bool is_answered(unsigned from)
{
    return journal_acked(writer[from]) == journal_ticket(writer[from]);
}

/* A keep: its frame's reference stays. */
static uint64_t decide(unsigned from, frame_id frame, char fill, enum signal_kind signal)
{
    uint64_t source = journal_source(journal, frame), sequence;
    struct decision_details details = {.sources = &source, .source_count = 1};
    struct decision_record d = {.keep = true,
                                .signal = (uint8_t)signal,
                                .spans = 1,
                                .unix_ns = fake.unix_now,
                                .exporters = 1,
                                .payload_spans = 1};
    struct buf payload;

    if (signal == SIGNAL_TRACES) /* others are passed on, and of no trace */
        memset(d.trace_id, fill, sizeof(d.trace_id));
    buf_init(&payload, payload_bytes, NULL);
    for (size_t i = 0; i < payload_bytes; i++)
        buf_append(&payload, &fill, 1);
    sequence = journal_decide(writer[from], &d, &details, &payload);
    buf_fini(&payload);
    CHECK(sequence > 0);
    return sequence;
}

static uint64_t step(void)
{
    return journal_step(journal, fake.now);
}

/* As the thread does, until nothing is due soon. */
static void steps(void)
{
    for (uint64_t due = step(); due <= fake.now + NS_PER_MS; due = step())
        if (due > fake.now)
            fake.now = due;
}

static uint64_t syncs(void)
{
    struct journal_stats s;

    journal_stats(journal, &s);
    return s.syncs;
}

static bool is_queued(const struct journal *j)
{
    struct outbox_item item;

    return outbox_read(j, outbox_acked(j, 0), &item);
}

/* ---- tests ---- */

static void a_round_with_all_there_is_takes_one_sync(void)
{
    uint64_t decided = 0, rounds = 0, before;

    for (begin(); decided < 40 && rounds < 1000; rounds++) {
        fake_clock_advance(&fake, 7 * NS_PER_MS); /* some rounds take decisions, some don't */
        before = syncs();
        for (unsigned i = 0; i < WRITERS; i++)
            decided = decide(i, send(i, 'a'), 'a', SIGNAL_TRACES);
        step();
        CHECK(syncs() == before + 1 && is_answered(0) && is_answered(1));
    }
    CHECK(decided == 40);
    CHECK(journal_decided(writer[0]) > 30);
    end();
}

static void a_decision_is_committed_by_the_round_after_the_one_that_takes_it(void)
{
    uint64_t sequence, before;

    begin();
    sequence = decide(0, send(0, 'a'), 'a', SIGNAL_TRACES);
    before = syncs();
    step();
    CHECK(is_answered(0) && journal_decided(writer[0]) < sequence && !is_queued(journal));
    CHECK(syncs() == before + 1);
    steps();
    CHECK(journal_decided(writer[0]) == sequence && is_queued(journal));
    CHECK(syncs() == before + 2);
    end();
}

static void decisions_gather(enum journal_ack at, uint64_t for_ns)
{
    uint64_t first, second;

    level = at;
    begin();
    first = decide(0, send(0, 'a'), 'a', SIGNAL_TRACES);
    steps();
    CHECK(journal_decided(writer[0]) == first);
    second = decide(0, send(0, 'b'), 'b', SIGNAL_TRACES);
    steps();
    CHECK(is_answered(0) && journal_decided(writer[0]) == first);
    fake_clock_advance(&fake, for_ns);
    steps();
    CHECK(journal_decided(writer[0]) == second);
    end();
    level = ACK_FSYNC;
}

static void decisions_gather_while_frames_do_not_wait(void)
{
    decisions_gather(ACK_WRITTEN, 10 * NS_PER_MS);
    decisions_gather(ACK_FSYNC, 50 * NS_PER_MS);
}

static void a_log_is_passed_on(enum journal_ack at, uint64_t syncs_more)
{
    uint64_t sequence, before;

    level = at;
    begin();
    decide(0, send(0, 'a'), 'a', SIGNAL_TRACES);
    steps();
    sequence = decide(0, send(0, 'b'), 'b', SIGNAL_LOGS);
    before = syncs();
    step();
    CHECK(journal_decided(writer[0]) == sequence && syncs() == before + syncs_more);
    end();
    level = ACK_FSYNC;
}

static void a_megabyte_is_decided(void)
{
    uint64_t sequence;

    begin();
    decide(0, send(0, 'a'), 'a', SIGNAL_TRACES);
    steps();
    payload_bytes = 50 << 10;
    for (int i = 0; i < 20; i++)
        decide(0, send(0, 'b'), 'b', SIGNAL_TRACES);
    steps();
    CHECK(is_answered(0) && journal_decided(writer[0]) == 1);
    sequence = decide(0, send(0, 'c'), 'c', SIGNAL_TRACES); /* that is more than 1 MiB */
    steps();
    CHECK(journal_decided(writer[0]) == sequence);
    payload_bytes = 1;
    end();
}

static void what_is_only_passed_on_and_what_is_large_does_not_gather(void)
{
    a_log_is_passed_on(ACK_WRITTEN, 0);
    a_log_is_passed_on(ACK_FSYNC, 1);
    a_megabyte_is_decided();
}

/* They have a place of their own on the way to the journal thread, which may be full. */
static void more_entries_than_there_is_a_place_for_are_taken_too(void)
{
    static uint64_t sources[1000];
    struct decision_details details = {.sources = sources, .source_count = 1000};
    uint64_t sequence = 0;

    begin();
    for (uint64_t round = 1; round <= 3 && !check_failures; round++) {
        for (int i = 0; i < 100; i++)
            sequence =
                journal_decide(writer[0], &(struct decision_record){.spans = 1}, &details, NULL);
        CHECK(sequence == round * 100);
        fake_clock_advance(&fake, NS_PER_S);
        steps();
        CHECK(journal_decided(writer[0]) == sequence);
    }
    end();
}

struct recovered_here {
    unsigned decisions;
};

static void on_decision(void *arg, const struct decision_record *d)
{
    (void)d;
    ((struct recovered_here *)arg)->decisions++;
}

static uint32_t on_frame(void *arg, const struct recovered_frame *frame)
{
    (void)arg, (void)frame;
    return 0;
}

/* Whatever a power cut leaves of what was not synced: where a decision is remembered, what it keeps
 * is queued. */
static void check_order(size_t operations, uint64_t seed)
{
    struct recovered_here found = {0};
    struct recovery to = {.arg = &found, .decision = on_decision, .frame = on_frame};
    struct journal_recovered counts;
    struct fake_disk after;
    struct err_info info;
    struct rng rng;
    struct journal *j;

    rng_seed(&rng, seed);
    fake_disk_state_at(&disk, operations, CRASH_POWER, &rng, &after);
    j = open_on(&after);
    CHECK(journal_recover(j, &to, fake.now, &counts, &info) == ERR_OK);
    CHECK(found.decisions == 0 || is_queued(j));
    journal_free(j);
    fake_disk_fini(&after);
}

static void no_record_is_durable_before_what_it_refers_to(void)
{
    size_t first;

    begin();
    fake_disk_record(&disk);
    first = fake_disk_operations(&disk);
    decide(0, send(0, 'a'), 'a', SIGNAL_TRACES);
    send(1, 'b');
    steps();
    CHECK(journal_decided(writer[0]) == 1);
    for (size_t n = first; n <= fake_disk_operations(&disk); n++)
        for (uint64_t seed = 1; seed <= 40 && !check_failures; seed++)
            check_order(n, seed);
    end();
}

/* Two senders that wait for their answers, one after the other: half a round each, at first. */
static void a_round_waits_for_the_senders_of_the_last_two(void)
{
    uint64_t due, before;

    begin();
    send(0, 'a');
    send(1, 'a');
    due = step();
    CHECK(is_answered(0) && is_answered(1));
    CHECK(due == fake.now + sync_takes_ns); /* as long as the sync took */
    before = syncs();
    send(0, 'b');
    CHECK(step() == due && !is_answered(0) && syncs() == before);
    send(1, 'b');
    step();
    CHECK(is_answered(0) && is_answered(1) && syncs() == before + 1);
    send(1, 'c');
    fake.now = step(); /* the other one has stopped */
    step();
    CHECK(is_answered(1) && syncs() == before + 2);
    end();
}

static void a_lone_sender_does_not_wait(void)
{
    uint64_t before;

    begin();
    before = syncs();
    for (int i = 0; i < 20; i++) {
        send(0, 'a');
        step();
        CHECK(is_answered(0));
    }
    CHECK(syncs() == before + 20);
    end();
}

static void run_what_decisions_do(void)
{
    RUN(a_decision_is_committed_by_the_round_after_the_one_that_takes_it);
    RUN(decisions_gather_while_frames_do_not_wait);
    RUN(what_is_only_passed_on_and_what_is_large_does_not_gather);
    RUN(more_entries_than_there_is_a_place_for_are_taken_too);
    RUN(no_record_is_durable_before_what_it_refers_to);
}

int main(void)
{
    RUN(a_round_with_all_there_is_takes_one_sync);
    run_what_decisions_do();
    RUN(a_round_waits_for_the_senders_of_the_last_two);
    RUN(a_lone_sender_does_not_wait);
    return DONE();
}
