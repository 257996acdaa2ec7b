#include "base/hash.h"
#include "check.h"

/* The key of the published vectors: bytes 00 to 0f; the message of length n is bytes 00 to n-1. */
static const struct hash_key published = {UINT64_C(0x0706050403020100),
                                          UINT64_C(0x0f0e0d0c0b0a0908)};

static void siphash_2_4_gives_the_published_vectors(void)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        {0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
        {2, UINT64_C(0x0d6c8009d9a94f5a)},  {7, UINT64_C(0xab0200f58b01d137)},
        {8, UINT64_C(0x93f5f5799a932462)},  {15, UINT64_C(0xa129ca6149be45e5)},
        {63, UINT64_C(0x958a324ceb064572)},
    };
    uint8_t message[64];

    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        CHECK(siphash24(published, message, vectors[i].len) == vectors[i].hash);
}

static void siphash_1_3_gives_the_reference_vectors(void)
{
    static const uint8_t message[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

    CHECK(hash_bytes(published, message, 0) == UINT64_C(0xabac0158050fc4dc));
}

static void another_key_gives_another_hash(void)
{
    struct hash_key a = hash_key_random(), b = hash_key_random();

    CHECK(a.k0 != b.k0 && a.k1 != b.k1);
    CHECK(hash_bytes(a, "trace", 5) != hash_bytes(b, "trace", 5));
    CHECK(hash_bytes(a, "trace", 5) == hash_bytes(a, "trace", 5));
}

int main(void)
{
    RUN(siphash_2_4_gives_the_published_vectors);
    RUN(siphash_1_3_gives_the_reference_vectors);
    RUN(another_key_gives_another_hash);
    return DONE();
}
