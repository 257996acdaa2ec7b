/* byte_ring.h: runs of bytes on their way from one writing to one reading thread.
 *
 * It lies beside a ring of items that say where their bytes are: the reader frees in the order in
 * which the writer has added, so nothing is allocated for an item and freed by another thread. What
 * was written to a run is visible to who has its item from a ring (release, acquire). A struct that
 * holds one is aligned to 64 bytes.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct byte_ring {
    _Alignas(64) _Atomic uint64_t freed; /* bytes ever; the reader's */
    _Alignas(64) uint64_t added;         /* bytes ever; the writer's */
    size_t size;
    uint8_t *bytes;
};

/* Start-up only: aborts without memory. What was never added is not touched. */
void byte_ring_init(struct byte_ring *r, size_t size);
void byte_ring_fini(struct byte_ring *r);

/* `len` bytes in one piece, the caller's to write until it hands them on; *end: for
 * byte_ring_free. NULL: there is no room now, or never will be. Writer only. */
uint8_t *byte_ring_add(struct byte_ring *r, size_t len, uint64_t *end);
/* All runs up to the one with this end are free. Reader only. */
void byte_ring_free(struct byte_ring *r, uint64_t end);
