/* recent_body.c: the traces of one body. */
#include "collector/recent.h"
#include "export/compose.h"

#include <stdlib.h>

struct listed {
    uint8_t id[16];
    uint32_t span, first; /* its place among all, and that of its trace's first */
};

struct body_reading {
    const struct recent_limits *limits;
    struct slice body;
    struct scan_span *spans;
    struct listed *listed;
    struct compose_span *kept;
    size_t count;
};

static int by_id(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    int ids = memcmp(x->id, y->id, sizeof(x->id));

    return ids ? ids : (x->span > y->span) - (x->span < y->span);
}

static int by_first(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->span > y->span) - (x->span < y->span);
}

/* Spans of one trace stand together then, traces as they come. */
static void list_spans(struct body_reading *r)
{
    for (size_t i = 0; i < r->count; i++) {
        r->listed[i].span = (uint32_t)i;
        memcpy(r->listed[i].id, r->spans[i].trace_id, sizeof(r->listed[i].id));
    }
    qsort(r->listed, r->count, sizeof(*r->listed), by_id);
    for (size_t i = 0; i < r->count; i++) {
        bool is_new = i == 0 || memcmp(r->listed[i].id, r->listed[i - 1].id, 16) != 0;

        r->listed[i].first = is_new ? r->listed[i].span : r->listed[i - 1].first;
    }
    qsort(r->listed, r->count, sizeof(*r->listed), by_first);
}

static enum err add_trace(struct body_reading *r, const struct listed *spans, size_t count,
                          uint64_t unix_ns, struct recent_trace *trace)
{

    *trace = (struct recent_trace){.spans = (uint32_t)count, .unix_ns = unix_ns};
    memcpy(trace->id, spans->id, sizeof(trace->id));
    buf_init(&trace->body, r->limits->max_bytes, r->limits->memory);
    for (size_t i = 0; i < count; i++) {
        const struct scan_span *s = &r->spans[spans[i].span];

        r->kept[i] = (struct compose_span){span_view_of(r->body, s), r->body.data};
    }
    return compose_traces(r->kept, count, &compose_as_it_is, &trace->body);
}

static enum err add_traces(struct body_reading *r, uint64_t unix_ns, struct recent *out)
{
    enum err err = ERR_OK;
    size_t end;

    list_spans(r);
    for (size_t at = 0; at < r->count && err == ERR_OK; at = end) {
        for (end = at + 1; end < r->count && r->listed[end].first == r->listed[at].first;)
            end++;
        if (out->count == r->limits->max_traces)
            out->left_out++;
        else
            err = add_trace(r, &r->listed[at], end - at, unix_ns, &out->traces[out->count++]);
    }
    return err;
}

static enum err scan(struct body_reading *r, struct recent *out, struct err_info *info)
{
    struct scan_result found;
    size_t spans;

    if (scan_traces(r->body, NULL, 0, &found) == ERR_PARSE)
        return err_fail(info, ERR_PARSE, "not OTLP traces: %s at byte %zu", found.error,
                        found.error_offset);
    spans = found.spans;
    r->count = spans;
    r->spans = calloc(spans + 1, sizeof(*r->spans));
    r->listed = calloc(spans + 1, sizeof(*r->listed));
    r->kept = calloc(spans + 1, sizeof(*r->kept));
    out->traces = counted_alloc(out->memory, (r->limits->max_traces + 1) * sizeof(*out->traces));
    if (!r->spans || !r->listed || !r->kept || !out->traces ||
        scan_traces(r->body, r->spans, spans, &found) != ERR_OK)
        return err_fail(info, ERR_FULL, "no memory for %zu spans", spans);
    out->rejected = found.rejected;
    if (spans == 0 && found.rejected)
        return err_fail(info, ERR_PARSE, "none of its spans is valid: %s", found.reject_reason);
    return ERR_OK;
}

enum err recent_of_body(struct slice body, uint64_t unix_ns, const struct recent_limits *limits,
                        struct recent *out, struct err_info *info)
{
    struct body_reading r = {.limits = limits, .body = body};
    enum err err;

    *out = (struct recent){.memory = limits->memory, .labels = labels_new()};
    err = scan(&r, out, info);
    if (err == ERR_OK && add_traces(&r, unix_ns, out) != ERR_OK)
        err = err_fail(info, ERR_FULL, "no memory for the traces");
    free(r.spans);
    free(r.listed);
    free(r.kept);
    if (err != ERR_OK)
        recent_fini(out);
    return err;
}
