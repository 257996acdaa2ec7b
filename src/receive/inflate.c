/* inflate.c: whole bodies out of gzip (RFC 1952), deflate (zlib's format, RFC 1950, or raw) and
 * zstd (RFC 8878), straight into the space that the caller gives.
 *
 * libdeflate wants the output's size up front: we guess, and start again with more space when the
 * guess was short. What a client says about the size (ISIZE, frame content size) is a hint.
 */
#include "receive/internal.h"

#include <libdeflate.h>
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

enum outcome { DONE, SHORT, DAMAGED }; /* SHORT: of space */

struct space {
    uint8_t *data;
    size_t size;
};

typedef enum outcome run_fn(struct inflate *i, struct slice in, struct space out, size_t *len);

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

static enum outcome outcome_of(enum libdeflate_result result)
{
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
        return SHORT;
    return result == LIBDEFLATE_SUCCESS ? DONE : DAMAGED;
}

/* One member after the other (RFC 1952 section 2.2). */
static enum outcome run_gzip(struct inflate *i, struct slice in, struct space out, size_t *len)
{
    *len = 0;
    do {
        size_t used = 0, made = 0;
        enum libdeflate_result result = libdeflate_gzip_decompress_ex(
            i->deflate, in.data, in.len, out.data + *len, out.size - *len, &used, &made);

        if (result)
            return outcome_of(result);
        *len += made;
        in = slice_make(in.data + used, in.len - used);
    } while (in.len);
    return DONE;
}

static bool has_zlib_header(struct slice in)
{
    return in.len >= 2 && (in.data[0] & 15) == 8 && (in.data[0] * 256 + in.data[1]) % 31 == 0;
}

static enum outcome run_deflate(struct inflate *i, struct slice in, struct space out, size_t *len)
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
        return DAMAGED;
    return outcome_of(result);
}

static enum outcome run_zstd(struct inflate *i, struct slice in, struct space out, size_t *len)
{
    ZSTD_inBuffer from = {in.data, in.len, 0};
    ZSTD_outBuffer to = {out.data, out.size, 0};
    size_t left;

    ZSTD_DCtx_reset(i->zstd, ZSTD_reset_session_only);
    do {
        size_t in_before = from.pos, out_before = to.pos;

        left = ZSTD_decompressStream(i->zstd, &to, &from);
        if (ZSTD_isError(left))
            return DAMAGED;
        if (from.pos == in_before && to.pos == out_before)
            break; /* neither side moves */
    } while (left || from.pos < from.size);
    *len = to.pos;
    if (left == 0 && from.pos == from.size)
        return DONE;
    return to.pos == to.size ? SHORT : DAMAGED;
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

static run_fn *runner(enum encoding encoding)
{
    if (encoding == ENCODING_GZIP)
        return run_gzip;
    return encoding == ENCODING_DEFLATE ? run_deflate : run_zstd;
}

enum err inflate_run(struct inflate *i, const struct inflate_job *job, size_t *len)
{
    run_fn *run = runner(job->encoding);
    size_t size = first_guess(job);

    for (;;) {
        struct space out = {job->space(job->arg, size), size};

        if (!out.data)
            return ERR_AGAIN;
        switch (run(i, job->in, out, len)) {
        case DONE:
            return ERR_OK;
        case DAMAGED:
            return ERR_PARSE;
        case SHORT:
            break;
        }
        if (size >= job->max)
            return ERR_FULL;
        size = size < job->max / GROW_FACTOR ? size * GROW_FACTOR : job->max;
    }
}
