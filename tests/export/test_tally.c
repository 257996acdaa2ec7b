#include "check.h"
#include "export/tally.h"

enum { RECORDS = 20000 };

/* Positions with gaps, as where one segment ends and the next begins. */
static uint64_t position_of(unsigned i)
{
    return ((uint64_t)(i / 3000) << 32) + i % 3000 * 64;
}

static unsigned spans_of(unsigned i)
{
    return i % 5 == 0 ? 0 : i % 7; /* 0: it is another exporter's */
}

static void fill(struct tally *t, struct memory *memory)
{
    tally_init(t, memory);
    for (unsigned i = 0; i < RECORDS; i++)
        tally_add(t, position_of(i), spans_of(i));
}

/* What lies beyond record i, with the records up to the first run read one by one; *read is how
 * many. */
static uint64_t beyond(const struct tally *t, unsigned i, unsigned *read)
{
    uint64_t begin, spans = tally_beyond(t, position_of(i), &begin);

    for (*read = 0; i < RECORDS && position_of(i) < begin; i++, ++*read)
        spans += spans_of(i);
    return spans;
}

static void what_lies_beyond_a_position_takes_the_reading_of_one_run(void)
{
    uint64_t wanted = 0;
    unsigned most = 0;
    struct memory memory;
    struct tally t;

    memory_init(&memory, 1 << 20, 0);
    fill(&t, &memory);
    for (unsigned i = RECORDS; i-- > 0;) {
        unsigned read;

        wanted += spans_of(i);
        CHECK(beyond(&t, i, &read) == wanted);
        most = read > most ? read : most;
    }
    CHECK(most > 1 && most < TALLY_RUN);
    tally_fini(&t);
    CHECK(memory_used(&memory) == 0);
}

static void what_is_forgotten_changes_nothing_beyond_it(void)
{
    struct memory memory;
    struct tally t, whole;
    unsigned read;

    memory_init(&memory, 1 << 20, 0);
    fill(&t, &memory);
    fill(&whole, &memory);
    for (unsigned i = 0; i < RECORDS; i += 333) {
        tally_forget(&t, position_of(i));
        CHECK(beyond(&t, i, &read) == beyond(&whole, i, &read));
    }
    CHECK(fifo_len(&t.runs) <= 2 && fifo_len(&whole.runs) > RECORDS / TALLY_RUN);
    tally_fini(&t);
    tally_fini(&whole);
}

static void without_memory_runs_are_longer_and_still_right(void)
{
    struct memory memory;
    uint64_t begin;
    struct tally t;

    memory_init(&memory, 1 << 20, 0);
    tally_init(&t, &memory);
    memory_add(&memory, 1 << 20);
    for (unsigned i = 0; i < 100 * TALLY_RUN; i++)
        tally_add(&t, i, 2);
    CHECK(tally_beyond(&t, 0, &begin) == 200 * TALLY_RUN && begin == 0);
    CHECK(fifo_len(&t.runs) < 100);
    memory_release(&memory, 1 << 20);
    tally_fini(&t);
}

/* A reload makes exporters while others hold all of it. */
static void one_is_begun_where_memory_is_full(void)
{
    struct memory memory;
    struct tally t;
    uint64_t begin;

    memory_init(&memory, 1 << 20, 0);
    memory_add(&memory, 1 << 20);
    tally_init(&t, &memory);
    tally_add(&t, 0, 2);
    CHECK(tally_beyond(&t, 0, &begin) == 2 && begin == 0);
    tally_fini(&t);
    CHECK(memory_used(&memory) == 1 << 20);
}

int main(void)
{
    RUN(what_lies_beyond_a_position_takes_the_reading_of_one_run);
    RUN(what_is_forgotten_changes_nothing_beyond_it);
    RUN(without_memory_runs_are_longer_and_still_right);
    RUN(one_is_begun_where_memory_is_full);
    return DONE();
}
