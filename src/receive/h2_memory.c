/* h2_memory.c: nghttp2's allocations in the memory limiter, counted in blocks: it makes many small
 * ones, and the limiter is one atomic for all threads.
 */
#include "receive/h2.h"

#include <malloc.h>
#include <stdlib.h>

enum { BLOCK = 64 * 1024 };

struct h2_memory {
    nghttp2_mem hooks;
    struct memory *memory;
    int64_t uncounted; /* allocated less freed since the last block was counted */
};

static void count(struct h2_memory *m, int64_t bytes)
{
    m->uncounted += bytes;
    if (m->uncounted >= BLOCK) {
        memory_add(m->memory, (size_t)m->uncounted);
        m->uncounted = 0;
    } else if (m->uncounted <= -BLOCK) {
        memory_release(m->memory, (size_t)-m->uncounted);
        m->uncounted = 0;
    }
}

static void *counted(struct h2_memory *m, void *p)
{
    if (p)
        count(m, (int64_t)malloc_usable_size(p));
    return p;
}

static void *hook_malloc(size_t size, void *arg)
{
    return counted(arg, malloc(size));
}

static void *hook_calloc(size_t n, size_t size, void *arg)
{
    return counted(arg, calloc(n, size));
}

static void hook_free(void *p, void *arg)
{
    if (!p)
        return;
    count(arg, -(int64_t)malloc_usable_size(p));
    free(p);
}

static void *hook_realloc(void *p, size_t size, void *arg)
{
    int64_t before = p ? (int64_t)malloc_usable_size(p) : 0;
    void *new = realloc(p, size);

    if (new)
        count(arg, (int64_t)malloc_usable_size(new) - before);
    return new;
}

struct h2_memory *h2_memory_new(struct memory *memory)
{
    struct h2_memory *m = calloc(1, sizeof *m);

    if (!m)
        err_no_memory("HTTP/2");
    m->memory = memory;
    m->hooks = (nghttp2_mem){m, hook_malloc, hook_free, hook_calloc, hook_realloc};
    return m;
}

void h2_memory_free(struct h2_memory *m)
{
    if (!m)
        return;
    /* Blocks were counted for what is freed by now: give back the difference. */
    if (m->uncounted < 0)
        memory_release(m->memory, (size_t)-m->uncounted);
    free(m);
}

nghttp2_mem *h2_memory_hooks(struct h2_memory *m)
{
    return &m->hooks;
}
