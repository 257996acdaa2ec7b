/* Another list of exporters, while they run. */
#include "base/log.h"
#include "export/export_lua.h"
#include "export/exporter.h"
#include "lua/state.h"

#include <stdlib.h>

static const uint64_t end_ns = 10 * NS_PER_S; /* in which requests in flight may end */

struct export_change {
    struct export *owner;
    struct exporter_specs *specs; /* a reference */
    uint64_t stay;                /* bits of those that are not opened */
    size_t opened;                /* of the items */
    void *selves[EXPORTER_MAX];   /* by item, of those that were opened */
    lua_State *L;                 /* of its Lua exporters; NULL: they stay, or there are none */
};

/* ---- making one ---- */

static bool stays(const struct export_change *c, size_t item)
{
    return c->stay >> c->specs->items[item].bit & 1;
}

enum err export_change_new(struct export *e, struct exporter_specs *specs, uint64_t stay,
                           struct export_change **out, struct err_info *info)
{
    struct export_change *c = calloc(1, sizeof(*c));

    if (!c)
        err_no_memory("the reload");
    *c = (struct export_change){.owner = e, .specs = exporter_specs_ref(specs), .stay = stay};
    for (; c->opened < specs->count; c->opened++) {
        const struct exporter_spec *spec = &specs->items[c->opened];
        enum err err = ERR_OK;

        if (!stays(c, c->opened))
            err = exporter_open(&e->exporters[spec->bit], spec, &c->selves[c->opened], info);
        if (err != ERR_OK) {
            export_change_free(c);
            return err;
        }
    }
    *out = c;
    return ERR_OK;
}

enum err export_change_lua(struct export_change *c, lua_State *L,
                           const struct exporter_source *source, struct err_info *info)
{
    enum err err = export_lua_ready(c->owner, c->specs, L, source, info);

    if (err == ERR_OK)
        c->L = L;
    return err;
}

void export_change_free(struct export_change *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->opened; i++)
        if (!stays(c, i))
            c->specs->items[i].type->close(c->selves[i]);
    lua_state_close(c->L);
    exporter_specs_unref(c->specs);
    free(c);
}

void export_offer(struct export *e, struct export_change *c)
{
    atomic_store_explicit(&e->offered, c, memory_order_release);
    if (e->config.loop)
        loop_wake(e->config.loop);
}

bool export_has_taken(const struct export *e)
{
    return !atomic_load_explicit(&e->offered, memory_order_acquire);
}

/* ---- taking it: the export thread ---- */

/* What it was to become never ran. */
static void forget_next(struct exporter *x)
{
    if (x->next.spec)
        x->next.spec->type->close(x->next.self);
    exporter_specs_unref(x->next.specs);
    x->next = (struct exporter_next){0};
}

static void plan(struct exporter *x, struct exporter_next next, uint64_t now_ns)
{
    next.is_due = true;
    next.until_ns = now_ns + end_ns;
    forget_next(x);
    x->next = next;
}

/* How far the outbox has been seen: there is nothing before it for who is new. */
static uint64_t seen_to(const struct export *e)
{
    uint64_t to = outbox_begin(e->config.journal);

    for (size_t i = 0; i < e->count; i++)
        if (e->exporters[i].seen > to)
            to = e->exporters[i].seen;
    return to;
}

/* Those of the bits from e->count on. */
static void begin_new(struct export *e, const struct export_change *c)
{
    uint64_t position = seen_to(e);
    size_t before = e->count;

    for (size_t i = 0; i < c->specs->count; i++) {
        const struct exporter_spec *spec = &c->specs->items[i];
        struct exporter *x = &e->exporters[spec->bit];

        if (spec->bit < before)
            continue;
        x->self = c->selves[i];
        exporter_begin(x, spec, exporter_specs_ref(c->specs), position);
        e->count = spec->bit >= e->count ? spec->bit + 1 : e->count;
        log_event(LOG_INFO, "exporting", "exporter", x->name);
    }
    if (e->count > before)
        outbox_add_exporters(e->config.journal, (unsigned)e->count, position);
}

static void plan_old(struct export *e, const struct export_change *c, uint64_t now_ns)
{
    uint64_t there = 0;

    for (size_t i = 0; i < c->specs->count; i++) {
        const struct exporter_spec *spec = &c->specs->items[i];

        there |= UINT64_C(1) << spec->bit;
        if (!stays(c, i) && spec->bit < e->count)
            plan(&e->exporters[spec->bit],
                 (struct exporter_next){
                     .spec = spec, .specs = exporter_specs_ref(c->specs), .self = c->selves[i]},
                 now_ns);
    }
    for (size_t i = 0; i < e->count; i++)
        if (!(there >> i & 1))
            plan(&e->exporters[i], (struct exporter_next){0}, now_ns);
}

static void take(struct export *e, uint64_t now_ns)
{
    struct export_change *c = atomic_load_explicit(&e->offered, memory_order_acquire);

    if (!c)
        return;
    plan_old(e, c, now_ns);
    begin_new(e, c);
    if (c->L) {
        lua_state_close(e->lua->next);
        e->lua->next = c->L;
    }
    exporter_specs_unref(c->specs);
    free(c);
    atomic_store_explicit(&e->offered, NULL, memory_order_release);
}

/* ---- becoming another ---- */

/* Nothing is asked of the present Lua state, and nobody waits for its answer. */
static bool lua_is_quiet(const struct export *e)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->exporters[i].spec->is_lua && e->exporters[i].in_flight > 0)
            return false;
    return true;
}

/* What failed before gets its chance at once. */
static void close_circuit(struct exporter *x)
{
    x->failures = 0;
    x->circuit_open = x->probing = false;
    x->probe_ns = x->pause_ns = 0;
    x->last_error[0] = '\0';
    attempt_all_due(x);
}

static void say_removed(const struct exporter *x)
{
    uint64_t items = 0;

    for (int s = 0; s < OTLP_SIGNALS; s++)
        items += queue_items(x, (enum otlp_signal)s);
    log_event(items ? LOG_WARN : LOG_INFO, "an exporter was removed", "exporter", x->name,
              "items_lost", log_number((double)items));
}

static void become_next(struct exporter *x)
{
    struct exporter_next next = x->next;

    exporter_forget(x);
    if (!x->is_removed)
        x->spec->type->close(x->self);
    x->next = (struct exporter_next){0};
    if (next.spec) {
        exporter_specs_unref(x->specs);
        x->spec = next.spec;
        x->specs = next.specs;
        log_event(LOG_INFO, x->is_removed ? "exporting" : "an exporter goes on with other options",
                  "exporter", x->name);
    } else if (!x->is_removed) {
        say_removed(x);
    }
    x->self = next.self;
    x->is_removed = !next.spec;
    x->refusing = false;
    close_circuit(x);
}

static bool may_become(const struct exporter *x)
{
    bool is_lua = x->next.spec && x->next.spec->is_lua;

    return x->next.is_due && x->in_flight == 0 && !(is_lua && x->owner->lua->next);
}

uint64_t change_step(struct export *e, uint64_t now_ns)
{
    uint64_t due_ns = NEVER_NS;

    take(e, now_ns);
    for (size_t i = 0; i < e->count; i++) {
        struct exporter *x = &e->exporters[i];

        if (x->next.is_due && x->in_flight > 0 && now_ns >= x->next.until_ns)
            attempt_give_up(x);
    }
    if (e->lua->next && lua_is_quiet(e))
        export_lua_move(e->lua);
    for (size_t i = 0; i < e->count; i++) {
        struct exporter *x = &e->exporters[i];

        if (may_become(x))
            become_next(x);
        if (x->next.is_due)
            due_ns = earlier_ns(due_ns, x->next.until_ns);
    }
    return due_ns;
}
