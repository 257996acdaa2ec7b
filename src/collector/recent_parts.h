/* recent_parts.h: the inside of reading traces back, for recent.c (decisions, and what came of it)
 * and recent_spans.c (their spans). Others see recent.h.
 */
#pragma once

#include "collector/recent.h"
#include "collector/source_set.h"
#include "export/compose.h"
#include "journal/reader.h"

enum { WORKERS_MAX = 1 << 8 }; /* as sources name them */

/* A decision whose spans are looked for. */
struct wanted_trace {
    struct recent_trace trace;
    struct source_set sources; /* that they came in; met: some of them were found */
    uint64_t *taken; /* of each that was found: which of the sources, and its place there */
    uint32_t found, room;
};

/* A span of a frame, and whose it is. */
struct picked_span {
    size_t wanted, source; /* the latter of its sources */
    uint32_t span, place;
};

struct recent_gathering {
    const struct recent_limits *limits;
    struct labels *labels;
    struct reader *reader;
    struct wanted_trace *wanted; /* room for `room`; sorted by id while frames are read */
    size_t count, room;
    size_t first, next; /* of the segment that is read: where its decisions begin, a ring there */
    struct source_set sources;    /* of all of them */
    uint64_t oldest[WORKERS_MAX]; /* of them, by worker: its sequence; UINT64_MAX: none */
    uint64_t newest;              /* sequence in the segment that is read */
    size_t whole;                 /* traces whose spans are all found */
    size_t bytes;
    struct scan_span *spans; /* scratch, each with room for `capacity` spans */
    struct picked_span *picked;
    struct compose_span *kept;
    size_t capacity;
    bool no_memory;
};

/* ---- recent.c ---- */

/* Enough was read, or there is no memory. */
bool recent_is_over(const struct recent_gathering *g);
/* Calls fn with each good segment of that use, from the last one on, while there is something to
 * find. */
void recent_each_segment(struct recent_gathering *g, enum segment_use use,
                         void (*fn)(struct recent_gathering *g, size_t segment));
/* Room for `room` sources. False: no memory, and that is noted. */
bool recent_make_sources(struct recent_gathering *g, struct source_set *s, size_t room);

/* ---- recent_spans.c ---- */

/* Reads the spans of what is wanted into the traces. */
void recent_find_spans(struct recent_gathering *g);
void recent_free_scratch(struct recent_gathering *g);
