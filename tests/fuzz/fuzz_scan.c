/* Any bytes as a body. What the scan accepts is read by all views; then its spans become JSON, and
 * that becomes a body again which the scan accepts too. Damaged references read within bounds. */
#include "otlp/json.h"
#include "otlp/scan.h"
#include "otlp/view.h"

#include <stdlib.h>

enum { MAX_SPANS = 256, ROOM = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void walk_value(const struct value *value, unsigned depth)
{
    struct value inner;
    struct slice key;
    size_t at = 0;

    must(depth <= 2 * SCAN_MAX_DEPTH);
    if (value->type == VALUE_ARRAY) {
        while (view_array_next(value->bytes, &at, &inner))
            walk_value(&inner, depth + 1);
    } else if (value->type == VALUE_KVLIST) {
        while (view_kvlist_next(value->bytes, &at, &key, &inner))
            walk_value(&inner, depth + 1);
    }
}

static void walk_attributes(enum attr_owner owner, struct slice message, bool scanned)
{
    struct value value, first;
    struct slice key;
    size_t at = 0, before = 0;

    while (view_owner_attr_next(owner, message, &at, &key, &value)) {
        must(at > before && at <= message.len);
        before = at;
        must(view_owner_attr(owner, message, key, &first));
        if (scanned)
            walk_value(&value, 0);
    }
}

static void walk_span(const struct span_view *view, bool scanned)
{
    struct slice message, name, version, id;
    struct span_fields fields;
    uint64_t time_ns;
    size_t at;

    view_span_fields(view->span, &fields);
    view_scope(view->scope, &name, &version);
    walk_attributes(OWNER_SPAN, view->span, scanned);
    walk_attributes(OWNER_RESOURCE, view->resource, scanned);
    walk_attributes(OWNER_SCOPE, view->scope, scanned);
    for (at = 0; view_event_next(view->span, &at, &message);) {
        view_event(message, &time_ns, &name);
        walk_attributes(OWNER_EVENT, message, scanned);
    }
    for (at = 0; view_link_next(view->span, &at, &message);) {
        view_link(message, &id, &name, &version);
        walk_attributes(OWNER_LINK, message, scanned);
    }
}

/* JSON of an accepted body is read again, and has as many spans. */
static void to_json_and_back(struct slice body, const struct scan_result *result)
{
    struct scan_result again;
    struct buf json, back;

    buf_init(&json, ROOM, NULL);
    buf_init(&back, ROOM, NULL);
    must(json_from_traces(body, &json) == ERR_OK);
    must(!memchr(json.data, '\n', json.len));
    must(json_to_traces(buf_slice(&json), &back, ROOM, NULL) == ERR_OK);
    must(scan_traces(buf_slice(&back), NULL, 0, &again) != ERR_PARSE);
    /* invalid UTF-8 was replaced, so that fewer are rejected */
    must(again.spans >= result->spans &&
         again.spans + again.rejected == result->spans + result->rejected);
    buf_fini(&json);
    buf_fini(&back);
}

static void walk_damaged(struct slice body)
{
    struct span_view whole = {.span = body, .resource = body, .scope = body};
    struct buf json;

    buf_init(&json, ROOM, NULL);
    walk_span(&whole, false);
    must(json_from_span(body, &json) == ERR_OK);
    buf_fini(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scan_span spans[MAX_SPANS];
    struct slice body = slice_make(data, size);
    struct scan_result result, counted;
    enum err err = scan_traces(body, spans, MAX_SPANS, &result);

    walk_damaged(body);
    must((err == ERR_PARSE) == (scan_traces(body, NULL, 0, &counted) == ERR_PARSE));
    if (err == ERR_PARSE) {
        must(result.error && result.error_offset <= size);
        return 0;
    }
    must(counted.spans == result.spans && counted.rejected == result.rejected);
    must((result.rejected > 0) == (result.reject_reason != NULL));
    for (size_t i = 0; i < result.spans && i < MAX_SPANS; i++) {
        struct span_view view = span_view_at(body, spans[i].offset, spans[i].len,
                                             spans[i].resource_offset, spans[i].scope_offset);

        must(view.span.len == spans[i].len && view.resource.len > view.scope.len &&
             view.scope.len > view.span.len && spans[i].span_id != 0);
        walk_span(&view, true);
    }
    to_json_and_back(body, &result);
    return 0;
}
