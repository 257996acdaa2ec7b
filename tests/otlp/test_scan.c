#include "check.h"
#include "message.h"
#include "otlp/scan.h"

#include <stdlib.h>

/* Scans an exact copy, so that a sanitizer sees a read outside. */
static enum err scan_copy(struct slice body, struct scan_span *spans, size_t capacity,
                          struct scan_result *result)
{
    uint8_t *copy = malloc(body.len ? body.len : 1);
    enum err err;

    memcpy(copy, body.data, body.len);
    err = scan_traces(slice_make(copy, body.len), spans, capacity, result);
    free(copy);
    return err;
}

static enum err scan_span_message(const struct message *span, struct scan_result *result)
{
    struct message body = body_of(span);
    struct scan_span spans[4];

    return scan_copy(bytes_of(&body), spans, 4, result);
}

static uint32_t place_of(uint32_t scope_offset)
{
    return scope_offset & ~SCAN_PLAIN_SCOPE;
}

static bool is_accepted(const struct message *span)
{
    struct scan_result r;

    return scan_span_message(span, &r) == ERR_OK && r.spans == 1 && r.rejected == 0;
}

static bool is_rejected(const struct message *span)
{
    struct scan_result r;

    return scan_span_message(span, &r) == ERR_OK && r.spans == 0 && r.rejected == 1 &&
           r.reject_reason;
}

static bool is_refused(const struct message *span)
{
    struct scan_result r;

    return scan_span_message(span, &r) == ERR_PARSE && r.error;
}

static struct message valid_span(void)
{
    struct message span = {.len = 0};

    put_ids(&span, 1);
    return span;
}

static struct message span_with(const struct message *more)
{
    struct message span = valid_span();

    put(&span, more->data, more->len);
    return span;
}

static void an_empty_body_is_a_success_without_spans(void)
{
    struct scan_result r;

    CHECK(scan_traces((struct slice){0}, NULL, 0, &r) == ERR_OK);
    CHECK(r.spans == 0 && r.rejected == 0);
}

static void the_fields_for_the_trace_table_are_found(void)
{
    struct message span = {.len = 0}, status = {.len = 0}, body;
    struct scan_span out[1];
    struct scan_result r;

    put_ids(&span, 0xa1);
    put_bytes(&span, 4, "\xff\0\0\0\0\0\0\x01", 8);
    put_text(&span, 3, "ot=th:8");
    put_fixed64(&span, 7, 1700000000000000001u);
    put_fixed64(&span, 8, 1700000000000000009u);
    put_text(&status, 2, "broken");
    put_uint(&status, 3, 2);
    put_message(&span, 15, &status);
    body = body_of(&span);
    CHECK(scan_traces(bytes_of(&body), out, 1, &r) == ERR_OK && r.spans == 1);
    CHECK(memcmp(out[0].trace_id, "0123456789abcdef", 16) == 0);
    CHECK(out[0].span_id == 0xa102030405060708u && out[0].parent_id == 0xff00000000000001u);
    CHECK(out[0].start_ns == 1700000000000000001u && out[0].end_ns == 1700000000000000009u);
    CHECK(out[0].flags == (SCAN_ERROR | SCAN_TRACE_STATE));
    CHECK(out[0].len == span.len && out[0].offset == body.len - span.len);
    CHECK(out[0].resource_offset == 0 && body.data[place_of(out[0].scope_offset)] == 0x12);
}

static void a_parent_of_zeros_is_a_root_and_one_of_five_bytes_is_rejected(void)
{
    struct message span = valid_span(), body;
    struct scan_span out[1];
    struct scan_result r;

    put_bytes(&span, 4, "\0\0\0\0\0\0\0", 8);
    body = body_of(&span);
    CHECK(scan_traces(bytes_of(&body), out, 1, &r) == ERR_OK && out[0].flags == SCAN_ROOT);
    put_bytes(&span, 4, "", 0);
    CHECK(is_accepted(&span));
    put_bytes(&span, 4, "12345", 5);
    CHECK(is_rejected(&span));
}

static void wrong_ids_reject_the_span_and_the_last_of_two_counts(void)
{
    struct message no_ids = {.len = 0}, zero = valid_span(), short_id = valid_span();
    struct message zero_span_id = valid_span(), repaired;

    put_bytes(&zero, 1, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    put_bytes(&short_id, 1, "0123456789", 10);
    put_bytes(&zero_span_id, 2, "\0\0\0\0\0\0\0", 8);
    CHECK(is_rejected(&no_ids) && is_rejected(&zero) && is_rejected(&short_id));
    CHECK(is_rejected(&zero_span_id));
    repaired = zero;
    put_ids(&repaired, 1);
    CHECK(is_accepted(&repaired));
}

static struct message span_with_link(size_t trace_id_len, size_t span_id_len)
{
    struct message link = {.len = 0}, more = {.len = 0};

    put_bytes(&link, 1, "0123456789abcdefg", trace_id_len);
    put_bytes(&link, 2, "012345678", span_id_len);
    put_message(&more, 13, &link);
    return span_with(&more);
}

static void a_link_whose_ids_have_a_wrong_length_rejects_its_span(void)
{
    struct message whole = span_with_link(16, 8), empty = span_with_link(0, 0);
    struct message short_trace = span_with_link(5, 8), short_span = span_with_link(16, 5);
    struct message long_trace = span_with_link(17, 8), long_span = span_with_link(0, 9);

    CHECK(is_accepted(&whole) && is_accepted(&empty));
    CHECK(is_rejected(&short_trace) && is_rejected(&short_span));
    CHECK(is_rejected(&long_trace) && is_rejected(&long_span));
}

/* Wraps an empty AnyValue so that `depth` of them are nested, by arrays or by maps in turn. */
static struct message nested_value(int depth)
{
    struct message value = {.len = 0};

    for (int i = 1; i < depth; i++) {
        struct message list = {.len = 0}, outer = {.len = 0}, pair = {.len = 0};

        if (i % 2) {
            put_message(&list, 1, &value);
        } else {
            put_message(&pair, 2, &value);
            put_message(&list, 1, &pair);
        }
        put_message(&outer, i % 2 ? 5 : 6, &list);
        value = outer;
    }
    return value;
}

static struct message span_with_value(const struct message *value)
{
    struct message key_value = {.len = 0}, span = valid_span();

    put_text(&key_value, 1, "key");
    put_message(&key_value, 2, value);
    put_message(&span, 9, &key_value);
    return span;
}

static void values_may_be_nested_sixty_four_deep_and_no_deeper(void)
{
    struct message at_bound = nested_value(SCAN_MAX_DEPTH);
    struct message over = nested_value(SCAN_MAX_DEPTH + 1), far = nested_value(400);
    struct message a = span_with_value(&at_bound), b = span_with_value(&over);
    struct message c = span_with_value(&far);

    CHECK(is_accepted(&a));
    CHECK(is_refused(&b));
    CHECK(is_refused(&c));
}

/* Every known field of every message, with a path to it from the span or the body. */
static const struct {
    const char *path; /* field numbers from the body inwards, the last is the field */
    unsigned type;    /* its wire type */
} known_fields[] = {
    {"\1", 2},
    {"\1\1", 2},
    {"\1\2", 2},
    {"\1\3", 2},
    {"\1\1\1", 2},
    {"\1\1\2", 0},
    {"\1\1\3", 2},
    {"\1\1\3\1", 2},
    {"\1\1\3\2", 2},
    {"\1\1\3\3", 2},
    {"\1\1\3\4", 2},
    {"\1\1\1\1", 2},
    {"\1\1\1\2", 2},
    {"\1\1\1\3", 0},
    {"\1\1\1\2\1", 2},
    {"\1\1\1\2\2", 0},
    {"\1\1\1\2\3", 0},
    {"\1\1\1\2\4", 1},
    {"\1\1\1\2\5", 2},
    {"\1\1\1\2\6", 2},
    {"\1\1\1\2\7", 2},
    {"\1\1\1\2\10", 0},
    {"\1\1\1\2\5\1", 2},
    {"\1\1\1\2\6\1", 2},
    {"\1\1\1\2\6\1\1", 2},
    {"\1\2\1", 2},
    {"\1\2\2", 2},
    {"\1\2\3", 2},
    {"\1\2\1\1", 2},
    {"\1\2\1\2", 2},
    {"\1\2\1\3", 2},
    {"\1\2\1\4", 0},
    {"\1\2\1\3\2\1", 2},
    {"\1\2\2\1", 2},
    {"\1\2\2\2", 2},
    {"\1\2\2\3", 2},
    {"\1\2\2\4", 2},
    {"\1\2\2\5", 2},
    {"\1\2\2\6", 0},
    {"\1\2\2\7", 1},
    {"\1\2\2\10", 1},
    {"\1\2\2\11", 2},
    {"\1\2\2\12", 0},
    {"\1\2\2\13", 2},
    {"\1\2\2\14", 0},
    {"\1\2\2\15", 2},
    {"\1\2\2\16", 0},
    {"\1\2\2\17", 2},
    {"\1\2\2\20", 5},
    {"\1\2\2\11\1", 2},
    {"\1\2\2\11\2\1", 2},
    {"\1\2\2\11\2\3", 0},
    {"\1\2\2\13\1", 1},
    {"\1\2\2\13\2", 2},
    {"\1\2\2\13\3", 2},
    {"\1\2\2\13\4", 0},
    {"\1\2\2\15\1", 2},
    {"\1\2\2\15\2", 2},
    {"\1\2\2\15\3", 2},
    {"\1\2\2\15\4", 2},
    {"\1\2\2\15\5", 0},
    {"\1\2\2\15\6", 5},
    {"\1\2\2\17\2", 2},
    {"\1\2\2\17\3", 0},
};
enum { KNOWN_FIELDS = sizeof known_fields / sizeof known_fields[0] };

/* The body that has `field` (a whole field) at the end of `path`. */
static struct message body_with(const char *path, const struct message *field)
{
    struct message inner = *field;

    for (size_t i = strlen(path) - 1; i-- > 0;) {
        struct message outer = {.len = 0};

        put_message(&outer, (uint64_t)path[i], &inner);
        inner = outer;
    }
    return inner;
}

static enum err scan_field(const char *path, const struct message *field)
{
    struct message body = body_with(path, field);
    struct scan_span spans[1];
    struct scan_result r;

    return scan_copy(bytes_of(&body), spans, 1, &r);
}

static void known_fields_have_their_wire_type_and_no_other(void)
{
    static const unsigned types[] = {0, 1, 2, 5};

    for (size_t i = 0; i < KNOWN_FIELDS; i++) {
        const char *path = known_fields[i].path;

        for (size_t t = 0; t < 4; t++) {
            struct message field = {.len = 0};
            enum err expected = types[t] == known_fields[i].type ? ERR_OK : ERR_PARSE;

            put_value_of_type(&field, (uint64_t)path[strlen(path) - 1], types[t]);
            CHECK(scan_field(path, &field) == expected);
        }
    }
}

static void unknown_fields_pass_in_every_message_with_every_wire_type(void)
{
    static const unsigned types[] = {0, 1, 2, 5};

    for (size_t i = 0; i < KNOWN_FIELDS; i++) {
        for (size_t t = 0; t < 4; t++) {
            struct message field = {.len = 0};

            put_value_of_type(&field, t == 0 ? 17 : (1u << 29) - 1, types[t]);
            CHECK(scan_field(known_fields[i].path, &field) == ERR_OK);
        }
    }
}

static void groups_and_reserved_wire_types_are_refused_everywhere(void)
{
    static const unsigned types[] = {3, 4, 6, 7};

    for (size_t i = 0; i < KNOWN_FIELDS; i++) {
        for (size_t t = 0; t < 4; t++) {
            struct message field = {.len = 0};

            put_tag(&field, 100, types[t]);
            CHECK(scan_field(known_fields[i].path, &field) == ERR_PARSE);
        }
    }
}

static void a_field_cut_off_anywhere_is_refused(void)
{
    for (size_t i = 0; i < KNOWN_FIELDS; i++) {
        const char *path = known_fields[i].path;
        struct message field = {.len = 0};

        put_value_of_type(&field, (uint64_t)path[strlen(path) - 1], known_fields[i].type);
        if (known_fields[i].type == 2)
            field.data[field.len - 1] = 1; /* one byte that is not there */
        else
            field.len--;
        CHECK(scan_field(path, &field) == ERR_PARSE);
    }
}

static void tags_are_at_most_five_bytes_and_numbers_at_most_2_to_the_29_minus_1(void)
{
    struct message zero = {.len = 0}, largest = {.len = 0}, over = {.len = 0}, longest = {.len = 0};
    struct message overlong = {.len = 0};

    put(&zero, "\x00\x01", 2);
    put_uint(&largest, (1u << 29) - 1, 7);
    put_uint(&over, 1u << 29, 7);
    put(&longest, "\x88\x81\x80\x80\x80\x00\x01", 7); /* six bytes for field 17 */
    put(&overlong, "\xb0\x80\x80\x80\x00\x01", 6);    /* five for field 6, kind */
    CHECK(scan_field("\1\2\2\1", &zero) == ERR_PARSE);
    CHECK(scan_field("\1\2\2\1", &largest) == ERR_OK);
    CHECK(scan_field("\1\2\2\1", &over) == ERR_PARSE);
    CHECK(scan_field("\1\2\2\1", &longest) == ERR_PARSE);
    CHECK(scan_field("\1\2\2\1", &overlong) == ERR_OK);
}

static void values_are_at_most_ten_bytes_and_may_be_overlong(void)
{
    struct message ten = {.len = 0}, eleven = {.len = 0}, negative = {.len = 0};

    put(&ten, "\x30\x83\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11);
    put(&eleven, "\x30\x83\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12);
    put_uint(&negative, 6, UINT64_MAX);
    CHECK(scan_field("\1\2\2\6", &ten) == ERR_OK);
    CHECK(scan_field("\1\2\2\6", &eleven) == ERR_PARSE);
    CHECK(scan_field("\1\2\2\6", &negative) == ERR_OK);
}

static void an_overlong_tag_of_a_known_field_is_that_field(void)
{
    struct message span = valid_span();
    struct message wrong_type = valid_span();

    put(&span,
        "\xa2\x80\x00\x05"
        "12345",
        9); /* parent_span_id, five bytes long */
    CHECK(is_rejected(&span));
    put(&wrong_type, "\xa0\x80\x00\x05", 4);
    CHECK(is_refused(&wrong_type));
}

static void a_length_over_the_body_or_over_five_bytes_is_refused(void)
{
    struct message huge = {.len = 0}, six = {.len = 0}, five = {.len = 0};

    put(&huge, "\x2a\xff\xff\xff\xff\x7f", 6);
    put(&six, "\x2a\x81\x80\x80\x80\x80\x00x", 8);
    put(&five, "\x2a\x81\x80\x80\x80\x00x", 7);
    CHECK(scan_field("\1\2\2\5", &huge) == ERR_PARSE);
    CHECK(scan_field("\1\2\2\5", &six) == ERR_PARSE);
    CHECK(scan_field("\1\2\2\5", &five) == ERR_OK);
}

static bool accepts_name(const char *text)
{
    struct message span = valid_span();

    put_text(&span, 5, text);
    return is_accepted(&span);
}

static void text_is_utf8_without_overlong_forms_surrogates_and_beyond_unicode(void)
{
    CHECK(accepts_name("plain, and long enough for the words of eight bytes"));
    CHECK(accepts_name("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x9d \xf4\x8f\xbf\xbf \xed\x9f\xbf"));
    CHECK(!accepts_name("\x80") && !accepts_name("\xc3") && !accepts_name("\xe2\x82"));
    CHECK(!accepts_name("\xc0\x80") && !accepts_name("\xc1\xbf"));
    CHECK(!accepts_name("\xe0\x9f\xbf") && !accepts_name("\xf0\x8f\xbf\xbf"));
    CHECK(!accepts_name("\xed\xa0\x80") && !accepts_name("\xed\xbf\xbf"));
    CHECK(!accepts_name("\xf4\x90\x80\x80") && !accepts_name("\xf5\x80\x80\x80"));
    CHECK(!accepts_name("\xff") && !accepts_name("a long ASCII text, and then \xfe"));
    CHECK(accepts_name("\xef\xbf\xbf\xee\x80\x80\xf0\x90\x80\x80\xc2\x80"));
}

static void invalid_text_anywhere_in_a_span_rejects_it_alone(void)
{
    static const char *const paths[] = {"\3",          "\5",          "\11\1",   "\11\2\1",
                                        "\11\2\5\1\1", "\11\2\6\1\1", "\13\2",   "\13\3\1",
                                        "\13\3\2\1",   "\15\3",       "\15\4\1", "\17\2"};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct message bad = {.len = 0}, good = {.len = 0}, field, span;

        put_text(&bad, (uint64_t)paths[i][strlen(paths[i]) - 1], "all ASCII up to here \xff");
        field = body_with(paths[i], &bad);
        span = span_with(&field);
        CHECK(is_rejected(&span));
        put_text(&good, (uint64_t)paths[i][strlen(paths[i]) - 1], "\xc3\xa9");
        field = body_with(paths[i], &good);
        span = span_with(&field);
        CHECK(is_accepted(&span));
    }
}

static void bytes_values_may_hold_anything(void)
{
    struct message value = {.len = 0}, span;

    put_bytes(&value, 7, "\xff\xfe\x00", 3);
    span = span_with_value(&value);
    CHECK(is_accepted(&span));
}

/* Three spans below two scopes of one resource: (1) in the first scope, (2) and (3) in the second;
 * `bad` goes behind the spans, into the second scope's ScopeSpans or into the ResourceSpans. A
 * second resource holds span (4). */
static struct message two_resources(const struct message *in_scope,
                                    const struct message *in_resource)
{
    struct message spans[4], scope_spans[3] = {{.len = 0}}, resource_spans[2] = {{.len = 0}};
    struct message body = {.len = 0};

    for (uint8_t i = 0; i < 4; i++) {
        spans[i].len = 0;
        put_ids(&spans[i], (uint8_t)(i + 1));
    }
    put_message(&scope_spans[0], 2, &spans[0]);
    put_message(&scope_spans[1], 2, &spans[1]);
    put_message(&scope_spans[1], 2, &spans[2]);
    put_message(&scope_spans[2], 2, &spans[3]);
    if (in_scope)
        put(&scope_spans[1], in_scope->data, in_scope->len);
    put_message(&resource_spans[0], 2, &scope_spans[0]);
    put_message(&resource_spans[0], 2, &scope_spans[1]);
    if (in_resource)
        put(&resource_spans[0], in_resource->data, in_resource->len);
    put_message(&resource_spans[1], 2, &scope_spans[2]);
    put_message(&body, 1, &resource_spans[0]);
    put_message(&body, 1, &resource_spans[1]);
    return body;
}

static void invalid_text_in_a_resource_rejects_its_spans_also_those_before_it(void)
{
    struct message resource = {.len = 0}, bad = {.len = 0}, body;
    struct scan_span spans[4];
    struct scan_result r;

    put_attribute(&resource, 1, "key", "\xff");
    put_message(&bad, 1, &resource);
    body = two_resources(NULL, &bad);
    CHECK(scan_copy(bytes_of(&body), spans, 4, &r) == ERR_OK);
    CHECK(r.spans == 1 && r.rejected == 3 && strstr(r.reject_reason, "resource"));
    CHECK(spans[0].span_id >> 56 == 4);
}

static void invalid_text_in_a_scope_rejects_its_spans_alone(void)
{
    struct message scope = {.len = 0}, bad = {.len = 0}, body;
    struct scan_span spans[4];
    struct scan_result r;

    put_text(&scope, 2, "\xff");
    put_message(&bad, 1, &scope);
    body = two_resources(&bad, NULL);
    CHECK(scan_copy(bytes_of(&body), spans, 4, &r) == ERR_OK);
    CHECK(r.spans == 2 && r.rejected == 2 && strstr(r.reject_reason, "scope"));
    CHECK(spans[0].span_id >> 56 == 1 && spans[1].span_id >> 56 == 4);
}

static void an_invalid_schema_url_counts_as_the_text_of_its_resource(void)
{
    struct message bad = {.len = 0}, body;
    struct scan_span spans[4];
    struct scan_result r;

    put_text(&bad, 3, "\xff");
    body = two_resources(NULL, &bad);
    CHECK(scan_copy(bytes_of(&body), spans, 4, &r) == ERR_OK && r.rejected == 3);
    body = two_resources(&bad, NULL);
    CHECK(scan_copy(bytes_of(&body), spans, 4, &r) == ERR_OK && r.rejected == 2);
}

static void offsets_point_to_the_tags_of_the_resource_and_the_scope(void)
{
    struct message body = two_resources(NULL, NULL);
    struct scan_span spans[4];
    struct scan_result r;

    CHECK(scan_copy(bytes_of(&body), spans, 4, &r) == ERR_OK && r.spans == 4);
    CHECK(spans[0].resource_offset == 0 && spans[1].resource_offset == 0);
    CHECK(spans[2].scope_offset == spans[1].scope_offset);
    CHECK(spans[1].scope_offset > spans[0].scope_offset);
    CHECK(spans[3].resource_offset > spans[2].offset);
    CHECK(body.data[spans[3].resource_offset] == 0x0a &&
          body.data[place_of(spans[3].scope_offset)] == 0x12);
    for (int i = 0; i < 4; i++)
        CHECK(memcmp(body.data + spans[i].offset + 2, "0123456789abcdef", 16) == 0);
}

static void a_small_array_is_full_and_the_result_says_how_many_are_needed(void)
{
    struct message body = two_resources(NULL, NULL);
    struct scan_span spans[4];
    struct scan_result r;

    CHECK(scan_copy(bytes_of(&body), NULL, 0, &r) == ERR_FULL && r.spans == 4);
    CHECK(scan_copy(bytes_of(&body), spans, 3, &r) == ERR_FULL && r.spans == 4);
    CHECK(spans[2].span_id >> 56 == 3);
    CHECK(scan_copy(bytes_of(&body), spans, r.spans, &r) == ERR_OK && r.spans == 4);
}

static void structure_counts_before_rejection(void)
{
    struct message broken = {.len = 0}, body;
    struct scan_result r;

    put(&broken, "\x1a\x05", 2);
    body = two_resources(NULL, &broken);
    CHECK(scan_copy(bytes_of(&body), NULL, 0, &r) == ERR_PARSE);
    CHECK(r.error && r.error_offset > 0 && r.error_offset < body.len);
}

static void a_status_given_twice_is_merged(void)
{
    struct message code = {.len = 0}, text = {.len = 0}, span = valid_span(), body;
    struct scan_span out[1];
    struct scan_result r;

    put_uint(&code, 3, 2);
    put_text(&text, 2, "later, without a code");
    put_message(&span, 15, &code);
    put_message(&span, 15, &text);
    body = body_of(&span);
    CHECK(scan_traces(bytes_of(&body), out, 1, &r) == ERR_OK && out[0].flags & SCAN_ERROR);
}

/* Attributes that nearly have the plain form take the long way and get the same verdict. */
static void attributes_of_unusual_form_are_judged_alike(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool accepted;
    } forms[] = {
        {"\x0a\x01k\x12\x03\x0a\x01v", 8, true},
        {"\x12\x03\x0a\x01v\x0a\x01k", 8, true},
        {"\x0a\x01k\x12\x03\x0a\x01\xff", 8, false},
        {"\x0a\x01\xff\x12\x03\x0a\x01v", 8, false},
        {"\x0a\x01k\x12\x02\x18\x05", 7, true},
        {"\x0a\x01k\x12\x03\x18\xff\x05", 8, true},
        {"\x0a\x01k\x12\x04\x18\x05\x18\x06", 9, true},
        {"\x0a\x01k\x12\x09\x21\x01\x02\x03\x04\x05\x06\x07\xff", 14, true},
        {"\x0a\x01k\x12\x02\x10\x01", 7, true},
        {"\x0a\x01k\x12\x00", 5, true},
        {"\x0a\x01k", 3, true},
        {"", 0, true},
        {"\x0a\x01k\x12\x05\x0a\x01v\x10\x01", 10, true},
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct message span = valid_span();

        put_bytes(&span, 9, forms[i].bytes, forms[i].len);
        CHECK(forms[i].accepted ? is_accepted(&span) : is_rejected(&span));
        span.data[span.len - forms[i].len - 1]++; /* a length one too long */
        CHECK(is_refused(&span));
    }
}

static struct message attribute_of(size_t key_len, size_t text_len)
{
    struct message attribute = {.len = 0}, value = {.len = 0};
    char text[256];

    memset(text, 'x', sizeof(text));
    put_bytes(&value, 1, text, text_len);
    put_bytes(&attribute, 1, text, key_len);
    put_message(&attribute, 2, &value);
    return attribute;
}

static void attributes_of_any_length_are_judged_alike(void)
{
    for (size_t key_len = 0; key_len < 140; key_len++)
        for (size_t text_len = 0; text_len < 140; text_len++) {
            struct message attribute = attribute_of(key_len, text_len), span = valid_span();

            put_message(&span, 9, &attribute);
            CHECK(is_accepted(&span));
        }
}

/* Of the key, the value and its text: a byte after which the length goes on. */
static void a_length_of_an_attribute_that_goes_on_is_no_length_of_one_byte(void)
{
    for (size_t text_len = 0; text_len < 240; text_len++) {
        const size_t key_len = 3, starts[] = {1, 3 + key_len, 5 + key_len};

        for (size_t i = 0; i < 3; i++) {
            struct message span = valid_span();
            uint8_t bytes[256] = {
                0x0a, 3, 'k', 'e', 'y', 0x12, (uint8_t)(text_len + 2), 0x0a, (uint8_t)text_len};

            memset(bytes + 9, 'x', text_len);
            bytes[starts[i]] |= 0x80;
            put_bytes(&span, 9, bytes, 9 + text_len);
            CHECK(is_refused(&span));
        }
    }
}

/* What a scan found of a span, whatever stood before the fields that count. */
struct finding {
    enum err err;
    size_t spans, rejected;
    const char *reason;
    struct scan_span span;
};

static struct finding finding_of(const struct message *span)
{
    struct message body = body_of(span);
    struct finding f;
    struct scan_result r;

    memset(&f, 0, sizeof(f));
    f.err = scan_copy(bytes_of(&body), &f.span, 1, &r);
    if (f.err == ERR_OK) {
        f.spans = r.spans;
        f.rejected = r.rejected;
        f.reason = r.reject_reason;
        f.span.offset = f.span.len = f.span.resource_offset = 0;
        f.span.scope_offset &= SCAN_PLAIN_SCOPE;
    } else {
        memset(&f.span, 0, sizeof(f.span));
    }
    return f;
}

static struct message behind_unknown(const struct message *fields)
{
    struct message all = {.len = 0};

    put_uint(&all, 100, 1);
    put(&all, fields->data, fields->len);
    return all;
}

/* An unknown field first makes the scan take the long way. */
static bool is_judged_alike(const struct message *span)
{
    struct message slow = behind_unknown(span);
    struct finding a = finding_of(span), b = finding_of(&slow);

    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void a_span_whose_head_is_cut_off_or_changed_is_judged_alike(void)
{
    for (int with_parent = 0; with_parent < 2; with_parent++) {
        struct message span = valid_span();

        if (with_parent)
            put_bytes(&span, 4, "\0\0\0\0\0\0\0\x07", 8);
        put_text(&span, 5, "name");
        put_uint(&span, 6, 2);
        put_fixed64(&span, 7, 1700000000000000001u);
        put_fixed64(&span, 8, 1700000000000000009u);
        CHECK(is_accepted(&span) && is_judged_alike(&span));
        for (size_t i = 0; i < span.len; i++) {
            struct message changed = span;

            for (unsigned byte = 0; byte < 256; byte++) {
                changed.data[i] = (uint8_t)byte;
                CHECK(is_judged_alike(&changed));
            }
            changed = span;
            changed.len = i;
            CHECK(is_judged_alike(&changed));
        }
    }
}

static void a_span_with_a_name_of_any_length_is_judged_alike(void)
{
    char name[400];

    memset(name, 'n', sizeof(name));
    for (size_t len = 0; len < sizeof(name); len++) {
        struct message span = valid_span();

        put_bytes(&span, 5, name, len);
        put_uint(&span, 6, 2);
        put_fixed64(&span, 7, 1);
        put_fixed64(&span, 8, 2);
        CHECK(is_accepted(&span) && is_judged_alike(&span));
    }
}

static bool is_attribute_judged_alike(const struct message *attribute)
{
    struct message slow = behind_unknown(attribute), a = valid_span(), b = valid_span();
    struct finding of_a, of_b;

    put_message(&a, 9, attribute);
    put_message(&b, 9, &slow);
    of_a = finding_of(&a);
    of_b = finding_of(&b);
    return memcmp(&of_a, &of_b, sizeof(of_a)) == 0;
}

static void an_attribute_that_is_cut_off_or_changed_is_judged_alike(void)
{
    struct message attribute = attribute_of(3, 4), changed;

    for (size_t i = 0; i < attribute.len; i++) {
        changed = attribute;
        for (unsigned byte = 0; byte < 256; byte++) {
            changed.data[i] = (uint8_t)byte;
            CHECK(is_attribute_judged_alike(&changed));
        }
        changed = attribute;
        changed.len = i;
        CHECK(is_attribute_judged_alike(&changed));
    }
}

/* Lengths that don't fit into a byte, where a sum of bytes would have them carry over. */
static void a_long_attribute_is_not_taken_for_a_short_one(void)
{
    for (size_t len = 256; len < 1024; len++) {
        struct message attribute = {.len = 0};
        uint32_t carried = (uint32_t)(0x0a0012 + len * 0x01000100 - 0x02000000);

        put(&attribute, "\x0a\x03key", 5);
        for (int i = 0; i < 4; i++)
            put(&attribute, &(uint8_t){(uint8_t)(carried >> 8 * i)}, 1);
        for (size_t i = 2; i < len; i++)
            put(&attribute, "x", 1);
        CHECK(is_attribute_judged_alike(&attribute));
    }
}

static void a_scope_is_plain_unless_something_follows_a_span(void)
{
    struct message span = valid_span(), scope = {.len = 0}, resource = {.len = 0},
                   body = {.len = 0};
    struct scan_span out[4];
    struct scan_result r;

    put_text(&scope, 3, "schema");
    put_message(&scope, 2, &span);
    put_message(&scope, 2, &span);
    put_message(&resource, 2, &scope);
    put_text(&scope, 3, "schema");
    put_message(&resource, 2, &scope);
    put_message(&body, 1, &resource);
    CHECK(scan_traces(bytes_of(&body), out, 4, &r) == ERR_OK && r.spans == 4);
    CHECK((out[0].scope_offset & SCAN_PLAIN_SCOPE) && (out[1].scope_offset & SCAN_PLAIN_SCOPE));
    CHECK(!(out[2].scope_offset & SCAN_PLAIN_SCOPE) && !(out[3].scope_offset & SCAN_PLAIN_SCOPE));
    CHECK(place_of(out[2].scope_offset) > place_of(out[1].scope_offset));
}

int main(void)
{
    RUN(an_empty_body_is_a_success_without_spans);
    RUN(the_fields_for_the_trace_table_are_found);
    RUN(a_parent_of_zeros_is_a_root_and_one_of_five_bytes_is_rejected);
    RUN(wrong_ids_reject_the_span_and_the_last_of_two_counts);
    RUN(a_link_whose_ids_have_a_wrong_length_rejects_its_span);
    RUN(values_may_be_nested_sixty_four_deep_and_no_deeper);
    RUN(known_fields_have_their_wire_type_and_no_other);
    RUN(unknown_fields_pass_in_every_message_with_every_wire_type);
    RUN(groups_and_reserved_wire_types_are_refused_everywhere);
    RUN(a_field_cut_off_anywhere_is_refused);
    RUN(tags_are_at_most_five_bytes_and_numbers_at_most_2_to_the_29_minus_1);
    RUN(values_are_at_most_ten_bytes_and_may_be_overlong);
    RUN(an_overlong_tag_of_a_known_field_is_that_field);
    RUN(a_length_over_the_body_or_over_five_bytes_is_refused);
    RUN(text_is_utf8_without_overlong_forms_surrogates_and_beyond_unicode);
    RUN(invalid_text_anywhere_in_a_span_rejects_it_alone);
    RUN(bytes_values_may_hold_anything);
    RUN(invalid_text_in_a_resource_rejects_its_spans_also_those_before_it);
    RUN(invalid_text_in_a_scope_rejects_its_spans_alone);
    RUN(an_invalid_schema_url_counts_as_the_text_of_its_resource);
    RUN(offsets_point_to_the_tags_of_the_resource_and_the_scope);
    RUN(a_small_array_is_full_and_the_result_says_how_many_are_needed);
    RUN(structure_counts_before_rejection);
    RUN(a_status_given_twice_is_merged);
    RUN(attributes_of_unusual_form_are_judged_alike);
    RUN(attributes_of_any_length_are_judged_alike);
    RUN(a_length_of_an_attribute_that_goes_on_is_no_length_of_one_byte);
    RUN(a_span_whose_head_is_cut_off_or_changed_is_judged_alike);
    RUN(a_span_with_a_name_of_any_length_is_judged_alike);
    RUN(an_attribute_that_is_cut_off_or_changed_is_judged_alike);
    RUN(a_long_attribute_is_not_taken_for_a_short_one);
    RUN(a_scope_is_plain_unless_something_follows_a_span);
    return DONE();
}
