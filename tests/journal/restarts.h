/* restarts.h: a journal with files on a disk in memory, that is killed and recovered. */
#pragma once

#include "base/fake_disk.h"
#include "check.h"
#include "journal/journals.h"

#include <string.h>

enum { SEGMENT = 64 << 10 };

static struct memory memory;
static struct fake_clock fake;
static struct fake_disk disk;

static const char *const labels[][2] = {
    {"other", "because"}, {"latency", "because"}, {"health", "because"}, {"random", "because"}};
static const char *const exporters[] = {"one", "two"};
static const char *const policies[] = {"latency", "random"};
static const struct journal_names names = {LABEL_PAIRS(labels), .exporters = exporters,
                                           .exporter_count = 2, .policies = policies,
                                           .policy_count = 2,   .config_hash = "abc"};

/* ---- a journal and what it finds ---- */

static inline struct journal *open_journal(enum journal_ack ack)
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
    char bodies[64];   /* the first byte of each frame */
    bool is_first[64]; /* of the span at 5 */
    frame_id ids[64];
    bool has_source[64];
    struct decision_record decided[64];
};

static inline void on_decision(void *arg, const struct decision_record *d)
{
    struct found *f = arg;

    if (f->decisions < 64)
        f->decided[f->decisions] = *d;
    f->decisions++;
}

/* The trace id of a frame is its first byte, sixteen times. */
static inline uint32_t on_frame(void *arg, const struct recovered_frame *frame)
{
    struct found *f = arg;
    uint8_t id[16];

    memset(id, frame->body.data[0], sizeof(id));
    f->bodies[f->frames] = (char)frame->body.data[0];
    f->ids[f->frames] = frame->frame;
    f->is_first[f->frames] = recovery_is_first(f->journal, frame, 5);
    f->has_source[f->frames] = recovery_has_source(f->journal, id, frame->source);
    f->frames++;
    for (unsigned i = 0; i < f->decisions && i < 64; i++)
        if (memcmp(f->decided[i].trace_id, id, sizeof(id)) == 0)
            return 0;
    return frame->items;
}

static inline struct journal *recover(enum journal_ack ack, struct found *f)
{
    struct journal *j = open_journal(ack);
    struct recovery to = {.arg = f, .decision = on_decision, .frame = on_frame};
    struct err_info info;

    *f = (struct found){.journal = j};
    CHECK(journal_recover(j, &to, fake.now, &f->counts, &info) == ERR_OK);
    return j;
}

static inline frame_id write_frame_of(struct journal *j, char fill, size_t len, uint32_t items)
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
    frame = journal_commit(w, len, items, SIGNAL_TRACES, fake.now);
    journal_submit(w);
    return frame;
}

static inline frame_id write_frame(struct journal *j, char fill, size_t len)
{
    return write_frame_of(j, fill, len, 1);
}

/* One item of the frame. */
static inline void decide_as(struct journal *j, frame_id frame, struct decision_record d)
{
    struct journal_writer *w = journal_writer(j, 0, NULL);
    uint64_t source = journal_source(j, frame), sequence;
    struct decision_details details = {.sources = &source, .source_count = 1};
    struct buf payload;

    d.unix_ns = fake.unix_now;
    buf_init(&payload, 1024, NULL);
    buf_append(&payload, d.trace_id, 1);
    sequence = journal_decide(w, &d, &details, d.keep ? &payload : NULL);
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

static inline void decide(struct journal *j, frame_id frame, char fill, bool keep, uint64_t mask)
{
    struct decision_record d = {.keep = keep,
                                .label = keep ? 1 : 2,
                                .spans = 1,
                                .exporters = keep ? mask : 0,
                                .payload_spans = keep};

    memset(d.trace_id, fill, sizeof(d.trace_id));
    decide_as(j, frame, d);
}

static inline void decide_late(struct journal *j, frame_id frame, char fill, uint64_t mask)
{
    struct decision_record d = {
        .keep = true, .late = true, .label = 1, .spans = 1, .exporters = mask, .payload_spans = 1};

    memset(d.trace_id, fill, sizeof(d.trace_id));
    decide_as(j, frame, d);
}

static inline void begin(void)
{
    memory_init(&memory, 64 << 20, 16 << 20);
    fake_clock_init(&fake, 100 * NS_PER_S, 1700000000 * NS_PER_S);
    fake_disk_init(&disk);
}

static inline void kill_journal(struct journal *j)
{
    struct fake_disk after;

    fake_disk_crash(&disk, CRASH_KILL, NULL, &after);
    journal_free(j);
    fake_disk_fini(&disk);
    disk = after;
}

static inline void end(struct journal *j)
{
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
    fake_disk_fini(&disk);
}

/* ---- tests ---- */
