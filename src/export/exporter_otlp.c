/* otlp: OTLP over gRPC or HTTP to one of several endpoints.
 *
 * One attempt goes through the endpoints, from the present one, until one answers well; only if all
 * have failed has the attempt failed. The present endpoint is left when it fails and the first one
 * is asked again each circuit.probe. */
#include "base/gzip_out.h"
#include "export/exporter.h"
#include "export/otlp_answer.h"
#include "export/otlp_options.h"
#include "export/tls_files.h"

#include <stdio.h>
#include <stdlib.h>

enum { GRPC_PREFIX = 5 };

struct endpoint {
    char *urls[OTLP_SIGNALS];
    bool plain; /* http:// */
};

struct otlp {
    const struct otlp_options *options;
    struct exporter *exporter;
    bool grpc;
    struct endpoint endpoints[OTLP_ENDPOINTS_MAX];
    size_t count;
    size_t present;       /* where requests go */
    size_t probed;        /* which endpoint the next probe of an open circuit goes to */
    uint64_t failback_ns; /* when the first endpoint is asked again; if present > 0 */
    char *headers[OTLP_HEADERS_MAX + 8]; /* "Name: value", NULL-terminated */
    struct gzip_out *compressor;         /* NULL: bodies go as they are */
};

/* One part on its way. */
struct call {
    struct otlp *otlp;
    struct part *part;
    struct buf body;
    size_t endpoint, tried;
    uint64_t request;
};

/* ---- the body ---- */

/* The gRPC message prefix (grpc.io: length-prefixed message). */
static void put_prefix(uint8_t *at, bool compressed, size_t len)
{
    at[0] = compressed;
    at[1] = (uint8_t)(len >> 24);
    at[2] = (uint8_t)(len >> 16);
    at[3] = (uint8_t)(len >> 8);
    at[4] = (uint8_t)len;
}

static bool encode(struct otlp *o, struct buf *raw, struct buf *out)
{
    size_t prefix = o->grpc ? GRPC_PREFIX : 0;

    buf_init(out, SIZE_MAX / 2, raw->memory);
    out->forced = raw->forced;
    if (!o->compressor && !prefix) {
        buf_take(raw, out);
        return true;
    }
    if (prefix && buf_reserve(out, prefix))
        out->len = prefix;
    if (o->compressor)
        gzip_out_write(o->compressor, buf_slice(raw), out);
    else
        buf_append(out, raw->data, raw->len);
    if (!buf_ok(out) || out->len <= prefix)
        return false;
    if (prefix)
        put_prefix(out->data, o->compressor != NULL, out->len - prefix);
    buf_fini(raw);
    return true;
}

/* ---- calls ---- */

static void on_answer(void *arg, struct http_answer *answer);

static void call_free(struct call *c)
{
    buf_fini(&c->body);
    free(c);
}

static void end_call(struct call *c, const struct sent_result *r)
{
    struct part *part = c->part;

    call_free(c);
    exporter_sent(part, r);
}

static enum err post(struct call *c)
{
    struct otlp *o = c->otlp;
    const struct endpoint *e = &o->endpoints[c->endpoint];
    struct http_client *http = o->exporter->owner->config.http;
    struct http_request request = {
        .method = "POST",
        .url = e->urls[c->part->batch->signal],
        .headers = (const char *const *)o->headers,
        .body = buf_slice(&c->body),
        .timeout_ns = o->options->common.timeout_ns,
        .http2_prior_knowledge = o->grpc && e->plain,
        .tls = &o->options->tls,
        .sigv4 = o->options->is_signed ? &o->options->sigv4 : NULL,
    };

    c->tried++;
    return http->send(http, &request, on_answer, c, &c->request);
}

static void give_up(struct call *c, const char *why)
{
    struct sent_result r = {.how = SENT_RETRY};

    snprintf(r.error, sizeof(r.error), "%s", why);
    end_call(c, &r);
}

/* The endpoint of a call has failed: leaves it if it is the present one. */
static void leave(struct otlp *o, size_t endpoint, uint64_t now_ns)
{
    if (o->present == endpoint)
        o->present = (endpoint + 1) % o->count;
    o->failback_ns = now_ns + o->options->common.circuit_probe_ns;
}

/* Goes on with the next endpoint of the same attempt. False: all have been tried. */
static bool try_next(struct call *c)
{
    struct otlp *o = c->otlp;

    if (c->part->probe || c->tried >= o->count)
        return false;
    c->endpoint = (c->endpoint + 1) % o->count;
    o->exporter->stats[c->part->batch->signal].requests++;
    o->exporter->stats[c->part->batch->signal].failures++;
    return post(c) == ERR_OK;
}

static void on_answer(void *arg, struct http_answer *answer)
{
    struct call *c = arg;
    struct otlp *o = c->otlp;
    struct export *owner = o->exporter->owner;
    struct sent_result r;
    bool failed = otlp_answer_read(answer, o->grpc, clock_unix_ns(owner->config.clock), &r);

    c->request = 0;
    if (r.how == SENT_RETRY)
        part_note_unsure(c->part, &r);
    if (failed) {
        leave(o, c->endpoint, owner->now_ns);
        if (try_next(c))
            return;
    } else if (r.how == SENT_DELIVERED && (c->endpoint == 0 || c->part->probe)) {
        o->present = c->endpoint;
    }
    end_call(c, &r);
}

/* Where an attempt begins: the present endpoint, now and then the first; a probe goes round. */
static size_t first_endpoint(struct otlp *o, const struct part *part, uint64_t now_ns)
{
    if (part->probe)
        return o->probed++ % o->count;
    if (o->present == 0 || now_ns < o->failback_ns)
        return o->present;
    o->failback_ns = now_ns + o->options->common.circuit_probe_ns; /* one asks */
    return 0;
}

static void otlp_send(void *self, struct part *part, uint64_t now_ns)
{
    struct otlp *o = self;
    struct call *c = calloc(1, sizeof(*c));
    const struct sent_result no_memory = {.how = SENT_RETRY, .error = "no memory"};

    if (!c) {
        exporter_sent(part, &no_memory);
        return;
    }
    *c = (struct call){.otlp = o, .part = part, .endpoint = first_endpoint(o, part, now_ns)};
    part->sending = c;
    if (!encode(o, &part->body, &c->body))
        give_up(c, "no memory for the request");
    else if (post(c) != ERR_OK)
        give_up(c, "too many requests at once");
}

static void otlp_cancel(void *self, struct part *part)
{
    struct otlp *o = self;
    struct call *c = part->sending;

    o->exporter->owner->config.http->cancel(o->exporter->owner->config.http, c->request);
    call_free(c);
}

/* ---- making one ---- */

static const struct {
    const char *path, *method;
} services[OTLP_SIGNALS] = {
    [OTLP_TRACES] = {"/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
    [OTLP_METRICS] = {"/v1/metrics",
                      "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"},
    [OTLP_LOGS] = {"/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"},
};

/* The length of `endpoint` without the usual path of a signal; its own if it has none. */
static size_t base_len(const char *endpoint)
{
    size_t len = strlen(endpoint);

    for (int i = 0; i < OTLP_SIGNALS; i++) {
        size_t tail = strlen(services[i].path);

        if (len > tail && strcmp(endpoint + len - tail, services[i].path) == 0)
            return len - tail;
    }
    return len;
}

/* The whole URL: gRPC's method; or /v1/SIGNAL where there is no path or that of another signal, and
 * else the path as it was given. */
static char *full_url(const char *endpoint, bool grpc, enum otlp_signal signal)
{
    const char *host = strstr(endpoint, "://") + 3, *path = strchr(host, '/');
    size_t len = strlen(endpoint), base = base_len(endpoint);
    const char *append = services[signal].path;
    char *url;

    if (grpc)
        append = services[signal].method;
    else if (base < len)
        len = base;
    else if (path && path[1])
        append = ""; /* as it was given */
    if (*append)
        while (len && endpoint[len - 1] == '/')
            len--;
    if (asprintf(&url, "%.*s%s", (int)len, endpoint, append) < 0)
        err_no_memory("an OTLP exporter");
    return url;
}

static void add_endpoint(struct otlp *o, const char *endpoint)
{
    struct endpoint *e = &o->endpoints[o->count++];

    e->plain = strncmp(endpoint, "http:", 5) == 0;
    for (int i = 0; i < OTLP_SIGNALS; i++)
        e->urls[i] = full_url(endpoint, o->grpc, (enum otlp_signal)i);
}

static void add_header(struct otlp *o, size_t *n, const char *name, const char *value)
{
    if (asprintf(&o->headers[(*n)++], "%s: %s", name, value) < 0)
        err_no_memory("an OTLP exporter");
}

static void make_headers(struct otlp *o)
{
    bool gzip = o->compressor != NULL;
    size_t n = 0;

    add_header(o, &n, "content-type", o->grpc ? "application/grpc" : "application/x-protobuf");
    if (o->grpc)
        add_header(o, &n, "te", "trailers");
    if (gzip)
        add_header(o, &n, o->grpc ? "grpc-encoding" : "content-encoding", "gzip");
    for (const struct schema_pair *h = o->options->headers; h && h->key; h++)
        add_header(o, &n, h->key, h->value);
}

static enum err otlp_look(const void *options, struct err_info *info)
{
    return tls_files_check(&((const struct otlp_options *)options)->tls, info);
}

static enum err otlp_open(struct exporter *x, const void *options, void **self,
                          struct err_info *info)
{
    struct otlp *o;
    enum err err = otlp_look(options, info);

    if (err != ERR_OK)
        return err;
    o = calloc(1, sizeof(*o));
    if (!o)
        err_no_memory("an OTLP exporter");
    o->options = options;
    o->exporter = x;
    o->grpc = strcmp(o->options->protocol, "grpc") == 0;
    if (strcmp(o->options->compression, "gzip") == 0 && !(o->compressor = gzip_out_new()))
        err_no_memory("compression");
    if (o->options->endpoint)
        add_endpoint(o, o->options->endpoint);
    for (const char *const *e = o->options->endpoints; e && *e; e++)
        add_endpoint(o, *e);
    make_headers(o);
    *self = o;
    return ERR_OK;
}

static void otlp_close(void *self)
{
    struct otlp *o = self;

    for (size_t i = 0; i < o->count; i++)
        for (int s = 0; s < OTLP_SIGNALS; s++)
            free(o->endpoints[i].urls[s]);
    for (char **h = o->headers; *h; h++)
        free(*h);
    gzip_out_free(o->compressor);
    free(o);
}

EXPORTER_TYPE(exporter_otlp, .name = "otlp", .doc = "OTLP over gRPC or HTTP",
              .signals = EXPORTER_ALL_SIGNALS, .fields = otlp_fields, .field_count = OTLP_FIELDS,
              .options_size = sizeof(struct otlp_options), .check = otlp_check, .look = otlp_look,
              .open = otlp_open, .close = otlp_close, .send = otlp_send, .cancel = otlp_cancel);
