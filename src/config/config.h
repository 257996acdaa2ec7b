/* config.h: config.lua to one immutable snapshot.
 *
 * One table of fields (config_fields) drives parsing, errors, print-config and the documentation.
 * The file runs once in every Lua state, with env, secret and file answered from one recording.
 * No I/O but through the disk interface.
 */
#pragma once

#include "base/disk.h"
#include "base/err.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/schema.h"
#include "lua/scripts.h"

#include <lua.h>

struct config_tls {
    const char *cert_file, *key_file, *client_ca_file; /* NULL: none */
    const char *min_version;                           /* "1.2" | "1.3" */
};

/* receivers.otlp.grpc and .http: bytes and ns. */
struct config_listener {
    bool enabled;
    const char *listen;
    uint64_t max_body, max_inflated, max_headers, max_connections, max_streams;
    uint64_t max_connection_age_ns; /* 0: none */
    uint64_t idle_timeout_ns, read_timeout_ns;
    const char *const *bearer; /* NULL-terminated list of tokens, or NULL: no auth */
    struct config_tls tls;     /* cert_file NULL: plain text */
};

struct config {
    char hash[17];    /* of the text, what env, secret and file answered, and scripts; hex */
    const char *path; /* "(built in)" for the embedded one */
    uint64_t workers;
    const char *jit; /* "auto" | "on" | "off" */
    uint64_t shutdown_timeout_ns;
    const char *log_level, *log_format;
    struct config_listener grpc, http;
    const char *admin_listen, *admin_control;
    struct config_journal {
        const char *path, *ack, *on_shutdown;
        uint64_t max_size, segment_size, history;
        double min_free; /* share of the disk, or bytes if >= 1 */
    } journal;
    struct {
        uint64_t limit, spike_limit;
        const char *compression;
    } memory;
    double head_sampling_percentage;
    bool follow_traces; /* logs with a trace id follow its decision */
    struct config_span_metrics {
        bool enabled;
        const char *name_space;
        const char *const *dimensions; /* NULL-terminated, or NULL: none */
        const char *span_name_attribute;
        const char *unit;           /* "ms" | "s" */
        const char *const *buckets; /* NULL-terminated list of durations */
        bool exponential;           /* in place of buckets */
        uint64_t max_size, max_series;
        const char *temporality; /* "cumulative" | "delta" */
        uint64_t flush_interval_ns;
        bool exemplars;
    } span_metrics;
    struct config_service_graph {
        bool enabled;
        const char *const *dimensions; /* NULL-terminated lists, or NULL: none */
        const char *const *peer_attributes, *const *database_attributes;
        const char *const *buckets; /* durations */
        uint64_t max_size;          /* of an exponential histogram in place of buckets; 0: none */
        uint64_t max_edges;
        const char *temporality;
        uint64_t flush_interval_ns;
    } service_graph;
    struct {
        bool enabled, all_spans;
        uint64_t max_operations;
    } audit;
    struct {
        bool enabled; /* false: no tail_sampling, everything is kept */
        uint64_t decision_wait_ns, wait_after_root_ns; /* 0: off */
        uint64_t num_traces, decision_cache, max_spans_per_trace, max_trace_bytes;
        bool record;
        bool tracestate_always;
        double keep_traces_per_second;
        uint64_t budget_cpu_ns, budget_memory;
        uint64_t quarantine_errors, quarantine_window_ns;
    } tail;
    const struct schema_pair
        *resource; /* upserted into each kept span's resource; ends at key NULL */
    const char *const *resource_detection; /* detectors; NULL-terminated; NULL: none */
    const struct schema_pair *detected;    /* what they said: config_set_detected; NULL: nothing */
};

/* Every key: drives parsing, errors, print-config and docs/configuration.md. */
extern const struct schema_field config_fields[];
extern const size_t config_field_count;

/* What config.lua may call beyond plain Lua: the rooms that define policy{}, match{}, exporter{}
 * ... add their functions to the environment table at `env`. */
typedef enum err config_env_fn(void *arg, lua_State *L, int env, struct err_info *info);

struct config_source {
    const char *path; /* NULL: the embedded config.lua */
    const char *text; /* in place of what `path` has, whose folder counts; NULL: that is read */
    const struct lua_script_at *script; /* one that lies somewhere else; may be NULL */
    struct disk *disk;
    config_env_fn *env;
    void *env_arg;
};

/* The answers of env, secret and file, and the scripts that were read, so that every state sees the
 * same. */
struct config_recording;

/* Runs the file in L, validates every key, and gives the snapshot. All errors at once in `report`
 * (sentences, one a line: "config.lua:12: tail_sampling.decision_wait is 'fast'; allowed: ...").
 * ERR_CONFIG; nothing is left. On success `report` may hold hints, one a line, about what was
 * accepted without effect; and the checked Lua table stays in L
 * (config_push), which reads its scripts through the recording: that outlives L. Of a table with
 * errors the fields without stay, so that what they name can be checked as well. Snapshot and
 * recording are owned by the caller. */
struct buf;
enum err config_load(lua_State *L, const struct config_source *source, struct config **out,
                     struct config_recording **recording, struct buf *report) MUST_CHECK;
/* Runs the same text in another state with the recorded answers; leaves its table there. */
enum err config_replay(lua_State *L, const struct config_source *source,
                       const struct config_recording *recording, struct err_info *info) MUST_CHECK;
/* Takes the scripts into the hash that were read since: after all that config.lua names is loaded.
 */
void config_rehash(struct config *c, const struct config_recording *recording);
/* The control socket's path that admin.control says, for a journal in `folder`. Owned by the
 * caller. NULL: it is off. */
char *config_control_path(const char *control, const char *folder);
/* Before anybody else sees the snapshot: copies `pairs`, which end at key NULL. */
void config_set_detected(struct config *c, const struct schema_pair *pairs);
void config_free(struct config *c);
void config_recording_free(struct config_recording *r);

/* Pushes the value at a dotted path of the checked table ("tail_sampling.policies"), or nil. */
void config_push(lua_State *L, const char *path);

/* Appends "config.lua:12: ", where the key at a dotted path stands, for an error about its value.
 */
void config_place(lua_State *L, const char *path, struct buf *out);

/* Pushes the environment that the file ran in (for texts that belong to it), or nil. */
void config_push_env(lua_State *L);

/* Every key with its default (defaults = true; config.lua need not have run) or its value; secrets
 * as ****. As Lua that loads. */
void config_print(lua_State *L, bool defaults, struct buf *out);
/* Keys with their values, secrets in full, as sorted lines "KEY=VALUE": what differs between two
 * versions. Without policies and processors; of exporters also the scripts ("~PATH"). For the state
 * of config_load. */
void config_describe(lua_State *L, const struct config_recording *recording, struct buf *out);
/* docs/configuration.md. */
void config_print_docs(lua_State *L, struct buf *out);
