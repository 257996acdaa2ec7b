#include "receive/reply.h"

#include "otlp/json.h"
#include "otlp/wire.h"

/* google/rpc/code.proto */
enum {
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED = 4,
    NOT_FOUND = 5,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
    UNAVAILABLE = 14,
    UNAUTHENTICATED = 16
};

enum { MESSAGE_MAX = 512 };

static const struct reply_info infos[REPLY_CODE_COUNT] = {
    [REPLY_OK] = {200, "OK", 0, REFUSED_COUNT, false, ""},
    [REPLY_MALFORMED] = {400, "Bad Request", INVALID_ARGUMENT, REFUSED_MALFORMED, false,
                         "the request is malformed"},
    [REPLY_NO_MEMORY] = {503, "Service Unavailable", UNAVAILABLE, REFUSED_MEMORY, true,
                         "overloaded, try again"},
    [REPLY_DISK] = {503, "Service Unavailable", UNAVAILABLE, REFUSED_DISK, true,
                    "the disk is full or fails, try again"},
    [REPLY_QUEUE_FULL] = {503, "Service Unavailable", UNAVAILABLE, REFUSED_QUEUE_FULL, true,
                          "the queue of an exporter is full, try again"},
    [REPLY_DRAINING] = {503, "Service Unavailable", UNAVAILABLE, REFUSED_DRAINING, true,
                        "shutting down, try again"},
    [REPLY_TOO_LARGE] = {413, "Content Too Large", INVALID_ARGUMENT, REFUSED_TOO_LARGE, false,
                         "the request is larger than allowed; send smaller batches"},
    [REPLY_UNAUTHENTICATED] = {401, "Unauthorized", UNAUTHENTICATED, REFUSED_UNAUTHENTICATED, false,
                               "no or a wrong bearer token"},
    [REPLY_BAD_TYPE] = {415, "Unsupported Media Type", UNIMPLEMENTED, REFUSED_UNSUPPORTED, false,
                        "the content type is not application/x-protobuf or application/json"},
    [REPLY_BAD_ENCODING] = {415, "Unsupported Media Type", UNIMPLEMENTED, REFUSED_UNSUPPORTED,
                            false, "the compression is not gzip, deflate, zstd, lz4 or snappy"},
    [REPLY_NOT_FOUND] = {404, "Not Found", UNIMPLEMENTED, REFUSED_NOT_FOUND, false,
                         "only traces, metrics and logs are received here"},
    [REPLY_NOT_TAKEN] = {404, "Not Found", UNIMPLEMENTED, REFUSED_NOT_FOUND, false,
                         "no exporter takes this signal"},
    [REPLY_BAD_METHOD] = {405, "Method Not Allowed", UNIMPLEMENTED, REFUSED_METHOD, false,
                          "only POST is received here"},
    [REPLY_NO_PAGE] = {404, "Not Found", UNIMPLEMENTED, REFUSED_METHOD, false,
                       "only traces, metrics and logs are received here"},
    /* Not 408: to senders of OTLP that is final. */
    [REPLY_TIMEOUT] = {503, "Service Unavailable", DEADLINE_EXCEEDED, REFUSED_TIMEOUT, true,
                       "the request came too slowly, try again"},
    [REPLY_HEADERS] = {431, "Request Header Fields Too Large", INVALID_ARGUMENT, REFUSED_HEADERS,
                       false, "the headers are larger than allowed"},
    [REPLY_NO_ENCODING] = {400, "Bad Request", INTERNAL, REFUSED_MALFORMED, false,
                           "a compressed message without grpc-encoding"},
    [REPLY_CARDINALITY] = {400, "Bad Request", UNIMPLEMENTED, REFUSED_MALFORMED, false,
                           "the call takes exactly one message"},
    [REPLY_UNKNOWN_SERVICE] = {404, "Not Found", NOT_FOUND, REFUSED_NOT_FOUND, false,
                               "unknown service"},
};

const struct reply_info *reply_info(enum reply_code code)
{
    return &infos[code];
}

const char *reply_message(const struct reply *reply)
{
    return reply->message ? reply->message : infos[reply->code].message;
}

static struct slice message_slice(const struct reply *reply)
{
    const char *text = reply_message(reply);

    return slice_make(text, strnlen(text, MESSAGE_MAX));
}

/* Opens a length-delimited field of less than 128 bytes; close_field fills in its length. */
static size_t open_field(struct buf *b, uint32_t number)
{
    wire_put_tag(b, number, WIRE_LEN);
    buf_byte(b, 0);
    return b->len;
}

static void close_field(struct buf *b, size_t start)
{
    if (buf_ok(b))
        b->data[start - 1] = (uint8_t)(b->len - start);
}

void reply_put_retry_info(struct buf *b)
{
    size_t delay = open_field(b, 1); /* RetryInfo.retry_delay */

    wire_put_uint(b, 1, 1); /* Duration.seconds */
    close_field(b, delay);
}

static void put_partial_success(struct buf *b, const struct reply *reply)
{
    struct slice message = reply->message ? message_slice(reply) : slice_make(NULL, 0);
    size_t len = 1 + wire_varint_size(reply->rejected);

    if (message.len)
        len += wire_bytes_size(2, message.len);
    wire_put_tag(b, 1, WIRE_LEN);
    wire_put_varint(b, len);
    wire_put_uint(b, 1, reply->rejected);
    if (message.len)
        wire_put_bytes(b, 2, message);
}

void reply_put_protobuf(struct buf *b, const struct reply *reply)
{
    const struct reply_info *info = reply_info(reply->code);
    size_t any, value;

    if (reply->code == REPLY_OK) {
        if (reply->rejected)
            put_partial_success(b, reply);
        return;
    }
    wire_put_uint(b, 1, info->grpc_status);
    wire_put_bytes(b, 2, message_slice(reply));
    if (!info->retry)
        return;
    any = open_field(b, 3); /* Status.details */
    wire_put_bytes(b, 1, slice_str("type.googleapis.com/google.rpc.RetryInfo"));
    value = open_field(b, 2);
    reply_put_retry_info(b);
    close_field(b, value);
    close_field(b, any);
}

static const char *const rejected_names[OTLP_SIGNALS] = {
    [OTLP_TRACES] = "rejectedSpans",
    [OTLP_METRICS] = "rejectedDataPoints",
    [OTLP_LOGS] = "rejectedLogRecords",
};

/* Our own messages: UTF-8 already. */
static void put_json_success(struct buf *b, const struct reply *reply)
{
    if (!reply->rejected) {
        buf_str(b, "{}");
        return;
    }
    buf_printf(b, "{\"partialSuccess\":{\"%s\":\"%llu\",\"errorMessage\":",
               rejected_names[reply->signal], (unsigned long long)reply->rejected);
    json_put_string(b, reply->message ? message_slice(reply) : slice_make("", 0));
    buf_str(b, "}}");
}

void reply_put_json(struct buf *b, const struct reply *reply)
{
    const struct reply_info *info = reply_info(reply->code);

    if (reply->code == REPLY_OK) {
        put_json_success(b, reply);
        return;
    }
    buf_printf(b, "{\"code\":%u,\"message\":", info->grpc_status);
    json_put_string(b, message_slice(reply));
    if (info->retry)
        buf_str(b, ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","
                   "\"retryDelay\":\"1s\"}]");
    buf_byte(b, '}');
}

void reply_put_percent(struct buf *b, const char *text)
{
    size_t len = strnlen(text, MESSAGE_MAX);

    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];

        if (c >= 0x20 && c < 0x7f && c != '%')
            buf_byte(b, c);
        else
            buf_printf(b, "%%%02X", c);
    }
}
