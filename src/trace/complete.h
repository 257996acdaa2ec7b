/* complete.h: is every parent of a trace among its spans? The trace table's own. */
#pragma once

#include "trace/trace.h"

/* A set of the hashes of span ids; 0 is never in it. */
struct id_set {
    uint32_t *slots;
    uint32_t mask;
    size_t counted;
    struct memory *memory;
    uint32_t small[512];
};

/* For `ids` ids. False: the kernel has no memory. */
bool id_set_init(struct id_set *s, uint32_t ids, struct memory *memory);
void id_set_fini(struct id_set *s);
void id_set_add(struct id_set *s, uint32_t hash);
bool id_set_has(const struct id_set *s, uint32_t hash);
