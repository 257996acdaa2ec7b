/* prefetch.h: asks the processor for a cache line that is read or written soon. */
#pragma once

#include <stddef.h>

/* Any address, valid or not. The empty statement keeps the compiler from taking a function that
 * does nothing but prefetch for one without effect, and leaving its calls out. */
static inline void prefetch(const void *at)
{
    __asm__ volatile("" : : "r"(at));
    __builtin_prefetch(at);
}

/* All lines of `bytes` from `at` on. */
static inline void prefetch_run(const void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        prefetch((const char *)at + i);
}

/* The same of no more than `most` bytes. */
static inline void prefetch_most(const void *at, size_t bytes, size_t most)
{
    prefetch_run(at, bytes < most ? bytes : most);
}
