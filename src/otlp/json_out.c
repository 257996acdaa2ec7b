#include "base/encode.h"
#include "base/utf8.h"
#include "otlp/json.h"
#include "otlp/json_schema.h"
#include "otlp/read.h"
#include "otlp/view.h"

#include <endian.h>
#include <math.h>
#include <string.h>
#include <yyjson.h>

/* Where a field of a message occurs: the walk over its occurrences begins and ends there. */
struct occurrences {
    size_t count;
    struct slice around;    /* from the first to the last one, tags included */
    struct wire_field last; /* the value of a singular field */
};

static void put_message(struct buf *out, const struct json_message *message, struct slice bytes,
                        unsigned depth);

/* A character that needs more than to be copied. Returns how many bytes it took. */
static size_t put_special(struct buf *out, const uint8_t *at, const uint8_t *end)
{
    static const char letters[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    size_t len = utf8_char(at, end);

    if (len == 0) {
        buf_str(out, "\xef\xbf\xbd");
        return 1;
    }
    if (*at >= 0x80) {
        buf_append(out, at, len);
    } else if (*at >= 0x20) {
        if (*at == '"' || *at == '\\')
            buf_byte(out, '\\');
        buf_byte(out, *at);
    } else if (letters[*at]) {
        buf_byte(out, '\\');
        buf_byte(out, (uint8_t)letters[*at]);
    } else {
        buf_str(out, "\\u00");
        encode_hex(out, slice_make(at, 1));
    }
    return len;
}

/* How many of eight bytes, the first one lowest, are plain before one that is not: a quote, a
 * backslash, a control or what is not ASCII. (A borrow reaches only bytes behind such a one.) */
static size_t plain_of_eight(uint64_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    uint64_t marks = bytes | (bytes - ones * 0x20) | ((bytes ^ ones * '"') - ones) |
                     ((bytes ^ ones * '\\') - ones);

    return marks & high ? (size_t)__builtin_ctzll(marks & high) / 8 : 8;
}

/* Writes what needs no look at its neighbours to `to`, which has room for twice as much: plain
 * bytes, quotes, backslashes. Returns where it stopped. */
static const uint8_t *put_simple(uint8_t **to, const uint8_t *at, const uint8_t *end)
{
    uint8_t *put = *to;

    while (at < end) {
        if (end - at >= 8) {
            uint64_t bytes;
            size_t plain;

            memcpy(&bytes, at, 8);
            memcpy(put, at, 8);
            plain = plain_of_eight(le64toh(bytes));
            put += plain;
            at += plain;
            if (plain == 8)
                continue;
        }
        if (*at == '"' || *at == '\\')
            *put++ = '\\';
        else if (*at < 0x20 || *at >= 0x80)
            break;
        *put++ = *at++;
    }
    *to = put;
    return at;
}

void json_put_string(struct buf *out, struct slice text)
{
    enum { PIECE = 1024 };
    const uint8_t *at = text.data, *end = wire_of(text).end;

    buf_byte(out, '"');
    while (at < end) {
        const uint8_t *stop = end - at > PIECE ? at + PIECE : end;
        size_t room = 2 * (size_t)(stop - at);
        uint8_t *start = room <= out->max - out->len ? buf_reserve(out, room) : NULL, *to = start;

        if (start) {
            at = put_simple(&to, at, stop);
            out->len += (size_t)(to - start);
        }
        if (out->failed)
            return;
        if (at < stop)
            at += put_special(out, at, end);
    }
    buf_byte(out, '"');
}

static void put_unsigned(struct buf *out, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value);
    buf_append(out, digits + at, sizeof digits - at);
}

static void put_signed(struct buf *out, int64_t value)
{
    if (value < 0)
        buf_byte(out, '-');
    put_unsigned(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* The parser's library has the shortest form that reads back the same. */
static void put_finite(struct buf *out, double number)
{
    char space[1024];
    yyjson_alc pool;
    yyjson_val value = {.tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL, .uni.f64 = number};
    size_t len = 0;
    char *text;

    yyjson_alc_pool_init(&pool, space, sizeof space);
    text = yyjson_val_write_opts(&value, 0, &pool, &len, NULL);
    buf_append(out, text ? text : "0", text ? len : 1);
}

static void put_double(struct buf *out, uint64_t bits)
{
    double number;

    memcpy(&number, &bits, sizeof number);
    if (isnan(number))
        buf_str(out, "\"NaN\"");
    else if (isinf(number))
        buf_str(out, number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else
        put_finite(out, number);
}

void json_put_number(struct buf *out, double number)
{
    uint64_t bits;

    memcpy(&bits, &number, sizeof bits);
    if (fabs(number) < 0x1p53 && number == trunc(number) && !(number == 0 && signbit(number)))
        put_signed(out, (int64_t)number);
    else
        put_double(out, bits);
}

static void put_comma(struct buf *out, bool *first)
{
    if (!*first)
        buf_byte(out, ',');
    *first = false;
}

/* Opens a member called `name`: a comma unless it is the first of its object. */
static void put_name(struct buf *out, const char *name, size_t len, bool *first)
{
    put_comma(out, first);
    buf_byte(out, '"');
    buf_append(out, name, len);
    buf_append(out, "\":", 2);
}

static void put_quoted(struct buf *out, void (*encode)(struct buf *, struct slice),
                       struct slice bytes)
{
    buf_byte(out, '"');
    encode(out, bytes);
    buf_byte(out, '"');
}

static int32_t unzigzag(uint32_t value)
{
    return (int32_t)(value >> 1 ^ -(value & 1));
}

static void put_scalar(struct buf *out, enum json_kind kind, const struct wire_field *field)
{
    switch (kind) {
    case JSON_STRING:
        json_put_string(out, field->bytes);
        break;
    case JSON_ID:
        put_quoted(out, encode_hex, field->bytes);
        break;
    case JSON_BYTES:
        put_quoted(out, encode_base64, field->bytes);
        break;
    case JSON_BOOL:
        buf_str(out, field->value ? "true" : "false");
        break;
    case JSON_UINT32:
    case JSON_FIXED32:
        put_unsigned(out, (uint32_t)field->value);
        break;
    case JSON_SINT32:
        put_signed(out, unzigzag((uint32_t)field->value));
        break;
    case JSON_INT64:
    case JSON_SFIXED64:
        buf_byte(out, '"');
        put_signed(out, (int64_t)field->value);
        buf_byte(out, '"');
        break;
    case JSON_UINT64:
    case JSON_FIXED64:
        buf_byte(out, '"');
        put_unsigned(out, field->value);
        buf_byte(out, '"');
        break;
    case JSON_DOUBLE:
        put_double(out, field->value);
        break;
    default:
        put_signed(out, (int32_t)field->value);
        break;
    }
}

/* Whether there are numbers of `known` in a field. */
static bool has_packed(const struct json_field *known, const struct wire_field *field)
{
    return field->type == WIRE_LEN && field->bytes.len > 0 && json_is_packed(known);
}

static bool fits(const struct json_field *known, const struct wire_field *field)
{
    return known->number == field->number &&
           (json_wire_type(known->kind) == field->type || has_packed(known, field));
}

static void note(struct occurrences *seen, const struct wire_field *field, const uint8_t *start,
                 const uint8_t *end)
{
    if (seen->count++ == 0)
        seen->around.data = start;
    seen->around.len = (size_t)(end - seen->around.data);
    seen->last = *field;
}

/* Another member of the oneof that field `at` belongs to is no longer set. */
static void choose(const struct json_message *message, size_t at, struct occurrences *seen)
{
    for (size_t i = 0; i < message->count; i++) {
        if (i != at && message->fields[i].either)
            seen[i].count = 0;
    }
}

/* Notes where each field of `message` is in `bytes`. */
static void find_fields(const struct json_message *message, struct slice bytes,
                        struct occurrences *seen)
{
    struct wire w = wire_of(bytes);
    struct wire_field field;
    const uint8_t *start;
    size_t hint = 0;

    memset(seen, 0, message->count * sizeof *seen);
    for (start = w.at; read_field(&w, &field); start = w.at) {
        for (size_t i = 0; i < message->count; i++) {
            size_t at = (hint + i) % message->count;

            if (!fits(&message->fields[at], &field))
                continue;
            if (message->fields[at].either)
                choose(message, at, seen);
            note(&seen[at], &field, start, w.at);
            hint = at;
            break;
        }
    }
}

/* A message that came in several parts is their concatenation. */
static void put_merged(struct buf *out, const struct json_field *known,
                       const struct occurrences *seen, unsigned depth)
{
    struct wire w = wire_of(seen->around);
    struct wire_field field;
    struct buf merged;

    buf_init(&merged, seen->around.len, out->memory);
    while (read_field(&w, &field)) {
        if (fits(known, &field))
            buf_append(&merged, field.bytes.data, field.bytes.len);
    }
    if (buf_ok(&merged))
        put_message(out, known->child, buf_slice(&merged), depth);
    else
        out->failed = true;
    buf_fini(&merged);
}

static void put_one(struct buf *out, const struct json_field *known, const struct wire_field *field,
                    unsigned depth)
{
    if (known->kind == JSON_MESSAGE)
        put_message(out, known->child, field->bytes, depth);
    else
        put_scalar(out, known->kind, field);
}

/* The numbers in one field. */
static void put_packed(struct buf *out, const struct json_field *known, struct slice bytes,
                       bool *first)
{
    const uint8_t *at = bytes.data, *end = wire_of(bytes).end;
    struct wire_field element = {0};

    while (at && at < end) {
        at = json_wire_type(known->kind) == WIRE_I64 ? read_fixed64(at, end, &element.value)
                                                     : read_varint(at, end, &element.value);
        if (!at)
            return; /* only in a body that was not scanned */
        put_comma(out, first);
        put_scalar(out, known->kind, &element);
    }
}

static void put_list(struct buf *out, const struct json_field *known, struct slice around,
                     unsigned depth)
{
    struct wire w = wire_of(around);
    struct wire_field field;
    bool first = true;

    buf_byte(out, '[');
    while (buf_ok(out) && read_field(&w, &field)) {
        if (!fits(known, &field))
            continue;
        if (has_packed(known, &field)) {
            put_packed(out, known, field.bytes, &first);
            continue;
        }
        put_comma(out, &first);
        put_one(out, known, &field, depth);
    }
    buf_byte(out, ']');
}

/* Not inline: the levels of nested values shall not each hold this array. */
static __attribute__((noinline)) void
put_fields(struct buf *out, const struct json_message *message, struct slice bytes, unsigned depth)
{
    struct occurrences seen[JSON_MAX_FIELDS];
    bool first = true;

    find_fields(message, bytes, seen);
    for (size_t i = 0; i < message->count; i++) {
        const struct json_field *known = &message->fields[i];

        if (seen[i].count == 0)
            continue;
        put_name(out, known->name, known->name_len, &first);
        if (known->repeated)
            put_list(out, known, seen[i].around, depth);
        else if (known->kind == JSON_MESSAGE && seen[i].count > 1)
            put_merged(out, known, &seen[i], depth);
        else
            put_one(out, known, &seen[i].last, depth);
    }
}

/* The one member of a oneof that is set: the last on the wire. */
static void put_any_value(struct buf *out, struct slice bytes, unsigned depth)
{
    const struct json_field *set = NULL;
    struct occurrences seen = {0};
    struct wire w = wire_of(bytes);
    struct wire_field field;
    bool first = true;

    if (depth > SCAN_MAX_DEPTH)
        return; /* only in a body that was not scanned */
    for (const uint8_t *start = w.at; read_field(&w, &field); start = w.at) {
        if (field.number == 0 || field.number > json_any_value.count ||
            !fits(&json_any_value.fields[field.number - 1], &field))
            continue;
        if (set != &json_any_value.fields[field.number - 1])
            seen.count = 0;
        set = &json_any_value.fields[field.number - 1];
        note(&seen, &field, start, w.at);
    }
    if (!set)
        return;
    put_name(out, set->name, set->name_len, &first);
    if (set->kind == JSON_MESSAGE && seen.count > 1)
        put_merged(out, set, &seen, depth);
    else
        put_one(out, set, &seen.last, depth);
}

static void put_message(struct buf *out, const struct json_message *message, struct slice bytes,
                        unsigned depth)
{
    bool first = true;

    buf_byte(out, '{');
    if (message == &json_any_value) {
        put_any_value(out, bytes, depth + 1);
    } else if (message->count == 1) { /* nothing but a list */
        put_name(out, message->fields[0].name, message->fields[0].name_len, &first);
        put_list(out, &message->fields[0], bytes, depth);
    } else {
        put_fields(out, message, bytes, depth);
    }
    buf_byte(out, '}');
}

static enum err result_of(const struct buf *out)
{
    return buf_ok(out) ? ERR_OK : ERR_FULL;
}

enum err json_from_body(enum otlp_signal signal, struct slice body, struct buf *out)
{
    struct scan_result result;

    if (scan_items(signal, body, NULL, 0, &result) == ERR_PARSE)
        return ERR_PARSE;
    put_message(out, json_body(signal), body, 0);
    return result_of(out);
}

enum err json_from_span(struct slice span, struct buf *out)
{
    put_message(out, &json_span, span, 0);
    return result_of(out);
}

void json_from_value(const struct value *value, struct buf *out)
{
    static const uint8_t numbers[] = {
        [VALUE_STRING] = 1, [VALUE_BOOL] = 2,   [VALUE_INT] = 3,   [VALUE_DOUBLE] = 4,
        [VALUE_ARRAY] = 5,  [VALUE_KVLIST] = 6, [VALUE_BYTES] = 7,
    };
    const struct json_field *known;
    struct wire_field field = {0};
    bool first = true;

    buf_byte(out, '{');
    if (value->type != VALUE_ABSENT) {
        known = &json_any_value.fields[numbers[value->type] - 1];
        if (value->type == VALUE_BOOL)
            field.value = value->boolean;
        else if (value->type == VALUE_INT || value->type == VALUE_DOUBLE)
            memcpy(&field.value, &value->integer, sizeof field.value);
        else
            field.bytes = value->bytes;
        put_name(out, known->name, known->name_len, &first);
        put_one(out, known, &field, 1);
    }
    buf_byte(out, '}');
}
