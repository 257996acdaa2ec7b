/* bench_pool.h: request bodies for measuring: made once, given out again and again with fresh ids.
 *
 * A block is 40 traces of 8 spans, 80 spans for each of 4 services; a trace lies with 2, 3 or 4 of
 * them. 2 traces of a block have an error, 2 are slow (over 500 ms). A span has 10 attributes and
 * about 470 bytes. Each service sends its spans in requests of as many as are asked for, BENCH_LAG
 * blocks behind the service before it, as services that batch by themselves do. Ids are a function
 * of the seed and the trace's number, so they are unique in a run. Belongs to one thread.
 */
#pragma once

#include "base/buf.h"

enum {
    BENCH_TRACES = 40,  /* of a block */
    BENCH_SERVICES = 4, /* and the requests of a round, one each */
    BENCH_SPANS = 80,   /* of a service in a block; of a request, where nothing else is said */
    BENCH_LAG = 20,     /* blocks */
    BENCH_SPANS_MAX = 1000
};

struct bench_pool;

/* Whether requests may have so many spans. As bodies are made ahead, few of them must make whole
 * blocks: of 10, 40, 80, 100, 500 they do. */
bool bench_pool_allows(unsigned spans);

/* `spans`: of a request. `unix_ns`: about when the spans ended. NULL with a number that is not
 * allowed, or without memory. Owned by the caller. */
struct bench_pool *bench_pool_new(uint64_t seed, uint64_t unix_ns, unsigned spans);
void bench_pool_free(struct bench_pool *p);

/* Says that no more than `traces` traces will be begun; rounded up to whole rounds. */
void bench_pool_limit(struct bench_pool *p, uint64_t traces);

/* Writes the next request. False: the limit is reached and all is out. */
bool bench_pool_next(struct bench_pool *p, struct buf *out);
uint64_t bench_pool_traces(const struct bench_pool *p); /* begun so far */
