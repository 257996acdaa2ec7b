/* memory.h: the one number that bounds memory (memory_limiter.limit).
 *
 * Everything that grows with traffic is counted here before it is allocated: journal blocks,
 * trace tables, message bodies, batches, Lua states, and what the libraries allocate (through
 * their hooks). All functions may be called from any thread; the counter is one atomic, so
 * callers count in blocks, not in bytes.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order; /* order.h */

struct memory {
    _Atomic int64_t used; /* bytes */
    _Atomic int64_t peak; /* the most that `used` has been; approximate under contention */
    /* Bytes; they change when the configuration is read again. */
    _Atomic int64_t limit;
    _Atomic int64_t soft_limit;     /* above it the stages of shedding begin */
    _Atomic int64_t held_back;      /* below the limit: only memory_add takes them */
    _Atomic int64_t drain;          /* below that: what comes in doesn't take them */
    _Atomic(struct order *) placed; /* order.h: a stack; */
    struct order *serving;          /* taken from it */
};

/* limit and spike_limit in bytes, spike_limit < limit; the soft limit is their difference. Nothing
 * is held back, and `drain` is a quarter of spike_limit. */
void memory_init(struct memory *m, size_t limit, size_t spike_limit);

/* The same for what runs: memory_hold_back comes next. One thread at a time. */
void memory_set_limits(struct memory *m, size_t limit, size_t spike_limit);

/* Keeps the last part of the limit for what is never refused, so that `used` stays under the limit
 * as long as no more than `bytes` of that are needed at once: at least an eighth of spike_limit, at
 * most a quarter. What comes in leaves room for `drain` bytes before that part, at least a quarter
 * of the rest of spike_limit, at most half. One thread at a
 * time. */
void memory_hold_back(struct memory *m, size_t bytes, size_t drain);

/* Counts `bytes` if they fit under the limit less what is held back. False: nothing is counted, the
 * caller pauses or refuses. Every true is matched by one memory_release of the same size. */
bool memory_reserve(struct memory *m, size_t bytes);

/* Whether `bytes` of what comes in may be reserved: it leaves `drain` to what lets memory go,
 * decisions and exporters: if what comes in took it too, a full collector could not become empty
 * again. */
bool memory_has_intake_room(const struct memory *m, size_t bytes);

/* The most that memory_reserve lets `used` become, and the most that what comes in may. */
size_t memory_most(const struct memory *m);
size_t memory_intake_most(const struct memory *m);

/* Whether memory_reserve would count as many now. */
bool memory_has_room(const struct memory *m, size_t bytes);

/* Counts `bytes` that cannot be refused (a library's allocation). */
void memory_add(struct memory *m, size_t bytes);
void memory_release(struct memory *m, size_t bytes);

/* True above the soft limit: decide the oldest traces early. */
bool memory_is_high(const struct memory *m);

/* True above three quarters of that: what can be held in less is. */
bool memory_is_filling(const struct memory *m);

size_t memory_used(const struct memory *m);

/* malloc, realloc, free that count their true size in `m`, or in nothing where m is NULL.
 * counted_alloc returns NULL where memory_reserve fails; the hook functions never refuse for the
 * limit. */
void *counted_alloc(struct memory *m, size_t size);
void *counted_realloc(struct memory *m, void *p, size_t size);
/* As counted_realloc, but never refused for the limit; size > 0. */
void *counted_realloc_forced(struct memory *m, void *p, size_t size);
void counted_free(struct memory *m, void *p);

/* Points the process-wide allocation hooks of libevent, OpenSSL and libcurl to `m`. Once, before
 * any of them is used; `m` lives as long as the process. */
void memory_install_hooks(struct memory *m);
