/* state_file.h: what limits, seen keys and counters know, in a file of the journal's folder.
 *
 * Written each second if something was counted, under a temporary name first, and read at start: a
 * process that is killed loses the last second of it. It is not forced to the medium: after a power
 * cut the file may be an older one or none. At level memory there is none. What nobody declares any
 * more is forgotten when it is over, at any level. Main thread.
 */
#pragma once

#include "base/clock.h"
#include "base/disk.h"
#include "policy/cells.h"

#define STATE_FILE_NAME "policy-state"

struct state_file {
    struct cells *cells;
    struct disk *disk;
    const struct clock *clock;
    struct memory *memory;
    char path[512], new_path[520]; /* "": there is none */
    uint64_t due_ns;
    bool failed; /* the last time; said once */
};

/* Reads the file in `folder` (NULL: there is none) into `cells`, which are empty and outlive this,
 * as disk and clock do. One that is damaged is said in the log and left behind. */
void state_file_init(struct state_file *f, struct cells *cells, struct disk *disk,
                     const struct clock *clock, struct memory *memory, const char *folder);
/* Writes it if it is due; returns when to come again. */
uint64_t state_file_step(struct state_file *f, uint64_t now_ns);
/* Writes it now, if something has changed. */
void state_file_save(struct state_file *f);
