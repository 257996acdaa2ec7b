/* outbox.h: kept spans and their decisions, in order, until every exporter has settled them.
 *
 * The journal's own. The journal thread appends and frees; the export thread reads up to the
 * published end and acks. A position is (ordinal of the segment << 32 | offset in it).
 */
#pragma once

#include "journal/journal.h"
#include "journal/segments.h"

enum { EXPORTERS_MAX = 64 };

struct outbox {
    struct segments *segments;
    unsigned exporters;
    /* By ordinal modulo SEGMENT_MAX: the segment's number << 32 | its used bytes, once it is not
     * appended to any more. A reader may stand at the end of one that is freed already. */
    _Atomic uint64_t *places;
    uint32_t open; /* the segment appended to; 0: none yet */
    uint64_t sequence;
    uint64_t enqueued[DECISION_SIGNALS][EXPORTERS_MAX]; /* items */
    _Alignas(64) _Atomic uint64_t begin;
    _Atomic uint64_t end;
    _Alignas(64) _Atomic uint64_t acked[EXPORTERS_MAX];
};

/* Start-up only: aborts without memory. */
void outbox_init(struct outbox *o, struct segments *segments, unsigned exporters);
void outbox_fini(struct outbox *o);

/* Appends one keep. False: the kernel has no memory; nothing is appended, try again. */
bool outbox_append(struct outbox *o, const struct decision_record *d, struct slice payload,
                   uint64_t now_ns);
/* Frees the segments that every exporter has settled. */
void outbox_reclaim(struct outbox *o);

bool outbox_find(const struct outbox *o, uint64_t position, struct outbox_item *item);
/* True: a segment may be free now. */
bool outbox_settle(struct outbox *o, unsigned exporter, uint64_t position);
