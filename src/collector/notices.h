/* notices.h: what goes wrong while it goes on, in the log: one line for each cause in ten seconds,
 * with how much it was. Metrics count the same; who looks for the reason of an outage reads the log
 * first.
 */
#pragma once

#include "collector/ledger.h"

enum {
    NOTICES_MAX =
        REFUSED_COUNT + EARLY_COUNT + 2 + LOST_COUNT + OTLP_SIGNALS * EXPORTER_MAX * EXPORT_LOSSES
};

struct notices {
    uint64_t due_ns;
    uint64_t told[NOTICES_MAX]; /* sums that were told, in the order in which they are looked at */
    size_t at;
};

struct collector;

/* Main: looks at the ledger when it is time. Returns when to look again. */
uint64_t notices_step(struct collector *c, uint64_t now_ns);
