#include "base/ring.h"
#include "check.h"

#include <pthread.h>
#include <sched.h>

struct pair {
    uint64_t number, square;
};

static void a_full_ring_refuses_and_keeps_the_order(void)
{
    struct ring r;
    uint64_t item = 0;

    ring_init(&r, 4, sizeof(item));
    CHECK(!ring_pop(&r, &item) && ring_space(&r) == 4);
    for (uint64_t round = 0; round < 10; round++) {
        for (uint64_t i = 0; i < 4; i++)
            CHECK(ring_push(&r, &(uint64_t){round * 4 + i}));
        CHECK(!ring_push(&r, &item) && ring_space(&r) == 0 && ring_count(&r) == 4);
        for (uint64_t i = 0; i < 4; i++)
            CHECK(ring_pop(&r, &item) && item == round * 4 + i);
    }
    CHECK(ring_count(&r) == 0);
    ring_fini(&r);
}

static void add_up(void *arg, const void *item)
{
    *(uint64_t *)arg = *(uint64_t *)arg * 10 + *(const uint64_t *)item;
}

static void each_visits_from_the_oldest_and_takes_nothing(void)
{
    struct ring r;
    uint64_t item, sum = 0;

    ring_init(&r, 4, sizeof(item));
    for (uint64_t i = 0; i < 3; i++)
        CHECK(ring_push(&r, &i) && ring_pop(&r, &item));
    for (uint64_t i = 1; i <= 3; i++)
        CHECK(ring_push(&r, &i));
    ring_each(&r, add_up, &sum);
    CHECK(sum == 123 && ring_count(&r) == 3);
    ring_fini(&r);
}

enum { MANY = 200000 };

static void *write_many(void *arg)
{
    for (uint64_t i = 0; i < MANY; i++) {
        struct pair p = {i, i * i};

        while (!ring_push(arg, &p))
            sched_yield();
    }
    return NULL;
}

static void a_reader_in_another_thread_sees_every_item_whole_and_in_order(void)
{
    struct ring r;
    pthread_t writer;
    uint64_t wrong = 0;

    ring_init(&r, 64, sizeof(struct pair));
    CHECK(pthread_create(&writer, NULL, write_many, &r) == 0);
    for (uint64_t i = 0; i < MANY; i++) {
        struct pair p;

        while (!ring_pop(&r, &p))
            sched_yield();
        wrong += p.number != i || p.square != i * i;
    }
    pthread_join(writer, NULL);
    CHECK(wrong == 0 && ring_count(&r) == 0);
    ring_fini(&r);
}

static void indices_may_wrap_round(void)
{
    struct ring r;
    uint32_t item;

    ring_init(&r, 2, sizeof(item));
    r.head = r.tail = r.cached_head = r.cached_tail = UINT32_MAX;
    for (uint32_t i = 0; i < 5; i++) {
        CHECK(ring_push(&r, &i) && ring_push(&r, &i) && !ring_push(&r, &i));
        CHECK(ring_pop(&r, &item) && item == i && ring_pop(&r, &item) && !ring_pop(&r, &item));
    }
    ring_fini(&r);
}

static void a_look_takes_nothing(void)
{
    struct ring r;
    int item = 7, seen = 0;

    ring_init(&r, 4, sizeof(int));
    CHECK(!ring_peek(&r, &seen));
    CHECK(ring_push(&r, &item));
    CHECK(ring_peek(&r, &seen) && seen == 7 && ring_count(&r) == 1);
    seen = 0;
    CHECK(ring_pop(&r, &seen) && seen == 7 && ring_count(&r) == 0);
    ring_fini(&r);
}

int main(void)
{
    RUN(a_full_ring_refuses_and_keeps_the_order);
    RUN(each_visits_from_the_oldest_and_takes_nothing);
    RUN(a_reader_in_another_thread_sees_every_item_whole_and_in_order);
    RUN(indices_may_wrap_round);
    RUN(a_look_takes_nothing);
    return DONE();
}
