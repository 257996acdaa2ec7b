#include "otlp/scan_check.h"

static const uint8_t wire_type_of[] = {
    [VARINT] = WIRE_VARINT,  [FIXED64] = WIRE_I64,  [FIXED32] = WIRE_I32, [BYTES] = WIRE_LEN,
    [TRACE_ID] = WIRE_LEN,   [SPAN_ID] = WIRE_LEN,  [STRING] = WIRE_LEN,  [MESSAGE] = WIRE_LEN,
    [VARINTS] = WIRE_VARINT, [FIXED64S] = WIRE_I64, [AROUND] = WIRE_LEN,  [ITEM] = WIRE_LEN,
};

const char scan_bad_tag[] = "a field number is 0, over 2^29-1 or cut off";
const char scan_bad_type[] = "a field has a wire type that it cannot have";
const char scan_bad_value[] = "a varint is malformed, or a value runs past the end of its message";
const char scan_too_deep[] = "values are nested deeper than 64";

const uint8_t *scan_fail(struct scan *s, const uint8_t *where, const char *why)
{
    s->result->error = why;
    s->result->error_offset = (size_t)(where - s->body);
    return NULL;
}

/* Whether `bytes` are the elements of a repeated field, one after the other. */
static bool is_packed(enum kind kind, struct slice bytes)
{
    const uint8_t *at = bytes.data, *end = at + bytes.len;
    uint64_t value;

    if (kind == FIXED64S)
        return bytes.len % 8 == 0;
    while (at && at < end)
        at = read_varint(at, end, &value);
    return at != NULL;
}

/* Validates a field of type LEN; `at` is behind its tag. Returns the position behind it. */
static const uint8_t *check_bytes(struct scan *s, struct rule rule, const uint8_t *at,
                                  const uint8_t *end, unsigned depth)
{
    const uint8_t *start = at;
    size_t len;

    at = read_length(at, end, &len);
    if (!at)
        return scan_fail(s, start, scan_bad_value);
    switch (rule.kind) {
    case STRING:
        check_text(s, at, len);
        break;
    case TRACE_ID:
        s->bad_id |= len != 0 && len != 16;
        break;
    case SPAN_ID:
        s->bad_id |= len != 0 && len != 8;
        break;
    case MESSAGE:
        if (rule.child == KEY_VALUE && depth == 0 && is_plain_attribute(s, at, len))
            break;
        if (!scan_message(s, rule.child, slice_make(at, len), depth))
            return NULL;
        break;
    case VARINTS:
    case FIXED64S:
        if (!is_packed(rule.kind, slice_make(at, len)))
            return scan_fail(s, start, scan_bad_value);
        break;
    default:
        break;
    }
    return at + len;
}

static bool may_have_type(struct rule rule, uint32_t type)
{
    return rule.kind == UNKNOWN || wire_type_of[rule.kind] == type ||
           ((rule.kind == VARINTS || rule.kind == FIXED64S) && type == WIRE_LEN);
}

const uint8_t *scan_field(struct scan *s, const struct rule *fields, uint32_t tag,
                          const uint8_t *at, const uint8_t *end, unsigned depth)
{
    struct rule rule = tag >> 3 < MAX_FIELDS ? fields[tag >> 3] : (struct rule){UNKNOWN, 0};
    const uint8_t *start = at;
    uint64_t value;

    if (!may_have_type(rule, tag & 7))
        return scan_fail(s, start, scan_bad_type);
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
        return scan_fail(s, start, scan_bad_type);
    }
    return at ? at : scan_fail(s, start, scan_bad_value);
}

const uint8_t *scan_message(struct scan *s, enum message message, struct slice bytes,
                            unsigned depth)
{
    const struct rule *fields = scan_rules[message];
    const uint8_t *at = bytes.data, *end = at + bytes.len;

    if (message == ANY_VALUE && ++depth > SCAN_MAX_DEPTH)
        return scan_fail(s, at, scan_too_deep);
    while (at < end) {
        const uint8_t *start = at;
        uint32_t tag;

        at = read_tag(at, end, &tag);
        if (!at)
            return scan_fail(s, start, scan_bad_tag);
        at = scan_field(s, fields, tag, at, end, depth);
        if (!at)
            return NULL;
    }
    return end;
}
