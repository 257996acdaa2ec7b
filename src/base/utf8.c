#include "base/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#else
#include <endian.h>
#include <string.h>
#endif

enum { GROUP = 16 };

/* A bit for each of 16 bytes that is not ASCII. */
static inline unsigned high_bytes(const uint8_t *at)
{
#ifdef __SSE2__
    return (unsigned)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)at));
#else
    const uint64_t mask = UINT64_C(0x8080808080808080), gather = UINT64_C(0x0002040810204081);
    uint64_t first, second;

    memcpy(&first, at, sizeof(first));
    memcpy(&second, at + sizeof(first), sizeof(second));
    first = le64toh(first) & mask;
    second = le64toh(second) & mask;
    if ((first | second) == 0)
        return 0;
    return (unsigned)(first * gather >> 56) | (unsigned)(second * gather >> 56) << 8;
#endif
}

const uint8_t *utf8_skip_ascii(const uint8_t *at, const uint8_t *end)
{
    for (size_t left = (size_t)(end - at) / GROUP; left > 0; left--, at += GROUP) {
        unsigned high = high_bytes(at);

        if (high)
            return at + __builtin_ctz(high);
    }
    while (at < end && *at < 0x80)
        at++;
    return at;
}

static bool continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The second byte's range excludes overlong forms, surrogates and what is above U+10FFFF. */
static bool second_fits(uint8_t first, uint8_t second)
{
    switch (first) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xed:
        return second >= 0x80 && second <= 0x9f;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return continues(second);
    }
}

size_t utf8_char(const uint8_t *at, const uint8_t *end)
{
    size_t len;

    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    len = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if ((size_t)(end - at) < len || !second_fits(at[0], at[1]))
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (!continues(at[i]))
            return 0;
    }
    return len;
}

bool utf8_valid(struct slice text)
{
    const uint8_t *at = text.data, *end = at + text.len;

    for (;;) {
        size_t len;

        at = utf8_skip_ascii(at, end);
        if (at == end)
            return true;
        len = utf8_char(at, end);
        if (len == 0)
            return false;
        at += len;
    }
}

struct slice utf8_next_valid(struct slice *rest)
{
    size_t len = utf8_char(rest->data, rest->data + rest->len), taken = len ? len : 1;
    struct slice piece = len ? slice_make(rest->data, len) : slice_str("\xef\xbf\xbd");

    *rest = slice_make(rest->data + taken, rest->len - taken);
    return piece;
}
