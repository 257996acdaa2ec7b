/* prometheus.h: OTLP metrics as requests of Prometheus remote write 1.0.
 *
 * Data path: a batch of exporter "prometheus_remote_write" -> [prometheus] -> HTTP. Names, units,
 * labels and values are those of the collector's prometheusremotewrite exporter and Prometheus's
 * own otlptranslator. No I/O; a writer and its state belong to one thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct prom_label {
    char *name, *value;
};

enum { PROM_EXTERNAL_MAX = 64 };

/* Appends the name of the label that an attribute called `key` becomes; false if nothing is left of
 * it. What the config says of external labels goes through it too. */
bool prom_label_name(struct buf *out, struct slice key);

struct prom_config {
    const char *prefix; /* before each name ("namespace"); "": none */
    struct prom_label external[PROM_EXTERNAL_MAX];
    size_t external_count;
    bool add_suffixes;        /* units, _total, _ratio */
    bool target_info;         /* a series for each resource */
    bool resource_as_labels;  /* resource_to_telemetry_conversion */
    bool no_service_labels;   /* of these not service.name, .namespace, .instance.id */
    bool scope_labels;        /* otel_scope_name ... */
    bool metadata;            /* type, help and unit of each metric */
    size_t max_request_bytes; /* before compression */
    size_t max_streams;       /* of delta metrics that are summed */
    uint64_t max_stale_ns;    /* then a stream is forgotten */
    struct memory *memory;    /* counted in, never refused: bounded by the batch */
};

/* Why data points were not sent. */
enum prom_reason {
    PROM_EMPTY,        /* neither a value nor a flag, or a metric without a type */
    PROM_TEMPORALITY,  /* neither delta nor cumulative */
    PROM_NAME,         /* nothing is left of the metric's name */
    PROM_TOO_LARGE,    /* too many labels, buckets or requests */
    PROM_SCALE,        /* an exponential histogram coarser than native ones can be */
    PROM_OUT_OF_ORDER, /* of a delta stream: older than what was summed */
    PROM_OVERFLOW,     /* of a delta stream: max_streams are there already */
    PROM_REASONS
};
/* "empty", "temporality" ...: never NULL. */
const char *prom_reason_name(enum prom_reason reason);

struct prom_counts {
    uint64_t points, samples;
    uint64_t dropped[PROM_REASONS];
    uint64_t duplicates; /* samples with the time of another one of their series */
};

/* What outlives a batch: sums of delta streams, and when target_info was sent. */
struct prom_state;
/* Start-up only: aborts without memory. */
struct prom_state *prom_state_new(struct memory *memory);
void prom_state_free(struct prom_state *state);
size_t prom_state_streams(const struct prom_state *state);

/* Makes requests of batches, one after another. */
struct prom_writer;
/* Takes the strings of `config`. NULL without memory. */
struct prom_writer *prom_writer_new(const struct prom_config *config);
void prom_writer_free(struct prom_writer *w);

/* One request, compressed. */
struct prom_request {
    struct buf body;
    uint32_t samples;
};
enum { PROM_REQUESTS_MAX = 250 };

/* Makes the requests of an ExportMetricsServiceRequest: *count of them, the writer's until its next
 * call. Samples of one series are in order of time in them. `counts` is overwritten. ERR_FULL: no
 * memory; nothing of the state has changed that makes a repeat of the batch wrong. */
enum err prom_write(struct prom_writer *w, struct prom_state *state, struct slice body,
                    uint64_t unix_ns, struct prom_request **requests, size_t *count,
                    struct prom_counts *counts) MUST_CHECK;

/* Cuts a request that was refused for some of its samples in two: before a time and after it, or
 * where all have the same time, into two of fewer series. `first` is to be sent before `second`.
 * False: it can't be cut (one sample), or it is no request. The bufs are initialized by the caller.
 */
bool prom_request_split(struct slice compressed, struct buf *first, struct buf *second);
