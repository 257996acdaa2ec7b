#include "base/random.h"
#include "check.h"
#include "trace/slots.h"

#include <stdlib.h>

static struct memory memory;

/* Items are numbered so that their tag follows: collisions are frequent on purpose. */
static uint32_t tag_of(uint32_t item)
{
    return item / 3 * 2654435761u;
}

static bool is_item(const void *arg, uint32_t item)
{
    return *(const uint32_t *)arg == item;
}

static bool has(const struct slots *s, uint32_t item)
{
    return slots_find(s, tag_of(item), is_item, &item) == item;
}

static void what_was_added_is_found_while_the_array_grows_and_shrinks(void)
{
    enum { ITEMS = 150000 };
    bool *here = calloc(ITEMS + 1, sizeof(*here));
    struct slots s;
    struct rng rng;
    uint32_t count = 0, moving = 0, most = 0;

    memory_init(&memory, 64 << 20, 1 << 20);
    rng_seed(&rng, 7);
    slots_init(&s, &memory);
    for (int i = 0; i < 2000000; i++) {
        uint32_t item = 1 + (uint32_t)rng_below(&rng, ITEMS);
        bool adding = i / 400000 % 2 == 0 ? rng_below(&rng, 4) : !rng_below(&rng, 40);

        moving += s.old != NULL;
        most = s.old && s.old_mask > most ? s.old_mask : most;
        CHECK(has(&s, item) == here[item]);
        if (here[item] == adding)
            continue;
        if (adding) {
            CHECK(slots_make_room(&s));
            slots_add(&s, tag_of(item), item);
        } else {
            slots_remove(&s, tag_of(item), item);
        }
        here[item] = adding;
        count += adding ? 1 : -1u;
    }
    CHECK(s.count == count && moving > 10000 && most >= 65535);
    for (uint32_t item = 1; item <= ITEMS; item++)
        CHECK(has(&s, item) == here[item]);
    CHECK(memory_used(&memory) == slots_bytes(&s));
    slots_fini(&s);
    CHECK(memory_used(&memory) == 0);
    free(here);
}

static void without_memory_to_grow_it_fills_up_and_then_refuses(void)
{
    struct slots s;
    uint32_t item = 1;

    memory_init(&memory, 4096, 1);
    slots_init(&s, &memory);
    for (; item < 1000 && slots_make_room(&s); item++)
        slots_add(&s, tag_of(item), item);
    CHECK(s.count == 480 && item == 481);
    for (uint32_t i = 1; i < item; i++)
        CHECK(has(&s, i));
    slots_remove(&s, tag_of(1), 1);
    CHECK(slots_make_room(&s) && !has(&s, 1));
    slots_fini(&s);
}

int main(void)
{
    RUN(what_was_added_is_found_while_the_array_grows_and_shrinks);
    RUN(without_memory_to_grow_it_fills_up_and_then_refuses);
    return DONE();
}
