#include "journal/fsck.h"

#include "journal/acked_file.h"
#include "journal/fsck_cut.h"
#include "journal/header.h"
#include "journal/reader.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

struct fsck {
    struct disk *disk;
    const char *path;
    bool repair;
    void (*fn)(void *arg, const struct fsck_damage *damage);
    void *arg;
    struct fsck_counts *counts;
    struct err_info *info;
    struct reader *reader;
    const struct reader_segment *segment; /* that is looked at */
};

static void report(struct fsck *f, const struct fsck_damage *damage)
{
    f->counts->damages++;
    f->counts->repaired += damage->is_repaired;
    if (damage->is_live && damage->is_known)
        f->counts->lost_items += damage->items;
    f->fn(f->arg, damage);
}

/* In the segment that is looked at, `at` bytes from its beginning. */
static struct fsck_damage damage_at(const struct fsck *f, enum fsck_kind kind, uint64_t at)
{
    bool is_good = f->segment->state == READER_GOOD;

    return (struct fsck_damage){
        .kind = kind,
        .file = reader_file(f->reader, f->segment->file),
        .offset = f->segment->offset + at,
        .use = is_good ? f->segment->header.use : 0,
        .is_live = !is_good || f->segment->header.state == SEGMENT_LIVE,
    };
}

/* ---- frames ---- */

/* Entries of a log's frame; false: it holds something else too. */
static bool count_entries(struct slice entries, uint64_t *count)
{
    struct entry entry;
    size_t at = 0;

    for (*count = 0; entry_read(entries, &at, &entry);)
        ++*count;
    return at == entries.len;
}

static bool names_are_good(struct slice body)
{
    struct names_read names;
    bool good = names_read(body, &names) == ERR_OK;

    names_free(&names);
    return good;
}

/* Whether the frame holds what it says; *entries: decisions in it. */
static bool content_is_good(const struct frame *frame, uint64_t *entries)
{
    *entries = 0;
    switch (frame->header.signal) {
    case FRAME_TRACES:
    case FRAME_METRICS:
    case FRAME_LOGS:
        return true;
    case FRAME_NAMES:
        return names_are_good(frame->body);
    case FRAME_DECISIONS:
        return count_entries(frame->body, entries);
    case FRAME_KEEP:
        return count_entries(frame_tlv(frame->tlvs, TLV_DECISION), entries) && *entries == 1;
    default:
        return false;
    }
}

static bool is_payload(uint8_t signal)
{
    return signal == FRAME_TRACES || signal == FRAME_METRICS || signal == FRAME_LOGS ||
           signal == FRAME_KEEP;
}

static void count_frame(struct fsck *f, const struct frame *frame, uint64_t entries)
{
    const struct segment_header *h = &f->segment->header;

    if (h->state != SEGMENT_LIVE)
        return;
    f->counts->uses[h->use].frames++;
    if (is_payload(frame->header.signal))
        f->counts->uses[h->use].items += frame->header.items;
    if (frame->header.signal == FRAME_DECISIONS)
        f->counts->decisions += entries;
}

static void check_frame(struct fsck *f, enum frame_found found, const struct frame *frame)
{
    struct fsck_damage damage = damage_at(f, FSCK_FRAME, frame->at);
    uint64_t entries;

    if (found == FRAME_FOUND && content_is_good(frame, &entries)) {
        count_frame(f, frame, entries);
        return;
    }
    damage.frame = frame->header.signal;
    damage.items = frame->header.signal == FRAME_NAMES ? 0 : frame->header.items;
    damage.is_known = true;
    report(f, &damage);
}

static void check_frames(struct fsck *f, struct slice bytes)
{
    struct frame_walk w = {.segment = bytes, .header = &f->segment->header, .at = FORMAT_PAGE};
    enum frame_found found;
    struct frame frame;

    do {
        size_t before = w.at;
        uint64_t gaps = w.damaged, skipped = w.skipped;

        found = frame_next(&w, &frame);
        if (w.damaged > gaps) {
            struct fsck_damage damage = damage_at(f, FSCK_GAP, before);

            damage.bytes = w.skipped - skipped;
            report(f, &damage);
        }
        if (found != FRAME_END)
            check_frame(f, found, &frame);
    } while (found != FRAME_END);
}

/* ---- segments ---- */

static void check_good(struct fsck *f, size_t i)
{
    const struct segment_header *h = &f->segment->header;
    struct fsck_damage damage = damage_at(f, FSCK_FILE, 0);
    struct slice bytes;

    f->counts->uses[h->use].live += h->state == SEGMENT_LIVE;
    f->counts->uses[h->use].free += h->state != SEGMENT_LIVE;
    if (reader_read(f->reader, i, &bytes, NULL) != ERR_OK) {
        report(f, &damage);
        return;
    }
    check_frames(f, bytes);
    if (bytes.len < h->bytes) {
        damage.kind = FSCK_SHORT;
        damage.offset += bytes.len;
        damage.bytes = h->bytes - bytes.len;
        report(f, &damage);
    }
}

/* What a segment without a header held, as far as it can be told: frames that follow one another
 * and are of one generation. */
static void guess_content(struct slice bytes, struct fsck_damage *damage)
{
    struct frame_header h, first = {0};

    for (size_t at = FORMAT_PAGE; at < bytes.len && bytes.len - at >= sizeof(h);
         at += frame_size(h.tlv_len, h.stored_len)) {
        memcpy(&h, bytes.data + at, sizeof(h));
        if (h.magic != FRAME_MAGIC ||
            (uint64_t)h.tlv_len + h.stored_len > bytes.len - at - sizeof(h))
            break;
        if (at == FORMAT_PAGE)
            first = h;
        if (h.generation != first.generation)
            break;
        damage->frames++;
        damage->items += is_payload(h.signal) ? h.items : 0;
    }
    damage->is_known = damage->frames > 0;
}

/* Free, and as if it had never been used. */
static enum err write_free_header(struct fsck *f)
{
    uint8_t page[FORMAT_PAGE] = {0};
    struct segment_header h = {
        .state = SEGMENT_IS_FREE,
        .bytes = f->segment->bytes,
    };
    int fd;
    enum err err =
        f->disk->open(f->disk, reader_file(f->reader, f->segment->file), O_RDWR, 0, &fd, f->info);

    if (err)
        return err;
    header_seal(&h);
    memcpy(page, &h, sizeof(h));
    err = f->disk->pwrite(f->disk, fd, page, sizeof(page), f->segment->offset, f->info);
    if (!err)
        err = f->disk->datasync(f->disk, fd, f->info);
    f->disk->close(f->disk, fd);
    return err;
}

static enum err check_damaged(struct fsck *f, size_t i)
{
    struct fsck_damage damage = damage_at(f, FSCK_HEADER, 0);
    struct slice bytes;
    enum err err = ERR_OK;

    if (f->segment->state == READER_NEWER) {
        damage.kind = FSCK_VERSION;
    } else if (reader_read(f->reader, i, &bytes, NULL) != ERR_OK) {
        damage.kind = FSCK_FILE;
    } else {
        guess_content(bytes, &damage);
        if (f->repair)
            err = write_free_header(f);
        damage.is_repaired = f->repair && !err;
    }
    report(f, &damage);
    return err;
}

static enum err check_segments(struct fsck *f)
{
    enum err err = ERR_OK;

    f->counts->segments = reader_count(f->reader);
    for (size_t i = 0; i < reader_count(f->reader) && !err; i++) {
        f->segment = reader_segment(f->reader, i);
        if (f->segment->state == READER_FRESH)
            f->counts->fresh++;
        else if (f->segment->state == READER_GOOD)
            check_good(f, i);
        else
            err = check_damaged(f, i);
    }
    return err;
}

static void check_files(struct fsck *f)
{
    f->counts->files = reader_files(f->reader);
    for (uint32_t i = 0; i < reader_files(f->reader); i++)
        if (reader_file_failed(f->reader, i))
            report(f, &(struct fsck_damage){
                          .kind = FSCK_FILE, .file = reader_file(f->reader, i), .is_live = true});
}

/* Nobody knows what was in them, and whether it was needed; a frame has a body of a byte at least.
 */
static void on_cut(void *arg, const struct fsck_cut *cut)
{
    struct fsck *f = arg;
    uint64_t in_one = cut->regions ? (cut->region_bytes - FORMAT_PAGE) / frame_size(0, 1) : 0;

    f->counts->cut += cut->regions;
    report(f, &(struct fsck_damage){.kind = FSCK_CUT,
                                    .file = reader_file(f->reader, cut->file),
                                    .offset = cut->offset,
                                    .bytes = cut->regions * cut->region_bytes,
                                    .first = cut->regions ? cut->offset / cut->region_bytes : 0,
                                    .segments = cut->regions,
                                    .frames = cut->regions * in_one,
                                    .is_live = true});
}

/* ---- acked ---- */

/* The good copy is written over the damaged one; without one the file goes. */
static enum err repair_acked(struct fsck *f, const char *path, int fd, struct slice text,
                             uint64_t number)
{
    enum err err;

    if (number == 0)
        return f->disk->unlink(f->disk, path, f->info);
    err = acked_store(f->disk, fd, text, number + 1, f->info);
    return err ? err : f->disk->datasync(f->disk, fd, f->info);
}

static enum err check_open_acked(struct fsck *f, const char *path, int fd)
{
    struct fsck_damage damage = {.kind = FSCK_ACKED, .file = path, .is_live = true};
    char text[STORE_ACKED_MAX];
    struct acked_copies found;
    enum err err = acked_load(f->disk, fd, text, &found, f->info);

    if (err)
        return err;
    f->counts->acked_good = found.good;
    f->counts->acked_damaged = found.damaged;
    if (found.damaged == 0)
        return ERR_OK;
    damage.is_known = found.good > 0; /* nothing is lost then */
    if (f->repair)
        err = repair_acked(f, path, fd, slice_make(text, found.len), found.number);
    damage.is_repaired = f->repair && !err;
    report(f, &damage);
    return err;
}

static void see_acked(void *arg, const char *name)
{
    *(bool *)arg |= strcmp(name, "acked") == 0;
}

static enum err check_acked(struct fsck *f)
{
    bool is_there = false;
    char *path;
    int fd;
    enum err err = f->disk->list(f->disk, f->path, see_acked, &is_there, f->info);

    if (err || !is_there)
        return err;
    if (asprintf(&path, "%s/acked", f->path) < 0)
        return err_fail(f->info, ERR_FULL, "no memory");
    err = f->disk->open(f->disk, path, O_RDWR, 0, &fd, f->info);
    if (!err) {
        err = check_open_acked(f, path, fd);
        f->disk->close(f->disk, fd);
    }
    free(path);
    return err;
}

/* ---- all of it ---- */

static enum err check(struct fsck *f)
{
    enum err err = reader_open(f->disk, f->path, &f->reader, f->info);

    if (err)
        return err;
    check_files(f);
    err = check_segments(f);
    if (!err)
        err = fsck_each_cut(f->reader, on_cut, f, f->info);
    if (!err)
        err = check_acked(f);
    reader_close(f->reader);
    return err;
}

static void see_journal(void *arg, const char *name)
{
    struct segment_name segments;

    *(bool *)arg |= strcmp(name, "lock") == 0 || header_parse_name(name, &segments);
}

/* Nothing is made here: neither a folder, nor a lock in somebody else's. */
static enum err expect_journal(struct disk *disk, const char *path, struct err_info *info)
{
    bool is_journal = false;
    enum err err = disk->list(disk, path, see_journal, &is_journal, info);

    if (!err && !is_journal)
        err =
            err_fail(info, ERR_CONFIG, "%s is no journal's folder: nothing of one is in it", path);
    return err;
}

enum err fsck_run(struct disk *disk, const char *path, bool repair,
                  void (*fn)(void *arg, const struct fsck_damage *damage), void *arg,
                  struct fsck_counts *counts, struct err_info *info)
{
    struct fsck f = {.disk = disk,
                     .path = path,
                     .repair = repair,
                     .fn = fn,
                     .arg = arg,
                     .counts = counts,
                     .info = info};
    int lock;
    enum err err;

    *counts = (struct fsck_counts){0};
    err = expect_journal(disk, path, info);
    if (!err)
        err = store_lock(disk, path, &lock, info);
    if (err)
        return err;
    err = check(&f);
    disk->close(disk, lock);
    return err;
}
