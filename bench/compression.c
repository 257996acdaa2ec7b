/* What holding spans compressed takes: bytes a span, and CPU time to make and to read it, of the
 * bodies that `moontail load --bench` sends.
 *
 *     build/bench/compression [REQUESTS]
 *
 * Blocks of 256 KiB are what the journal compresses (journal/pack.c), whole bodies what lies in a
 * frame; "as sent" is gzip that a client made: making it costs the collector nothing.
 * bench/run --compression runs it.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "cli/bench_pool.h"

#include <libdeflate.h>
#include <lz4.h>
#include <lz4hc.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

enum { BLOCK = 256 << 10, OUT_MAX = 1 << 20, GZIP_LEVEL = 6, HC_LEVEL = 4 };

static struct libdeflate_compressor *deflater;
static struct libdeflate_decompressor *inflater;

static size_t lz4_in(struct slice raw, void *out)
{
    return (size_t)LZ4_compress_default((const char *)raw.data, out, (int)raw.len, OUT_MAX);
}

static size_t lz4_hc_in(struct slice raw, void *out)
{
    return (size_t)LZ4_compress_HC((const char *)raw.data, out, (int)raw.len, OUT_MAX, HC_LEVEL);
}

static size_t lz4_out(struct slice packed, void *out)
{
    return (size_t)LZ4_decompress_safe((const char *)packed.data, out, (int)packed.len, OUT_MAX);
}

static size_t zstd_in(struct slice raw, void *out)
{
    return ZSTD_compress(out, OUT_MAX, raw.data, raw.len, 1);
}

static size_t zstd_fast_in(struct slice raw, void *out)
{
    return ZSTD_compress(out, OUT_MAX, raw.data, raw.len, -1);
}

static size_t zstd_out(struct slice packed, void *out)
{
    return ZSTD_decompress(out, OUT_MAX, packed.data, packed.len);
}

static size_t gzip_in(struct slice raw, void *out)
{
    return libdeflate_gzip_compress(deflater, raw.data, raw.len, out, OUT_MAX);
}

static size_t gzip_out(struct slice packed, void *out)
{
    size_t len = 0;

    (void)libdeflate_gzip_decompress(inflater, packed.data, packed.len, out, OUT_MAX, &len);
    return len;
}

struct method {
    const char *name;
    size_t (*in)(struct slice raw, void *out);
    size_t (*out)(struct slice packed, void *out);
};
static const struct method methods[] = {
    {"lz4", lz4_in, lz4_out},
    {"lz4 hc 4", lz4_hc_in, lz4_out},
    {"zstd -1", zstd_fast_in, zstd_out},
    {"zstd 1", zstd_in, zstd_out},
    {"gzip 6, as sent", gzip_in, gzip_out},
};

/* The bodies one behind the other, and where each ends. */
struct bodies {
    struct buf all;
    size_t *ends, count;
};

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static struct bodies make_bodies(size_t requests)
{
    struct bench_pool *pool = bench_pool_new(1, UINT64_C(1700000000) * NS_PER_S, BENCH_SPANS);
    struct bodies b = {.ends = calloc(requests, sizeof(*b.ends)), .count = requests};

    buf_init(&b.all, (size_t)1 << 31, NULL);
    if (!pool || !b.ends)
        fail("no memory");
    for (size_t i = 0; i < requests; i++) {
        struct buf body;

        buf_init(&body, OUT_MAX, NULL);
        if (!bench_pool_next(pool, &body))
            fail("no memory");
        buf_append(&b.all, body.data, body.len);
        b.ends[i] = b.all.len;
        buf_fini(&body);
    }
    bench_pool_free(pool);
    if (!buf_ok(&b.all))
        fail("no memory");
    return b;
}

/* The i-th piece: a body, or a block of all. Empty: there is none. */
static struct slice piece(const struct bodies *b, size_t i, bool blocks)
{
    size_t from = blocks ? i * BLOCK : i ? b->ends[i - 1] : 0, to;

    if (blocks ? from >= b->all.len : i >= b->count)
        return slice_make(NULL, 0);
    to = blocks ? from + BLOCK : b->ends[i];
    return slice_make(b->all.data + from, (to < b->all.len ? to : b->all.len) - from);
}

static void measure(const struct bodies *b, const struct method *m, bool blocks)
{
    static uint8_t packed[OUT_MAX], again[OUT_MAX];
    uint64_t in_ns = 0, out_ns = 0, start_ns;
    size_t bytes = 0, spans = b->count * BENCH_SPANS;
    struct slice raw;

    for (size_t i = 0; (raw = piece(b, i, blocks)).len > 0; i++) {
        size_t len, back;

        start_ns = clock_thread_cpu_ns();
        len = m->in(raw, packed);
        in_ns += clock_thread_cpu_ns() - start_ns;
        start_ns = clock_thread_cpu_ns();
        back = m->out(slice_make(packed, len), again);
        out_ns += clock_thread_cpu_ns() - start_ns;
        if (back != raw.len || memcmp(again, raw.data, back) != 0)
            fail("it did not come back as it was");
        bytes += len;
    }
    printf("%s, %s: %.0f bytes, %.0f ns in, %.0f ns out\n", m->name, blocks ? "blocks" : "bodies",
           (double)bytes / (double)spans, (double)in_ns / (double)spans,
           (double)out_ns / (double)spans);
}

int main(int argc, char **argv)
{
    size_t requests = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000;
    struct bodies b = make_bodies(requests ? requests : 1);

    deflater = libdeflate_alloc_compressor(GZIP_LEVEL);
    inflater = libdeflate_alloc_decompressor();
    if (!deflater || !inflater)
        fail("no memory");
    printf("as they are: %.0f bytes\n", (double)b.all.len / (double)(b.count * BENCH_SPANS));
    for (int blocks = 0; blocks <= 1; blocks++)
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
            measure(&b, &methods[i], blocks);
    libdeflate_free_compressor(deflater);
    libdeflate_free_decompressor(inflater);
    buf_fini(&b.all);
    free(b.ends);
    return 0;
}
