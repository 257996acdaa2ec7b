/* spanmetrics.h: what the spans say before any of them is dropped: calls and durations of each
 * operation, and of each edge between two services.
 *
 * Data path: scan -> [spanmetrics], beside journal and table, and of edges: trace table ->
 * [spanmetrics], beside the decision; out as a page and as OTLP metrics. Names and attributes are
 * those of the OpenTelemetry Collector's span metrics and service graph connectors.
 *
 * A series is service.name, span name, kind, status and the configured attributes; of edges it is
 * client, server, connection type, whether the request failed, and attributes. All workers
 * share the keys of the series, which are only ever added: finding one takes no lock. What was
 * counted is each worker's own (its recorder), and changes hands when all stand still (rendezvous):
 * the worker gives what it has and starts at nothing, the main thread adds it to the totals.
 *
 * Bounds: max_series keys, whose strings are at most SPANMETRICS_TEXT_MAX bytes each (cut); the
 * spans of all further ones are counted by the overflow series, as they are where memory is short.
 */
#pragma once

#include "base/buf.h"
#include "base/hash.h"
#include "otlp/scan.h"
#include "spanmetrics/histogram.h"

enum {
    SPANMETRICS_DIMENSIONS_MAX = 16,
    SPANMETRICS_TEXT_MAX = 250, /* bytes */
};

/* Lists end with NULL, and may be NULL; all texts are copied. */
struct spanmetrics_options {
    bool edges;                    /* requests between services are counted, not spans */
    const char *const *dimensions; /* attributes of span or resource */
    const char *const *databases;  /* of edges: attributes of a client that name the database */
    const char *const *peers;      /* of edges: those that name a server that sends no spans */
    const char *name_attribute;    /* a span's, which names it in place of its name; may be NULL */
    const char *prefix;            /* of the metrics' names: "traces.span.metrics" */
    struct histogram_shape shape;
    size_t max_series;
    bool delta; /* what leaves as OTLP is what came since it last left */
};

/* The names of two attributes are one label on the page. */
bool spanmetrics_same_label(const char *a, const char *b);

struct span_view;
struct spanmetrics;
struct spanmetrics_recorder;

/* Start-up only: aborts without memory. All is counted in `memory`. */
struct spanmetrics *spanmetrics_new(const struct spanmetrics_options *options,
                                    struct memory *memory, struct hash_key key, unsigned recorders,
                                    uint64_t now_unix_ns);
void spanmetrics_free(struct spanmetrics *m); /* NULL is allowed */

/* ---- a worker's side ---- */

struct spanmetrics_recorder *spanmetrics_recorder(struct spanmetrics *m, unsigned i);

/* The series of each of a scanned body's spans into `series`; nothing is counted yet. */
void spanmetrics_find(struct spanmetrics_recorder *r, struct slice body,
                      const struct scan_span *spans, size_t count, uint32_t *series);
/* Counts the spans, for which spanmetrics_find has said where. */
void spanmetrics_count(struct spanmetrics_recorder *r, const struct scan_span *spans, size_t count,
                       const uint32_t *series);
/* A span of a trace that is kept becomes the exemplar of its series. */
void spanmetrics_note_kept(struct spanmetrics_recorder *r, const struct span_view *view,
                           uint64_t now_unix_ns);
/* A trace of `count` spans, which `span` gives as often as it is asked; borrowed for the call. */
struct spanmetrics_trace {
    uint32_t count;
    struct span_view (*span)(void *arg, uint32_t i);
    void *arg;
};
/* Counts the requests in a trace, with options.edges: pairs of a client's span and its child at a
 * server, producers and consumers, calls of databases, and those of whose sides only one sends
 * spans. */
void spanmetrics_count_edges(struct spanmetrics_recorder *r, const struct spanmetrics_trace *trace);
/* Gives what was counted to the main thread; at a rendezvous. */
void spanmetrics_hand_over(struct spanmetrics_recorder *r);

/* ---- the main thread's side ---- */

/* Adds to the totals what the recorders have handed over. */
void spanmetrics_gather(struct spanmetrics *m, uint64_t now_unix_ns);

struct spanmetrics_stats {
    uint64_t calls;    /* spans, or requests, counted since the start */
    uint64_t overflow; /* of these, in the overflow series */
    uint64_t unpaired; /* of edges: spans of requests whose other side is not known */
    size_t series;     /* that have a key */
};
void spanmetrics_stats(const struct spanmetrics *m, struct spanmetrics_stats *stats);

/* The totals since the start of all that are not NULL, in place of what `out` has: OpenMetrics 1.0
 * or the text format 0.0.4. If that is longer than out's bound, durations are written without
 * buckets, or not at all. */
void spanmetrics_write_page(const struct spanmetrics *const *all, size_t count, bool openmetrics,
                            struct buf *out);

/* The next body (ExportMetricsServiceRequest) of at most some hundred series into `out`, and how
 * many data points it has; 0: that was all, or memory was refused (out->failed). *at starts at 0.
 */
size_t spanmetrics_write_otlp(const struct spanmetrics *m, size_t *at, struct buf *out);
/* All of it has left: what is sent as deltas begins anew. */
void spanmetrics_sent(struct spanmetrics *m);
