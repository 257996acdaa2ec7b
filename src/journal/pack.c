#include "journal/pack.h"

#include "base/err.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_BYTES = 256 << 10, /* compressed in about 0.2 ms; LZ4 looks back 64 KiB */
    BLOCKS_MAX = 16,         /* of a segment: it comes back in one go */
    SAVED_SHARE = 4,         /* a copy saves a quarter at least */
    ACCELERATION = 1,
};

struct packed_block {
    uint32_t number, at, len; /* segment, and where in it */
};

struct packed {
    uint32_t count, done; /* blocks in all; that are there */
    size_t bytes;         /* of them */
    struct packed_block blocks[BLOCKS_MAX];
};

void pack_init(struct pack *p, struct segments *segments, bool enabled)
{
    *p = (struct pack){.segments = segments};
    if (!enabled)
        return;
    p->state = malloc((size_t)LZ4_sizeofState());
    p->scratch = malloc((size_t)LZ4_compressBound(BLOCK_BYTES));
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
           segment->filled <= (size_t)BLOCKS_MAX * BLOCK_BYTES;
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
    size_t rest = segment->filled - (size_t)i * BLOCK_BYTES;

    return rest < BLOCK_BYTES ? rest : BLOCK_BYTES;
}

static bool begin(struct segment *segment)
{
    struct packed *packed = calloc(1, sizeof(*packed));

    if (!packed)
        return false;
    packed->count = (uint32_t)((segment->filled + BLOCK_BYTES - 1) / BLOCK_BYTES);
    segment->packed = packed;
    return true;
}

/* Compresses the next block to the scratch space; returns its length. */
static size_t compress(const struct pack *p, const struct segment *segment, uint32_t i)
{
    int len = LZ4_compress_fast_extState(
        p->state, (const char *)segment->bytes + (size_t)i * BLOCK_BYTES, (char *)p->scratch,
        (int)block_len(segment, i), LZ4_compressBound(BLOCK_BYTES), ACCELERATION);

    assert(len > 0);
    return (size_t)len;
}

static bool put(struct pack *p, struct packed *packed, size_t len)
{
    struct segment *to;

    if (!has_place(p, len))
        return false;
    to = at(p, p->open);
    memcpy(to->bytes + to->used, p->scratch, len);
    packed->blocks[packed->done++] =
        (struct packed_block){p->open, (uint32_t)to->used, (uint32_t)len};
    atomic_fetch_add_explicit(&to->references, 1, memory_order_relaxed);
    to->used += len;
    packed->bytes += len;
    p->bytes += len;
    return true;
}

/* What is there so far has not become smaller by as much as it should. */
static bool is_dense(const struct segment *segment)
{
    size_t done = (size_t)segment->packed->done * BLOCK_BYTES;

    if (done > segment->filled)
        done = segment->filled;
    return segment->packed->bytes > done - done / SAVED_SHARE;
}

enum pack_progress pack_some(struct pack *p, uint32_t number)
{
    struct segment *segment = at(p, number);

    assert(segment->bytes && pack_suits(p, segment) && !pack_has(segment));
    if ((!segment->packed && !begin(segment)) ||
        !put(p, segment->packed, compress(p, segment, segment->packed->done))) {
        pack_drop(p, number);
        return PACK_FAILED;
    }
    if (is_dense(segment)) {
        segment->is_dense = true;
        pack_drop(p, number);
        return PACK_FAILED;
    }
    return pack_has(segment) ? PACK_DONE : PACK_MORE;
}

void pack_expand(struct pack *p, uint32_t number)
{
    struct segment *segment = at(p, number);
    const struct packed *packed = segment->packed;

    for (uint32_t i = 0; i < packed->count; i++) {
        const struct packed_block *b = &packed->blocks[i];
        size_t want = block_len(segment, i);
        int len = LZ4_decompress_safe((const char *)at(p, b->number)->bytes + b->at,
                                      (char *)segment->bytes + (size_t)i * BLOCK_BYTES, (int)b->len,
                                      (int)want);

        if (len < 0 || (size_t)len != want)
            abort(); /* memory is not what was written to it */
    }
    pack_drop(p, number);
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
