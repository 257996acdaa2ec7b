/* hash_set.h: a set of 64-bit hashes, which stand for what they are of. The journal's own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Start with {0}. */
struct hash_set {
    uint64_t *slots; /* 0: empty */
    size_t mask, count;
    bool failed; /* there was no memory: something is missing in it */
};

/* False: it was there. hash: not 0. */
bool hash_set_add(struct hash_set *s, uint64_t hash);
bool hash_set_has(const struct hash_set *s, uint64_t hash);
void hash_set_fini(struct hash_set *s);
