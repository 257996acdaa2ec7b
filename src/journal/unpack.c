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

static struct unpacked *find(struct unpack *u, uint32_t number, size_t at)
{
    for (unsigned i = 0; i < UNPACK_SLOTS; i++)
        if (holds(u, &u->slots[i], number, at))
            return &u->slots[i];
    return NULL;
}

static struct unpacked *find_empty(struct unpack *u)
{
    for (unsigned i = 0; i < UNPACK_SLOTS; i++)
        if (!u->slots[i].bytes)
            return &u->slots[i];
    return NULL;
}

/* That which was looked at the longest ago. NULL: all that are here are needed. */
static struct unpacked *find_oldest(struct unpack *u)
{
    struct unpacked *found = NULL;

    for (unsigned i = 0; i < UNPACK_SLOTS; i++) {
        struct unpacked *slot = &u->slots[i];

        if (slot->bytes && slot->look != u->look && (!found || slot->look < found->look))
            found = slot;
    }
    return found;
}

/* An empty slot for `size` bytes. NULL: there is no room. */
static struct unpacked *make_room(struct unpack *u, size_t size)
{
    struct unpacked *slot = find_empty(u);

    while (!slot || u->bytes + size > u->max) {
        struct unpacked *oldest = find_oldest(u);

        if (!oldest)
            return NULL;
        forget(u, oldest);
        slot = oldest;
    }
    return slot;
}

bool unpack_bring(struct unpack *u, uint32_t number, size_t at)
{
    const struct segment *segment = segment_at(u->segments, number);
    struct unpacked *slot = find(u, number, at);
    struct pack_block block;

    if (slot) {
        slot->look = u->look;
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

const uint8_t *unpack_find(struct unpack *u, uint32_t number, size_t at)
{
    const struct unpacked *slot = find(u, number, at);

    assert(slot); /* it was brought */
    return slot->bytes + (at - slot->block.from);
}
