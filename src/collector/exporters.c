/* The exporters: those of the start, and what a reload makes of them. */
#include "collector/parts.h"
#include "collector/restart.h"
#include "lua/state.h"

#include <stdio.h>
#include <stdlib.h>

/* An exporter's call is about a batch, a policy's about a trace. */
enum { EXPORT_BUDGETS = 10 };

static const uint64_t patience_ns = NS_PER_S; /* with a disk that is slow or fails */

/* Those whose place is new get its name; names.exporter_count says how many there are. */
static void name_places(struct collector *c, const struct exporter_specs *specs)
{
    for (size_t i = 0; i < exporter_specs_count(specs); i++) {
        unsigned bit = exporter_specs_bit(specs, i);

        if (c->exporter_names[bit])
            continue;
        c->exporter_names[bit] = strdup(exporter_specs_name(specs, i));
        if (!c->exporter_names[bit])
            err_no_memory("an exporter's name");
    }
}

enum err exporters_choose(struct collector *c, struct err_info *info)
{
    enum err err = setup_exporters(&c->setup, c->loaded.L, &c->exporters, NULL, info);

    if (err == ERR_OK)
        name_places(c, c->exporters);
    return err;
}

/* Bits of all, or of those in Lua. */
static uint64_t bits_of(const struct exporter_specs *specs, bool lua_only)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < exporter_specs_count(specs); i++)
        if (!lua_only || exporter_specs_is_lua(specs, i))
            mask |= UINT64_C(1) << exporter_specs_bit(specs, i);
    return mask;
}

static uint64_t all_of(const struct exporter_specs *specs)
{
    return bits_of(specs, false);
}

static uint64_t lua_of(const struct exporter_specs *specs)
{
    return bits_of(specs, true);
}

/* ---- Lua ---- */

/* The Lua exporters' thread has a state of its own, with the same configuration in it. */
static enum err lua_state_for(struct collector *c, const struct setup_loaded *loaded, lua_State **L,
                              struct exporter_source *source, struct err_info *info)
{
    enum err err = setup_state(&c->setup, loaded, L, info);

    if (err != ERR_OK)
        return err;
    err = setup_push_exporters(&c->setup, *L, source, info);
    if (err == ERR_OK)
        lua_state_bound_cpu(*L, EXPORT_BUDGETS * loaded->config->tail.budget_cpu_ns);
    else
        lua_state_close(*L);
    return err;
}

enum err exporters_attach_lua(struct collector *c, struct err_info *info)
{
    struct exporter_source source;
    lua_State *L;
    enum err err;

    if (!lua_of(c->exporters))
        return ERR_OK;
    err = lua_state_for(c, &c->loaded, &L, &source, info);
    if (err != ERR_OK)
        return err;
    err = export_lua_attach(c->export, L, &source, info);
    if (err != ERR_OK) {
        lua_state_close(L);
        return err;
    }
    policy_use_cells(L, c->cells, collector_now_ns(c));
    lua_settop(L, 0);
    return ERR_OK;
}

static enum err prepare_lua(struct collector *c, const struct setup_loaded *loaded,
                            struct exporters_change *out, struct err_info *info)
{
    struct exporter_source source;
    lua_State *L;
    enum err err = lua_state_for(c, loaded, &L, &source, info);

    if (err != ERR_OK)
        return err;
    err = export_change_lua(out->change, L, &source, info);
    if (err != ERR_OK) {
        lua_state_close(L);
        return err;
    }
    lua_settop(L, 0);
    out->L = L;
    return ERR_OK;
}

/* ---- a reload ---- */

static bool is_same(const struct exporter_specs *specs, size_t i,
                    const struct setup_loaded *running, const struct setup_loaded *wanted)
{
    char prefix[256];

    if (exporter_specs_is_inline(specs, i) &&
        strcmp(running->config->hash, wanted->config->hash) != 0)
        return false;
    snprintf(prefix, sizeof(prefix), "exporters.%s.", exporter_specs_name(specs, i));
    return restart_same(running->description, wanted->description, prefix);
}

static bool same_lua(const char *running, const char *wanted)
{
    return restart_same(running, wanted, "~") && restart_same(running, wanted, "jit=") &&
           restart_same(running, wanted, "tail_sampling.budget.");
}

/* Bits of the exporters that run as they are wanted. Those in Lua share a state: all or none. */
static uint64_t find_staying(const struct collector *c, const struct exporter_specs *specs,
                             const struct setup_loaded *running, const struct setup_loaded *wanted)
{
    uint64_t stay = all_of(c->exporters) & all_of(specs), lua = lua_of(specs);

    for (size_t i = 0; i < exporter_specs_count(specs); i++)
        if (!is_same(specs, i, running, wanted))
            stay &= ~(UINT64_C(1) << exporter_specs_bit(specs, i));
    return (stay & lua) == lua && same_lua(running->description, wanted->description) ? stay
                                                                                      : stay & ~lua;
}

static enum err prepare_change(struct collector *c, const struct setup_loaded *loaded,
                               const struct setup_loaded *running, struct exporters_change *out,
                               struct err_info *info)
{
    uint64_t stay = find_staying(c, out->specs, running, loaded);
    enum err err;

    if (stay == all_of(out->specs) && stay == all_of(c->exporters))
        return ERR_OK;
    err = export_change_new(c->export, out->specs, stay, &out->change, info);
    if (err == ERR_OK && lua_of(out->specs) & ~stay)
        err = prepare_lua(c, loaded, out, info);
    return err;
}

enum err exporters_prepare(struct collector *c, const struct setup_loaded *loaded,
                           const struct setup_loaded *running, struct exporters_change *out,
                           struct err_info *info)
{
    enum err err;

    *out = (struct exporters_change){.count = atomic_load(&c->names.exporter_count)};
    err = setup_exporters(&c->setup, loaded->L, &out->specs, NULL, info);
    if (err == ERR_OK)
        err = exporter_specs_place(out->specs, (const char *const *)c->exporter_names, &out->count,
                                   info);
    if (err == ERR_OK)
        err = prepare_change(c, loaded, running, out, info);
    if (err != ERR_OK)
        exporters_abandon(out);
    return err;
}

void exporters_abandon(struct exporters_change *change)
{
    export_change_free(change->change);
    exporter_specs_unref(change->specs);
    *change = (struct exporters_change){0};
}

void exporters_offer(struct collector *c, struct exporters_change *change)
{
    name_places(c, change->specs);
    atomic_store_explicit(&c->names.exporter_count, change->count, memory_order_release);
    exporter_specs_unref(c->exporters);
    c->exporters = change->specs;
    change->specs = NULL;
    change->until_ns = change->change ? collector_now_ns(c) + patience_ns : 0;
    if (change->L)
        policy_use_cells(change->L, c->cells, collector_now_ns(c));
    change->L = NULL;
    if (change->change)
        export_offer(c->export, change->change);
    change->change = NULL;
}

bool exporters_are_ready(const struct collector *c, const struct exporters_change *change)
{
    return export_has_taken(c->export) &&
           (outbox_knows_exporters(c->journal, (unsigned)change->count) ||
            collector_now_ns(c) >= change->until_ns);
}
