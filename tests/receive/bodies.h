/* bodies.h: OTLP requests for the tests of this room. */
#pragma once

#include "otlp/write.h"

#include <stdio.h>

/* Appends a request of `spans` spans; the first `bad` of them have a trace id of zeros. */
static __attribute__((unused)) void put_traces(struct buf *b, unsigned spans, unsigned bad)
{
    size_t resource = otlp_write_begin(b, 1);
    size_t scope = otlp_write_begin(b, 2);

    for (unsigned i = 0; i < spans; i++) {
        uint8_t trace_id[16] = {0}, span_id[8] = {1, 2, 3, (uint8_t)(i >> 8), (uint8_t)i, 1, 1, 1};
        struct span_fields f = {.trace_id = slice_make(trace_id, sizeof trace_id),
                                .span_id = slice_make(span_id, sizeof span_id),
                                .name = slice_str("GET /cart/items of a customer"),
                                .start_ns = UINT64_C(1700000000000000000),
                                .end_ns = UINT64_C(1700000000100000000)};
        size_t span = otlp_write_begin(b, 2);

        if (i >= bad)
            memcpy(trace_id, "0123456789abcdef", sizeof trace_id);
        otlp_write_span_fields(b, &f);
        otlp_write_attr_str(b, ATTRS_SPAN, "http.request.method", slice_str("GET"));
        otlp_write_end(b, span);
    }
    otlp_write_end(b, scope);
    otlp_write_end(b, resource);
}
