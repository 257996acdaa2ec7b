#include "base/crc32c.h"
#include "base/random.h"
#include "check.h"

#include <stdlib.h>

/* The definition, bit by bit: polynomial 0x1EDC6F41, reflected. */
static uint32_t twin(uint32_t seed, const uint8_t *data, size_t len)
{
    uint32_t crc = ~seed;

    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    return ~crc;
}

static void the_check_values_of_the_standard_come_out(void)
{
    uint8_t run[32];

    CHECK(crc32c(0, "123456789", 9) == 0xe3069283U);
    memset(run, 0, sizeof(run)); /* RFC 3720, B.4 */
    CHECK(crc32c(0, run, 32) == 0x8a9136aaU);
    memset(run, 0xff, sizeof(run));
    CHECK(crc32c(0, run, 32) == 0x62a8ab43U);
    for (uint8_t i = 0; i < 32; i++)
        run[i] = i;
    CHECK(crc32c(0, run, 32) == 0x46dd794eU);
    CHECK(crc32c(0, NULL, 0) == 0 && crc32c(7, "", 0) == 7);
}

static void every_length_and_alignment_agrees_with_the_definition(void)
{
    static _Alignas(64) uint8_t data[1100];
    struct rng rng;
    unsigned wrong = 0;

    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)rng_next(&rng);
    for (size_t len = 0; len <= 1024; len++)
        for (size_t start = 0; start < (len < 64 ? 64 : 16); start++)
            wrong +=
                crc32c((uint32_t)len, data + start, len) != twin((uint32_t)len, data + start, len);
    CHECK(wrong == 0);
}

static void long_runs_agree_and_may_come_in_parts(void)
{
    const size_t lens[] = {4096, 65535, 262144, 262145, 1000003};
    struct rng rng;
    uint8_t *data = malloc(1000003);

    rng_seed(&rng, 2);
    for (size_t i = 0; i < 1000003; i++)
        data[i] = (uint8_t)rng_next(&rng);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        size_t cut = (size_t)rng_below(&rng, lens[i]);
        uint32_t whole = crc32c(0, data, lens[i]);

        CHECK(whole == twin(0, data, lens[i]));
        CHECK(crc32c(crc32c(0, data, cut), data + cut, lens[i] - cut) == whole);
    }
    free(data);
}

static void one_flipped_bit_is_always_seen(void)
{
    uint8_t data[300] = {0};
    uint32_t before = crc32c(99, data, sizeof(data));

    for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        CHECK(crc32c(99, data, sizeof(data)) != before);
        data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

int main(void)
{
    RUN(the_check_values_of_the_standard_come_out);
    RUN(every_length_and_alignment_agrees_with_the_definition);
    RUN(long_runs_agree_and_may_come_in_parts);
    RUN(one_flipped_bit_is_always_seen);
    return DONE();
}
