/* recent.h: decided traces that a journal's folder still has whole, with what was decided, and
 * traces of a file: what policies are tried on.
 *
 * Off the data path: the builder thread and commands. Nothing of the folder is locked or changed,
 * and what the collector overwrites meanwhile is left out (journal/reader.h).
 */
#pragma once

#include "base/buf.h"
#include "base/disk.h"
#include "policy/labels.h"

struct recent_trace {
    uint8_t id[16];
    struct buf body;  /* a TracesData of its spans alone */
    uint32_t spans;   /* that were decided, or are in the file */
    bool complete;    /* is_decided: as it was then */
    uint8_t trigger;  /* enum trace_trigger */
    uint64_t unix_ns; /* of the decision; of a file: what was given */
    bool is_decided, kept;
    uint16_t label; /* of the decision, in recent.labels */
};

struct recent {
    struct memory *memory;
    struct labels *labels;       /* of the decisions; owned */
    struct recent_trace *traces; /* by the time of their decision */
    size_t count;
    size_t rejected; /* spans of a body whose ids or text are not valid */
    size_t left_out; /* traces of a body over the limit */
    size_t decided;  /* of a folder: decisions that were looked at; some of them are not whole */
};

struct recent_limits {
    size_t max_traces;         /* > 0; the last ones that are whole */
    size_t max_bytes;          /* of their spans together */
    struct memory *memory;     /* counts them; may be NULL */
    bool (*enough)(void *arg); /* asked now and then; true: what is there will do. May be NULL */
    void *arg;
};

/* Of a journal's folder. ERR_IO: there is none or it can't be read; ERR_FULL: no memory. Else
 * recent_fini. */
enum err recent_read(struct disk *disk, const char *path, const struct recent_limits *limits,
                     struct recent *out, struct err_info *info) MUST_CHECK;
/* The traces of a TracesData as its spans come, the first ones; none has a decision. ERR_PARSE with
 * a sentence; ERR_FULL. Else recent_fini. */
enum err recent_of_body(struct slice body, uint64_t unix_ns, const struct recent_limits *limits,
                        struct recent *out, struct err_info *info) MUST_CHECK;
/* The last traces that workers remember (remembered.h), whose labels `names` has. ERR_FULL. Else
 * recent_fini. */
struct remembered;
enum err recent_of_workers(struct remembered *const *workers, unsigned count,
                           const struct labels *names, const struct recent_limits *limits,
                           struct recent *out, struct err_info *info) MUST_CHECK;
void recent_fini(struct recent *r); /* also after {0} */
