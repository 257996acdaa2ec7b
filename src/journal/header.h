/* header.h: segments' headers and the names of their files, for the store and for who reads its
 * files. The journal's own. */
#pragma once

#include "journal/format.h"

#include <stdbool.h>

enum header_state {
    HEADER_FRESH, /* never used */
    HEADER_FREE,  /* used, free now */
    HEADER_LIVE,
    HEADER_DAMAGED,
    HEADER_NEWER, /* written by another version */
};
/* Of a header whose bytes behind the end of its file are zeros. */
enum header_state header_state(const struct segment_header *h);

/* Fills magic, version and CRC; all else is filled in. */
void header_seal(struct segment_header *h);

bool header_is_zero(const void *bytes, size_t len);

struct segment_name {
    bool is_large;
    uint32_t number;
};
/* "segments-00000001", "large-00000001". False: another file's. */
bool header_parse_name(const char *name, struct segment_name *n);
