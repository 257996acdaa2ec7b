#include "aws/credentials.h"
#include "export/export_lua.h"
#include "export/exporter.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ROUNDS = 64,       /* of one exporter in one step, so that it leaves time to the others */
    ASK_AGAIN_MS = 100 /* for what is on disk only */
};

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

enum err exporter_open(struct exporter *x, const struct exporter_spec *spec, void **self,
                       struct err_info *info)
{
    struct err_info why;
    enum err err = spec->type->open(x, spec->options, self, &why);

    return err ? err_fail(info, err, "exporter \"%s\": %s", spec->name, why.text) : ERR_OK;
}

static enum err open_all(struct export *e, struct exporter_specs *specs, struct err_info *info)
{
    for (; e->count < specs->count; e->count++) {
        struct exporter *x = &e->exporters[e->count];
        const struct exporter_spec *spec = &specs->items[e->count];
        enum err result = exporter_open(x, spec, &x->self, info);

        if (result != ERR_OK)
            return result;
        exporter_begin(x, spec, exporter_specs_ref(specs), outbox_begin(e->config.journal));
    }
    return ERR_OK;
}

void exporter_begin(struct exporter *x, const struct exporter_spec *spec,
                    struct exporter_specs *specs, uint64_t position)
{
    x->spec = spec;
    x->specs = specs;
    x->name = strdup(spec->name);
    if (!x->name)
        err_no_memory("an exporter's name");
    queue_init(x, position);
}

static void init_exporters(struct export *e)
{
    e->exporters = calloc(EXPORTER_MAX, sizeof(*e->exporters));
    if (!e->exporters)
        err_no_memory("the exporters");
    for (unsigned i = 0; i < EXPORTER_MAX; i++)
        e->exporters[i] = (struct exporter){.owner = e, .index = i};
}

static void init_http(struct export *e)
{
    const struct credentials_config credentials = {.env = e->config.env, .disk = e->config.disk};

    if (e->config.http)
        e->config.http = http_client_signing(e->config.http, e->config.clock, &credentials);
}

enum err export_new(const struct export_config *config, struct export **out, struct err_info *info)
{
    struct export *e = calloc(1, sizeof(*e));
    enum err result;

    if (!e)
        err_no_memory("the exporters");
    e->config = *config;
    e->config.specs = NULL;
    rng_seed(&e->rng, config->seed);
    init_http(e);
    init_exporters(e);
    e->lua = export_lua_new(e);
    result = open_all(e, config->specs, info);
    if (result != ERR_OK) {
        export_free(e);
        return result;
    }
    *out = e;
    return ERR_OK;
}

void exporter_forget(struct exporter *x)
{
    for (struct batch *b = x->first; b; b = b->next)
        for (size_t i = 0; i < b->part_count; i++) {
            struct part *p = &b->parts[i];

            if (p->kept && x->spec->type->forget)
                x->spec->type->forget(x->self, p);
            queue_unbuild(p);
        }
}

static void exporter_end(struct exporter *x)
{
    attempt_give_up(x);
    exporter_forget(x);
    if (!x->is_removed)
        x->spec->type->close(x->self);
    if (x->next.spec)
        x->next.spec->type->close(x->next.self);
    exporter_specs_unref(x->next.specs);
    queue_fini(x);
    exporter_specs_unref(x->specs);
    free(x->name);
}

void export_free(struct export *e)
{
    if (!e)
        return;
    export_change_free(atomic_load(&e->offered));
    for (size_t i = 0; i < e->count; i++)
        exporter_end(&e->exporters[i]);
    export_lua_free(e->lua);
    if (e->config.http)
        e->config.http->free(e->config.http);
    free(e->exporters);
    free(e);
}

static void recover_record(struct exporter *x, const struct outbox_item *item)
{
    if (item->position < x->acked)
        return;
    queue_see(x, item);
    if (queue_is_ours(x, item))
        x->stats[decision_signal(&item->record)].recovered += item->record.payload_spans;
}

void export_recover(struct export *e)
{
    struct outbox_item item;
    uint64_t at = UINT64_MAX;

    for (size_t i = 0; i < e->count; i++) {
        queue_recover(&e->exporters[i]);
        at = min64(at, e->exporters[i].acked);
    }
    /* Once for all of them: it may be more than fits into memory. */
    for (; e->count > 0 && outbox_look(e->config.journal, at, &item) == OUTBOX_HERE; at = item.next)
        for (size_t i = 0; i < e->count; i++)
            recover_record(&e->exporters[i], &item);
}

uint64_t exporter_step(struct exporter *x, uint64_t now_ns)
{
    x->is_away = false;
    for (int round = 0; round < ROUNDS; round++) {
        bool moved = queue_fill(x, now_ns);

        while (attempt_next(x, now_ns))
            moved = true;
        moved |= queue_settle(x);
        if (!moved)
            return min64(min64(queue_due_ns(x), attempt_due_ns(x)),
                         x->is_away ? now_ns + ASK_AGAIN_MS * NS_PER_MS : NEVER_NS);
    }
    return now_ns;
}

uint64_t export_step(struct export *e, uint64_t now_ns)
{
    uint64_t due = NEVER_NS, ended;
    bool refusing = false;

    e->now_ns = now_ns;
    if (e->config.http)
        e->config.http->step(e->config.http, now_ns);
    export_lua_collect(e->lua);
    due = change_step(e, now_ns);
    outbox_read_begin(e->config.journal);
    for (size_t i = 0; i < e->count; i++) {
        due = min64(due, exporter_step(&e->exporters[i], now_ns));
        refusing |= e->exporters[i].refusing;
        outbox_hold(e->config.journal, (unsigned)i, e->exporters[i].seen, e->exporters[i].cursor);
    }
    outbox_read_end(e->config.journal);
    atomic_store_explicit(&e->refusing, refusing, memory_order_relaxed);
    atomic_store_explicit(&e->queued, !export_is_idle(e), memory_order_relaxed);
    ended = e->ended;
    if (e->config.http)
        due = min64(due, e->config.http->step(e->config.http, now_ns));
    return e->ended == ended ? due : now_ns;
}

void export_flush(struct export *e)
{
    atomic_store_explicit(&e->flushing, true, memory_order_relaxed);
}

void export_stop(struct export *e)
{
    atomic_store_explicit(&e->stopping, true, memory_order_relaxed);
}

size_t export_count(const struct export *e)
{
    return e->count;
}

bool export_is_idle(const struct export *e)
{
    for (size_t i = 0; i < e->count; i++)
        if (!queue_is_empty(&e->exporters[i]))
            return false;
    return true;
}

bool export_has_queued(const struct export *e)
{
    return atomic_load_explicit(&e->queued, memory_order_relaxed);
}

bool export_is_refusing(const struct export *e)
{
    return atomic_load_explicit(&e->refusing, memory_order_relaxed);
}

static void copy_counts(const struct exporter *x, struct export_stats *s)
{
    s->count_names = atomic_load_explicit(&x->count_names, memory_order_acquire);
    for (size_t i = 0; i < s->count_names; i++) {
        memcpy(s->counts[i].what, x->counts[i].what, sizeof(s->counts[i].what));
        s->counts[i].n = atomic_load_explicit(&x->counts[i].n, memory_order_relaxed);
    }
}

void export_stats(const struct export *e, size_t i, enum otlp_signal signal, struct export_stats *s)
{
    const struct exporter *x = &e->exporters[i];
    struct journal_stats journal;

    journal_stats(e->config.journal, &journal);
    *s = x->stats[signal];
    s->enqueued = journal.enqueued[signal][i];
    s->queued = queue_items(x, signal);
    snprintf(s->last_error, sizeof(s->last_error), "%s", x->last_error);
    s->queue_bytes = x->queue_bytes;
    s->circuit_open = x->circuit_open;
    s->in_flight = x->in_flight;
    s->removed = x->is_removed;
    copy_counts(x, s);
}
