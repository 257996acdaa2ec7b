/* processor.h: runs the processors of one worker: at the door (on = "received") and on the spans of
 * kept traces before they are composed (on = "kept").
 *
 * Data path: receive -> scan -> [bodies, received] -> journal ...; policies -> [kept] -> composer.
 * A processor_set belongs to one Lua state. A processor that raises does to the span what its
 * on_error says: pass it as it was, strip it, or drop it.
 */
#pragma once

#include "otlp/signal.h"
#include "policy/policy.h"

struct processor_set;

/* Makes the processors in the list at `list` (processors.received or processors.kept of a config
 * that ran in L) ready: loads their files, validates options, runs setup. on: "received" or "kept".
 * Those called "resource" are not its business. *out is NULL where there are no others. ERR_CONFIG
 * with all sentences in `errors`, a line each. Owned by the caller; L outlives it. */
enum err processor_set_new(lua_State *L, const char *on, int list, struct policy_shared *shared,
                           struct processor_set **out, struct buf *errors) MUST_CHECK;
void processor_set_free(struct processor_set *p);
size_t processor_set_count(const struct processor_set *p); /* NULL: none */
/* Whether some of them are asked about spans; NULL: none. */
bool processor_set_has_spans(const struct processor_set *p);

/* What became of the spans of a trace. The bytes live until processor_set_end, the rest until the
 * next run. */
struct processed {
    struct span_view *views; /* those that are left, in the order they came */
    uint32_t count;
    uint32_t entry;          /* which of them is the entry; UINT32_MAX: not asked for, or none */
    const uint16_t *dropped; /* a label of shared->filters for each that is not left */
    uint32_t dropped_count;
};

/* Runs those of "kept" over a trace. entry: the index of its entry span, UINT32_MAX: nobody asks.
 * False: no memory for so many spans, nothing was run. */
bool processor_set_run(struct processor_set *p, const struct policy_trace *trace, uint32_t entry,
                       uint64_t now_ns, struct processed *out);
/* Frees what the last run made. */
void processor_set_end(struct processor_set *p);

/* Whether some of "received" redact whole bodies; NULL: none. */
bool processor_set_has_bodies(const struct processor_set *p);
/* What those leave of a body that was scanned, in their order, before the others are asked: *left
 * is `body` itself where nothing is found, else it lives until processor_set_body_end. ERR_FULL:
 * there is no memory for it, and the body must not be stored; counted as failed. */
enum err processor_set_body(struct processor_set *p, struct slice body,
                            struct slice *left) MUST_CHECK;
/* The body was taken: what was found in it counts. Between processor_set_body and its end. */
void processor_set_body_count(struct processor_set *p);
void processor_set_body_end(struct processor_set *p);

/* Asks those of "received" about one span. True: it is dropped; *label is of shared->filters. */
bool processor_set_drops(struct processor_set *p, const uint8_t trace_id[16],
                         struct span_view *view, uint64_t now_ns, uint16_t *label);

/* ---- metrics and logs ---- */

/* Told of each item that is dropped. */
struct item_sink {
    void (*dropped)(void *arg, uint16_t label, size_t items); /* label: of shared->filters */
    void *arg;
};

/* Whether some of them are about that signal; NULL: none. */
bool processor_set_has_items(const struct processor_set *p, enum otlp_signal signal);
/* What they leave of a body of metrics or logs that was scanned, one processor after the other:
 * *left is `body` itself where nothing was changed, else it lives until processor_set_items_end.
 * ERR_FULL: there is no memory for it, nothing of it may leave. */
enum err processor_set_items(struct processor_set *p, enum otlp_signal signal, struct slice body,
                             uint64_t now_ns, const struct item_sink *sink,
                             struct slice *left) MUST_CHECK;
/* taken: what was found in it counts. */
void processor_set_items_end(struct processor_set *p, bool taken);

/* Walks moontail_processor_errors_total as policy_errors_next does. */
bool processor_errors_next(const struct policy_shared *s, size_t *at, const char **processor,
                           const char **kind, uint64_t *count);
/* Walks moontail_redacted_values_total likewise. */
bool processor_redacted_next(const struct policy_shared *s, size_t *at, const char **processor,
                             const char **rule, uint64_t *count);
