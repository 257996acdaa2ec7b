#include "collector/setup.h"

#include "base/log.h"
#include "collector/resource.h"
#include "collector/span_metrics.h"
#include "journal/journal.h"
#include "lua/state.h"
#include "trace/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_BYTES_BEFORE_CONFIG = 64 * 1024 * 1024,
    DESCRIPTION_MAX = 16 * 1024 * 1024,
    SMALL_SEGMENT_BYTES = 1 << 20, /* where memory is short */
    ROOMY_BYTES = 96 << 20,        /* of the limit for each worker */
};

static enum err install_rooms(void *arg, lua_State *L, int env, struct err_info *info)
{
    const struct setup *s = arg;
    enum err e = policy_api_install(L, env, s->shared, info);

    return e ? e : export_api_install(L, env, info);
}

static struct config_source source_of(const struct setup *s)
{
    return (struct config_source){.path = s->path,
                                  .text = s->text,
                                  .script = s->script,
                                  .disk = s->disk,
                                  .env = install_rooms,
                                  .env_arg = (void *)s};
}

static enum lua_jit jit_of(const struct config *c)
{
    if (strcmp(c->jit, "auto") == 0)
        return LUA_JIT_AUTO;
    return strcmp(c->jit, "on") == 0 ? LUA_JIT_ON : LUA_JIT_OFF;
}

static struct lua_options options_of(const struct setup *s, const struct config *c)
{
    return (struct lua_options){
        .memory = s->memory,
        .max_bytes = c->tail.budget_memory,
        .max_cpu_ns = c->tail.budget_cpu_ns,
        .jit = jit_of(c),
        .stop = s->stop,
    };
}

/* Ends what gave its sentences in `errors`: the first of them go to `info`. */
static enum err fail_with(struct buf *errors, enum err e, struct err_info *info)
{
    if (e)
        err_fail(info, e, "%.*s", (int)errors->len, (const char *)errors->data);
    buf_fini(errors);
    return e;
}

/* *out is NULL where there are none. */
static enum err read_policies(lua_State *L, struct policy_shared *shared, struct policy_set **out,
                              struct buf *errors)
{
    int top = lua_gettop(L);
    enum err e = ERR_OK;

    *out = NULL;
    config_push(L, "tail_sampling.policies");
    config_push(L, "tail_sampling.default");
    if (!lua_isnil(L, top + 1))
        e = policy_set_new(L, top + 1, top + 2, shared, out, errors);
    lua_settop(L, top);
    return e;
}

enum err setup_policies(lua_State *L, const struct config *config, struct policy_shared *shared,
                        struct policy_set **out, struct err_info *info)
{
    struct buf errors;

    *out = NULL;
    if (!config->tail.enabled)
        return ERR_OK;
    buf_init(&errors, sizeof(info->text), NULL);
    return fail_with(&errors, read_policies(L, shared, out, &errors), info);
}

static enum err read_processors(lua_State *L, const char *on, struct policy_shared *shared,
                                struct processor_set **out, struct buf *errors)
{
    int top = lua_gettop(L);
    char path[32];
    enum err e;

    snprintf(path, sizeof(path), "processors.%s", on);
    config_push(L, path);
    e = processor_set_new(L, on, top + 1, shared, out, errors);
    lua_settop(L, top);
    return e;
}

enum err setup_processors(lua_State *L, const char *on, struct policy_shared *shared,
                          struct processor_set **out, struct err_info *info)
{
    struct buf errors;

    buf_init(&errors, sizeof(info->text), NULL);
    return fail_with(&errors, read_processors(L, on, shared, out, &errors), info);
}

/* Tries those of one list. Returns whether some of them are asked about spans. */
static bool check_processors(const struct setup *s, lua_State *L, const char *on,
                             struct buf *errors)
{
    struct processor_set *processors = NULL;
    bool has_spans;

    if (read_processors(L, on, s->shared, &processors, errors))
        return false;
    has_spans = processor_set_has_spans(processors);
    processor_set_free(processors);
    return has_spans;
}

/* Pushes what the file of an exporter sees: no env, secret or file, which are config.lua's. */
static enum err push_script_env(const struct setup *s, lua_State *L, struct err_info *info)
{
    enum err e = lua_env_new(L, info);

    if (e)
        return e;
    e = install_rooms((void *)s, L, lua_gettop(L), info);
    if (!e)
        e = lua_env_seal(L, -1, info);
    if (e)
        lua_pop(L, 1);
    return e;
}

enum err setup_push_exporters(const struct setup *s, lua_State *L, struct exporter_source *source,
                              struct err_info *info)
{
    enum err e;

    config_push(L, "exporters");
    e = push_script_env(s, L, info);
    if (e) {
        lua_pop(L, 1);
        return e;
    }
    *source = (struct exporter_source){.exporters = lua_gettop(L) - 1, .env = lua_gettop(L)};
    return ERR_OK;
}

/* *out is NULL where there are none. */
static enum err read_exporters(const struct setup *s, lua_State *L, struct exporter_specs **out,
                               struct buf *hints, struct buf *errors)
{
    struct exporter_source source;
    struct err_info info;
    int top = lua_gettop(L);
    enum err e = setup_push_exporters(s, L, &source, &info);

    *out = NULL;
    if (e)
        buf_printf(errors, "%s\n", info.text);
    else if (!lua_isnil(L, source.exporters))
        e = exporter_specs_new(L, &source, out, hints, errors);
    lua_settop(L, top);
    return e;
}

enum err setup_exporters(const struct setup *s, lua_State *L, struct exporter_specs **out,
                         struct buf *hints, struct err_info *info)
{
    struct buf errors;

    buf_init(&errors, sizeof(info->text), NULL);
    return fail_with(&errors, read_exporters(s, L, out, hints, &errors), info);
}

static void copy_names(struct setup_loaded *l, const struct policy_set *policies)
{
    l->policies = policy_set_count(policies);
    l->policy_names = calloc(l->policies + 1, sizeof(*l->policy_names));
    if (!l->policy_names)
        err_no_memory("the names of policies");
    for (size_t i = 0; i < l->policies; i++) {
        l->policy_names[i] = strdup(policy_set_name(policies, i));
        if (!l->policy_names[i])
            err_no_memory("the names of policies");
    }
}

static void free_names(struct setup_loaded *l)
{
    for (size_t i = 0; i < l->policies; i++)
        free((char *)l->policy_names[i]);
    free(l->policy_names);
}

/* With less the segments that are open leave no room for what comes in. */
enum err setup_journal_fits(const struct config *config, unsigned workers, struct err_info *info)
{
    unsigned long long least = journal_least_bytes(workers, SETUP_SEGMENT_BYTES) >> 20;
    unsigned long long max = config->journal.max_size >> 20;

    if (strcmp(config->journal.ack, "memory") == 0 || max >= least)
        return ERR_OK;
    return err_fail(
        info, ERR_CONFIG,
        "journal.max_size is %lluMiB; the segments that %u workers and the outbox have "
        "open need %lluMiB: write journal = { max_size = \"%lluMiB\" }, or fewer workers",
        max, workers, least, least);
}

/* In files it is always the same, whatever the limit is at the next start. */
size_t setup_segment_bytes(const struct config *config, unsigned workers)
{
    return strcmp(config->journal.ack, "memory") != 0 ||
                   config->memory.limit / workers >= ROOMY_BYTES
               ? SETUP_SEGMENT_BYTES
               : SMALL_SEGMENT_BYTES;
}

static uint64_t held_by(const struct config *config, unsigned workers)
{
    return (uint64_t)workers * JOURNAL_WORKER_HOLDS * setup_segment_bytes(config, workers);
}

static uint64_t soft_limit(const struct config *config)
{
    return config->memory.limit - config->memory.spike_limit;
}

/* How many of `workers` hold no more than that. */
static unsigned that_fit(const struct config *config, unsigned workers, uint64_t bytes)
{
    while (workers > 1 && held_by(config, workers) > bytes)
        workers--;
    return workers;
}

unsigned setup_workers(const struct config *config, unsigned cpus)
{
    return config->workers ? (unsigned)config->workers
                           : that_fit(config, cpus, soft_limit(config) / 2);
}

/* With less memory is full of empty segments, and all is refused. */
enum err setup_memory_fits(const struct config *config, unsigned workers, struct err_info *info)
{
    uint64_t soft = soft_limit(config);
    unsigned most = that_fit(config, workers, soft / 4 * 3);

    if (workers == most)
        return ERR_OK;
    return err_fail(
        info, ERR_CONFIG,
        "memory_limiter.limit less spike_limit is %lluMiB; the empty segments of %u workers alone "
        "take %lluMiB, and may take three quarters: write workers = %u or fewer, or a larger limit",
        (unsigned long long)soft >> 20, workers, (unsigned long long)held_by(config, workers) >> 20,
        most);
}

/* Whether memory_limiter has room for what tail_sampling.decision_cache takes at the start; with
 * its decisions that is three times as much, or more. */
static enum err decisions_fit(const struct config *config, struct err_info *info)
{
    uint64_t index = trace_limits_index_bytes(config->tail.decision_cache);
    uint64_t most = soft_limit(config) / 2;

    if (index <= most)
        return ERR_OK;
    return err_fail(info, ERR_CONFIG,
                    "tail_sampling.decision_cache is %llu; the index of so many takes %lluMiB at "
                    "the start, and may take %lluMiB, half of memory_limiter.limit less "
                    "spike_limit: write fewer, or a larger limit",
                    (unsigned long long)config->tail.decision_cache,
                    (unsigned long long)index >> 20, (unsigned long long)most >> 20);
}

static void say(const struct setup_loaded *l, const char *key, const struct err_info *info,
                struct buf *errors)
{
    config_place(l->L, key, errors);
    buf_printf(errors, "%s\n", info->text);
}

static void check_room(const struct setup_loaded *l, struct buf *errors)
{
    unsigned workers = (unsigned)l->config->workers; /* 0: as the machine says, at the start */
    struct err_info info;

    if (workers && setup_journal_fits(l->config, workers, &info))
        say(l, "journal.max_size", &info, errors);
    if (workers && setup_memory_fits(l->config, workers, &info))
        say(l, "memory_limiter.limit", &info, errors);
    if (decisions_fit(l->config, &info))
        say(l, "tail_sampling.decision_cache", &info, errors);
}

/* What is refused at the door is not counted. */
static void hint_at_refused_spans(const struct setup_loaded *l,
                                  const struct exporter_specs *exporters, struct buf *hints)
{
    const char *key = l->config->span_metrics.enabled    ? "span_metrics"
                      : l->config->service_graph.enabled ? "service_graph"
                                                         : NULL;

    if (!key || exporter_specs_mask(exporters, OTLP_TRACES))
        return;
    config_place(l->L, key, hints);
    buf_printf(hints,
               "%s counts nothing: spans are refused, since no exporter takes them; exporter "
               "\"nop\" would\n",
               key);
}

/* Tries what config.lua names: all are asked, so that their errors come together. */
static void check_components(const struct setup *s, struct setup_loaded *l, struct buf *hints,
                             struct buf *errors)
{
    struct policy_set *policies = NULL;
    struct exporter_specs *exporters = NULL;
    struct resource_edits *edits = NULL;
    struct err_info info;

    if (resource_edits_new(l->L, l->config, &edits, &info))
        buf_printf(errors, "%s\n", info.text);
    resource_edits_free(edits);
    if (l->config && span_metrics_check(l->config, &info))
        buf_printf(errors, "%s\n", info.text);
    if (l->config)
        check_room(l, errors);
    l->has_door = check_processors(s, l->L, "received", errors);
    l->has_door |= l->config && l->config->head_sampling_percentage < 100;
    (void)check_processors(s, l->L, "kept", errors);
    if (!read_policies(l->L, s->shared, &policies, errors) && policies) {
        copy_names(l, policies);
        policy_set_free(policies);
        if (hints)
            policy_take_hints(l->L, hints);
    }
    if (!read_exporters(s, l->L, &exporters, hints, errors) && exporters) {
        l->exporters = exporter_specs_count(exporters);
        if (hints)
            hint_at_refused_spans(l, exporters, hints);
        exporter_specs_unref(exporters);
    }
}

/* Once all that it names has been read. */
static void finish_load(struct setup_loaded *l)
{
    struct buf text;

    config_rehash(l->config, l->recording);
    buf_init(&text, DESCRIPTION_MAX, NULL);
    config_describe(l->L, l->recording, &text);
    buf_byte(&text, 0);
    l->description = buf_ok(&text) ? strdup((const char *)text.data) : strdup("");
    if (!l->description)
        err_no_memory("the configuration");
    buf_fini(&text);
}

/* config.lua and what it names. On failure `report` has errors only: hints are for what is
 * accepted. */
static enum err load_into(const struct setup *s, struct setup_loaded *out, struct buf *report)
{
    struct config_source source = source_of(s);
    struct lua_options options;
    struct buf errors;
    enum err e = config_load(out->L, &source, &out->config, &out->recording, report);

    buf_init(&errors, report->max, NULL);
    if (!e) {
        options = options_of(s, out->config);
        lua_state_configure(out->L, &options);
        check_components(s, out, report, &errors);
        if (errors.len)
            buf_clear(report);
        else
            finish_load(out);
    } else {
        check_components(s, out, NULL, &errors);
    }
    if (errors.len)
        e = ERR_CONFIG;
    buf_append(report, errors.data, errors.len);
    buf_fini(&errors);
    return e;
}

enum err setup_load(const struct setup *s, struct setup_loaded *out, struct buf *report)
{
    struct lua_options options = {.memory = s->memory,
                                  .max_bytes = MAX_BYTES_BEFORE_CONFIG,
                                  .jit = LUA_JIT_OFF,
                                  .stop = s->stop};

    *out = (struct setup_loaded){.L = lua_state_new(&options)};
    if (!out->L) {
        buf_str(report, "no memory for a Lua state\n");
        return ERR_CONFIG;
    }
    if (!load_into(s, out, report))
        return ERR_OK;
    setup_fini(out);
    return ERR_CONFIG;
}

void setup_fini(struct setup_loaded *l)
{
    lua_state_close(l->L);
    config_free(l->config);
    config_recording_free(l->recording);
    free_names(l);
    free(l->description);
    *l = (struct setup_loaded){0};
}

void setup_log_hints(struct slice report)
{
    char line[1024];

    while (report.len > 0) {
        const uint8_t *end = memchr(report.data, '\n', report.len);
        size_t len = end ? (size_t)(end - report.data) : report.len;

        snprintf(line, sizeof(line), "%.*s", (int)len, (const char *)report.data);
        log_event(LOG_WARN, "configuration", "hint", line);
        report = slice_make(report.data + len, report.len - len);
        if (end)
            report = slice_make(report.data + 1, report.len - 1);
    }
}

enum err setup_state(const struct setup *s, const struct setup_loaded *l, lua_State **L,
                     struct err_info *info)
{
    struct lua_options wanted = options_of(s, l->config), plain = wanted;
    struct config_source source = source_of(s);
    enum err e;

    plain.jit = LUA_JIT_OFF; /* what runs once is interpreted: the compiler is for policies */
    *L = lua_state_new(&plain);
    if (!*L)
        return err_fail(info, ERR_FULL, "no memory for a Lua state");
    e = config_replay(*L, &source, l->recording, info);
    if (e) {
        lua_state_close(*L);
        *L = NULL;
        return e;
    }
    lua_state_configure(*L, &wanted);
    return ERR_OK;
}
