/* parts.h: what the files of this room share. */
#pragma once

#include "spanmetrics/spanmetrics.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    KEY_ABSENT = 255, /* in place of a length: there is no such attribute */
    KEY_PAD = 8,      /* zeros behind a key that is being built */
    KEY_MAX = (2 + SPANMETRICS_DIMENSIONS_MAX) * (1 + SPANMETRICS_TEXT_MAX) + 2 + KEY_PAD,
    OVERFLOW_SERIES = 0,
    RECENT = 256,
};

/* service.name; kind and status, a byte each; name; the dimensions. A text is its length and bytes.
 */
struct key {
    uint64_t hash;
    uint32_t series; /* 1 ... max_series */
    uint32_t len;
    uint8_t bytes[];
};

/* A key taken apart. A dimension that is absent has data NULL. */
struct labels_view {
    struct slice service, name, dimensions[SPANMETRICS_DIMENSIONS_MAX];
    unsigned kind, status;
};

struct exemplar {
    uint8_t trace_id[16];
    uint64_t span_id; /* 0: none */
    uint64_t duration_ns, unix_ns;
};

struct series {
    uint64_t calls, sum_ns, min_ns, max_ns;
    struct exemplar exemplar;
    struct histogram histogram; /* last: its counts follow */
};

/* Series by number; NULL where nothing came. The overflow series is always there. */
struct store {
    struct series **series; /* [max_series + 1] */
};

struct spanmetrics_recorder {
    struct spanmetrics *m;
    struct store live; /* the worker's */
    struct store past; /* main's, once handed over */
    struct {
        struct slice attributes; /* ResourceSpans */
        size_t len;              /* of the key's beginning in key[] */
        struct hash_key hash;
    } resource;
    uint8_t key[KEY_MAX];             /* being built */
    const struct key *recent[RECENT]; /* found last, by a hash that only has to be quick */
} __attribute__((aligned(64)));

struct spanmetrics {
    struct spanmetrics_options options;
    char *dimensions[SPANMETRICS_DIMENSIONS_MAX];
    unsigned dimension_count;
    char *name_attribute, *prefix;
    struct memory *memory;
    struct hash_key hash;

    pthread_mutex_t lock;         /* of whoever adds a key */
    _Atomic(struct key *) *slots; /* by hash; read without the lock */
    size_t slot_mask;
    _Atomic(struct key *) *keys; /* by series */
    _Atomic uint32_t count;      /* the highest number of a series */

    struct spanmetrics_recorder *recorders;
    unsigned recorder_count;
    struct store totals;
    struct store deltas; /* since spanmetrics_sent; only if options.delta */
    uint64_t start_unix_ns, now_unix_ns, sent_unix_ns;
};

/* ---- key.c ---- */

/* Spans of this resource (a ResourceSpans message, borrowed) come next. */
void key_begin_resource(struct spanmetrics_recorder *r, struct slice resource_spans);
/* The number of a span's series; a new one is made if `add` and there is room. */
uint32_t key_find(struct spanmetrics_recorder *r, struct slice span, unsigned status, bool add);
void key_read(const struct spanmetrics *m, const struct key *key, struct labels_view *labels);
const char *key_kind_name(unsigned kind);     /* "SPAN_KIND_SERVER" */
const char *key_status_name(unsigned status); /* "STATUS_CODE_ERROR" */

/* A number that reads back as the same, in as few digits; its length. */
size_t print_shortest(double number, char *text, size_t size);

/* The key of series i > 0. */
static inline const struct key *key_of(const struct spanmetrics *m, uint32_t i)
{
    return atomic_load_explicit(&m->keys[i], memory_order_acquire);
}
/* What OTLP is written from. */
static inline const struct store *sent_store(const struct spanmetrics *m)
{
    return m->options.delta ? &m->deltas : &m->totals;
}
