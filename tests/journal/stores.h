/* stores.h: takes, writes and frees regions for tests. */
#pragma once

#include "base/crc32c.h"
#include "check.h"
#include "journal/store.h"

static inline uint32_t crc_of_header(const struct segment_header *h)
{
    return crc32c(0, h, offsetof(struct segment_header, crc));
}

static inline uint32_t take(struct store *s)
{
    struct err_info info;
    uint32_t n = 0;

    CHECK(store_take(s, 1, false, &n, &info) == ERR_OK);
    CHECK(n != 0);
    return n;
}

/* A header as a use writes it, with a frame behind it. */
static inline void write_live(struct store *s, uint32_t n, enum segment_use use, uint64_t ordinal)
{
    struct segment_header h = {
        .use = (uint8_t)use,
        .state = SEGMENT_LIVE,
        .generation = store_region(s, n)->header.generation + 1,
        .ordinal = ordinal,
    };
    uint8_t page[FORMAT_PAGE];
    struct slice parts[2] = {slice_make(page, sizeof(page)), slice_str("a frame")};
    struct err_info info;

    store_make_header(s, n, &h, page);
    CHECK(store_write(s, n, 0, parts, 2, &info) == ERR_OK);
}

static inline uint32_t take_live(struct store *s, enum segment_use use, uint64_t ordinal)
{
    uint32_t n = take(s);

    write_live(s, n, use, ordinal);
    return n;
}

static inline void put_at(struct store *s, uint32_t n, uint64_t unix_ns)
{
    struct segment_header h = store_region(s, n)->header;
    struct err_info info;

    h.state = SEGMENT_IS_FREE;
    h.use = h.use ? h.use : USE_FRAMES;
    h.unix_ns = unix_ns;
    CHECK(store_write_header(s, n, &h, &info) == ERR_OK);
    store_put(s, n);
}

static inline void put(struct store *s, uint32_t n)
{
    put_at(s, n, 0);
}
