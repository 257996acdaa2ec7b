/* failing_memory.h: allocations that fail when a test says so. In one file of a program.
 *
 * malloc and its like are this program's own here, and hand on to the library's (or the
 * sanitizer's); without a sanitizer mmap too. What runs while failing.paused is set is not counted.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED            1
#define LIBRARY_MALLOC(name) __interceptor_##name
#else
#define SANITIZED            0
#define LIBRARY_MALLOC(name) __libc_##name
#endif

extern void *LIBRARY_MALLOC(malloc)(size_t size);
extern void *LIBRARY_MALLOC(calloc)(size_t n, size_t size);
extern void *LIBRARY_MALLOC(realloc)(void *p, size_t size);

static struct {
    unsigned at; /* the allocation that fails, from 1; 0: none */
    bool all;    /* and all behind it */
    bool paused;
    unsigned made; /* so far */
} failing;

static bool fails(void)
{
    if (failing.at == 0 || failing.paused)
        return false;
    failing.made++;
    if (failing.made != failing.at && !(failing.all && failing.made > failing.at))
        return false;
    errno = ENOMEM;
    return true;
}

/* From now on the n-th fails, or all from there on; 0: none. */
static void fail_allocation(unsigned n, bool all)
{
    failing.at = n;
    failing.all = all;
    failing.made = 0;
}

void *malloc(size_t size)
{
    return fails() ? NULL : LIBRARY_MALLOC(malloc)(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : LIBRARY_MALLOC(calloc)(n, size);
}

void *realloc(void *p, size_t size)
{
    return fails() ? NULL : LIBRARY_MALLOC(realloc)(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return realloc(p, bytes);
}

#if !SANITIZED
void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    if (fails())
        return MAP_FAILED;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): that is what the call returns */
    return (void *)syscall(SYS_mmap, at, len, protection, flags, fd, offset);
}
#endif
