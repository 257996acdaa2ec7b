/* recent_spans.c: finds the spans of decided traces in the frames that they came in. */
#include "collector/recent_parts.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
    const struct wanted_trace *x = a, *y = b;

    return memcmp(x->trace.id, y->trace.id, sizeof(x->trace.id));
}

static void sort_wanted(struct recent_gathering *g)
{
    size_t total = 0;

    for (size_t i = 0; i < g->count; i++)
        total += g->wanted[i].sources.count;
    if (!recent_make_sources(g, &g->sources, total + 1))
        return;
    for (size_t i = 0; i < g->count; i++)
        for (size_t k = 0; k < g->wanted[i].sources.count; k++)
            g->sources.numbers[g->sources.count++] = g->wanted[i].sources.numbers[k];
    source_set_sort(&g->sources);
    memset(g->oldest, 0xff, sizeof(g->oldest));
    for (size_t i = g->sources.count; i-- > 0;)
        g->oldest[frame_source_worker(g->sources.numbers[i])] =
            frame_source_sequence(g->sources.numbers[i]);
    qsort(g->wanted, g->count, sizeof(*g->wanted), by_id);
}

/* The decision on that trace which was made of what came in this frame, and which of its sources
 * that is. False: there is none, or it has all of its spans. */
static bool find_wanted(const struct recent_gathering *g, const uint8_t id[16], uint64_t source,
                        struct picked_span *to)
{
    size_t low = 0, high = g->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (memcmp(g->wanted[middle].trace.id, id, 16) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < g->count && memcmp(g->wanted[low].trace.id, id, 16) == 0; low++) {
        const struct wanted_trace *w = &g->wanted[low];

        to->wanted = low;
        to->source = source_set_find(&w->sources, source);
        if (to->source != SIZE_MAX)
            return w->found < w->trace.spans || !w->sources.met[to->source];
    }
    return false;
}

static uint64_t key_of(const struct picked_span *p)
{
    return (uint64_t)p->source << 32 | p->place;
}

/* A span that was moved lies in several frames. */
static bool is_taken(const struct recent_gathering *g, const struct picked_span *p)
{
    const struct wanted_trace *w = &g->wanted[p->wanted];

    for (uint32_t i = 0; w->sources.met[p->source] && i < w->found; i++)
        if (w->taken[i] == key_of(p))
            return true;
    return false;
}

static bool note_taken(struct recent_gathering *g, const struct picked_span *picked, size_t count)
{
    struct wanted_trace *w = &g->wanted[picked->wanted];
    size_t room = w->found + count > 2 * (size_t)w->room ? w->found + count : 2 * (size_t)w->room;
    uint64_t *more;

    if (w->found + count > w->room) {
        more = counted_realloc(g->limits->memory, w->taken, room * sizeof(*more));
        if (!more)
            return false;
        w->taken = more;
        w->room = (uint32_t)room;
    }
    for (size_t i = 0; i < count; i++)
        w->taken[w->found++] = key_of(&picked[i]);
    w->sources.met[picked->source] = 1;
    return true;
}

static bool scratch(struct recent_gathering *g, size_t spans)
{
    struct memory *m = g->limits->memory;

    if (spans <= g->capacity)
        return true;
    recent_free_scratch(g);
    g->spans = counted_alloc(m, spans * sizeof(*g->spans));
    g->picked = counted_alloc(m, spans * sizeof(*g->picked));
    g->kept = counted_alloc(m, spans * sizeof(*g->kept));
    g->capacity = g->spans && g->picked && g->kept ? spans : 0;
    g->no_memory |= g->capacity == 0;
    return g->capacity > 0;
}

/* Fills g->spans; returns how many. */
static size_t scan(struct recent_gathering *g, struct slice body)
{
    struct scan_result found;

    if (scan_traces(body, NULL, 0, &found) == ERR_PARSE || found.spans == 0 ||
        !scratch(g, found.spans))
        return 0;
    return scan_traces(body, g->spans, found.spans, &found) == ERR_OK ? found.spans : 0;
}

static int by_wanted(const void *a, const void *b)
{
    const struct picked_span *x = a, *y = b;

    if (x->wanted != y->wanted)
        return x->wanted < y->wanted ? -1 : 1;
    return (x->span > y->span) - (x->span < y->span);
}

/* Appends `count` of the picked spans, all of one trace. */
static void take_spans(struct recent_gathering *g, struct slice body,
                       const struct picked_span *picked, size_t count)
{
    struct wanted_trace *w = &g->wanted[picked->wanted];
    size_t before = w->trace.body.len;
    bool was_whole = w->found >= w->trace.spans;

    for (size_t i = 0; i < count; i++) {
        const struct scan_span *s = &g->spans[picked[i].span];

        g->kept[i] = (struct compose_span){span_view_of(body, s), body.data};
    }
    if (compose_traces(g->kept, count, &compose_as_it_is, &w->trace.body) != ERR_OK ||
        !note_taken(g, picked, count))
        g->no_memory = true;
    g->bytes += w->trace.body.len - before;
    g->whole += !was_whole && w->found >= w->trace.spans;
}

/* g->picked has `count` of the body's spans. */
static void take_picked(struct recent_gathering *g, struct slice body, size_t count)
{
    size_t end;

    if (count)
        qsort(g->picked, count, sizeof(*g->picked), by_wanted);
    for (size_t at = 0; at < count && !g->no_memory; at = end) {
        for (end = at + 1; end < count && g->picked[end].wanted == g->picked[at].wanted;)
            end++;
        take_spans(g, body, &g->picked[at], end - at);
    }
}

/* The spans of the frame that are wanted, to g->picked. */
static size_t pick(struct recent_gathering *g, const struct frame *frame, uint64_t source)
{
    struct slice moved = frame_moved_spans(&frame->header, frame->tlvs);
    size_t spans = scan(g, frame->body), count = 0;

    for (size_t i = 0; i < spans; i++) {
        struct picked_span p = {.span = (uint32_t)i,
                                .place = frame_place_of(moved, g->spans[i].offset)};

        if (find_wanted(g, g->spans[i].trace_id, source, &p) && !is_taken(g, &p))
            g->picked[count++] = p;
    }
    return count;
}

static bool is_done(const struct recent_gathering *g)
{
    return g->whole == g->count || recent_is_over(g);
}

static bool on_frame(void *arg, const struct reader_segment *segment, const struct frame *frame)
{
    struct recent_gathering *g = arg;
    uint64_t source = frame_source(segment->header.worker, frame->header.sequence);

    if (frame->header.sequence > g->newest)
        g->newest = frame->header.sequence;
    if (frame->header.signal != FRAME_TRACES ||
        !frame_came_in(&frame->header, frame->tlvs, source, &source) ||
        source_set_find(&g->sources, source) == SIZE_MAX)
        return true;
    take_picked(g, frame->body, pick(g, frame, source));
    return !is_done(g);
}

/* Where a worker's frames are all older than what is wanted, those before them are too. */
static void find_spans(struct recent_gathering *g, size_t segment)
{
    uint64_t *oldest = &g->oldest[reader_segment(g->reader, segment)->header.worker % WORKERS_MAX];

    if (is_done(g) || *oldest == UINT64_MAX)
        return;
    g->newest = 0;
    (void)reader_frames_in(g->reader, segment, on_frame, g);
    if (g->newest > 0 && g->newest < *oldest)
        *oldest = UINT64_MAX;
}

void recent_find_spans(struct recent_gathering *g)
{
    if (g->no_memory || g->count == 0)
        return;
    sort_wanted(g);
    recent_each_segment(g, USE_FRAMES, find_spans);
}

void recent_free_scratch(struct recent_gathering *g)
{
    counted_free(g->limits->memory, g->spans);
    counted_free(g->limits->memory, g->picked);
    counted_free(g->limits->memory, g->kept);
    g->spans = NULL;
    g->picked = NULL;
    g->kept = NULL;
}
