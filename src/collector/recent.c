#include "collector/recent.h"

#include "collector/source_set.h"
#include "export/compose.h"
#include "journal/reader.h"
#include "trace/trace.h"

#include <stdlib.h>

enum {
    SOURCES_MAX = 1024,   /* of a trace that is looked for */
    CANDIDATES = 8,       /* decisions looked at for each trace that is wanted: not all are whole */
    WORKERS_MAX = 1 << 8, /* as sources name them */
};

/* A decision whose spans are looked for. */
struct wanted {
    struct recent_trace trace;
    struct source_set sources; /* that they lie in */
    uint32_t found;
};

/* A span of a frame, and whose it is. */
struct picked {
    size_t wanted;
    uint32_t span;
};

struct gathering {
    const struct recent_limits *limits;
    struct labels *labels;
    struct reader *reader;
    struct wanted *wanted; /* room for `room`; sorted by id while frames are read */
    size_t count, room;
    size_t first, next; /* of the segment that is read: where its decisions begin, a ring there */
    struct source_set sources;    /* of all of them */
    uint64_t oldest[WORKERS_MAX]; /* of them, by worker: its sequence; UINT64_MAX: none */
    uint64_t newest;              /* sequence in the segment that is read */
    size_t whole;                 /* traces whose spans are all found */
    size_t bytes;
    struct scan_span *spans; /* scratch, each with room for `capacity` spans */
    struct picked *picked;
    struct compose_span *kept;
    size_t capacity;
    bool no_memory;
};

static bool is_over(const struct gathering *g)
{
    return g->no_memory || g->bytes > g->limits->max_bytes ||
           (g->limits->enough && g->limits->enough(g->limits->arg));
}

static void wanted_fini(const struct gathering *g, struct wanted *w)
{
    source_set_fini(&w->sources, g->limits->memory);
    buf_fini(&w->trace.body);
}

/* ---- decisions, the last ones ---- */

static bool is_of_use(const struct reader_decision *d)
{
    const struct decision_record *r = &d->entry->record;

    return r->signal <= SIGNAL_TRACES && !r->late && r->spans > 0 &&
           r->label < d->names->label_count && d->entry->source_count > 0 &&
           d->entry->source_count <= SOURCES_MAX &&
           strcmp(d->names->labels[r->label].policy, "rescue") != 0;
}

/* Where the next one goes: behind the others, else in place of the segment's oldest. */
static struct wanted *place(struct gathering *g)
{
    struct wanted *w;

    if (g->count < g->room)
        return &g->wanted[g->count++];
    w = &g->wanted[g->next];
    g->next = g->next + 1 < g->count ? g->next + 1 : g->first;
    wanted_fini(g, w);
    return w;
}

static bool make_sources(struct gathering *g, struct source_set *s, size_t room)
{
    bool ok = source_set_init(s, room, g->limits->memory);

    g->no_memory |= !ok;
    return ok;
}

static bool on_decision(void *arg, const struct reader_decision *d)
{
    struct gathering *g = arg;
    const struct decision_record *r = &d->entry->record;
    const struct name_pair *name;
    unsigned sources = d->entry->source_count;
    struct wanted *w;

    if (!is_of_use(d))
        return true;
    name = &d->names->labels[r->label];
    w = place(g);
    *w = (struct wanted){
        .trace = {.spans = r->spans,
                  .complete = r->complete,
                  .trigger = r->trigger,
                  .unix_ns = r->unix_ns,
                  .is_decided = true,
                  .kept = r->keep,
                  .label =
                      labels_intern(g->labels, slice_str(name->policy), slice_str(name->reason))},
    };
    memcpy(w->trace.id, r->trace_id, sizeof(w->trace.id));
    buf_init(&w->trace.body, g->limits->max_bytes, g->limits->memory);
    if (!make_sources(g, &w->sources, sources))
        return false;
    for (unsigned i = 0; i < sources; i++)
        w->sources.numbers[w->sources.count++] = entry_source(d->entry, i);
    source_set_sort(&w->sources);
    return true;
}

/* From the last of its segments on. */
static void each_segment(struct gathering *g, enum segment_use use,
                         void (*fn)(struct gathering *g, size_t segment))
{
    for (size_t i = reader_count(g->reader);
         i-- > 0 && !is_over(g) && g->whole < g->limits->max_traces;) {
        const struct reader_segment *s = reader_segment(g->reader, i);

        if (s->state == READER_GOOD && s->header.use == use)
            fn(g, i);
    }
}

static void find_decisions(struct gathering *g, size_t segment)
{
    if (g->count == g->room)
        return;
    g->first = g->next = g->count;
    reader_decisions_in(g->reader, segment, on_decision, g);
}

/* ---- their spans ---- */

static int by_id(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;

    return memcmp(x->trace.id, y->trace.id, sizeof(x->trace.id));
}

static void sort_wanted(struct gathering *g)
{
    size_t total = 0;

    for (size_t i = 0; i < g->count; i++)
        total += g->wanted[i].sources.count;
    if (!make_sources(g, &g->sources, total + 1))
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

/* The decision on that trace which was made of this frame; SIZE_MAX: none. */
static size_t find_wanted(const struct gathering *g, const uint8_t id[16], uint64_t source)
{
    size_t low = 0, high = g->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (memcmp(g->wanted[middle].trace.id, id, 16) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < g->count && memcmp(g->wanted[low].trace.id, id, 16) == 0; low++)
        if (source_set_awaits(&g->wanted[low].sources, source))
            return low;
    return SIZE_MAX;
}

static bool scratch(struct gathering *g, size_t spans)
{
    struct memory *m = g->limits->memory;

    if (spans <= g->capacity)
        return true;
    counted_free(m, g->spans);
    counted_free(m, g->picked);
    counted_free(m, g->kept);
    g->spans = counted_alloc(m, spans * sizeof(*g->spans));
    g->picked = counted_alloc(m, spans * sizeof(*g->picked));
    g->kept = counted_alloc(m, spans * sizeof(*g->kept));
    g->capacity = g->spans && g->picked && g->kept ? spans : 0;
    g->no_memory |= g->capacity == 0;
    return g->capacity > 0;
}

/* Fills g->spans; returns how many. */
static size_t scan(struct gathering *g, struct slice body)
{
    struct scan_result found;

    if (scan_traces(body, NULL, 0, &found) == ERR_PARSE || found.spans == 0 ||
        !scratch(g, found.spans))
        return 0;
    return scan_traces(body, g->spans, found.spans, &found) == ERR_OK ? found.spans : 0;
}

static int by_wanted(const void *a, const void *b)
{
    const struct picked *x = a, *y = b;

    if (x->wanted != y->wanted)
        return x->wanted < y->wanted ? -1 : 1;
    return (x->span > y->span) - (x->span < y->span);
}

/* Appends `count` of the picked spans, all of one trace. */
static void take_spans(struct gathering *g, struct slice body, const struct picked *picked,
                       size_t count)
{
    static const struct compose_edits as_it_is = {.probability = -1, .entry = SIZE_MAX};
    struct wanted *w = &g->wanted[picked->wanted];
    size_t before = w->trace.body.len;
    bool was_whole = w->found >= w->trace.spans;

    for (size_t i = 0; i < count; i++) {
        const struct scan_span *s = &g->spans[picked[i].span];

        g->kept[i] = (struct compose_span){
            span_view_at(body, s->offset, s->len, s->resource_offset, s->scope_offset), body.data};
    }
    if (compose_traces(g->kept, count, &as_it_is, &w->trace.body) == ERR_OK)
        w->found += (uint32_t)count;
    else
        g->no_memory = true;
    g->bytes += w->trace.body.len - before;
    g->whole += !was_whole && w->found >= w->trace.spans;
}

/* g->picked has `count` of the body's spans. */
static void take_picked(struct gathering *g, struct slice body, size_t count, uint64_t source)
{
    size_t end;

    if (count)
        qsort(g->picked, count, sizeof(*g->picked), by_wanted);
    for (size_t at = 0; at < count && !g->no_memory; at = end) {
        for (end = at + 1; end < count && g->picked[end].wanted == g->picked[at].wanted;)
            end++;
        take_spans(g, body, &g->picked[at], end - at);
        source_set_meet(&g->wanted[g->picked[at].wanted].sources, source);
    }
}

static bool on_frame(void *arg, const struct reader_segment *segment, const struct frame *frame)
{
    struct gathering *g = arg;
    uint64_t source = frame_source(segment->header.worker, frame->header.sequence);
    size_t spans, picked = 0;

    if (frame->header.sequence > g->newest)
        g->newest = frame->header.sequence;
    if (frame->header.signal != FRAME_TRACES || !source_set_awaits(&g->sources, source))
        return true;
    spans = scan(g, frame->body);
    for (size_t i = 0; i < spans; i++) {
        size_t wanted = find_wanted(g, g->spans[i].trace_id, source);

        if (wanted != SIZE_MAX)
            g->picked[picked++] = (struct picked){wanted, (uint32_t)i};
    }
    take_picked(g, frame->body, picked, source);
    source_set_meet(&g->sources, source);
    return g->sources.met_count < g->sources.count && !is_over(g);
}

/* Where a worker's frames are all older than what is wanted, those before them are too. */
static void find_spans(struct gathering *g, size_t segment)
{
    uint64_t *oldest = &g->oldest[reader_segment(g->reader, segment)->header.worker % WORKERS_MAX];

    if (g->sources.met_count == g->sources.count || *oldest == UINT64_MAX)
        return;
    g->newest = 0;
    (void)reader_frames_in(g->reader, segment, on_frame, g);
    if (g->newest > 0 && g->newest < *oldest)
        *oldest = UINT64_MAX;
}

/* ---- what came of it ---- */

static int by_time(const void *a, const void *b)
{
    const struct recent_trace *x = a, *y = b;

    if (x->unix_ns != y->unix_ns)
        return x->unix_ns < y->unix_ns ? -1 : 1;
    return memcmp(x->id, y->id, sizeof(x->id));
}

static void keep_last(struct recent *r, size_t max)
{
    size_t past = r->count > max ? r->count - max : 0;

    for (size_t i = 0; i < past; i++)
        buf_fini(&r->traces[i].body);
    r->count -= past;
    if (past)
        memmove(r->traces, r->traces + past, r->count * sizeof(*r->traces));
}

/* Moves what is whole out of `g`. Of a trace with spans that were filtered at the door more is
 * there than was decided. */
static void hand_over(struct gathering *g, struct recent *out)
{
    out->traces = counted_alloc(g->limits->memory, (g->count + 1) * sizeof(*out->traces));
    g->no_memory |= !out->traces;
    for (size_t i = 0; i < g->count && out->traces; i++) {
        struct wanted *w = &g->wanted[i];

        if (w->found >= w->trace.spans && buf_ok(&w->trace.body)) {
            out->traces[out->count++] = w->trace;
            w->trace.body = (struct buf){0};
        }
    }
    out->decided = g->count;
    if (!out->traces)
        return;
    qsort(out->traces, out->count, sizeof(*out->traces), by_time);
    keep_last(out, g->limits->max_traces);
}

static void gathering_fini(struct gathering *g)
{
    struct memory *m = g->limits->memory;

    for (size_t i = 0; i < g->count; i++)
        wanted_fini(g, &g->wanted[i]);
    counted_free(m, g->wanted);
    source_set_fini(&g->sources, m);
    counted_free(m, g->spans);
    counted_free(m, g->picked);
    counted_free(m, g->kept);
    reader_close(g->reader);
}

static bool begin(struct gathering *g, const struct recent_limits *limits, struct recent *out)
{
    *out = (struct recent){.memory = limits->memory, .labels = labels_new()};
    *g = (struct gathering){.limits = limits, .labels = out->labels};
    g->room = limits->max_traces * CANDIDATES;
    g->wanted = counted_alloc(limits->memory, g->room * sizeof(*g->wanted));
    return g->wanted != NULL;
}

/* What was found stays of use where memory ends. */
static enum err finish(struct gathering *g, struct recent *out, struct err_info *info)
{
    enum err err = ERR_OK;

    hand_over(g, out);
    if (g->no_memory && out->count == 0)
        err = err_fail(info, ERR_FULL, "no memory for the traces");
    gathering_fini(g);
    if (err)
        recent_fini(out);
    return err;
}

enum err recent_read(struct disk *disk, const char *path, const struct recent_limits *limits,
                     struct recent *out, struct err_info *info)
{
    struct gathering g;
    enum err err;

    *out = (struct recent){0};
    err = begin(&g, limits, out) ? reader_open(disk, path, &g.reader, info)
                                 : err_fail(info, ERR_FULL, "no memory for the traces");
    if (err) {
        gathering_fini(&g);
        recent_fini(out);
        return err;
    }
    each_segment(&g, USE_DECISIONS, find_decisions);
    if (!g.no_memory)
        sort_wanted(&g);
    each_segment(&g, USE_FRAMES, find_spans);
    return finish(&g, out, info);
}

void recent_fini(struct recent *r)
{
    for (size_t i = 0; i < r->count; i++)
        buf_fini(&r->traces[i].body);
    counted_free(r->memory, r->traces);
    labels_free(r->labels);
    *r = (struct recent){0};
}
