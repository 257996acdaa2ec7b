#include "base/memory.h"
#include "check.h"

#include <pthread.h>

#include <event2/event.h>
#include <openssl/crypto.h>

static void a_reservation_over_the_limit_counts_nothing(void)
{
    struct memory m;

    memory_init(&m, 1000, 200);
    CHECK(memory_reserve(&m, 600));
    CHECK(!memory_reserve(&m, 401));
    CHECK(!memory_reserve(&m, SIZE_MAX));
    CHECK(memory_used(&m) == 600);
    CHECK(memory_reserve(&m, 400));
    CHECK(!memory_reserve(&m, 1));
    memory_release(&m, 1000);
    CHECK(memory_used(&m) == 0 && m.peak == 1000);
}

static void memory_is_high_above_limit_less_spike(void)
{
    struct memory m;

    memory_init(&m, 1000, 200);
    memory_add(&m, 800);
    CHECK(!memory_is_high(&m));
    memory_add(&m, 1);
    CHECK(memory_is_high(&m));
    memory_add(&m, 500); /* a library is not refused */
    CHECK(memory_used(&m) == 1301 && !memory_reserve(&m, 0));
}

static void what_is_never_refused_is_held_back_and_intake_leaves_more(void)
{
    struct memory m;

    memory_init(&m, 1000, 400);
    CHECK(memory_has_intake_room(&m, 900) && !memory_has_intake_room(&m, 901));
    memory_hold_back(&m, 60, 100);
    CHECK(memory_has_intake_room(&m, 840) && !memory_has_intake_room(&m, 841));
    CHECK(!memory_reserve(&m, 941) && memory_reserve(&m, 940));
    memory_add(&m, 60);
    CHECK(m.peak == 1000);
    memory_release(&m, 1000);
    memory_hold_back(&m, 1, 1); /* an eighth, and a quarter of the rest */
    CHECK(m.held_back == 50 && m.drain == 87);
    memory_hold_back(&m, SIZE_MAX, SIZE_MAX); /* a quarter, and half of the rest */
    CHECK(m.held_back == 100 && m.drain == 150);
}

static void counted_blocks_leave_no_count_behind(void)
{
    struct memory m;
    char *p;

    memory_init(&m, 100000, 0);
    p = counted_alloc(&m, 100);
    CHECK(p && memory_used(&m) >= 100);
    memset(p, 7, 100);
    p = counted_realloc(&m, p, 50000);
    CHECK(p && memory_used(&m) >= 50000 && p[99] == 7);
    CHECK(counted_realloc(&m, p, 200000) == NULL);
    CHECK(memory_used(&m) >= 50000);
    CHECK(counted_alloc(&m, 60000) == NULL);
    p = counted_realloc(&m, p, 10);
    CHECK(p && memory_used(&m) < 50000);
    counted_free(&m, p);
    counted_free(&m, NULL);
    CHECK(memory_used(&m) == 0);
    counted_free(NULL, counted_alloc(NULL, 1 << 20));
    CHECK(memory_used(&m) == 0);
}

static void *reserve_and_release(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        if (memory_reserve(arg, 60))
            memory_release(arg, 60);
    }
    return NULL;
}

static void two_threads_never_pass_the_limit_together(void)
{
    struct memory m;
    pthread_t other;

    memory_init(&m, 100, 0);
    CHECK(pthread_create(&other, NULL, reserve_and_release, &m) == 0);
    reserve_and_release(&m);
    pthread_join(other, NULL);
    CHECK(memory_used(&m) == 0 && m.peak == 60);
}

static void what_libraries_allocate_is_counted(void)
{
    static struct memory m;
    struct event_base *base;
    size_t before;
    void *p;

    memory_init(&m, 1, 0);
    memory_install_hooks(&m);
    before = memory_used(&m);
    base = event_base_new();
    CHECK(base && memory_used(&m) > before);
    event_base_free(base);
    CHECK(memory_used(&m) == before);
    p = OPENSSL_malloc(5000);
    CHECK(p && memory_used(&m) >= before + 5000);
    p = OPENSSL_realloc(p, 9000);
    CHECK(p && memory_used(&m) >= before + 9000);
    OPENSSL_free(p);
    CHECK(memory_used(&m) == before);
}

static void what_comes_in_leaves_a_quarter_of_the_spike_to_what_goes_out(void)
{
    struct memory m;

    memory_init(&m, 1000, 400);
    CHECK(memory_has_intake_room(&m, 900) && !memory_has_intake_room(&m, 901));
    CHECK(memory_reserve(&m, 890));
    CHECK(memory_has_intake_room(&m, 10) && !memory_has_intake_room(&m, 11));
    memory_add(&m, 20);
    CHECK(!memory_has_intake_room(&m, 0));
    CHECK(memory_reserve(&m, 90));
    memory_release(&m, 1000);
}

int main(void)
{
    RUN(a_reservation_over_the_limit_counts_nothing);
    RUN(memory_is_high_above_limit_less_spike);
    RUN(what_is_never_refused_is_held_back_and_intake_leaves_more);
    RUN(counted_blocks_leave_no_count_behind);
    RUN(two_threads_never_pass_the_limit_together);
    RUN(what_libraries_allocate_is_counted);
    RUN(what_comes_in_leaves_a_quarter_of_the_spike_to_what_goes_out);
    return DONE();
}
