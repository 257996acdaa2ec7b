#include "spans.h"

#include "otlp/wire.h"

static void put_id(struct buf *b, uint32_t field, uint64_t high, uint64_t low, size_t len)
{
    uint8_t bytes[16];

    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(high >> (56 - 8 * i));
        bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
    wire_put_bytes(b, field, slice_make(len == 16 ? bytes : bytes + 8, len));
}

static void put_message(struct buf *b, uint32_t field, struct buf *message)
{
    wire_put_bytes(b, field, buf_slice(message));
    buf_fini(message);
}

static void put_attr(struct buf *b, uint32_t field, const char *key, const char *text)
{
    struct buf pair, value;

    buf_init(&pair, 1 << 16, NULL);
    buf_init(&value, 1 << 16, NULL);
    wire_put_bytes(&value, 1, slice_str(text));
    wire_put_bytes(&pair, 1, slice_str(key));
    put_message(&pair, 2, &value);
    put_message(b, field, &pair);
}

static void put_span(struct buf *b, const struct test_span *s)
{
    struct buf status;

    put_id(b, 1, s->trace_high, s->trace_low, 16);
    put_id(b, 2, 0, s->id, 8);
    if (s->trace_state)
        wire_put_bytes(b, 3, slice_str(s->trace_state));
    if (s->parent)
        put_id(b, 4, 0, s->parent, 8);
    wire_put_bytes(b, 5, slice_str(s->name ? s->name : "op"));
    wire_put_uint(b, 6, (uint64_t)(s->kind ? s->kind : 2));
    wire_put_fixed64(b, 7, s->start_ms * 1000000);
    wire_put_fixed64(b, 8, (s->start_ms + s->duration_ms) * 1000000);
    put_attr(b, 9, "http.request.method", "GET");
    if (s->error) {
        buf_init(&status, 64, NULL);
        wire_put_uint(&status, 3, 2);
        put_message(b, 15, &status);
    }
}

void spans_put(struct buf *b, const struct test_span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf resource_spans, resource, scope_spans, span;

        buf_init(&resource_spans, 4 << 20, NULL);
        buf_init(&resource, 1 << 20, NULL);
        buf_init(&scope_spans, 4 << 20, NULL);
        buf_init(&span, 4 << 20, NULL);
        put_attr(&resource, 1, "service.name", spans[i].service ? spans[i].service : "shop");
        put_message(&resource_spans, 1, &resource);
        put_span(&span, &spans[i]);
        put_message(&scope_spans, 2, &span);
        put_message(&resource_spans, 2, &scope_spans);
        put_message(b, 1, &resource_spans);
    }
}
