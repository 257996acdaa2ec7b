/* request_writer.h: what generated requests have in common: the resource around the spans, and how
 * an error looks. Spans go between request_begin and request_end, each as field SPANS_FIELD. */
#pragma once

#include "otlp/write.h"

enum { SPANS_FIELD = 2, KIND_INTERNAL = 1, KIND_SERVER, KIND_CLIENT, KIND_PRODUCER };
/* W3C trace flags sampled and random (level 2), and that it is known whether the parent is remote.
 */
#define GENERATED_FLAGS 0x103

struct service_fields {
    const char *name, *version, *namespace, *host;
};

struct request_marks {
    size_t resource_spans, scope_spans;
};

struct request_marks request_begin(struct buf *b, const struct service_fields *service);
void request_end(struct buf *b, struct request_marks marks);

/* An exception event of the span that is being written. Its status is in span_fields. */
void span_exception(struct buf *b, uint64_t time_ns, const char *type, const char *message);
