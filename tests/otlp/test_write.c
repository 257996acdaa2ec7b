#include "check.h"
#include "message.h"
#include "otlp/write.h"

static void numbers_have_the_size_that_is_said(void)
{
    for (int bit = 0; bit < 64; bit++) {
        uint64_t values[] = {1ull << bit, (1ull << bit) - 1};

        for (int i = 0; i < 2; i++) {
            struct message expected = {.len = 0};
            uint64_t read = 0;
            struct wire w;
            struct buf b;

            buf_init(&b, 64, NULL);
            wire_put_varint(&b, values[i]);
            put_varint(&expected, values[i]);
            CHECK(slice_equal(buf_slice(&b), bytes_of(&expected)));
            CHECK(wire_varint_size(values[i]) == b.len);
            w = wire_of(buf_slice(&b));
            CHECK(wire_varint(&w, &read) && read == values[i] && w.at == w.end);
            buf_fini(&b);
        }
    }
}

static void fields_are_read_as_they_were_written(void)
{
    struct wire_field field;
    struct wire w;
    struct buf b;

    buf_init(&b, 1024, NULL);
    wire_put_uint(&b, (1u << 29) - 1, UINT64_MAX);
    wire_put_fixed64(&b, 16, 0x0102030405060708u);
    wire_put_fixed32(&b, 1, 0x01020304u);
    wire_put_bytes(&b, 2, slice_str("text"));
    w = wire_of(buf_slice(&b));
    CHECK(wire_next(&w, &field) && field.number == (1u << 29) - 1 && field.value == UINT64_MAX);
    CHECK(wire_next(&w, &field) && field.type == WIRE_I64 && field.value == 0x0102030405060708u);
    CHECK(wire_next(&w, &field) && field.type == WIRE_I32 && field.value == 0x01020304u);
    CHECK(wire_next(&w, &field) && field.number == 2 && slice_is(field.bytes, "text"));
    CHECK(!wire_next(&w, &field) && w.at == w.end);
    CHECK(wire_bytes_size(2, 4) == 6 && wire_bytes_size(16, 200) == 204);
    buf_fini(&b);
}

static void a_malformed_field_stops_the_reader_where_it_is(void)
{
    struct wire_field field;
    struct wire w = wire_of(slice_make("\x08\x01\x12\x05zz", 6));

    CHECK(wire_next(&w, &field) && field.value == 1);
    CHECK(!wire_next(&w, &field) && w.end - w.at == 4);
}

/* Messages just under, at and over the sizes where the length takes one byte more. */
static void the_length_of_a_message_is_written_shortest(void)
{
    static const size_t sizes[] = {0, 1, 127, 128, 129, 16383, 16384, 16385, 100000};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct wire_field field;
        struct wire w;
        struct buf b;
        size_t start;

        buf_init(&b, 200000, NULL);
        start = otlp_write_begin(&b, 7);
        for (size_t n = 0; n < sizes[i]; n++)
            buf_byte(&b, (uint8_t)n);
        otlp_write_end(&b, start);
        buf_byte(&b, 0x08);
        CHECK(buf_ok(&b) && b.len == wire_bytes_size(7, sizes[i]) + 1);
        w = wire_of(buf_slice(&b));
        CHECK(wire_next(&w, &field) && field.number == 7 && field.bytes.len == sizes[i]);
        for (size_t n = 0; n < field.bytes.len; n++)
            CHECK(field.bytes.data[n] == (uint8_t)n);
        buf_fini(&b);
    }
}

static void a_full_buffer_is_said_once_and_harms_nothing(void)
{
    struct buf b;
    size_t outer, inner;

    buf_init(&b, 140, NULL);
    outer = otlp_write_begin(&b, 1);
    inner = otlp_write_begin(&b, 1);
    for (int i = 0; i < 136; i++)
        buf_byte(&b, 1);
    CHECK(buf_ok(&b));
    otlp_write_end(&b, inner); /* the length takes a second byte: no room */
    otlp_write_end(&b, outer);
    CHECK(!buf_ok(&b) && b.len <= 140);
    buf_fini(&b);
}

static void a_span_is_written_as_the_views_read_it(void)
{
    struct span_fields in = {
        .trace_id = slice_str("0123456789abcdef"),
        .span_id = slice_str("01234567"),
        .parent_id = slice_str("76543210"),
        .name = slice_str("GET /"),
        .trace_state = slice_str("ot=th:8"),
        .status_message = slice_str("no"),
        .start_ns = 1,
        .end_ns = UINT64_MAX,
        .kind = -3,
        .status = 2,
        .flags = 0x101,
        .dropped_attributes = 4,
        .dropped_events = 5,
        .dropped_links = UINT32_MAX,
    };
    struct span_fields out;
    struct value value;
    struct buf b;

    buf_init(&b, 4096, NULL);
    otlp_write_span_fields(&b, &in);
    otlp_write_attr_str(&b, ATTRS_SPAN, "text", slice_str("value"));
    otlp_write_attr_int(&b, ATTRS_SPAN, "int", INT64_MIN);
    otlp_write_attr_double(&b, ATTRS_SPAN, "double", -0.5);
    otlp_write_attr_bool(&b, ATTRS_SPAN, "bool", true);
    view_span_fields(buf_slice(&b), &out);
    CHECK(slice_equal(in.trace_id, out.trace_id) && slice_equal(in.span_id, out.span_id));
    CHECK(slice_equal(in.parent_id, out.parent_id) && slice_equal(in.name, out.name));
    CHECK(slice_equal(in.trace_state, out.trace_state));
    CHECK(slice_equal(in.status_message, out.status_message));
    CHECK(in.start_ns == out.start_ns && in.end_ns == out.end_ns && in.kind == out.kind);
    CHECK(in.status == out.status && in.flags == out.flags);
    CHECK(in.dropped_attributes == out.dropped_attributes);
    CHECK(in.dropped_events == out.dropped_events && in.dropped_links == out.dropped_links);
    CHECK(view_attr(buf_slice(&b), ATTRS_SPAN, slice_str("text"), &value) &&
          value.type == VALUE_STRING && slice_is(value.bytes, "value"));
    CHECK(view_attr(buf_slice(&b), ATTRS_SPAN, slice_str("int"), &value) &&
          value.type == VALUE_INT && value.integer == INT64_MIN);
    CHECK(view_attr(buf_slice(&b), ATTRS_SPAN, slice_str("double"), &value) &&
          value.type == VALUE_DOUBLE && value.number == -0.5);
    CHECK(view_attr(buf_slice(&b), ATTRS_SPAN, slice_str("bool"), &value) &&
          value.type == VALUE_BOOL && value.boolean);
    buf_fini(&b);
}

int main(void)
{
    RUN(numbers_have_the_size_that_is_said);
    RUN(fields_are_read_as_they_were_written);
    RUN(a_malformed_field_stops_the_reader_where_it_is);
    RUN(the_length_of_a_message_is_written_shortest);
    RUN(a_full_buffer_is_said_once_and_harms_nothing);
    RUN(a_span_is_written_as_the_views_read_it);
    return DONE();
}
