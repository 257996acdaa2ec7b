/* audit_counts.h: the arithmetic of the audit: what the traces of one operation add up to, and how
 * far that is off. Private to the room; pure. */
#pragma once

#include "spanmetrics/audit.h"

struct audit_counts {
    uint64_t decided, kept, unknown, dropped;
    double counted;
    double explained;         /* traces that those dropped stand for: what goes nowhere was drawn */
    double expected_variance; /* of counted: what the draws make it */
    double seen_variance;     /* the same estimated from what was kept */
    struct audit_drop drops[AUDIT_DROPS]; /* in any order; traces 0: free */
    uint64_t last_trace;                  /* a recorder's: the last one that was counted here */
};

/* One more trace. */
void counts_add_fate(struct audit_counts *c, const struct audit_fate *fate);
/* Adds up all but last_trace. */
void counts_add(struct audit_counts *to, const struct audit_counts *from);
/* Writes *out but for the operation that it is of, which is left 0. */
void counts_describe(const struct audit_counts *c, struct audit_operation *out);
