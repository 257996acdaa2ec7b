#include "base/encode.h"
#include "otlp/json.h"
#include "otlp/json_schema.h"
#include "otlp/scan.h"
#include "otlp/write.h"

#include <endian.h>
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

/* The parser's allocations: counted, and bounded. */
struct scratch {
    struct memory *memory;
    size_t used;
    size_t limit;
    size_t refused; /* bytes; 0: none were */
};

/* One transcoding. An error is set once and ends it. */
struct reader {
    struct buf *out;
    struct err_info *info;
    const char *key; /* the field that is being read, for the error */
};

static bool read_object(struct reader *r, const struct json_message *message, yyjson_val *object,
                        unsigned depth);

static void *scratch_alloc(void *ctx, size_t size)
{
    struct scratch *s = ctx;
    void *p = NULL;

    if (size <= s->limit - s->used)
        p = counted_alloc(s->memory, size);
    if (!p) {
        s->refused = size;
        return NULL;
    }
    s->used += size;
    return p;
}

/* The parser knows the old size; only the shrinking of the last block is a realloc to less. */
static void *scratch_realloc(void *ctx, void *old, size_t old_size, size_t size)
{
    struct scratch *s = ctx;
    void *p = NULL;

    if (size <= old_size || size - old_size <= s->limit - s->used)
        p = counted_realloc(s->memory, old, size);
    if (!p) {
        s->refused = size - old_size;
        return NULL;
    }
    s->used = s->used - old_size + size;
    return p;
}

static void scratch_free(void *ctx, void *p)
{
    struct scratch *s = ctx;

    counted_free(s->memory, p); /* `used` is not lowered: the bound is on what was taken at all */
}

static bool refuse(struct reader *r, const char *why)
{
    if (buf_ok(r->out))
        (void)err_fail(r->info, ERR_PARSE, "\"%s\" %s", r->key, why);
    return false;
}

static struct slice text_of(yyjson_val *value)
{
    return slice_make(yyjson_get_str(value), yyjson_get_len(value));
}

/* A decimal integer with an optional sign; false if it is none or does not fit. */
static bool parse_integer(struct slice text, bool *negative, uint64_t *magnitude)
{
    size_t i = 0;

    *negative = text.len > 0 && text.data[0] == '-';
    *magnitude = 0;
    i += *negative;
    if (i == text.len)
        return false;
    for (; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(*magnitude, 10u, magnitude) ||
            __builtin_add_overflow(*magnitude, (uint64_t)(text.data[i] - '0'), magnitude))
            return false;
    }
    return true;
}

/* A number or a string as sign and magnitude; 5.0 and 1e3 are integers too. */
static bool integer_of(yyjson_val *value, bool *negative, uint64_t *magnitude)
{
    double real;

    if (yyjson_is_str(value))
        return parse_integer(text_of(value), negative, magnitude);
    *negative = false;
    if (yyjson_is_uint(value)) {
        *magnitude = yyjson_get_uint(value);
        return true;
    }
    if (yyjson_is_sint(value)) {
        *negative = true;
        *magnitude = -(uint64_t)yyjson_get_sint(value);
        return true;
    }
    real = yyjson_is_real(value) ? yyjson_get_real(value) : NAN;
    if (!(real > -9.3e18 && real < 1.8446744073709552e19) || real != trunc(real))
        return false;
    *negative = real < 0;
    *magnitude = (uint64_t)fabs(real);
    return true;
}

static bool read_signed(struct reader *r, yyjson_val *value, int64_t min, int64_t max, int64_t *out)
{
    bool negative;
    uint64_t magnitude;

    if (!integer_of(value, &negative, &magnitude))
        return refuse(r, "must be an integer");
    if (negative ? magnitude > -(uint64_t)min : magnitude > (uint64_t)max)
        return refuse(r, "is an integer out of range");
    *out = (int64_t)(negative ? -magnitude : magnitude);
    return true;
}

static bool read_unsigned(struct reader *r, yyjson_val *value, uint64_t max, uint64_t *out)
{
    bool negative;

    if (!integer_of(value, &negative, out))
        return refuse(r, "must be an integer");
    if ((negative && *out != 0) || *out > max)
        return refuse(r, "is an integer out of range");
    return true;
}

static bool read_enum(struct reader *r, const struct json_field *field, yyjson_val *value,
                      int64_t *out)
{
    int32_t number;

    if (yyjson_is_str(value) && json_enum_find(field->kind, text_of(value), &number)) {
        *out = number;
        return true;
    }
    return read_signed(r, value, INT32_MIN, INT32_MAX, out);
}

static bool parse_double(struct slice text, double *out)
{
    char *end;

    if (slice_is(text, "NaN"))
        *out = NAN;
    else if (slice_is(text, "Infinity"))
        *out = INFINITY;
    else if (slice_is(text, "-Infinity"))
        *out = -INFINITY;
    else if (text.len == 0 || (text.data[0] != '-' && (text.data[0] < '0' || text.data[0] > '9')) ||
             memchr(text.data, 'x', text.len) || memchr(text.data, 'X', text.len))
        return false;
    else {
        *out = strtod((const char *)text.data, &end); /* the parser ends strings with a NUL */
        return end == (const char *)text.data + text.len && isfinite(*out);
    }
    return true;
}

static bool read_double(struct reader *r, yyjson_val *value, uint64_t *bits)
{
    double number = 0;

    if (yyjson_is_num(value))
        number = yyjson_get_num(value);
    else if (!yyjson_is_str(value) || !parse_double(text_of(value), &number))
        return refuse(r, "must be a number");
    memcpy(bits, &number, sizeof *bits);
    return true;
}

/* Hex or base64, decoded where it will lie. */
static bool read_bytes(struct reader *r, const struct json_field *field, yyjson_val *value)
{
    struct slice text = text_of(value);
    size_t start, len = 0;
    uint8_t *at;

    if (!yyjson_is_str(value))
        return refuse(r, "must be a string");
    start = otlp_write_begin(r->out, field->number);
    at = buf_reserve(r->out, text.len);
    if (!at)
        return false;
    if (field->kind == JSON_ID && !decode_hex(text, at, &len))
        return refuse(r, "must be hex digits");
    if (field->kind == JSON_BYTES && !decode_base64(text, at, &len))
        return refuse(r, "must be base64");
    r->out->len += len;
    otlp_write_end(r->out, start);
    return true;
}

static bool read_string(struct reader *r, const struct json_field *field, yyjson_val *value)
{
    if (!yyjson_is_str(value))
        return refuse(r, "must be a string");
    wire_put_bytes(r->out, field->number, text_of(value));
    return true;
}

static bool read_message(struct reader *r, const struct json_field *field, yyjson_val *value,
                         unsigned depth)
{
    size_t start;

    if (!yyjson_is_obj(value) && !yyjson_is_null(value))
        return refuse(r, "must be an object");
    if (field->child == &json_any_value && ++depth > SCAN_MAX_DEPTH)
        return refuse(r, "is nested deeper than 64");
    start = otlp_write_begin(r->out, field->number);
    if (yyjson_is_obj(value) && !read_object(r, field->child, value, depth))
        return false;
    otlp_write_end(r->out, start);
    return true;
}

/* A number as its bits on the wire. */
static bool read_bits(struct reader *r, const struct json_field *field, yyjson_val *value,
                      uint64_t *bits)
{
    int64_t integer = 0;
    bool ok;

    switch (field->kind) {
    case JSON_UINT32:
    case JSON_FIXED32:
        return read_unsigned(r, value, UINT32_MAX, bits);
    case JSON_UINT64:
    case JSON_FIXED64:
        return read_unsigned(r, value, UINT64_MAX, bits);
    case JSON_DOUBLE:
        return read_double(r, value, bits);
    case JSON_SINT32:
        ok = read_signed(r, value, INT32_MIN, INT32_MAX, &integer);
        *bits = (uint32_t)((uint32_t)integer << 1 ^ (uint32_t)(integer >> 63));
        return ok;
    case JSON_INT64:
    case JSON_SFIXED64:
        ok = read_signed(r, value, INT64_MIN, INT64_MAX, &integer);
        break;
    case JSON_INT32:
        ok = read_signed(r, value, INT32_MIN, INT32_MAX, &integer);
        break;
    default:
        ok = read_enum(r, field, value, &integer);
        break;
    }
    *bits = (uint64_t)integer;
    return ok;
}

static bool read_number(struct reader *r, const struct json_field *field, yyjson_val *value)
{
    uint64_t bits = 0;

    if (!read_bits(r, field, value, &bits))
        return false;
    switch (json_wire_type(field->kind)) {
    case WIRE_I64:
        wire_put_fixed64(r->out, field->number, bits);
        break;
    case WIRE_I32:
        wire_put_fixed32(r->out, field->number, (uint32_t)bits);
        break;
    default:
        wire_put_uint(r->out, field->number, bits);
        break;
    }
    return true;
}

/* Numbers into one field. Those of protocols that exist are varints or of eight bytes. */
static bool read_packed(struct reader *r, const struct json_field *field, yyjson_arr_iter *elements)
{
    size_t start = otlp_write_begin(r->out, field->number);
    yyjson_val *element;
    uint64_t bits = 0;

    while ((element = yyjson_arr_iter_next(elements))) {
        if (!read_bits(r, field, element, &bits))
            return false;
        if (json_wire_type(field->kind) == WIRE_I64)
            buf_append(r->out, &(uint64_t){htole64(bits)}, 8);
        else
            wire_put_varint(r->out, bits);
    }
    otlp_write_end(r->out, start);
    return true;
}

static bool read_value(struct reader *r, const struct json_field *field, yyjson_val *value,
                       unsigned depth)
{
    r->key = field->name;
    switch (field->kind) {
    case JSON_STRING:
        return read_string(r, field, value);
    case JSON_ID:
    case JSON_BYTES:
        return read_bytes(r, field, value);
    case JSON_BOOL:
        if (!yyjson_is_bool(value))
            return refuse(r, "must be true or false");
        wire_put_uint(r->out, field->number, yyjson_get_bool(value));
        return true;
    case JSON_MESSAGE:
        return read_message(r, field, value, depth);
    default:
        return read_number(r, field, value);
    }
}

static bool read_array(struct reader *r, const struct json_field *field, yyjson_val *array,
                       unsigned depth)
{
    yyjson_arr_iter elements;
    yyjson_val *element;

    r->key = field->name;
    if (!yyjson_arr_iter_init(array, &elements))
        return refuse(r, "must be an array");
    if (json_is_packed(field))
        return yyjson_arr_size(array) == 0 || read_packed(r, field, &elements);
    while ((element = yyjson_arr_iter_next(&elements))) {
        if (!read_value(r, field, element, depth))
            return false;
    }
    return true;
}

/* Writes the fields of `object` that `message` knows. null is absent, other keys are ignored. */
static bool read_object(struct reader *r, const struct json_message *message, yyjson_val *object,
                        unsigned depth)
{
    yyjson_obj_iter pairs = yyjson_obj_iter_with(object);
    yyjson_val *key;
    size_t hint = 0;

    while ((key = yyjson_obj_iter_next(&pairs))) {
        const struct json_field *field = json_field_find(message, text_of(key), &hint);
        yyjson_val *value = yyjson_obj_iter_get_val(key);

        if (!field || yyjson_is_null(value))
            continue;
        if (!(field->repeated ? read_array(r, field, value, depth)
                              : read_value(r, field, value, depth)))
            return false;
        if (!buf_ok(r->out))
            return false;
    }
    return true;
}

static enum err parse_failed(const struct scratch *scratch, const yyjson_read_err *error,
                             struct err_info *info)
{
    if (scratch->refused)
        return err_fail(info, ERR_FULL, "the JSON body takes more memory than it may");
    return err_fail(info, ERR_PARSE, "the body is not JSON: %s at byte %zu", error->msg,
                    error->pos);
}

/* The number of \uXXXX at `at`; -1: there is no such. */
static int32_t escaped_unit(const uint8_t *at, const uint8_t *end)
{
    uint8_t unit[2];
    size_t len;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u' ||
        !decode_hex(slice_make(at + 2, 4), unit, &len))
        return -1;
    return unit[0] << 8 | unit[1];
}

/* JavaScript cuts strings within a character: \ud83c, and the other half is gone. U+FFFD is written
 * over each such half. False: there is none. */
static bool replace_halves(uint8_t *at, const uint8_t *end)
{
    static const uint8_t replacement[] = {'\\', 'u', 'f', 'f', 'f', 'd'};
    bool replaced = false;

    while ((at = memchr(at, '\\', (size_t)(end - at)))) {
        int32_t unit = escaped_unit(at, end);
        size_t len = unit < 0 ? 2 : 6;

        if (unit >> 10 == 0xd800 >> 10 && escaped_unit(at + 6, end) >> 10 == 0xdc00 >> 10) {
            len = 12;
        } else if (unit >> 11 == 0xd800 >> 11) {
            memcpy(at, replacement, sizeof replacement);
            replaced = true;
        }
        if ((size_t)(end - at) <= len)
            break;
        at += len;
    }
    return replaced;
}

/* A second try with a copy that has no halves of characters. *copy is the caller's. */
static yyjson_doc *parse_mended(struct slice json, const yyjson_alc *allocator, uint8_t **copy,
                                yyjson_read_err *error)
{
    struct scratch *scratch = allocator->ctx;

    scratch->used = 0; /* the first try has freed what it took */
    *copy = scratch_alloc(scratch, json.len + YYJSON_PADDING_SIZE);
    if (!*copy)
        return NULL;
    memcpy(*copy, json.data, json.len);
    memset(*copy + json.len, 0, YYJSON_PADDING_SIZE);
    if (!replace_halves(*copy, *copy + json.len))
        return NULL;
    return yyjson_read_opts((char *)*copy, json.len, YYJSON_READ_INSITU, allocator, error);
}

enum err json_to_body_in(enum otlp_signal signal, struct slice json, struct buf *out,
                         struct json_scratch *room, struct err_info *info)
{
    struct scratch scratch = {.memory = out->memory, .limit = room->limit};
    yyjson_alc allocator = {scratch_alloc, scratch_realloc, scratch_free, &scratch};
    struct reader r = {.out = out, .info = info, .key = ""};
    size_t start = out->len;
    uint8_t *mended = NULL;
    yyjson_read_err error;
    yyjson_doc *doc;
    enum err err = ERR_OK;

    /* The cast only drops const: without YYJSON_READ_INSITU the input is not written to. */
    doc = yyjson_read_opts((char *)(uintptr_t)json.data, json.len, 0, &allocator, &error);
    if (!doc && error.code == YYJSON_READ_ERROR_INVALID_STRING)
        doc = parse_mended(json, &allocator, &mended, &error);
    room->used = scratch.used + scratch.refused;
    if (!doc)
        err = parse_failed(&scratch, &error, info);
    else if (!yyjson_is_obj(yyjson_doc_get_root(doc)))
        err = err_fail(info, ERR_PARSE, "the body is not a JSON object");
    else if (!read_object(&r, json_body(signal), yyjson_doc_get_root(doc), 0))
        err = ERR_PARSE;
    yyjson_doc_free(doc);
    scratch_free(&scratch, mended);
    if (!buf_ok(out))
        err = err_fail(info, ERR_FULL, "the body is larger than it may be");
    if (err)
        out->len = start;
    return err;
}

enum err json_to_body(enum otlp_signal signal, struct slice json, struct buf *out,
                      size_t scratch_limit, struct err_info *info)
{
    struct json_scratch scratch = {.limit = scratch_limit};

    return json_to_body_in(signal, json, out, &scratch, info);
}
