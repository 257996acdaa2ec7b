/* scan_check.h: the state of one pass over a body, and what validates everything that is not on
 * the way to an item. Private to the room.
 */
#pragma once

#include "base/utf8.h"
#include "otlp/read.h"
#include "otlp/scan.h"
#include "otlp/scan_rules.h"

enum { LEVEL_MAX = 5 }; /* messages around items: of metrics, from the body to a gauge */

/* One pass over one body. The bytes are visited in order, so that one sweep for ASCII runs ahead of
 * the walk and most strings are known to be text by a comparison. */
struct scan {
    const uint8_t *body;
    const uint8_t *end;
    const uint8_t *ascii_until; /* from where the walk is to here all is ASCII */
    bool bad_text;              /* since it was last cleared */
    bool bad_id;                /* the same, of a link, an exemplar, a log record */
    uint32_t place[LEVEL_MAX];  /* where the field of the child that is being scanned begins */
    struct scan_span *spans;
    size_t capacity; /* of spans */
    struct scan_cut *cuts;
    size_t cut_capacity, cut_count;
    struct scan_result *result;
};

/* Why a body is refused. */
extern const char scan_bad_tag[], scan_bad_type[], scan_bad_value[], scan_too_deep[];

/* Notes why the body is refused. Returns NULL. */
const uint8_t *scan_fail(struct scan *s, const uint8_t *where, const char *why);

static inline bool is_ascii(struct scan *s, const uint8_t *from, const uint8_t *to)
{
    if (to <= s->ascii_until)
        return true;
    if (from < s->ascii_until)
        from = s->ascii_until;
    s->ascii_until = utf8_skip_ascii(from, s->end);
    return to <= s->ascii_until;
}

static inline void check_text(struct scan *s, const uint8_t *at, size_t len)
{
    if (!is_ascii(s, at, at + len) && !utf8_valid(slice_make(at, len)))
        s->bad_text = true;
}

static inline bool is_one_varint(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (at[i] < 0x80)
            return false;
    }
    return len > 0 && len <= READ_MAX_VARINT && at[len - 1] < 0x80;
}

/* The value of a plain attribute, but a string: one field in an AnyValue of `len` bytes, len >= 2.
 */
static inline bool is_plain_scalar(const uint8_t *at, size_t len)
{
    switch (at[0]) {
    case TAG(2, WIRE_VARINT):
    case TAG(3, WIRE_VARINT):
        return is_one_varint(at + 1, len - 1);
    case TAG(4, WIRE_I64):
        return len == 9;
    default:
        return false;
    }
}

/* The first four bytes of a value, with its tag, whose AnyValue of `len` bytes is a string: two
 * tags, two lengths. No four bytes are equal to it where a length does not fit into one. */
static inline uint64_t string_value_head(size_t len)
{
    const uint64_t tags = TAG(2, WIRE_LEN) | TAG(1, WIRE_LEN) << 16;

    return tags + len * (1 << 8 | 1 << 24) - (2 << 24);
}

/* Whether a KeyValue has the form that SDKs send: a key, then a scalar value, short, in ASCII.
 * This decides the speed of the scan; everything else takes the long way. A byte after which a
 * length goes on is not ASCII, so one look at all says that lengths are of one byte, and that key
 * and string are text. */
static inline __attribute__((always_inline)) bool is_plain_attribute(struct scan *s,
                                                                     const uint8_t *at, size_t len)
{
    const uint8_t *value;
    size_t key_len, value_len;

    if (len < 6 || at[0] != TAG(1, WIRE_LEN))
        return false;
    key_len = at[1];
    if (key_len > len - 6)
        return false;
    value = at + 4 + key_len;
    value_len = len - 4 - key_len;
    if (read_le32(value - 2) == string_value_head(value_len))
        return is_ascii(s, at, at + len);
    return read_le16(value - 2) == (TAG(2, WIRE_LEN) | value_len << 8) &&
           is_plain_scalar(value, value_len) && is_ascii(s, at, at + 2 + key_len);
}

/* Validates all of a message. NULL: an error of structure. `depth`: AnyValues around it. */
const uint8_t *scan_message(struct scan *s, enum message message, struct slice bytes,
                            unsigned depth);

/* Validates the value of a field whose tag was read; `at` is behind the tag. Returns the position
 * behind the value. */
const uint8_t *scan_field(struct scan *s, const struct rule *fields, uint32_t tag,
                          const uint8_t *at, const uint8_t *end, unsigned depth);
