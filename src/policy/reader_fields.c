/* The fields of a span as scripts and matchers name them, the views http, db and rpc included. */
#include "policy/reader.h"

#include <math.h>

/* clang-format off */
const struct reader_field_name reader_field_names[FIELD_COUNT] = {
    [FIELD_ID]             = {"span", "id", VALUE_STRING},
    [FIELD_PARENT_ID]      = {"span", "parent_id", VALUE_STRING},
    [FIELD_TRACE_ID]       = {"span", "trace_id", VALUE_STRING},
    [FIELD_NAME]           = {"span", "name", VALUE_STRING},
    [FIELD_KIND]           = {"span", "kind", VALUE_STRING},
    [FIELD_STATUS]         = {"span", "status", VALUE_STRING},
    [FIELD_STATUS_MESSAGE] = {"span", "status_message", VALUE_STRING},
    [FIELD_IS_ERROR]       = {"span", "is_error", VALUE_BOOL},
    [FIELD_IS_ROOT]        = {"span", "is_root", VALUE_BOOL},
    [FIELD_IS_ENTRY]       = {"span", "is_entry", VALUE_BOOL},
    [FIELD_IS_SAMPLED]     = {"span", "is_sampled", VALUE_BOOL},
    [FIELD_DURATION_MS]    = {"span", "duration_ms", VALUE_DOUBLE},
    [FIELD_START_MS]       = {"span", "start_ms", VALUE_DOUBLE},
    [FIELD_OFFSET_MS]      = {"span", "offset_ms", VALUE_DOUBLE},
    [FIELD_BYTES]          = {"span", "bytes", VALUE_DOUBLE},
    [FIELD_ADJUSTED_COUNT] = {"span", "adjusted_count", VALUE_DOUBLE},
    [FIELD_SERVICE]        = {"span", "service", VALUE_STRING},
    [FIELD_SCOPE_NAME]     = {"scope", "name", VALUE_STRING},
    [FIELD_SCOPE_VERSION]  = {"scope", "version", VALUE_STRING},
    [FIELD_HTTP_METHOD]    = {"http", "method", VALUE_STRING},
    [FIELD_HTTP_ROUTE]     = {"http", "route", VALUE_STRING},
    [FIELD_HTTP_PATH]      = {"http", "path", VALUE_STRING},
    [FIELD_HTTP_STATUS]    = {"http", "status", VALUE_DOUBLE},
    [FIELD_DB_SYSTEM]      = {"db", "system", VALUE_STRING},
    [FIELD_DB_NAME]        = {"db", "name", VALUE_STRING},
    [FIELD_DB_OPERATION]   = {"db", "operation", VALUE_STRING},
    [FIELD_DB_STATEMENT]   = {"db", "statement", VALUE_STRING},
    [FIELD_RPC_SYSTEM]     = {"rpc", "system", VALUE_STRING},
    [FIELD_RPC_SERVICE]    = {"rpc", "service", VALUE_STRING},
    [FIELD_RPC_METHOD]     = {"rpc", "method", VALUE_STRING},
    [FIELD_LOG_SEVERITY]        = {"log", "severity", VALUE_STRING},
    [FIELD_LOG_SEVERITY_NUMBER] = {"log", "severity_number", VALUE_DOUBLE},
    [FIELD_LOG_SEVERITY_TEXT]   = {"log", "severity_text", VALUE_STRING},
    [FIELD_LOG_BODY]            = {"log", "body", VALUE_STRING}, /* of any type */
    [FIELD_LOG_EVENT_NAME]      = {"log", "event_name", VALUE_STRING},
    [FIELD_LOG_TRACE_ID]        = {"log", "trace_id", VALUE_STRING},
    [FIELD_LOG_SPAN_ID]         = {"log", "span_id", VALUE_STRING},
    [FIELD_LOG_TIME_MS]         = {"log", "time_ms", VALUE_DOUBLE},
    [FIELD_LOG_BYTES]           = {"log", "bytes", VALUE_DOUBLE},
    [FIELD_METRIC_NAME]         = {"metric", "name", VALUE_STRING},
    [FIELD_METRIC_DESCRIPTION]  = {"metric", "description", VALUE_STRING},
    [FIELD_METRIC_UNIT]         = {"metric", "unit", VALUE_STRING},
    [FIELD_METRIC_TYPE]         = {"metric", "type", VALUE_STRING},
    [FIELD_METRIC_TEMPORALITY]  = {"metric", "temporality", VALUE_STRING},
    [FIELD_METRIC_MONOTONIC]    = {"metric", "monotonic", VALUE_BOOL},
    [FIELD_POINT_VALUE]         = {"point", "value", VALUE_DOUBLE},
    [FIELD_POINT_COUNT]         = {"point", "count", VALUE_DOUBLE},
    [FIELD_POINT_SUM]           = {"point", "sum", VALUE_DOUBLE},
    [FIELD_POINT_TIME_MS]       = {"point", "time_ms", VALUE_DOUBLE},
    [FIELD_POINT_START_MS]      = {"point", "start_ms", VALUE_DOUBLE},
};
/* clang-format on */

#define KEY(text)                                                                                  \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define ONE_KEY(a)                                                                                 \
    {                                                                                              \
        KEY(a),                                                                                    \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
#define TWO_KEYS(a, b)                                                                             \
    {                                                                                              \
        KEY(a), KEY(b)                                                                             \
    }
#define VIEW_FIRST      FIELD_HTTP_METHOD
#define VIEW_KEYS_COUNT (FIELD_LOG_SEVERITY - VIEW_FIRST)

/* The attributes behind the views: of the new conventions, then of the old ones. */
/* clang-format off */
static const struct slice view_keys[VIEW_KEYS_COUNT][2] = {
    /* NOLINTNEXTLINE(misc-redundant-expression): the first of the views */
    [FIELD_HTTP_METHOD - VIEW_FIRST]  = TWO_KEYS("http.request.method", "http.method"),
    [FIELD_HTTP_ROUTE - VIEW_FIRST]   = ONE_KEY("http.route"),
    [FIELD_HTTP_STATUS - VIEW_FIRST]  = TWO_KEYS("http.response.status_code", "http.status_code"),
    [FIELD_DB_SYSTEM - VIEW_FIRST]    = TWO_KEYS("db.system.name", "db.system"),
    [FIELD_DB_NAME - VIEW_FIRST]      = TWO_KEYS("db.namespace", "db.name"),
    [FIELD_DB_OPERATION - VIEW_FIRST] = TWO_KEYS("db.operation.name", "db.operation"),
    [FIELD_DB_STATEMENT - VIEW_FIRST] = TWO_KEYS("db.query.text", "db.statement"),
    [FIELD_RPC_SYSTEM - VIEW_FIRST]   = TWO_KEYS("rpc.system.name", "rpc.system"),
    [FIELD_RPC_SERVICE - VIEW_FIRST]  = ONE_KEY("rpc.service"),
    [FIELD_RPC_METHOD - VIEW_FIRST]   = ONE_KEY("rpc.method"),
};
/* clang-format on */

static const struct slice path_keys[] = {KEY("url.path"), KEY("http.target"), KEY("url.full"),
                                         KEY("http.url")};

static const struct value absent = {.type = VALUE_ABSENT};

static struct value text_value(struct slice text)
{
    return text.len ? (struct value){.type = VALUE_STRING, .bytes = text} : absent;
}

static struct value static_text(const char *text)
{
    return (struct value){.type = VALUE_STRING, .bytes = slice_str(text)};
}

static struct value number_value(double number)
{
    return (struct value){.type = VALUE_DOUBLE, .number = number};
}

static struct value bool_value(bool boolean)
{
    return (struct value){.type = VALUE_BOOL, .boolean = boolean};
}

/* From behind "scheme://host", without query and fragment; "/" if there is no path. */
static struct slice path_of(struct slice url)
{
    const uint8_t *p = url.data, *end = url.data + url.len, *stop;

    if (url.len && *p != '/') {
        const uint8_t *host = memmem(p, url.len, "://", 3);

        p = host ? host + 3 : p;
        while (p < end && *p != '/' && *p != '?' && *p != '#')
            p++;
        if (p == end || *p != '/')
            return slice_str("/");
    }
    stop = p;
    while (stop < end && *stop != '?' && *stop != '#')
        stop++;
    return slice_make(p, (size_t)(stop - p));
}

static struct value http_path(struct reader *r, size_t span)
{
    struct value v;
    int found = reader_first_attr(r, span, path_keys, 4, &v);

    if (found < 0 || v.type != VALUE_STRING || v.bytes.len == 0)
        return absent;
    return text_value(found == 0 ? v.bytes : path_of(v.bytes));
}

static struct value integer_of(const struct value *v)
{
    double n = 0;

    if (v->type == VALUE_INT)
        return number_value((double)v->integer);
    if (v->type == VALUE_DOUBLE && v->number >= 0 && v->number <= 1e9 &&
        v->number == floor(v->number))
        return number_value(v->number);
    if (v->type != VALUE_STRING || v->bytes.len == 0 || v->bytes.len > 9)
        return absent;
    for (size_t i = 0; i < v->bytes.len; i++) {
        if (v->bytes.data[i] < '0' || v->bytes.data[i] > '9')
            return absent;
        n = n * 10 + (v->bytes.data[i] - '0');
    }
    return number_value(n);
}

static struct value view_field(struct reader *r, size_t span, enum reader_field field)
{
    const struct slice *keys = view_keys[field - VIEW_FIRST];
    struct value v;

    if (field == FIELD_HTTP_PATH)
        return http_path(r, span);
    if (reader_first_attr(r, span, keys, keys[1].len ? 2 : 1, &v) < 0)
        return absent;
    if (field == FIELD_HTTP_STATUS)
        return integer_of(&v);
    return v.type == VALUE_STRING ? text_value(v.bytes) : absent;
}

struct value reader_hex(struct reader *r, struct slice id)
{
    static const char digits[] = "0123456789abcdef";

    if (id.len == 0 || id.len > 16)
        return absent;
    for (size_t i = 0; i < id.len; i++) {
        r->hex[2 * i] = digits[id.data[i] >> 4];
        r->hex[2 * i + 1] = digits[id.data[i] & 0xf];
    }
    return text_value(slice_make(r->hex, 2 * id.len));
}

static const char *kind_name(int32_t kind)
{
    static const char *const names[] = {"unspecified", "internal", "server",
                                        "client",      "producer", "consumer"};

    return kind >= 0 && kind < 6 ? names[kind] : names[0];
}

static const char *status_name(int32_t status)
{
    return status == 1 ? "ok" : status == 2 ? "error" : "unset";
}

static double duration_ms(const struct span_fields *f)
{
    return f->start_ns && f->end_ns > f->start_ns ? (double)(f->end_ns - f->start_ns) / 1e6 : 0;
}

double reader_offset_ms(const struct reader *r, uint64_t time_ns)
{
    if (time_ns == 0 || r->trace->sums.start_ns == 0)
        return 0;
    return (double)(int64_t)(time_ns - r->trace->sums.start_ns) / 1e6;
}

static struct value service(const struct span_view *view)
{
    struct value v;

    if (!view_resource_attr(view->resource, slice_str("service.name"), &v))
        return absent;
    return v.type == VALUE_STRING ? text_value(v.bytes) : absent;
}

static struct value scope_field(const struct span_view *view, enum reader_field field)
{
    struct slice name, version;

    view_scope(view->scope, &name, &version);
    return text_value(field == FIELD_SCOPE_NAME ? name : version);
}

static struct value relation(struct reader *r, size_t span, enum reader_field field)
{
    bool root = reader_is_root(r, span);

    return bool_value(root || (field == FIELD_IS_ENTRY && reader_parent(r, span) == READER_NONE));
}

static struct value id_field(struct reader *r, const struct span_fields *f, enum reader_field field)
{
    if (field == FIELD_ID)
        return reader_hex(r, f->span_id);
    if (field == FIELD_TRACE_ID)
        return reader_hex(r, f->trace_id);
    return view_id(f->parent_id) ? reader_hex(r, f->parent_id) : absent;
}

/* How many spans this one stands for. Without a th it was kept for certain, as far as we know,
 * unless it was kept with a probability that nobody knows. */
static struct value adjusted_count(const struct reader *r, const struct span_fields *f)
{
    const struct policy_verdict *d = r->trace->decision;
    uint64_t threshold;

    if (f->trace_state.len && sampling_th(f->trace_state, &threshold))
        return number_value(1 / sampling_probability(threshold));
    return d && d->threshold == THRESHOLD_NONE ? absent : number_value(1);
}

static struct value number_field(struct reader *r, size_t span, enum reader_field field)
{
    const struct span_fields *f = reader_fields(r, span);

    if (field == FIELD_DURATION_MS)
        return number_value(duration_ms(f));
    if (field == FIELD_OFFSET_MS)
        return number_value(reader_offset_ms(r, f->start_ns));
    if (field == FIELD_ADJUSTED_COUNT)
        return adjusted_count(r, f);
    if (field == FIELD_BYTES)
        return number_value((double)reader_view(r, span)->span.len);
    return number_value((double)(f->start_ns / 1000000) + (double)(f->start_ns % 1000000) / 1e6);
}

struct value reader_field(struct reader *r, size_t span, enum reader_field field)
{
    const struct span_fields *f;

    if (field >= FIELD_LOG_SEVERITY)
        return reader_item_field(r, span, field);
    if (!reader_has_field(r, field))
        return absent;
    if (field >= VIEW_FIRST)
        return view_field(r, span, field);
    f = reader_fields(r, span);
    switch (field) {
    case FIELD_NAME: /* "" is a name */
        return (struct value){.type = VALUE_STRING, .bytes = f->name};
    case FIELD_KIND:
        return static_text(kind_name(f->kind));
    case FIELD_STATUS:
        return static_text(status_name(f->status));
    case FIELD_STATUS_MESSAGE:
        return text_value(f->status_message);
    case FIELD_IS_ERROR:
        return bool_value(f->status == 2);
    case FIELD_IS_ROOT:
    case FIELD_IS_ENTRY:
        return relation(r, span, field);
    case FIELD_IS_SAMPLED:
        return bool_value(f->flags & 1); /* W3C trace context's sampled */
    case FIELD_SERVICE:
        return service(reader_view(r, span));
    case FIELD_SCOPE_NAME:
    case FIELD_SCOPE_VERSION:
        return scope_field(reader_view(r, span), field);
    case FIELD_ID:
    case FIELD_PARENT_ID:
    case FIELD_TRACE_ID:
        return id_field(r, f, field);
    default:
        return number_field(r, span, field);
    }
}
