/* cell_table.h: the inside of a table of cells, for cells.c, cells_file.c and its rules. */
#pragma once

#include "base/hash.h"
#include "policy/cells.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    CELL_STRIPES = 16,
    COUNTER_PARTS = 10,
    COUNTER_SLOTS = COUNTER_PARTS + 1,
    RATE_SLOTS = 3, /* that a cell of CELL_RATE has a use for */
};
/* Of no key, and of all keys that have none of their own. */
enum cell_fixed { CELL_SINGLE, CELL_OTHER, CELL_FIXED_COUNT };

struct cell {
    uint64_t hash; /* 0: a free place */
    /* limit: when it will be full again (the theoretical arrival time of GCRA); seen: until when;
     * counter: the number of the newest slot; rate: until when it is kept. */
    uint64_t word;
};

struct cell_counter {
    struct cell cell;
    double counts[COUNTER_SLOTS]; /* by number of the slot; rate: see cell_rates.c */
};

union cell_space {
    struct cell cell;
    struct cell_counter counter;
};

/* A part of the keys, with open addressing. */
struct cell_stripe {
    pthread_mutex_t lock;
    char *cells;
    uint32_t used, capacity;
};

struct cell_table {
    _Atomic unsigned refs;
    struct memory *memory;
    struct hash_key key;
    struct cell_rule rule;
    char *component, *name;
    size_t stride;                            /* of a cell */
    _Atomic uint64_t words[CELL_FIXED_COUNT]; /* limit, seen */
    pthread_mutex_t fixed_lock;               /* of counters and rates; taken before a stripe's */
    union cell_space fixed[CELL_FIXED_COUNT];
    uint64_t interval_end_ns;   /* of rates; 0: none has begun */
    _Atomic uint64_t latest_ns; /* at which any thread took */
    _Atomic uint32_t keys;
    _Atomic uint64_t overflows;
    _Atomic uint64_t next_sweep_ns;
    _Atomic bool changed;
    struct cell_stripe stripes[CELL_STRIPES];
};

/* With one reference. NULL without memory. */
struct cell_table *cell_table_new(struct memory *memory, struct hash_key key, const char *component,
                                  const char *name, const struct cell_rule *rule);

/* Calls fn with a copy of each cell that is not over: fixed ones first, with a hash of 0 and 1. */
void cell_table_each(struct cell_table *t, uint64_t now_ns,
                     void (*fn)(void *arg, const struct cell *cell), void *arg);
/* Puts a copy of a cell, as cell_table_each gave it; more than max_keys are forgotten. Before the
 * table is shared. */
void cell_table_put(struct cell_table *t, const struct cell *cell);

/* The key's cell, made if need be, with *s locked; or NULL and nothing locked: it shares one. */
struct cell *cell_table_lock(struct cell_table *t, struct slice key, uint64_t now_ns,
                             struct cell_stripe **s);
/* Forgets what is over, now and then. True: it did. No stripe is locked. */
bool cell_table_sweep(struct cell_table *t, uint64_t now_ns);
/* Whether its cells have counts, and the fixed ones lie in `fixed`. */
bool cell_has_counts(const struct cell_rule *rule);

uint64_t cell_slot_ns(const struct cell_rule *rule); /* of a counter */
