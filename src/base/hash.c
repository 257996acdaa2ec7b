#include "base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 = rotl(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word, int rounds)
{
    s->v3 ^= word;
    for (int i = 0; i < rounds; i++)
        sip_round(s);
    s->v0 ^= word;
}

static inline uint64_t load_le64(const uint8_t *p, size_t len)
{
    uint64_t word = 0;

    if (len < 8) {
        for (size_t i = 0; i < len; i++)
            word |= (uint64_t)p[i] << (8 * i);
        return word;
    }
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The constants are "somepseudorandomlygeneratedbytes", as published. Inlined with constant
 * numbers of rounds into both public functions. */
static inline __attribute__((always_inline)) uint64_t
siphash(struct hash_key key, const uint8_t *data, size_t len, int rounds, int last_rounds)
{
    struct sip s = {
        key.k0 ^ UINT64_C(0x736f6d6570736575),
        key.k1 ^ UINT64_C(0x646f72616e646f6d),
        key.k0 ^ UINT64_C(0x6c7967656e657261),
        key.k1 ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = len & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8)
        sip_word(&s, load_le64(data + i, 8), rounds);
    sip_word(&s, (uint64_t)len << 56 | (len > whole ? load_le64(data + whole, len - whole) : 0),
             rounds);
    s.v2 ^= 0xff;
    for (int i = 0; i < last_rounds; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct hash_key hash_key_random(void)
{
    struct hash_key key;

    if (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key))
        abort();
    return key;
}

uint64_t hash_bytes(struct hash_key key, const void *data, size_t len)
{
    return siphash(key, data, len, 1, 3);
}

uint64_t siphash24(struct hash_key key, const void *data, size_t len)
{
    return siphash(key, data, len, 2, 4);
}
