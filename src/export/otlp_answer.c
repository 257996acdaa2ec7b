#include "export/otlp_answer.h"

#include "base/encode.h"
#include "otlp/wire.h"

#include <stdio.h>
#include <stdlib.h>

/* google.rpc.Code */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

enum { GRPC_PREFIX = 5, RETRY_INFO_MAX = 4096 };

/* A text of the other end's, made printable. */
static void put_text(char *to, size_t size, struct slice text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;

    for (size_t i = 0; i < len; i++)
        to[i] = (char)(text.data[i] < ' ' || text.data[i] == 127 ? '?' : text.data[i]);
    to[len] = '\0';
}

/* ---- partial success ---- */

/* Export...ServiceResponse { partial_success = 1 { rejected_... = 1, error_message = 2 } }, the
 * same for every signal. */
static void read_response(struct slice message, struct sent_result *r)
{
    struct wire w = wire_of(message), inner;
    struct wire_field f, g;
    char text[150] = "";

    while (wire_next(&w, &f)) {
        if (f.number != 1 || f.type != WIRE_LEN)
            continue;
        inner = wire_of(f.bytes);
        while (wire_next(&inner, &g)) {
            if (g.number == 1 && g.type == WIRE_VARINT && (int64_t)g.value > 0)
                r->rejected = g.value > UINT32_MAX ? UINT32_MAX : (uint32_t)g.value;
            else if (g.number == 2 && g.type == WIRE_LEN)
                put_text(text, sizeof(text), g.bytes);
        }
    }
    if (r->rejected)
        snprintf(r->error, sizeof(r->error), "partial success: %s", text);
}

/* ---- HTTP ---- */

static bool read_http(const struct http_answer *a, uint64_t unix_ns, struct sent_result *r)
{
    snprintf(r->error, sizeof(r->error), "HTTP status %d%s%.100s", a->status,
             a->error[0] ? ", " : "", a->error);
    switch (a->status) {
    case 401:
    case 403:
        r->how = SENT_HOLD;
        return false;
    case 429:
    case 502:
    case 503:
    case 504:
        r->how = SENT_RETRY;
        r->told = http_answer_retry_after(a, unix_ns, &r->retry_after_ns);
        return a->status >= 500;
    default:
        if (a->status < 200 || a->status > 299) {
            r->how = SENT_PERMANENT;
            return a->status >= 500;
        }
        r->how = SENT_DELIVERED;
        read_response(buf_slice(&a->body), r);
        return false;
    }
}

/* ---- gRPC ---- */

/* The bytes of a binary header, whose padding may be missing; empty if it is absent, malformed or
 * too long. */
static struct slice binary_header(const struct http_answer *a, const char *name,
                                  uint8_t bytes[RETRY_INFO_MAX])
{
    struct slice text = http_answer_header(a, name);
    size_t len;

    if (text.len > RETRY_INFO_MAX || !decode_base64(text, bytes, &len))
        return (struct slice){0};
    return slice_make(bytes, len);
}

/* RetryInfo { retry_delay = 1 { seconds = 1, nanos = 2 } } */
static bool read_retry_info(struct slice message, uint64_t *after_ns)
{
    struct wire w = wire_of(message), inner;
    struct wire_field f, g;
    bool found = false;

    while (wire_next(&w, &f)) {
        if (f.number != 1 || f.type != WIRE_LEN)
            continue;
        found = true;
        *after_ns = 0;
        inner = wire_of(f.bytes);
        while (wire_next(&inner, &g)) {
            if (g.type != WIRE_VARINT || g.value > 1000000000)
                continue;
            *after_ns += g.number == 1 ? g.value * NS_PER_S : g.number == 2 ? g.value : 0;
        }
    }
    return found;
}

/* Any { type_url = 1, value = 2 } of google.rpc.Status.details that is a RetryInfo. */
static bool read_detail(struct slice any, uint64_t *after_ns)
{
    static const char wanted[] = "google.rpc.RetryInfo";
    struct wire w = wire_of(any);
    struct wire_field f;
    struct slice type = {0}, value = {0};

    while (wire_next(&w, &f)) {
        if (f.number == 1 && f.type == WIRE_LEN)
            type = f.bytes;
        else if (f.number == 2 && f.type == WIRE_LEN)
            value = f.bytes;
    }
    return type.len >= sizeof(wanted) - 1 &&
           memcmp(type.data + type.len - (sizeof(wanted) - 1), wanted, sizeof(wanted) - 1) == 0 &&
           read_retry_info(value, after_ns);
}

static bool find_retry_info(const struct http_answer *a, uint64_t *after_ns)
{
    uint8_t bytes[RETRY_INFO_MAX];
    struct slice info = binary_header(a, "google.rpc.retryinfo-bin", bytes);
    struct wire w;
    struct wire_field f;

    if (info.len && read_retry_info(info, after_ns))
        return true;
    w = wire_of(binary_header(a, "grpc-status-details-bin", bytes));
    while (wire_next(&w, &f))
        if (f.number == 3 && f.type == WIRE_LEN && read_detail(f.bytes, after_ns))
            return true;
    return false;
}

/* gRPC over HTTP/2: what a status of HTTP means where grpc-status is missing. */
static uint64_t status_of_http(int status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

static void read_grpc_body(const struct http_answer *a, struct sent_result *r)
{
    struct slice body = buf_slice(&a->body);
    size_t len;

    if (body.len < GRPC_PREFIX || body.data[0] != 0)
        return;
    len = (size_t)body.data[1] << 24 | (size_t)body.data[2] << 16 | (size_t)body.data[3] << 8 |
          body.data[4];
    if (len <= body.len - GRPC_PREFIX)
        read_response(slice_make(body.data + GRPC_PREFIX, len), r);
}

/* Notes what RetryInfo says; one of no time at all leaves it to the backoff. Returns whether it is
 * there. */
static bool take_retry_info(const struct http_answer *a, struct sent_result *r)
{
    bool found = find_retry_info(a, &r->retry_after_ns);

    r->told = found && r->retry_after_ns > 0;
    return found;
}

/* The head of a success without the status at its end: a proxy went, or who stood behind it. */
static bool is_cut_off(const struct http_answer *a)
{
    static const char grpc[] = "application/grpc";
    struct slice type = http_answer_header(a, "content-type");

    return a->status == 200 && http_answer_header(a, "grpc-status").len == 0 &&
           type.len >= sizeof(grpc) - 1 && memcmp(type.data, grpc, sizeof(grpc) - 1) == 0;
}

static bool read_cut_off(struct sent_result *r)
{
    r->how = SENT_RETRY;
    r->unsure = true;
    snprintf(r->error, sizeof(r->error), "an answer without grpc-status");
    return true;
}

static bool read_grpc(const struct http_answer *a, struct sent_result *r)
{
    struct slice text = http_answer_header(a, "grpc-status");
    char message[128];
    uint64_t status;

    if (is_cut_off(a))
        return read_cut_off(r);
    if (!http_number(text, &status))
        status = status_of_http(a->status);
    put_text(message, sizeof(message), http_answer_header(a, "grpc-message"));
    snprintf(r->error, sizeof(r->error), "gRPC status %llu %s", (unsigned long long)status,
             message);
    switch (status) {
    case GRPC_OK:
        r->how = SENT_DELIVERED;
        read_grpc_body(a, r);
        return false;
    case GRPC_UNAUTHENTICATED:
    case GRPC_PERMISSION_DENIED:
        r->how = SENT_HOLD;
        return false;
    case GRPC_CANCELLED:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_ABORTED:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS:
        r->how = SENT_RETRY;
        (void)take_retry_info(a, r);
        return status == GRPC_UNAVAILABLE || status == GRPC_DEADLINE_EXCEEDED;
    case GRPC_RESOURCE_EXHAUSTED:
        r->how = take_retry_info(a, r) ? SENT_RETRY : SENT_PERMANENT;
        return false;
    default:
        r->how = SENT_PERMANENT;
        return false;
    }
}

bool otlp_answer_read(const struct http_answer *a, bool grpc, uint64_t unix_ns,
                      struct sent_result *r)
{
    *r = (struct sent_result){.answered = true};
    if (a->err == ERR_OK)
        return grpc ? read_grpc(a, r) : read_http(a, unix_ns, r);
    r->how = a->unsigned_yet ? SENT_HOLD : SENT_RETRY;
    r->answered = false;
    snprintf(r->error, sizeof(r->error), "%.199s", a->error);
    return !a->unsigned_yet; /* then it is not the endpoint's fault */
}
