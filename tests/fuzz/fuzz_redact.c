/* Any bytes as a text under several keys, as a key, and as a Span, a resource and a scope. Nothing
 * is read outside; what was redacted is redacted no further, a span stays one that can be read, and
 * what is done with at a glance comes out as if all of it was looked at. */
#include "otlp/view.h"
#include "policy/redact.h"

#include <stdlib.h>

enum { ROOM = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void redact_texts(struct redact *r, struct slice text)
{
    static const char *const keys[] = {"", "url.query", "db.query.text", "password",
                                       "db.query.parameter.0"};
    struct buf once, twice;

    buf_init(&once, ROOM, NULL);
    buf_init(&twice, ROOM, NULL);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        enum redact_outcome outcome = redact_text(r, slice_str(keys[i]), text, &once);

        must(outcome != REDACT_FAILED);
        if (outcome != REDACT_CHANGED)
            continue;
        outcome = redact_text(r, slice_str(keys[i]), buf_slice(&once), &twice);
        must(outcome == REDACT_SAME);
    }
    buf_fini(&once);
    buf_fini(&twice);
}

static void redact_messages(struct redact *r, struct slice message)
{
    struct span_fields before, after;
    struct buf out;

    buf_init(&out, ROOM, NULL);
    if (redact_span(r, message, &out) == REDACT_CHANGED) {
        view_span_fields(message, &before);
        view_span_fields(buf_slice(&out), &after);
        must(slice_equal(before.span_id, after.span_id));
        must(slice_equal(before.trace_id, after.trace_id));
        must(before.start_ns == after.start_ns && before.end_ns == after.end_ns);
        must(before.kind == after.kind && before.status == after.status);
    }
    buf_clear(&out);
    (void)redact_resource(r, message, &out);
    buf_clear(&out);
    (void)redact_scope(r, message, &out);
    buf_fini(&out);
}

static struct redact *new_redact(void)
{
    struct redact *r = redact_new();
    unsigned rule;
    struct err_info info;

    must(r != NULL);
    redact_set(r, REDACT_IPV4, REDACT_TO_NETWORK, 0);
    redact_set(r, REDACT_IPV6, REDACT_TO_NETWORK, 0);
    redact_set(r, REDACT_UUID, REDACT_TO_MASK, 0);
    must(!redact_add_value(r, slice_str("own"), slice_str("B-[0-9]+"), &rule, &info));
    return r;
}

static void must_agree(struct redact *r, struct redact *thorough, struct slice key,
                       struct slice text)
{
    enum redact_outcome outcome;
    struct buf a, b;

    buf_init(&a, ROOM, NULL);
    buf_init(&b, ROOM, NULL);
    outcome = redact_text(r, key, text, &a);
    must(outcome == redact_text(thorough, key, text, &b));
    must(outcome != REDACT_CHANGED || slice_equal(buf_slice(&a), buf_slice(&b)));
    buf_fini(&a);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redact *r = new_redact(), *thorough = new_redact();
    struct slice input = slice_make(data, size);

    redact_thoroughly(thorough);
    must_agree(r, thorough, slice_str("message"), input);
    must_agree(r, thorough, slice_str("url.query"), input);
    must_agree(r, thorough, input, slice_str("x"));
    redact_texts(r, input);
    redact_messages(r, input);
    redact_free(r);
    redact_free(thorough);
    return 0;
}
