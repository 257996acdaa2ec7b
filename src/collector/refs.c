#include "base/prefetch.h"
#include "collector/decider.h"

enum {
    FIRST_SPANS = 256,
    FETCHED_SPANS = 16,   /* ahead of their composition */
    FETCHED_MAX = 512,    /* bytes of each */
    RELEASES_A_LOOK = 64, /* at the clock: some microseconds */
};

/* ---- scratch ---- */

void decider_free_scratch(struct decider *d)
{
    struct memory *memory = d->worker->shared->memory;

    counted_free(memory, d->refs);
    counted_free(memory, d->kept);
    counted_free(memory, d->sources);
    d->refs = NULL;
    d->kept = NULL;
    d->sources = NULL;
    d->capacity = 0;
}

bool decider_scratch(struct decider *d, size_t spans)
{
    struct memory *memory = d->worker->shared->memory;
    size_t capacity = d->capacity ? d->capacity : FIRST_SPANS;

    if (spans <= d->capacity)
        return true;
    while (capacity < spans)
        capacity *= 2;
    decider_free_scratch(d);
    d->refs = counted_alloc(memory, capacity * sizeof(*d->refs));
    d->kept = counted_alloc(memory, capacity * sizeof(*d->kept));
    if (d->has_details)
        d->sources = counted_alloc(memory, capacity * sizeof(*d->sources));
    if (!d->refs || !d->kept || (d->has_details && !d->sources)) {
        decider_free_scratch(d);
        return false;
    }
    d->capacity = capacity;
    return true;
}

/* ---- references ---- */

struct span_view decider_span_at(void *decider, uint32_t i)
{
    const struct decider *d = decider;
    const struct span_ref *r = &d->refs[i];

    return span_view_at(journal_read(d->worker->journal, r->frame), r->offset, r->len,
                        r->resource_offset, r->scope_offset);
}

/* Asks the processor for what is read of a kept span. */
static void fetch(const uint8_t *body, const struct span_ref *r)
{
    prefetch(body + r->resource_offset);
    prefetch(body + r->scope_offset);
    prefetch_most(body + r->offset, r->len, FETCHED_MAX);
}

void decider_view(struct decider *d, size_t count)
{
    for (uint32_t i = 0; i < count && i < FETCHED_SPANS; i++)
        fetch(journal_read(d->worker->journal, d->refs[i].frame).data, &d->refs[i]);
    for (uint32_t i = 0; i < count; i++)
        d->kept[i] = (struct compose_span){decider_span_at(d, i),
                                           journal_read(d->worker->journal, d->refs[i].frame).data};
}

void decider_queue_release(struct decider *d, uint64_t sequence, frame_id frame, uint32_t count)
{
    size_t len = fifo_len(&d->releases);
    struct release *last = len ? fifo_at(&d->releases, len - 1) : NULL;

    d->releasing += count;
    if (last && last->sequence == sequence && last->frame == frame)
        last->count += count;
    else
        *(struct release *)fifo_push(&d->releases) = (struct release){sequence, frame, count};
}

/* Most come with others in a frame. */
void decider_queue_releases(struct decider *d, uint64_t sequence, const struct span_ref *refs,
                            uint32_t count)
{
    for (uint32_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && refs[end].frame == refs[i].frame;)
            end++;
        decider_queue_release(d, sequence, refs[i].frame, end - i);
    }
}

bool decider_release_committed(struct decider *d, uint64_t until_ns)
{
    uint64_t committed = journal_decided(d->worker->journal);

    for (size_t i = 1; fifo_len(&d->releases) > 0; i++) {
        struct release *r = fifo_at(&d->releases, 0);

        if (r->sequence > committed ||
            (i % RELEASES_A_LOOK == 0 && clock_now_ns(d->worker->shared->clock) > until_ns))
            return true;
        journal_release(d->worker->journal, r->frame, r->count);
        d->releasing -= r->count;
        fifo_drop(&d->releases, 1);
    }
    return false;
}
