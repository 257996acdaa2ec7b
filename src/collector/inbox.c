#include "collector/inbox.h"

#include <stdlib.h>

struct span_batch *span_batch_new(struct memory *memory, size_t count)
{
    size_t bytes = sizeof(struct span_batch) + count * sizeof(struct scan_span);
    struct span_batch *b;

    if (!memory_reserve(memory, bytes))
        return NULL;
    b = malloc(bytes);
    if (!b) {
        memory_release(memory, bytes);
        return NULL;
    }
    atomic_init(&b->owners, 0);
    b->frame = 0;
    b->bytes = bytes;
    b->memory = memory;
    return b;
}

void span_batch_done(struct span_batch *b)
{
    if (atomic_fetch_sub_explicit(&b->owners, 1, memory_order_acq_rel) != 1)
        return;
    memory_release(b->memory, b->bytes);
    free(b);
}
