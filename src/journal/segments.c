#include "journal/segments.h"

#include "base/clock.h"
#include "base/pages.h"
#include "journal/frame.h"

#include <assert.h>
#include <string.h>

enum {
    KEPT_FREE = 1,         /* free segments that are never given back */
    KEPT_HIGH = 4,         /* that stay while memory is high: new pages cost four times all else */
    TRIM_BYTES = 16 << 20, /* given back in one step: 30 to 50 us a MiB */
    LARGE_LOOKED = 16,     /* free large ones that are looked through for one that fits */
};
static const uint64_t trim_every_ns = 10 * NS_PER_S, give_every_ns = 10 * NS_PER_MS;

void segments_init(struct segments *s, size_t segment_bytes, unsigned number_bits,
                   struct memory *memory)
{
    *s = (struct segments){.memory = memory, .segment_bytes = segment_bytes, .count = 1};
    s->max = number_bits < 32 ? UINT32_C(1) << number_bits : UINT32_MAX;
    if (s->max > SEGMENT_MAX)
        s->max = SEGMENT_MAX;
    s->table = pages_map(SEGMENT_MAX * sizeof(struct segment));
}

void segments_fini(struct segments *s)
{
    for (uint32_t i = 1; i < s->count; i++)
        pages_free(s->memory, s->table[i].bytes, s->table[i].size);
    pages_unmap(s->table, SEGMENT_MAX * sizeof(struct segment));
}

static void push(struct segments *s, uint32_t *stack, uint32_t number)
{
    segment_at(s, number)->next = *stack;
    *stack = number;
}

static uint32_t pop(struct segments *s, uint32_t *stack)
{
    uint32_t number = *stack;

    if (number)
        *stack = segment_at(s, number)->next;
    return number;
}

/* Sizes in steps of an eighth, so that a free one often fits the next body. */
static size_t rounded(size_t size)
{
    size_t step = 4096;

    while (step * 16 <= size)
        step *= 2;
    return (size + step - 1) / step * step;
}

static uint32_t new_segment(struct segments *s, size_t size, bool forced)
{
    struct segment *segment;
    uint32_t number;
    uint8_t *bytes;

    if (!s->absent && s->count == s->max)
        return 0;
    if (!forced && !memory_has_intake_room(s->memory, size))
        return 0;
    bytes = forced ? pages_new_forced(s->memory, size) : pages_new(s->memory, size);
    if (!bytes)
        return 0;
    if (size <= s->segment_bytes)
        pages_touch(bytes, size);
    number = s->absent ? pop(s, &s->absent) : s->count++;
    segment = segment_at(s, number);
    segment->bytes = bytes;
    segment->size = size;
    return number;
}

/* A free large one that is at most a quarter too large. */
static uint32_t pop_large(struct segments *s, size_t size)
{
    uint32_t *link = &s->large;

    for (int i = 0; i < LARGE_LOOKED && *link; i++) {
        struct segment *segment = segment_at(s, *link);

        if (segment->size >= size && segment->size <= size + size / 4)
            return pop(s, link);
        link = &segment->next;
    }
    return 0;
}

static uint32_t pop_free(struct segments *s)
{
    uint32_t number = pop(s, &s->free);

    if (number && --s->free_count < s->free_low)
        s->free_low = s->free_count;
    return number;
}

static void begin(struct segment *segment, enum segment_kind kind)
{
    segment->used = 0;
    segment->generation++;
    segment->kind = (uint8_t)kind;
    segment->open = true;
    segment->region = 0;
    segment->is_moved = false;
    segment->salt = segment->shift_ns = 0;
    segment->items = 0;
    segment->last_ns = 0;
    segment->thin_ns = 0;
    segment->thinned = 0;
    segment->written = segment->filled = 0;
    segment->stays = 0;
    segment->tries = 0;
    segment->packed = NULL;
    segment->is_dense = false;
    segment->back_ns = 0;
    segment->returns = 0;
    atomic_store_explicit(&segment->references, 1, memory_order_relaxed);
    atomic_store_explicit(&segment->published, 0, memory_order_relaxed);
    atomic_store_explicit(&segment->closed, false, memory_order_relaxed);
    atomic_store_explicit(&segment->is_thin, false, memory_order_relaxed);
    atomic_store_explicit(&segment->place, PLACE_HERE, memory_order_relaxed);
}

uint32_t segments_take(struct segments *s, size_t size, enum segment_kind kind, bool forced)
{
    bool large = size > s->segment_bytes;
    uint32_t number = large ? pop_large(s, size) : pop_free(s);
    struct segment *segment;

    if (!number)
        number = new_segment(s, large ? rounded(size) : s->segment_bytes, forced);
    if (!number)
        return 0;
    segment = segment_at(s, number);
    begin(segment, kind);
    return number;
}

uint32_t segments_take_absent(struct segments *s, size_t size, enum segment_kind kind)
{
    struct segment *segment;
    uint32_t number;

    if (!s->absent && s->count == s->max)
        return 0;
    number = s->absent ? pop(s, &s->absent) : s->count++;
    segment = segment_at(s, number);
    segment->bytes = NULL;
    segment->size = size;
    begin(segment, kind);
    return number;
}

bool segments_attach(struct segments *s, uint32_t number, bool forced)
{
    struct segment *segment = segment_at(s, number);
    uint32_t spare = segment->size == s->segment_bytes ? pop_free(s) : 0;

    if (spare) {
        segment->bytes = segment_at(s, spare)->bytes;
        segment_at(s, spare)->bytes = NULL;
        segment_at(s, spare)->kind = SEGMENT_ABSENT;
        push(s, &s->absent, spare);
        return true;
    }
    segment->bytes =
        forced ? pages_new_forced(s->memory, segment->size) : pages_new(s->memory, segment->size);
    if (segment->bytes && segment->size <= s->segment_bytes)
        pages_touch(segment->bytes, segment->size);
    return segment->bytes != NULL;
}

void segments_detach(struct segments *s, uint32_t number)
{
    struct segment *segment = segment_at(s, number), *spare;
    bool is_kept = segment->size == s->segment_bytes &&
                   (!memory_is_high(s->memory) || s->free_count < KEPT_HIGH) &&
                   (s->absent || s->count < s->max);

    if (!is_kept) {
        pages_free(s->memory, segment->bytes, segment->size);
        segment->bytes = NULL;
        return;
    }
    spare = segment_at(s, s->absent ? s->absent : s->count);
    spare->bytes = segment->bytes;
    spare->size = segment->size;
    segment->bytes = NULL;
    segments_put(s, s->absent ? pop(s, &s->absent) : s->count++);
}

void segment_append(struct segment *segment, const struct frame_header *header, enum frame_tlv type,
                    struct slice value, struct slice body)
{
    struct frame_header *at = (struct frame_header *)(segment->bytes + segment->used);
    struct tlv tlv = {type, (uint32_t)value.len};
    uint8_t *to = (uint8_t *)(at + 1);

    *at = *header;
    at->magic = FRAME_MAGIC;
    at->version = FRAME_VERSION;
    at->generation = segment->generation;
    at->stored_len = at->decoded_len = (uint32_t)body.len;
    if (type) {
        at->tlv_len = (uint32_t)(sizeof(tlv) + value.len);
        memcpy(to, &tlv, sizeof(tlv));
        memcpy(to + sizeof(tlv), value.data, value.len);
    }
    if (body.len)
        memcpy(to + at->tlv_len, body.data, body.len);
    if (segment->salt)
        frame_seal(at, segment->salt);
    segment->used += frame_size(at->tlv_len, body.len);
}

void segments_put(struct segments *s, uint32_t number)
{
    struct segment *segment = segment_at(s, number);

    segment->kind = SEGMENT_FREE;
    segment->open = false;
    if (!segment->bytes) {
        segment->kind = SEGMENT_ABSENT;
        push(s, &s->absent, number);
    } else if (segment->size == s->segment_bytes) {
        push(s, &s->free, number);
        s->free_count++;
    } else {
        segment->taken_ns = 0; /* the next trim dates it */
        push(s, &s->large, number);
    }
}

uint32_t segments_collect(struct segments *s)
{
    if (atomic_load_explicit(&s->returned, memory_order_relaxed) == 0)
        return 0;
    return atomic_exchange_explicit(&s->returned, 0, memory_order_acquire);
}

static void give_back(struct segments *s, uint32_t number)
{
    struct segment *segment = segment_at(s, number);

    pages_free(s->memory, segment->bytes, segment->size);
    segment->bytes = NULL;
    segment->kind = SEGMENT_ABSENT;
    push(s, &s->absent, number);
}

/* Large ones go when they lay free for so long. */
static void trim_large(struct segments *s, uint64_t now_ns, bool high)
{
    uint32_t *link = &s->large;

    while (*link) {
        struct segment *segment = segment_at(s, *link);

        if (segment->taken_ns == 0)
            segment->taken_ns = now_ns ? now_ns : 1;
        if (high || now_ns - segment->taken_ns >= trim_every_ns)
            give_back(s, pop(s, link));
        else
            link = &segment->next;
    }
}

/* What was not needed for ten seconds: load that comes in waves finds the pages of the last one.
 * All but a few where memory is short. */
static uint32_t unneeded(const struct segments *s, bool high)
{
    uint32_t count = high ? s->free_count : s->free_low, keep = high ? KEPT_HIGH : KEPT_FREE;

    return count > keep ? count - keep : 0;
}

static void give_some_back(struct segments *s, uint64_t now_ns)
{
    size_t left = TRIM_BYTES;

    for (; left >= s->segment_bytes && s->giving > 0 && s->free_count > KEPT_FREE; s->giving--) {
        left -= s->segment_bytes;
        give_back(s, pop_free(s));
    }
    s->give_ns = now_ns + give_every_ns;
}

uint64_t segments_trim(struct segments *s, uint64_t now_ns)
{
    /* Large ones are what the next request may need as something else. */
    bool high = memory_is_high(s->memory) && (s->free_count > KEPT_HIGH || s->large);

    if (high || now_ns >= s->trim_ns) {
        trim_large(s, now_ns, high);
        s->giving = unneeded(s, high);
        s->free_low = s->free_count;
        s->trim_ns = now_ns + (high ? give_every_ns : trim_every_ns);
        s->give_ns = now_ns;
    }
    if (s->giving > 0 && now_ns >= s->give_ns)
        give_some_back(s, now_ns);
    if (s->giving > 0)
        return earlier_ns(s->give_ns, s->trim_ns);
    return s->free_count > KEPT_FREE || s->large ? s->trim_ns : NEVER_NS;
}

void segments_shrink(struct segments *s, uint32_t number)
{
    struct segment *segment = segment_at(s, number);

    if (segment->used + segment->used / 4 < segment->size)
        segment->size = pages_shrink(s->memory, segment->bytes, segment->size, segment->used);
}

bool segments_release(struct segments *s, uint32_t number, uint32_t n)
{
    struct segment *segment = segment_at(s, number);
    uint32_t before = atomic_fetch_sub_explicit(&segment->references, n, memory_order_acq_rel);
    uint32_t top;

    assert(before >= n);
    if (before != n)
        return false;
    top = atomic_load_explicit(&s->returned, memory_order_relaxed);
    do {
        segment->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&s->returned, &top, number,
                                                    memory_order_release, memory_order_relaxed));
    return top == 0;
}
