#include "journal/entry.h"
#include "journal/frame.h"
#include "journal/journal_impl.h"

#include <assert.h>

enum {
    LARGE_IDLE = 64,      /* bodies after which a large block that was of no use is given back */
    LARGE_KEPT = 4 << 20, /* bytes: larger ones are given back at once */
};

struct journal_writer *journal_writer(struct journal *j, unsigned index, struct loop *loop)
{
    assert(index < j->config.workers);
    j->writers[index].loop = loop;
    return &j->writers[index];
}

static void release(struct journal_writer *w, uint32_t number, uint32_t n)
{
    if (segments_release(&w->journal->segments, number, n))
        journal_wake(w->journal);
}

/* ---- staging ---- */

size_t writer_room_in(const struct journal_writer *w, uint32_t number)
{
    const struct segment *segment = segment_at(&w->journal->segments, number);

    return number ? segment->size - segment->used : 0;
}

void writer_close(struct journal_writer *w, uint32_t *number)
{
    struct segment *segment = segment_at(&w->journal->segments, *number);

    if (!*number)
        return;
    segment->open = false;
    atomic_store_explicit(&segment->published, segment->used, memory_order_release);
    atomic_store_explicit(&segment->closed, true, memory_order_release);
    release(w, *number, 1);
    *number = 0;
}

static bool open_next(struct journal_writer *w)
{
    uint32_t number;

    if (!ring_pop(&w->blocks, &number))
        return false;
    writer_close(w, &w->open);
    w->open = number;
    journal_wake(w->journal);
    return true;
}

static uint8_t *ask(struct journal_writer *w, size_t need)
{
    atomic_store_explicit(&w->want, need, memory_order_release);
    journal_urge(w->journal);
    return NULL;
}

static uint8_t *stage_large(struct journal_writer *w, size_t need)
{
    struct journal *j = w->journal;

    if (w->large && writer_room_in(w, w->large) < need)
        writer_close(w, &w->large);
    if (!w->large)
        w->large = atomic_exchange_explicit(&w->large_ready, 0, memory_order_acquire);
    if (!w->large || writer_room_in(w, w->large) < need)
        return ask(w, need);
    w->idle = 0;
    w->staged_large = true;
    return segment_at(&j->segments, w->large)->bytes + segment_at(&j->segments, w->large)->used +
           sizeof(struct frame_header);
}

static uint8_t *stage_small(struct journal_writer *w, size_t need)
{
    const struct segment *open;

    if (!w->large && atomic_load_explicit(&w->large_ready, memory_order_relaxed))
        w->large = atomic_exchange_explicit(&w->large_ready, 0, memory_order_acquire);
    if (w->large && ++w->idle > LARGE_IDLE)
        writer_close(w, &w->large);
    if (writer_room_in(w, w->open) < need && !open_next(w))
        return ask(w, need);
    open = segment_at(&w->journal->segments, w->open);
    w->staged_large = false;
    return open->bytes + open->used + sizeof(struct frame_header);
}

uint8_t *journal_stage(struct journal_writer *w, size_t size)
{
    size_t need = frame_size(0, size);
    uint8_t *at;

    w->staged = 0;
    if (size > UINT32_MAX - 2 * FRAME_ALIGN)
        return NULL;
    at = need + files_overhead(&w->journal->files) > w->journal->config.segment_bytes
             ? stage_large(w, need)
             : stage_small(w, need);
    w->staged = at ? size + 1 : 0;
    return at;
}

/* ---- committing ---- */

/* A body that turned out small moves to where small ones are, and the large block stays for the
 * next one. */
static bool move_to_open(struct journal_writer *w, size_t len)
{
    struct journal *j = w->journal;
    size_t need = frame_size(0, len);
    const struct segment *large = segment_at(&j->segments, w->large), *open;

    if (need > j->config.segment_bytes / 4 || (writer_room_in(w, w->open) < need && !open_next(w)))
        return false;
    open = segment_at(&j->segments, w->open);
    memcpy(open->bytes + open->used + sizeof(struct frame_header),
           large->bytes + large->used + sizeof(struct frame_header), len);
    if (large->size > LARGE_KEPT)
        writer_close(w, &w->large);
    return true;
}

/* At the segment's end, in front of TLV area and body; magic, version and generation are filled in.
 */
static void write_header(struct segment *segment, const struct frame_header *header)
{
    struct frame_header *at = (struct frame_header *)(segment->bytes + segment->used);

    *at = *header;
    at->magic = FRAME_MAGIC;
    at->version = FRAME_VERSION;
    at->generation = segment->generation;
    if (segment->salt)
        frame_seal(at, segment->salt);
}

/* What was staged there before, and was longer or refused, is not to be written. */
static void clear_padding(const struct segment *segment, size_t len, size_t size)
{
    memset(segment->bytes + segment->used + len, 0, size - len);
}

frame_id writer_append(struct journal_writer *w, uint32_t number, struct frame_header *header)
{
    struct journal *j = w->journal;
    struct segment *segment = segment_at(&j->segments, number);
    size_t size = frame_size(header->tlv_len, header->stored_len), at = segment->used;

    header->sequence = ++w->sequence;
    write_header(segment, header);
    clear_padding(segment, sizeof(*header) + header->tlv_len + header->stored_len, size);
    segment->used += size;
    segment->items += header->items;
    if (segment->last_ns < header->boot_ns)
        segment->last_ns = header->boot_ns;
    atomic_fetch_add_explicit(&segment->references, header->items, memory_order_relaxed);
    return (frame_id)(number << j->position_bits | at / FRAME_ALIGN);
}

frame_id journal_commit(struct journal_writer *w, size_t len, uint32_t items,
                        enum signal_kind signal, uint64_t now_ns)
{
    struct journal *j = w->journal;
    struct frame_header header = {.signal = (uint8_t)signal,
                                  .unix_ns = clock_unix_ns(j->config.clock),
                                  .boot_ns = now_ns,
                                  .stored_len = (uint32_t)len,
                                  .decoded_len = (uint32_t)len,
                                  .items = items};
    frame_id frame;

    assert(w->staged > len && items > 0);
    w->staged = 0;
    if (!w->staged_large || move_to_open(w, len))
        return writer_append(w, w->open, &header);
    frame = writer_append(w, w->large, &header);
    segments_shrink(&j->segments, w->large);
    writer_close(w, &w->large);
    return frame;
}

uint64_t journal_ticket(const struct journal_writer *w)
{
    return w->sequence;
}

uint64_t journal_acked(const struct journal_writer *w)
{
    return w->journal->files.store ? atomic_load_explicit(&w->acked, memory_order_acquire)
                                   : w->sequence;
}

static void publish(struct journal_writer *w, uint32_t number)
{
    struct segment *segment = segment_at(&w->journal->segments, number);

    if (number && segment->used > files_overhead(&w->journal->files))
        atomic_store_explicit(&segment->published, segment->used, memory_order_release);
}

/* Senders wait, so a round is to begin, unless the journal thread waits for more of them. Reads
 * with an exchange: what stands there now, not what stood there before the frames were submitted.
 */
static void urge_round(struct journal *j)
{
    if (j->config.ack == ACK_FSYNC &&
        atomic_fetch_or_explicit(&j->pause, 0, memory_order_acq_rel) == PAUSE_FRAMES &&
        pace_is_short(j))
        return;
    journal_urge(j);
}

void journal_submit(struct journal_writer *w)
{
    if (!w->journal->files.store)
        return;
    if (atomic_load_explicit(&w->turn, memory_order_relaxed) &&
        atomic_exchange_explicit(&w->turn, false, memory_order_acquire)) {
        writer_close(w, &w->moved);
        if (w->staged == 0)
            writer_close(w, &w->open);
    }
    if (atomic_load_explicit(&w->submitted, memory_order_relaxed) == w->sequence)
        return;
    publish(w, w->open);
    publish(w, w->large);
    publish(w, w->moved);
    atomic_store_explicit(&w->submitted, w->sequence, memory_order_release);
    urge_round(w->journal);
}

/* ---- reading and releasing ---- */

void journal_read_begin(struct journal_writer *w)
{
    uint64_t reading = atomic_load_explicit(&w->reading, memory_order_relaxed);

    if (w->journal->leaves)
        atomic_store_explicit(&w->reading, reading + 1, memory_order_seq_cst);
}

void journal_read_end(struct journal_writer *w)
{
    uint64_t reading = atomic_load_explicit(&w->reading, memory_order_relaxed);

    if (w->journal->leaves)
        atomic_store_explicit(&w->reading, reading + 1, memory_order_release);
}

/* Asks once: the journal thread finds it in the ring. */
static void ask_back(struct journal_writer *w, struct segment *segment, uint32_t number)
{
    uint8_t gone = PLACE_GONE;

    if (ring_space(&w->asked) == 0 ||
        !atomic_compare_exchange_strong(&segment->place, &gone, PLACE_ASKED))
        return;
    ring_push(&w->asked, &number);
    journal_urge(w->journal);
}

void journal_read_others(struct journal_writer *w)
{
    unpack_begin(&w->unpack);
}

/* Where a frame begins in its segment. */
static size_t offset_of(const struct journal *j, frame_id frame)
{
    return (size_t)(frame & ((UINT32_C(1) << j->position_bits) - 1)) * FRAME_ALIGN;
}

bool journal_is_here(struct journal_writer *w, frame_id frame)
{
    uint32_t number = journal_number(w->journal, frame);
    struct segment *segment = segment_at(&w->journal->segments, number);
    uint8_t place = atomic_load_explicit(&segment->place, memory_order_seq_cst);

    if (place == PLACE_LEAVING &&
        atomic_compare_exchange_strong(&segment->place, &place, PLACE_HERE))
        return true;
    if (place == PLACE_HERE)
        return true;
    if (segment->packed && unpack_bring(&w->unpack, number, offset_of(w->journal, frame)))
        return true;
    if (place == PLACE_GONE)
        ask_back(w, segment, number);
    return false;
}

/* NULL: the frame was read back damaged (files_load). */
const struct frame_header *writer_header_of(const struct journal *j, frame_id frame)
{
    const struct segment *segment = segment_at(&j->segments, journal_number(j, frame));
    size_t at = offset_of(j, frame);
    const struct frame_header *header = (const struct frame_header *)(segment->bytes + at);

    assert(frame && segment->bytes && at + sizeof(*header) <= segment->size);
    return header->magic == FRAME_MAGIC ? header : NULL;
}

static struct slice body_of(const struct frame_header *header)
{
    if (!header)
        return slice_str("");
    return slice_make((const uint8_t *)(header + 1) + header->tlv_len, header->stored_len);
}

struct slice journal_body(const struct journal *j, frame_id frame)
{
    return body_of(writer_header_of(j, frame));
}

struct slice journal_read(struct journal_writer *w, frame_id frame)
{
    uint32_t number = journal_number(w->journal, frame);
    struct segment *segment = segment_at(&w->journal->segments, number);
    uint8_t place = atomic_load_explicit(&segment->place, memory_order_acquire);

    if (place == PLACE_GONE || place == PLACE_ASKED)
        return body_of((const struct frame_header *)unpack_find(&w->unpack, number,
                                                                offset_of(w->journal, frame)));
    return body_of(writer_header_of(w->journal, frame));
}

uint64_t journal_source(const struct journal *j, frame_id frame)
{
    const struct segment *segment = segment_at(&j->segments, journal_number(j, frame));
    const struct frame_header *header = writer_header_of(j, frame);
    uint64_t source = frame_source(segment->writer, header ? header->sequence : 0);

    if (header)
        (void)frame_came_in(header, slice_make((const uint8_t *)(header + 1), header->tlv_len),
                            source, &source);
    return source;
}

void journal_release(struct journal_writer *w, frame_id frame, uint32_t n)
{
    if (n > 0)
        release(w, journal_number(w->journal, frame), n);
}

/* ---- decisions ---- */

bool journal_can_decide(struct journal_writer *w)
{
    return ring_space(&w->ring) > 0;
}

/* The entry of the log. False: no memory. */
static bool encode(struct journal_writer *w, const struct decision_details *details,
                   struct decision *d)
{
    size_t size = entry_size(details);
    uint8_t *at = byte_ring_add(&w->entries, size, &d->entry_end);

    buf_init(&d->entry, size, w->journal->config.memory);
    d->entry.forced = true; /* deciding lets memory go */
    if (at) {
        d->entry.data = at;
        d->entry.cap = size;
    }
    if (entry_write(&d->entry, &d->record, details))
        return true;
    buf_fini(&d->entry);
    return false;
}

/* What is passed on has a sender that waits, and what is large fills memory while it gathers. */
static bool is_urgent(struct journal_writer *w, const struct decision *d)
{
    w->gathered += d->entry.len + d->payload.len;
    if (w->journal->config.ack == ACK_MEMORY ||
        (decision_is_of_trace(&d->record) && w->gathered < GATHER_BYTES))
        return false;
    w->gathered = 0;
    return true;
}

uint64_t journal_decide(struct journal_writer *w, const struct decision_record *d,
                        const struct decision_details *details, struct buf *payload)
{
    struct decision decision = {.record = *d};
    uint32_t space = ring_space(&w->ring);
    bool hurries;

    if (space == 0) {
        journal_urge(w->journal);
        return 0;
    }
    if (w->journal->files.store && !encode(w, details, &decision))
        return 0;
    if (payload)
        buf_take(payload, &decision.payload);
    hurries = is_urgent(w, &decision);
    if (!ring_push(&w->ring, &decision)) /* never: there was space */
        return 0;
    if (hurries)
        atomic_store_explicit(&w->hurries, true, memory_order_release);
    if (hurries || space == w->ring_size / 2)
        journal_urge(w->journal);
    else
        journal_wake(w->journal);
    return ++w->decisions;
}

uint64_t journal_decided(const struct journal_writer *w)
{
    return atomic_load_explicit(&w->committed, memory_order_acquire);
}
