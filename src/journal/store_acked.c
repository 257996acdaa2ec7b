/* store_acked.c: the file of exporters' positions, in two copies.
 *
 * A copy is written where the older one lies, so that a torn write leaves the other. The next one
 * is written only when this one is as safe as the configuration says.
 */
#include "base/crc32c.h"
#include "journal/store_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ACKED_MAGIC UINT32_C(0x4b414d54) /* "TMAK" */

enum { ACKED_VERSION = 1, ACKED_COPY = STORE_ACKED_MAX + FORMAT_PAGE };

struct acked_header {
    uint32_t magic;
    uint16_t version;
    uint16_t reserved;
    uint32_t len;
    uint32_t crc; /* of this header with crc 0, and the text */
    uint64_t number;
};

_Static_assert(sizeof(struct acked_header) == 24, "as on disk");

static uint32_t crc_of(struct acked_header header, struct slice text)
{
    header.crc = 0;
    return crc32c(crc32c(0, &header, sizeof(header)), text.data, text.len);
}

enum copy_state { COPY_NONE, COPY_DAMAGED, COPY_GOOD };

/* What the `got` bytes of a copy are; fills *header if they are good. */
static enum copy_state judge(const uint8_t *bytes, size_t got, struct acked_header *header)
{
    size_t i = 0;

    while (i < got && bytes[i] == 0)
        i++;
    if (i == got)
        return COPY_NONE;
    if (got < sizeof(*header))
        return COPY_DAMAGED;
    memcpy(header, bytes, sizeof(*header));
    if (header->magic != ACKED_MAGIC || header->len > STORE_ACKED_MAX ||
        header->len > got - sizeof(*header) ||
        header->crc != crc_of(*header, slice_make(bytes + sizeof(*header), header->len)))
        return COPY_DAMAGED;
    return COPY_GOOD;
}

/* Reads both copies; the last good one's text goes to `data` (may be NULL). */
static enum err load(struct store *s, uint8_t *data, size_t *len, bool *damaged,
                     struct err_info *info)
{
    uint8_t *bytes = malloc(ACKED_COPY);
    uint64_t last = 0;
    bool bad = false;
    enum err err = bytes ? ERR_OK : err_fail(info, ERR_FULL, "%s/acked: no memory", s->path);

    *len = 0;
    for (unsigned i = 0; i < 2 && !err; i++) {
        struct acked_header header;
        enum copy_state state;
        size_t got;

        err = s->disk->pread(s->disk, s->acked_fd, bytes, ACKED_COPY, i * ACKED_COPY, &got, info);
        if (err)
            break;
        state = judge(bytes, got, &header);
        if (state == COPY_GOOD && header.version != ACKED_VERSION) {
            err = err_fail(info, ERR_IO, "%s/acked has version %u; this program knows %u", s->path,
                           header.version, ACKED_VERSION);
        } else if (state == COPY_GOOD && header.number > last) {
            last = header.number;
            *len = header.len;
            if (data)
                memcpy(data, bytes + sizeof(header), header.len);
        }
        bad = bad || state == COPY_DAMAGED;
    }
    free(bytes);
    if (err)
        return err;
    s->acked_number = last;
    s->acked_known = true;
    *damaged = bad && last == 0;
    return ERR_OK;
}

enum err store_read_acked(struct store *s, void *data, size_t *len, bool *damaged,
                          struct err_info *info)
{
    return load(s, data, len, damaged, info);
}

enum err store_write_acked(struct store *s, struct slice text, struct err_info *info)
{
    struct acked_header header = {.magic = ACKED_MAGIC, .version = ACKED_VERSION};
    struct slice parts[2] = {slice_make(&header, sizeof(header)), text};
    size_t len;
    bool damaged;
    enum err err = s->acked_known ? ERR_OK : load(s, NULL, &len, &damaged, info);

    assert(text.len <= STORE_ACKED_MAX);
    if (err)
        return err;
    header.len = (uint32_t)text.len;
    header.number = s->acked_number + 1;
    header.crc = crc_of(header, text);
    err = s->disk->pwritev(s->disk, s->acked_fd, parts, 2, (header.number & 1) * ACKED_COPY, info);
    if (!err && s->config.durable)
        err = s->disk->datasync(s->disk, s->acked_fd, info);
    if (!err)
        s->acked_number = header.number;
    return err;
}
