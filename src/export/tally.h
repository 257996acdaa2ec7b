/* tally.h: how many spans wait between two positions of the outbox, without reading each record.
 *
 * Every record is counted once, when it is seen, into runs of many records of one segment (that it
 * is in memory need not be then: see outbox_hold). What lies beyond a
 * position is then the sum of the runs behind it, and of the few records up to the first of them,
 * which the caller reads. So what is queued is counted from what is there, not by subtraction, and
 * a scrape in a long outage takes microseconds. Belongs to one exporter.
 */
#pragma once

#include "base/fifo.h"

enum { TALLY_RUN = 1024 }; /* records in one run */

struct tally {
    struct fifo runs; /* struct tally_run, by position */
    uint32_t records; /* in the last one */
};

/* Counted whatever the limit: a reload makes exporters too. Ends without memory. */
void tally_init(struct tally *t, struct memory *memory);
void tally_fini(struct tally *t);

/* The record at `position`, behind all that were added, has `spans` that are queued. */
void tally_add(struct tally *t, uint64_t position, uint64_t spans);

/* Forgets what lies before `position` as far as it is not asked for any more. */
void tally_forget(struct tally *t, uint64_t position);

/* The spans of all runs that begin at `position` or behind it; *begin is where the first of them
 * begins (UINT64_MAX: there is none). */
uint64_t tally_beyond(const struct tally *t, uint64_t position, uint64_t *begin);

/* The spans of all runs that begin at `from` or behind it, and before `to`. */
uint64_t tally_between(const struct tally *t, uint64_t from, uint64_t to);
