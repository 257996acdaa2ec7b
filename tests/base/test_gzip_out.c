#include "base/gzip_out.h"
#include "base/random.h"
#include "check.h"

#include <libdeflate.h>
#include <stdlib.h>

static struct buf body, out;

static void fill(size_t len, uint64_t range)
{
    struct rng rng;

    rng_seed(&rng, len + range);
    buf_clear(&body);
    while (body.len < len)
        buf_byte(&body, (uint8_t)rng_below(&rng, range));
}

static bool comes_back(size_t skip)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    uint8_t *to = malloc(body.len + 1);
    size_t len = 0;
    bool same = libdeflate_gzip_decompress(d, out.data + skip, out.len - skip, to, body.len + 1,
                                           &len) == LIBDEFLATE_SUCCESS &&
                len == body.len && (len == 0 || memcmp(to, body.data, len) == 0);

    free(to);
    libdeflate_free_decompressor(d);
    return same;
}

static void what_is_compressed_comes_back(void)
{
    static const size_t lengths[] = {0, 1, 100, 65535, 65536, 300000, 3 << 20};
    static const uint64_t ranges[] = {1, 16, 256}; /* of 256 bytes nothing can be saved */
    struct gzip_out *g = gzip_out_new();

    for (size_t i = 0; i < 7; i++)
        for (size_t r = 0; r < 3; r++) {
            fill(lengths[i], ranges[r]);
            buf_clear(&out);
            buf_str(&out, "12345"); /* a prefix stays */
            gzip_out_write(g, buf_slice(&body), &out);
            CHECK(buf_ok(&out) && memcmp(out.data, "12345", 5) == 0 && comes_back(5));
            CHECK(lengths[i] < 1000 || ranges[r] == 256 || out.len < body.len * 3 / 4);
        }
    gzip_out_free(g);
}

static void what_would_be_too_long_fails(void)
{
    struct gzip_out *g = gzip_out_new();
    struct buf small;

    buf_init(&small, 100, NULL);
    fill(1000, 256);
    gzip_out_write(g, buf_slice(&body), &small);
    CHECK(!buf_ok(&small));
    buf_fini(&small);
    gzip_out_free(g);
}

int main(void)
{
    buf_init(&body, 8 << 20, NULL);
    buf_init(&out, 8 << 20, NULL);
    RUN(what_is_compressed_comes_back);
    RUN(what_would_be_too_long_fails);
    buf_fini(&body);
    buf_fini(&out);
    return DONE();
}
