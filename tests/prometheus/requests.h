/* requests.h: what is in requests of remote write, as text: a line for each sample. */
#pragma once

#include "otlp/metric_sample.h"
#include "otlp/wire.h"
#include "prometheus/prometheus.h"

#include <snappy-c.h>
#include <stdlib.h>

static inline void put_labels_text(struct buf *out, struct slice series)
{
    struct wire w = wire_of(series);
    struct wire_field label, part;

    buf_byte(out, '{');
    while (wire_next(&w, &label)) {
        struct wire inner = wire_of(label.bytes);

        if (label.number != 1)
            continue;
        while (wire_next(&inner, &part)) {
            buf_append(out, part.bytes.data, part.bytes.len);
            buf_byte(out, part.number == 1 ? '=' : ',');
        }
    }
    buf_byte(out, '}');
}

static inline double double_of_bits(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* "sample 21.5 @1700000000500", "exemplar ...". Stale markers are "stale". */
static inline void put_sample_text(struct buf *out, struct slice sample, unsigned value_number)
{
    struct wire w = wire_of(sample);
    struct wire_field f;
    uint64_t bits = 0, ms = 0;

    while (wire_next(&w, &f)) {
        bits = f.number == value_number && f.type == WIRE_I64 ? f.value : bits;
        ms = f.number == value_number + 1 && f.type == WIRE_VARINT ? f.value : ms;
    }
    if (bits == UINT64_C(0x7ff0000000000002))
        buf_printf(out, " stale @%llu", (unsigned long long)ms);
    else
        buf_printf(out, " %.10g @%llu", double_of_bits(bits), (unsigned long long)ms);
}

static inline long long unzigzag(uint64_t n)
{
    return (long long)(n >> 1) ^ -(long long)(n & 1);
}

static inline void put_spans_text(struct buf *out, const struct wire_field *f)
{
    struct wire w = wire_of(f->bytes);
    struct wire_field part;
    uint64_t value;

    buf_printf(out, " %u[", f->number);
    if (f->number == 8 || f->number == 11) {
        while (wire_next(&w, &part))
            buf_printf(out, part.number == 1 ? "%lld+" : "%lld",
                       part.number == 1 ? unzigzag(part.value) : (long long)part.value);
    } else {
        while (wire_varint(&w, &value))
            buf_printf(out, "%lld ", unzigzag(value));
    }
    buf_byte(out, ']');
}

static inline void put_histogram_text(struct buf *out, struct slice histogram)
{
    struct wire w = wire_of(histogram);
    struct wire_field f;

    buf_str(out, " histogram");
    while (wire_next(&w, &f)) {
        if (f.number == 1)
            buf_printf(out, " count=%llu", (unsigned long long)f.value);
        else if (f.number == 3 && f.value == UINT64_C(0x7ff0000000000002))
            buf_str(out, " sum=stale");
        else if (f.number == 3)
            buf_printf(out, " sum=%.10g", double_of_bits(f.value));
        else if (f.number == 4)
            buf_printf(out, " schema=%lld", unzigzag(f.value));
        else if (f.number == 6)
            buf_printf(out, " zero=%llu", (unsigned long long)f.value);
        else if (f.type == WIRE_LEN)
            put_spans_text(out, &f);
        else if (f.number == 15)
            buf_printf(out, " @%llu", (unsigned long long)f.value);
    }
}

/* Appends a line for each sample, histogram and exemplar of a request. */
static inline void put_request_text(struct buf *out, struct slice body)
{
    size_t len = 0;
    char *plain;
    struct wire w;
    struct wire_field series, item;

    if (snappy_uncompressed_length((const char *)body.data, body.len, &len) != SNAPPY_OK)
        return;
    plain = malloc(len + 1);
    if (snappy_uncompress((const char *)body.data, body.len, plain, &len) != SNAPPY_OK)
        len = 0;
    w = wire_of(slice_make(plain, len));
    while (wire_next(&w, &series)) {
        struct wire inner = wire_of(series.bytes);

        if (series.number == 3) {
            buf_str(out, "metadata\n");
            continue;
        }
        while (wire_next(&inner, &item)) {
            if (item.number == 1)
                continue;
            put_labels_text(out, series.bytes);
            if (item.number == 2)
                put_sample_text(out, item.bytes, 1);
            else if (item.number == 4)
                put_histogram_text(out, item.bytes);
            else {
                buf_str(out, " exemplar ");
                put_labels_text(out, item.bytes);
                put_sample_text(out, item.bytes, 2);
            }
            buf_byte(out, '\n');
        }
    }
    free(plain);
}

/* What a writer makes of requests given as JSON, one after another. */
struct made {
    struct prom_state *state;
    struct prom_writer *writer;
    struct prom_counts counts; /* of the last one */
    size_t requests;
    struct buf text; /* of the last one, with a NUL */
};

static inline struct prom_config default_config(void)
{
    return (struct prom_config){.prefix = "",
                                .add_suffixes = true,
                                .target_info = true,
                                .max_request_bytes = 3000000,
                                .max_streams = 1000,
                                .max_stale_ns = UINT64_C(300000000000)};
}

static inline void made_init(struct made *m, const struct prom_config *config)
{
    m->state = prom_state_new(NULL);
    m->writer = prom_writer_new(config);
    buf_init(&m->text, 16 << 20, NULL);
}

static inline void made_fini(struct made *m)
{
    prom_writer_free(m->writer);
    prom_state_free(m->state);
    buf_fini(&m->text);
}

static inline const char *make_body(struct made *m, struct slice body, uint64_t unix_ns)
{
    struct prom_request *requests;

    buf_clear(&m->text);
    m->requests = 0;
    if (prom_write(m->writer, m->state, body, unix_ns, &requests, &m->requests, &m->counts) !=
        ERR_OK)
        buf_str(&m->text, "no memory");
    for (size_t i = 0; i < m->requests; i++)
        put_request_text(&m->text, buf_slice(&requests[i].body));
    buf_byte(&m->text, '\0');
    return (const char *)m->text.data;
}

static inline const char *make_at(struct made *m, const char *json, uint64_t unix_ns)
{
    struct buf body;
    const char *text;

    metric_body(json, &body);
    text = make_body(m, buf_slice(&body), unix_ns);
    buf_fini(&body);
    return text;
}

static inline const char *make(struct made *m, const char *json)
{
    return make_at(m, json, UINT64_C(1700000000000000000));
}
