#include "check.h"
#include "otlp/splice.h"
#include "otlp/wire.h"
#include "otlp/write.h"

#include <stdlib.h>

static struct buf bytes_new(void)
{
    struct buf b;

    buf_init(&b, 1 << 20, NULL);
    return b;
}

/* name, an unknown field, attributes a, b, a list, an event with an attribute, a link, a status. */
static struct buf span_new(void)
{
    struct buf b = bytes_new(), list = bytes_new();
    size_t inner;

    wire_put_bytes(&b, SPLICE_SPAN_PARENT_ID, slice_make("\1\2\3\4\5\6\7\10", 8));
    wire_put_bytes(&b, SPLICE_SPAN_NAME, slice_str("GET /orders"));
    wire_put_uint(&b, 1234, 77);
    otlp_write_attr_str(&b, ATTRS_SPAN, "a", slice_str("first value"));
    otlp_write_attr_int(&b, ATTRS_SPAN, "b", INT64_MIN);
    inner = otlp_write_begin(&list, 1);
    wire_put_bytes(&list, 1, slice_str("a long element"));
    otlp_write_end(&list, inner);
    otlp_write_attr(&b, ATTRS_SPAN, slice_str("list"),
                    &(struct value){.type = VALUE_ARRAY, .bytes = buf_slice(&list)});
    buf_fini(&list);
    inner = otlp_write_begin(&b, SPLICE_SPAN_EVENTS);
    wire_put_bytes(&b, 2, slice_str("exception"));
    otlp_write_attr_str(&b, ATTRS_EVENT, "why", slice_str("no such table"));
    otlp_write_end(&b, inner);
    inner = otlp_write_begin(&b, SPLICE_SPAN_LINKS);
    otlp_write_attr_str(&b, ATTRS_LINK, "k", slice_str("v"));
    otlp_write_end(&b, inner);
    wire_put_bytes(&b, 4321, slice_str("unknown to us"));
    return b;
}

static bool attr_is(struct slice span, const char *key, const char *text)
{
    struct value v;

    return view_attr(span, ATTRS_SPAN, slice_str(key), &v) && v.type == VALUE_STRING &&
           slice_is(v.bytes, text);
}

static struct splice_edit edit(enum splice_action action, const char *key, const char *text)
{
    struct splice_edit e = {.action = action, .key = slice_str(key)};

    e.value = (struct value){.type = VALUE_STRING, .bytes = slice_str(text)};
    return e;
}

static void no_edit_changes_no_byte(void)
{
    struct buf span = span_new(), out = bytes_new();
    const struct splice_edit useless[] = {edit(SPLICE_UPDATE, "none", "x"),
                                          edit(SPLICE_INSERT, "a", "x"),
                                          edit(SPLICE_DELETE, "other", "")};

    splice_attrs(OWNER_SPAN, buf_slice(&span), &(struct splice){NULL, 0}, &out);
    CHECK(slice_equal(buf_slice(&span), buf_slice(&out)));
    buf_clear(&out);
    splice_attrs(OWNER_SPAN, buf_slice(&span), &(struct splice){useless, 3}, &out);
    CHECK(slice_equal(buf_slice(&span), buf_slice(&out)));
    buf_clear(&out);
    splice_truncate(OWNER_SPAN, buf_slice(&span), 1000, &out);
    CHECK(slice_equal(buf_slice(&span), buf_slice(&out)));
    buf_fini(&span);
    buf_fini(&out);
}

/* A later edit sees what an earlier one made; an attribute stays in its place. */
static void edits_of_attributes_apply_in_order(void)
{
    struct buf span = span_new(), out = bytes_new();
    const struct splice_edit edits[] = {
        edit(SPLICE_UPSERT, "a", "second"), edit(SPLICE_DELETE, "b", ""),
        edit(SPLICE_INSERT, "b", "again"), edit(SPLICE_INSERT, "new", "n"),
        edit(SPLICE_UPDATE, "new", "newer")};
    struct slice key;
    struct value v;
    size_t at = 0;

    splice_attrs(OWNER_SPAN, buf_slice(&span), &(struct splice){edits, 5}, &out);
    CHECK(attr_is(buf_slice(&out), "a", "second"));
    CHECK(attr_is(buf_slice(&out), "b", "again"));
    CHECK(attr_is(buf_slice(&out), "new", "newer"));
    CHECK(view_attr_next(buf_slice(&out), ATTRS_SPAN, &at, &key, &v) && slice_is(key, "a"));
    CHECK(view_attr_next(buf_slice(&out), ATTRS_SPAN, &at, &key, &v) && slice_is(key, "b"));
    CHECK(memmem(out.data, out.len, "unknown to us", 13) != NULL);
    buf_fini(&span);
    buf_fini(&out);
}

static void a_field_is_replaced_where_it_was_or_put_last(void)
{
    struct buf span = span_new(), out = bytes_new(), back = bytes_new();
    struct slice name = slice_str("renamed"), was = slice_str("GET /orders");
    struct span_fields f;

    splice_field(buf_slice(&span), SPLICE_SPAN_NAME, &name, &out);
    view_span_fields(buf_slice(&out), &f);
    CHECK(slice_is(f.name, "renamed") && f.parent_id.len == 8);
    splice_field(buf_slice(&out), SPLICE_SPAN_NAME, &was, &back);
    CHECK(slice_equal(buf_slice(&span), buf_slice(&back)));
    buf_clear(&out);
    splice_field(buf_slice(&span), SPLICE_SPAN_PARENT_ID, NULL, &out);
    view_span_fields(buf_slice(&out), &f);
    CHECK(f.parent_id.len == 0 && out.len == span.len - 10);
    buf_clear(&back);
    splice_field(buf_slice(&out), SPLICE_SPAN_PARENT_ID, &name, &back);
    view_span_fields(buf_slice(&back), &f);
    CHECK(slice_is(f.parent_id, "renamed"));
    buf_fini(&span);
    buf_fini(&out);
    buf_fini(&back);
}

static void an_event_is_edited_where_it_lies(void)
{
    struct buf span = span_new(), inner = bytes_new(), out = bytes_new();
    const struct splice_edit edits[] = {edit(SPLICE_DELETE, "why", ""),
                                        edit(SPLICE_UPSERT, "kind", "sql")};
    struct slice event, name;
    uint64_t time_ns;
    struct value v;
    size_t at = 0;

    CHECK(view_event_next(buf_slice(&span), &at, &event));
    splice_attrs(OWNER_EVENT, event, &(struct splice){edits, 2}, &inner);
    splice_inner(buf_slice(&span), SPLICE_SPAN_EVENTS, event, buf_slice(&inner), &out);
    at = 0;
    CHECK(view_event_next(buf_slice(&out), &at, &event));
    view_event(event, &time_ns, &name);
    CHECK(slice_is(name, "exception"));
    CHECK(!view_attr(event, ATTRS_EVENT, slice_str("why"), &v));
    CHECK(view_attr(event, ATTRS_EVENT, slice_str("kind"), &v) && slice_is(v.bytes, "sql"));
    CHECK(attr_is(buf_slice(&out), "a", "first value"));
    buf_fini(&span);
    buf_fini(&inner);
    buf_fini(&out);
}

static void a_stripped_span_has_no_attributes_events_or_links(void)
{
    struct buf span = span_new(), out = bytes_new();
    struct span_fields f;
    struct slice inner;
    size_t at = 0;

    splice_strip(buf_slice(&span), slice_str("****"), &out);
    view_span_fields(buf_slice(&out), &f);
    CHECK(slice_is(f.name, "****"));
    CHECK(!view_event_next(buf_slice(&out), &at, &inner));
    at = 0;
    CHECK(!view_link_next(buf_slice(&out), &at, &inner));
    CHECK(memmem(out.data, out.len, "first value", 11) == NULL);
    CHECK(memmem(out.data, out.len, "unknown to us", 13) != NULL);
    buf_fini(&span);
    buf_fini(&out);
}

static void every_long_string_is_cut(void)
{
    struct buf span = span_new(), out = bytes_new();
    struct value v, element;
    size_t at = 0;

    CHECK(splice_too_long(OWNER_SPAN, buf_slice(&span), 5) == 5);
    splice_truncate(OWNER_SPAN, buf_slice(&span), 5, &out);
    CHECK(splice_too_long(OWNER_SPAN, buf_slice(&out), 5) == 0);
    CHECK(attr_is(buf_slice(&out), "a", "first"));
    CHECK(view_attr(buf_slice(&out), ATTRS_SPAN, slice_str("list"), &v) &&
          view_array_next(v.bytes, &at, &element) && slice_is(element.bytes, "a lon"));
    CHECK(view_attr(buf_slice(&out), ATTRS_SPAN, slice_str("b"), &v) && v.integer == INT64_MIN);
    CHECK(memmem(out.data, out.len, "unknown to us", 13) != NULL);
    buf_fini(&span);
    buf_fini(&out);
}

static void a_cut_is_between_two_characters(void)
{
    static const char *const texts[][2] = {{"a\xc3\xa4\xc3\xa4", "a\xc3\xa4"},
                                           {"\xf0\x9f\x98\x80\x61", "\xf0\x9f\x98\x80"},
                                           {"ab\xf0\x9f\x98\x80", "ab"},
                                           {"abcd\xc3\xa4", "abcd"}};

    for (size_t i = 0; i < 4; i++) {
        struct buf span = bytes_new(), out = bytes_new();

        otlp_write_attr_str(&span, ATTRS_SPAN, "k", slice_str(texts[i][0]));
        splice_truncate(OWNER_SPAN, buf_slice(&span), 4, &out);
        CHECK(attr_is(buf_slice(&out), "k", texts[i][1]));
        buf_fini(&span);
        buf_fini(&out);
    }
}

/* Whatever the scan said before: damaged bytes give something, never a read outside. */
static void damaged_bytes_are_read_within_their_bounds(void)
{
    struct buf span = span_new(), out = bytes_new();
    const struct splice_edit edits[] = {edit(SPLICE_UPSERT, "a", "x")};

    for (size_t cut = 0; cut < span.len; cut++) {
        uint8_t *copy = malloc(cut + 1);
        struct slice part = slice_make(copy, cut);

        if (!copy)
            abort();
        memcpy(copy, span.data, cut);
        buf_clear(&out);
        splice_attrs(OWNER_SPAN, part, &(struct splice){edits, 1}, &out);
        splice_truncate(OWNER_SPAN, part, 3, &out);
        splice_strip(part, slice_str("****"), &out);
        splice_resource(part, &(struct splice){edits, 1}, &out);
        CHECK(buf_ok(&out));
        free(copy);
    }
    buf_fini(&span);
    buf_fini(&out);
}

int main(void)
{
    RUN(no_edit_changes_no_byte);
    RUN(edits_of_attributes_apply_in_order);
    RUN(a_field_is_replaced_where_it_was_or_put_last);
    RUN(an_event_is_edited_where_it_lies);
    RUN(a_stripped_span_has_no_attributes_events_or_links);
    RUN(every_long_string_is_cut);
    RUN(a_cut_is_between_two_characters);
    RUN(damaged_bytes_are_read_within_their_bounds);
    return DONE();
}
