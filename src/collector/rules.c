#include "collector/rules.h"

#include "collector/setup.h"
#include "lua/state.h"

#include <stdlib.h>
#include <string.h>

/* Eight digits say which of the versions that a journal may hold it was. */
static uint32_t version_of(const struct config *config)
{
    char digits[9] = "";

    memcpy(digits, config->hash, 8);
    return (uint32_t)strtoul(digits, NULL, 16);
}

static void init_votes(struct rules *r, struct policy_shared *shared)
{
    size_t count = r->policies ? policy_set_count(r->policies) : 0;

    r->votes = calloc(count + 1, sizeof(*r->votes));
    r->policy_labels = calloc(count + 1, sizeof(*r->policy_labels));
    if (!r->votes || !r->policy_labels)
        err_no_memory("a worker's rules");
    for (size_t i = 0; i < count; i++)
        r->policy_labels[i] = labels_intern(
            shared->labels, slice_str(policy_set_name(r->policies, i)), slice_str(""));
}

static void find_where(struct rules *r, const struct exporter_specs *specs)
{
    int top = lua_gettop(r->L);

    config_push(r->L, "exporters");
    for (size_t i = 0; i < exporter_specs_count(specs); i++) {
        unsigned bit = exporter_specs_bit(specs, i);

        r->exporters |= UINT64_C(1) << bit;
        if (!exporter_specs_takes(specs, i, OTLP_TRACES))
            continue;
        exporter_specs_push_where(r->L, top + 1, i);
        r->where[bit] = match_get(r->L, -1);
        lua_settop(r->L, top + 1);
        if (!r->where[bit])
            r->every_exporter |= UINT64_C(1) << bit;
        else if (bit >= r->where_count)
            r->where_count = bit + 1;
    }
    for (int s = 0; s < OTLP_SIGNALS; s++)
        r->takers[s] = exporter_specs_mask(specs, (enum otlp_signal)s);
    lua_settop(r->L, top);
}

enum err rules_new(lua_State *L, const struct config *config,
                   const struct exporter_specs *exporters, struct policy_shared *shared,
                   struct rules **out, struct err_info *info)
{
    struct rules *r = calloc(1, sizeof(*r));
    enum err err;

    if (!r)
        err_no_memory("a worker's rules");
    *r =
        (struct rules){.config = config,
                       .version = version_of(config),
                       .head_threshold = sampling_threshold(config->head_sampling_percentage / 100),
                       .L = L};
    err = setup_policies(L, config, shared, &r->policies, info);
    if (err == ERR_OK)
        err = resource_edits_new(L, config, &r->resource, info);
    if (err == ERR_OK)
        err = setup_processors(L, "received", shared, &r->received, info);
    if (err == ERR_OK)
        err = setup_processors(L, "kept", shared, &r->kept, info);
    if (err != ERR_OK) {
        rules_free(r);
        return err;
    }
    r->scripts = policy_state_of(L);
    init_votes(r, shared);
    find_where(r, exporters);
    *out = r;
    return ERR_OK;
}

void rules_free(struct rules *r)
{
    if (!r)
        return;
    policy_set_free(r->policies);
    resource_edits_free(r->resource);
    processor_set_free(r->received);
    processor_set_free(r->kept);
    free(r->votes);
    free(r->policy_labels);
    lua_state_close(r->L);
    free(r);
}
