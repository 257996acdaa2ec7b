/* service.name of a resource, which is asked for more often than all else of it. */
#include "otlp/view_parts.h"

#include <string.h>

/* The resource comes first in its message, and this is its first attribute, as SDKs write it. */
static bool read_usual(struct slice resource_spans, struct slice *service)
{
    static const uint8_t key[] = {TAG(KEY_VALUE_KEY, WIRE_LEN),
                                  12,
                                  's',
                                  'e',
                                  'r',
                                  'v',
                                  'i',
                                  'c',
                                  'e',
                                  '.',
                                  'n',
                                  'a',
                                  'm',
                                  'e'};
    const uint8_t *at = resource_spans.data, *end = at + resource_spans.len;
    size_t len;

    if (resource_spans.len < 24 || at[0] != TAG(1, WIRE_LEN) || (at[1] & at[2]) >= 0x80)
        return false;
    len = at[1] < 0x80 ? at[1] : (size_t)(at[1] & 0x7f) | (size_t)at[2] << 7;
    at += at[1] < 0x80 ? 2 : 3;
    if (len > (size_t)(end - at) || len < 20 || at[0] != TAG(ATTRS_RESOURCE, WIRE_LEN) ||
        at[1] >= 0x80 || 2U + at[1] > len || memcmp(at + 2, key, sizeof(key)) != 0)
        return false;
    len = at[1] - sizeof(key); /* of what is behind the key; negative is very large */
    at += 2 + sizeof(key);
    if (len > 0x7f || len < 4 || at[0] != TAG(KEY_VALUE_VALUE, WIRE_LEN) || at[1] + 2U != len ||
        at[2] != TAG(1, WIRE_LEN) || at[3] + 4U != len)
        return false;
    *service = slice_make(at + 4, at[3]);
    return true;
}

static bool read_any(struct slice resource_spans, struct slice *service)
{
    struct value v;

    if (!view_resource_attr(resource_spans, slice_str("service.name"), &v) ||
        v.type != VALUE_STRING)
        return false;
    *service = v.bytes;
    return true;
}

bool view_service(struct slice resource_spans, struct slice *service)
{
    return read_usual(resource_spans, service) || read_any(resource_spans, service);
}

/* The usual place needs no end of the ResourceSpans: the Resource in it has its own. */
bool view_service_at(struct slice body, uint32_t resource_offset, struct slice *service)
{
    size_t at = (size_t)resource_offset + 1;

    while (at < body.len && body.data[at] >= 0x80)
        at++;
    if (at < body.len && read_usual(slice_make(body.data + at + 1, body.len - at - 1), service))
        return true;
    return read_any(view_resource_at(body, resource_offset), service);
}
