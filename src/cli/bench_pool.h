/* bench_pool.h: request bodies for measuring: made once, given out again and again with fresh ids.
 *
 * A block is 40 traces of 8 spans in 4 requests of 80 spans, one request a service; a trace lies in
 * 2, 3 or 4 of them. 2 traces of a block have an error, 2 are slow (over 500 ms). A span has 10
 * attributes and about 470 bytes. The requests of a block come BENCH_LAG blocks apart, as those of
 * services that batch by themselves do. Ids are a function of the seed and the trace's number, so
 * they are unique in a run. Belongs to one thread.
 */
#pragma once

#include "base/buf.h"

enum { BENCH_TRACES = 40, BENCH_REQUESTS = 4, BENCH_SPANS = 80, BENCH_LAG = 20 };

struct bench_pool;

/* `unix_ns`: about when the spans ended. NULL without memory. Owned by the caller. */
struct bench_pool *bench_pool_new(uint64_t seed, uint64_t unix_ns);
void bench_pool_free(struct bench_pool *p);

/* Says that no more than `blocks` blocks will be begun. */
void bench_pool_limit(struct bench_pool *p, uint64_t blocks);

/* Writes the next request (BENCH_SPANS spans). False: the limit is reached and all is out. */
bool bench_pool_next(struct bench_pool *p, struct buf *out);
uint64_t bench_pool_blocks(const struct bench_pool *p); /* begun so far */
