#include "cli/request_writer.h"

static void put_resource(struct buf *b, const struct service_fields *s)
{
    size_t resource = otlp_write_begin(b, 1);

    otlp_write_attr_str(b, ATTRS_RESOURCE, "service.name", slice_str(s->name));
    otlp_write_attr_str(b, ATTRS_RESOURCE, "service.version", slice_str(s->version));
    otlp_write_attr_str(b, ATTRS_RESOURCE, "service.namespace", slice_str(s->namespace));
    otlp_write_attr_str(b, ATTRS_RESOURCE, "service.instance.id", slice_str(s->host));
    otlp_write_attr_str(b, ATTRS_RESOURCE, "k8s.pod.name", slice_str(s->host));
    otlp_write_attr_str(b, ATTRS_RESOURCE, "deployment.environment.name", slice_str("demo"));
    otlp_write_attr_str(b, ATTRS_RESOURCE, "telemetry.sdk.language", slice_str("c"));
    otlp_write_end(b, resource);
}

struct request_marks request_begin(struct buf *b, const struct service_fields *service)
{
    struct request_marks marks = {.resource_spans = otlp_write_begin(b, 1)};
    size_t scope;

    put_resource(b, service);
    marks.scope_spans = otlp_write_begin(b, 2);
    scope = otlp_write_begin(b, 1);
    wire_put_bytes(b, 1, slice_str("shop.instrumentation"));
    wire_put_bytes(b, 2, slice_str("1.8.0"));
    otlp_write_end(b, scope);
    return marks;
}

void request_end(struct buf *b, struct request_marks marks)
{
    otlp_write_end(b, marks.scope_spans);
    otlp_write_end(b, marks.resource_spans);
}

void span_exception(struct buf *b, uint64_t time_ns, const char *type, const char *message)
{
    size_t event = otlp_write_begin(b, 11);

    wire_put_fixed64(b, 1, time_ns);
    wire_put_bytes(b, 2, slice_str("exception"));
    otlp_write_attr_str(b, ATTRS_EVENT, "exception.type", slice_str(type));
    otlp_write_attr_str(b, ATTRS_EVENT, "exception.message", slice_str(message));
    otlp_write_end(b, event);
}
