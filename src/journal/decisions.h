/* decisions.h: the log of what was decided, for late spans after a restart and for explain.
 *
 * The journal's own; the journal thread appends. Only with files. A decision is remembered while
 * the log holds fewer than decision_cache newer ones, and as long as a segment of frames lives that
 * was opened before it was made.
 */
#pragma once

#include "base/fifo.h"
#include "journal/files.h"

struct decision_log {
    struct files *files;
    uint32_t open;        /* segment; 0: none yet */
    size_t frame_at;      /* of the frame being filled; 0: none */
    uint32_t frame_items; /* entries in it */
    uint64_t sequence;
    size_t names;          /* that the last names frame has */
    struct fifo closed;    /* struct closed_decisions, oldest first */
    uint64_t open_entries; /* decisions on traces in the open segment */
    uint64_t entries;      /* in all */
};

/* A segment of decisions that is full. */
struct closed_decisions {
    uint32_t number;
    uint64_t entries;
    uint64_t closed_ns;
};

/* Start-up only: ends without memory. */
void decision_log_init(struct decision_log *l, struct files *files);
void decision_log_fini(struct decision_log *l);

/* Room for one more entry of `bytes`, now: opens segments. False: no memory or no region. */
bool decision_log_room(struct decision_log *l, size_t bytes, uint64_t now_ns);
/* Appends; decision_log_room said yes. is_of_logs: of log records that follow their trace, which
 * says no more of it and does not count against decision_cache. */
void decision_log_append(struct decision_log *l, struct slice entry, bool is_of_logs,
                         uint64_t now_ns);
/* All that was appended may be written (files_write_marked): what it refers to is at the level.
 * False: nothing was appended since the last time. */
bool decision_log_release(struct decision_log *l);
/* A full segment that recovery has found; oldest first. False: no memory. */
bool decision_log_recovered(struct decision_log *l, uint32_t number, uint64_t entries,
                            uint64_t closed_ns) MUST_CHECK;
/* Frees what need not be remembered: `oldest_ns` is when the oldest live segment of frames was
 * opened. */
void decision_log_reclaim(struct decision_log *l, uint64_t oldest_ns);

/* Bytes that a frame of names takes now. */
size_t names_room(const struct journal_names *names);
/* Appends a frame of names to a segment of the journal thread. False: it has no room for it. */
bool append_names(struct segment *segment, const struct journal_names *names, uint64_t sequence,
                  uint64_t unix_ns, uint64_t now_ns);
