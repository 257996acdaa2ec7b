#include "otlp/scan.h"

#include "otlp/read.h"
#include "otlp/utf8.h"

/* How a known field is encoded, and so how it is validated. */
enum kind { UNKNOWN, VARINT, FIXED64, FIXED32, BYTES, STRING, MESSAGE };

enum message {
    TRACES_DATA,
    ANY_VALUE,
    ARRAY_VALUE,
    KEY_VALUE_LIST,
    KEY_VALUE,
    SCOPE,
    ENTITY_REF,
    RESOURCE,
    RESOURCE_SPANS,
    SCOPE_SPANS,
    SPAN,
    EVENT,
    LINK,
    STATUS,
    MESSAGE_COUNT
};

enum { MAX_FIELDS = 17 }; /* field numbers of known fields are below */

struct rule {
    uint8_t kind;  /* enum kind */
    uint8_t child; /* of MESSAGE: enum message */
};

/* The .proto files under proto/ as tables: by message, then by field number. */
static const struct rule rules[MESSAGE_COUNT][MAX_FIELDS] = {
    [TRACES_DATA] = {[1] = {MESSAGE, RESOURCE_SPANS}},
    [ANY_VALUE] = {[1] = {STRING, 0},
                   [2] = {VARINT, 0},
                   [3] = {VARINT, 0},
                   [4] = {FIXED64, 0},
                   [5] = {MESSAGE, ARRAY_VALUE},
                   [6] = {MESSAGE, KEY_VALUE_LIST},
                   [7] = {BYTES, 0},
                   [8] = {VARINT, 0}},
    [ARRAY_VALUE] = {[1] = {MESSAGE, ANY_VALUE}},
    [KEY_VALUE_LIST] = {[1] = {MESSAGE, KEY_VALUE}},
    [KEY_VALUE] = {[1] = {STRING, 0}, [2] = {MESSAGE, ANY_VALUE}, [3] = {VARINT, 0}},
    [SCOPE] = {[1] = {STRING, 0}, [2] = {STRING, 0}, [3] = {MESSAGE, KEY_VALUE}, [4] = {VARINT, 0}},
    [ENTITY_REF] = {[1] = {STRING, 0}, [2] = {STRING, 0}, [3] = {STRING, 0}, [4] = {STRING, 0}},
    [RESOURCE] = {[1] = {MESSAGE, KEY_VALUE}, [2] = {VARINT, 0}, [3] = {MESSAGE, ENTITY_REF}},
    [RESOURCE_SPANS] = {[1] = {MESSAGE, RESOURCE}, [2] = {MESSAGE, SCOPE_SPANS}, [3] = {STRING, 0}},
    [SCOPE_SPANS] = {[1] = {MESSAGE, SCOPE}, [2] = {MESSAGE, SPAN}, [3] = {STRING, 0}},
    [SPAN] = {[1] = {BYTES, 0},
              [2] = {BYTES, 0},
              [3] = {STRING, 0},
              [4] = {BYTES, 0},
              [5] = {STRING, 0},
              [6] = {VARINT, 0},
              [7] = {FIXED64, 0},
              [8] = {FIXED64, 0},
              [9] = {MESSAGE, KEY_VALUE},
              [10] = {VARINT, 0},
              [11] = {MESSAGE, EVENT},
              [12] = {VARINT, 0},
              [13] = {MESSAGE, LINK},
              [14] = {VARINT, 0},
              [15] = {MESSAGE, STATUS},
              [16] = {FIXED32, 0}},
    [EVENT] =
        {[1] = {FIXED64, 0}, [2] = {STRING, 0}, [3] = {MESSAGE, KEY_VALUE}, [4] = {VARINT, 0}},
    [LINK] = {[1] = {BYTES, 0},
              [2] = {BYTES, 0},
              [3] = {STRING, 0},
              [4] = {MESSAGE, KEY_VALUE},
              [5] = {VARINT, 0},
              [6] = {FIXED32, 0}},
    [STATUS] = {[2] = {STRING, 0}, [3] = {VARINT, 0}},
};

static const uint8_t wire_type_of[] = {
    [VARINT] = WIRE_VARINT, [FIXED64] = WIRE_I64, [FIXED32] = WIRE_I32,
    [BYTES] = WIRE_LEN,     [STRING] = WIRE_LEN,  [MESSAGE] = WIRE_LEN,
};

static const char BAD_TAG[] = "a field number is 0, over 2^29-1 or cut off";
static const char BAD_TYPE[] = "a field has a wire type that it cannot have";
static const char BAD_VALUE[] =
    "a varint is malformed, or a value runs past the end of its message";
static const char TOO_DEEP[] = "values are nested deeper than 64";
static const char TOO_LONG[] = "the body is over 2 GiB";

static const char BAD_TEXT[] = "invalid UTF-8 in a span";
static const char BAD_SCOPE_TEXT[] = "invalid UTF-8 in a scope";
static const char BAD_RESOURCE_TEXT[] = "invalid UTF-8 in a resource";
static const char BAD_TRACE_ID[] = "trace_id is not 16 bytes or all zero";
static const char BAD_SPAN_ID[] = "span_id is not 8 bytes or all zero";
static const char BAD_PARENT_ID[] = "parent_span_id is not 8 bytes";

/* The messages around a span, and the field in which each holds what is inwards. */
enum level { IN_BODY, IN_RESOURCE, IN_SCOPE, LEVEL_COUNT };

static const struct {
    enum message message;
    uint32_t child_tag;
    const char *bad_text;
} levels[LEVEL_COUNT] = {
    [IN_BODY] = {TRACES_DATA, TAG(1, WIRE_LEN), NULL},
    [IN_RESOURCE] = {RESOURCE_SPANS, TAG(2, WIRE_LEN), BAD_RESOURCE_TEXT},
    [IN_SCOPE] = {SCOPE_SPANS, TAG(2, WIRE_LEN), BAD_SCOPE_TEXT},
};

/* One pass over one body. The bytes are visited in order, so that one sweep for ASCII runs ahead of
 * the walk and most strings are known to be text by a comparison. */
struct scan {
    const uint8_t *body;
    const uint8_t *end;
    const uint8_t *ascii_until;  /* from where the walk is to here all is ASCII */
    bool bad_text;               /* since it was last cleared */
    uint32_t place[LEVEL_COUNT]; /* where the field of the child that is being scanned begins */
    struct scan_span *spans;
    size_t capacity;
    struct scan_result *result;
};

/* The fields of a span that the table of traces needs, as they came. */
struct span_state {
    struct slice trace_id, span_id, parent_id;
    uint64_t start_ns, end_ns;
    int32_t status;
    bool trace_state;
};

static const uint8_t *fail(struct scan *s, const uint8_t *where, const char *why)
{
    s->result->error = why;
    s->result->error_offset = (size_t)(where - s->body);
    return NULL;
}

static uint32_t offset_of(const struct scan *s, const uint8_t *at)
{
    return (uint32_t)(at - s->body);
}

static bool is_ascii(struct scan *s, const uint8_t *from, const uint8_t *to)
{
    if (to <= s->ascii_until)
        return true;
    if (from < s->ascii_until)
        from = s->ascii_until;
    s->ascii_until = utf8_skip_ascii(from, s->end);
    return to <= s->ascii_until;
}

static void check_text(struct scan *s, const uint8_t *at, size_t len)
{
    if (!is_ascii(s, at, at + len) && !utf8_valid(slice_make(at, len)))
        s->bad_text = true;
}

static const uint8_t *check_message(struct scan *s, enum message message, struct slice bytes,
                                    unsigned depth);

/* Validates a field of type LEN; `at` is behind its tag. Returns the position behind it. */
static const uint8_t *check_bytes(struct scan *s, struct rule rule, const uint8_t *at,
                                  const uint8_t *end, unsigned depth)
{
    const uint8_t *start = at;
    size_t len;

    at = read_length(at, end, &len);
    if (!at)
        return fail(s, start, BAD_VALUE);
    if (rule.kind == STRING)
        check_text(s, at, len);
    else if (rule.kind == MESSAGE && !check_message(s, rule.child, slice_make(at, len), depth))
        return NULL;
    return at + len;
}

/* Validates the value of a field whose tag was read; `at` is behind the tag. Returns the position
 * behind the value. */
static const uint8_t *check_field(struct scan *s, const struct rule *fields, uint32_t tag,
                                  const uint8_t *at, const uint8_t *end, unsigned depth)
{
    struct rule rule = tag >> 3 < MAX_FIELDS ? fields[tag >> 3] : (struct rule){UNKNOWN, 0};
    const uint8_t *start = at;
    uint64_t value;

    if (rule.kind != UNKNOWN && wire_type_of[rule.kind] != (tag & 7))
        return fail(s, start, BAD_TYPE);
    switch (tag & 7) {
    case WIRE_LEN:
        return check_bytes(s, rule, at, end, depth);
    case WIRE_VARINT:
        at = read_varint(at, end, &value);
        break;
    case WIRE_I64:
        at = read_fixed64(at, end, &value);
        break;
    case WIRE_I32:
        at = read_fixed32(at, end, &value);
        break;
    default:
        return fail(s, start, BAD_TYPE);
    }
    return at ? at : fail(s, start, BAD_VALUE);
}

/* Validates all of a message below a span, resource or scope. NULL: an error of structure. */
static const uint8_t *check_message(struct scan *s, enum message message, struct slice bytes,
                                    unsigned depth)
{
    const struct rule *fields = rules[message];
    const uint8_t *at = bytes.data, *end = at + bytes.len;

    if (message == ANY_VALUE && ++depth > SCAN_MAX_DEPTH)
        return fail(s, at, TOO_DEEP);
    while (at < end) {
        const uint8_t *start = at;
        uint32_t tag;

        at = read_tag(at, end, &tag);
        if (!at)
            return fail(s, start, BAD_TAG);
        at = check_field(s, fields, tag, at, end, depth);
        if (!at)
            return NULL;
    }
    return end;
}

static bool is_one_varint(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (at[i] < 0x80)
            return false;
    }
    return len > 0 && len <= READ_MAX_VARINT && at[len - 1] < 0x80;
}

/* The value of a plain attribute: one field in an AnyValue of `len` < 128 bytes, len >= 2. */
static bool is_plain_value(struct scan *s, const uint8_t *at, size_t len)
{
    switch (at[0]) {
    case TAG(1, WIRE_LEN):
        return at[1] == len - 2 && is_ascii(s, at + 2, at + len);
    case TAG(2, WIRE_VARINT):
    case TAG(3, WIRE_VARINT):
        return is_one_varint(at + 1, len - 1);
    case TAG(4, WIRE_I64):
        return len == 9;
    default:
        return false;
    }
}

/* Whether a KeyValue has the form that SDKs send: a key, then a scalar value, short, in ASCII.
 * This decides the speed of the scan; everything else takes the long way. */
static bool is_plain_attribute(struct scan *s, const uint8_t *at, size_t len)
{
    size_t key_len, value_len;

    if (len < 6 || at[0] != TAG(1, WIRE_LEN))
        return false;
    key_len = at[1];
    if (key_len >= 0x80 || key_len > len - 6 || at[2 + key_len] != TAG(2, WIRE_LEN))
        return false;
    value_len = len - 4 - key_len;
    if (value_len >= 0x80 || at[3 + key_len] != value_len)
        return false;
    return is_ascii(s, at + 2, at + 2 + key_len) && is_plain_value(s, at + 4 + key_len, value_len);
}

static const uint8_t *scan_attribute(struct scan *s, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;
    size_t len;

    at = read_length(at, end, &len);
    if (!at)
        return fail(s, start, BAD_VALUE);
    if (!is_plain_attribute(s, at, len) && !check_message(s, KEY_VALUE, slice_make(at, len), 0))
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
        return fail(s, start, BAD_VALUE);
    if (!check_message(s, STATUS, slice_make(at, len), 0))
        return NULL;
    w = wire_of(slice_make(at, len));
    while (read_field(&w, &field)) {
        if (field.number == 3 && field.type == WIRE_VARINT)
            *code = (int32_t)field.value;
    }
    return at + len;
}

static const uint8_t *take_bytes(struct scan *s, const uint8_t *at, const uint8_t *end,
                                 struct slice *bytes)
{
    const uint8_t *start = at;
    size_t len;

    at = read_length(at, end, &len);
    if (!at)
        return fail(s, start, BAD_VALUE);
    *bytes = slice_make(at, len);
    return at + len;
}

static const uint8_t *take_text(struct scan *s, const uint8_t *at, const uint8_t *end, size_t *len)
{
    const uint8_t *start = at;

    at = read_length(at, end, len);
    if (!at)
        return fail(s, start, BAD_VALUE);
    check_text(s, at, *len);
    return at + *len;
}

static const uint8_t *take_time(struct scan *s, const uint8_t *at, const uint8_t *end,
                                uint64_t *time_ns)
{
    const uint8_t *next = read_fixed64(at, end, time_ns);

    return next ? next : fail(s, at, BAD_VALUE);
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
    case TAG(5, WIRE_LEN):
        return take_text(s, at, end, &text_len);
    case TAG(3, WIRE_LEN):
        at = take_text(s, at, end, &text_len);
        span->trace_state = at && text_len > 0;
        return at;
    default:
        return check_field(s, rules[SPAN], tag, at, end, 0);
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
    return s->bad_text ? BAD_TEXT : NULL;
}

static void reject(struct scan *s, size_t spans, const char *reason)
{
    if (spans == 0)
        return;
    s->result->rejected += spans;
    if (!s->result->reject_reason)
        s->result->reject_reason = reason;
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
    out->resource_offset = s->place[IN_BODY];
    out->scope_offset = s->place[IN_RESOURCE] | SCAN_PLAIN_SCOPE;
    out->flags = flags;
}

static bool scan_span(struct scan *s, struct slice message)
{
    struct span_state span = {0};
    const uint8_t *at = message.data, *end = at + message.len;
    const char *reason;

    s->bad_text = false;
    while (at < end) {
        const uint8_t *start = at;
        uint32_t tag;

        at = read_tag(at, end, &tag);
        if (!at)
            return fail(s, start, BAD_TAG);
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

/* Takes back the spans since `first`: what stands around them came to be invalid. */
static void reject_since(struct scan *s, size_t first, const char *reason)
{
    reject(s, s->result->spans - first, reason);
    s->result->spans = first;
}

/* Validates the messages around spans, from `level` inwards. Text that is invalid around spans
 * rejects them, wherever it stands. */
/* The spans from `first` on lie in a scope in which other fields follow a span. */
static void not_plain_since(struct scan *s, size_t first)
{
    for (size_t i = first; i < s->result->spans && i < s->capacity; i++)
        s->spans[i].scope_offset &= ~SCAN_PLAIN_SCOPE;
}

static bool scan_level(struct scan *s, enum level level, struct slice message)
{
    const uint8_t *at = message.data, *end = wire_of(message).end;
    size_t first = s->result->spans;
    bool bad_text = false, has_child = false, plain = true;

    while (at < end) {
        const uint8_t *start = at;
        struct slice child;
        uint32_t tag;

        at = read_tag(at, end, &tag);
        if (!at)
            return fail(s, start, BAD_TAG);
        if (tag == levels[level].child_tag) {
            at = take_bytes(s, at, end, &child);
            s->place[level] = offset_of(s, start);
            has_child = true;
            if (!at || !(level == IN_SCOPE ? scan_span(s, child) : scan_level(s, level + 1, child)))
                return false;
            continue;
        }
        s->bad_text = false;
        at = check_field(s, rules[levels[level].message], tag, at, end, 0);
        if (!at)
            return false;
        bad_text |= s->bad_text;
        plain &= !has_child;
    }
    if (level == IN_SCOPE && !plain)
        not_plain_since(s, first);
    if (bad_text)
        reject_since(s, first, levels[level].bad_text);
    return true;
}

enum err scan_traces(struct slice body, struct scan_span *spans, size_t capacity,
                     struct scan_result *result)
{
    struct scan s = {
        .body = body.data,
        .end = wire_of(body).end,
        .ascii_until = body.data,
        .spans = spans,
        .capacity = capacity,
        .result = result,
    };

    *result = (struct scan_result){0};
    if (body.len > INT32_MAX) {
        fail(&s, body.data, TOO_LONG);
        return ERR_PARSE;
    }
    if (!scan_level(&s, IN_BODY, body))
        return ERR_PARSE;
    return result->spans > capacity ? ERR_FULL : ERR_OK;
}
