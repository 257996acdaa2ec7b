/* random.h: a small seeded generator (xoshiro256**) for jitter and generated traffic; not for keys.
 */
#pragma once

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* 0 <= result < n; n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);
/* [0, 1). */
double rng_unit(struct rng *r);
