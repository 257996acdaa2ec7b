#include "base/pages.h"

#include "base/err.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

/* Blocks of which the kernel may make huge pages: whole ones only, so that what is counted for a
 * block is what it can make resident. */
static bool is_huge(size_t bytes)
{
    return bytes > 0 && whole_pages(bytes) % PAGES_HUGE == 0;
}

/* Parts are given back in this unit: a part of a huge page would stay with the process. */
static size_t unit_of(size_t bytes)
{
    return is_huge(bytes) ? PAGES_HUGE : PAGE_BYTES;
}

/* Under AddressSanitizer blocks come from malloc, so that it sees their ends. */
#if defined(__SANITIZE_ADDRESS__)
static void *map(size_t bytes)
{
    return calloc(1, bytes);
}

static void unmap(void *p, size_t bytes)
{
    (void)bytes;
    free(p);
}
#else
static void *map_small(size_t bytes)
{
    void *p = mmap(NULL, whole_pages(bytes), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* Aligned, and with a word to the kernel, which may be built or set not to listen. */
static void *map_huge(size_t bytes)
{
    uint8_t *p = map_small(bytes + PAGES_HUGE);
    size_t before;

    if (!p)
        return NULL;
    before = (PAGES_HUGE - (uintptr_t)p % PAGES_HUGE) % PAGES_HUGE;
    if (before)
        munmap(p, before);
    if (before < PAGES_HUGE)
        munmap(p + before + bytes, PAGES_HUGE - before);
    (void)madvise(p + before, bytes, MADV_HUGEPAGE);
    return p + before;
}

static void *map(size_t bytes)
{
    return is_huge(bytes) ? map_huge(whole_pages(bytes)) : map_small(bytes);
}

static void unmap(void *p, size_t bytes)
{
    munmap(p, whole_pages(bytes));
}
#endif

void *pages_new(struct memory *m, size_t bytes)
{
    void *p;

    if (!memory_reserve(m, whole_pages(bytes)))
        return NULL;
    p = map(bytes);
    if (!p)
        memory_release(m, whole_pages(bytes));
    return p;
}

void *pages_new_forced(struct memory *m, size_t bytes)
{
    void *p = map(bytes);

    if (p)
        memory_add(m, whole_pages(bytes));
    return p;
}

void pages_free(struct memory *m, void *p, size_t bytes)
{
    if (!p)
        return;
    unmap(p, bytes);
    memory_release(m, whole_pages(bytes));
}

size_t pages_shrink(struct memory *m, void *p, size_t bytes, size_t keep)
{
    size_t unit = unit_of(bytes), held = whole_pages(bytes);
    size_t wanted = ((keep ? keep : 1) + unit - 1) / unit * unit;

    if (wanted >= held)
        return bytes;
#if !defined(__SANITIZE_ADDRESS__)
    munmap((uint8_t *)p + wanted, held - wanted);
#else
    (void)p;
#endif
    memory_release(m, held - wanted);
    return wanted;
}

void pages_touch(void *p, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += PAGE_BYTES)
        *((volatile uint8_t *)p + at) = 0;
}

void pages_forget(void *p, size_t bytes)
{
#if !defined(__SANITIZE_ADDRESS__)
    (void)madvise(p, bytes / PAGE_BYTES * PAGE_BYTES, MADV_DONTNEED);
#else
    (void)p, (void)bytes;
#endif
}

void *pages_map(size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    void *p = map(bytes);
#else
    void *p = map_small(bytes);
#endif

    if (!p)
        err_no_memory("a table");
    return p;
}

void pages_unmap(void *p, size_t bytes)
{
    if (p)
        unmap(p, bytes);
}
