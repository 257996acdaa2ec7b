#include "export/tally.h"

#include "base/err.h"

#include <stdlib.h>

enum { FIRST_RUNS = 16 };

struct tally_run {
    uint64_t position; /* of its first record */
    uint64_t spans;
};

static struct tally_run *run_at(const struct tally *t, size_t i)
{
    return fifo_at(&t->runs, i);
}

void tally_init(struct tally *t, struct memory *memory)
{
    *t = (struct tally){.records = 0};
    if (!fifo_init_forced(&t->runs, memory, sizeof(struct tally_run), FIRST_RUNS))
        err_no_memory("an exporter's queue");
}

void tally_fini(struct tally *t)
{
    fifo_fini(&t->runs);
}

/* Without memory for one more a run is longer than others, but it never goes on in another segment.
 */
static bool begins_run(struct tally *t, uint64_t position)
{
    size_t len = fifo_len(&t->runs);

    if (len == 0)
        return true;
    if (run_at(t, len - 1)->position >> 32 != position >> 32)
        return fifo_force(&t->runs, 1);
    return t->records >= TALLY_RUN && fifo_room(&t->runs, 1);
}

void tally_add(struct tally *t, uint64_t position, uint64_t spans)
{
    size_t len = fifo_len(&t->runs);

    if (begins_run(t, position)) {
        *(struct tally_run *)fifo_push(&t->runs) = (struct tally_run){.position = position};
        t->records = 0;
        len++;
    }
    run_at(t, len - 1)->spans += spans;
    t->records++;
}

void tally_forget(struct tally *t, uint64_t position)
{
    size_t gone = 0;

    while (gone + 1 < fifo_len(&t->runs) && run_at(t, gone + 1)->position <= position)
        gone++;
    if (gone > 0)
        fifo_drop(&t->runs, gone);
}

uint64_t tally_beyond(const struct tally *t, uint64_t position, uint64_t *begin)
{
    uint64_t spans = 0;

    *begin = UINT64_MAX;
    for (size_t i = fifo_len(&t->runs); i > 0 && run_at(t, i - 1)->position >= position; i--) {
        spans += run_at(t, i - 1)->spans;
        *begin = run_at(t, i - 1)->position;
    }
    return spans;
}

uint64_t tally_between(const struct tally *t, uint64_t from, uint64_t to)
{
    uint64_t spans = 0;

    for (size_t i = 0; i < fifo_len(&t->runs) && run_at(t, i)->position < to; i++)
        if (run_at(t, i)->position >= from)
            spans += run_at(t, i)->spans;
    return spans;
}
