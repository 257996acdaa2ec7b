#include "base/pages.h"
#include "check.h"

static struct memory memory;

static void pages_are_zeroed_and_counted_whole(void)
{
    uint8_t *p;

    memory_init(&memory, 1 << 20, 1);
    p = pages_new(&memory, 5000);
    CHECK(p && p[0] == 0 && p[4999] == 0 && memory_used(&memory) == 8192);
    pages_free(&memory, p, 5000);
    CHECK(memory_used(&memory) == 0);
    pages_free(&memory, NULL, 5000);
    CHECK(memory_used(&memory) == 0);
}

static void over_the_limit_only_forced_pages_come_and_are_counted(void)
{
    uint8_t *p;

    memory_init(&memory, 4096, 1);
    CHECK(pages_new(&memory, 4097) == NULL && memory_used(&memory) == 0);
    p = pages_new_forced(&memory, 4097);
    CHECK(p && p[4096] == 0 && memory_used(&memory) == 8192);
    pages_free(&memory, p, 4097);
    CHECK(memory_used(&memory) == 0);
}

static void shrinking_keeps_the_front_and_gives_back_the_rest(void)
{
    size_t held = 10 * 4096;
    uint8_t *p;

    memory_init(&memory, 1 << 20, 1);
    p = pages_new(&memory, held);
    p[4096] = 7;
    held = pages_shrink(&memory, p, held, 4097);
    CHECK(held == 8192 && p[4096] == 7 && memory_used(&memory) == 8192);
    CHECK(pages_shrink(&memory, p, held, 8000) == held && memory_used(&memory) == 8192);
    pages_free(&memory, p, held);
    CHECK(memory_used(&memory) == 0);
}

static void blocks_of_huge_pages_are_aligned_and_shrink_by_whole_ones(void)
{
    const size_t huge = PAGES_HUGE;
    size_t held = 3 * huge;
    uint8_t *p;

    memory_init(&memory, 4 * huge, 1);
    p = pages_new(&memory, held);
    CHECK(p && p[0] == 0 && p[held - 1] == 0 && memory_used(&memory) == held);
#if !defined(__SANITIZE_ADDRESS__)
    CHECK((uintptr_t)p % huge == 0);
#endif
    p[huge] = 7;
    held = pages_shrink(&memory, p, held, huge + 1);
    CHECK(held == 2 * huge && p[huge] == 7 && memory_used(&memory) == held);
    pages_forget(p, huge);
    CHECK(p[huge] == 7 && memory_used(&memory) == held);
    CHECK(pages_new(&memory, 3 * huge) == NULL && memory_used(&memory) == held);
    pages_free(&memory, p, held);
    CHECK(memory_used(&memory) == 0);
}

static void mapped_space_is_zeroed_and_not_counted(void)
{
    uint8_t *p = pages_map(64 << 20);

    CHECK(p[0] == 0 && p[(64 << 20) - 1] == 0);
    pages_unmap(p, 64 << 20);
    pages_unmap(NULL, 1);
}

int main(void)
{
    RUN(pages_are_zeroed_and_counted_whole);
    RUN(over_the_limit_only_forced_pages_come_and_are_counted);
    RUN(shrinking_keeps_the_front_and_gives_back_the_rest);
    RUN(blocks_of_huge_pages_are_aligned_and_shrink_by_whole_ones);
    RUN(mapped_space_is_zeroed_and_not_counted);
    return DONE();
}
