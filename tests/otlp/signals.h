/* signals.h: bodies of metrics and logs, and protobuf-c's descriptors of them, for the tests. */
#pragma once

#include "message.h"
#include "otlp/signal.h"

#include <opentelemetry/proto/logs/v1/logs.pb-c.h>
#include <opentelemetry/proto/metrics/v1/metrics.pb-c.h>
#include <opentelemetry/proto/trace/v1/trace.pb-c.h>

static inline const ProtobufCMessageDescriptor *body_descriptor(enum otlp_signal signal)
{
    static const ProtobufCMessageDescriptor *const bodies[OTLP_SIGNALS] = {
        &opentelemetry__proto__trace__v1__traces_data__descriptor,
        &opentelemetry__proto__metrics__v1__metrics_data__descriptor,
        &opentelemetry__proto__logs__v1__logs_data__descriptor,
    };

    return bodies[signal];
}

/* The wire type of one value of a field. */
static inline unsigned wire_type_of_field(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return 2;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 1;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return 5;
    default:
        return 0;
    }
}

static inline bool is_repeated_number(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED && wire_type_of_field(field) != 2;
}

/* A path from the body to a field; the last is the field itself. */
struct path {
    const ProtobufCFieldDescriptor *field[16];
    unsigned len;
};

/* Puts `content` (whole fields) into the messages of the path, without its last field, and
 * returns the body. */
static inline struct message body_around(const struct path *path, const struct message *content)
{
    struct message inner = *content;

    for (unsigned i = path->len - 1; i-- > 0;) {
        struct message outer = {.len = 0};

        put_message(&outer, path->field[i]->id, &inner);
        inner = outer;
    }
    return inner;
}

/* Calls fn once for each field of each message below `message`, with one path to it. */
struct path_walk {
    void (*fn)(void *arg, const struct path *path);
    void *arg;
    const ProtobufCMessageDescriptor *seen[64];
    unsigned seen_count;
    struct path path;
};

static inline bool is_new_message(struct path_walk *w, const ProtobufCMessageDescriptor *message)
{
    for (unsigned i = 0; i < w->seen_count; i++)
        if (w->seen[i] == message)
            return false;
    assert(w->seen_count < 64);
    w->seen[w->seen_count++] = message;
    return true;
}

static inline void walk_paths(struct path_walk *w, const ProtobufCMessageDescriptor *message)
{
    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->fields[i];

        assert(w->path.len < 16);
        w->path.field[w->path.len++] = field;
        w->fn(w->arg, &w->path);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && is_new_message(w, field->descriptor))
            walk_paths(w, field->descriptor);
        w->path.len--;
    }
}

static inline void each_field(enum otlp_signal signal,
                              void (*fn)(void *arg, const struct path *path), void *arg)
{
    struct path_walk w = {.fn = fn, .arg = arg};

    walk_paths(&w, body_descriptor(signal));
}
