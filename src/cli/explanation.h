/* explanation.h: all that a journal's folder says of one trace.
 *
 * What explain prints: read from the decision log, the outbox and the frames, of a running
 * collector or of one that is gone. It has no value of an attribute in it.
 */
#pragma once

#include "journal/reader.h"

enum { EXPLAIN_AFTER = 8 };

struct explained_vote {
    char *policy, *reason;
    enum vote_kind kind;
    double probability;
};

struct explained_exporter {
    char *name;
    bool is_queued; /* it has not settled the trace yet */
};

/* One entry of the log, its numbers read. */
struct explained_decision {
    struct decision_record record;
    char *policy, *reason; /* "" where the names are lost */
    char *config_hash;     /* or its first half, after a reload */
    struct explained_exporter exporters[64];
    unsigned exporter_count;
    struct explained_vote *votes;
    unsigned vote_count;
};

/* What came behind the decision: late spans that followed it, or a rescue. */
struct explained_after {
    uint64_t unix_ns;
    uint32_t spans;
    bool keep, late, rescue;
    char policy[64], reason[64], exporters[256];
};

struct explanation {
    uint8_t trace_id[16];
    struct explained_decision *decision; /* the last one that was no late one; NULL: none */
    uint64_t earlier;                    /* decisions before it: it was forgotten meanwhile */
    struct explained_after after[EXPLAIN_AFTER]; /* the first ones */
    uint64_t after_count, late_spans;
    uint64_t rescued_logs, rescued_logs_ns; /* of the last rescue that had log records; Unix */

    uint64_t regions;                      /* in the folder */
    uint64_t log_decisions, log_oldest_ns; /* that the log holds, of all traces; Unix */

    /* Different spans that can still be read, in segments that are live, and in free ones. */
    uint64_t live_spans, history_spans;
    uint64_t live_logs, history_logs; /* the same of log records that follow it */
    uint64_t first_ns;                /* when the first of the live ones came; Unix */
    uint64_t *segments;               /* ordinals of those that hold them, each once */
    size_t segment_count;

    /* What else whoever decided leaves out, as the collector that runs says: lines; NULL: nobody
     * says anything. Owned. */
    char *bias;

    /* Not every span that is there waits: the configuration drops some at the door. */
    bool may_be_left_out;

    /* What follows commands in hints, so that they find the same folder; NULL: nothing. Borrowed.
     */
    const char *arguments;

    uint64_t damaged; /* frames and entries that could not be read on the way */
};

/* Reads the folder. ERR_IO: there is none; ERR_FULL: no memory. explanation_fini frees it. */
enum err explanation_read(struct disk *disk, const char *path, const uint8_t trace_id[16],
                          struct explanation *x, struct err_info *info) MUST_CHECK;
/* The same without its spans, which are most of the work. */
enum err explanation_read_decisions(struct disk *disk, const char *path, const uint8_t trace_id[16],
                                    struct explanation *x, struct err_info *info) MUST_CHECK;
void explanation_fini(struct explanation *x);

/* As a person reads it, or one line of JSON. */
void explanation_text(const struct explanation *x, uint64_t now_unix_ns, struct buf *out);
void explanation_json(const struct explanation *x, struct buf *out);

/* 32 hex digits, not all of them 0 (what came without an id has that one); false: they are not. */
bool trace_id_parse(const char *text, uint8_t trace_id[16]);
