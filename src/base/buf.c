#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { FIRST_BYTES = 64 };

void buf_init(struct buf *b, size_t max, struct memory *memory)
{
    assert(max > 0);
    *b = (struct buf){.max = max, .memory = memory};
}

void buf_fini(struct buf *b)
{
    counted_free(b->memory, b->data);
    *b = (struct buf){.max = b->max, .memory = b->memory};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = b->too_long = false;
}

static uint8_t *resize(const struct buf *b, size_t cap)
{
    return b->forced ? counted_realloc_forced(b->memory, b->data, cap)
                     : counted_realloc(b->memory, b->data, cap);
}

static bool grow(struct buf *b, size_t need)
{
    size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
    uint8_t *data;

    if (cap < FIRST_BYTES)
        cap = FIRST_BYTES < b->max ? FIRST_BYTES : b->max;
    if (cap < need)
        cap = need;
    data = resize(b, cap);
    if (!data && cap > need) { /* near the limit the doubling may be what does not fit */
        cap = need;
        data = resize(b, cap);
    }
    if (!data)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

uint8_t *buf_reserve_more(struct buf *b, size_t size)
{
    if (b->failed)
        return NULL;
    if (size > b->max - b->len) {
        b->failed = b->too_long = true;
        return NULL;
    }
    if ((!b->data || size > b->cap - b->len) && !grow(b, size ? b->len + size : 1)) {
        b->failed = true;
        return NULL;
    }
    return b->data + b->len;
}

void buf_append(struct buf *b, const void *data, size_t size)
{
    uint8_t *at;

    if (size == 0)
        return;
    at = buf_reserve(b, size);
    if (!at)
        return;
    memcpy(at, data, size);
    b->len += size;
}

void buf_str(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    char text[256];
    char *at;
    int len;

    va_start(args, fmt);
    len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    assert(len >= 0);
    if ((size_t)len < sizeof(text)) {
        buf_append(b, text, (size_t)len);
        return;
    }
    if ((size_t)len >= b->max - b->len) /* the NUL takes room for a moment too */
        b->failed = b->too_long = true;
    at = (char *)buf_reserve(b, (size_t)len + 1);
    if (!at)
        return;
    va_start(args, fmt);
    vsnprintf(at, (size_t)len + 1, fmt, args);
    va_end(args);
    b->len += (size_t)len;
}

void buf_take(struct buf *b, struct buf *to)
{
    *to = *b;
    *b = (struct buf){.max = to->max, .memory = to->memory};
}
