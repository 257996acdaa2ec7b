#include "base/encode.h"
#include "check.h"
#include "message.h"
#include "otlp/json.h"
#include "otlp/view.h"
#include "otlp/write.h"

#include <math.h>
#include <stdlib.h>

enum { ROOM = 1 << 20 };

static struct err_info info;

/* `json` as protobuf in `out`, which the caller frees. The parser gets a copy without a NUL behind
 * it. */
static enum err from_json(const char *json, struct buf *out)
{
    struct buf copy;
    enum err err;

    buf_init(&copy, ROOM, NULL);
    buf_str(&copy, json);
    buf_init(out, ROOM, NULL);
    err = json_to_traces(buf_slice(&copy), out, ROOM, &info);
    buf_fini(&copy);
    return err;
}

static bool gives(const char *json, const struct message *expected)
{
    struct buf out;
    bool same = from_json(json, &out) == ERR_OK && slice_equal(buf_slice(&out), bytes_of(expected));

    buf_fini(&out);
    return same;
}

static bool is_refused(const char *json, const char *why)
{
    struct buf out;
    bool refused = from_json(json, &out) == ERR_PARSE && out.len == 0 && strstr(info.text, why);

    buf_fini(&out);
    return refused;
}

static bool writes(struct slice body, const char *expected)
{
    struct buf out;
    bool same;

    buf_init(&out, ROOM, NULL);
    same = json_from_traces(body, &out) == ERR_OK && slice_is(buf_slice(&out), expected);
    if (!same)
        printf("  got %.*s\n", (int)out.len, (const char *)out.data);
    buf_fini(&out);
    return same;
}

/* One of each value. */
static void put_all_values(struct message *m, uint64_t number)
{
    struct message value[8] = {{.len = 0}}, array = {.len = 0}, list = {.len = 0};
    struct message empty = {.len = 0}, pair = {.len = 0};
    double half = -0.5;
    uint64_t bits;

    memcpy(&bits, &half, 8);
    put_text(&value[0], 1, "caf\xc3\xa9 \"quoted\"\n\x01");
    put_uint(&value[1], 2, 1);
    put_uint(&value[2], 3, (uint64_t)INT64_MIN);
    put_fixed64(&value[3], 4, bits);
    put_message(&array, 1, &value[0]);
    put_message(&array, 1, &empty);
    put_message(&value[4], 5, &array);
    put_text(&pair, 1, "inner");
    put_message(&pair, 2, &value[2]);
    put_message(&list, 1, &pair);
    put_message(&value[5], 6, &list);
    put_bytes(&value[6], 7, "\xff\0\x10", 3);
    put_uint(&value[7], 8, 3);
    for (int i = 0; i < 8; i++) {
        struct message key_value = {.len = 0};
        char key[2] = {(char)('a' + i), 0};

        put_text(&key_value, 1, key);
        put_message(&key_value, 2, &value[i]);
        if (i == 7)
            put_uint(&key_value, 3, 9);
        put_message(m, number, &key_value);
    }
    pair.len = 0;
    put_text(&pair, 1, "none");
    put_message(m, number, &pair);
}

#define ALL_VALUES                                                                                 \
    "[{\"key\":\"a\",\"value\":{\"stringValue\":\"caf\xc3\xa9 \\\"quoted\\\"\\n\\u0001\"}},"       \
    "{\"key\":\"b\",\"value\":{\"boolValue\":true}},"                                              \
    "{\"key\":\"c\",\"value\":{\"intValue\":\"-9223372036854775808\"}},"                           \
    "{\"key\":\"d\",\"value\":{\"doubleValue\":-0.5}},"                                            \
    "{\"key\":\"e\",\"value\":{\"arrayValue\":{\"values\":["                                       \
    "{\"stringValue\":\"caf\xc3\xa9 \\\"quoted\\\"\\n\\u0001\"},{}]}}},"                           \
    "{\"key\":\"f\",\"value\":{\"kvlistValue\":{\"values\":["                                      \
    "{\"key\":\"inner\",\"value\":{\"intValue\":\"-9223372036854775808\"}}]}}},"                   \
    "{\"key\":\"g\",\"value\":{\"bytesValue\":\"/wAQ\"}},"                                         \
    "{\"key\":\"h\",\"value\":{\"stringValueStrindex\":3},\"keyStrindex\":9},"                     \
    "{\"key\":\"none\"}]"

static struct message full_span(void)
{
    struct message event = {.len = 0}, link = {.len = 0}, status = {.len = 0}, span = {.len = 0};

    put_fixed64(&event, 1, UINT64_MAX);
    put_text(&event, 2, "exception");
    put_all_values(&event, 3);
    put_uint(&event, 4, 11);
    put_bytes(&link, 1, "fedcba9876543210", 16);
    put_bytes(&link, 2, "\x01\x02\x03\x04\x05\x06\x07\xff", 8);
    put_text(&link, 3, "a=b");
    put_all_values(&link, 4);
    put_uint(&link, 5, 12);
    put_fixed32(&link, 6, 0x300);
    put_text(&status, 2, "broken");
    put_uint(&status, 3, 2);
    put_ids(&span, 0xab);
    put_text(&span, 3, "ot=th:8");
    put_bytes(&span, 4, "\xff\0\0\0\0\0\0\x01", 8);
    put_fixed32(&span, 16, UINT32_MAX);
    put_text(&span, 5, "GET /");
    put_uint(&span, 6, 2);
    put_fixed64(&span, 7, 1700000000000000001u);
    put_fixed64(&span, 8, 1700000000000000009u);
    put_all_values(&span, 9);
    put_uint(&span, 10, UINT32_MAX);
    put_message(&span, 11, &event);
    put_uint(&span, 12, 1);
    put_message(&span, 13, &link);
    put_uint(&span, 14, 2);
    put_message(&span, 15, &status);
    return span;
}

static struct message full_body(void)
{
    struct message span = full_span(), entity = {.len = 0}, resource = {.len = 0};
    struct message scope = {.len = 0}, scope_spans = {.len = 0}, resource_spans = {.len = 0};
    struct message body = {.len = 0};

    put_text(&entity, 1, "https://schema/1");
    put_text(&entity, 2, "service");
    put_text(&entity, 3, "service.name");
    put_text(&entity, 3, "service.namespace");
    put_text(&entity, 4, "service.version");
    put_all_values(&resource, 1);
    put_uint(&resource, 2, 7);
    put_message(&resource, 3, &entity);
    put_text(&scope, 1, "scope");
    put_text(&scope, 2, "1.0");
    put_all_values(&scope, 3);
    put_uint(&scope, 4, 8);
    put_message(&scope_spans, 1, &scope);
    put_message(&scope_spans, 2, &span);
    put_message(&scope_spans, 2, &span);
    put_text(&scope_spans, 3, "https://schema/2");
    put_message(&resource_spans, 1, &resource);
    put_message(&resource_spans, 2, &scope_spans);
    put_text(&resource_spans, 3, "https://schema/3");
    put_message(&body, 1, &resource_spans);
    return body;
}

#define FULL_SPAN                                                                                  \
    "{\"traceId\":\"30313233343536373839616263646566\",\"spanId\":\"ab02030405060708\","           \
    "\"traceState\":\"ot=th:8\",\"parentSpanId\":\"ff00000000000001\",\"flags\":4294967295,"       \
    "\"name\":\"GET /\",\"kind\":2,\"startTimeUnixNano\":\"1700000000000000001\","                 \
    "\"endTimeUnixNano\":\"1700000000000000009\",\"attributes\":" ALL_VALUES                       \
    ",\"droppedAttributesCount\":4294967295,\"events\":["                                          \
    "{\"timeUnixNano\":\"18446744073709551615\",\"name\":\"exception\",\"attributes\":" ALL_VALUES \
    ",\"droppedAttributesCount\":11}],\"droppedEventsCount\":1,\"links\":["                        \
    "{\"traceId\":\"66656463626139383736353433323130\",\"spanId\":\"01020304050607ff\","           \
    "\"traceState\":\"a=b\",\"attributes\":" ALL_VALUES                                            \
    ",\"droppedAttributesCount\":12,\"flags\":768}],\"droppedLinksCount\":2,"                      \
    "\"status\":{\"message\":\"broken\",\"code\":2}}"

#define FULL_BODY                                                                                  \
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":" ALL_VALUES                                \
    ",\"droppedAttributesCount\":7,\"entityRefs\":[{\"schemaUrl\":\"https://schema/1\","           \
    "\"type\":\"service\",\"idKeys\":[\"service.name\",\"service.namespace\"],"                    \
    "\"descriptionKeys\":[\"service.version\"]}]},\"scopeSpans\":[{\"scope\":{\"name\":\"scope\"," \
    "\"version\":\"1.0\",\"attributes\":" ALL_VALUES                                               \
    ",\"droppedAttributesCount\":8},\"spans\":[" FULL_SPAN "," FULL_SPAN                           \
    "],\"schemaUrl\":\"https://schema/2\"}],"                                                      \
    "\"schemaUrl\":\"https://schema/3\"}]}"

static void every_field_is_written_as_the_protocol_says(void)
{
    struct message body = full_body();

    CHECK(writes(bytes_of(&body), FULL_BODY));
}

static void every_field_comes_back_byte_for_byte(void)
{
    struct message body = full_body();

    CHECK(gives(FULL_BODY, &body));
}

static void an_empty_request_is_empty_either_way(void)
{
    struct message empty = {.len = 0};

    CHECK(gives("{}", &empty) && gives("{\"resourceSpans\":[]}", &empty));
    CHECK(gives("{\"resourceSpans\":null,\"other\":{\"deep\":[[1]]}}", &empty));
    CHECK(writes((struct slice){0}, "{\"resourceSpans\":[]}"));
}

#define SPAN(members) "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" members "}]}]}]}"
#define VALUE(member) SPAN("\"attributes\":[{\"value\":{" member "}}]")

static bool span_gives(const char *json, const struct message *span)
{
    struct message body = body_of(span);

    return gives(json, &body);
}

static bool value_gives(const char *json, const struct message *value)
{
    struct message key_value = {.len = 0}, span = {.len = 0};

    put_message(&key_value, 2, value);
    put_message(&span, 9, &key_value);
    return span_gives(json, &span);
}

static void tolerant_forms_are_read(void)
{
    struct message span = {.len = 0}, status = {.len = 0};

    put_uint(&status, 3, 2);
    put_uint(&span, 6, 3);
    put_fixed64(&span, 7, 12);
    put_fixed64(&span, 8, 1000);
    put_uint(&span, 10, 4);
    put_message(&span, 15, &status);
    CHECK(span_gives(SPAN("\"kind\":\"SPAN_KIND_CLIENT\",\"start_time_unix_nano\":12,"
                          "\"end_time_unix_nano\":1e3,\"dropped_attributes_count\":\"4\","
                          "\"status\":{\"code\":\"STATUS_CODE_ERROR\"},\"unknown\":[{}]"),
                     &span));
    CHECK(span_gives(SPAN("\"kind\":3.0,\"startTimeUnixNano\":\"12\",\"endTimeUnixNano\":1000.0,"
                          "\"droppedAttributesCount\":4,\"name\":null,\"events\":null,"
                          "\"status\":{\"code\":2,\"message\":null}"),
                     &span));
}

static void ids_are_hex_of_either_case_and_any_size(void)
{
    struct message span = {.len = 0};

    put_bytes(&span, 1, "\xab\xcd\xef", 3);
    put_bytes(&span, 2, "", 0);
    CHECK(span_gives(SPAN("\"traceId\":\"aBcDEf\",\"spanId\":\"\""), &span));
    CHECK(is_refused(SPAN("\"traceId\":\"abc\""), "\"traceId\" must be hex"));
    CHECK(is_refused(SPAN("\"spanId\":\"0g\""), "\"spanId\" must be hex"));
    CHECK(is_refused(SPAN("\"parentSpanId\":5"), "\"parentSpanId\" must be a string"));
}

static void bytes_are_base64_of_either_alphabet(void)
{
    struct message value = {.len = 0}, one = {.len = 0}, empty = {.len = 0};

    put_bytes(&value, 7, "\xfb\xff\xfe\x01\x02", 5);
    put_bytes(&one, 7, "\xff", 1);
    put_bytes(&empty, 7, "", 0);
    CHECK(value_gives(VALUE("\"bytesValue\":\"+//+AQI=\""), &value));
    CHECK(value_gives(VALUE("\"bytesValue\":\"-__-AQI\""), &value));
    CHECK(value_gives(VALUE("\"bytesValue\":\"/w==\""), &one));
    CHECK(value_gives(VALUE("\"bytesValue\":\"\""), &empty));
    CHECK(is_refused(VALUE("\"bytesValue\":\"abcde\""), "base64"));
    CHECK(is_refused(VALUE("\"bytesValue\":\"ab c\""), "base64"));
    CHECK(is_refused(VALUE("\"bytesValue\":\"a=bc\""), "base64"));
}

static void integers_are_read_to_their_bounds_and_refused_beyond(void)
{
    struct message min = {.len = 0}, max = {.len = 0}, time = {.len = 0};

    put_uint(&min, 3, (uint64_t)INT64_MIN);
    put_uint(&max, 3, INT64_MAX);
    put_fixed64(&time, 7, UINT64_MAX);
    CHECK(value_gives(VALUE("\"intValue\":\"-9223372036854775808\""), &min));
    CHECK(value_gives(VALUE("\"intValue\":-9223372036854775808"), &min));
    CHECK(value_gives(VALUE("\"intValue\":9223372036854775807"), &max));
    CHECK(span_gives(SPAN("\"startTimeUnixNano\":18446744073709551615"), &time));
    CHECK(is_refused(VALUE("\"intValue\":\"9223372036854775808\""), "out of range"));
    CHECK(is_refused(VALUE("\"intValue\":\"-9223372036854775809\""), "out of range"));
    CHECK(is_refused(VALUE("\"intValue\":\"184467440737095516160\""), "integer"));
    CHECK(is_refused(VALUE("\"intValue\":1.5"), "integer"));
    CHECK(is_refused(VALUE("\"intValue\":1e30"), "integer"));
    CHECK(is_refused(VALUE("\"intValue\":\"\""), "integer"));
    CHECK(is_refused(VALUE("\"intValue\":\"1 \""), "integer"));
    CHECK(is_refused(VALUE("\"intValue\":true"), "integer"));
    CHECK(is_refused(SPAN("\"startTimeUnixNano\":-1"), "out of range"));
    CHECK(is_refused(SPAN("\"flags\":4294967296"), "out of range"));
    CHECK(is_refused(SPAN("\"kind\":2147483648"), "out of range"));
    CHECK(is_refused(SPAN("\"kind\":\"SPAN_KIND_OTHER\""), "integer"));
}

static bool double_makes_the_round(double number, const char *expected)
{
    struct message value = {.len = 0}, key_value = {.len = 0}, span = {.len = 0}, body;
    struct buf json, back;
    uint64_t bits;
    bool same;

    memcpy(&bits, &number, 8);
    put_fixed64(&value, 4, bits);
    put_message(&key_value, 2, &value);
    put_message(&span, 9, &key_value);
    body = body_of(&span);
    buf_init(&json, ROOM, NULL);
    buf_init(&back, ROOM, NULL);
    same = json_from_traces(bytes_of(&body), &json) == ERR_OK &&
           json_to_traces(buf_slice(&json), &back, ROOM, NULL) == ERR_OK &&
           slice_equal(buf_slice(&back), bytes_of(&body)) &&
           (!expected || memmem(json.data, json.len, expected, strlen(expected)));
    buf_fini(&json);
    buf_fini(&back);
    return same;
}

static void doubles_make_the_round_exactly(void)
{
    uint64_t state = 1;

    CHECK(double_makes_the_round(0.1, "\"doubleValue\":0.1}"));
    CHECK(double_makes_the_round(-0.0, "\"doubleValue\":-0.0}"));
    CHECK(double_makes_the_round(NAN, "\"doubleValue\":\"NaN\"}"));
    CHECK(double_makes_the_round(INFINITY, "\"doubleValue\":\"Infinity\"}"));
    CHECK(double_makes_the_round(-INFINITY, "\"doubleValue\":\"-Infinity\"}"));
    CHECK(double_makes_the_round(5e-324, NULL));
    CHECK(double_makes_the_round(1.7976931348623157e308, NULL));
    for (int i = 0; i < 2000; i++) {
        double number;

        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(&number, &state, 8);
        CHECK(isnan(number) || double_makes_the_round(number, NULL));
    }
}

static void doubles_are_read_from_strings_and_integers(void)
{
    struct message five = {.len = 0};

    put_fixed64(&five, 4, 0x4014000000000000u);
    CHECK(value_gives(VALUE("\"doubleValue\":5"), &five));
    CHECK(value_gives(VALUE("\"doubleValue\":\"5.0\""), &five));
    CHECK(is_refused(VALUE("\"doubleValue\":\"five\""), "number"));
    CHECK(is_refused(VALUE("\"doubleValue\":\"0x5\""), "number"));
    CHECK(is_refused(VALUE("\"doubleValue\":\"nan\""), "number"));
    CHECK(is_refused(VALUE("\"doubleValue\":\"1e999\""), "number"));
    CHECK(is_refused(VALUE("\"doubleValue\":\"\""), "number"));
}

static void the_later_of_two_keys_wins_and_lists_are_joined(void)
{
    struct message value = {.len = 0}, span = {.len = 0}, event = {.len = 0};
    struct span_fields fields;
    struct buf out;
    struct scan_span scanned;
    struct scan_result r;

    put_text(&value, 1, "x");
    put_uint(&value, 3, 5);
    CHECK(value_gives(VALUE("\"stringValue\":\"x\",\"intValue\":5"), &value));
    put_message(&span, 11, &event);
    put_message(&span, 11, &event);
    CHECK(span_gives(SPAN("\"events\":[{}],\"events\":[{}]"), &span));
    CHECK(from_json(SPAN("\"traceId\":\"0102030405060708090a0b0c0d0e0f10\","
                         "\"spanId\":\"0102030405060708\",\"name\":\"a\",\"name\":\"b\""),
                    &out) == ERR_OK);
    CHECK(scan_traces(buf_slice(&out), &scanned, 1, &r) == ERR_OK && r.spans == 1);
    view_span_fields(slice_make(out.data + scanned.offset, scanned.len), &fields);
    CHECK(slice_is(fields.name, "b"));
    buf_fini(&out);
}

static void half_a_character_is_replaced(void)
{
    struct message span = {.len = 0}, two = {.len = 0};

    put_text(&span, 5, "hello\xef\xbf\xbd");
    CHECK(span_gives(SPAN("\"name\":\"hello\\ud83c\""), &span));
    CHECK(span_gives(SPAN("\"name\":\"hello\\uDF1D\""), &span));
    put_text(&two, 5, "\\ud83c\xef\xbf\xbd\xf0\x9f\x8c\x9d\xef\xbf\xbd\n\xef\xbf\xbd");
    CHECK(span_gives(
        SPAN("\"name\":\"\\\\ud83c\\ud83c\\ud83c\\udf1d\\udf1d\\u000a\\ud83c\",\"no\\udbff\":1"),
        &two));
    CHECK(is_refused(SPAN("\"name\":\"\\ud83c\",\"kind\":\"\\u12\""), "not JSON"));
    CHECK(is_refused(SPAN("\"name\":\"\\ud83c"), "not JSON"));
    CHECK(is_refused("{\"\\ud83c\\", "not JSON"));
}

static void wrong_types_are_named(void)
{
    CHECK(is_refused("", "not JSON"));
    CHECK(is_refused("[]", "not a JSON object"));
    CHECK(is_refused("{\"resourceSpans\":[}", "at byte 18"));
    CHECK(is_refused("{} {}", "not JSON"));
    CHECK(is_refused("{\"resourceSpans\":{}}", "\"resourceSpans\" must be an array"));
    CHECK(is_refused("{\"resourceSpans\":[5]}", "\"resourceSpans\" must be an object"));
    CHECK(is_refused(SPAN("\"name\":5"), "\"name\" must be a string"));
    CHECK(is_refused(SPAN("\"status\":[]"), "\"status\" must be an object"));
    CHECK(is_refused(VALUE("\"boolValue\":\"true\""), "\"boolValue\" must be true or false"));
    CHECK(is_refused(SPAN("\"name\":\"\xff\""), "not JSON"));
}

/* {"arrayValue":{"values":[ ... ]}}, so that `depth` values are nested. */
static void put_nested_json(struct buf *out, int depth)
{
    buf_str(out, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"attributes\":[{\"value\":");
    for (int i = 1; i < depth; i++)
        buf_str(out, "{\"arrayValue\":{\"values\":[");
    buf_str(out, "{}");
    for (int i = 1; i < depth; i++)
        buf_str(out, "]}}");
    buf_str(out, "}]}]}]}]}");
}

static enum err nested_result(int depth, struct buf *out)
{
    struct buf json;
    enum err err;

    buf_init(&json, 64 * ROOM, NULL);
    put_nested_json(&json, depth);
    buf_init(out, ROOM, NULL);
    err = json_to_traces(buf_slice(&json), out, 64 * ROOM, &info);
    buf_fini(&json);
    return err;
}

static void nesting_is_bounded_as_in_the_scan(void)
{
    struct scan_result r;
    struct buf out, json;

    CHECK(nested_result(SCAN_MAX_DEPTH, &out) == ERR_OK);
    CHECK(scan_traces(buf_slice(&out), NULL, 0, &r) == ERR_OK);
    buf_init(&json, ROOM, NULL);
    CHECK(json_from_traces(buf_slice(&out), &json) == ERR_OK);
    buf_fini(&json);
    buf_fini(&out);
    CHECK(nested_result(SCAN_MAX_DEPTH + 1, &out) == ERR_PARSE && strstr(info.text, "deeper"));
    buf_fini(&out);
    CHECK(nested_result(200000, &out) == ERR_PARSE);
    buf_fini(&out);
}

static void both_bounds_of_memory_hold_and_nothing_is_left(void)
{
    struct memory memory;
    struct buf out;

    memory_init(&memory, 1 << 20, 1 << 10);
    buf_init(&out, 600, &memory);
    buf_str(&out, "before");
    CHECK(json_to_traces(slice_str(FULL_BODY), &out, ROOM, &info) == ERR_FULL && out.len == 6);
    buf_fini(&out);
    buf_init(&out, ROOM, &memory);
    CHECK(json_to_traces(slice_str(FULL_BODY), &out, 5000, &info) == ERR_FULL && out.len == 0);
    CHECK(json_to_traces(slice_str(FULL_BODY), &out, ROOM, &info) == ERR_OK);
    CHECK(memory_used(&memory) >= out.len);
    buf_fini(&out);
    CHECK(memory_used(&memory) == 0);
}

static void a_full_buffer_ends_the_writing(void)
{
    struct message body = full_body();
    struct buf out;

    buf_init(&out, 100, NULL);
    CHECK(json_from_traces(bytes_of(&body), &out) == ERR_FULL);
    buf_fini(&out);
}

static void what_the_scan_refuses_is_not_written(void)
{
    struct buf out;

    buf_init(&out, 100, NULL);
    CHECK(json_from_traces(slice_make("\x0a\x05", 2), &out) == ERR_PARSE && out.len == 0);
    buf_fini(&out);
}

static void messages_in_several_parts_are_written_as_one(void)
{
    struct message first = {.len = 0}, second = {.len = 0}, span = {.len = 0}, body;

    put_uint(&first, 3, 1);
    put_text(&second, 2, "late");
    put_message(&span, 15, &first);
    put_text(&span, 5, "between");
    put_message(&span, 15, &second);
    put_text(&span, 5, "again");
    body = body_of(&span);
    CHECK(writes(bytes_of(&body), SPAN("\"name\":\"again\",\"status\":{\"message\":\"late\","
                                       "\"code\":1}")));
}

static void invalid_utf8_becomes_replacement_characters(void)
{
    struct message span = {.len = 0}, body;

    put_text(&span, 5, "a\xff\xc3(\xed\xa0\x80\x7f");
    body = body_of(&span);
    CHECK(writes(bytes_of(&body), SPAN("\"name\":\"a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd"
                                       "\xef\xbf\xbd\xef\xbf\xbd\x7f\"")));
}

static void a_span_and_a_value_are_written_alone(void)
{
    struct message span = full_span(), at_bound = {.len = 0};
    struct value value = {.type = VALUE_INT, .integer = -5};
    struct buf out;

    buf_init(&out, ROOM, NULL);
    CHECK(json_from_span(bytes_of(&span), &out) == ERR_OK);
    CHECK(slice_is(buf_slice(&out), FULL_SPAN));
    buf_clear(&out);
    json_from_value(&value, &out);
    value = (struct value){.type = VALUE_BOOL, .boolean = true};
    json_from_value(&value, &out);
    value = (struct value){.type = VALUE_ABSENT};
    json_from_value(&value, &out);
    value = (struct value){.type = VALUE_ARRAY, .bytes = bytes_of(&at_bound)};
    json_from_value(&value, &out);
    CHECK(slice_is(buf_slice(&out), "{\"intValue\":\"-5\"}{\"boolValue\":true}{}"
                                    "{\"arrayValue\":{\"values\":[]}}"));
    buf_fini(&out);
}

/* A body that was not scanned may nest without end. */
static void values_nested_without_end_are_cut(void)
{
    uint8_t *data = malloc(ROOM);
    size_t at = ROOM;
    struct value value = {.type = VALUE_ARRAY};
    struct buf out;

    while (at > ROOM / 2) { /* [array [any_value ...]] from the inside out */
        struct buf head;

        buf_init(&head, 64, NULL);
        wire_put_tag(&head, 1, WIRE_LEN);
        wire_put_varint(&head, ROOM - at);
        at -= head.len;
        memcpy(data + at, head.data, head.len);
        buf_clear(&head);
        wire_put_tag(&head, 5, WIRE_LEN);
        wire_put_varint(&head, ROOM - at);
        at -= head.len;
        memcpy(data + at, head.data, head.len);
        buf_fini(&head);
    }
    value.bytes = slice_make(data + at, ROOM - at);
    buf_init(&out, ROOM, NULL);
    json_from_value(&value, &out);
    CHECK(buf_ok(&out) && out.len < 10000);
    buf_fini(&out);
    free(data);
}

int main(void)
{
    RUN(every_field_is_written_as_the_protocol_says);
    RUN(every_field_comes_back_byte_for_byte);
    RUN(an_empty_request_is_empty_either_way);
    RUN(tolerant_forms_are_read);
    RUN(ids_are_hex_of_either_case_and_any_size);
    RUN(bytes_are_base64_of_either_alphabet);
    RUN(integers_are_read_to_their_bounds_and_refused_beyond);
    RUN(doubles_make_the_round_exactly);
    RUN(doubles_are_read_from_strings_and_integers);
    RUN(the_later_of_two_keys_wins_and_lists_are_joined);
    RUN(half_a_character_is_replaced);
    RUN(wrong_types_are_named);
    RUN(nesting_is_bounded_as_in_the_scan);
    RUN(both_bounds_of_memory_hold_and_nothing_is_left);
    RUN(a_full_buffer_ends_the_writing);
    RUN(what_the_scan_refuses_is_not_written);
    RUN(messages_in_several_parts_are_written_as_one);
    RUN(invalid_utf8_becomes_replacement_characters);
    RUN(a_span_and_a_value_are_written_alone);
    RUN(values_nested_without_end_are_cut);
    return DONE();
}
