/* Frames against a naive model: random operations from a seed. A body must be as it was written as
 * long as one reference lives, and memory must come back when none does; the same while full
 * segments are compressed. */
#include "base/random.h"
#include "check.h"
#include "journals.h"

#include <stdlib.h>

enum { UNPACK_BYTES = 20 << 10 }; /* what a worker looks at of compressed ones: a little */

enum { WORKERS = 3, FRAMES = 300, OPERATIONS = 150000, SEGMENT = 8192, LIMIT = 1200000 };

struct model_frame {
    frame_id id; /* 0: not in use */
    uint32_t items;
    uint64_t seed;
    size_t len;
};

struct model {
    struct journal *journal;
    struct journal_writer *writers[WORKERS];
    struct model_frame frames[FRAMES];
    struct rng rng;
    uint64_t now, refused, large, released, live, asked;
};

static struct memory memory;

/* Of two in three bodies all bytes are the same for a while. */
static uint8_t byte_at(size_t i, uint64_t seed)
{
    return (uint8_t)((seed + i / (seed % 3 ? 100 : 1)) * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static void fill(uint8_t *at, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++)
        at[i] = byte_at(i, seed);
}

static bool is_filled(struct slice body, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < body.len; i++)
        if (body.data[i] != byte_at(i, seed))
            return false;
    return body.len == len;
}

static size_t any_size(struct model *m)
{
    switch (rng_below(&m->rng, 20)) {
    case 0:
        return SEGMENT + rng_below(&m->rng, 60000);
    case 1:
        return SEGMENT - 70 + rng_below(&m->rng, 140);
    default:
        return 1 + rng_below(&m->rng, 2500);
    }
}

static void model_write(struct model *m, struct model_frame *f)
{
    struct journal_writer *w = m->writers[rng_below(&m->rng, WORKERS)];
    size_t size = any_size(m);
    uint8_t *at = journal_stage(w, size);

    if (!at) {
        m->refused++;
        return;
    }
    f->seed = rng_next(&m->rng);
    f->len = rng_below(&m->rng, 4) ? size : 1 + rng_below(&m->rng, size);
    memset(at, 0xee, size); /* all of what was promised is writable */
    fill(at, f->len, f->seed);
    if (rng_below(&m->rng, 10) == 0)
        return; /* given up */
    f->items = 1 + (uint32_t)rng_below(&m->rng, 5);
    f->id = journal_commit(w, f->len, f->items, SIGNAL_TRACES, m->now);
    m->live += f->items;
    m->large += f->len > SEGMENT;
    for (int i = 0; i < FRAMES; i++)
        CHECK(&m->frames[i] == f || m->frames[i].id != f->id);
}

/* Looks at it as a worker does, which asks for what is not here. */
static bool is_as_it_was(struct model *m, const struct model_frame *f)
{
    struct journal_writer *w = m->writers[rng_below(&m->rng, WORKERS)];
    bool here = false, same = false;

    for (int i = 0; i < 100 && !here; i++) {
        journal_read_begin(w);
        journal_read_others(w);
        here = journal_is_here(w, f->id);
        same = here && is_filled(journal_read(w, f->id), f->len, f->seed);
        journal_read_end(w);
        m->asked += !here;
        if (!here)
            journal_step(m->journal, m->now += NS_PER_MS);
    }
    return same;
}

static void model_release(struct model *m, struct model_frame *f)
{
    uint32_t n = 1 + (uint32_t)rng_below(&m->rng, f->items);

    CHECK(is_as_it_was(m, f));
    journal_release(m->writers[rng_below(&m->rng, WORKERS)], f->id, n);
    m->live -= n;
    m->released += n;
    f->items -= n;
    if (f->items == 0)
        f->id = 0;
}

static void model_operate(struct model *m, bool draining)
{
    struct model_frame *f = &m->frames[rng_below(&m->rng, FRAMES)];

    if (rng_below(&m->rng, 5) == 0)
        journal_step(m->journal, m->now);
    if (!f->id && !draining)
        model_write(m, f);
    else if (f->id && (draining || rng_below(&m->rng, 2)))
        model_release(m, f);
    m->now += rng_below(&m->rng, NS_PER_MS);
}

static uint64_t drained(struct model *m)
{
    struct journal_stats s;

    for (int i = 0; i < FRAMES; i++)
        while (m->frames[i].id)
            model_release(m, &m->frames[i]);
    for (int i = 0; i < 1000; i++)
        journal_step(m->journal, m->now += 100 * NS_PER_MS);
    journal_stats(m->journal, &s);
    CHECK(s.live_items == 0);
    return memory_used(&memory);
}

static void check_stats(const struct model *m, bool compresses)
{
    struct journal_stats s;
    uint64_t held;

    journal_stats(m->journal, &s);
    CHECK(s.live_items == m->live);
    held = s.live_bytes + s.free_bytes + s.outbox_bytes + s.packs_bytes;
    CHECK(memory_used(&memory) >= held &&
          memory_used(&memory) <= held + (compresses ? WORKERS * 2 * UNPACK_BYTES : 0));
    CHECK((m->asked > 100 && s.packed > 100 && s.expanded > 100 && s.unpacked > 100) == compresses);
}

static void model_run(uint64_t seed, bool compresses)
{
    struct model *m = calloc(1, sizeof(*m));

    memory_init(&memory, LIMIT, LIMIT / 8);
    rng_seed(&m->rng, seed);
    m->journal = journal_made(&(struct journal_config){.workers = WORKERS,
                                                       .exporters = 1,
                                                       .segment_bytes = SEGMENT,
                                                       .memory = &memory,
                                                       .compresses = compresses,
                                                       .unpack_bytes = UNPACK_BYTES,
                                                       .wait_ns = NS_PER_S,
                                                       .clock = clock_system()});
    for (unsigned i = 0; i < WORKERS; i++)
        m->writers[i] = journal_writer(m->journal, i, NULL);
    for (int i = 0; i < OPERATIONS && !check_failures; i++) {
        model_operate(m, i / 10000 % 3 == 2);
        /* What is asked for comes back whatever the limiter says, if it has to. */
        CHECK(memory_used(&memory) <= (compresses ? LIMIT + LIMIT / 4 : LIMIT));
    }
    check_stats(m, compresses);
    CHECK(m->refused > 100 && m->large > 100 && m->released > 10000);
    /* Each worker may hold its open block, two spare ones and a large one. */
    CHECK(drained(m) <= WORKERS * (3 * SEGMENT + 80000) + SEGMENT);
    journal_free(m->journal);
    CHECK(memory_used(&memory) == 0);
    free(m);
}

static void a_body_stays_as_it_was_as_long_as_a_reference_lives(void)
{
    for (uint64_t seed = 1; seed <= 3 && !check_failures; seed++)
        model_run(seed, false);
}

static void so_it_does_while_segments_are_compressed(void)
{
    for (uint64_t seed = 1; seed <= 3 && !check_failures; seed++)
        model_run(seed, true);
}

int main(void)
{
    RUN(a_body_stays_as_it_was_as_long_as_a_reference_lives);
    RUN(so_it_does_while_segments_are_compressed);
    return DONE();
}
