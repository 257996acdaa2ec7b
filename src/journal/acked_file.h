/* acked_file.h: the two copies in the file `acked`, for the store that owns it and for fsck; and
 * what its text says. */
#pragma once

#include "base/disk.h"
#include "journal/store.h"

struct acked_copies {
    unsigned good, damaged; /* of two; a copy that was never written is neither */
    uint64_t number;        /* of the last good one; 0: there is none */
    size_t len;
};

/* Reads both copies from an open file; the last good one's text goes to `text` (STORE_ACKED_MAX
 * bytes, or NULL). ERR_IO also where it is of a version that is not known; ERR_FULL: no memory. */
enum err acked_load(struct disk *disk, int fd, void *text, struct acked_copies *found,
                    struct err_info *info) MUST_CHECK;
/* Writes a copy with this number, where the one before it does not lie. */
enum err acked_store(struct disk *disk, int fd, struct slice text, uint64_t number,
                     struct err_info *info) MUST_CHECK;

/* Lines of the text: "ORDINAL OFFSET NAME". */
struct acked_line {
    uint64_t position; /* as of the outbox */
    struct slice exporter;
};
/* The next line of *text, which moves behind it; others are passed over. False: there is none. */
bool acked_next(const char **text, struct acked_line *line);
/* Where an exporter was. False: no line is about it. */
bool acked_find(const char *text, const char *exporter, uint64_t *position);
