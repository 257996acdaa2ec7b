/* bias.h: sampling_audit of config.lua: which operations the kept traces do not stand for, and who
 * drops them (spanmetrics/audit.h).
 *
 * Workers count at the decision (audited.c); the main thread gathers every ten seconds, says once
 * in the log what leaves no trace any more, and writes it to pages.
 */
#pragma once

#include "base/buf.h"

#include <stdint.h>

struct collector;
struct metrics;

/* c->shared.audit, unless the configuration does not want it. */
void bias_init(struct collector *c);
void bias_fini(struct collector *c);

/* Main: gathers when it is time. Returns when to look again. */
uint64_t bias_step(struct collector *c, uint64_t now_ns);

/* The part of /metrics about it. */
void bias_write_metrics(struct collector *c, struct metrics *m);
/* At most `max` operations that are off by more than chance, worst first, a line each behind
 * `before`; of `policy` alone, unless that is empty: those that it dropped traces of. */
void bias_write_lines(struct collector *c, struct slice policy, const char *before, size_t max,
                      struct buf *out);
