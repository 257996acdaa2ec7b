/* source_set.h: frames by the source that decisions name them by, each met once. For recent.c. */
#pragma once

#include "base/memory.h"

struct source_set {
    uint64_t *numbers; /* sorted, each once, after source_set_sort */
    uint8_t *met;      /* by number; behind the numbers, in one block */
    size_t count, met_count;
};

/* Room for `room` numbers, which the caller appends at numbers[count++]; `memory` may be NULL.
 * False: there is no memory. */
bool source_set_init(struct source_set *s, size_t room, struct memory *memory);
void source_set_fini(struct source_set *s, struct memory *memory); /* also after {0} */
void source_set_sort(struct source_set *s);
/* It is there, and was not met: what is moved lies in two places. */
bool source_set_awaits(const struct source_set *s, uint64_t source);
/* It is met, unless it was. */
void source_set_meet(struct source_set *s, uint64_t source);
