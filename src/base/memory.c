#include "base/memory.h"

#include "base/log.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/crypto.h>

void memory_init(struct memory *m, size_t limit, size_t spike_limit)
{
    assert(limit <= INT64_MAX && spike_limit < limit);
    atomic_init(&m->used, 0);
    atomic_init(&m->peak, 0);
    atomic_init(&m->limit, (int64_t)limit);
    atomic_init(&m->soft_limit, (int64_t)(limit - spike_limit));
    atomic_init(&m->held_back, 0);
    atomic_init(&m->placed, NULL);
    m->serving = NULL;
    atomic_init(&m->drain, (int64_t)spike_limit / 4);
}

void memory_set_limits(struct memory *m, size_t limit, size_t spike_limit)
{
    m->limit = (int64_t)limit;
    m->soft_limit = (int64_t)(limit - spike_limit);
}

static int64_t clamp(size_t value, int64_t least, int64_t most)
{
    if (value > (size_t)most)
        return most;
    return value > (size_t)least ? (int64_t)value : least;
}

void memory_hold_back(struct memory *m, size_t bytes, size_t drain)
{
    int64_t spike = m->limit - m->soft_limit, held = clamp(bytes, spike / 8, spike / 4);
    int64_t rest = spike - held;

    m->held_back = held;
    m->drain = clamp(drain, rest / 4, rest / 2);
}

static void note_peak(struct memory *m, int64_t used)
{
    int64_t peak = atomic_load_explicit(&m->peak, memory_order_relaxed);

    while (used > peak && !atomic_compare_exchange_weak_explicit(
                              &m->peak, &peak, used, memory_order_relaxed, memory_order_relaxed))
        ;
}

size_t memory_most(const struct memory *m)
{
    return (size_t)(m->limit - m->held_back);
}

size_t memory_intake_most(const struct memory *m)
{
    return (size_t)(m->limit - m->held_back - m->drain);
}

bool memory_reserve(struct memory *m, size_t bytes)
{
    int64_t used = atomic_load_explicit(&m->used, memory_order_relaxed);
    int64_t most = (int64_t)memory_most(m);

    /* Compare and exchange, not add and take back: a large request that fails must not make a
     * small one beside it fail. */
    do {
        if (used > most || bytes > (size_t)(most - used))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&m->used, &used, used + (int64_t)bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    note_peak(m, used + (int64_t)bytes);
    return true;
}

void memory_add(struct memory *m, size_t bytes)
{
    int64_t before = atomic_fetch_add_explicit(&m->used, (int64_t)bytes, memory_order_relaxed);

    note_peak(m, before + (int64_t)bytes);
}

void memory_release(struct memory *m, size_t bytes)
{
    int64_t before = atomic_fetch_sub_explicit(&m->used, (int64_t)bytes, memory_order_relaxed);

    assert(before >= (int64_t)bytes);
    (void)before;
}

bool memory_is_high(const struct memory *m)
{
    return atomic_load_explicit(&m->used, memory_order_relaxed) > m->soft_limit;
}

bool memory_is_filling(const struct memory *m)
{
    return atomic_load_explicit(&m->used, memory_order_relaxed) > m->soft_limit / 4 * 3;
}

static bool fits(const struct memory *m, size_t most, size_t bytes)
{
    size_t used = (size_t)atomic_load_explicit(&m->used, memory_order_relaxed);

    return used <= most && bytes <= most - used;
}

bool memory_has_room(const struct memory *m, size_t bytes)
{
    return fits(m, memory_most(m), bytes);
}

bool memory_has_intake_room(const struct memory *m, size_t bytes)
{
    return fits(m, memory_intake_most(m), bytes);
}

size_t memory_used(const struct memory *m)
{
    return (size_t)atomic_load_explicit(&m->used, memory_order_relaxed);
}

/* Moves the count from `was` to `is`, whatever the limit. */
static void recount(struct memory *m, size_t was, size_t is)
{
    if (!m)
        return;
    if (is > was)
        memory_add(m, is - was);
    else
        memory_release(m, was - is);
}

void *counted_alloc(struct memory *m, size_t size)
{
    void *p;

    if (m && !memory_reserve(m, size))
        return NULL;
    p = malloc(size);
    recount(m, size, malloc_usable_size(p)); /* of NULL it is 0 */
    return p;
}

void *counted_realloc(struct memory *m, void *p, size_t size)
{
    size_t old = malloc_usable_size(p);
    size_t more = size > old ? size - old : 0;
    void *moved;

    if (size == 0) {
        counted_free(m, p);
        return NULL;
    }
    if (m && !memory_reserve(m, more))
        return NULL;
    moved = realloc(p, size);
    recount(m, old + more, moved ? malloc_usable_size(moved) : old);
    return moved;
}

void *counted_realloc_forced(struct memory *m, void *p, size_t size)
{
    size_t old = malloc_usable_size(p);
    void *moved = realloc(p, size);

    if (moved)
        recount(m, old, malloc_usable_size(moved));
    return moved;
}

void counted_free(struct memory *m, void *p)
{
    if (m && p)
        memory_release(m, malloc_usable_size(p));
    free(p);
}

/* ---- what the libraries call: counted, never refused for the limit ---- */

static struct memory *hooks_memory;

static void *hook_malloc(size_t size)
{
    void *p = malloc(size);

    memory_add(hooks_memory, malloc_usable_size(p));
    return p;
}

static void *hook_calloc(size_t count, size_t size)
{
    void *p = calloc(count, size);

    memory_add(hooks_memory, malloc_usable_size(p));
    return p;
}

static void hook_free(void *p)
{
    counted_free(hooks_memory, p);
}

static void *hook_realloc(void *p, size_t size)
{
    if (size == 0) {
        hook_free(p);
        return NULL;
    }
    return counted_realloc_forced(hooks_memory, p, size);
}

static char *hook_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = hook_malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return hook_malloc(size);
}

static void *openssl_realloc(void *p, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return hook_realloc(p, size);
}

static void openssl_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    hook_free(p);
}

void memory_install_hooks(struct memory *m)
{
    assert(!hooks_memory);
    hooks_memory = m;
    event_set_mem_functions(hook_malloc, hook_realloc, hook_free);
    /* Before libcurl, whose start already uses OpenSSL. */
    if (!CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free))
        log_event(LOG_WARN, "memory of OpenSSL is not counted: it was in use too early");
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, hook_malloc, hook_free, hook_realloc, hook_strdup,
                             hook_calloc) != CURLE_OK)
        err_no_memory("libcurl");
}
