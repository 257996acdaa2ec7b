#include "check.h"
#include "lua/spare.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX = 4096 };

static void a_block_that_was_given_back_is_given_out_again(void)
{
    struct spare s = {.max = MAX};
    void *p = spare_resize(&s, NULL, 0, 40), *other;

    CHECK(p != NULL && s.bytes == 0);
    CHECK(spare_resize(&s, p, 40, 0) == NULL && s.bytes == 48);
    other = spare_resize(&s, NULL, 0, 64); /* of another class */
    CHECK(other != p && s.bytes == 48);
    CHECK(spare_resize(&s, NULL, 0, 33) == p && s.bytes == 0);
    free(p);
    free(other);
}

static void no_more_is_kept_than_may_be(void)
{
    struct spare s = {.max = MAX}, none = {.max = 0};
    void *p[16];

    for (int i = 0; i < 16; i++)
        p[i] = spare_resize(&s, NULL, 0, 512);
    for (int i = 0; i < 16; i++)
        spare_resize(&s, p[i], 512, 0);
    CHECK(s.bytes == MAX);
    spare_drain(&s);
    CHECK(s.bytes == 0);
    spare_resize(&none, spare_resize(&none, NULL, 0, 16), 16, 0);
    CHECK(none.bytes == 0);
}

/* From every size to every other, below and above what is kept. */
static void what_a_block_holds_moves_with_it(void)
{
    static const size_t sizes[] = {1, 16, 17, 512, 513, 640, 641, 4096, 4097, 9000};
    struct spare s = {.max = 4 * MAX};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            size_t common = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
            uint8_t *p = spare_resize(&s, NULL, 0, sizes[i]), expected[9000];

            memset(p, (int)(i + 1), sizes[i]);
            p = spare_resize(&s, p, sizes[i], sizes[j]);
            memset(expected, (int)(i + 1), sizeof(expected));
            CHECK(memcmp(p, expected, common) == 0);
            memset(p, 0xee, sizes[j]); /* all of it is there */
            spare_resize(&s, p, sizes[j], 0);
            CHECK(s.bytes <= s.max);
        }
    spare_drain(&s);
}

int main(void)
{
    RUN(a_block_that_was_given_back_is_given_out_again);
    RUN(no_more_is_kept_than_may_be);
    RUN(what_a_block_holds_moves_with_it);
    return DONE();
}
