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

static enum err read_bounds(const struct config_span_metrics *config, struct histogram_shape *shape,
                            struct err_info *info)
{
    unsigned count = 0;

    shape->explicit = true;
    for (; config->buckets[count]; count++) {
        uint64_t *bound = &shape->bounds_ns[count];
        const char *text = config->buckets[count];

        if (units_duration(slice_str(text), bound) != ERR_OK)
            return err_fail(info, ERR_CONFIG,
                            "span_metrics.histogram.explicit.buckets has '%s'; allowed: durations "
                            "such as \"250ms\"",
                            text);
        if (count > 0 && *bound <= bound[-1])
            return err_fail(
                info, ERR_CONFIG,
                "span_metrics.histogram.explicit.buckets has '%s' behind '%s'; allowed: "
                "ascending bounds",
                text, config->buckets[count - 1]);
    }
    shape->buckets = count + 1;
    return ERR_OK;
}

static enum err read_shape(const struct config_span_metrics *config, struct histogram_shape *shape,
                           struct err_info *info)
{
    *shape = (struct histogram_shape){.unit_ns = strcmp(config->unit, "s") == 0 ? 1e9 : 1e6,
                                      .buckets = (unsigned)config->max_size};
    return config->exponential ? ERR_OK : read_bounds(config, shape, info);
}

enum err span_metrics_check(const struct config *config, struct err_info *info)
{
    struct histogram_shape shape;

    return config->span_metrics.enabled ? read_shape(&config->span_metrics, &shape, info) : ERR_OK;
}

enum err span_metrics_init(struct collector *c, struct err_info *info)
{
    const struct config_span_metrics *config = &c->config->span_metrics;
    struct spanmetrics_options options = {
        .dimensions = config->dimensions,
        .name_attribute = config->span_name_attribute,
        .prefix = config->name_space,
        .max_series = config->max_series,
        .delta = config->enabled && strcmp(config->temporality, "delta") == 0,
    };

    c->span_metrics_due_ns = NEVER_NS;
    if (!config->enabled)
        return ERR_OK;
    if (read_shape(config, &options.shape, info) != ERR_OK)
        return ERR_CONFIG;
    c->shared.span_metrics = spanmetrics_new(&options, c->memory, c->shared.key, c->shared.count,
                                             clock_unix_ns(c->host.clock));
    c->span_metrics_due_ns = collector_now_ns(c) + config->flush_interval_ns;
    return ERR_OK;
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
    spanmetrics_free(c->shared.span_metrics);
}

/* ---- main ---- */

/* One body of what is next; false: there is none, or no memory (*failed). */
static bool write_body(const struct collector *c, size_t *at, struct span_metrics_body **out,
                       bool *failed)
{
    struct span_metrics_body *b = calloc(1, sizeof(*b));

    if (!b)
        return *failed = true, false;
    buf_init(&b->body, BODY_MAX, c->memory);
    b->points = spanmetrics_write_otlp(c->shared.span_metrics, at, &b->body);
    if (b->points > 0) {
        *out = b;
        return true;
    }
    *failed = !buf_ok(&b->body);
    free_bodies(b);
    return false;
}

/* All of it, or NULL: nothing, or no memory (*failed). */
static struct span_metrics_body *write_bodies(const struct collector *c, bool *failed)
{
    struct span_metrics_body *first = NULL, **last = &first;
    size_t at = 0;

    *failed = false;
    while (write_body(c, &at, last, failed))
        last = &(*last)->next;
    if (!*failed)
        return first;
    free_bodies(first);
    return NULL;
}

bool span_metrics_flush(struct collector *c)
{
    struct span_metrics_body *bodies;
    bool failed;

    if (!c->shared.span_metrics)
        return true;
    if (atomic_load(&c->shared.span_bodies) || !snapshot_span_metrics(c))
        return false;
    bodies = write_bodies(c, &failed);
    if (failed)
        return false;
    spanmetrics_sent(c->shared.span_metrics);
    atomic_store(&c->shared.span_bodies, bodies);
    if (bodies)
        loop_wake(c->workers[0]->loop);
    return true;
}

uint64_t span_metrics_step(struct collector *c, uint64_t now_ns)
{
    if (now_ns < c->span_metrics_due_ns || collector_phase(c) != PHASE_RUNNING)
        return c->span_metrics_due_ns;
    c->span_metrics_due_ns =
        now_ns + (span_metrics_flush(c) ? c->config->span_metrics.flush_interval_ns : again_ns);
    return c->span_metrics_due_ns;
}

int collector_write_span_metrics(void *collector, bool openmetrics, struct buf *out)
{
    struct collector *c = collector;

    if (collector_phase(c) == PHASE_RECOVERING) {
        buf_str(out, "recovering: nothing has come in yet\n");
        return 503;
    }
    snapshot_span_metrics(c);
    spanmetrics_write_page(c->shared.span_metrics, openmetrics, out);
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
