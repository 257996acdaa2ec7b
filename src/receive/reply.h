/* reply.h: what is said to a peer: HTTP status, gRPC status, and their bodies.
 *
 * opentelemetry.io/docs/specs/otlp/ (partial success, failures), google/rpc/status.proto and
 * error_details.proto. Pure functions.
 */
#pragma once

#include "base/buf.h"
#include "receive/receive.h"

enum reply_code {
    REPLY_OK,
    REPLY_MALFORMED, /* the body or the request is no OTLP */
    REPLY_NO_MEMORY, /* the sink's RECEIVE_UNAVAILABLE too */
    REPLY_DISK,      /* full or failing */
    REPLY_QUEUE_FULL,
    REPLY_DRAINING,
    REPLY_TOO_LARGE,
    REPLY_UNAUTHENTICATED,
    REPLY_BAD_TYPE,     /* of the content */
    REPLY_BAD_ENCODING, /* unknown compression */
    REPLY_NOT_FOUND,    /* path or method of gRPC */
    REPLY_NOT_TAKEN,    /* a signal that no exporter takes */
    REPLY_BAD_METHOD,   /* of HTTP */
    REPLY_NO_PAGE,      /* the same, for a path that is not received */
    REPLY_TIMEOUT,
    REPLY_HEADERS,         /* too large */
    REPLY_NO_ENCODING,     /* gRPC: compressed without grpc-encoding */
    REPLY_CARDINALITY,     /* gRPC: not exactly one message */
    REPLY_UNKNOWN_SERVICE, /* of the health check */
    REPLY_CODE_COUNT
};

struct reply {
    enum reply_code code;
    uint64_t rejected;   /* items, with REPLY_OK */
    const char *message; /* NULL: the usual one of the code */
    enum otlp_signal signal;
};

struct reply_info {
    unsigned http_status;
    const char *http_reason;
    unsigned grpc_status;
    enum receive_refusal refusal; /* which counter */
    bool retry;                   /* carries RetryInfo, Retry-After */
    const char *message;
};

const struct reply_info *reply_info(enum reply_code code);
const char *reply_message(const struct reply *reply);

/* Appends the Export...ServiceResponse (of a success) or google.rpc.Status. */
void reply_put_protobuf(struct buf *b, const struct reply *reply);
void reply_put_json(struct buf *b, const struct reply *reply);
/* Appends google.rpc.RetryInfo with one second. */
void reply_put_retry_info(struct buf *b);
/* Appends `text` as the value of grpc-message: printable ASCII, the rest percent-encoded. */
void reply_put_percent(struct buf *b, const char *text);
