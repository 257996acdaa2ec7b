/* entry.h: decisions as bytes, and the names of what they number.
 *
 * The journal's own, and what reads its files. An entry is one decision: in a FRAME_DECISIONS body
 * one after the other, and in the TLV_DECISION of a FRAME_KEEP. Its labels, exporters and policies
 * are numbers of the process that wrote it; the last FRAME_NAMES before it in the same segment says
 * what they mean. Everything read is bounded by the slice it is read from.
 */
#pragma once

#include "base/buf.h"
#include "journal/journal.h"

enum { ENTRY_MAX_VOTES = 256, ENTRY_MAX_SOURCES = 65535 };

/* A decision as it lies in a file. Votes and sources point into the bytes it was read from
 * (unaligned: use entry_vote, entry_source). */
struct entry {
    struct decision_record record;
    const uint8_t *votes;
    unsigned vote_count;
    const uint8_t *sources;
    unsigned source_count;
};

/* Bytes that it takes; a multiple of 8. */
size_t entry_size(const struct decision_details *details);
/* Appends it; `details` may be NULL. False: no memory, nothing usable was appended. */
bool entry_write(struct buf *to, const struct decision_record *r,
                 const struct decision_details *details);
/* Reads the entry at *at of `from` and moves *at behind it. False: none is left, or what is there
 * is damaged (*at < from.len then). */
bool entry_read(struct slice from, size_t *at, struct entry *e);
struct decision_vote entry_vote(const struct entry *e, unsigned i);
uint64_t entry_source(const struct entry *e, unsigned i);

/* Of labels and exporters: it grows with each new one. */
size_t names_count(const struct journal_names *names);
/* The body of a FRAME_NAMES: labels by number, exporters by bit, policies in order, and the hash of
 * the configuration. */
bool names_write(struct buf *to, const struct journal_names *names);

/* What was read of one. Owned (names_free); strings are NUL-terminated. */
struct names_read {
    struct name_pair {
        const char *policy, *reason;
    } * labels;
    size_t label_count;
    const char *exporters[64];
    size_t exporter_count;
    const char *policies[ENTRY_MAX_VOTES];
    size_t policy_count;
    const char *config_hash;
    char *text; /* that the strings lie in */
};
/* ERR_PARSE: not a body of names; ERR_FULL: no memory. Nothing is owned then. */
enum err names_read(struct slice body, struct names_read *n) MUST_CHECK;
void names_free(struct names_read *n); /* also after {0} */
