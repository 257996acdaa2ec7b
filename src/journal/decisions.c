#include "journal/decisions.h"

#include "journal/entry.h"
#include "journal/frame.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 1 << 20, FRAME_BODY_MAX = 64 << 10 };

void decision_log_init(struct decision_log *l, struct files *files)
{
    *l = (struct decision_log){.files = files};
    if (files->store &&
        !fifo_init(&l->closed, files->config->memory, sizeof(struct closed_decisions), 64))
        err_no_memory("the log of decisions");
}

void decision_log_fini(struct decision_log *l)
{
    fifo_fini(&l->closed);
}

static struct segment *open_segment(const struct decision_log *l)
{
    return segment_at(l->files->segments, l->open);
}

size_t names_room(const struct journal_names *names)
{
    struct buf body;
    size_t room;

    buf_init(&body, NAMES_MAX, NULL);
    room = frame_size(0, names_write(&body, names) ? body.len : 0);
    buf_fini(&body);
    return room;
}

bool append_names(struct segment *segment, const struct journal_names *names, uint64_t sequence,
                  uint64_t unix_ns, uint64_t now_ns)
{
    struct frame_header header = {
        .signal = FRAME_NAMES, .sequence = sequence, .unix_ns = unix_ns, .boot_ns = now_ns};
    struct buf body;
    bool done;

    buf_init(&body, NAMES_MAX, NULL);
    done = names_write(&body, names) && frame_size(0, body.len) <= segment->size - segment->used;
    if (done)
        segment_append(segment, &header, TLV_NONE, (struct slice){0}, buf_slice(&body));
    buf_fini(&body);
    return done;
}

static bool write_names(struct decision_log *l, uint64_t now_ns)
{
    const struct journal_config *c = l->files->config;
    size_t known = names_count(c->names);

    if (!append_names(open_segment(l), c->names, l->sequence + 1, clock_unix_ns(c->clock), now_ns))
        return false;
    l->sequence++;
    l->names = known;
    return true;
}

static void end_frame(struct decision_log *l, struct segment *segment)
{
    struct frame_header *header = (struct frame_header *)(segment->bytes + l->frame_at);
    size_t len = segment->used - l->frame_at - sizeof(*header);

    header->sequence = ++l->sequence;
    header->stored_len = header->decoded_len = (uint32_t)len;
    header->items = l->frame_items;
    frame_seal(header, segment->salt);
    segment->used = l->frame_at + frame_size(0, len);
    l->frame_at = 0;
    l->frame_items = 0;
}

/* Ends the frame that is being filled. Nothing of the log is written before it is released. */
static void seal(struct decision_log *l)
{
    struct segment *segment = open_segment(l);

    if (!l->open)
        return;
    if (l->frame_at)
        end_frame(l, segment);
    if (segment->used > segment->written)
        files_hold(l->files, l->open);
}

static void close_open(struct decision_log *l, uint64_t now_ns)
{
    struct closed_decisions *closed;

    if (!l->open)
        return;
    seal(l);
    open_segment(l)->open = false;
    closed = fifo_push(&l->closed);
    *closed = (struct closed_decisions){l->open, l->open_entries, now_ns};
    l->open = 0;
    l->open_entries = 0;
}

/* One with room for names and `need` bytes: entries of many sources are larger than others. */
static bool open_next(struct decision_log *l, size_t need, uint64_t now_ns)
{
    struct segments *segments = l->files->segments;
    size_t names = names_room(l->files->config->names) + FORMAT_PAGE; /* they may grow */
    size_t size = files_overhead(l->files) + names + need;
    uint32_t number;

    if (!fifo_room(&l->closed, 1) || l->files->dirty_count + 2 > DIRTY_MAX)
        return false;
    number = segments_take(segments, size, SEGMENT_DECISIONS, true);
    if (!number)
        return false;
    if (!files_open(l->files, number, USE_DECISIONS, 0, now_ns)) {
        segments_put(segments, number);
        return false;
    }
    close_open(l, now_ns);
    l->open = number;
    return write_names(l, now_ns);
}

/* The bytes that the frame being filled leaves. */
static size_t room(const struct decision_log *l)
{
    const struct segment *segment = open_segment(l);

    return l->open ? segment->size - segment->used : 0;
}

/* A new label or exporter is named before an entry has it. */
static bool names_are_known(struct decision_log *l, uint64_t now_ns)
{
    const struct journal_names *names = l->files->config->names;

    if (names_count(names) == l->names)
        return true;
    seal(l);
    return write_names(l, now_ns);
}

bool decision_log_room(struct decision_log *l, size_t bytes, uint64_t now_ns)
{
    size_t need = frame_size(0, bytes) + FRAME_ALIGN;

    if (l->frame_at && open_segment(l)->used - l->frame_at + bytes > FRAME_BODY_MAX)
        seal(l);
    if (l->open && names_are_known(l, now_ns) && room(l) >= need)
        return true;
    return open_next(l, need, now_ns) && room(l) >= need;
}

/* What is known when the frame begins; end_frame fills in the rest. */
static void begin_frame(struct decision_log *l, struct segment *segment, uint64_t now_ns)
{
    struct frame_header *header = (struct frame_header *)(segment->bytes + segment->used);

    *header = (struct frame_header){.magic = FRAME_MAGIC,
                                    .version = FRAME_VERSION,
                                    .signal = FRAME_DECISIONS,
                                    .generation = segment->generation,
                                    .unix_ns = clock_unix_ns(l->files->config->clock),
                                    .boot_ns = now_ns};
    l->frame_at = segment->used;
    segment->used += sizeof(*header);
}

void decision_log_append(struct decision_log *l, struct slice entry, bool is_of_logs,
                         uint64_t now_ns)
{
    struct segment *segment = open_segment(l);

    if (!l->frame_at)
        begin_frame(l, segment, now_ns);
    memcpy(segment->bytes + segment->used, entry.data, entry.len);
    segment->used += entry.len;
    l->frame_items++;
    l->open_entries += !is_of_logs;
    l->entries += !is_of_logs;
}

bool decision_log_release(struct decision_log *l)
{
    seal(l);
    return files_release(l->files, SEGMENT_DECISIONS);
}

bool decision_log_recovered(struct decision_log *l, uint32_t number, uint64_t entries,
                            uint64_t closed_ns)
{
    if (!fifo_force(&l->closed, 1))
        return false;
    *(struct closed_decisions *)fifo_push(&l->closed) =
        (struct closed_decisions){number, entries, closed_ns};
    l->entries += entries;
    return true;
}

/* What is full and written need not stay in memory. */
static void let_memory_go(struct decision_log *l)
{
    for (size_t i = fifo_len(&l->closed); i-- > 0;) {
        uint32_t number = ((struct closed_decisions *)fifo_at(&l->closed, i))->number;
        struct segment *segment = segment_at(l->files->segments, number);

        if (!segment->bytes)
            return;
        if (!segment->is_dirty)
            segments_detach(l->files->segments, number);
    }
}

void decision_log_reclaim(struct decision_log *l, uint64_t oldest_ns)
{
    if (!l->files->store)
        return;
    let_memory_go(l);
    while (fifo_len(&l->closed) > 0) {
        struct closed_decisions *first = fifo_at(&l->closed, 0);
        struct segment *segment = segment_at(l->files->segments, first->number);

        if (segment->bytes && segment->is_dirty)
            return;
        if (l->entries - first->entries < l->files->config->decision_cache ||
            oldest_ns <= first->closed_ns)
            return;
        l->entries -= first->entries;
        files_free(l->files, first->number);
        segments_put(l->files->segments, first->number);
        fifo_drop(&l->closed, 1);
    }
}
