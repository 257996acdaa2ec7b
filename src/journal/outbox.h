/* outbox.h: kept spans and their decisions, in order, until every exporter has settled them.
 *
 * The journal's own. The journal thread appends and frees; the export thread reads up to the
 * published end and acks. A position is (ordinal of the segment << 32 | offset in it).
 */
#pragma once

#include "base/ring.h"
#include "journal/decisions.h"

enum { EXPORTERS_MAX = 64, OUTBOX_LEAVING_MAX = 64, OUTBOX_ASKED_MAX = 256 };

static inline uint64_t outbox_position(uint64_t ordinal, size_t offset)
{
    return ordinal << 32 | offset;
}

static inline uint64_t outbox_ordinal(uint64_t position)
{
    return position >> 32;
}

static inline size_t outbox_offset(uint64_t position)
{
    return (size_t)(position & UINT32_MAX);
}

/* What the numbers in a segment of an earlier process are now. */
struct outbox_map {
    uint64_t exporters[EXPORTERS_MAX]; /* by its bit: the present bit as a mask; 0: gone */
    size_t label_count;
    uint16_t labels[];
};

struct outbox {
    struct files *files;
    struct segments *segments;
    _Atomic unsigned exporters; /* it grows: the export thread's, once there is one */
    /* By ordinal modulo SEGMENT_MAX: the segment's number << 32 | its used bytes, once it is not
     * appended to any more. A reader may stand at the end of one that is freed already. */
    _Atomic uint64_t *places;
    struct outbox_map **maps; /* by number of the segment, below map_count; NULL: none */
    uint32_t map_count;
    uint32_t open; /* the segment appended to; 0: none yet */
    uint64_t sequence;
    size_t names;      /* that the last names frame has */
    uint64_t appended; /* the end, of which `end` is what is as safe as the level says */
    uint64_t enqueued[DECISION_SIGNALS][EXPORTERS_MAX]; /* items */
    uint64_t hidden[DECISION_SIGNALS][EXPORTERS_MAX];   /* of them, appended but not published */
    _Alignas(64) _Atomic uint64_t begin;
    _Atomic uint64_t end;
    _Alignas(64) _Atomic uint64_t acked[EXPORTERS_MAX];

    /* outbox_memory.c. The export thread's, as outbox_hold has them: */
    _Alignas(64) _Atomic uint64_t reading; /* odd: it looks at records */
    _Atomic uint64_t seen[EXPORTERS_MAX], cursor[EXPORTERS_MAX];
    bool is_reading;   /* it has begun; before, main reads what it wants at once */
    struct ring asked; /* segments that it wants in memory */
    /* The journal thread's: */
    uint32_t first, last; /* list of the closed segments that are in memory, in order */
    struct outbox_leaving {
        uint32_t number;
        uint64_t reading; /* when it began to leave */
    } leaving[OUTBOX_LEAVING_MAX];
    unsigned leaving_count;
    uint32_t visited;         /* brought back for main; 0: none */
    uint64_t spilled, loaded; /* segments, ever */
    bool can_leave;           /* one could, if memory were short */
};

/* Start-up only: ends without memory. */
void outbox_init(struct outbox *o, struct files *files, unsigned exporters);
void outbox_fini(struct outbox *o);
unsigned outbox_exporters(const struct outbox *o);
/* Export thread: from now on there are so many; new ones go on at `position`, which one of the
 * others has not acked past. */
void outbox_grow(struct outbox *o, unsigned exporters, uint64_t position);

/* A segment of an earlier process, in memory and walkable from the first frame to `used`; in order
 * of their ordinals, before anything is appended. Takes the map (NULL: what is in it is for
 * nobody). It leaves memory if that is short. False: no memory; the map is still the caller's. */
bool outbox_recovered(struct outbox *o, uint32_t number, uint64_t ordinal, size_t used,
                      struct outbox_map *map) MUST_CHECK;
/* Numbers of an earlier process become those of this one. */
void outbox_map_apply(const struct outbox_map *map, struct decision_record *d);
/* The next segment of this number is of this process. */
void outbox_forget(struct outbox *o, uint32_t number);
/* Where it begins, once all were recovered, and that an exporter has settled what is before. */
void outbox_start(struct outbox *o, uint64_t begin);
void outbox_resume(struct outbox *o, unsigned exporter, uint64_t position);

/* Appends one keep; `entry` is empty without files. False: no memory or no region; nothing is
 * appended, try again. */
bool outbox_append(struct outbox *o, const struct decision_record *d, struct slice entry,
                   struct slice payload, uint64_t now_ns);
/* Shows what was appended to readers. True: there is something new. */
bool outbox_publish(struct outbox *o);
/* Marks the open segment free too, if all of it is settled: nothing is appended any more. */
void outbox_finish(struct outbox *o);
/* Frees the segments that every exporter has settled. */
void outbox_reclaim(struct outbox *o);

/* As outbox_look, without asking; where it is away, item->position is where that begins. */
enum outbox_found outbox_find(const struct outbox *o, uint64_t position, struct outbox_item *item);
/* True: a segment may be free now. */
bool outbox_settle(struct outbox *o, unsigned exporter, uint64_t position);

/* ---- outbox_memory.c: which segments are in memory, when not all can be ---- */

struct loop;

/* Makes a stretch of a segment one frame that readers step over. Both are multiples of FRAME_ALIGN.
 */
void outbox_bridge(struct segment *segment, size_t from, size_t to);
/* The number of the segment that a position is in; 0: none. */
uint32_t outbox_number(const struct outbox *o, uint64_t position);
/* The segment is closed, and in memory. */
void outbox_add(struct outbox *o, uint32_t number);
/* It is not needed any more. */
void outbox_remove(struct outbox *o, uint32_t number);
/* Main, before the export thread reads: memory is short, so it leaves at once. */
void outbox_let_go(struct outbox *o, uint32_t number);
/* The same: it is in memory for now. False: there is no memory. */
bool outbox_visit(struct outbox *o, uint32_t number);
/* The segment is in memory and stays until the export thread's read ends. */
bool outbox_is_here(const struct outbox *o, uint32_t number);
/* Asks for it, once. True: the journal thread is to be urged. */
bool outbox_ask(struct outbox *o, uint32_t number);
/* Makes room, and reads back what is asked for, of which `exporter` hears. Returns when to look
 * again. */
uint64_t outbox_memory_step(struct outbox *o, struct loop *exporter, uint64_t now_ns);
