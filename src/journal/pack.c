#include "journal/pack.h"

#include "base/err.h"
#include "journal/frame.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_BYTES = 128 << 10, /* frames are put together up to this */
    BLOCK_MAX = 256 << 10,   /* a frame is not larger where it is to be compressed */
    STEP_BYTES = 256 << 10,  /* in a call, about: 0.2 ms */
    SEGMENT_LARGE = 4 << 20, /* it comes back in one go */
    SAVED_SHARE = 4,         /* a copy saves a quarter at least */
    ACCELERATION = 1,
};

struct packed_block {
    uint32_t number, at, len; /* segment, and where in it */
    uint32_t from;            /* where the frames were */
};

struct packed {
    uint32_t count, done; /* blocks in all; that are there */
    size_t bytes;         /* of them */
    struct packed_block blocks[];
};

void pack_init(struct pack *p, struct segments *segments, bool enabled)
{
    *p = (struct pack){.segments = segments};
    if (!enabled)
        return;
    p->state = malloc((size_t)LZ4_sizeofState());
    p->scratch = malloc((size_t)LZ4_compressBound(BLOCK_MAX));
    if (!p->state || !p->scratch)
        err_no_memory("the compression of segments");
}

void pack_fini(struct pack *p)
{
    free(p->state);
    free(p->scratch);
}

static struct segment *at(const struct pack *p, uint32_t number)
{
    return segment_at(p->segments, number);
}

bool pack_suits(const struct pack *p, const struct segment *segment)
{
    return p->state && !segment->is_dense && segment->filled > 0 &&
           segment->filled <= SEGMENT_LARGE;
}

bool pack_has(const struct segment *segment)
{
    return segment->packed && segment->packed->done == segment->packed->count;
}

/* The journal thread collects it when it was the last one. */
static void unref(const struct pack *p, uint32_t number)
{
    (void)segments_release(p->segments, number, 1);
}

static void close_open(struct pack *p)
{
    if (!p->open)
        return;
    at(p, p->open)->open = false;
    unref(p, p->open);
    p->open = 0;
}

/* What comes in must leave room for this: it lets go of more than it takes. */
static bool may_take(const struct segments *s, size_t len)
{
    return len <= s->segment_bytes &&
           (s->free_count > 0 || memory_has_room(s->memory, s->segment_bytes));
}

/* Where `len` bytes go. False: there is no memory. */
static bool has_place(struct pack *p, size_t len)
{
    if (p->open && at(p, p->open)->size - at(p, p->open)->used >= len)
        return true;
    if (!may_take(p->segments, len))
        return false;
    close_open(p);
    p->open = segments_take(p->segments, len, SEGMENT_PACKED, true);
    return p->open != 0;
}

static size_t block_len(const struct segment *segment, uint32_t i)
{
    const struct packed *packed = segment->packed;
    size_t end = i + 1 < packed->count ? packed->blocks[i + 1].from : segment->filled;

    return end - packed->blocks[i].from;
}

/* The length of the frame at `at`; 0: there is none that could be compressed. */
static size_t frame_len(const struct segment *segment, size_t at)
{
    const struct frame_header *header = (const struct frame_header *)(segment->bytes + at);
    size_t len;

    if (segment->filled - at < sizeof(*header) || header->magic != FRAME_MAGIC)
        return 0;
    len = frame_size(header->tlv_len, header->stored_len);
    return len <= BLOCK_MAX && len <= segment->filled - at ? len : 0;
}

/* Where blocks begin; `blocks` may be NULL. Returns how many there are; 0: it is not to be done. */
static uint32_t find_blocks(const struct segment *segment, struct packed_block *blocks)
{
    uint32_t count = 0;
    size_t begin = 0;

    for (size_t at = 0, len; at < segment->filled; at += len) {
        len = frame_len(segment, at);
        if (len == 0)
            return 0;
        if (at > 0 && at + len - begin <= BLOCK_BYTES)
            continue;
        if (blocks)
            blocks[count].from = (uint32_t)at;
        begin = at;
        count++;
    }
    return count;
}

static bool begin(struct segment *segment)
{
    uint32_t count = find_blocks(segment, NULL);
    struct packed *packed;

    if (count == 0) {
        segment->is_dense = true;
        return false;
    }
    packed = calloc(1, sizeof(*packed) + count * sizeof(*packed->blocks));
    if (!packed)
        return false;
    packed->count = find_blocks(segment, packed->blocks);
    segment->packed = packed;
    return true;
}

/* Compresses the next block to the scratch space; returns its length. */
static size_t compress(const struct pack *p, const struct segment *segment, uint32_t i)
{
    int len = LZ4_compress_fast_extState(
        p->state, (const char *)segment->bytes + segment->packed->blocks[i].from,
        (char *)p->scratch, (int)block_len(segment, i), LZ4_compressBound(BLOCK_MAX), ACCELERATION);

    assert(len > 0);
    return (size_t)len;
}

static bool put(struct pack *p, struct packed *packed, size_t len)
{
    struct packed_block *block;
    struct segment *to;

    if (!has_place(p, len))
        return false;
    to = at(p, p->open);
    memcpy(to->bytes + to->used, p->scratch, len);
    block = &packed->blocks[packed->done++];
    block->number = p->open;
    block->at = (uint32_t)to->used;
    block->len = (uint32_t)len;
    atomic_fetch_add_explicit(&to->references, 1, memory_order_relaxed);
    to->used += len;
    packed->bytes += len;
    p->bytes += len;
    return true;
}

/* What is there so far has not become smaller by as much as it should. */
static bool is_dense(const struct segment *segment)
{
    const struct packed *packed = segment->packed;
    size_t done =
        packed->done < packed->count ? packed->blocks[packed->done].from : segment->filled;

    return packed->bytes > done - done / SAVED_SHARE;
}

/* False: there is no memory, or it does not get smaller. */
static bool pack_block(struct pack *p, struct segment *segment)
{
    if ((!segment->packed && !begin(segment)) ||
        !put(p, segment->packed, compress(p, segment, segment->packed->done)))
        return false;
    segment->is_dense = is_dense(segment);
    return !segment->is_dense;
}

enum pack_progress pack_some(struct pack *p, uint32_t number)
{
    struct segment *segment = at(p, number);
    size_t done = 0;

    assert(segment->bytes && pack_suits(p, segment) && !pack_has(segment));
    while (done < STEP_BYTES && !pack_has(segment)) {
        if (!pack_block(p, segment)) {
            pack_drop(p, number);
            return PACK_FAILED;
        }
        done += block_len(segment, segment->packed->done - 1);
    }
    return pack_has(segment) ? PACK_DONE : PACK_MORE;
}

struct pack_block pack_block_at(const struct segment *segment, size_t at)
{
    const struct packed *packed = segment->packed;
    uint32_t low = 0, high = packed->count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (packed->blocks[middle].from <= at)
            low = middle;
        else
            high = middle;
    }
    return (struct pack_block){low, packed->blocks[low].from, block_len(segment, low)};
}

void pack_read(const struct segments *s, const struct segment *segment, struct pack_block block,
               uint8_t *to)
{
    const struct packed_block *b = &segment->packed->blocks[block.index];
    int len = LZ4_decompress_safe((const char *)segment_at(s, b->number)->bytes + b->at, (char *)to,
                                  (int)b->len, (int)block.size);

    if (len < 0 || (size_t)len != block.size)
        abort(); /* memory is not what was written to it */
}

void pack_expand(struct pack *p, uint32_t number)
{
    struct segment *segment = at(p, number);
    const struct packed *packed = segment->packed;

    for (uint32_t i = 0; i < packed->count; i++)
        pack_read(p->segments, segment,
                  (struct pack_block){i, packed->blocks[i].from, block_len(segment, i)},
                  segment->bytes + packed->blocks[i].from);
}

void pack_drop(struct pack *p, uint32_t number)
{
    struct segment *segment = at(p, number);
    struct packed *packed = segment->packed;

    if (!packed)
        return;
    for (uint32_t i = 0; i < packed->done; i++)
        unref(p, packed->blocks[i].number);
    p->bytes -= packed->bytes;
    free(packed);
    segment->packed = NULL;
}
