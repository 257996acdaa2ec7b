/* rig.h: an exporter between a real outbox and a made-up network, on virtual time. */
#pragma once

#include "base/disk.h"
#include "base/fake_disk.h"
#include "check.h"
#include "export/export.h"
#include "lua/scripts.h"
#include "lua/state.h"
#include "otlp/wire.h"
#include "policy/policy.h"

#include <stdlib.h>

#include <lauxlib.h>

struct rig {
    struct fake_clock clock;
    struct fake_disk disk;
    struct memory memory;
    struct journal *journal;
    struct journal_writer *writer;
    struct http_client *http;
    lua_State *L;
    int env, exporters; /* stack indexes */
    struct exporter_source source;
    struct exporter_specs *specs;
    const char *exporter_names[EXPORTER_MAX];
    struct journal_names names;
    struct export *export;
    bool lua_is_taken;
    struct err_info info;
    uint64_t due_ns; /* of the last step */
    uint64_t lua_due_ns;
};

/* What a test adds: the API of scripts beyond this room's, and the hooks; and that the journal lies
 * in files, in segments of RIG_SEGMENT, with so much memory before it is short. */
static void (*rig_install)(lua_State *L, int env);
static struct export_hooks rig_hooks;
static size_t rig_files_memory;
static const char *(*rig_env)(const char *name); /* of AWS; NULL: the process's */

enum { RIG_SEGMENT = 64 << 10 };

#define RIG_START (1000 * NS_PER_S)
#define RIG_UNIX  (UINT64_C(1700000000) * NS_PER_S)

static inline void rig_set(lua_State *L, const char *module, const char *function,
                           const char *argument, const char *name)
{
    struct err_info info;

    CHECK(lua_require(L, module, &info) == ERR_OK);
    lua_getfield(L, -1, function);
    if (argument) {
        lua_pushstring(L, argument);
        lua_call(L, 1, 1);
    }
    lua_setfield(L, -3, name);
    lua_pop(L, 1);
}

/* Runs `config`, which returns the list of exporters. */
static inline void rig_config(struct rig *r, const char *config)
{
    const struct lua_options options = {.memory = &r->memory};

    r->L = lua_state_new(&options);
    lua_scripts_set(r->L, &r->disk.disk, "/etc/moontail");
    CHECK(r->L && lua_env_new(r->L, &r->info) == ERR_OK);
    r->env = lua_gettop(r->L);
    rig_set(r->L, "moontail.component", "constructor", "exporter", "exporter");
    rig_set(r->L, "moontail.option", "api", NULL, "option");
    rig_set(r->L, "moontail.secret", "new", NULL, "secret");
    if (rig_install)
        rig_install(r->L, r->env);
    else
        CHECK(policy_api_install(r->L, r->env, NULL, &r->info) == ERR_OK);
    CHECK(export_api_install(r->L, r->env, &r->info) == ERR_OK);
    CHECK(lua_env_seal(r->L, r->env, &r->info) == ERR_OK);
    if (lua_load_script(r->L, slice_str(config), "config.lua", r->env, &r->info) != ERR_OK ||
        lua_run(r->L, 0, 1, &r->info) != ERR_OK)
        printf("  %s\n", r->info.text);
    r->exporters = lua_gettop(r->L);
    r->source = (struct exporter_source){r->exporters, r->env};
}

static inline void rig_base(struct rig *r)
{
    *r = (struct rig){.journal = NULL};
    fake_clock_init(&r->clock, RIG_START, RIG_UNIX);
    fake_disk_init(&r->disk);
    memory_init(&r->memory, 1 << 30, 1 << 20);
}

static inline enum err rig_specs(struct rig *r, const char *config)
{
    struct buf errors;
    enum err e;

    rig_config(r, config);
    buf_init(&errors, sizeof(r->info.text), NULL);
    e = exporter_specs_new(r->L, &r->source, &r->specs, NULL, &errors);
    if (e)
        err_fail(&r->info, e, "%.*s", (int)errors.len, (const char *)errors.data);
    buf_fini(&errors);
    return e;
}

static inline size_t rig_labels(void *arg)
{
    (void)arg;
    return 1;
}

static inline void rig_label(void *arg, uint16_t label, const char **policy, const char **reason)
{
    (void)arg, (void)label;
    *policy = *reason = "default";
}

static inline uint16_t rig_intern(void *arg, const char *policy, const char *reason)
{
    (void)arg, (void)policy, (void)reason;
    return 0;
}

static inline void rig_use_files(struct rig *r, struct journal_config *jc)
{
    for (unsigned i = 0; i < jc->exporters; i++)
        r->exporter_names[i] = exporter_specs_name(r->specs, i);
    r->names = (struct journal_names){.labels = rig_labels,
                                      .label = rig_label,
                                      .intern = rig_intern,
                                      .exporters = r->exporter_names,
                                      .exporter_count = jc->exporters,
                                      .config_hash = "abc"};
    jc->segment_bytes = RIG_SEGMENT;
    jc->ack = ACK_WRITTEN;
    jc->disk = &r->disk.disk;
    jc->path = "/j";
    jc->file_bytes = 4 * RIG_SEGMENT;
    jc->max_bytes = (uint64_t)1 << 30;
    jc->decision_cache = 100;
    jc->salt_seed = 1;
    jc->names = &r->names;
    r->memory.soft_limit = (int64_t)(memory_used(&r->memory) + rig_files_memory);
}

/* After rig_base. `http` may be NULL. False: r->info says why. */
static inline bool rig_go(struct rig *r, const char *config, struct http_client *http)
{
    struct journal_config jc = {
        .workers = 1, .segment_bytes = 1 << 20, .memory = &r->memory, .clock = &r->clock.clock};
    struct export_config ec;

    r->http = http;
    if (rig_specs(r, config) != ERR_OK)
        return false;
    jc.exporters = (unsigned)exporter_specs_count(r->specs);
    if (rig_files_memory)
        rig_use_files(r, &jc);
    if (journal_new(&jc, &r->journal, &r->info) != ERR_OK)
        abort();
    r->writer = journal_writer(r->journal, 0, NULL);
    ec = (struct export_config){.specs = r->specs,
                                .journal = r->journal,
                                .memory = &r->memory,
                                .disk = &r->disk.disk,
                                .http = http,
                                .env = rig_env,
                                .clock = &r->clock.clock,
                                .seed = 1,
                                .hooks = rig_hooks};
    if (export_new(&ec, &r->export, &r->info) != ERR_OK)
        return false;
    r->lua_is_taken = export_lua_attach(r->export, r->L, &r->source, &r->info) == ERR_OK;
    return r->lua_is_taken;
}

static inline bool rig_open(struct rig *r, const char *config, struct http_client *http)
{
    rig_base(r);
    if (rig_go(r, config, http))
        return true;
    printf("  %s\n", r->info.text);
    return false;
}

static inline void rig_close(struct rig *r)
{
    export_free(r->export);
    if (r->journal)
        journal_free(r->journal);
    exporter_specs_unref(r->specs);
    if (r->http)
        r->http->free(r->http);
    if (!r->lua_is_taken)
        lua_state_close(r->L);
    fake_disk_fini(&r->disk);
    CHECK(memory_used(&r->memory) == 0);
}

/* Steps everything until nothing happens at this moment: the threads wake each other, so one round
 * in which nothing was due is not yet the end. */
static inline void rig_step(struct rig *r)
{
    for (int i = 0, quiet = 0; quiet < 4; i++) {
        uint64_t now = r->clock.now;

        journal_step(r->journal, now);
        r->due_ns = export_step(r->export, now);
        r->lua_due_ns = export_lua_step(r->export, now);
        quiet = r->due_ns > now && r->lua_due_ns > now ? quiet + 1 : 0;
        if (i == 10000) {
            CHECK(!"something is always due");
            return;
        }
    }
}

/* Lets `ns` of virtual time pass, stepping whenever something is due. */
static inline void rig_run(struct rig *r, uint64_t ns)
{
    uint64_t end = r->clock.now + ns;

    for (rig_step(r); r->due_ns <= end; rig_step(r))
        fake_clock_advance(&r->clock, r->due_ns - r->clock.now);
    if (end > r->clock.now)
        fake_clock_advance(&r->clock, end - r->clock.now);
    rig_step(r);
}

/* Appends one span of `bytes` bytes or so. */
static inline void rig_span(struct buf *scope, uint32_t id, size_t bytes)
{
    struct buf span;
    uint8_t trace_id[16] = {[15] = 1}, span_id[8] = {[3] = 1};
    uint8_t *filler = calloc(1, bytes + 1);

    buf_init(&span, 1 << 26, NULL);
    memcpy(trace_id, &id, sizeof(id));
    memcpy(span_id + 4, &id, sizeof(id));
    memset(filler, 'x', bytes);
    wire_put_bytes(&span, 1, slice_make(trace_id, 16));
    wire_put_bytes(&span, 2, slice_make(span_id, 8));
    wire_put_bytes(&span, 5, slice_make(filler, bytes));
    wire_put_fixed64(&span, 7, RIG_UNIX);
    wire_put_fixed64(&span, 8, RIG_UNIX + 5 * NS_PER_MS);
    wire_put_bytes(scope, 2, buf_slice(&span));
    buf_fini(&span);
    free(filler);
}

/* A payload of `spans` spans in `resources` resources of two scopes. */
static inline struct buf rig_payload(uint32_t spans, uint32_t resources, size_t span_bytes,
                                     struct memory *memory)
{
    static uint32_t id;
    struct buf out, rs, scope;

    buf_init(&out, 1 << 28, memory);
    for (uint32_t n = 0; n < resources; n++) {
        buf_init(&rs, 1 << 28, NULL);
        wire_put_bytes(&rs, 3, slice_str("a schema"));
        for (uint32_t part = 0; part < 2; part++) {
            buf_init(&scope, 1 << 28, NULL);
            wire_put_bytes(&scope, 3, slice_str("another"));
            for (uint32_t i = n * 2 + part; i < spans; i += 2 * resources)
                rig_span(&scope, ++id, span_bytes);
            wire_put_bytes(&rs, 2, buf_slice(&scope));
            buf_fini(&scope);
        }
        wire_put_bytes(&out, 1, buf_slice(&rs));
        buf_fini(&rs);
    }
    return out;
}

/* Commits one kept trace for the exporters of `mask`. */
static inline void rig_keep_mask(struct rig *r, uint32_t spans, size_t span_bytes, uint64_t mask)
{
    struct buf payload = rig_payload(spans, 1, span_bytes, &r->memory);
    struct decision_record d = {.keep = true,
                                .spans = spans,
                                .payload_spans = spans,
                                .exporters = mask,
                                .threshold = UINT64_MAX,
                                .probability = -1,
                                .trace_id = {1, 2, 3}};

    while (!journal_decide(r->writer, &d, NULL, &payload))
        journal_step(r->journal, r->clock.now);
    buf_fini(&payload);
}

/* One record of another signal with so many items; the payload is not looked at here. */
static inline void rig_pass(struct rig *r, enum otlp_signal signal, uint32_t items)
{
    struct decision_record d = {.keep = true,
                                .signal = (uint8_t)(SIGNAL_TRACES + signal),
                                .payload_spans = items,
                                .exporters = exporter_specs_mask(r->specs, signal)};
    struct buf payload;

    buf_init(&payload, 1 << 20, &r->memory);
    for (uint32_t i = 0; i < items; i++) /* one resource, scope and record each */
        buf_append(&payload, "\x0a\x0c\x12\x0a\x12\x08\x2a\x06\x0a\x04text", 14);
    while (!journal_decide(r->writer, &d, NULL, &payload))
        journal_step(r->journal, r->clock.now);
    buf_fini(&payload);
}

static inline void rig_keep(struct rig *r, uint32_t spans, size_t span_bytes)
{
    rig_keep_mask(r, spans, span_bytes, 1);
}

static inline struct export_stats rig_stats(const struct rig *r, size_t i)
{
    struct export_stats s;

    export_stats(r->export, i, OTLP_TRACES, &s);
    CHECK(s.enqueued + s.recovered == s.queued + s.delivered + s.filtered + s.lost_permanent +
                                          s.lost_retry_exhausted + s.lost_outbox_full +
                                          s.lost_disk_full + s.lost_damaged);
    return s;
}
