/* hash.h: keyed hashing of what peers choose (SipHash, Aumasson and Bernstein 2012). */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0, k1;
};

/* A random key from the kernel. Start-up only: aborts without randomness. */
struct hash_key hash_key_random(void);

/* SipHash-1-3: for tables. */
uint64_t hash_bytes(struct hash_key key, const void *data, size_t len);
/* SipHash-2-4, as published: for values that every node must agree on. */
uint64_t siphash24(struct hash_key key, const void *data, size_t len);
