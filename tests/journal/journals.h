/* journals.h: makes journals for tests. */
#pragma once

#include "journal/journal.h"

#include <stdlib.h>
#include <string.h>

/* One that must open. */
static inline struct journal *journal_made(const struct journal_config *config)
{
    struct err_info info;
    struct journal *j;

    if (journal_new(config, &j, &info) != ERR_OK)
        abort();
    return j;
}

/* Labels by number, each a policy and a reason: the arg of journal_names. */
struct label_pairs {
    const char *const (*pairs)[2];
    size_t count;
};

static inline size_t label_pairs_count(void *arg)
{
    return ((const struct label_pairs *)arg)->count;
}

static inline void label_pairs_label(void *arg, uint16_t label, const char **policy,
                                     const char **reason)
{
    const struct label_pairs *p = (const struct label_pairs *)arg;

    if (label >= p->count)
        abort();
    *policy = p->pairs[label][0];
    *reason = p->pairs[label][1];
}

/* 0: there is no such one. */
static inline uint16_t label_pairs_intern(void *arg, const char *policy, const char *reason)
{
    const struct label_pairs *p = (const struct label_pairs *)arg;
    size_t n = 0;

    while (n < p->count &&
           (strcmp(p->pairs[n][0], policy) != 0 || strcmp(p->pairs[n][1], reason) != 0))
        n++;
    return n < p->count ? (uint16_t)n : 0;
}

/* The first fields of a struct journal_names. */
#define LABEL_PAIRS(array)                                                                         \
    .arg = &(struct label_pairs){array, sizeof(array) / sizeof((array)[0])},                       \
    .labels = label_pairs_count, .label = label_pairs_label, .intern = label_pairs_intern
