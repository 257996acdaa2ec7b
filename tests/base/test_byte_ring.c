#include "base/byte_ring.h"
#include "base/random.h"
#include "base/ring.h"
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { SIZE = 1000 };

static void runs_are_in_one_piece_and_come_back_in_order(void)
{
    struct byte_ring r;
    uint64_t a, b, c;

    byte_ring_init(&r, SIZE);
    CHECK(byte_ring_add(&r, 400, &a) == r.bytes);
    CHECK(byte_ring_add(&r, 400, &b) == r.bytes + 400);
    CHECK(!byte_ring_add(&r, 300, &c)); /* neither behind them nor before */
    CHECK(byte_ring_add(&r, 200, &c) == r.bytes + 800);
    CHECK(!byte_ring_add(&r, 1, &c));
    byte_ring_free(&r, a);
    CHECK(!byte_ring_add(&r, 401, &c) && byte_ring_add(&r, 400, &c) == r.bytes);
    byte_ring_free(&r, b);
    CHECK(byte_ring_add(&r, 400, &c) == r.bytes + 400);
    byte_ring_fini(&r);
}

static void a_run_that_does_not_fit_before_the_end_begins_at_the_front(void)
{
    struct byte_ring r;
    uint64_t c;

    byte_ring_init(&r, SIZE);
    CHECK(!byte_ring_add(&r, SIZE + 1, &c));
    CHECK(byte_ring_add(&r, 750, &c) == r.bytes);
    CHECK(!byte_ring_add(&r, 300, &c));
    byte_ring_free(&r, c);
    CHECK(!byte_ring_add(&r, SIZE, &c)); /* its front would be over what is left out */
    CHECK(byte_ring_add(&r, 700, &c) == r.bytes);
    byte_ring_free(&r, c);
    byte_ring_fini(&r);
}

struct item {
    uint8_t *bytes;
    size_t len;
    uint64_t end;
    uint8_t fill;
};

struct shared {
    struct ring items;
    struct byte_ring bytes;
};

enum { ITEMS = 20000 };

static void *read_items(void *arg)
{
    struct shared *s = arg;
    unsigned wrong = 0;

    for (unsigned i = 0; i < ITEMS;) {
        struct item item;

        if (!ring_pop(&s->items, &item)) {
            sched_yield();
            continue;
        }
        for (size_t k = 0; k < item.len; k++)
            wrong += item.bytes[k] != item.fill;
        byte_ring_free(&s->bytes, item.end);
        i++;
    }
    CHECK(wrong == 0);
    return NULL;
}

static void what_one_thread_writes_another_one_reads(void)
{
    struct shared s;
    pthread_t reader;
    struct rng rng;

    ring_init(&s.items, 16, sizeof(struct item));
    byte_ring_init(&s.bytes, SIZE);
    rng_seed(&rng, 1);
    CHECK(pthread_create(&reader, NULL, read_items, &s) == 0);
    for (unsigned i = 0; i < ITEMS; i++) {
        struct item item = {.len = (size_t)rng_below(&rng, SIZE / 2), .fill = (uint8_t)i};

        while (!(item.bytes = byte_ring_add(&s.bytes, item.len, &item.end)))
            sched_yield();
        memset(item.bytes, item.fill, item.len);
        while (!ring_push(&s.items, &item))
            sched_yield();
    }
    pthread_join(reader, NULL);
    ring_fini(&s.items);
    byte_ring_fini(&s.bytes);
}

int main(void)
{
    RUN(runs_are_in_one_piece_and_come_back_in_order);
    RUN(a_run_that_does_not_fit_before_the_end_begins_at_the_front);
    RUN(what_one_thread_writes_another_one_reads);
    return DONE();
}
