/* fsck_cut.h: files that had more regions once than they have now. Of fsck. */
#pragma once

#include "journal/reader.h"

struct fsck_cut {
    uint32_t file;         /* of the reader */
    uint64_t offset;       /* where it ends: the first region that is lost would begin there */
    uint64_t regions;      /* that are lost; 0: nobody can tell, the file has not a byte left */
    uint64_t region_bytes; /* of each */
};

/* Calls fn for each. ERR_FULL: no memory. */
enum err fsck_each_cut(const struct reader *r, void (*fn)(void *arg, const struct fsck_cut *cut),
                       void *arg, struct err_info *info) MUST_CHECK;
