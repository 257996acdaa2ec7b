/* cell_rates.h: sampling rates by key that follow the traffic, in tables of cells.
 *
 * Each key's traffic is counted; at the end of an interval (at its next use) all keys get a new
 * rate, 1 in so many, so that together they come to the goal and small keys keep more of theirs.
 * Exact over all threads, kept in the file of cells. A rate is known before a trace is drawn for,
 * so that the counts made from it are unbiased. Any thread.
 */
#pragma once

#include "policy/cells.h"

enum rate_goal {
    RATE_MEAN,      /* goal: of all that comes 1 in so many is kept; by the logarithm of the keys */
    RATE_PER_S,     /* goal: so many are kept in a second; by the logarithm of the keys */
    RATE_EVEN_PER_S /* goal: so many are kept in a second; each key the same share */
};

struct rate_rule {
    enum rate_goal by;
    double goal;           /* > 0 */
    double weight;         /* of the last interval in the moving average, 0 to 1; 1: it alone */
    double age_out;        /* a key whose average falls below it is forgotten */
    double initial;        /* the rate of all keys before the first interval is over */
    double burst_multiple; /* so many times the last sum ends an interval early; 0: never */
    double burst_delay;    /* not before so many intervals are over */
};

/* Counts n (>= 0, finite) for `key` and gives its rate, >= 1. A table of CELL_RATE, whose rule's
 * interval_ns is the interval. Keys beyond max_keys share a rate. */
double cell_rate(struct cell_table *t, struct slice key, double n, const struct rate_rule *rule,
                 uint64_t now_ns);

/* The same at any moment, for RATE_EVEN_PER_S, from what came in the window of a table of
 * CELL_COUNTER. */
double cell_window_rate(struct cell_table *t, struct slice key, double n, double goal,
                        uint64_t now_ns);
