#include "base/pages.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
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
static void *map(size_t bytes)
{
    void *p = mmap(NULL, whole_pages(bytes), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
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
    size_t held = whole_pages(bytes), wanted = whole_pages(keep ? keep : 1);

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
    void *p = map(bytes);

    if (!p)
        abort();
    return p;
}

void pages_unmap(void *p, size_t bytes)
{
    if (p)
        unmap(p, bytes);
}
