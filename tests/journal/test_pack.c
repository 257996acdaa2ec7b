/* Without files: full segments are compressed while memory is short, and are as they were when they
 * are looked at again. */
#include "base/fake_disk.h"
#include "base/random.h"
#include "check.h"
#include "journals.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

enum { SEGMENT = 64 << 10, BODY = 20000, FRAMES = 60, ITEMS = 4, LIMIT = 4 << 20 };
enum { HELD = 100, WRITTEN = 2000 }; /* frames, with threads */

static struct memory memory;
static struct fake_clock fake;
static struct journal_writer *writer;

/* A worker looks at as many bytes of what is compressed. */
static struct journal *open_small(bool compresses, uint64_t young_ns, size_t unpack_bytes)
{
    struct journal *j;

    fake_clock_init(&fake, NS_PER_S, UINT64_C(1700000000) * NS_PER_S);
    memory_init(&memory, LIMIT, LIMIT - (2 << 20));
    j = journal_made(&(struct journal_config){.workers = 1,
                                              .segment_bytes = SEGMENT,
                                              .memory = &memory,
                                              .clock = &fake.clock,
                                              .compresses = compresses,
                                              .young_ns = young_ns,
                                              .unpack_bytes = unpack_bytes,
                                              .wait_ns = 10 * NS_PER_S});
    writer = journal_writer(j, 0, NULL);
    return j;
}

static struct journal *open_journal(bool compresses, uint64_t young_ns)
{
    return open_small(compresses, young_ns, 0);
}

static void end(struct journal *j)
{
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
}

static struct journal_stats stats_of(const struct journal *j)
{
    struct journal_stats s;

    journal_stats(j, &s);
    return s;
}

static void step(struct journal *j, uint64_t ns)
{
    fake_clock_advance(&fake, ns);
    for (int i = 0; i < 400; i++)
        (void)journal_step(j, fake.now);
}

/* Text that repeats itself; or noise. */
static void fill(uint8_t *at, size_t len, uint64_t seed, bool noise)
{
    struct rng rng;
    size_t n = 0;

    rng_seed(&rng, seed);
    while (noise && n < len)
        at[n++] = (uint8_t)rng_next(&rng);
    while (n < len)
        n += (size_t)snprintf((char *)at + n, len - n + 1, "attribute-%llu=value of %zu; ",
                              (unsigned long long)seed, n);
}

static frame_id write_one(struct journal *j, uint64_t seed, bool noise)
{
    uint8_t *at = journal_stage(writer, BODY + 64);

    for (int i = 0; i < 4 && !at; i++) {
        journal_step(j, fake.now);
        at = journal_stage(writer, BODY + 64);
    }
    if (!at)
        abort();
    fill(at, BODY, seed, noise);
    return journal_commit(writer, BODY, ITEMS, SIGNAL_TRACES, fake.now);
}

static void write_all(struct journal *j, frame_id *frames, bool noise)
{
    for (uint64_t i = 0; i < FRAMES; i++)
        frames[i] = write_one(j, i, noise);
}

static bool is_as_it_was(frame_id frame, uint64_t seed)
{
    static uint8_t wanted[BODY + 64];
    struct slice body = journal_read(writer, frame);

    fill(wanted, BODY, seed, false);
    return body.len == BODY && memcmp(body.data, wanted, BODY) == 0;
}

/* Asks for it until it is here, as a worker does. */
static bool comes(struct journal *j, frame_id frame, uint64_t seed)
{
    bool here = false, same = false;

    for (int i = 0; i < 100 && !here; i++) {
        journal_read_begin(writer);
        journal_read_others(writer);
        here = journal_is_here(writer, frame);
        same = here && is_as_it_was(frame, seed);
        journal_read_end(writer);
        if (!here) {
            fake_clock_advance(&fake, NS_PER_MS);
            journal_step(j, fake.now);
        }
    }
    return same;
}

/* Until memory is as full as that, by something else. */
static void fill_memory(size_t *taken)
{
    *taken = 1800 << 10;
    memory_add(&memory, *taken);
}

static void what_waits_is_compressed_while_memory_is_short(void)
{
    struct journal *j = open_journal(true, 0);
    frame_id frames[FRAMES];
    struct journal_stats s;
    size_t taken, used;

    write_all(j, frames, false);
    step(j, NS_PER_S);
    CHECK(stats_of(j).packed == 0); /* there is enough */
    used = memory_used(&memory);
    fill_memory(&taken);
    step(j, NS_PER_S);
    s = stats_of(j);
    CHECK(s.packed_bytes >= 15 * SEGMENT && s.copies_bytes < s.packed_bytes / 5);
    CHECK(s.packs_bytes >= s.copies_bytes && s.packs_bytes < s.packed_bytes / 3);
    CHECK(s.live_bytes + s.packs_bytes < used / 3 && memory_used(&memory) - taken < used);
    CHECK(s.live_items == FRAMES * ITEMS && s.spilled_bytes == 0);
    for (uint64_t i = 0; i < FRAMES; i += 7)
        CHECK(comes(j, frames[i], i));
    CHECK(stats_of(j).unpacked > 5 && stats_of(j).expanded == 0);
    memory_release(&memory, taken);
    end(j);
}

static void it_comes_back_before_it_is_due(void)
{
    struct journal *j = open_journal(true, 0);
    frame_id frames[FRAMES];
    size_t taken;

    write_all(j, frames, false);
    fill_memory(&taken);
    step(j, NS_PER_S);
    CHECK(stats_of(j).packed_bytes > 0);
    memory_release(&memory, taken);
    step(j, 8700 * NS_PER_MS);
    CHECK(stats_of(j).packed_bytes > 0);
    step(j, 100 * NS_PER_MS);
    CHECK(stats_of(j).packed_bytes == 0 && stats_of(j).expanded > 5);
    for (uint64_t i = 0; i < FRAMES; i++) {
        CHECK(is_as_it_was(frames[i], i));
        journal_release(writer, frames[i], ITEMS);
    }
    step(j, 10 * NS_PER_MS);
    CHECK(stats_of(j).copies_bytes == 0);
    end(j);
}

/* A copy lives as long as a span of its segment; others in the same segment of copies stay. */
static void what_is_released_leaves_no_copy(void)
{
    struct journal *j = open_journal(true, 0);
    frame_id frames[FRAMES];
    struct journal_stats before;
    size_t taken;

    write_all(j, frames, false);
    fill_memory(&taken);
    step(j, NS_PER_S);
    before = stats_of(j);
    for (uint64_t i = 0; i < FRAMES / 2; i++)
        journal_release(writer, frames[i], ITEMS);
    step(j, 10 * NS_PER_MS);
    CHECK(stats_of(j).copies_bytes < before.copies_bytes * 2 / 3);
    for (uint64_t i = FRAMES / 2; i < FRAMES; i++)
        CHECK(comes(j, frames[i], i));
    for (uint64_t i = FRAMES / 2; i < FRAMES; i++)
        journal_release(writer, frames[i], ITEMS);
    step(j, 10 * NS_PER_MS);
    CHECK(stats_of(j).copies_bytes == 0 && stats_of(j).live_items == 0);
    memory_release(&memory, taken);
    end(j);
}

static void what_gets_no_smaller_stays_as_it_is(void)
{
    struct journal *j = open_journal(true, 0);
    frame_id frames[FRAMES];
    size_t taken;

    write_all(j, frames, true);
    fill_memory(&taken);
    step(j, NS_PER_S);
    CHECK(stats_of(j).packed == 0 && stats_of(j).copies_bytes == 0);
    CHECK(!journal_can_spill(j)); /* it is decided early */
    memory_release(&memory, taken);
    end(j);
}

static void what_is_young_or_not_to_be_compressed_is_not(void)
{
    for (int i = 0; i < 2; i++) {
        struct journal *j = open_journal(i == 0, 2 * NS_PER_S);
        frame_id frames[FRAMES];
        size_t taken;

        write_all(j, frames, false);
        fill_memory(&taken);
        step(j, NS_PER_S);
        CHECK(stats_of(j).packed == 0);
        step(j, 1500 * NS_PER_MS);
        CHECK((stats_of(j).packed > 0) == (i == 0));
        memory_release(&memory, taken);
        end(j);
    }
}

/* One that came back stays, so that all that a trace needs is here at the same time. */
static void what_came_back_stays_for_a_while(void)
{
    struct journal *j = open_small(true, 0, 1);
    frame_id frames[FRAMES];
    size_t taken;

    write_all(j, frames, false);
    fill_memory(&taken);
    step(j, NS_PER_S);
    CHECK(comes(j, frames[0], 0));
    step(j, 100 * NS_PER_MS);
    CHECK(journal_is_here(writer, frames[0]));
    step(j, 200 * NS_PER_MS);
    CHECK(!journal_is_here(writer, frames[0]));
    memory_release(&memory, taken);
    end(j);
}

/* Three frames are a block; two blocks fit. */
static void look_at_three(const frame_id *frames)
{
    journal_read_begin(writer);
    journal_read_others(writer);
    CHECK(journal_is_here(writer, frames[0]) && journal_is_here(writer, frames[30]));
    CHECK(!journal_is_here(writer, frames[50]));
    CHECK(is_as_it_was(frames[0], 0) && is_as_it_was(frames[30], 30));
    CHECK(journal_is_here(writer, frames[1])); /* as its neighbour is */
    journal_read_others(writer);
    CHECK(journal_is_here(writer, frames[50]) && is_as_it_was(frames[50], 50));
    journal_read_end(writer);
}

static void what_is_more_than_fits_comes_back_as_a_whole(void)
{
    struct journal *j = open_small(true, 0, 128 << 10);
    frame_id frames[FRAMES];
    size_t taken;

    write_all(j, frames, false);
    fill_memory(&taken);
    step(j, NS_PER_S);
    look_at_three(frames);
    CHECK(stats_of(j).unpacked == 3);
    step(j, 50 * NS_PER_MS);
    CHECK(stats_of(j).expanded == 1); /* it was asked for */
    CHECK(is_as_it_was(frames[50], 50));
    memory_release(&memory, taken);
    end(j);
}

/* A segment's number is used again, for other frames. */
static void what_was_looked_at_is_not_taken_for_what_came_later(void)
{
    struct journal *j = open_journal(true, 0);
    frame_id frames[FRAMES], later[FRAMES];
    size_t taken;

    write_all(j, frames, false);
    fill_memory(&taken);
    step(j, NS_PER_S);
    CHECK(comes(j, frames[0], 0) && comes(j, frames[FRAMES / 2], FRAMES / 2));
    for (uint64_t i = 0; i < FRAMES; i++)
        journal_release(writer, frames[i], ITEMS);
    step(j, 10 * NS_PER_MS);
    for (uint64_t i = 0; i < FRAMES; i++)
        later[i] = write_one(j, 1000 + i, false);
    step(j, NS_PER_S);
    CHECK(stats_of(j).packed_bytes > 0);
    for (uint64_t i = 0; i < FRAMES; i++)
        CHECK(comes(j, later[i], 1000 + i));
    memory_release(&memory, taken);
    end(j);
}

static void a_body_that_is_too_large_for_a_block_is_not_compressed(void)
{
    struct journal *j = open_journal(true, 0);
    size_t len = 300 << 10, taken;
    frame_id large = 0;
    uint8_t *at;

    for (int i = 0; i < 8 && !large; i++) {
        at = journal_stage(writer, len);
        if (at)
            memset(at, 'a', len);
        large = at ? journal_commit(writer, len, 1, SIGNAL_TRACES, fake.now) : 0;
        journal_step(j, fake.now);
    }
    fill_memory(&taken);
    step(j, NS_PER_S);
    CHECK(large && stats_of(j).packed == 0);
    CHECK(journal_is_here(writer, large) && journal_read(writer, large).len == len);
    memory_release(&memory, taken);
    end(j);
}

/* What a worker looks at stays; what it looks for while it leaves does not leave. */
static void what_is_looked_at_does_not_leave(void)
{
    struct journal *j = open_journal(true, 0);
    frame_id frames[FRAMES];
    size_t taken;

    write_all(j, frames, false);
    journal_read_begin(writer);
    fill_memory(&taken);
    step(j, NS_PER_S);
    CHECK(stats_of(j).packed == 0 && is_as_it_was(frames[0], 0));
    CHECK(journal_is_here(writer, frames[0]));
    journal_read_end(writer);
    step(j, NS_PER_S);
    CHECK(stats_of(j).packed > 5 && comes(j, frames[0], 0));
    memory_release(&memory, taken);
    end(j);
}

/* ---- with threads ---- */

static _Atomic bool stop;

static void *run_journal(void *journal)
{
    for (uint64_t now = NS_PER_S; !atomic_load(&stop); now += NS_PER_MS) {
        (void)journal_step(journal, now);
        sched_yield();
    }
    return NULL;
}

static frame_id write_until_it_is(uint64_t seed)
{
    uint8_t *at = NULL;

    while (!(at = journal_stage(writer, BODY + 64)))
        sched_yield();
    fill(at, BODY, seed, false);
    return journal_commit(writer, BODY, 1, SIGNAL_TRACES, fake.now);
}

/* Some of what waits, as the decision of a trace does: all at the same time. */
static void look_at_some(const frame_id *frames, uint64_t newest, uint64_t step)
{
    bool here = false;

    while (!here) {
        journal_read_begin(writer);
        journal_read_others(writer);
        here = true;
        for (uint64_t i = 0; i < HELD && i <= newest; i += step)
            here &= journal_is_here(writer, frames[(newest - i) % HELD]);
        for (uint64_t i = 0; here && i < HELD && i <= newest; i += step)
            CHECK(is_as_it_was(frames[(newest - i) % HELD], newest - i));
        journal_read_end(writer);
        if (!here)
            sched_yield();
    }
}

static void workers_read_while_segments_come_and_go(void)
{
    struct journal *j = open_small(true, 0, 256 << 10);
    frame_id frames[HELD];
    struct journal_stats s;
    pthread_t thread;

    atomic_store(&stop, false);
    memory_add(&memory, 1 << 20);
    CHECK(pthread_create(&thread, NULL, run_journal, j) == 0);
    for (uint64_t i = 0; i < WRITTEN; i++) {
        if (i >= HELD)
            journal_release(writer, frames[i % HELD], 1);
        frames[i % HELD] = write_until_it_is(i);
        if (i % 8 == 0)
            look_at_some(frames, i, i % 64 == 0 ? 7 : 37);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    journal_stats(j, &s);
    CHECK(s.packed > 20 && s.unpacked > 20 && s.expanded > 0);
    memory_release(&memory, 1 << 20);
    end(j);
}

static void run_what_is_compressed(void)
{
    RUN(what_waits_is_compressed_while_memory_is_short);
    RUN(what_gets_no_smaller_stays_as_it_is);
    RUN(what_is_young_or_not_to_be_compressed_is_not);
    RUN(a_body_that_is_too_large_for_a_block_is_not_compressed);
    RUN(what_is_looked_at_does_not_leave);
}

static void run_what_is_read_again(void)
{
    RUN(it_comes_back_before_it_is_due);
    RUN(what_is_released_leaves_no_copy);
    RUN(what_came_back_stays_for_a_while);
    RUN(what_is_more_than_fits_comes_back_as_a_whole);
    RUN(what_was_looked_at_is_not_taken_for_what_came_later);
    RUN(workers_read_while_segments_come_and_go);
}

int main(void)
{
    run_what_is_compressed();
    run_what_is_read_again();
    return DONE();
}
