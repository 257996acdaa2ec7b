#include "collector/span_metrics.h"

#include "base/units.h"
#include "collector/parts.h"

#include <stdlib.h>

enum { BODY_MAX = 16 << 20 };

static const uint64_t again_ns = NS_PER_S; /* after a rendezvous for which somebody was late */

/* One request's worth of metrics on its way to the outbox. */
struct span_metrics_body {
    struct span_metrics_body *next;
    struct buf body;
    size_t points;
};

/* ---- the configuration ---- */

static enum err read_bounds(const char *key, const char *const *buckets,
                            struct histogram_shape *shape, struct err_info *info)
{
    unsigned count = 0;

    shape->explicit = true;
    for (; buckets[count]; count++) {
        uint64_t *bound = &shape->bounds_ns[count];

        if (units_duration(slice_str(buckets[count]), bound) != ERR_OK)
            return err_fail(info, ERR_CONFIG, "%s has '%s'; allowed: durations such as \"250ms\"",
                            key, buckets[count]);
        if (count > 0 && *bound <= bound[-1])
            return err_fail(info, ERR_CONFIG, "%s has '%s' behind '%s'; allowed: ascending bounds",
                            key, buckets[count], buckets[count - 1]);
    }
    shape->buckets = count + 1;
    return ERR_OK;
}

static enum err read_shape(const struct config_span_metrics *config, struct histogram_shape *shape,
                           struct err_info *info)
{
    *shape = (struct histogram_shape){.unit_ns = strcmp(config->unit, "s") == 0 ? 1e9 : 1e6,
                                      .buckets = (unsigned)config->max_size};
    if (config->exponential)
        return ERR_OK;
    return read_bounds("span_metrics.histogram.explicit.buckets", config->buckets, shape, info);
}

static enum err read_graph_shape(const struct config_service_graph *config,
                                 struct histogram_shape *shape, struct err_info *info)
{
    *shape = (struct histogram_shape){.unit_ns = 1e9, .buckets = (unsigned)config->max_size};
    if (config->max_size == 0)
        return read_bounds("service_graph.latency_histogram_buckets", config->buckets, shape, info);
    if (config->max_size < HISTOGRAM_BUCKETS_MIN)
        return err_fail(info, ERR_CONFIG,
                        "service_graph.exponential_histogram_max_size is %u; allowed: 0, or from "
                        "%u to %u",
                        shape->buckets, HISTOGRAM_BUCKETS_MIN, HISTOGRAM_BUCKETS_MAX);
    return ERR_OK;
}

static enum err check_label(const char *key, const char *name, const char *const *others,
                            const char *const *end, struct err_info *info)
{
    for (; others != end && *others; others++)
        if (spanmetrics_same_label(name, *others))
            return err_fail(info, ERR_CONFIG,
                            "%s has '%s', whose label is that of '%s'; allowed: a label of its own "
                            "for each",
                            key, name, *others);
    return ERR_OK;
}

/* Prometheus refuses all of a page on which a series has a label twice. */
static enum err check_labels(const char *key, const char *const *names, const char *const *reserved,
                             struct err_info *info)
{
    for (const char *const *name = names; name && *name; name++)
        if (check_label(key, *name, reserved, NULL, info) ||
            check_label(key, *name, names, name, info))
            return ERR_CONFIG;
    return ERR_OK;
}

enum err span_metrics_check(const struct config *config, struct err_info *info)
{
    static const char *const of_spans[] = {"service.name", "span.name", "span.kind",
                                           "status.code",  "le",        NULL};
    struct histogram_shape shape;

    if (config->span_metrics.enabled &&
        (read_shape(&config->span_metrics, &shape, info) ||
         check_labels("span_metrics.dimensions", config->span_metrics.dimensions, of_spans, info)))
        return ERR_CONFIG;
    if (config->service_graph.enabled &&
        (read_graph_shape(&config->service_graph, &shape, info) ||
         check_labels("service_graph.dimensions", config->service_graph.dimensions, NULL, info)))
        return ERR_CONFIG;
    return ERR_OK;
}

static struct spanmetrics *add_source(struct collector *c, int i, uint64_t interval_ns,
                                      const struct spanmetrics_options *options)
{
    struct metrics_source *source = &c->metrics_sources[i];

    source->interval_ns = interval_ns;
    source->due_ns = collector_now_ns(c) + interval_ns;
    source->m = spanmetrics_new(options, c->memory, c->shared.key, c->shared.count,
                                clock_unix_ns(c->host.clock));
    return source->m;
}

static enum err init_spans(struct collector *c, const struct config_span_metrics *config,
                           struct err_info *info)
{
    struct spanmetrics_options options = {
        .dimensions = config->dimensions,
        .name_attribute = config->span_name_attribute,
        .prefix = config->name_space,
        .max_series = config->max_series,
        .delta = config->enabled && strcmp(config->temporality, "delta") == 0,
    };

    if (!config->enabled)
        return ERR_OK;
    if (read_shape(config, &options.shape, info) != ERR_OK)
        return ERR_CONFIG;
    c->shared.span_metrics = add_source(c, 0, config->flush_interval_ns, &options);
    return ERR_OK;
}

static enum err init_graph(struct collector *c, const struct config_service_graph *config,
                           struct err_info *info)
{
    struct spanmetrics_options options = {
        .edges = true,
        .dimensions = config->dimensions,
        .databases = config->database_attributes,
        .peers = config->peer_attributes,
        .prefix = "traces_service_graph",
        .max_series = config->max_edges,
        .delta = config->enabled && strcmp(config->temporality, "delta") == 0,
    };

    if (!config->enabled)
        return ERR_OK;
    if (read_graph_shape(config, &options.shape, info) != ERR_OK)
        return ERR_CONFIG;
    c->shared.service_graph = add_source(c, 1, config->flush_interval_ns, &options);
    return ERR_OK;
}

enum err span_metrics_init(struct collector *c, struct err_info *info)
{
    enum err err = init_spans(c, &c->config->span_metrics, info);

    return err ? err : init_graph(c, &c->config->service_graph, info);
}

static void free_bodies(struct span_metrics_body *b)
{
    while (b) {
        struct span_metrics_body *next = b->next;

        buf_fini(&b->body);
        free(b);
        b = next;
    }
}

void span_metrics_fini(struct collector *c)
{
    free_bodies(atomic_load(&c->shared.span_bodies));
    for (int i = 0; i < METRICS_SOURCES; i++)
        spanmetrics_free(c->metrics_sources[i].m);
}

/* ---- main ---- */

/* One body of what is next; false: there is none, or no memory (*failed). */
static bool write_body(const struct collector *c, const struct spanmetrics *m, size_t *at,
                       struct span_metrics_body **out, bool *failed)
{
    struct span_metrics_body *b = calloc(1, sizeof(*b));

    if (!b)
        return *failed = true, false;
    buf_init(&b->body, BODY_MAX, c->memory);
    b->points = spanmetrics_write_otlp(m, at, &b->body);
    if (b->points > 0) {
        *out = b;
        return true;
    }
    *failed = !buf_ok(&b->body);
    free_bodies(b);
    return false;
}

static bool is_due(const struct metrics_source *source, uint64_t now_ns)
{
    return source->m && now_ns >= source->due_ns;
}

/* All of the sources that are due, or NULL: nothing, or no memory (*failed). */
static struct span_metrics_body *write_bodies(const struct collector *c, uint64_t now_ns,
                                              bool *failed)
{
    struct span_metrics_body *first = NULL, **last = &first;

    *failed = false;
    for (int i = 0; i < METRICS_SOURCES && !*failed; i++) {
        size_t at = 0;

        while (is_due(&c->metrics_sources[i], now_ns) &&
               write_body(c, c->metrics_sources[i].m, &at, last, failed))
            last = &(*last)->next;
    }
    if (!*failed)
        return first;
    free_bodies(first);
    return NULL;
}

/* Sends what is due, if worker 0 is done with the last ones. False: it is not. */
static bool send_due(struct collector *c, uint64_t now_ns)
{
    struct span_metrics_body *bodies;
    bool failed;

    if (atomic_load(&c->shared.span_bodies) || !snapshot_gather(c))
        return false;
    bodies = write_bodies(c, now_ns, &failed);
    if (failed)
        return false;
    for (int i = 0; i < METRICS_SOURCES; i++)
        if (is_due(&c->metrics_sources[i], now_ns))
            spanmetrics_sent(c->metrics_sources[i].m);
    atomic_store(&c->shared.span_bodies, bodies);
    if (bodies)
        loop_wake(c->workers[0]->loop);
    return true;
}

bool span_metrics_flush(struct collector *c)
{
    bool are_off = true;

    for (int i = 0; i < METRICS_SOURCES; i++) {
        c->metrics_sources[i].due_ns = 0;
        are_off &= !c->metrics_sources[i].m;
    }
    return are_off || send_due(c, collector_now_ns(c));
}

uint64_t span_metrics_step(struct collector *c, uint64_t now_ns)
{
    uint64_t due_ns = NEVER_NS;
    bool any = false, is_sent;

    if (collector_phase(c) != PHASE_RUNNING)
        return NEVER_NS;
    for (int i = 0; i < METRICS_SOURCES; i++)
        any |= is_due(&c->metrics_sources[i], now_ns);
    is_sent = any && send_due(c, now_ns);
    for (int i = 0; i < METRICS_SOURCES; i++) {
        struct metrics_source *source = &c->metrics_sources[i];

        if (is_due(source, now_ns))
            source->due_ns = now_ns + (is_sent ? source->interval_ns : again_ns);
        if (source->m)
            due_ns = earlier_ns(due_ns, source->due_ns);
    }
    return due_ns;
}

int collector_write_span_metrics(void *collector, bool openmetrics, struct buf *out)
{
    struct collector *c = collector;
    const struct spanmetrics *all[METRICS_SOURCES];

    if (collector_phase(c) == PHASE_RECOVERING) {
        buf_str(out, "recovering: nothing has come in yet\n");
        return 503;
    }
    snapshot_gather(c);
    for (int i = 0; i < METRICS_SOURCES; i++)
        all[i] = c->metrics_sources[i].m;
    spanmetrics_write_page(all, METRICS_SOURCES, openmetrics, out);
    return 200;
}

/* ---- worker 0 ---- */

bool span_metrics_waits(const struct worker *w)
{
    return w->index == 0 && atomic_load(&w->shared->span_bodies);
}

bool span_metrics_hand_on(struct worker *w)
{
    struct span_metrics_body *first = w->index == 0 ? atomic_load(&w->shared->span_bodies) : NULL;

    if (!first)
        return false;
    for (struct span_metrics_body *b = first; b; b = b->next) {
        if (b->points > 0 && !pass_own(w, OTLP_METRICS, buf_slice(&b->body), b->points))
            return true;
        b->points = 0; /* it has left */
    }
    atomic_store(&w->shared->span_bodies, NULL);
    free_bodies(first);
    return false;
}
