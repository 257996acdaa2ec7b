#include "base/byte_ring.h"

#include "base/err.h"

#include <assert.h>
#include <stdlib.h>

void byte_ring_init(struct byte_ring *r, size_t size)
{
    assert(size > 0);
    atomic_init(&r->freed, 0);
    r->added = 0;
    r->size = size;
    r->bytes = malloc(size);
    if (!r->bytes)
        err_no_memory("a ring");
}

void byte_ring_fini(struct byte_ring *r)
{
    free(r->bytes);
    r->bytes = NULL;
}

/* A run that does not fit before the end begins at the front; what is left out goes with it. */
uint8_t *byte_ring_add(struct byte_ring *r, size_t len, uint64_t *end)
{
    size_t at = (size_t)(r->added % r->size);
    size_t skipped = len > r->size - at ? r->size - at : 0;
    uint64_t used = r->added - atomic_load_explicit(&r->freed, memory_order_acquire);

    if (len > r->size || skipped + len > r->size - used)
        return NULL;
    r->added += skipped + len;
    *end = r->added;
    return r->bytes + (skipped ? 0 : at);
}

void byte_ring_free(struct byte_ring *r, uint64_t end)
{
    atomic_store_explicit(&r->freed, end, memory_order_release);
}
