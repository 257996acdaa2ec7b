/* buf.h: a byte buffer that grows up to a bound, counted in the memory limiter.
 *
 * Appending after a failure does nothing; check buf_ok once at the end. Belongs to one thread.
 */
#pragma once

#include "base/memory.h"
#include "base/slice.h"

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;            /* never longer than this */
    struct memory *memory; /* NULL: uncounted */
    bool failed;           /* the bound or the limiter refused */
    bool too_long;         /* it was the bound, until buf_clear: more memory would not help */
    bool forced;           /* set after buf_init: counted, but the limiter never refuses */
};

/* max > 0; memory may be NULL. Allocates nothing yet. */
void buf_init(struct buf *b, size_t max, struct memory *memory);
void buf_fini(struct buf *b);
void buf_clear(struct buf *b); /* keeps the space; forgets a failure */

/* buf_reserve where there is not room yet. */
uint8_t *buf_reserve_more(struct buf *b, size_t size);

/* Space for `size` more bytes at data + len, or NULL (failed is set). Does not move len. */
static inline uint8_t *buf_reserve(struct buf *b, size_t size)
{
    bool has_room = b->data && !b->failed && size <= b->cap - b->len;

    return has_room ? b->data + b->len : buf_reserve_more(b, size);
}

void buf_append(struct buf *b, const void *data, size_t size);
void buf_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void buf_byte(struct buf *b, uint8_t byte)
{
    uint8_t *at = buf_reserve(b, 1);

    if (at) {
        *at = byte;
        b->len++;
    }
}

static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_make(b->data, b->len);
}

/* Moves the bytes out to `to` (overwritten: it must own nothing) and leaves `b` empty. */
void buf_take(struct buf *b, struct buf *to);
