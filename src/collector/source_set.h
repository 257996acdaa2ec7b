/* source_set.h: frames by the source that decisions name them by. For recent.c. */
#pragma once

#include "base/memory.h"

struct source_set {
    uint64_t *numbers; /* sorted, each once, after source_set_sort */
    uint8_t *met;      /* by number; behind the numbers, in one block */
    size_t count;
};

/* Room for `room` numbers, which the caller appends at numbers[count++]; `memory` may be NULL.
 * False: there is no memory. */
bool source_set_init(struct source_set *s, size_t room, struct memory *memory);
void source_set_fini(struct source_set *s, struct memory *memory); /* also after {0} */
void source_set_sort(struct source_set *s);
/* Which one it is; SIZE_MAX: it is not there. */
size_t source_set_find(const struct source_set *s, uint64_t source);
