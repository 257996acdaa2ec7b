/* series.h: the series of a batch, and the requests that they become. Private to the room. */
#pragma once

#include "base/hash.h"
#include "prometheus/prometheus.h"

#define SERIES_NONE UINT32_MAX

enum item_kind { ITEM_SAMPLE, ITEM_HISTOGRAM, ITEM_EXEMPLAR };

struct series_item {
    int64_t ms;
    uint32_t next; /* of its series; SERIES_NONE: the last */
    uint32_t len;  /* of a message at `at` of the payloads */
    union {
        double value; /* ITEM_SAMPLE */
        size_t at;
    };
    uint8_t kind;
};

struct series {
    uint64_t hash;
    size_t labels_at;
    uint32_t labels_len;
    uint32_t first, last; /* items */
    bool in_order;        /* each item is later than the one before it */
};

struct series_table {
    struct hash_key key;
    struct buf labels, payloads; /* bytes */
    struct buf list, items;      /* of struct series, struct series_item */
    struct buf slots;            /* uint32_t: 1 + index of a series, 0: free; a power of two */
    uint32_t count, item_count;
};

void series_init(struct series_table *t, struct memory *memory);
void series_fini(struct series_table *t);
void series_clear(struct series_table *t); /* keeps the space */
/* Whether it is time to write what is here: little more has room. */
bool series_is_large(const struct series_table *t);

/* Append the labels of a series to this, then say so: the series that has them. SERIES_NONE: no
 * memory. */
static inline struct buf *series_labels(struct series_table *t)
{
    return &t->labels;
}
uint32_t series_of_labels(struct series_table *t, size_t labels_at);

void series_add_sample(struct series_table *t, uint32_t series, int64_t ms, double value);
/* Append a message (without tag) to payloads, then say so. */
void series_add_payload(struct series_table *t, uint32_t series, int64_t ms, enum item_kind kind,
                        size_t payload_at);

/* Where requests are written. */
struct series_out {
    struct prom_request *requests; /* PROM_REQUESTS_MAX */
    size_t count;
    struct buf plain; /* the one that is being written */
    uint32_t samples; /* in it */
    size_t max_bytes;
    struct prom_counts *counts;
    bool is_full;
};
/* Writes all of it, in order of time within a series, and clears the table. */
void series_write(struct series_table *t, struct series_out *out);
/* Appends a field of the request that is no series. */
void series_put_field(struct series_out *out, uint32_t number, struct slice message);
/* Ends the request that is being written, if there is one. */
void series_end_request(struct series_out *out);
