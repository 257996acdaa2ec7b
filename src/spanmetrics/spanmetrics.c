/* The stores: what each worker counts, and the totals. */
#include "base/err.h"
#include "spanmetrics/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t series_bytes(const struct spanmetrics *m)
{
    return sizeof(struct series) + m->family->sides * durations_bytes(m);
}

static void clear_series(const struct spanmetrics *m, struct series *s)
{
    memset(s, 0, sizeof(*s));
    for (unsigned side = 0; side < m->family->sides; side++) {
        struct durations *d = durations_of(m, s, side);

        *d = (struct durations){.min_ns = UINT64_MAX};
        histogram_clear(&d->histogram, &m->options.shape);
    }
}

struct series *series_in(const struct spanmetrics *m, struct store *store, uint32_t i)
{
    struct series *s = store->series[i];

    if (s)
        return s;
    s = counted_alloc(m->memory, series_bytes(m));
    if (!s)
        return store->series[OVERFLOW_SERIES];
    clear_series(m, s);
    store->series[i] = s;
    return s;
}

/* ---- a worker's side ---- */

struct spanmetrics_recorder *spanmetrics_recorder(struct spanmetrics *m, unsigned i)
{
    return &m->recorders[i];
}

static unsigned status_of(const struct scan_span *s)
{
    return s->flags & SCAN_ERROR ? 2 : s->flags & SCAN_OK ? 1 : 0;
}

void spanmetrics_find(struct spanmetrics_recorder *r, struct slice body,
                      const struct scan_span *spans, size_t count, uint32_t *series)
{
    uint32_t resource = UINT32_MAX;

    for (size_t i = 0; i < count; i++) {
        const struct scan_span *s = &spans[i];

        if (s->resource_offset != resource)
            key_begin_resource(r, span_view_of(body, s).resource);
        resource = s->resource_offset;
        series[i] = key_find(r, slice_make(body.data + s->offset, s->len), status_of(s), true);
    }
}

void spanmetrics_count(struct spanmetrics_recorder *r, const struct scan_span *spans, size_t count,
                       const uint32_t *series)
{
    for (size_t i = 0; i < count; i++) {
        struct series *s = series_in(r->m, &r->live, series[i]);

        s->calls++;
        durations_add(r->m, durations_of(r->m, s, 0),
                      duration_of(spans[i].start_ns, spans[i].end_ns));
    }
}

/* The last one that came stands. */
void spanmetrics_note_kept(struct spanmetrics_recorder *r, const struct span_view *view,
                           uint64_t now_unix_ns)
{
    struct span_fields f;
    struct series *s;
    uint32_t i;

    view_span_fields(view->span, &f);
    key_begin_resource(r, view->resource);
    i = key_find(r, view->span, f.status == 1 || f.status == 2 ? (unsigned)f.status : 0, false);
    if (i == OVERFLOW_SERIES || f.trace_id.len != 16)
        return;
    s = series_in(r->m, &r->live, i);
    if (s == r->live.series[OVERFLOW_SERIES])
        return;
    s->exemplar = (struct exemplar){.span_id = view_id(f.span_id),
                                    .duration_ns = duration_of(f.start_ns, f.end_ns),
                                    .unix_ns = now_unix_ns};
    memcpy(s->exemplar.trace_id, f.trace_id.data, sizeof(s->exemplar.trace_id));
}

void spanmetrics_hand_over(struct spanmetrics_recorder *r)
{
    struct store live = r->live;

    r->live = r->past;
    r->past = live;
}

/* ---- the main thread's side ---- */

static void merge_durations(const struct spanmetrics *m, struct durations *to,
                            const struct durations *from)
{
    to->count += from->count;
    sum_add(to, from->sum_ns, from->sum_wraps);
    if (from->min_ns < to->min_ns)
        to->min_ns = from->min_ns;
    if (from->max_ns > to->max_ns)
        to->max_ns = from->max_ns;
    histogram_merge(&to->histogram, &m->options.shape, &from->histogram);
}

static void merge(const struct spanmetrics *m, struct series *to, const struct series *from)
{
    to->calls += from->calls;
    to->failed += from->failed;
    if (from->exemplar.span_id && from->exemplar.unix_ns >= to->exemplar.unix_ns)
        to->exemplar = from->exemplar;
    for (unsigned side = 0; side < m->family->sides; side++)
        merge_durations(m, durations_of(m, to, side), durations_of(m, from, side));
}

/* Adds what a recorder has handed over, and gives it back empty. */
static void gather_one(struct spanmetrics *m, struct store *past, uint32_t count)
{
    for (uint32_t i = 0; i <= count; i++) {
        struct series *s = past->series[i];

        if (!s || (s->calls == 0 && s->exemplar.span_id == 0))
            continue;
        merge(m, series_in(m, &m->totals, i), s);
        if (m->options.delta)
            merge(m, series_in(m, &m->deltas, i), s);
        if (i == OVERFLOW_SERIES) {
            clear_series(m, s);
        } else {
            counted_free(m->memory, s);
            past->series[i] = NULL;
        }
    }
}

void spanmetrics_gather(struct spanmetrics *m, uint64_t now_unix_ns)
{
    uint32_t count = key_table_count(&m->keys);

    m->now_unix_ns = now_unix_ns;
    for (unsigned i = 0; i < m->recorder_count; i++)
        gather_one(m, &m->recorders[i].past, count);
}

void spanmetrics_stats(const struct spanmetrics *m, struct spanmetrics_stats *stats)
{
    uint32_t count = key_table_count(&m->keys);

    *stats = (struct spanmetrics_stats){.series = count,
                                        .overflow = m->totals.series[OVERFLOW_SERIES]->calls};
    for (uint32_t i = 0; i <= count; i++)
        if (m->totals.series[i])
            stats->calls += m->totals.series[i]->calls;
    for (unsigned i = 0; i < m->recorder_count; i++)
        stats->unpaired += atomic_load_explicit(&m->recorders[i].unpaired, memory_order_relaxed);
}

void spanmetrics_sent(struct spanmetrics *m)
{
    uint32_t count = key_table_count(&m->keys);

    m->sent_unix_ns = m->now_unix_ns;
    if (!m->options.delta)
        return;
    for (uint32_t i = 0; i <= count; i++) {
        struct series *s = m->deltas.series[i];

        if (!s || s->calls == 0)
            continue; /* an exemplar of what had left before goes with what comes next */
        if (i == OVERFLOW_SERIES) {
            clear_series(m, s);
        } else {
            counted_free(m->memory, s);
            m->deltas.series[i] = NULL;
        }
    }
}

/* ---- life ---- */

static char *copy_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        err_no_memory("span metrics");
    return copy;
}

static void init_store(const struct spanmetrics *m, struct store *store)
{
    store->series = start_alloc(m->memory, (m->options.max_series + 1) * sizeof(struct series *));
    store->series[OVERFLOW_SERIES] = start_alloc(m->memory, series_bytes(m));
    clear_series(m, store->series[OVERFLOW_SERIES]);
}

static void fini_store(const struct spanmetrics *m, struct store *store)
{
    for (size_t i = 0; store->series && i <= m->options.max_series; i++)
        counted_free(m->memory, store->series[i]);
    counted_free(m->memory, store->series);
}

static void init_recorders(struct spanmetrics *m, unsigned count)
{
    size_t bytes = count * sizeof(*m->recorders);

    m->recorders = aligned_alloc(_Alignof(struct spanmetrics_recorder), bytes);
    if (!m->recorders)
        err_no_memory("span metrics");
    memset(m->recorders, 0, bytes);
    m->recorder_count = count;
    for (unsigned i = 0; i < count; i++) {
        m->recorders[i].m = m;
        init_store(m, &m->recorders[i].live);
        init_store(m, &m->recorders[i].past);
    }
}

static void copy_names(struct name_list *list, const char *prefix, const char *const *names)
{
    for (; names && names[list->count] && list->count < SPANMETRICS_DIMENSIONS_MAX; list->count++)
        if (asprintf(&list->names[list->count], "%s%s", prefix, names[list->count]) < 0)
            err_no_memory("span metrics");
}

static void free_names(struct name_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        free(list->names[i]);
}

static void copy_options(struct spanmetrics *m, const struct spanmetrics_options *options)
{
    m->options = *options;
    m->family = options->edges ? &edge_family : &span_family;
    copy_names(&m->dimensions, "", options->dimensions);
    copy_names(&m->client_labels, "client_", options->dimensions);
    copy_names(&m->server_labels, "server_", options->dimensions);
    copy_names(&m->peers, "", options->peers);
    copy_names(&m->databases, "", options->databases);
    m->options.dimensions = m->options.peers = m->options.databases = NULL;
    m->options.name_attribute = m->name_attribute = copy_text(options->name_attribute);
    m->options.prefix = m->prefix = copy_text(options->prefix);
}

struct spanmetrics *spanmetrics_new(const struct spanmetrics_options *options,
                                    struct memory *memory, struct hash_key key, unsigned recorders,
                                    uint64_t now_unix_ns)
{
    struct spanmetrics *m = start_alloc(memory, sizeof(*m));

    m->memory = memory;
    m->hash = key;
    m->start_unix_ns = m->now_unix_ns = m->sent_unix_ns = now_unix_ns;
    copy_options(m, options);
    key_table_init(&m->keys, memory, options->max_series);
    init_recorders(m, recorders);
    init_store(m, &m->totals);
    if (m->options.delta)
        init_store(m, &m->deltas);
    return m;
}

void spanmetrics_free(struct spanmetrics *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->recorder_count; i++) {
        fini_store(m, &m->recorders[i].live);
        fini_store(m, &m->recorders[i].past);
        counted_free(m->memory, m->recorders[i].trace.sides);
        counted_free(m->memory, m->recorders[i].trace.slots);
    }
    free(m->recorders);
    fini_store(m, &m->totals);
    fini_store(m, &m->deltas);
    key_table_fini(&m->keys);
    free_names(&m->dimensions);
    free_names(&m->client_labels);
    free_names(&m->server_labels);
    free_names(&m->peers);
    free_names(&m->databases);
    free(m->name_attribute);
    free(m->prefix);
    counted_free(m->memory, m);
}
