#include "otlp/scan_logs.h"

#include "otlp/read.h"
#include "otlp/write.h"

#include <string.h>

/* LogsData has ResourceLogs, these ScopeLogs, these LogRecords: the numbers of their fields. */
enum level { IN_BODY, IN_RESOURCE, IN_SCOPE };
enum { TRACE_ID = 9 };
static const uint32_t child_number[] = {[IN_BODY] = 1, [IN_RESOURCE] = 2, [IN_SCOPE] = 2};

static bool is_child(const struct wire_field *field, enum level level)
{
    return field->type == WIRE_LEN && field->number == child_number[level];
}

/* ---- finding ---- */

struct finder {
    const uint8_t *body;
    struct scan_span *records;
    size_t capacity, count;
    uint32_t place[IN_SCOPE]; /* tags of the ResourceLogs and the ScopeLogs */
};

static struct slice trace_id_of(struct slice record)
{
    struct wire w = wire_of(record);
    struct wire_field field;
    struct slice id = {0};

    while (read_field(&w, &field))
        if (field.number == TRACE_ID && field.type == WIRE_LEN)
            id = field.bytes;
    return id;
}

static void note_record(struct finder *f, struct slice record)
{
    struct slice id;
    struct scan_span *s;

    if (f->count++ >= f->capacity)
        return;
    s = &f->records[f->count - 1];
    *s = (struct scan_span){.offset = (uint32_t)(record.data - f->body),
                            .len = (uint32_t)record.len,
                            .resource_offset = f->place[IN_BODY],
                            .scope_offset = f->place[IN_RESOURCE],
                            .flags = SCAN_LOG};
    id = trace_id_of(record);
    if (id.len == sizeof(s->trace_id))
        memcpy(s->trace_id, id.data, id.len);
}

/* Else each of those who compose one of them would step over all. */
static void mark_plain(struct finder *f, size_t first)
{
    for (size_t i = first; i < f->count && i < f->capacity; i++)
        f->records[i].scope_offset |= SCAN_PLAIN_SCOPE;
}

static void find_in_scope(struct finder *f, struct slice scope)
{
    struct wire w = wire_of(scope);
    struct wire_field field;
    size_t first = f->count;
    bool plain = true;

    while (read_field(&w, &field)) {
        if (is_child(&field, IN_SCOPE))
            note_record(f, field.bytes);
        else
            plain &= f->count == first;
    }
    if (plain)
        mark_plain(f, first);
}

/* Of a body or a ResourceLogs. */
static void find_around(struct finder *f, struct slice message, enum level level)
{
    struct wire w = wire_of(message);
    struct wire_field field;

    for (const uint8_t *start = w.at; read_field(&w, &field); start = w.at) {
        if (!is_child(&field, level))
            continue;
        f->place[level] = (uint32_t)(start - f->body);
        if (level == IN_BODY)
            find_around(f, field.bytes, IN_RESOURCE);
        else
            find_in_scope(f, field.bytes);
    }
}

size_t scan_logs(struct slice body, struct scan_span *records, size_t capacity)
{
    struct finder f = {.body = body.data, .records = records, .capacity = capacity};

    if (body.len > INT32_MAX)
        return 0;
    find_around(&f, body, IN_BODY);
    return f.count;
}

bool scan_log_is_traced(const struct scan_span *record)
{
    static const uint8_t zeros[sizeof(record->trace_id)];

    return memcmp(record->trace_id, zeros, sizeof(zeros)) != 0;
}

/* ---- leaving out ---- */

struct keeper {
    const bool *keeps;
    size_t count, at;
    struct buf *out;
};

static bool keeps_next(struct keeper *k)
{
    return k->at < k->count && k->keeps[k->at++];
}

static void copy_field(struct keeper *k, const uint8_t *start, const uint8_t *end)
{
    buf_append(k->out, start, (size_t)(end - start));
}

/* Messages of which no record stays are left out. Returns how many stay. */
static size_t keep_in(struct keeper *k, struct slice message, enum level level)
{
    struct wire w = wire_of(message);
    struct wire_field field;
    size_t left = 0;

    for (const uint8_t *start = w.at; read_field(&w, &field); start = w.at) {
        size_t before = k->out->len, open, kept;

        if (!is_child(&field, level)) {
            copy_field(k, start, w.at);
            continue;
        }
        if (level == IN_SCOPE) {
            kept = keeps_next(k);
            if (kept)
                copy_field(k, start, w.at);
        } else {
            open = otlp_write_begin(k->out, field.number);
            kept = keep_in(k, field.bytes, level + 1);
            otlp_write_end(k->out, open);
            if (kept == 0 && buf_ok(k->out))
                k->out->len = before;
        }
        left += kept;
    }
    return left;
}

enum err scan_keep_logs(struct slice body, const bool *keeps, size_t count, struct buf *out)
{
    struct keeper k = {.keeps = keeps, .count = count, .out = out};
    size_t start = out->len;

    (void)keep_in(&k, body, IN_BODY);
    if (buf_ok(out))
        return ERR_OK;
    out->len = start;
    out->failed = false;
    return ERR_FULL;
}
