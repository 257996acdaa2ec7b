/* Which records of a body of logs carry a trace id, and the body without others. */
#include "check.h"
#include "otlp/scan_logs.h"
#include "otlp/view.h"
#include "otlp/write.h"

#include <stdlib.h>

static const uint8_t first_id[16] = {1, 2, 3}, second_id[16] = {9};

/* A LogRecord with this trace id; NULL: without one. */
static void put_record(struct buf *b, const uint8_t *id, size_t id_len, const char *text)
{
    size_t record = otlp_write_begin(b, 2);

    wire_put_bytes(b, 3, slice_str(text));
    if (id)
        wire_put_bytes(b, 9, slice_make(id, id_len));
    otlp_write_end(b, record);
}

/* Two resources: of the first, two scopes. Records: first, none, second; none. */
static struct buf body_new(void)
{
    struct buf b;
    size_t resource, scope;

    buf_init(&b, 1 << 20, NULL);
    resource = otlp_write_begin(&b, 1);
    wire_put_bytes(&b, 3, slice_str("a schema"));
    scope = otlp_write_begin(&b, 2);
    put_record(&b, first_id, 16, "one");
    put_record(&b, NULL, 0, "two");
    otlp_write_end(&b, scope);
    scope = otlp_write_begin(&b, 2);
    wire_put_bytes(&b, 77, slice_str("unknown to us"));
    put_record(&b, second_id, 16, "three");
    otlp_write_end(&b, scope);
    otlp_write_end(&b, resource);
    resource = otlp_write_begin(&b, 1);
    scope = otlp_write_begin(&b, 2);
    put_record(&b, NULL, 0, "four");
    otlp_write_end(&b, scope);
    otlp_write_end(&b, resource);
    return b;
}

static bool has_text(struct slice bytes, const char *text)
{
    return bytes.len > 0 && memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

static void records_are_found_with_their_trace_ids_and_their_places(void)
{
    struct buf b = body_new();
    struct slice body = buf_slice(&b);
    struct scan_span r[8];
    struct span_view view;

    CHECK(scan_logs(body, NULL, 0) == 4);
    CHECK(scan_logs(body, r, 8) == 4);
    CHECK(memcmp(r[0].trace_id, first_id, 16) == 0 && memcmp(r[2].trace_id, second_id, 16) == 0);
    CHECK(scan_log_is_traced(&r[0]) && !scan_log_is_traced(&r[1]));
    CHECK(scan_log_is_traced(&r[2]) && !scan_log_is_traced(&r[3]));
    for (int i = 0; i < 4; i++)
        CHECK(r[i].flags == SCAN_LOG && r[i].span_id == 0 && r[i].parent_id == 0);
    view = span_view_of(body, &r[2]);
    CHECK(has_text(view.span, "three") && !has_text(view.span, "two"));
    CHECK(has_text(view.scope, "unknown to us") && !has_text(view.scope, "two"));
    CHECK(has_text(view.resource, "a schema") && has_text(view.resource, "one"));
    view = span_view_of(body, &r[3]);
    CHECK(has_text(view.resource, "four") && !has_text(view.resource, "a schema"));
    buf_fini(&b);
}

static void a_scope_is_plain_if_only_records_follow_its_first_one(void)
{
    struct scan_span r[4];
    struct buf b;
    size_t resource, scope;

    buf_init(&b, 1 << 20, NULL);
    resource = otlp_write_begin(&b, 1);
    for (int i = 0; i < 2; i++) {
        scope = otlp_write_begin(&b, 2);
        wire_put_bytes(&b, 77, slice_str("before"));
        put_record(&b, first_id, 16, "one");
        put_record(&b, first_id, 16, "two");
        if (i == 1)
            wire_put_bytes(&b, 78, slice_str("behind"));
        otlp_write_end(&b, scope);
    }
    otlp_write_end(&b, resource);
    CHECK(scan_logs(buf_slice(&b), r, 4) == 4);
    for (int i = 0; i < 4; i++)
        CHECK(span_view_of(buf_slice(&b), &r[i]).plain_scope == (i < 2));
    CHECK(has_text(span_view_of(buf_slice(&b), &r[3]).scope, "behind"));
    buf_fini(&b);
}

static void an_id_of_another_length_or_of_zeros_is_none_and_the_last_one_counts(void)
{
    static const uint8_t zeros[16];
    struct buf b;
    size_t resource, scope, record;
    struct scan_span r[8];

    buf_init(&b, 1 << 20, NULL);
    resource = otlp_write_begin(&b, 1);
    scope = otlp_write_begin(&b, 2);
    put_record(&b, first_id, 8, "short");
    put_record(&b, zeros, 16, "zeros");
    put_record(&b, first_id, 0, "empty");
    record = otlp_write_begin(&b, 2);
    wire_put_bytes(&b, 9, slice_make(second_id, 16));
    wire_put_bytes(&b, 9, slice_make(first_id, 16));
    otlp_write_end(&b, record);
    otlp_write_end(&b, scope);
    otlp_write_end(&b, resource);
    CHECK(scan_logs(buf_slice(&b), r, 8) == 4);
    for (int i = 0; i < 3; i++)
        CHECK(!scan_log_is_traced(&r[i]));
    CHECK(memcmp(r[3].trace_id, first_id, 16) == 0);
    buf_fini(&b);
}

static void those_that_are_kept_are_left_and_nothing_around_the_others(void)
{
    const bool traced[] = {true, false, true, false}, others[] = {false, true, false, true};
    struct buf b = body_new(), out;
    struct scan_span r[8];

    buf_init(&out, b.len, NULL);
    CHECK(scan_keep_logs(buf_slice(&b), traced, 4, &out) == ERR_OK);
    CHECK(scan_logs(buf_slice(&out), r, 8) == 2);
    CHECK(scan_log_is_traced(&r[0]) && scan_log_is_traced(&r[1]));
    CHECK(has_text(buf_slice(&out), "unknown to us") && has_text(buf_slice(&out), "a schema"));
    CHECK(!has_text(buf_slice(&out), "two") && !has_text(buf_slice(&out), "four"));
    CHECK(r[0].resource_offset == r[1].resource_offset);
    buf_clear(&out);
    CHECK(scan_keep_logs(buf_slice(&b), others, 4, &out) == ERR_OK);
    CHECK(scan_logs(buf_slice(&out), r, 8) == 2);
    CHECK(!scan_log_is_traced(&r[0]) && !scan_log_is_traced(&r[1]));
    CHECK(!has_text(buf_slice(&out), "unknown to us") && has_text(buf_slice(&out), "four"));
    buf_fini(&out);
    buf_fini(&b);
}

static void all_of_it_is_the_same_bytes_and_nothing_of_it_is_none(void)
{
    const bool all[] = {true, true, true, true}, none[] = {false, false, false, false};
    struct buf b = body_new(), out;

    buf_init(&out, b.len, NULL);
    CHECK(scan_keep_logs(buf_slice(&b), all, 4, &out) == ERR_OK);
    CHECK(out.len == b.len && memcmp(out.data, b.data, b.len) == 0);
    buf_clear(&out);
    CHECK(scan_keep_logs(buf_slice(&b), none, 4, &out) == ERR_OK && out.len == 0);
    buf_fini(&out);
    buf_init(&out, b.len / 2, NULL);
    CHECK(scan_keep_logs(buf_slice(&b), all, 4, &out) == ERR_FULL && out.len == 0 && buf_ok(&out));
    buf_fini(&out);
    buf_fini(&b);
}

/* Each is in memory of its own, so that a read behind it is seen. */
static void a_body_that_ends_anywhere_is_read_up_to_there(void)
{
    const bool keeps[] = {true, false, true, false};
    struct buf b = body_new(), out;
    struct scan_span r[8];

    buf_init(&out, b.len, NULL);
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *cut = malloc(len + 1);

        if (!cut)
            abort();
        memcpy(cut, b.data, len);
        buf_clear(&out);
        CHECK(scan_logs(slice_make(cut, len), r, 8) <= 4);
        CHECK(scan_keep_logs(slice_make(cut, len), keeps, 4, &out) == ERR_OK && out.len <= len);
        free(cut);
    }
    buf_fini(&out);
    buf_fini(&b);
}

int main(void)
{
    RUN(records_are_found_with_their_trace_ids_and_their_places);
    RUN(a_scope_is_plain_if_only_records_follow_its_first_one);
    RUN(an_id_of_another_length_or_of_zeros_is_none_and_the_last_one_counts);
    RUN(those_that_are_kept_are_left_and_nothing_around_the_others);
    RUN(all_of_it_is_the_same_bytes_and_nothing_of_it_is_none);
    RUN(a_body_that_ends_anywhere_is_read_up_to_there);
    return DONE();
}
