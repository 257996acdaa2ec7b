#include "collector/recent_parts.h"
#include "collector/remembered.h"

#include <stdlib.h>

enum {
    SOURCES_MAX = 1024, /* of a trace that is looked for */
    CANDIDATES = 8,     /* decisions looked at for each trace that is wanted: not all are whole */
};

bool recent_is_over(const struct recent_gathering *g)
{
    return g->no_memory || g->bytes > g->limits->max_bytes ||
           (g->limits->enough && g->limits->enough(g->limits->arg));
}

static void wanted_fini(const struct recent_gathering *g, struct wanted_trace *w)
{
    source_set_fini(&w->sources, g->limits->memory);
    counted_free(g->limits->memory, w->taken);
    buf_fini(&w->trace.body);
}

void recent_each_segment(struct recent_gathering *g, enum segment_use use,
                         void (*fn)(struct recent_gathering *g, size_t segment))
{
    for (size_t i = reader_count(g->reader);
         i-- > 0 && !recent_is_over(g) && g->whole < g->limits->max_traces;) {
        const struct reader_segment *s = reader_segment(g->reader, i);

        if (s->state == READER_GOOD && s->header.use == use)
            fn(g, i);
    }
}

bool recent_make_sources(struct recent_gathering *g, struct source_set *s, size_t room)
{
    bool ok = source_set_init(s, room, g->limits->memory);

    g->no_memory |= !ok;
    return ok;
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
static struct wanted_trace *place(struct recent_gathering *g)
{
    struct wanted_trace *w;

    if (g->count < g->room)
        return &g->wanted[g->count++];
    w = &g->wanted[g->next];
    g->next = g->next + 1 < g->count ? g->next + 1 : g->first;
    wanted_fini(g, w);
    return w;
}

static bool on_decision(void *arg, const struct reader_decision *d)
{
    struct recent_gathering *g = arg;
    const struct decision_record *r = &d->entry->record;
    const struct name_pair *name;
    unsigned sources = d->entry->source_count;
    struct wanted_trace *w;

    if (!is_of_use(d))
        return true;
    name = &d->names->labels[r->label];
    w = place(g);
    *w = (struct wanted_trace){
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
    if (!recent_make_sources(g, &w->sources, sources))
        return false;
    for (unsigned i = 0; i < sources; i++)
        w->sources.numbers[w->sources.count++] = entry_source(d->entry, i);
    source_set_sort(&w->sources);
    return true;
}

static void find_decisions(struct recent_gathering *g, size_t segment)
{
    if (g->count == g->room)
        return;
    g->first = g->next = g->count;
    reader_decisions_in(g->reader, segment, on_decision, g);
}

/* ---- what came of it ---- */

static int by_time(const void *a, const void *b)
{
    const struct recent_trace *x = a, *y = b;

    if (x->unix_ns != y->unix_ns)
        return x->unix_ns < y->unix_ns ? -1 : 1;
    return memcmp(x->id, y->id, sizeof(x->id));
}

/* In their order. */
static void keep_last(struct recent *r, size_t max)
{
    size_t past = r->count > max ? r->count - max : 0;

    qsort(r->traces, r->count, sizeof(*r->traces), by_time);
    for (size_t i = 0; i < past; i++)
        buf_fini(&r->traces[i].body);
    r->count -= past;
    if (past)
        memmove(r->traces, r->traces + past, r->count * sizeof(*r->traces));
}

/* Moves what is whole out of `g`. Of a trace with spans that were filtered at the door more is
 * there than was decided. */
static void hand_over(struct recent_gathering *g, struct recent *out)
{
    out->traces = counted_alloc(g->limits->memory, (g->count + 1) * sizeof(*out->traces));
    g->no_memory |= !out->traces;
    for (size_t i = 0; i < g->count && out->traces; i++) {
        struct wanted_trace *w = &g->wanted[i];

        if (w->found >= w->trace.spans && buf_ok(&w->trace.body)) {
            out->traces[out->count++] = w->trace;
            w->trace.body = (struct buf){0};
        }
    }
    out->decided = g->count;
    if (out->traces)
        keep_last(out, g->limits->max_traces);
}

static void gathering_fini(struct recent_gathering *g)
{
    struct memory *m = g->limits->memory;

    for (size_t i = 0; i < g->count; i++)
        wanted_fini(g, &g->wanted[i]);
    counted_free(m, g->wanted);
    source_set_fini(&g->sources, m);
    recent_free_scratch(g);
    reader_close(g->reader);
}

static bool begin(struct recent_gathering *g, const struct recent_limits *limits,
                  struct recent *out)
{
    *out = (struct recent){.memory = limits->memory, .labels = labels_new()};
    *g = (struct recent_gathering){.limits = limits, .labels = out->labels};
    g->room = limits->max_traces * CANDIDATES;
    g->wanted = counted_alloc(limits->memory, g->room * sizeof(*g->wanted));
    return g->wanted != NULL;
}

/* What was found stays of use where memory ends. */
static enum err finish(struct recent_gathering *g, struct recent *out, struct err_info *info)
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
    struct recent_gathering g;
    enum err err;

    err = begin(&g, limits, out) ? reader_open(disk, path, &g.reader, info)
                                 : err_fail(info, ERR_FULL, "no memory for the traces");
    if (err) {
        gathering_fini(&g);
        recent_fini(out);
        return err;
    }
    recent_each_segment(&g, USE_DECISIONS, find_decisions);
    recent_find_spans(&g);
    return finish(&g, out, info);
}

enum err recent_of_workers(struct remembered *const *workers, unsigned count,
                           const struct labels *names, const struct recent_limits *limits,
                           struct recent *out, struct err_info *info)
{
    size_t bytes = 0;

    *out = (struct recent){.memory = limits->memory, .labels = labels_new()};
    out->traces =
        counted_alloc(limits->memory, (limits->max_traces * count + 1) * sizeof(*out->traces));
    if (!out->traces) {
        recent_fini(out);
        return err_fail(info, ERR_FULL, "no memory for the traces");
    }
    for (unsigned i = 0; i < count; i++)
        remembered_copy(workers[i], names, out, limits->max_bytes, &bytes);
    keep_last(out, limits->max_traces);
    return ERR_OK;
}

void recent_fini(struct recent *r)
{
    for (size_t i = 0; i < r->count; i++)
        buf_fini(&r->traces[i].body);
    counted_free(r->memory, r->traces);
    labels_free(r->labels);
    *r = (struct recent){0};
}
