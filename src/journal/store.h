/* store.h: the folder of segment files, as regions that are taken, written, read and given back.
 *
 * The journal's own. It knows headers, not frames. One thread at a time: main while the journal
 * opens and recovers, then the journal thread. No call allocates on a hot path, none logs: errors
 * say the path in a sentence.
 *
 * Files of `file_bytes` are cut into regions of `region_bytes`; a body that is larger has a file of
 * its own, as large as it needs, which is unlinked when it is put back. Files are written with
 * zeros once, a little at each store_grow, and their names made durable, before a region of theirs
 * is given out; they are never truncated.
 */
#pragma once

#include "base/disk.h"
#include "base/slice.h"
#include "journal/format.h"

struct store;

struct store_config {
    struct disk *disk;
    const char *path;    /* the folder; made (0700) if it is not there */
    size_t region_bytes; /* a multiple of FORMAT_PAGE: two of them .. 2 MiB */
    size_t file_bytes;   /* at least region_bytes; what does not fit a region is not used */
    int fd_bound;        /* no file is made whose descriptor is as high; 0: none is */
    uint64_t max_bytes;  /* of all files together */
    double min_free;     /* share of the file system that stays free, 0 .. 1 */
    unsigned reserve;    /* regions that only `reserved` takes get */
    bool oldest_first;   /* reuse the region that was put back first (history), else last */
    bool durable;        /* files are synced, and their names, before anything of them is given
                          * out, and when they are found, and so is each write of `acked`; else store_sync
                          * does it for what        was written (not for `acked`) */
};

/* A region, by its number: 1 .. store_count. Numbers of files that are gone are all zeros until
 * they are used again. */
struct region {
    uint64_t offset;              /* in its file */
    uint64_t bytes;               /* 0: no region has this number now */
    uint32_t file;                /* the store's own */
    bool taken;                   /* given out, or LIVE when the store was opened */
    bool readable;                /* its header page was read and its CRC holds */
    bool failed;                  /* its file is not trusted any more */
    struct segment_header header; /* as last read or written; zeros: never used, or not readable */
};

/* Opens the folder: lock, files, header pages. ERR_FULL: another process holds it (the sentence
 * says which), or no memory; ERR_IO: it can't be made, read or written, or holds what another
 * version wrote. Regions that are LIVE, or whose header is not good, count as taken until
 * store_put. A file that can't be read does not end it: its regions are taken, not readable and
 * failed, and what it holds stays as it is. */
enum err store_open(const struct store_config *config, struct store **out,
                    struct err_info *info) MUST_CHECK;
void store_close(struct store *s); /* NULL is allowed */
/* What store_open does first: the folder is this process's until *fd is closed. ERR_FULL: another
 * one holds it (the sentence says which). */
enum err store_lock(struct disk *disk, const char *folder, int *fd,
                    struct err_info *info) MUST_CHECK;

uint32_t store_count(const struct store *s);
/* Borrowed until the next store_take or store_grow. */
const struct region *store_region(const struct store *s, uint32_t number);

/* Of the running kernel, as store_write_header writes it; zeros: unknown. 16 bytes. */
const uint8_t *store_boot_id(const struct store *s);

/* Gives out a region of at least `bytes` (the header page included) that is free and not failed; if
 * none is, it does what store_grow does. ERR_FULL: over max_bytes or min_free, no space or quota on
 * the device, or (not `reserved`) only the reserve is left; ERR_IO: the disk fails. */
enum err store_take(struct store *s, size_t bytes, bool reserved, uint32_t *number,
                    struct err_info *info) MUST_CHECK;
/* Back among the free ones; its header was written with state FREE (or the region has failed). The
 * last region of a file that is large or has failed takes the file with it. */
void store_put(struct store *s, uint32_t number);

/* Fills the header's magic, version, bytes, boot id, crc, and writes the page. generation, salt and
 * the rest are the caller's. */
enum err store_write_header(struct store *s, uint32_t number, struct segment_header *header,
                            struct err_info *info) MUST_CHECK;
/* As it would be written: FORMAT_PAGE bytes into `page`, for a caller that writes it with the first
 * frames; the region remembers it as written. */
void store_make_header(struct store *s, uint32_t number, struct segment_header *header,
                       uint8_t *page);
/* Writes at `offset` of the region, which is bounded by it. ERR_FULL, ERR_IO: the region is to be
 * left for another one. */
enum err store_write(struct store *s, uint32_t number, uint64_t offset, const struct slice *parts,
                     unsigned count, struct err_info *info) MUST_CHECK;
/* Reads exactly len bytes. ERR_IO also where the file is shorter. */
enum err store_read(struct store *s, uint32_t number, uint64_t offset, void *data, size_t len,
                    struct err_info *info) MUST_CHECK;
/* fdatasync of every file written since the last one; names and removals of files are durable too.
 * ERR_IO: at least one failed; all regions of
 * such a file are `failed` from now on: never trusted again. */
enum err store_sync(struct store *s, struct err_info *info) MUST_CHECK;
/* False: one of the files is not where it was made, or another is there; `info` says which. What is
 * written to it would be found by nobody. */
bool store_is_there(struct store *s, struct err_info *info);
/* Its cached pages may leave memory. */
void store_forget(struct store *s, uint32_t number);

/* Makes new files ahead of need, at most 2 MiB of zeros a call, when fewer than `wanted` regions
 * are free. True: there is more to do. What can't be made is tried again at a later call. */
bool store_grow(struct store *s, unsigned wanted);
/* Makes one step of at most GROW_STEP bytes; at least one more region is free then. */
enum err store_grow_step(struct store *s, struct err_info *info) MUST_CHECK;
unsigned store_free_regions(const struct store *s); /* reserve included */

/* The file of exporters' positions: two copies, written in turn, each with a CRC and a number; the
 * last good one counts. At most STORE_ACKED_MAX bytes. */
enum { STORE_ACKED_MAX = 16 << 10 };
enum err store_write_acked(struct store *s, struct slice text, struct err_info *info) MUST_CHECK;
/* *len = 0: there is none yet (or both are damaged: *damaged). `data`: STORE_ACKED_MAX bytes. */
enum err store_read_acked(struct store *s, void *data, size_t *len, bool *damaged,
                          struct err_info *info) MUST_CHECK;

struct store_stats {
    uint64_t file_bytes; /* of all files */
    uint64_t free_bytes; /* in regions that are free */
    uint64_t max_bytes;
    uint64_t failed_bytes; /* in regions of files that are not trusted */
    uint64_t cut_regions;  /* that files had when they were last written, and had not when they were
                            * found; and those that a file ended in */
    uint64_t syncs;        /* of files, by store_sync */
};
void store_stats(const struct store *s, struct store_stats *stats);
