/* spill.h: which segments of frames are in memory, when not all can be.
 *
 * The journal's own; the journal thread decides. With files segments that are full and written
 * leave memory, the oldest first, while the limiter is high. Without them they are compressed
 * (pack.h), from three quarters of that on. They come back before their traces are due, or when a
 * worker asks. A worker never waits for a page: what it sees between journal_read_begin and
 * journal_read_end stays until then.
 */
#pragma once

#include "journal/files.h"
#include "journal/pack.h"

enum { LEAVING_MAX = 16, ASKED_MAX = 64 };

struct journal;
struct journal_writer;

struct spill {
    struct journal *journal;
    uint32_t first, last; /* list of full segments, by age */
    uint32_t next;        /* to look at for spilling: those before it were; 0: from the first */
    struct leaving {
        uint32_t number;
        uint64_t *readers; /* of each writer, when it began to leave */
    } leaving[LEAVING_MAX];
    unsigned leaving_count;
    uint64_t *readers;        /* of all of them, whose places change */
    uint64_t spilled, loaded; /* ever */
    uint32_t gone;            /* now */
    struct pack pack;
    uint32_t packing;    /* is being compressed; 0: none is */
    uint64_t brought_ns; /* when one last came back */
    bool retries;        /* what was asked for could not be read */
    _Atomic bool can_spill;
};

void spill_init(struct spill *s, struct journal *j);
void spill_fini(struct spill *s);

/* A segment of frames is full, and written where there are files; or recovered. */
void spill_add(struct spill *s, uint32_t number);
/* It is wanted in memory, if it is not there. */
void spill_ask(struct spill *s, uint32_t number);
/* It is free now. */
void spill_remove(struct spill *s, uint32_t number);
/* Makes room, and reads back what is due or asked for. Returns when to look again. */
uint64_t spill_step(struct spill *s, uint64_t now_ns);
