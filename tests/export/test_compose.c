#include "check.h"
#include "export/compose.h"
#include "otlp/wire.h"

#include <stdlib.h>

/* A body under construction: levels of messages, written inside out. */
static struct buf bytes_new(void)
{
    struct buf b;

    buf_init(&b, 1 << 20, NULL);
    return b;
}

static void put_message(struct buf *to, uint32_t number, struct buf *message)
{
    wire_put_bytes(to, number, buf_slice(message));
    buf_fini(message);
}

static void put_attr(struct buf *to, uint32_t number, const char *key, const char *value)
{
    struct buf pair = bytes_new(), any = bytes_new();

    wire_put_bytes(&any, 1, slice_str(value));
    wire_put_bytes(&pair, 1, slice_str(key));
    put_message(&pair, 2, &any);
    put_message(to, number, &pair);
}

/* A span with ids, an unknown field, and a trace_state if given. */
static struct buf span_new(uint8_t id, const char *trace_state)
{
    struct buf b = bytes_new();
    uint8_t trace_id[16] = {[15] = 7}, span_id[8] = {[7] = id};

    wire_put_bytes(&b, 1, slice_make(trace_id, 16));
    wire_put_bytes(&b, 2, slice_make(span_id, 8));
    if (trace_state)
        wire_put_bytes(&b, 3, slice_str(trace_state));
    wire_put_bytes(&b, 5, slice_str("GET /"));
    put_attr(&b, 9, "http.route", "/");
    wire_put_uint(&b, 1234, id);
    return b;
}

static void put_span(struct buf *scope, uint8_t id, const char *trace_state)
{
    struct buf span = span_new(id, trace_state);

    put_message(scope, 2, &span);
}

static void put_scope_name(struct buf *scope, const char *name)
{
    struct buf s = bytes_new();

    wire_put_bytes(&s, 1, slice_str(name));
    put_message(scope, 1, &s);
}

static void put_resource(struct buf *resource_spans, const char *service)
{
    struct buf r = bytes_new();

    put_attr(&r, 1, "service.name", service);
    put_attr(&r, 1, "zone", "a");
    wire_put_uint(&r, 2, 3); /* dropped_attributes_count */
    put_message(resource_spans, 1, &r);
}

/* The spans of `body` as the worker hands them over. */
struct input {
    struct scan_span scanned[64];
    struct compose_span spans[64];
    size_t count;
};

static void add_body(struct input *in, struct slice body)
{
    struct scan_result result;
    struct scan_span *s = in->scanned;

    CHECK(scan_traces(body, s, 64, &result) == ERR_OK);
    for (size_t i = 0; i < result.spans; i++) {
        in->spans[in->count].view =
            span_view_at(body, s[i].offset, s[i].len, s[i].resource_offset, s[i].scope_offset);
        in->spans[in->count++].body = body.data;
    }
}

static const struct compose_edits no_edits = {.entry = SIZE_MAX};

static struct buf compose(const struct input *in, const struct compose_edits *edits)
{
    struct buf out = bytes_new();
    struct scan_span scanned[64];
    struct scan_result result;

    CHECK(compose_traces(in->spans, in->count, edits, &out) == ERR_OK);
    CHECK(scan_traces(buf_slice(&out), scanned, 64, &result) == ERR_OK);
    CHECK(result.spans == in->count && result.rejected == 0);
    return out;
}

static bool contains(const struct buf *b, struct slice part)
{
    return memmem(b->data, b->len, part.data, part.len) != NULL;
}

/* One ResourceSpans with two scopes of two spans (but for the one with id `without`), unknown
 * fields everywhere. */
static struct buf two_scopes_without(const char *service, int without)
{
    struct buf body = bytes_new(), rs = bytes_new();

    put_resource(&rs, service);
    wire_put_bytes(&rs, 3, slice_str("schema-r"));
    wire_put_fixed64(&rs, 777, 42);
    for (uint8_t n = 0; n < 2; n++) {
        struct buf scope = bytes_new();

        put_scope_name(&scope, n ? "second" : "first");
        wire_put_bytes(&scope, 3, slice_str("schema-s"));
        wire_put_fixed32(&scope, 778, 43);
        put_span(&scope, (uint8_t)(2 * n + 1), NULL);
        if (2 * n + 2 != without)
            put_span(&scope, (uint8_t)(2 * n + 2), "vendor=1");
        put_message(&rs, 2, &scope);
    }
    put_message(&body, 1, &rs);
    return body;
}

static struct buf two_scopes(const char *service)
{
    return two_scopes_without(service, 0);
}

static void all_spans_of_a_body_leave_byte_for_byte(void)
{
    struct buf body = two_scopes("shop"), out;
    struct input in = {.count = 0};

    add_body(&in, buf_slice(&body));
    out = compose(&in, &no_edits);
    CHECK(in.count == 4);
    CHECK(slice_equal(buf_slice(&out), buf_slice(&body)));
    buf_fini(&out);
    buf_fini(&body);
}

static void a_span_left_out_takes_only_itself_away(void)
{
    struct buf body = two_scopes("shop"), less = two_scopes_without("shop", 2), out;
    struct input in = {.count = 0};

    add_body(&in, buf_slice(&body));
    memmove(&in.spans[1], &in.spans[2], 2 * sizeof(in.spans[0]));
    in.count = 3;
    out = compose(&in, &no_edits);
    CHECK(slice_equal(buf_slice(&out), buf_slice(&less)));
    buf_fini(&less);
    buf_fini(&out);
    buf_fini(&body);
}

static void spans_of_two_bodies_that_alternate_are_grouped_again(void)
{
    struct buf a = two_scopes("shop"), b = two_scopes("cart"), out, both = bytes_new();
    struct input in = {.count = 0}, mixed = {.count = 0};

    add_body(&in, buf_slice(&a));
    add_body(&in, buf_slice(&b));
    for (size_t i = 0; i < 4; i++) {
        mixed.spans[mixed.count++] = in.spans[i];
        mixed.spans[mixed.count++] = in.spans[4 + i];
    }
    out = compose(&mixed, &no_edits);
    buf_append(&both, a.data, a.len);
    buf_append(&both, b.data, b.len);
    CHECK(slice_equal(buf_slice(&out), buf_slice(&both)));
    buf_fini(&both);
    buf_fini(&out);
    buf_fini(&a);
    buf_fini(&b);
}

static void equal_resources_of_two_bodies_stay_two(void)
{
    struct buf a = two_scopes("shop"), b = two_scopes("shop"), out;
    struct input in = {.count = 0};

    add_body(&in, buf_slice(&a));
    add_body(&in, buf_slice(&b));
    out = compose(&in, &no_edits);
    CHECK(out.len == a.len + b.len);
    buf_fini(&out);
    buf_fini(&a);
    buf_fini(&b);
}

static struct buf one_span(const char *trace_state, bool resource)
{
    struct buf body = bytes_new(), rs = bytes_new(), scope = bytes_new();

    if (resource)
        put_resource(&rs, "shop");
    put_span(&scope, 1, trace_state);
    put_message(&rs, 2, &scope);
    put_message(&body, 1, &rs);
    return body;
}

static struct value text_value(const char *text)
{
    return (struct value){.type = VALUE_STRING, .bytes = slice_str(text)};
}

static bool has_text(const struct buf *out, const char *key, const char *expected)
{
    struct scan_span s;
    struct scan_result r;
    struct span_view v;
    struct value value;

    if (scan_traces(buf_slice(out), &s, 1, &r) != ERR_OK)
        return false;
    v = span_view_at(buf_slice(out), s.offset, s.len, s.resource_offset, s.scope_offset);
    if (!view_resource_attr(v.resource, slice_str(key), &value))
        return expected == NULL;
    return expected && value.type == VALUE_STRING && slice_is(value.bytes, expected);
}

static struct buf edited(const struct splice_edit *edits, size_t count, bool resource)
{
    struct buf body = one_span(NULL, resource), out;
    struct input in = {.count = 0};
    struct compose_edits e = {.resource = {edits, count}, .entry = SIZE_MAX};

    add_body(&in, buf_slice(&body));
    out = compose(&in, &e);
    buf_fini(&body);
    return out;
}

static void resource_attributes_are_upserted_inserted_updated_and_deleted(void)
{
    const struct splice_edit all[] = {
        {SPLICE_UPSERT, slice_str("cluster"), text_value("c1")},
        {SPLICE_UPSERT, slice_str("zone"), text_value("b")},
        {SPLICE_INSERT, slice_str("service.name"), text_value("never")},
        {SPLICE_INSERT, slice_str("fresh"), text_value("f")},
        {SPLICE_UPDATE, slice_str("absent"), text_value("never")},
    };
    const struct splice_edit gone[] = {{.action = SPLICE_DELETE, .key = slice_str("zone")}};
    struct buf out = edited(all, 5, true), less = edited(gone, 1, true);

    CHECK(has_text(&out, "cluster", "c1") && has_text(&out, "zone", "b"));
    CHECK(has_text(&out, "service.name", "shop") && has_text(&out, "fresh", "f"));
    CHECK(has_text(&out, "absent", NULL));
    CHECK(has_text(&less, "zone", NULL) && has_text(&less, "service.name", "shop"));
    buf_fini(&out);
    buf_fini(&less);
}

static void an_edit_in_place_changes_no_other_byte(void)
{
    const struct splice_edit same_length[] = {
        {SPLICE_UPDATE, slice_str("service.name"), text_value("SHOP")}};
    struct buf out = edited(same_length, 1, true), body = one_span(NULL, true);
    size_t different = 0;

    CHECK(out.len == body.len);
    for (size_t i = 0; i < out.len && i < body.len; i++)
        different += out.data[i] != body.data[i];
    CHECK(different == 4);
    buf_fini(&out);
    buf_fini(&body);
}

static void edits_apply_in_their_order(void)
{
    const struct splice_edit e[] = {
        {.action = SPLICE_DELETE, .key = slice_str("zone")},
        {SPLICE_INSERT, slice_str("zone"), text_value("again")},
        {SPLICE_UPSERT, slice_str("x"), text_value("1")},
        {SPLICE_UPDATE, slice_str("x"), text_value("2")},
        {SPLICE_UPSERT, slice_str("y"), text_value("1")},
        {.action = SPLICE_DELETE, .key = slice_str("y")},
    };
    struct buf out = edited(e, 6, true);

    CHECK(has_text(&out, "zone", "again") && has_text(&out, "x", "2") && has_text(&out, "y", NULL));
    buf_fini(&out);
}

static void a_missing_resource_is_made_only_if_something_goes_in(void)
{
    const struct splice_edit put[] = {{SPLICE_UPSERT, slice_str("zone"), text_value("b")}};
    const struct splice_edit gone[] = {{.action = SPLICE_DELETE, .key = slice_str("zone")}};
    struct buf with = edited(put, 1, false), without = edited(gone, 1, false),
               body = one_span(NULL, false);

    CHECK(has_text(&with, "zone", "b"));
    CHECK(slice_equal(buf_slice(&without), buf_slice(&body)));
    buf_fini(&with);
    buf_fini(&without);
    buf_fini(&body);
}

static void values_of_every_type_can_be_set(void)
{
    const struct splice_edit e[] = {
        {SPLICE_UPSERT, slice_str("b"), {.type = VALUE_BOOL, .boolean = true}},
        {SPLICE_UPSERT, slice_str("i"), {.type = VALUE_INT, .integer = -5}},
        {SPLICE_UPSERT, slice_str("d"), {.type = VALUE_DOUBLE, .number = 0.5}},
    };
    struct buf out = edited(e, 3, true);
    struct slice rs = {0};
    struct wire w = wire_of(buf_slice(&out));
    struct wire_field f;
    struct value v;

    while (wire_next(&w, &f))
        rs = f.bytes;
    CHECK(view_resource_attr(rs, slice_str("b"), &v) && v.type == VALUE_BOOL && v.boolean);
    CHECK(view_resource_attr(rs, slice_str("i"), &v) && v.type == VALUE_INT && v.integer == -5);
    CHECK(view_resource_attr(rs, slice_str("d"), &v) && v.type == VALUE_DOUBLE && v.number == 0.5);
    buf_fini(&out);
}

static struct span_view first_span(const struct buf *out)
{
    struct scan_span s[8];
    struct scan_result r;

    CHECK(scan_traces(buf_slice(out), s, 8, &r) == ERR_OK && r.spans > 0);
    return span_view_at(buf_slice(out), s->offset, s->len, s->resource_offset, s->scope_offset);
}

static void the_entry_span_says_why_it_was_kept(void)
{
    struct buf body = bytes_new(), rs = bytes_new(), scope = bytes_new(), span = span_new(1, NULL);
    struct compose_edits e = {.policy = "latency", .reason = "slow", .probability = 0.25};
    struct input in = {.count = 0};
    struct span_view v;
    struct value value;
    struct buf out;
    size_t at = 0, attrs = 0;
    struct slice key;

    put_attr(&span, 9, "sampling.policy", "of an earlier stage");
    put_message(&scope, 2, &span);
    put_span(&scope, 2, NULL);
    put_message(&rs, 2, &scope);
    put_message(&body, 1, &rs);
    add_body(&in, buf_slice(&body));
    out = compose(&in, &e);
    v = first_span(&out);
    CHECK(view_attr(v.span, ATTRS_SPAN, slice_str("sampling.policy"), &value) &&
          slice_is(value.bytes, "latency"));
    CHECK(view_attr(v.span, ATTRS_SPAN, slice_str("sampling.reason"), &value) &&
          slice_is(value.bytes, "slow"));
    CHECK(view_attr(v.span, ATTRS_SPAN, slice_str("sampling.probability"), &value) &&
          value.number == 0.25);
    while (view_attr_next(v.span, ATTRS_SPAN, &at, &key, &value))
        attrs++;
    CHECK(attrs == 4);
    span = span_new(2, NULL);
    CHECK(contains(&out, buf_slice(&span)));
    buf_fini(&span);
    buf_fini(&out);
    buf_fini(&body);
}

/* What trace_state becomes; "-" where there is none in the end. */
static void check_trace_state(const char *from, const struct compose_edits *edits, const char *to)
{
    struct buf body = one_span(from, true), out;
    struct input in = {.count = 0};
    struct span_fields fields;

    add_body(&in, buf_slice(&body));
    out = compose(&in, edits);
    view_span_fields(first_span(&out).span, &fields);
    if (!slice_is(fields.trace_state, to))
        printf("  %s -> %.*s, not %s\n", from ? from : "(none)", (int)fields.trace_state.len,
               (const char *)fields.trace_state.data, to);
    CHECK(slice_is(fields.trace_state, to));
    if (from && strcmp(from, to) == 0)
        CHECK(slice_equal(buf_slice(&out), buf_slice(&body)));
    buf_fini(&out);
    buf_fini(&body);
}

static void the_larger_threshold_is_written_and_the_rest_stays(void)
{
    struct compose_edits e = {.entry = SIZE_MAX, .th = TH_SET, .threshold = 0xe6660000000000};

    check_trace_state("ot=th:c", &e, "ot=th:e666");
    check_trace_state("a=1, ot=rv:6e6d1a75832a2f;th:8;x:y ,b=2", &e,
                      "a=1, ot=rv:6e6d1a75832a2f;th:e666;x:y ,b=2");
    check_trace_state("ot=th:fd70a4", &e, "ot=th:fd70a4");
    check_trace_state("ot=rv:6e6d1a75832a2f", &e, "ot=th:e666;rv:6e6d1a75832a2f");
    check_trace_state("ot=th:NOT", &e, "ot=th:e666");
    check_trace_state("vendor=1", &e, "vendor=1");
    check_trace_state("not=th:1", &e, "not=th:1");
    e.threshold = 0;
    check_trace_state("ot=rv:6e6d1a75832a2f", &e, "ot=th:0;rv:6e6d1a75832a2f");
    check_trace_state("ot=th:0", &e, "ot=th:0");
}

static void a_threshold_that_the_randomness_contradicts_is_erased(void)
{
    struct compose_edits e = {.entry = SIZE_MAX, .th = TH_SET, .has_randomness = true};

    e.randomness = UINT64_C(0x7fffffffffffff);
    check_trace_state("ot=th:8", &e, "");
    check_trace_state("ot=th:7fffffffffffff", &e, "ot=th:7fffffffffffff");
    check_trace_state("a=1,ot=th:c;x:y", &e, "a=1,ot=x:y");
    check_trace_state("ot=th:c;rv:c0000000000000", &e, "ot=th:c;rv:c0000000000000");
    check_trace_state("ot=th:c;rv:bfffffffffffff", &e, "ot=rv:bfffffffffffff");
    check_trace_state("ot=rv:6e6d1a75832a2f;th:6e6d1a75832a2f", &e,
                      "ot=rv:6e6d1a75832a2f;th:6e6d1a75832a2f");
    check_trace_state("ot=rv:6e6d1a75832a2f;th:6e6d1a75832a3", &e, "ot=rv:6e6d1a75832a2f");
    check_trace_state("ot=rv:123;th:4", &e, "ot=rv:123;th:4"); /* no rv: the id's */
    e.threshold = UINT64_C(0xe6660000000000);
    e.randomness = UINT64_C(0xffffffffffffff);
    check_trace_state("ot=th:c", &e, "ot=th:e666");
    check_trace_state("ot=th:ffffffffffffff", &e, "ot=th:ffffffffffffff");
    e.randomness--;
    check_trace_state("ot=th:ffffffffffffff", &e, "");
}

static void always_makes_a_member_where_there_was_none(void)
{
    struct compose_edits e = {
        .entry = SIZE_MAX, .th = TH_SET, .th_always = true, .threshold = 0xc0000000000000};

    check_trace_state("vendor=1", &e, "ot=th:c,vendor=1");
    check_trace_state("", &e, "ot=th:c");
    check_trace_state(NULL, &e, "ot=th:c");
    for (int known = 0; known < 2; known++) {
        e.no_trace_state = known;
        e.threshold = 0xc0000000000000;
        check_trace_state(NULL, &e, "ot=th:c");
        e.threshold = 0xffffffffffffff;
        check_trace_state(NULL, &e, "ot=th:ffffffffffffff");
        e.threshold = 0;
        check_trace_state(NULL, &e, "ot=th:0");
    }
}

static void the_entry_span_takes_a_threshold_and_texts_of_any_length(void)
{
    char reason[400];
    struct compose_edits e = {.policy = "", .reason = reason, .probability = 1};

    e.th = TH_SET;
    e.th_always = e.no_trace_state = true;
    for (size_t len = 0; len < sizeof(reason); len++) {
        struct buf body = one_span(NULL, false), out;
        struct input in = {.count = 0};
        struct span_fields fields;
        struct value value;
        struct slice span;

        memset(reason, 'r', len);
        reason[len] = '\0';
        add_body(&in, buf_slice(&body));
        out = compose(&in, &e);
        span = first_span(&out).span;
        view_span_fields(span, &fields);
        CHECK(slice_is(fields.trace_state, "ot=th:0"));
        CHECK(view_attr(span, ATTRS_SPAN, slice_str("sampling.policy"), &value) &&
              value.type == VALUE_STRING && value.bytes.len == 0);
        CHECK(view_attr(span, ATTRS_SPAN, slice_str("sampling.reason"), &value) &&
              slice_is(value.bytes, reason));
        CHECK(view_attr(span, ATTRS_SPAN, slice_str("sampling.probability"), &value) &&
              value.type == VALUE_DOUBLE && value.number == 1);
        buf_fini(&out);
        buf_fini(&body);
    }
}

static void an_unknown_probability_erases_th_alone(void)
{
    struct compose_edits e = {.entry = SIZE_MAX, .th = TH_ERASE};

    check_trace_state("ot=th:c", &e, "");
    check_trace_state("a=1,ot=th:c,b=2", &e, "a=1,b=2");
    check_trace_state("a=1,ot=th:c", &e, "a=1");
    check_trace_state("ot=th:c;rv:6e6d1a75832a2f", &e, "ot=rv:6e6d1a75832a2f");
    check_trace_state("ot=rv:6e6d1a75832a2f;th:c,z=1", &e, "ot=rv:6e6d1a75832a2f,z=1");
    check_trace_state("ot=rv:6e6d1a75832a2f", &e, "ot=rv:6e6d1a75832a2f");
    check_trace_state("", &e, "");
}

static void a_member_grows_to_256_characters_and_no_further(void)
{
    struct compose_edits e = {.entry = SIZE_MAX, .th = TH_SET, .threshold = 0xe6660000000000};
    char from[260] = "ot=x:", to[300];

    memset(from + 5, 'y', 245); /* 247 characters, with th:e666; 255 */
    snprintf(to, sizeof(to), "ot=th:e666;%s", from + 3);
    check_trace_state(from, &e, to);
    memset(from + 5, 'y', 247); /* 257 with th */
    check_trace_state(from, &e, from);
    snprintf(to, sizeof(to), "%s", from);
    memmove(from + 3 + 5, from + 3, 250);
    memcpy(from + 3, "th:c;", 5);
    check_trace_state(from, &e, to); /* a wrong th is worse than none */
}

static void a_full_buffer_leaves_nothing_behind(void)
{
    struct buf body = two_scopes("shop"), out;
    struct compose_edits e = {.policy = "p", .th = TH_SET, .th_always = true};
    struct input in = {.count = 0};

    add_body(&in, buf_slice(&body));
    for (size_t max = 3; max < body.len + 60; max++) {
        buf_init(&out, max, NULL);
        buf_str(&out, "abc");
        if (compose_traces(in.spans, in.count, &e, &out) == ERR_FULL)
            CHECK(out.len == 3 && buf_ok(&out));
        else
            CHECK(out.len > body.len);
        buf_fini(&out);
    }
    buf_fini(&body);
}

static void ten_thousand_resources_are_composed_in_linear_time(void)
{
    enum { COUNT = 10000 };
    struct buf one = one_span(NULL, true), out, body;
    struct compose_span *spans = calloc(COUNT, sizeof(*spans));
    struct scan_span *scanned = calloc(COUNT, sizeof(*scanned));
    struct scan_result r;

    buf_init(&body, one.len * COUNT, NULL);
    buf_init(&out, one.len * COUNT + 64, NULL);
    for (int i = 0; i < COUNT; i++)
        buf_append(&body, one.data, one.len);
    CHECK(scan_traces(buf_slice(&body), scanned, COUNT, &r) == ERR_OK && r.spans == COUNT);
    for (int i = 0; i < COUNT; i++)
        spans[i].view = span_view_at(buf_slice(&body), scanned[i].offset, scanned[i].len,
                                     scanned[i].resource_offset, scanned[i].scope_offset);
    CHECK(compose_traces(spans, COUNT, &no_edits, &out) == ERR_OK);
    CHECK(slice_equal(buf_slice(&out), buf_slice(&body)));
    free(spans);
    free(scanned);
    buf_fini(&one);
    buf_fini(&out);
    buf_fini(&body);
}

int main(void)
{
    RUN(all_spans_of_a_body_leave_byte_for_byte);
    RUN(a_span_left_out_takes_only_itself_away);
    RUN(spans_of_two_bodies_that_alternate_are_grouped_again);
    RUN(equal_resources_of_two_bodies_stay_two);
    RUN(resource_attributes_are_upserted_inserted_updated_and_deleted);
    RUN(an_edit_in_place_changes_no_other_byte);
    RUN(edits_apply_in_their_order);
    RUN(a_missing_resource_is_made_only_if_something_goes_in);
    RUN(values_of_every_type_can_be_set);
    RUN(the_entry_span_says_why_it_was_kept);
    RUN(the_larger_threshold_is_written_and_the_rest_stays);
    RUN(a_threshold_that_the_randomness_contradicts_is_erased);
    RUN(always_makes_a_member_where_there_was_none);
    RUN(the_entry_span_takes_a_threshold_and_texts_of_any_length);
    RUN(an_unknown_probability_erases_th_alone);
    RUN(a_member_grows_to_256_characters_and_no_further);
    RUN(a_full_buffer_leaves_nothing_behind);
    RUN(ten_thousand_resources_are_composed_in_linear_time);
    return DONE();
}
