#include "check.h"
#include "policy/reader.h"
#include "policy/traces.h"

enum { KEYS = 40 };

static const char *key_of(int i, char text[16])
{
    snprintf(text, 16, "key.%d", i);
    return text;
}

/* A span of `count` attributes: key.I is I. */
static struct span_view make_span(struct buf *b, int count)
{
    char text[16];

    buf_init(b, 1 << 20, NULL);
    for (int i = 0; i < count; i++) {
        int64_t value = i;

        put_attr(b, ATTRS_SPAN, &(struct test_attr){key_of(i, text), NULL, &value});
    }
    return (struct span_view){.span = buf_slice(b)};
}

static bool reads(struct reader *r, size_t span, int i, bool is_there)
{
    struct value v = {.type = VALUE_ABSENT};
    char text[16];
    bool found = reader_attr(r, span, OWNER_SPAN, 0, slice_str(key_of(i, text)), &v);

    return found == is_there && (!found || (v.type == VALUE_INT && v.integer == i));
}

/* Whatever was noted of a span before, and whether there was room to note it. */
static void an_attribute_reads_the_same_each_time(void)
{
    struct buf bytes[MAX_SPANS];
    struct span_view views[MAX_SPANS];
    struct policy_trace trace = {
        .count = MAX_SPANS, .span = policy_span_in_array, .span_arg = views};
    struct reader r;

    for (size_t span = 0; span < MAX_SPANS; span++)
        views[span] = make_span(&bytes[span], KEYS);
    reader_init(&r);
    reader_begin(&r, &trace);
    CHECK(reader_ready(&r));
    CHECK(MAX_SPANS * KEYS > READER_ATTRS * r.capacity); /* the last ones have no room */
    for (int round = 0; round < 3; round++)
        for (size_t span = 0; span < MAX_SPANS; span++)
            for (int i = 0; i <= KEYS; i++)
                CHECK(reads(&r, span, i, i < KEYS));
    reader_end(&r);
    reader_fini(&r);
    for (size_t span = 0; span < MAX_SPANS; span++)
        buf_fini(&bytes[span]);
}

static void an_edited_span_reads_as_it_is_now(void)
{
    struct buf bytes[2];
    struct span_view before = make_span(&bytes[0], 20), after = make_span(&bytes[1], 10);
    struct policy_trace trace = {.count = 1, .span = policy_span_in_array, .span_arg = &before};
    struct reader r;

    reader_init(&r);
    reader_begin(&r, &trace);
    CHECK(reader_ready(&r));
    CHECK(reads(&r, 0, 15, true) && reads(&r, 0, 15, true));
    reader_set_view(&r, 0, &after);
    CHECK(reads(&r, 0, 15, false) && reads(&r, 0, 5, true) && reads(&r, 0, 15, false));
    reader_end(&r);
    reader_fini(&r);
    buf_fini(&bytes[0]);
    buf_fini(&bytes[1]);
}

static void the_first_of_several_keys_that_has_a_value_counts(void)
{
    const struct slice keys[] = {slice_str("empty"), slice_str("second"), slice_str("third")};
    struct span_view view;
    struct policy_trace trace = {.count = 1, .span = policy_span_in_array, .span_arg = &view};
    struct buf b, empty;
    struct reader r;
    struct value v;

    buf_init(&b, 1 << 10, NULL);
    buf_init(&empty, 1 << 10, NULL);
    wire_put_bytes(&empty, 1, keys[0]);
    wire_put_bytes(&b, ATTRS_SPAN, buf_slice(&empty));
    put_attr(&b, ATTRS_SPAN, &(struct test_attr){"third", "3", NULL});
    put_attr(&b, ATTRS_SPAN, &(struct test_attr){"second", "2", NULL});
    put_attr(&b, ATTRS_SPAN, &(struct test_attr){"second", "no", NULL});
    view = (struct span_view){.span = buf_slice(&b)};
    reader_init(&r);
    reader_begin(&r, &trace);
    CHECK(reader_ready(&r));
    CHECK(reader_first_attr(&r, 0, keys, 3, &v) == 1 && slice_is(v.bytes, "2"));
    CHECK(reader_first_attr(&r, 0, keys, 1, &v) == -1);
    reader_end(&r);
    reader_fini(&r);
    buf_fini(&b);
    buf_fini(&empty);
}

int main(void)
{
    RUN(an_attribute_reads_the_same_each_time);
    RUN(an_edited_span_reads_as_it_is_now);
    RUN(the_first_of_several_keys_that_has_a_value_counts);
    return DONE();
}
