/* parts.h: what the files of this room share. */
#pragma once

#include "base/number_text.h"
#include "otlp/view.h"
#include "spanmetrics/spanmetrics.h"
#include "spanmetrics/table.h"

enum {
    KEY_ABSENT = 255, /* in place of a length: there is no such attribute */
    KEY_PAD = 8,      /* zeros behind a key that is being built */
    KEY_MAX = (2 + 2 * SPANMETRICS_DIMENSIONS_MAX) * (1 + SPANMETRICS_TEXT_MAX) + 2 + KEY_PAD,
    OVERFLOW_SERIES = 0,
    RECENT = 256,
    SIDES_MAX = 2, /* durations of a series: a request is seen by who serves it and who makes it */
};

struct exemplar {
    uint8_t trace_id[16];
    uint64_t span_id; /* 0: none */
    uint64_t duration_ns, unix_ns;
};

struct durations {
    uint64_t count, min_ns, max_ns;
    uint64_t sum_ns, sum_wraps; /* of 2^64 ns, which 11 spans without a start take */
    struct histogram histogram; /* last: its counts follow */
};

/* Its durations follow: as many as the family has sides. */
struct series {
    uint64_t calls, failed; /* `failed` is an edge's: the status of spans is in their key */
    struct exemplar exemplar;
};

/* Series by number; NULL where nothing came. The overflow series is always there. */
struct store {
    struct series **series; /* [max_series + 1] */
};

/* A span that a request left from, or came to. Slices are borrowed from its body. */
struct side {
    struct slice span, resource, service;
    uint64_t id;           /* of a request: the span that it left from; 0: none is known */
    uint64_t duration_ns;  /* of this span */
    struct slice database; /* its name, of a call of one; NULL: none */
    bool is_server, is_message, has_failed;
    bool is_paired;           /* of a client: the other side is here */
    char number[NUMBER_TEXT]; /* of a database whose name is one */
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
    struct {
        struct side *sides; /* scratch: of one trace */
        uint32_t *slots;    /* by the id of a client: its number + 1 */
        size_t capacity;    /* sides; slots are twice as many */
    } trace;
    _Atomic uint64_t unpaired;        /* spans whose other side is not known */
    uint8_t key[KEY_MAX];             /* being built */
    const struct key *recent[RECENT]; /* found last, by a hash that only has to be quick */
} __attribute__((aligned(64)));

typedef void label_fn(void *arg, const char *name, struct slice text, bool is_boolean);

struct metric_names {
    const char *otlp, *page; /* behind the prefix; a counter's on the page without _total */
    const char *help;
};

/* What metrics of spans and of edges differ in. */
struct family {
    const char *scope;
    struct metric_names calls, failed; /* failed.otlp NULL: there is no such metric */
    struct metric_names durations[SIDES_MAX];
    unsigned sides;
    void (*each_label)(const struct spanmetrics *m, const struct key *key, label_fn *put,
                       void *arg);
    /* service.name of the resource that it is sent in; NULL: all are in one without attributes. */
    struct slice (*service)(const struct key *key);
};
extern const struct family span_family; /* key.c */
extern const struct family edge_family; /* edge_key.c */

/* Attributes by name. */
struct name_list {
    char *names[SPANMETRICS_DIMENSIONS_MAX];
    unsigned count;
};

struct spanmetrics {
    struct spanmetrics_options options; /* its texts are in what follows */
    const struct family *family;
    struct name_list dimensions;
    struct name_list client_labels, server_labels; /* of an edge's dimensions */
    struct name_list peers, databases;
    char *name_attribute, *prefix;
    struct memory *memory;
    struct hash_key hash;

    /* By series. Of a span: service.name; kind and status, a byte each; name; the dimensions. Of an
     * edge: see edge_key.c. A text is its length and bytes. */
    struct key_table keys;
    struct spanmetrics_recorder *recorders;
    unsigned recorder_count;
    struct store totals;
    struct store deltas; /* since spanmetrics_sent; only if options.delta */
    uint64_t start_unix_ns, now_unix_ns, sent_unix_ns;
};

/* ---- spanmetrics.c ---- */

/* The series of a store; where memory is short, the overflow series. */
struct series *series_in(const struct spanmetrics *m, struct store *store, uint32_t i);

static inline size_t durations_bytes(const struct spanmetrics *m)
{
    return sizeof(struct durations) + m->options.shape.buckets * sizeof(uint64_t);
}
static inline struct durations *durations_of(const struct spanmetrics *m, const struct series *s,
                                             unsigned side)
{
    return (struct durations *)((uintptr_t)(s + 1) + side * durations_bytes(m));
}

static inline void sum_add(struct durations *d, uint64_t sum_ns, uint64_t wraps)
{
    d->sum_wraps += wraps + __builtin_add_overflow(d->sum_ns, sum_ns, &d->sum_ns);
}

/* In the unit of the durations. */
static inline double durations_sum(const struct spanmetrics *m, const struct durations *d)
{
    return ((double)d->sum_wraps * 0x1p64 + (double)d->sum_ns) / m->options.shape.unit_ns;
}

static inline void durations_add(const struct spanmetrics *m, struct durations *d,
                                 uint64_t duration_ns)
{
    d->count++;
    sum_add(d, duration_ns, 0);
    if (duration_ns < d->min_ns)
        d->min_ns = duration_ns;
    if (duration_ns > d->max_ns)
        d->max_ns = duration_ns;
    histogram_add(&d->histogram, &m->options.shape, duration_ns);
}

/* A span that ends before it starts takes no time. */
static inline uint64_t duration_of(uint64_t start_ns, uint64_t end_ns)
{
    return end_ns > start_ns ? end_ns - start_ns : 0;
}

/* ---- key.c ---- */

/* Spans of this resource (a ResourceSpans message, borrowed) come next. */
void key_begin_resource(struct spanmetrics_recorder *r, struct slice resource_spans);
/* The number of a span's series; a new one is made if `add` and there is room. */
uint32_t key_find(struct spanmetrics_recorder *r, struct slice span, unsigned status, bool add);
/* The number of the series whose key is the first `len` bytes of r->key, with KEY_PAD zeros behind
 * them; made if there is room. */
uint32_t key_find_built(struct spanmetrics_recorder *r, size_t len);

/* service.name of a resource, or what stands for it. */
struct slice key_service(struct slice resource_spans);
/* What a value reads as; `number` has NUMBER_TEXT. False: a list, or an empty text, which
 * Prometheus can't tell from none. */
bool key_text_of(const struct value *v, char *number, struct slice *out);
/* Appends to a key; returns what is behind it. */
uint8_t *key_put_text(uint8_t *at, struct slice text);
/* Appends an attribute of the span, else of its resource. */
uint8_t *key_put_dimension(uint8_t *at, struct slice span, struct slice resource_spans,
                           const char *name);
/* The next text of a key; data NULL: it is absent. */
struct slice key_take_text(const uint8_t **at);

/* ---- */

/* The key of series i > 0. */
static inline const struct key *key_of(const struct spanmetrics *m, uint32_t i)
{
    return key_table_key(&m->keys, i);
}

/* Says each label of series i. */
static inline void each_label(const struct spanmetrics *m, uint32_t i, label_fn *put, void *arg)
{
    if (i == OVERFLOW_SERIES)
        put(arg, "otel.metric.overflow", slice_str("true"), true);
    else
        m->family->each_label(m, key_of(m, i), put, arg);
}

/* What OTLP is written from. */
static inline const struct store *sent_store(const struct spanmetrics *m)
{
    return m->options.delta ? &m->deltas : &m->totals;
}
