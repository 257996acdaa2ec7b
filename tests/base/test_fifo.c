#include "base/fifo.h"
#include "base/random.h"
#include "check.h"

static void items_come_out_as_they_went_in(void)
{
    struct memory memory;
    uint64_t next_in = 0, next_out = 0;
    struct fifo f;
    struct rng rng;

    memory_init(&memory, 1 << 20, 0);
    rng_seed(&rng, 1);
    CHECK(fifo_init(&f, &memory, sizeof(uint64_t), 4));
    for (int round = 0; round < 10000; round++) {
        size_t in = rng_below(&rng, 5), out = rng_below(&rng, 5);

        CHECK(fifo_room(&f, in));
        for (size_t i = 0; i < in; i++)
            *(uint64_t *)fifo_push(&f) = next_in++;
        out = out < fifo_len(&f) ? out : fifo_len(&f);
        for (size_t i = 0; i < out; i++)
            CHECK(*(uint64_t *)fifo_at(&f, i) == next_out + i);
        fifo_drop(&f, out);
        next_out += out;
        CHECK(fifo_len(&f) == next_in - next_out);
    }
    fifo_fini(&f);
    CHECK(memory_used(&memory) == 0);
}

static void without_memory_nothing_changes(void)
{
    struct memory memory;
    struct fifo f;

    memory_init(&memory, 4096, 0);
    CHECK(fifo_init(&f, &memory, 8, 4));
    *(uint64_t *)fifo_push(&f) = 7;
    CHECK(!fifo_room(&f, 1000));
    CHECK(fifo_len(&f) == 1 && *(uint64_t *)fifo_at(&f, 0) == 7);
    CHECK(fifo_room(&f, 3));
    fifo_fini(&f);
    memory_init(&memory, 16, 0);
    CHECK(!fifo_init(&f, &memory, 8, 100));
    fifo_fini(&f);
    CHECK(fifo_init_forced(&f, &memory, 8, 100) && memory_used(&memory) >= 800);
    fifo_fini(&f);
    CHECK(memory_used(&memory) == 0);
}

int main(void)
{
    RUN(items_come_out_as_they_went_in);
    RUN(without_memory_nothing_changes);
    return DONE();
}
