/* store_impl.h: what the files of the store share. */
#pragma once

#include "journal/store.h"

enum {
    STORE_REGIONS_MAX = (1 << 18) - 1, /* numbers are segment numbers: 18 bits, 0 is none */
    GROW_STEP = 2 << 20,               /* bytes of zeros in one step */
    GROW_PIECE = 64 << 10,             /* in one write */
    DIRECT_LEAST = 64 << 10,           /* what is as long passes the page cache, if `durable` */
};

struct store_file {
    uint32_t number; /* in its name; 0: this place is not in use */
    int fd;          /* -1: closed, only its name is left to be removed */
    uint64_t bytes;  /* that hold regions */
    uint32_t taken;  /* regions of it that are taken */
    uint32_t region; /* a large one's only region */
    uint32_t had;    /* regions, as headers of it say that were there when it was opened */
    bool is_large;
    bool dirty;  /* written since its last sync */
    bool named;  /* its name is durable */
    bool failed; /* not trusted any more */
    bool cached; /* the page cache is not to be passed: that has failed */
    bool unread; /* failed because it can't be read: what it holds may be there another time */
};

/* A region with its place in the free ring; place 0 is the ring's own. */
struct store_slot {
    struct region region;
    uint32_t next, prev; /* `next` of unused numbers: the next unused one */
    bool is_free;
};

struct store {
    struct store_config config;
    struct disk *disk;
    char *path;
    uint8_t boot_id[16];
    int lock_fd, acked_fd; /* -1: not open */

    struct store_file *files;
    uint32_t file_count;
    uint32_t growing;     /* file that store_grow makes longer; UINT32_MAX: none */
    uint32_t last_number; /* in names of segment files; others count on from last_large */
    uint32_t last_large;
    uint64_t total; /* bytes of all files */

    struct store_slot *slots; /* ring: front is the oldest, back the last put back */
    uint32_t slot_cap;
    uint32_t count;  /* numbers ever used */
    uint32_t unused; /* stack of those that are not */
    uint32_t free_count;

    uint8_t *image;   /* of fresh regions: what store_grow writes */
    size_t image_len; /* at most GROW_STEP, a multiple of region_bytes */
    bool removed;     /* a file, since names were last made durable */
    uint64_t cut_regions, syncs;
    bool has_doomed; /* names that could not be removed */

    bool acked_known; /* the number of the last good copy was read */
    uint64_t acked_number;
};

/* store.c: the tables. */

/* A place in `files`. UINT32_MAX: no memory. */
uint32_t store_add_file(struct store *s, struct store_file file);
/* Numbers for `n` more regions will be there. False: no memory, or over STORE_REGIONS_MAX. */
bool store_has_room(struct store *s, uint32_t n);
/* A number (store_has_room was asked), neither free nor taken. */
uint32_t store_add_region(struct store *s, uint32_t file, uint64_t offset, uint64_t bytes);
void store_push_front(struct store *s, uint32_t number);
void store_push_back(struct store *s, uint32_t number);
/* The file is not trusted any more. It goes when nothing in it is taken. */
void store_fail_file(struct store *s, uint32_t file);
/* Closes and removes a file of which nothing is taken, and forgets its regions. */
void store_drop_file(struct store *s, uint32_t file);
void store_seal(const struct store *s, uint64_t bytes, struct segment_header *header);
/* "PATH/segments-00000001"; `out`: STORE_PATH_MAX bytes. */
enum { STORE_PATH_MAX = 4096 + 32 };
const char *store_path_of(const struct store *s, const struct store_file *f, char *out);

enum err store_no_memory(const struct store *s, struct err_info *info) MUST_CHECK;

/* store_find.c: opens all files, and gives each region its state; free ones are not in the ring
 * yet. */
enum err store_find_files(struct store *s, struct err_info *info) MUST_CHECK;

/* Drops files that nothing lives in, so that a large one of `bytes` fits under `limit`; `keep` free
 * regions stay. False: nothing was dropped, for it is not over the limit, or that would not do. */
bool store_make_way(struct store *s, uint64_t bytes, uint64_t limit, unsigned keep);
/* store_grow.c, both: a file of its own for `bytes`; its region is neither free nor taken. `limit`:
 * bytes that all files may have with it. */
enum err store_make_large(struct store *s, uint64_t bytes, uint64_t limit, uint32_t *number,
                          struct err_info *info) MUST_CHECK;
