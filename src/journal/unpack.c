#include "journal/unpack.h"

#include <assert.h>
#include <string.h>

void unpack_init(struct unpack *u, const struct segments *segments, size_t max)
{
    memset(u, 0, sizeof(*u));
    u->segments = segments;
    u->max = max;
}

static void forget(struct unpack *u, struct unpacked *slot)
{
    if (!slot->bytes)
        return;
    counted_free(u->segments->memory, slot->bytes);
    u->bytes -= slot->block.size;
    slot->bytes = NULL;
}

void unpack_fini(struct unpack *u)
{
    for (unsigned i = 0; i < UNPACK_SLOTS; i++)
        forget(u, &u->slots[i]);
}

void unpack_begin(struct unpack *u)
{
    u->look++;
}

static bool holds(const struct unpack *u, const struct unpacked *slot, uint32_t number, size_t at)
{
    return slot->bytes && slot->segment == number && at >= slot->block.from &&
           at - slot->block.from < slot->block.size &&
           slot->generation == segment_at(u->segments, number)->generation;
}

/* One without content, or that which was looked at the longest ago. NULL: all are needed. */
static struct unpacked *least_needed(struct unpack *u)
{
    struct unpacked *found = NULL;

    for (unsigned i = 0; i < UNPACK_SLOTS; i++) {
        struct unpacked *slot = &u->slots[i];

        if (!slot->bytes)
            return slot;
        if (slot->look != u->look && (!found || slot->look < found->look))
            found = slot;
    }
    return found;
}

static struct unpacked *oldest(struct unpack *u)
{
    struct unpacked *found = NULL;

    for (unsigned i = 0; i < UNPACK_SLOTS; i++) {
        struct unpacked *slot = &u->slots[i];

        if (slot->bytes && slot->look != u->look && (!found || slot->look < found->look))
            found = slot;
    }
    return found;
}

/* A free slot for `size` bytes. NULL: there is no room. */
static struct unpacked *make_room(struct unpack *u, size_t size)
{
    struct unpacked *slot = least_needed(u), *old;

    if (!slot)
        return NULL;
    forget(u, slot);
    while (u->bytes + size > u->max) {
        old = oldest(u);
        if (!old)
            return NULL;
        forget(u, old);
    }
    return slot;
}

bool unpack_bring(struct unpack *u, uint32_t number, size_t at)
{
    const struct segment *segment = segment_at(u->segments, number);
    struct unpacked *slot;
    struct pack_block block;

    for (unsigned i = 0; i < UNPACK_SLOTS; i++)
        if (holds(u, &u->slots[i], number, at)) {
            u->slots[i].look = u->look;
            return true;
        }
    block = pack_block_at(segment, at);
    slot = make_room(u, block.size);
    if (!slot)
        return false;
    slot->bytes = counted_realloc_forced(u->segments->memory, NULL, block.size);
    if (!slot->bytes)
        return false;
    pack_read(u->segments, segment, block, slot->bytes);
    slot->segment = number;
    slot->generation = segment->generation;
    slot->block = block;
    slot->look = u->look;
    u->bytes += block.size;
    atomic_fetch_add_explicit(&u->blocks, 1, memory_order_relaxed);
    return true;
}

const uint8_t *unpack_find(const struct unpack *u, uint32_t number, size_t at)
{
    for (unsigned i = 0; i < UNPACK_SLOTS; i++)
        if (holds(u, &u->slots[i], number, at))
            return u->slots[i].bytes + (at - u->slots[i].block.from);
    assert(!"it was not brought");
    return NULL;
}
