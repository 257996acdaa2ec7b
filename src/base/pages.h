/* pages.h: runs of zeroed pages straight from the kernel, counted in the memory limiter.
 *
 * For blocks that are large, long-lived, or given back as a whole: nothing is touched until it is
 * used, and what is freed leaves the process. Sizes are rounded up to whole pages. Any thread.
 *
 * Blocks of a multiple of PAGES_HUGE bytes are aligned to it and asked for as huge pages, which
 * costs a sixth less CPU on a span's path (fewer faults, fewer misses of the TLB). Where the kernel
 * has transparent huge pages off, they are ordinary pages. The first byte touched may make
 * PAGES_HUGE bytes resident: all of a block is counted from the start.
 */
#pragma once

#include "base/memory.h"

enum { PAGES_HUGE = 2 << 20 };

/* NULL: over the limit, or the kernel has none; nothing is counted. */
void *pages_new(struct memory *m, size_t bytes);
/* Counts whatever the limit says; NULL only if the kernel has none. */
void *pages_new_forced(struct memory *m, size_t bytes);
/* `bytes` as given to pages_new or to the last pages_shrink. NULL is allowed. */
void pages_free(struct memory *m, void *p, size_t bytes);
/* Gives the pages behind the first `keep` bytes back, huge ones as a whole; returns the bytes that
 * are still held. */
size_t pages_shrink(struct memory *m, void *p, size_t bytes, size_t keep);

/* Touches each page of a fresh block, so that whoever uses it has no fault: where a virtual machine
 * gives its free pages back to its host, a huge page takes 7 ms when it is touched first. */
void pages_touch(void *p, size_t bytes);

/* Says that whole pages from `p` on will not be read again: they leave the process, but stay
 * counted until pages_free. Spreads the cost of freeing a large run. In a block of huge pages `p`
 * and `bytes` are multiples of PAGES_HUGE: a part of one would stay. */
void pages_forget(void *p, size_t bytes);

/* Address space of which little will be touched: uncounted (see memory_add), zeroed. Start-up
 * only: aborts without it. */
void *pages_map(size_t bytes);
void pages_unmap(void *p, size_t bytes);
