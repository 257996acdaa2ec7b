/* store_acked.c: the file of exporters' positions, in two copies.
 *
 * A copy is written where the older one lies, so that a torn write leaves the other. The next one
 * is written only when this one is as safe as the configuration says.
 */
#include "base/crc32c.h"
#include "journal/acked_file.h"
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

enum err acked_load(struct disk *disk, int fd, void *text, struct acked_copies *found,
                    struct err_info *info)
{
    uint8_t *bytes = malloc(ACKED_COPY);
    enum err err = bytes ? ERR_OK : err_fail(info, ERR_FULL, "cannot read `acked`: no memory");

    *found = (struct acked_copies){0};
    for (unsigned i = 0; i < 2 && !err; i++) {
        struct acked_header header;
        enum copy_state state;
        size_t got;

        err = disk->pread(disk, fd, bytes, ACKED_COPY, i * ACKED_COPY, &got, info);
        if (err)
            break;
        state = judge(bytes, got, &header);
        if (state == COPY_GOOD && header.version != ACKED_VERSION) {
            err = err_fail(info, ERR_IO, "`acked` has version %u; this program knows %u",
                           header.version, ACKED_VERSION);
        } else if (state == COPY_GOOD && header.number > found->number) {
            found->number = header.number;
            found->len = header.len;
            if (text)
                memcpy(text, bytes + sizeof(header), header.len);
        }
        found->good += state == COPY_GOOD;
        found->damaged += state == COPY_DAMAGED;
    }
    free(bytes);
    return err;
}

enum err acked_store(struct disk *disk, int fd, struct slice text, uint64_t number,
                     struct err_info *info)
{
    struct acked_header header = {.magic = ACKED_MAGIC,
                                  .version = ACKED_VERSION,
                                  .len = (uint32_t)text.len,
                                  .number = number};
    struct slice parts[2] = {slice_make(&header, sizeof(header)), text};

    assert(text.len <= STORE_ACKED_MAX);
    header.crc = crc_of(header, text);
    return disk->pwritev(disk, fd, parts, 2, (number & 1) * ACKED_COPY, info);
}

enum err store_read_acked(struct store *s, void *data, size_t *len, bool *damaged,
                          struct err_info *info)
{
    struct acked_copies found;
    enum err err = acked_load(s->disk, s->acked_fd, data, &found, info);

    *len = err ? 0 : found.len;
    if (err)
        return err;
    s->acked_number = found.number;
    s->acked_known = true;
    *damaged = found.damaged > 0 && found.number == 0;
    return ERR_OK;
}

enum err store_write_acked(struct store *s, struct slice text, struct err_info *info)
{
    size_t len;
    bool damaged;
    enum err err = s->acked_known ? ERR_OK : store_read_acked(s, NULL, &len, &damaged, info);

    if (!err)
        err = acked_store(s->disk, s->acked_fd, text, s->acked_number + 1, info);
    if (!err && s->config.durable)
        err = s->disk->datasync(s->disk, s->acked_fd, info);
    if (!err)
        s->acked_number++;
    return err;
}

/* ---- what it says ---- */

/* A number of at most 32 bits and the blank behind it. NULL: there is none. */
static const char *read_number(const char *at, uint64_t *number)
{
    char *end;

    if (!at || *at < '0' || *at > '9')
        return NULL;
    *number = strtoull(at, &end, 10);
    return *end == ' ' && *number <= UINT32_MAX ? end + 1 : NULL;
}

bool acked_next(const char **text, struct acked_line *line)
{
    for (const char *at = *text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        uint64_t ordinal, offset;
        const char *name = read_number(read_number(at, &ordinal), &offset);

        if (!name || ordinal == UINT32_MAX)
            continue;
        *line = (struct acked_line){ordinal << 32 | offset, slice_make(name, (size_t)(end - name))};
        *text = end + 1;
        return true;
    }
    return false;
}

bool acked_find(const char *text, const char *exporter, uint64_t *position)
{
    struct acked_line line;

    while (acked_next(&text, &line)) {
        if (slice_is(line.exporter, exporter)) {
            *position = line.position;
            return true;
        }
    }
    return false;
}
