/* fake_pages.h: the bytes of one file of the fake disk, in pages that copies share until one of
 * them is written. Private to the fake disk. One thread; aborts without memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { FAKE_PAGE = 4096, FAKE_SECTOR = 512 };

struct fake_page;

/* All zeros: an empty file. */
struct fake_pages {
    struct fake_page **at; /* NULL entries read as zeros */
    size_t count;
    uint64_t len; /* of the file */
};

/* Frees them; the file is empty then. */
void fake_pages_fini(struct fake_pages *p);

/* Writes, growing the file; what is skipped reads as zeros. */
void fake_pages_write(struct fake_pages *p, uint64_t offset, const void *data, size_t len);

/* Returns how many of len bytes there are from offset on, and copies them. */
size_t fake_pages_read(const struct fake_pages *p, uint64_t offset, void *data, size_t len);

/* Shortens the file, or makes it longer with zeros. */
void fake_pages_resize(struct fake_pages *p, uint64_t len);

/* Makes the pages that hold [offset, offset + len) those of `from`. The length stays unless it
 * must grow to hold them, up to that of `from`. */
void fake_pages_share(struct fake_pages *p, const struct fake_pages *from, uint64_t offset,
                      size_t len);

/* Writes the `len` bytes that `from` has from offset % FAKE_PAGE on; whole pages are shared. */
void fake_pages_put(struct fake_pages *p, uint64_t offset, const struct fake_pages *from,
                    size_t len);

/* Replaces p by a copy of `from`. */
void fake_pages_copy(struct fake_pages *p, const struct fake_pages *from);
