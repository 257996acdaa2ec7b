#include "trace/slots.h"

#include "base/err.h"
#include "base/pages.h"

#include <stdlib.h>

enum {
    SLOTS_MIN = 512,
    MOVED_A_STEP = 16,
    FORGOTTEN = PAGES_HUGE / sizeof(struct slot), /* of the old array, given back at once */
};
static const uint32_t gone = UINT32_MAX;

static size_t array_bytes(uint32_t mask)
{
    return ((size_t)mask + 1) * sizeof(struct slot);
}

void slots_init(struct slots *s, struct memory *memory)
{
    *s = (struct slots){.memory = memory, .mask = SLOTS_MIN - 1};
    s->now = pages_new_forced(memory, array_bytes(s->mask));
    if (!s->now)
        err_no_memory("the table of traces");
}

void slots_fini(struct slots *s)
{
    pages_free(s->memory, s->now, array_bytes(s->mask));
    pages_free(s->memory, s->old, array_bytes(s->old_mask));
    order_fini(s->memory, &s->order);
    *s = (struct slots){0};
}

/* Where to look in the old array: what lies before `moved` is done with. */
static uint32_t old_start(const struct slots *s, uint32_t tag)
{
    uint32_t home = tag & s->old_mask;

    if (s->moved > s->old_mask)
        return home;
    return home < s->moved ? s->moved : home;
}

uint32_t slots_find(const struct slots *s, uint32_t tag, slots_same_fn *same, const void *arg)
{
    for (uint32_t i = tag & s->mask; s->now[i].item; i = (i + 1) & s->mask)
        if (s->now[i].tag == tag && same(arg, s->now[i].item))
            return s->now[i].item;
    if (!s->old)
        return 0;
    for (uint32_t i = old_start(s, tag); s->old[i].item; i = (i + 1) & s->old_mask)
        if (s->old[i].tag == tag && s->old[i].item != gone && same(arg, s->old[i].item))
            return s->old[i].item;
    return 0;
}

static void put(struct slots *s, struct slot slot)
{
    uint32_t i = slot.tag & s->mask;

    while (s->now[i].item)
        i = (i + 1) & s->mask;
    s->now[i] = slot;
}

static void move_one(struct slots *s)
{
    struct slot *slot = &s->old[s->moved++];

    if (slot->item != 0 && slot->item != gone)
        put(s, *slot);
    if (slot->item != 0)
        slot->item = gone; /* not empty: what was pushed behind it must still be found */
    if (s->moved % FORGOTTEN == 0)
        pages_forget(s->old + s->moved - FORGOTTEN, FORGOTTEN * sizeof(struct slot));
}

static void move_some(struct slots *s, uint32_t n)
{
    if (!s->old)
        return;
    for (; n > 0 && s->moved <= s->old_mask; n--)
        move_one(s);
    if (s->moved <= s->old_mask)
        return;
    pages_free(s->memory, s->old, array_bytes(s->old_mask));
    s->old = NULL;
}

static bool resize(struct slots *s, uint32_t slots)
{
    struct slot *array = order_take(s->memory, &s->order, array_bytes(slots - 1));

    move_some(s, UINT32_MAX);
    if (!array)
        array = s->forced ? pages_new_forced(s->memory, array_bytes(slots - 1))
                          : pages_new(s->memory, array_bytes(slots - 1));
    if (!array)
        return false;
    s->old = s->now;
    s->old_mask = s->mask;
    s->moved = 0;
    s->now = array;
    s->mask = slots - 1;
    return true;
}

bool slots_make_room(struct slots *s)
{
    uint64_t slots = (uint64_t)s->mask + 1;

    if (s->count < slots / 8 * 5)
        return true;
    if (slots * 2 * sizeof(struct slot) >= PAGES_HUGE)
        order_place(s->memory, &s->order, slots * 2 * sizeof(struct slot));
    if (s->count < slots / 4 * 3 || (order_is_open(&s->order) && s->count < slots / 8 * 7))
        return true;
    if (slots < UINT64_C(1) << 31 && resize(s, (uint32_t)slots * 2))
        return true;
    return s->count < slots / 16 * 15;
}

bool slots_reserve(struct slots *s, size_t more)
{
    uint64_t slots = (uint64_t)s->mask + 1, wanted = slots;

    while (s->count + more >= wanted / 4 * 3)
        wanted *= 2;
    if (wanted == slots || (wanted <= UINT64_C(1) << 31 && resize(s, (uint32_t)wanted)))
        return true;
    return s->count + more < slots / 16 * 15;
}

void slots_add(struct slots *s, uint32_t tag, uint32_t item)
{
    move_some(s, MOVED_A_STEP);
    put(s, (struct slot){tag, item});
    s->count++;
}

/* Closes the gap at i: pulls back what probing would no longer reach. */
static void shift_back(struct slots *s, uint32_t i)
{
    for (uint32_t next = (i + 1) & s->mask; s->now[next].item; next = (next + 1) & s->mask) {
        uint32_t home = s->now[next].tag & s->mask;

        if (((next - home) & s->mask) < ((next - i) & s->mask))
            continue;
        s->now[i] = s->now[next];
        i = next;
    }
    s->now[i].item = 0;
}

static void take_out(struct slots *s, uint32_t tag, uint32_t item)
{
    for (uint32_t i = tag & s->mask; s->now[i].item; i = (i + 1) & s->mask) {
        if (s->now[i].item != item)
            continue;
        shift_back(s, i);
        return;
    }
    if (!s->old)
        return;
    for (uint32_t i = old_start(s, tag); s->old[i].item; i = (i + 1) & s->old_mask) {
        if (s->old[i].item != item)
            continue;
        s->old[i].item = gone;
        return;
    }
}

void slots_remove(struct slots *s, uint32_t tag, uint32_t item)
{
    take_out(s, tag, item);
    s->count--;
    move_some(s, MOVED_A_STEP);
    if (!s->old && s->mask + 1 > SLOTS_MIN && s->count < (s->mask + 1) / 16)
        (void)resize(s, (s->mask + 1) / 4 > SLOTS_MIN ? (s->mask + 1) / 4 : SLOTS_MIN);
}

size_t slots_bytes(const struct slots *s)
{
    return array_bytes(s->mask) + (s->old ? array_bytes(s->old_mask) : 0);
}
