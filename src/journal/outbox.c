#include "journal/outbox.h"

#include "base/pages.h"
#include "journal/frame.h"

#include <assert.h>

/* The TLV area of an outbox frame holds the decision. */
struct keep_tlv {
    struct tlv tlv;
    struct decision_record record;
};

static uint64_t ordinal_of(uint64_t position)
{
    return position >> 32;
}

static size_t offset_of(uint64_t position)
{
    return (size_t)(position & UINT32_MAX);
}

static size_t places_bytes(void)
{
    return SEGMENT_MAX * sizeof(_Atomic uint64_t);
}

void outbox_init(struct outbox *o, struct segments *segments, unsigned exporters)
{
    assert(exporters <= EXPORTERS_MAX);
    *o = (struct outbox){.segments = segments, .exporters = exporters};
    o->places = pages_map(places_bytes());
}

void outbox_fini(struct outbox *o)
{
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

/* Opens a segment with room for `size`: the first one, or the one after the last. */
static bool open_next(struct outbox *o, size_t size)
{
    uint64_t ordinal = ordinal_of(atomic_load_explicit(&o->end, memory_order_relaxed));
    uint32_t number = segments_take(o->segments, size, SEGMENT_OUTBOX, true);

    if (!number)
        return false;
    if (o->open) {
        set_place(o, ordinal, o->open, segment_at(o->segments, o->open)->used);
        ordinal++;
    }
    o->open = number;
    set_place(o, ordinal, number, 0);
    atomic_store_explicit(&o->end, ordinal << 32, memory_order_release);
    return true;
}

bool outbox_append(struct outbox *o, const struct decision_record *d, struct slice payload,
                   uint64_t now_ns)
{
    struct keep_tlv tlv = {{TLV_DECISION, sizeof(*d)}, *d};
    size_t size = frame_size(sizeof(tlv), payload.len);
    struct segment *segment = segment_at(o->segments, o->open);
    uint64_t end;

    if ((!o->open || size > segment->size - segment->used) && !open_next(o, size))
        return false;
    segment = segment_at(o->segments, o->open);
    *(struct frame_header *)(segment->bytes + segment->used) =
        (struct frame_header){.magic = FRAME_MAGIC,
                              .version = FRAME_VERSION,
                              .generation = segment->generation,
                              .signal = FRAME_KEEP,
                              .tlv_len = sizeof(tlv),
                              .sequence = ++o->sequence,
                              .unix_ns = d->unix_ns,
                              .boot_ns = now_ns,
                              .stored_len = (uint32_t)payload.len,
                              .decoded_len = (uint32_t)payload.len,
                              .items = d->payload_spans};
    memcpy(segment->bytes + segment->used + sizeof(struct frame_header), &tlv, sizeof(tlv));
    if (payload.len)
        memcpy(segment->bytes + segment->used + sizeof(struct frame_header) + sizeof(tlv),
               payload.data, payload.len);
    segment->used += size;
    for (unsigned i = 0; i < o->exporters; i++)
        if (d->exporters >> i & 1)
            o->enqueued[decision_signal(d)][i] += d->payload_spans;
    end = atomic_load_explicit(&o->end, memory_order_relaxed);
    atomic_store_explicit(&o->end, (end & ~(uint64_t)UINT32_MAX) | segment->used,
                          memory_order_release);
    return true;
}

static uint64_t least_acked(const struct outbox *o)
{
    uint64_t least = atomic_load_explicit(&o->end, memory_order_relaxed);

    for (unsigned i = 0; i < o->exporters; i++) {
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

    for (uint64_t ordinal = ordinal_of(begin); ordinal < ordinal_of(end); ordinal++) {
        uint64_t place = place_of(o, ordinal);

        if (least < (ordinal << 32 | (place & UINT32_MAX)))
            return;
        atomic_store_explicit(&o->begin, (ordinal + 1) << 32, memory_order_release);
        segments_put(o->segments, (uint32_t)(place >> 32));
    }
}

static void read_frame(const struct outbox *o, uint64_t position, struct outbox_item *item)
{
    uint32_t number = (uint32_t)(place_of(o, ordinal_of(position)) >> 32);
    const struct frame_header *header =
        (const struct frame_header *)(segment_at(o->segments, number)->bytes + offset_of(position));
    const uint8_t *tlv = (const uint8_t *)(header + 1);

    memcpy(&item->record, tlv + offsetof(struct keep_tlv, record), sizeof(item->record));
    item->payload = slice_make(tlv + header->tlv_len, header->stored_len);
    item->position = position;
    item->next = position + frame_size(header->tlv_len, header->stored_len);
}

bool outbox_find(const struct outbox *o, uint64_t position, struct outbox_item *item)
{
    uint64_t end = atomic_load_explicit(&o->end, memory_order_acquire);
    uint64_t ordinal = ordinal_of(position);

    if (ordinal < ordinal_of(end) && offset_of(position) >= (place_of(o, ordinal) & UINT32_MAX))
        position = (ordinal + 1) << 32;
    if (position >= end)
        return false;
    read_frame(o, position, item);
    return true;
}

bool outbox_settle(struct outbox *o, unsigned exporter, uint64_t position)
{
    uint64_t before = atomic_load_explicit(&o->acked[exporter], memory_order_relaxed);
    uint64_t begin = atomic_load_explicit(&o->begin, memory_order_relaxed);

    assert(exporter < o->exporters);
    if (position <= before)
        return false;
    atomic_store_explicit(&o->acked[exporter], position, memory_order_release);
    return ordinal_of(begin) < ordinal_of(atomic_load_explicit(&o->end, memory_order_relaxed));
}
