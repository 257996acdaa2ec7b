/* inflate.c: whole bodies out of gzip (RFC 1952), deflate (zlib's format, RFC 1950, or raw),
 * zstd (RFC 8878), LZ4 (its frame format) and snappy, straight into the space that the caller
 * gives.
 *
 * libdeflate wants the output's size up front: we guess, and start again with more space when the
 * guess was short. What a client says about the size (ISIZE, frame content size) is a hint.
 */
#include "receive/internal.h"

#include <libdeflate.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <zstd.h>

enum {
    GUESS_FACTOR = 8,
    GROW_FACTOR = 4,
    GUESS_MIN = 4096,
    DEFLATE_MAX_RATIO = 1032,
    ZSTD_WINDOW_LOG_MAX = 23, /* 8 MiB */
    GZIP_MIN_SIZE = 18,
};

struct inflate {
    struct libdeflate_decompressor *deflate;
    ZSTD_DCtx *zstd;
};

/* ERR_FULL: what comes out is larger than the space; ERR_PARSE: damaged; ERR_AGAIN: no memory. */
typedef enum err run_fn(struct inflate *i, struct slice in, struct inflate_space out, size_t *len);

struct inflate *inflate_new(void)
{
    struct inflate *i = calloc(1, sizeof *i);

    if (!i)
        err_no_memory("decompression");
    i->deflate = libdeflate_alloc_decompressor();
    i->zstd = ZSTD_createDCtx();
    if (!i->deflate || !i->zstd)
        err_no_memory("decompression");
    ZSTD_DCtx_setParameter(i->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    return i;
}

void inflate_free(struct inflate *i)
{
    if (!i)
        return;
    libdeflate_free_decompressor(i->deflate);
    ZSTD_freeDCtx(i->zstd);
    free(i);
}

static enum err err_of(enum libdeflate_result result)
{
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
        return ERR_FULL;
    return result == LIBDEFLATE_SUCCESS ? ERR_OK : ERR_PARSE;
}

/* One member after the other (RFC 1952 section 2.2). */
static enum err run_gzip(struct inflate *i, struct slice in, struct inflate_space out, size_t *len)
{
    *len = 0;
    do {
        size_t used = 0, made = 0;
        enum libdeflate_result result = libdeflate_gzip_decompress_ex(
            i->deflate, in.data, in.len, out.data + *len, out.size - *len, &used, &made);

        if (result)
            return err_of(result);
        *len += made;
        in = slice_make(in.data + used, in.len - used);
    } while (in.len);
    return ERR_OK;
}

static bool has_zlib_header(struct slice in)
{
    return in.len >= 2 && (in.data[0] & 15) == 8 && (in.data[0] * 256 + in.data[1]) % 31 == 0;
}

static enum err run_deflate(struct inflate *i, struct slice in, struct inflate_space out,
                            size_t *len)
{
    enum libdeflate_result result = LIBDEFLATE_BAD_DATA;
    size_t used = 0;

    if (has_zlib_header(in))
        result = libdeflate_zlib_decompress_ex(i->deflate, in.data, in.len, out.data, out.size,
                                               &used, len);
    if (result == LIBDEFLATE_BAD_DATA)
        result = libdeflate_deflate_decompress_ex(i->deflate, in.data, in.len, out.data, out.size,
                                                  &used, len);
    if (result == LIBDEFLATE_SUCCESS && used != in.len)
        return ERR_PARSE;
    return err_of(result);
}

static enum err run_zstd(struct inflate *i, struct slice in, struct inflate_space out, size_t *len)
{
    ZSTD_inBuffer from = {in.data, in.len, 0};
    ZSTD_outBuffer to = {out.data, out.size, 0};
    size_t left;

    ZSTD_DCtx_reset(i->zstd, ZSTD_reset_session_only);
    do {
        size_t in_before = from.pos, out_before = to.pos;

        left = ZSTD_decompressStream(i->zstd, &to, &from);
        if (ZSTD_isError(left))
            return ERR_PARSE;
        if (from.pos == in_before && to.pos == out_before)
            break; /* neither side moves */
    } while (left || from.pos < from.size);
    *len = to.pos;
    if (left == 0 && from.pos == from.size)
        return ERR_OK;
    return to.pos == to.size ? ERR_FULL : ERR_PARSE;
}

/* One frame after the other. */
static enum err run_frames(LZ4F_dctx *context, struct slice in, struct inflate_space out,
                           size_t *len)
{
    const LZ4F_decompressOptions_t options = {.stableDst = 1};
    size_t left;

    *len = 0;
    do {
        size_t used = in.len, made = out.size - *len;

        left = LZ4F_decompress(context, out.data + *len, &made, in.data, &used, &options);
        if (LZ4F_isError(left))
            return ERR_PARSE;
        if (used == 0 && made == 0)
            break; /* neither side moves */
        *len += made;
        in = slice_make(in.data + used, in.len - used);
    } while (left || in.len);
    if (left == 0 && in.len == 0)
        return ERR_OK;
    return *len == out.size ? ERR_FULL : ERR_PARSE;
}

/* Its blocks may need 4 MiB to be unpacked to, so what it takes is not kept. */
static enum err run_lz4(struct inflate *i, struct slice in, struct inflate_space out, size_t *len)
{
    LZ4F_dctx *context;
    enum err err;

    (void)i;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return ERR_AGAIN;
    err = run_frames(context, in, out, len);
    LZ4F_freeDecompressionContext(context);
    return err;
}

static enum err run_snappy(struct inflate *i, struct slice in, struct inflate_space out,
                           size_t *len)
{
    (void)i;
    return unsnappy(in, out, len);
}

static size_t hint_gzip(struct slice in)
{
    const uint8_t *p;

    if (in.len < GZIP_MIN_SIZE)
        return 0;
    p = in.data + in.len - 4;
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static size_t hint_zstd(struct slice in)
{
    unsigned long long size = ZSTD_getFrameContentSize(in.data, in.len);

    return size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ? 0 : (size_t)size;
}

/* The first size to try: what the client says, if it can be true, else a usual ratio. */
static size_t first_guess(const struct inflate_job *job)
{
    size_t guess = 0;

    if (job->encoding == ENCODING_GZIP)
        guess = hint_gzip(job->in);
    else if (job->encoding == ENCODING_ZSTD)
        guess = hint_zstd(job->in);
    if (guess < job->in.len || guess / DEFLATE_MAX_RATIO > job->in.len)
        guess = GUESS_FACTOR * job->in.len;
    if (guess < GUESS_MIN)
        guess = GUESS_MIN;
    return guess < job->max ? guess : job->max;
}

static run_fn *const runners[] = {
    [ENCODING_GZIP] = run_gzip, [ENCODING_DEFLATE] = run_deflate, [ENCODING_ZSTD] = run_zstd,
    [ENCODING_LZ4] = run_lz4,   [ENCODING_SNAPPY] = run_snappy,
};

enum err inflate_run(struct inflate *i, const struct inflate_job *job, size_t *len)
{
    size_t size = first_guess(job);

    for (;;) {
        struct inflate_space out = {job->space(job->arg, size), size};
        enum err err;

        if (!out.data)
            return ERR_AGAIN;
        err = runners[job->encoding](i, job->in, out, len);
        if (err != ERR_FULL || size >= job->max)
            return err;
        size = size < job->max / GROW_FACTOR ? size * GROW_FACTOR : job->max;
    }
}
