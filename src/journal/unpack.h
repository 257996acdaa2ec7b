/* unpack.h: what a worker reads of segments that are held compressed: the last blocks, as they
 * were.
 *
 * The journal's own; one worker. So what is to be decided while memory is short needs none for the
 * segments that it lies in: traces that began together lie in the same blocks, and are decided
 * together.
 */
#pragma once

#include "journal/pack.h"

enum { UNPACK_SLOTS = 64, UNPACK_BYTES = 4 << 20 };

struct unpacked {
    uint32_t segment, generation;
    struct pack_block block;
    uint64_t look;
    uint8_t *bytes; /* owned; NULL: nothing is here */
};

struct unpack {
    const struct segments *segments;
    size_t max, bytes;       /* bound; in all */
    uint64_t look;           /* what was found since unpack_begin stays */
    _Atomic uint64_t blocks; /* expanded, ever; any thread reads it */
    struct unpacked slots[UNPACK_SLOTS];
};

/* `max`: bytes held at most. */
void unpack_init(struct unpack *u, const struct segments *segments, size_t max);
void unpack_fini(struct unpack *u);

/* What was found before may be forgotten. */
void unpack_begin(struct unpack *u);
/* Expands what lies at `at` of a segment whose copy is complete. False: with what else was found
 * since unpack_begin it is more than `max`, or there is no memory. */
bool unpack_bring(struct unpack *u, uint32_t number, size_t at);
/* Where it is, after unpack_bring and before the next unpack_begin. */
const uint8_t *unpack_find(struct unpack *u, uint32_t number, size_t at);
