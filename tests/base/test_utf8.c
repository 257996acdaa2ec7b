/* utf8.h: the groups that are looked at together find the same byte as one look after the other. */
#include "base/utf8.h"
#include "check.h"

#include <stdlib.h>

enum { LONGEST = 70, ALIGNMENTS = 16 };

static const uint8_t *first_high(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at < 0x80)
        at++;
    return at;
}

/* `high`: two places of bytes that are not ASCII; behind the end: none there. */
static void skip(size_t shift, size_t len, size_t high[2])
{
    uint8_t *space = malloc(shift + len + 1); /* a sanitizer sees what is read behind it */
    uint8_t *at = space + shift;

    memset(space, 0x7f, shift + len + 1);
    if (shift > 0)
        at[-1] = 0xff;
    for (int i = 0; i < 2; i++)
        if (high[i] < len)
            at[high[i]] = i ? 0xff : 0x80;
    CHECK(utf8_skip_ascii(at, at + len) == first_high(at, at + len));
    free(space);
}

static void the_first_byte_that_is_not_ascii_is_found_wherever_it_lies(void)
{
    for (size_t shift = 0; shift < ALIGNMENTS; shift++)
        for (size_t len = 0; len <= LONGEST && !check_failures; len++)
            for (size_t i = 0; i <= len; i++)
                skip(shift, len, (size_t[2]){i, i + 1 + (len * 7 + i) % 20});
}

static void text_is_valid_up_to_its_end_and_not_behind(void)
{
    const char text[] = "0123456789abcde\xc3\xa4";

    CHECK(utf8_valid(slice_make(text, 17)));
    CHECK(!utf8_valid(slice_make(text, 16)));
    CHECK(utf8_valid(slice_make(text, 15)));
    CHECK(utf8_valid(slice_make(text, 0)));
}

int main(void)
{
    RUN(the_first_byte_that_is_not_ascii_is_found_wherever_it_lies);
    RUN(text_is_valid_up_to_its_end_and_not_behind);
    return DONE();
}
