#include "otlp/scan.h"

#include "base/prefetch.h"
#include "otlp/scan_check.h"

enum { FETCHED_MAX = 2048 }; /* bytes for an item: most are shorter */

static const char TOO_LONG[] = "the body is over 2 GiB";

static const char BAD_TRACE_ID[] = "trace_id is not 16 bytes or all zero";
static const char BAD_SPAN_ID[] = "span_id is not 8 bytes or all zero";
static const char BAD_PARENT_ID[] = "parent_span_id is not 8 bytes";
static const char BAD_LENGTH[] =
    "in a link, an exemplar or a log record trace_id is not 16 bytes, or span_id not 8";

/* Why what is in a message, or a part of it, is rejected. */
static const char *const bad_text[MESSAGE_COUNT] = {
    [RESOURCE_SPANS] = "invalid UTF-8 in a resource",
    [RESOURCE_METRICS] = "invalid UTF-8 in a resource",
    [RESOURCE_LOGS] = "invalid UTF-8 in a resource",
    [SCOPE_SPANS] = "invalid UTF-8 in a scope",
    [SCOPE_METRICS] = "invalid UTF-8 in a scope",
    [SCOPE_LOGS] = "invalid UTF-8 in a scope",
    [METRIC] = "invalid UTF-8 in a metric",
    [SPAN] = "invalid UTF-8 in a span",
    [NUMBER_POINT] = "invalid UTF-8 in a data point",
    [HISTOGRAM_POINT] = "invalid UTF-8 in a data point",
    [EXPONENTIAL_POINT] = "invalid UTF-8 in a data point",
    [SUMMARY_POINT] = "invalid UTF-8 in a data point",
    [LOG_RECORD] = "invalid UTF-8 in a log record",
};

/* The fields of a span that the table of traces needs, as they came. */
struct span_state {
    struct slice trace_id, span_id, parent_id;
    uint64_t start_ns, end_ns;
    int32_t status;
    bool trace_state;
};

static uint32_t offset_of(const struct scan *s, const uint8_t *at)
{
    return (uint32_t)(at - s->body);
}

static const uint8_t *scan_attribute(struct scan *s, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;
    size_t len;

    at = read_length(at, end, &len);
    if (!at)
        return scan_fail(s, start, scan_bad_value);
    if (!is_plain_attribute(s, at, len) && !scan_message(s, KEY_VALUE, slice_make(at, len), 0))
        return NULL;
    return at + len;
}

/* The attributes of a span mostly follow each other; `at` is behind the first one's tag. */
static const uint8_t *scan_attributes(struct scan *s, const uint8_t *at, const uint8_t *end)
{
    for (;;) {
        at = scan_attribute(s, at, end);
        if (!at || at == end || *at != TAG(9, WIRE_LEN))
            return at;
        at++;
    }
}

/* Validates a Status and takes its code. */
static const uint8_t *scan_status(struct scan *s, const uint8_t *at, const uint8_t *end,
                                  int32_t *code)
{
    const uint8_t *start = at;
    struct wire_field field;
    struct wire w;
    size_t len;

    at = read_length(at, end, &len);
    if (!at)
        return scan_fail(s, start, scan_bad_value);
    if (!scan_message(s, STATUS, slice_make(at, len), 0))
        return NULL;
    w = wire_of(slice_make(at, len));
    while (read_field(&w, &field)) {
        if (field.number == 3 && field.type == WIRE_VARINT)
            *code = (int32_t)field.value;
    }
    return at + len;
}

/* `at`: behind the length that began at `start`; NULL: it could not be read. */
static inline const uint8_t *take_slice(struct scan *s, const uint8_t *start, const uint8_t *at,
                                        size_t len, struct slice *bytes)
{
    if (!at)
        return scan_fail(s, start, scan_bad_value);
    *bytes = slice_make(at, len);
    return at + len;
}

static const uint8_t *take_bytes(struct scan *s, const uint8_t *at, const uint8_t *end,
                                 struct slice *bytes)
{
    size_t len = 0;
    const uint8_t *next = read_length(at, end, &len);

    return take_slice(s, at, next, len, bytes);
}

static const uint8_t *take_child(struct scan *s, const uint8_t *at, const uint8_t *end,
                                 struct slice *child)
{
    size_t len = 0;
    const uint8_t *next = read_middle_length(at, end, &len);

    return take_slice(s, at, next, len, child);
}

static const uint8_t *take_text(struct scan *s, const uint8_t *at, const uint8_t *end, size_t *len)
{
    const uint8_t *start = at;

    at = read_length(at, end, len);
    if (!at)
        return scan_fail(s, start, scan_bad_value);
    check_text(s, at, *len);
    return at + *len;
}

static const uint8_t *take_time(struct scan *s, const uint8_t *at, const uint8_t *end,
                                uint64_t *time_ns)
{
    const uint8_t *next = read_fixed64(at, end, time_ns);

    return next ? next : scan_fail(s, at, scan_bad_value);
}

/* kind. */
static const uint8_t *pass_varint(struct scan *s, const uint8_t *at, const uint8_t *end)
{
    uint64_t value;
    const uint8_t *next = read_varint(at, end, &value);

    return next ? next : scan_fail(s, at, scan_bad_value);
}

/* flags. */
static const uint8_t *pass_fixed32(struct scan *s, const uint8_t *at, const uint8_t *end)
{
    uint64_t value;
    const uint8_t *next = read_fixed32(at, end, &value);

    return next ? next : scan_fail(s, at, scan_bad_value);
}

/* Validates one field of a span and takes what is needed of it; `at` is behind its tag. */
static inline const uint8_t *scan_span_field(struct scan *s, struct span_state *span, uint32_t tag,
                                             const uint8_t *at, const uint8_t *end)
{
    size_t text_len;

    switch (tag) {
    case TAG(9, WIRE_LEN):
        return scan_attributes(s, at, end);
    case TAG(1, WIRE_LEN):
        return take_bytes(s, at, end, &span->trace_id);
    case TAG(2, WIRE_LEN):
        return take_bytes(s, at, end, &span->span_id);
    case TAG(4, WIRE_LEN):
        return take_bytes(s, at, end, &span->parent_id);
    case TAG(7, WIRE_I64):
        return take_time(s, at, end, &span->start_ns);
    case TAG(8, WIRE_I64):
        return take_time(s, at, end, &span->end_ns);
    case TAG(15, WIRE_LEN):
        return scan_status(s, at, end, &span->status);
    case TAG(6, WIRE_VARINT):
        return pass_varint(s, at, end);
    case TAG(16, WIRE_I32):
        return pass_fixed32(s, at, end);
    case TAG(5, WIRE_LEN):
        return take_text(s, at, end, &text_len);
    case TAG(3, WIRE_LEN):
        at = take_text(s, at, end, &text_len);
        span->trace_state = at && text_len > 0;
        return at;
    default:
        return scan_field(s, scan_rules[SPAN], tag, at, end, 0);
    }
}

static uint64_t be64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

static uint64_t id_of(struct slice id)
{
    return id.len == 8 ? be64(id.data) : 0;
}

/* Why any item is rejected, or NULL. */
static const char *reason_against_item(const struct scan *s, enum message message)
{
    if (s->bad_id)
        return BAD_LENGTH;
    return s->bad_text ? bad_text[message] : NULL;
}

/* Why a span is rejected, or NULL. */
static const char *reason_against(const struct scan *s, const struct span_state *span)
{
    if (span->trace_id.len != 16 ||
        (be64(span->trace_id.data) | be64(span->trace_id.data + 8)) == 0)
        return BAD_TRACE_ID;
    if (id_of(span->span_id) == 0)
        return BAD_SPAN_ID;
    if (span->parent_id.len != 0 && span->parent_id.len != 8)
        return BAD_PARENT_ID;
    return reason_against_item(s, SPAN);
}

/* What is known when a message around items begins, to take back what came in it. */
struct mark {
    size_t items, rejected, cuts;
};

static struct mark mark_now(const struct scan *s)
{
    return (struct mark){s->result->spans, s->result->rejected, s->cut_count};
}

static void reject(struct scan *s, size_t items, const char *reason)
{
    if (items == 0)
        return;
    s->result->rejected += items;
    if (!s->result->reject_reason)
        s->result->reject_reason = reason;
}

/* Notes that the field from `start` to `end` is to be left out, and what was noted in it is not. */
static void add_cut(struct scan *s, size_t first, uint32_t start, const uint8_t *end)
{
    s->cut_count = first;
    if (first < s->cut_capacity)
        s->cuts[first] = (struct scan_cut){start, offset_of(s, end) - start};
    s->cut_count++;
}

static void add_span(struct scan *s, struct slice message, const struct span_state *span)
{
    struct scan_span *out;
    uint64_t parent_id = id_of(span->parent_id);
    uint32_t flags = 0;

    if (s->result->spans++ >= s->capacity)
        return;
    if (span->status == 2)
        flags |= SCAN_ERROR;
    else if (span->status == 1)
        flags |= SCAN_OK;
    if (parent_id == 0)
        flags |= SCAN_ROOT;
    if (span->trace_state)
        flags |= SCAN_TRACE_STATE;
    out = &s->spans[s->result->spans - 1];
    memcpy(out->trace_id, span->trace_id.data, 16);
    out->span_id = id_of(span->span_id);
    out->parent_id = parent_id;
    out->start_ns = span->start_ns;
    out->end_ns = span->end_ns;
    out->offset = offset_of(s, message.data);
    out->len = (uint32_t)message.len;
    out->resource_offset = s->place[0];
    out->scope_offset = s->place[1] | SCAN_PLAIN_SCOPE;
    out->flags = flags;
}

/* The fields that a span mostly begins with, in the order in which SDKs send them: ids, name, kind,
 * times. Takes them as far as that is so; the rest, all of it if need be, is left to the loop over
 * fields. */
static inline const uint8_t *scan_head(struct scan *s, struct span_state *span, const uint8_t *at,
                                       const uint8_t *end)
{
    enum { IDS = 2 + 16 + 2 + 8, PARENT = 2 + 8, KIND_AND_TIMES = 2 + 9 + 9 };

    if (end - at < IDS || read_le16(at) != (TAG(1, WIRE_LEN) | 16 << 8) ||
        read_le16(at + 18) != (TAG(2, WIRE_LEN) | 8 << 8))
        return at;
    span->trace_id = slice_make(at + 2, 16);
    span->span_id = slice_make(at + 20, 8);
    at += IDS;
    if (end - at >= PARENT && read_le16(at) == (TAG(4, WIRE_LEN) | 8 << 8)) {
        span->parent_id = slice_make(at + 2, 8);
        at += PARENT;
    }
    if (end - at < 2 || at[0] != TAG(5, WIRE_LEN) || at[1] >= 0x80 || at[1] > end - at - 2)
        return at;
    check_text(s, at + 2, at[1]);
    at += 2 + at[1];
    if (end - at < KIND_AND_TIMES || at[0] != TAG(6, WIRE_VARINT) || at[1] >= 0x80 ||
        at[2] != TAG(7, WIRE_I64) || at[11] != TAG(8, WIRE_I64))
        return at;
    span->start_ns = read_le64(at + 3);
    span->end_ns = read_le64(at + 12);
    return at + KIND_AND_TIMES;
}

static bool scan_span(struct scan *s, struct slice message)
{
    struct span_state span = {0};
    const uint8_t *at = message.data, *end = at + message.len;
    const char *reason;

    s->bad_text = s->bad_id = false;
    at = scan_head(s, &span, at, end);
    while (at < end) {
        const uint8_t *start = at;
        uint32_t tag;

        at = read_tag(at, end, &tag);
        if (!at)
            return scan_fail(s, start, scan_bad_tag);
        at = scan_span_field(s, &span, tag, at, end);
        if (!at)
            return false;
    }
    reason = reason_against(s, &span);
    if (reason)
        reject(s, 1, reason);
    else
        add_span(s, message, &span);
    return true;
}

static bool scan_other(struct scan *s, enum message message, struct slice bytes)
{
    const char *reason;

    s->bad_text = s->bad_id = false;
    if (!scan_message(s, message, bytes, 0))
        return false;
    reason = reason_against_item(s, message);
    if (reason)
        reject(s, 1, reason);
    else
        s->result->items++;
    return true;
}

/* Bodies are staged one behind the other: what is as far behind this one as it is long is written
 * next. Its lines come while this one is read, not one by one while the next is copied there. */
static inline void fetch_behind(const struct scan *s, struct slice item)
{
    prefetch_most(item.data + (s->end - s->body), item.len, FETCHED_MAX);
}

/* Validates an item, whose field begins at `start`. */
static inline bool scan_item(struct scan *s, enum message message, struct slice bytes,
                             uint32_t start)
{
    size_t rejected = s->result->rejected;

    fetch_behind(s, bytes);
    if (!(message == SPAN ? scan_span(s, bytes) : scan_other(s, message, bytes)))
        return false;
    if (s->result->rejected != rejected)
        add_cut(s, s->cut_count, start, bytes.data + bytes.len);
    return true;
}

/* The spans from `first` on lie in a scope in which other fields follow a span. */
static void not_plain_since(struct scan *s, size_t first)
{
    for (size_t i = first; i < s->result->spans && i < s->capacity; i++)
        s->spans[i].scope_offset &= ~SCAN_PLAIN_SCOPE;
}

static bool scan_around(struct scan *s, enum message message, struct slice bytes, unsigned level);

/* Validates an item or a message around items, whose field begins at s->place[level]. */
static bool scan_child(struct scan *s, struct rule rule, struct slice child, unsigned level)
{
    struct mark before;

    if (rule.kind == ITEM)
        return scan_item(s, rule.child, child, s->place[level]);
    before = mark_now(s);
    if (!scan_around(s, rule.child, child, level + 1))
        return false;
    if (s->bad_text || (s->result->rejected > before.rejected && s->result->items == before.items))
        add_cut(s, before.cuts, s->place[level], child.data + child.len);
    return true;
}

/* A metric has data of one kind: where there are two, the last one counts, as in a oneof. */
static void choose_kind(struct scan *s, uint32_t tag, uint32_t *chosen, const struct mark *first)
{
    if (*chosen && *chosen != tag) {
        s->result->items = first->items;
        s->result->rejected = first->rejected;
    }
    *chosen = tag;
}

/* Validates a message around items. Text that is invalid in it, but not in an item or a message
 * further in, rejects all its items, wherever it stands. s->bad_text: there was some. */
static bool scan_around(struct scan *s, enum message message, struct slice bytes, unsigned level)
{
    const struct rule *fields = scan_rules[message];
    const uint8_t *at = bytes.data, *end = wire_of(bytes).end;
    const struct mark first = mark_now(s);
    bool text_is_bad = false, has_child = false, plain = true;
    uint32_t tag, chosen = 0;

    while (at < end) {
        const uint8_t *start = at;
        struct rule rule;
        struct slice child = {0};

        at = read_tag(at, end, &tag);
        if (!at)
            return scan_fail(s, start, scan_bad_tag);
        rule = tag >> 3 < MAX_FIELDS ? fields[tag >> 3] : (struct rule){UNKNOWN, 0};
        if (rule.kind >= AROUND && (tag & 7) == WIRE_LEN) {
            at = take_child(s, at, end, &child);
            s->place[level] = offset_of(s, start);
            has_child = true;
            if (message == METRIC)
                choose_kind(s, tag, &chosen, &first);
            if (!at || !scan_child(s, rule, child, level))
                return false;
            continue;
        }
        s->bad_text = false;
        at = scan_field(s, fields, tag, at, end, 0);
        if (!at)
            return false;
        text_is_bad |= s->bad_text;
        plain &= !has_child;
    }
    if (message == SCOPE_SPANS && !plain)
        not_plain_since(s, first.items);
    s->bad_text = text_is_bad;
    if (text_is_bad) {
        reject(s, s->result->items - first.items, bad_text[message]);
        s->result->items = first.items;
    }
    return true;
}

static enum err scan_body(struct scan *s, enum message message, struct slice body)
{
    *s->result = (struct scan_result){0};
    s->body = s->ascii_until = body.data;
    s->end = wire_of(body).end;
    if (body.len > INT32_MAX) {
        scan_fail(s, body.data, TOO_LONG);
        return ERR_PARSE;
    }
    if (!scan_around(s, message, body, 0))
        return ERR_PARSE;
    if (s->result->rejected == 0)
        s->result->reject_reason = NULL; /* of data that does not count */
    return ERR_OK;
}

enum err scan_traces(struct slice body, struct scan_span *spans, size_t capacity,
                     struct scan_result *result)
{
    struct scan s = {.spans = spans, .capacity = capacity, .result = result};

    if (scan_body(&s, TRACES_DATA, body) != ERR_OK)
        return ERR_PARSE;
    return result->spans > capacity ? ERR_FULL : ERR_OK;
}

enum err scan_items(enum otlp_signal signal, struct slice body, struct scan_cut *cuts,
                    size_t capacity, struct scan_result *result)
{
    static const enum message bodies[OTLP_SIGNALS] = {
        [OTLP_TRACES] = TRACES_DATA, [OTLP_METRICS] = METRICS_DATA, [OTLP_LOGS] = LOGS_DATA};
    struct scan s = {.cuts = cuts, .cut_capacity = capacity, .result = result};

    if (scan_body(&s, bodies[signal], body) != ERR_OK)
        return ERR_PARSE;
    result->cuts = s.cut_count;
    return s.cut_count > capacity ? ERR_FULL : ERR_OK;
}
