/* segments.h: the table of segments that all threads read, and the pool that the journal thread
 * owns.
 *
 * The journal's own. A segment is found by its number without a lock: numbers are given out by the
 * journal thread and travel through rings, which order what was written before. A segment has one
 * reference for each live span in it, and one more while its writer has it open; whoever releases
 * the last one pushes it on a stack, from which the journal thread takes it back.
 */
#pragma once

#include "base/memory.h"
#include "base/slice.h"
#include "journal/format.h"

enum { SEGMENT_MAX = 1 << 18 };

enum segment_kind {
    SEGMENT_ABSENT,
    SEGMENT_FREE,
    SEGMENT_FRAMES,
    SEGMENT_OUTBOX,
    SEGMENT_DECISIONS,
    SEGMENT_PACKED, /* compressed copies of others: pack.h */
};

/* Where the bytes of a live segment are; without files and compression always here. */
enum segment_place {
    PLACE_HERE,    /* in memory */
    PLACE_LEAVING, /* in memory until no worker can be looking at it; a worker may turn it back */
    PLACE_GONE,    /* in its file, or as a compressed copy, only */
    PLACE_ASKED,   /* a worker wants it back */
};

struct segment {
    _Alignas(64) uint8_t *bytes; /* NULL: absent */
    size_t size;
    size_t used;       /* the writer's */
    uint64_t taken_ns; /* the pool's: when it was last given out or came back */
    uint32_t generation;
    uint32_t next; /* in the stack that it is in; 0: the last */
    _Atomic uint32_t references;
    uint8_t kind;
    bool open; /* one of the references is the writer's */
    /* What is left of it is to move. The journal thread's, for workers. */
    _Atomic bool is_thin;
    uint64_t last_ns; /* the writer's: when the last of its spans came; 0: not known */
    uint32_t items;   /* the writer's: references that there ever were, its own not */
    uint64_t thin_ns; /* the journal thread's: nobody is asked again to empty it before; */
    uint8_t thinned;  /* so often they were */

    /* The journal thread's, of one that is full: */
    struct packed *packed; /* its compressed copy; NULL: none. Owned */
    bool is_dense;         /* it gets no smaller */
    uint64_t back_ns;      /* when it last came back to memory; 0: it never left */
    uint8_t returns;       /* times that it came back after the first, up to a bound */

    /* Of a segment that is in a file. The journal thread's: */
    uint32_t region;        /* of the store; 0: none */
    uint32_t before, after; /* in the list of those that are full and written, by age; of those of
                               the outbox that are in memory, in order */
    uint16_t writer;
    uint16_t tries; /* to read it back, that failed */
    bool is_given;  /* in its writer's list of those that may have something to write */
    bool is_dirty;  /* in the list of outbox and decision segments that have */
    bool is_listed;
    bool is_moved;      /* to another region, which is not as safe as the level says yet */
    size_t written;     /* bytes of it that are in the file */
    size_t filled;      /* bytes in it, once it is full and written */
    uint64_t opened_ns; /* now_ns of its first frame, or about that */
    uint64_t ordinal;   /* of an outbox segment */
    uint64_t stays;     /* of one that came back: until the export thread's `reading` is this */
    uint64_t salt;      /* 0: frames have no CRC */
    uint64_t shift_ns;  /* of a recovered one: from moments in its frames to now_ns; wraps */
    /* Its writer's, for the journal thread: */
    _Atomic size_t published; /* bytes that may be written; they don't change any more */
    _Atomic bool closed;      /* nothing more comes */
    _Atomic uint8_t place;    /* enum segment_place */
};

struct segments {
    struct memory *memory;
    struct segment *table; /* SEGMENT_MAX of them, few touched */
    uint32_t max;          /* numbers below it fit into a frame_id; at most SEGMENT_MAX */
    size_t segment_bytes;
    uint32_t count;      /* numbers ever used; 0 is none */
    uint32_t absent;     /* stack of numbers without bytes */
    uint32_t free;       /* stack of free segments of segment_bytes, newest on top */
    uint32_t free_count; /* of them */
    uint32_t free_low;   /* the fewest there were since the last trim: not needed */
    uint32_t large;      /* stack of free ones of other sizes */
    uint64_t trim_ns;    /* when it is next looked what was not needed; */
    uint32_t giving;     /* so many of them are given back until then, */
    uint64_t give_ns;    /* the next ones then */
    _Alignas(64) _Atomic uint32_t returned; /* stack of those whose last reference is gone */
};

/* Numbers stay below 1 << number_bits. Start-up only: ends without memory. */
void segments_init(struct segments *s, size_t segment_bytes, unsigned number_bits,
                   struct memory *memory);
void segments_fini(struct segments *s);

static inline struct segment *segment_at(const struct segments *s, uint32_t number)
{
    return &s->table[number];
}

/* Gives out a segment of at least `size` bytes with one reference, open. 0: no memory; `forced`:
 * only if the kernel has none. Journal thread. */
uint32_t segments_take(struct segments *s, size_t size, enum segment_kind kind, bool forced);
/* Memory for a live segment of `size` bytes whose bytes are elsewhere, under a number of its own.
 * 0: no number is left. Journal thread, as all down to segments_trim. */
uint32_t segments_take_absent(struct segments *s, size_t size, enum segment_kind kind);
/* Gives memory to such a one; `forced`: whatever the limiter says. False: there is none. */
bool segments_attach(struct segments *s, uint32_t number, bool forced);
/* Takes the memory away, for the next one that needs some: the segment stays. */
void segments_detach(struct segments *s, uint32_t number);
/* Puts a frame behind `used`, sealed if the segment has a salt; there is room. `value` with a type
 * is its one TLV. What the header says of lengths, magic, version and generation is filled in. */
void segment_append(struct segment *segment, const struct frame_header *header, enum frame_tlv type,
                    struct slice value, struct slice body);
/* Takes a segment without references back. Journal thread. */
void segments_put(struct segments *s, uint32_t number);
/* All that were returned, as a stack: segments_put each. 0: none. Journal thread. */
uint32_t segments_collect(struct segments *s);
/* Gives memory back to the kernel, a little in each call: what was not needed for ten seconds, and
 * nearly all if the limiter is high. Returns when it is next due. Journal thread. */
uint64_t segments_trim(struct segments *s, uint64_t now_ns);

/* Gives back what a large segment has behind its used bytes, if that is much. Its writer. */
void segments_shrink(struct segments *s, uint32_t number);

/* Drops `n` references. True: it was the last one and the stack of returned ones was empty: the
 * journal thread may have to be woken. Any thread. */
bool segments_release(struct segments *s, uint32_t number, uint32_t n);
