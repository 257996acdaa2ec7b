#include "base/buf.h"
#include "check.h"

static void a_buffer_never_passes_its_bound(void)
{
    struct buf b;

    buf_init(&b, 10, NULL);
    buf_str(&b, "12345678");
    CHECK(buf_ok(&b) && b.len == 8);
    buf_str(&b, "abc");
    CHECK(!buf_ok(&b) && b.len == 8);
    buf_byte(&b, 'x'); /* would fit, but what came before it is missing */
    CHECK(b.len == 8 && b.cap <= 10);
    buf_clear(&b);
    buf_str(&b, "0123456789");
    CHECK(buf_ok(&b) && slice_is(buf_slice(&b), "0123456789"));
    CHECK(buf_reserve(&b, SIZE_MAX) == NULL);
    buf_fini(&b);
}

static void a_buffer_counts_what_it_holds_and_fails_at_the_limit(void)
{
    struct memory m;
    struct buf b;

    memory_init(&m, 4096, 0);
    buf_init(&b, 1 << 20, &m);
    for (int i = 0; i < 10000; i++)
        buf_byte(&b, (uint8_t)i);
    CHECK(!buf_ok(&b) && b.len >= 1024 && b.len <= 4096);
    CHECK(memory_used(&m) >= b.len && memory_used(&m) <= 4096 + 32); /* malloc rounds up */
    buf_fini(&b);
    CHECK(memory_used(&m) == 0);
}

static void printing_long_and_short_text_gives_the_same_bytes(void)
{
    struct buf b;
    char text[600];

    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    buf_init(&b, 1300, NULL);
    buf_printf(&b, "%s|%d|", "short", 7);
    CHECK(slice_is(buf_slice(&b), "short|7|"));
    buf_printf(&b, "%s", text);
    CHECK(buf_ok(&b) && b.len == 8 + 599 && b.data[606] == 'y');
    buf_printf(&b, "%s%s", text, text);
    CHECK(!buf_ok(&b) && b.len == 8 + 599);
    buf_fini(&b);
}

static void taking_moves_the_bytes_and_their_count(void)
{
    struct memory m;
    struct buf b, to;

    memory_init(&m, 4096, 0);
    buf_init(&b, 100, &m);
    buf_str(&b, "moved");
    buf_take(&b, &to);
    CHECK(b.len == 0 && b.data == NULL && buf_ok(&b));
    CHECK(slice_is(buf_slice(&to), "moved"));
    buf_fini(&b);
    CHECK(memory_used(&m) > 0);
    buf_fini(&to);
    CHECK(memory_used(&m) == 0);
}

int main(void)
{
    RUN(a_buffer_never_passes_its_bound);
    RUN(a_buffer_counts_what_it_holds_and_fails_at_the_limit);
    RUN(printing_long_and_short_text_gives_the_same_bytes);
    RUN(taking_moves_the_bytes_and_their_count);
    return DONE();
}
