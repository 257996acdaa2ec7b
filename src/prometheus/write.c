/* Walks a batch: resources, scopes, metrics, points; and what there is beside samples: target_info
 * and metadata. */
#include "otlp/wire.h"
#include "prometheus/name.h"
#include "prometheus/points.h"

#include <stdlib.h>

enum { TEXT_MAX = 1 << 20, PLAIN_MAX = 64 << 20, METADATA = 3 };

const char *prom_reason_name(enum prom_reason reason)
{
    static const char *const names[PROM_REASONS + 1] = {
        [PROM_EMPTY] = "empty",
        [PROM_TEMPORALITY] = "temporality",
        [PROM_NAME] = "name",
        [PROM_TOO_LARGE] = "too_large",
        [PROM_SCALE] = "scale",
        [PROM_OUT_OF_ORDER] = "out_of_order",
        [PROM_OVERFLOW] = "max_streams",
        [PROM_REASONS] = "none",
    };

    return names[reason];
}

/* ---- a writer ---- */

static void init_text(struct buf *b, size_t max, struct memory *memory)
{
    buf_init(b, max, memory);
    b->forced = true;
}

struct prom_writer *prom_writer_new(const struct prom_config *config)
{
    struct prom_writer *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->config = *config;
    w->config.prefix = strdup(config->prefix);
    series_init(&w->series, config->memory);
    series_init(&w->families, config->memory);
    labels_init(&w->labels, config->memory);
    label_list_init(&w->list, config->memory);
    init_text(&w->name, TEXT_MAX, config->memory);
    init_text(&w->suffixed, TEXT_MAX, config->memory);
    init_text(&w->identity, PLAIN_MAX, config->memory);
    init_text(&w->exemplar, TEXT_MAX, config->memory);
    init_text(&w->out.plain, PLAIN_MAX, config->memory);
    for (size_t i = 0; i < PROM_REQUESTS_MAX; i++)
        init_text(&w->requests[i].body, PLAIN_MAX, config->memory);
    w->out.requests = w->requests;
    w->out.max_bytes = config->max_request_bytes;
    if (w->config.prefix)
        return w;
    w->config.external_count = 0; /* the caller's still */
    prom_writer_free(w);
    return NULL;
}

void prom_writer_free(struct prom_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->config.external_count; i++) {
        free(w->config.external[i].name);
        free(w->config.external[i].value);
    }
    free((char *)w->config.prefix);
    series_fini(&w->series);
    series_fini(&w->families);
    labels_fini(&w->labels);
    label_list_fini(&w->list);
    buf_fini(&w->name);
    buf_fini(&w->suffixed);
    buf_fini(&w->identity);
    buf_fini(&w->exemplar);
    buf_fini(&w->out.plain);
    for (size_t i = 0; i < PROM_REQUESTS_MAX; i++)
        buf_fini(&w->requests[i].body);
    free(w);
}

/* ---- what all points of a resource and a scope have ---- */

/* The text of a resource's attribute, NULL if it is not there or empty. `space` holds it. */
static bool resource_text(struct slice resource, const char *key, struct buf *space)
{
    struct value v;

    buf_clear(space);
    if (view_resource_attr(resource, slice_str(key), &v))
        value_text(space, &v);
    return space->len > 0;
}

/* job = service.namespace/service.name, instance = service.instance.id. Their text is kept in the
 * set, since it is of no attribute. */
static void add_identity(struct prom_writer *w, struct slice resource)
{
    static const struct slice job = {(const uint8_t *)"job", 3},
                              instance = {(const uint8_t *)"instance", 8};
    struct buf *text = &w->suffixed, *space = &w->exemplar;

    if (resource_text(resource, "service.name", space)) {
        buf_clear(text);
        if (resource_text(resource, "service.namespace", space)) {
            buf_append(text, space->data, space->len);
            buf_byte(text, '/');
        }
        (void)resource_text(resource, "service.name", space);
        buf_append(text, space->data, space->len);
        labels_add_copy(&w->labels, LABEL_IDENTITY, job, buf_slice(text));
    }
    if (resource_text(resource, "service.instance.id", space))
        labels_add_copy(&w->labels, LABEL_IDENTITY, instance, buf_slice(space));
}

static bool is_identifying(struct slice key)
{
    return slice_is(key, "service.name") || slice_is(key, "service.namespace") ||
           slice_is(key, "service.instance.id");
}

/* Attributes of the resource as labels. Returns how many do not identify it. */
static size_t add_resource_attrs(struct prom_writer *w, struct slice resource,
                                 bool without_identity)
{
    struct metric_attrs attrs = metric_resource_attrs(resource);
    struct slice key;
    struct value v;
    size_t n = 0;

    while (metric_attrs_next(&attrs, &key, &v)) {
        if (is_identifying(key) && without_identity)
            continue;
        labels_add_attr(&w->labels, LABEL_ATTRIBUTE, "", key, &v);
        n += !is_identifying(key);
    }
    return n;
}

static void add_external(struct prom_writer *w)
{
    for (size_t i = 0; i < w->config.external_count; i++)
        labels_add(&w->labels, LABEL_EXTERNAL, w->config.external[i].name,
                   slice_str(w->config.external[i].value));
}

static void begin_resource(struct prom_writer *w, struct slice resource)
{
    labels_reset(&w->labels, (struct label_mark){0});
    w->latest_ns = 0;
    add_external(w);
    add_identity(w, resource);
    if (w->config.resource_as_labels)
        (void)add_resource_attrs(w, resource, w->config.no_service_labels);
    w->of_resource = labels_mark(&w->labels);
}

static void begin_scope(struct prom_writer *w, struct slice scope)
{
    struct slice name, version;

    labels_reset(&w->labels, w->of_resource);
    if (w->config.scope_labels) {
        view_scope(scope, &name, &version);
        labels_add(&w->labels, LABEL_SCOPE, "otel_scope_name", name);
        labels_add(&w->labels, LABEL_SCOPE, "otel_scope_version", version);
        labels_add_attrs(&w->labels, LABEL_SCOPE, "otel_scope_", metric_scope_attrs(scope));
    }
    w->of_scope = labels_mark(&w->labels);
}

/* target_info{job, instance, what else the resource has} 1, at the time of its latest point; none
 * where there is neither job nor instance, or nothing else. */
static void end_resource(struct prom_writer *w, struct slice resource)
{
    struct buf *labels = series_labels(&w->series);
    size_t at = labels->len;
    int64_t ms = (int64_t)(w->latest_ns / 1000000);
    struct slice name = slice_str("target_info");

    if (!w->config.target_info || w->latest_ns == 0)
        return;
    labels_reset(&w->labels, (struct label_mark){0});
    add_external(w);
    add_identity(w, resource);
    if (add_resource_attrs(w, resource, true) == 0)
        return;
    if (w->config.prefix[0]) {
        buf_clear(&w->name);
        buf_printf(&w->name, "%s_target_info", w->config.prefix);
        name = buf_slice(&w->name);
    }
    labels_finish(&w->labels, &w->list);
    if (w->labels.is_full || !(labels_have(&w->list, "job") || labels_have(&w->list, "instance")))
        return;
    labels_put(labels, &w->list, name, NULL, (struct slice){0});
    if (!buf_ok(labels) ||
        !delta_may_send(w->state, &w->config, slice_make(labels->data + at, labels->len - at), ms,
                        w->unix_ns)) {
        labels->len = at;
        return;
    }
    series_add_sample(&w->series, series_of_labels(&w->series, at), ms, 1);
}

/* ---- metrics ---- */

static enum name_kind kind_of(const struct metric_view *m)
{
    if (m->type == METRIC_GAUGE)
        return NAME_GAUGE;
    return m->type == METRIC_SUM && m->is_monotonic ? NAME_COUNTER : NAME_OTHER;
}

/* MetricMetadata's type. */
static uint32_t metadata_type(const struct metric_view *m)
{
    switch (m->type) {
    case METRIC_GAUGE:
        return 2;
    case METRIC_SUM:
        return m->is_monotonic ? 1 : 2;
    case METRIC_HISTOGRAM:
    case METRIC_EXPONENTIAL:
        return 3;
    case METRIC_SUMMARY:
        return 5;
    default:
        return 0;
    }
}

static void add_metadata(struct prom_writer *w, const struct metric_view *m)
{
    struct buf *out = series_labels(&w->families);
    size_t at = out->len;

    buf_clear(&w->suffixed);
    name_unit(&w->suffixed, m->unit);
    wire_put_uint(out, 1, metadata_type(m));
    wire_put_bytes(out, 2, buf_slice(&w->name));
    wire_put_bytes(out, 4, m->description);
    wire_put_bytes(out, 5, buf_slice(&w->suffixed));
    (void)series_of_labels(&w->families, at);
}

static void write_metadata(struct prom_writer *w)
{
    const struct series *list = (const struct series *)(void *)w->families.list.data;

    for (uint32_t i = 0; i < w->families.count; i++)
        series_put_field(
            &w->out, METADATA,
            slice_make(w->families.labels.data + list[i].labels_at, list[i].labels_len));
    series_end_request(&w->out);
    series_clear(&w->families);
}

static void drop_points(struct prom_counts *counts, const struct metric_view *m,
                        enum prom_reason reason)
{
    struct metric_points points = metric_points_of(m);
    struct slice point;

    while (metric_points_next(&points, &point)) {
        counts->points++;
        counts->dropped[reason]++;
    }
}

static void add_metric(struct prom_writer *w, const struct metric_view *m, struct slice resource,
                       struct prom_counts *counts)
{
    struct metric_points points = metric_points_of(m);
    struct slice point;

    buf_clear(&w->name);
    if (!name_metric(&w->name, m->name, m->unit, kind_of(m), w->config.prefix,
                     w->config.add_suffixes)) {
        drop_points(counts, m, PROM_NAME);
        return;
    }
    if (w->config.metadata && m->type != METRIC_EMPTY)
        add_metadata(w, m);
    while (metric_points_next(&points, &point)) {
        enum prom_reason reason =
            w->out.is_full ? PROM_TOO_LARGE : points_add(w, m, resource, point);

        counts->points++;
        if (reason != PROM_REASONS)
            counts->dropped[reason]++;
        if (series_is_large(&w->series))
            series_write(&w->series, &w->out);
    }
}

static bool is_good(const struct prom_writer *w)
{
    return buf_ok(&w->series.labels) && buf_ok(&w->series.items) && buf_ok(&w->series.list) &&
           buf_ok(&w->series.payloads) && buf_ok(&w->series.slots) && buf_ok(&w->out.plain);
}

static void begin(struct prom_writer *w, struct prom_state *state, uint64_t unix_ns,
                  struct prom_counts *counts)
{
    *counts = (struct prom_counts){0};
    w->state = state;
    w->unix_ns = unix_ns;
    w->latest_ns = 0;
    series_clear(&w->series);
    series_clear(&w->families);
    buf_clear(&w->out.plain);
    w->out.count = w->out.samples = 0;
    w->out.is_full = false;
    w->out.counts = counts;
}

enum err prom_write(struct prom_writer *w, struct prom_state *state, struct slice body,
                    uint64_t unix_ns, struct prom_request **requests, size_t *count,
                    struct prom_counts *counts)
{
    struct slice resource = {0}, scope = {0};
    struct metric_view metric;
    struct metric_walk walk;

    begin(w, state, unix_ns, counts);
    metric_walk_init(&walk, body);
    while (metric_walk_next(&walk, &metric)) {
        if (walk.resource.data != resource.data) {
            end_resource(w, resource);
            resource = walk.resource;
            begin_resource(w, resource);
        }
        if (walk.scope.data != scope.data) {
            scope = walk.scope;
            begin_scope(w, scope);
        }
        add_metric(w, &metric, resource, counts);
    }
    end_resource(w, resource);
    series_write(&w->series, &w->out);
    series_end_request(&w->out);
    if (w->config.metadata)
        write_metadata(w);
    *requests = w->requests;
    *count = w->out.count;
    return is_good(w) ? ERR_OK : ERR_FULL;
}
