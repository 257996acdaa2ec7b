#include "journal/outbox.h"

#include "base/pages.h"
#include "journal/entry.h"
#include "journal/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_SPACE = 512 }; /* an entry without votes and sources is smaller */

unsigned outbox_exporters(const struct outbox *o)
{
    return atomic_load_explicit(&o->exporters, memory_order_acquire);
}

void outbox_grow(struct outbox *o, unsigned exporters, uint64_t position)
{
    assert(exporters <= EXPORTERS_MAX);
    for (unsigned i = outbox_exporters(o); i < exporters; i++) {
        atomic_store_explicit(&o->acked[i], position, memory_order_relaxed);
        atomic_store_explicit(&o->seen[i], position, memory_order_relaxed);
        atomic_store_explicit(&o->cursor[i], position, memory_order_relaxed);
    }
    atomic_store_explicit(&o->exporters, exporters, memory_order_release);
}

static size_t places_bytes(void)
{
    return SEGMENT_MAX * sizeof(_Atomic uint64_t);
}

void outbox_init(struct outbox *o, struct files *files, unsigned exporters)
{
    assert(exporters <= EXPORTERS_MAX);
    *o = (struct outbox){.files = files, .segments = files->segments};
    atomic_init(&o->exporters, exporters);
    o->places = pages_map(places_bytes());
    ring_init(&o->asked, OUTBOX_ASKED_MAX, sizeof(uint32_t));
}

void outbox_fini(struct outbox *o)
{
    for (uint32_t i = 0; i < o->map_count; i++)
        free(o->maps[i]);
    free(o->maps);
    ring_fini(&o->asked);
    pages_unmap((void *)o->places, places_bytes());
}

static uint64_t place_of(const struct outbox *o, uint64_t ordinal)
{
    return atomic_load_explicit(&o->places[ordinal % SEGMENT_MAX], memory_order_relaxed);
}

/* Ordered by the store to `end` that follows. */
static void set_place(struct outbox *o, uint64_t ordinal, uint32_t number, size_t used)
{
    atomic_store_explicit(&o->places[ordinal % SEGMENT_MAX], (uint64_t)number << 32 | used,
                          memory_order_relaxed);
}

/* ---- recovery ---- */

uint32_t outbox_number(const struct outbox *o, uint64_t position)
{
    return (uint32_t)(place_of(o, outbox_ordinal(position)) >> 32);
}

static const struct frame_header *header_at(const struct outbox *o, uint64_t position)
{
    uint32_t number = outbox_number(o, position);

    return (const struct frame_header *)(segment_at(o->segments, number)->bytes +
                                         outbox_offset(position));
}

static uint64_t behind(const struct frame_header *header, uint64_t position)
{
    return position + frame_size(header->tlv_len, header->stored_len);
}

static bool set_map(struct outbox *o, uint32_t number, struct outbox_map *map)
{
    if (number >= o->map_count) {
        uint32_t count = number * 2 + 16;
        struct outbox_map **more =
            (struct outbox_map **)reallocarray(o->maps, count, sizeof(void *));

        if (!more)
            return false;
        memset((void *)(more + o->map_count), 0, (count - o->map_count) * sizeof(void *));
        o->maps = more;
        o->map_count = count;
    }
    free(o->maps[number]);
    o->maps[number] = map;
    return true;
}

void outbox_forget(struct outbox *o, uint32_t number)
{
    outbox_remove(o, number);
    if (number >= o->map_count)
        return;
    free(o->maps[number]);
    o->maps[number] = NULL;
}

bool outbox_recovered(struct outbox *o, uint32_t number, uint64_t ordinal, size_t used,
                      struct outbox_map *map)
{
    struct segment *segment = segment_at(o->segments, number);
    struct outbox_map *nobody = map ? NULL : calloc(1, sizeof(*map));

    if ((!map && !nobody) || !set_map(o, number, map ? map : nobody)) {
        free(nobody);
        return false;
    }
    set_place(o, ordinal, number, used);
    segment->ordinal = ordinal;
    segment->used = segment->filled = used;
    outbox_add(o, number);
    if (memory_is_high(o->files->config->memory) && !segment->is_dirty)
        outbox_let_go(o, number);
    return true;
}

void outbox_map_apply(const struct outbox_map *map, struct decision_record *d)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < EXPORTERS_MAX; i++)
        if (d->exporters >> i & 1)
            mask |= map->exporters[i];
    d->exporters = mask;
    d->label = d->label < map->label_count ? map->labels[d->label] : 0;
}

void outbox_start(struct outbox *o, uint64_t begin)
{
    uint64_t end = outbox_position(o->files->ordinals[USE_OUTBOX], 0);

    o->appended = end;
    atomic_store_explicit(&o->begin, begin < end ? begin : end, memory_order_relaxed);
    for (unsigned i = 0; i < outbox_exporters(o); i++)
        atomic_store_explicit(&o->acked[i], end, memory_order_relaxed);
    atomic_store_explicit(&o->end, end, memory_order_release);
}

/* Where frames were damaged, one that spans them is in their place: a position within them is
 * moved behind it. */
static uint64_t on_frame(struct outbox *o, uint64_t position)
{
    uint64_t ordinal = outbox_ordinal(position),
             at = outbox_position(ordinal, files_overhead(o->files));
    size_t used = place_of(o, ordinal) & UINT32_MAX;

    if (position < atomic_load_explicit(&o->begin, memory_order_relaxed) ||
        ordinal >= outbox_ordinal(o->appended) || outbox_offset(position) >= used)
        return position;
    if (!outbox_visit(o, outbox_number(o, position)))
        return at; /* sent again */
    while (at < position && outbox_offset(at) < used)
        at = behind(header_at(o, at), at);
    return at;
}

void outbox_resume(struct outbox *o, unsigned exporter, uint64_t position)
{
    uint64_t begin = atomic_load_explicit(&o->begin, memory_order_relaxed);

    if (position > o->appended)
        position = o->appended;
    position = on_frame(o, position);
    atomic_store_explicit(&o->acked[exporter], position < begin ? begin : position,
                          memory_order_release);
}

/* ---- appending ---- */

static void close_open(struct outbox *o, uint64_t ordinal)
{
    struct segment *segment = segment_at(o->segments, o->open);

    segment->filled = segment->used;
    set_place(o, ordinal, o->open, segment->used);
    if (o->files->store)
        outbox_add(o, o->open);
}

/* Opens a segment with room for `size`: the first one, or the one after the last. */
static bool open_next(struct outbox *o, size_t size, uint64_t now_ns)
{
    const struct journal_config *c = o->files->config;
    uint64_t ordinal = outbox_ordinal(o->appended);
    size_t known = o->files->store ? names_count(c->names) : 0;
    size_t names = o->files->store ? names_room(c->names) + FORMAT_PAGE : 0; /* they may grow */
    uint32_t number;
    struct segment *segment;

    if (o->files->dirty_count + 2 > DIRTY_MAX)
        return false;
    number =
        segments_take(o->segments, size + files_overhead(o->files) + names, SEGMENT_OUTBOX, true);
    if (!number)
        return false;
    if (!files_open(o->files, number, USE_OUTBOX, 0, now_ns)) {
        segments_put(o->segments, number);
        return false;
    }
    segment = segment_at(o->segments, number);
    if (o->open)
        close_open(o, ordinal++);
    segment->ordinal = ordinal;
    if (o->files->store) {
        o->names = known;
        if (!append_names(segment, c->names, ++o->sequence, clock_unix_ns(c->clock), now_ns))
            o->names = 0; /* never: there is room */
        files_mark(o->files, number);
    }
    o->open = number;
    set_place(o, ordinal, number, 0);
    o->appended = outbox_position(ordinal, segment->used);
    return true;
}

/* A new label or exporter is named before a record has it. */
static bool names_are_known(struct outbox *o, uint64_t now_ns)
{
    const struct journal_config *c = o->files->config;
    struct segment *segment = segment_at(o->segments, o->open);
    size_t known = o->files->store ? names_count(c->names) : 0;

    if (known == o->names)
        return true;
    if (!append_names(segment, c->names, ++o->sequence, clock_unix_ns(c->clock), now_ns))
        return false;
    o->names = known;
    return true;
}

bool outbox_append(struct outbox *o, const struct decision_record *d, struct slice entry,
                   struct slice payload, uint64_t now_ns)
{
    struct frame_header header = {
        .signal = FRAME_KEEP, .unix_ns = d->unix_ns, .boot_ns = now_ns, .items = d->payload_spans};
    uint8_t space[ENTRY_SPACE];
    struct buf own = {.data = space, .cap = sizeof(space), .max = sizeof(space)};
    struct segment *segment = segment_at(o->segments, o->open);
    size_t size;

    if (!entry.len && entry_write(&own, d, NULL))
        entry = buf_slice(&own);
    size = frame_size(sizeof(struct tlv) + entry.len, payload.len);
    if ((!o->open || !names_are_known(o, now_ns) || size > segment->size - segment->used) &&
        !open_next(o, size, now_ns))
        return false;
    segment = segment_at(o->segments, o->open);
    header.sequence = ++o->sequence;
    segment_append(segment, &header, TLV_DECISION, entry, payload);
    files_mark(o->files, o->open);
    for (unsigned i = 0; i < EXPORTERS_MAX; i++)
        if (d->exporters >> i & 1)
            o->hidden[decision_signal(d)][i] += d->payload_spans;
    o->appended = outbox_position(outbox_ordinal(o->appended), segment->used);
    return true;
}

bool outbox_publish(struct outbox *o)
{
    if (atomic_load_explicit(&o->end, memory_order_relaxed) == o->appended)
        return false;
    for (unsigned signal = 0; signal < DECISION_SIGNALS; signal++)
        for (unsigned i = 0; i < EXPORTERS_MAX; i++) {
            o->enqueued[signal][i] += o->hidden[signal][i];
            o->hidden[signal][i] = 0;
        }
    atomic_store_explicit(&o->end, o->appended, memory_order_release);
    return true;
}

/* ---- what is settled ---- */

static uint64_t least_acked(const struct outbox *o)
{
    uint64_t least = atomic_load_explicit(&o->end, memory_order_relaxed);
    unsigned exporters = outbox_exporters(o);

    for (unsigned i = 0; i < exporters; i++) {
        uint64_t acked = atomic_load_explicit(&o->acked[i], memory_order_acquire);

        if (acked < least)
            least = acked;
    }
    return least;
}

void outbox_reclaim(struct outbox *o)
{
    uint64_t begin = atomic_load_explicit(&o->begin, memory_order_relaxed);
    uint64_t end = atomic_load_explicit(&o->end, memory_order_relaxed);
    uint64_t least = least_acked(o);

    for (uint64_t ordinal = outbox_ordinal(begin); ordinal < outbox_ordinal(end); ordinal++) {
        uint64_t place = place_of(o, ordinal);
        uint32_t number = (uint32_t)(place >> 32);

        if (least < outbox_position(ordinal, place & UINT32_MAX))
            return;
        atomic_store_explicit(&o->begin, outbox_position(ordinal + 1, 0), memory_order_release);
        if (!number)
            continue; /* nothing was found there after a restart */
        outbox_forget(o, number);
        files_free(o->files, number);
        segments_put(o->segments, number);
    }
}

void outbox_finish(struct outbox *o)
{
    if (o->open && least_acked(o) == o->appended)
        files_free(o->files, o->open);
}

/* ---- reading ---- */

/* Numbers of an earlier process become those of this one. */
static void translate(const struct outbox *o, uint64_t position, struct decision_record *r)
{
    uint32_t number = (uint32_t)(place_of(o, outbox_ordinal(position)) >> 32);
    const struct outbox_map *map = number < o->map_count ? o->maps[number] : NULL;

    if (map)
        outbox_map_apply(map, r);
}

static void read_keep(const struct outbox *o, uint64_t position, struct outbox_item *item)
{
    const struct frame_header *header = header_at(o, position);
    struct slice tlvs = slice_make((const uint8_t *)(header + 1), header->tlv_len);
    struct entry entry = {0};
    size_t at = 0;

    entry_read(frame_tlv(tlvs, TLV_DECISION), &at, &entry);
    item->record = entry.record;
    translate(o, position, &item->record);
    item->payload = slice_make(tlvs.data + tlvs.len, header->stored_len);
    item->position = position;
    item->next = behind(header, position);
}

/* Not before the first frame of its segment. */
static uint64_t in_frames(const struct outbox *o, uint64_t position)
{
    size_t first = files_overhead(o->files);

    return outbox_offset(position) < first ? outbox_position(outbox_ordinal(position), first)
                                           : position;
}

enum outbox_found outbox_find(const struct outbox *o, uint64_t position, struct outbox_item *item)
{
    uint64_t end = atomic_load_explicit(&o->end, memory_order_acquire);

    for (;;) {
        position = in_frames(o, position);
        while (outbox_ordinal(position) < outbox_ordinal(end) &&
               outbox_offset(position) >= (place_of(o, outbox_ordinal(position)) & UINT32_MAX))
            position = in_frames(o, outbox_position(outbox_ordinal(position) + 1, 0));
        if (position >= end)
            return OUTBOX_END;
        if (!outbox_is_here(o, outbox_number(o, position))) {
            item->position = position;
            return OUTBOX_AWAY;
        }
        if (header_at(o, position)->signal == FRAME_KEEP)
            read_keep(o, position, item);
        /* What was read back is for nobody where its names are lost. */
        if (header_at(o, position)->signal == FRAME_KEEP && item->record.exporters)
            return OUTBOX_HERE;
        position = behind(header_at(o, position), position);
    }
}

bool outbox_settle(struct outbox *o, unsigned exporter, uint64_t position)
{
    uint64_t before = atomic_load_explicit(&o->acked[exporter], memory_order_relaxed);
    uint64_t begin = atomic_load_explicit(&o->begin, memory_order_relaxed);

    assert(exporter < outbox_exporters(o));
    if (position <= before)
        return false;
    atomic_store_explicit(&o->acked[exporter], position, memory_order_release);
    return outbox_ordinal(begin) <
           outbox_ordinal(atomic_load_explicit(&o->end, memory_order_relaxed));
}
