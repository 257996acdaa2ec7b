#include "journal/header.h"

#include "base/crc32c.h"

#include <stdlib.h>
#include <string.h>

bool header_is_zero(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < len; i++)
        if (at[i])
            return false;
    return true;
}

static uint32_t crc_of(const struct segment_header *h)
{
    return crc32c(0, h, offsetof(struct segment_header, crc));
}

enum header_state header_state(const struct segment_header *h)
{
    if (h->magic != SEGMENT_MAGIC || h->crc != crc_of(h))
        return header_is_zero(h, sizeof(*h)) ? HEADER_FRESH : HEADER_DAMAGED;
    if (h->version != SEGMENT_VERSION)
        return HEADER_NEWER;
    if (h->state == SEGMENT_IS_FREE)
        return h->use == 0 ? HEADER_FRESH : HEADER_FREE; /* store_grow's own header has no use */
    return h->state == SEGMENT_LIVE ? HEADER_LIVE : HEADER_DAMAGED;
}

void header_seal(struct segment_header *h)
{
    h->magic = SEGMENT_MAGIC;
    h->version = SEGMENT_VERSION;
    h->crc = crc_of(h);
}

bool header_parse_name(const char *name, struct segment_name *n)
{
    const char *digits = strchr(name, '-');
    uint64_t number;
    size_t len;

    if (!digits)
        return false;
    len = (size_t)(digits - name);
    n->is_large = len == 5 && memcmp(name, "large", 5) == 0;
    if (!n->is_large && !(len == 8 && memcmp(name, "segments", 8) == 0))
        return false;
    digits++;
    len = strlen(digits);
    if (len < 8 || len > 10 || strspn(digits, "0123456789") != len)
        return false;
    number = strtoull(digits, NULL, 10);
    n->number = (uint32_t)number;
    return number > 0 && number < UINT32_MAX;
}
