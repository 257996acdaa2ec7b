#include "base/order.h"
#include "check.h"

enum { LIMIT = 64 << 20 };

static struct memory memory;

static void begin(void)
{
    memory_init(&memory, LIMIT, LIMIT / 4);
}

static unsigned serve_all(void)
{
    unsigned turns = 0;

    while (order_serve(&memory))
        turns++;
    return turns;
}

static void what_is_ordered_is_there_after_a_turn_for_each_huge_page(void)
{
    struct order a = {0}, b = {0};
    uint8_t *pages;

    begin();
    order_place(&memory, &a, 4 * (size_t)PAGES_HUGE);
    order_place(&memory, &b, PAGES_HUGE);
    order_place(&memory, &a, PAGES_HUGE); /* it is ordered already */
    CHECK(order_is_open(&a) && !order_take(&memory, &a, 4 * (size_t)PAGES_HUGE));
    CHECK(serve_all() == 5);
    CHECK(!order_is_open(&a) && memory_used(&memory) == 5 * (size_t)PAGES_HUGE);
    pages = order_take(&memory, &a, 4 * (size_t)PAGES_HUGE);
    CHECK(pages && pages[0] == 0 && pages[4 * (size_t)PAGES_HUGE - 1] == 0);
    CHECK(!order_take(&memory, &a, 4 * (size_t)PAGES_HUGE));
    pages_free(&memory, pages, 4 * (size_t)PAGES_HUGE);
    order_drop(&memory, &b);
    CHECK(memory_used(&memory) == 0 && !order_take(&memory, &b, PAGES_HUGE));
}

static void what_is_not_wanted_any_more_goes_back(void)
{
    struct order o = {0};

    begin();
    order_place(&memory, &o, PAGES_HUGE);
    CHECK(serve_all() == 1);
    CHECK(!order_take(&memory, &o, 2 * (size_t)PAGES_HUGE) && memory_used(&memory) == 0);
    order_place(&memory, &o, 2 * (size_t)PAGES_HUGE);
    CHECK(serve_all() == 2);
    order_fini(&memory, &o);
    CHECK(memory_used(&memory) == 0);
}

static void without_memory_an_order_ends_and_others_are_served(void)
{
    struct order large = {0}, small = {0};

    begin();
    order_place(&memory, &small, PAGES_HUGE);
    order_place(&memory, &large, LIMIT);
    serve_all();
    CHECK(!order_is_open(&large) && !order_take(&memory, &large, LIMIT));
    CHECK(memory_used(&memory) == PAGES_HUGE);
    order_fini(&memory, &small);
    order_fini(&memory, &large);
    CHECK(memory_used(&memory) == 0);
}

static void an_end_takes_orders_back_wherever_they_are(void)
{
    struct order orders[4] = {0};

    begin();
    for (int i = 0; i < 3; i++)
        order_place(&memory, &orders[i], 2 * (size_t)PAGES_HUGE);
    CHECK(order_serve(&memory)); /* one is half done, two wait for their turn */
    order_place(&memory, &orders[3], PAGES_HUGE);
    for (int i = 0; i < 4; i++)
        order_fini(&memory, &orders[i]);
    CHECK(!order_serve(&memory) && memory_used(&memory) == 0);
}

int main(void)
{
    RUN(what_is_ordered_is_there_after_a_turn_for_each_huge_page);
    RUN(what_is_not_wanted_any_more_goes_back);
    RUN(without_memory_an_order_ends_and_others_are_served);
    RUN(an_end_takes_orders_back_wherever_they_are);
    return DONE();
}
