#include "cli/traffic.h"

#include "base/clock.h"
#include "cli/shop.h"

#include <stdio.h>

enum { BODY_MAX = 1 << 20 };

/* The spans of one trace before they are written. */
struct plan {
    const struct shop_flow *flow;
    enum traffic_kind kind;
    size_t victim; /* the step that fails or is slow */
    uint8_t ids[TRAFFIC_STEPS][8];
    uint64_t start_ns[TRAFFIC_STEPS], duration_ns[TRAFFIC_STEPS];
    bool failed[TRAFFIC_STEPS];
};

const char *traffic_kind_name(enum traffic_kind kind)
{
    static const char *const names[] = {"normal", "error", "slow", "health_check"};

    return names[kind];
}

void traffic_init(struct traffic *t, uint64_t seed)
{
    *t = (struct traffic){.errors = 0.05, .slow = 0.05, .health = 0.10};
    rng_seed(&t->rng, seed);
}

void traffic_trace_init(struct traffic_trace *trace)
{
    *trace = (struct traffic_trace){0};
    for (size_t i = 0; i < TRAFFIC_SERVICES; i++)
        buf_init(&trace->bodies[i], BODY_MAX, NULL);
}

void traffic_trace_fini(struct traffic_trace *trace)
{
    for (size_t i = 0; i < TRAFFIC_SERVICES; i++)
        buf_fini(&trace->bodies[i]);
}

static void random_id(struct rng *rng, uint8_t *id, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t bits = rng_next(rng) | 1; /* never all zeros */

        memcpy(id + i, &bits, 8);
    }
}

static const struct shop_flow *pick_flow(struct rng *rng)
{
    unsigned total = 0;
    uint64_t at;

    for (size_t i = 0; i < shop_flow_count; i++)
        total += shop_flows[i].weight;
    at = rng_below(rng, total);
    for (size_t i = 0;; i++) {
        if (at < shop_flows[i].weight)
            return &shop_flows[i];
        at -= shop_flows[i].weight;
    }
}

static enum traffic_kind pick_kind(struct traffic *t)
{
    double u = rng_unit(&t->rng);

    if (u < t->errors)
        return TRAFFIC_ERROR;
    if (u < t->errors + t->slow)
        return TRAFFIC_SLOW;
    return u < t->errors + t->slow + t->health ? TRAFFIC_HEALTH : TRAFFIC_NORMAL;
}

/* A step that calls nobody, so that it can fail or be slow by itself. */
static size_t pick_leaf(struct rng *rng, const struct shop_flow *flow)
{
    size_t leaves[TRAFFIC_STEPS], count = 0;

    for (size_t i = 0; i < flow->count; i++) {
        bool leaf = true;

        for (size_t j = i + 1; j < flow->count; j++)
            leaf = leaf && flow->steps[j].parent != (int)i;
        if (leaf)
            leaves[count++] = i;
    }
    return leaves[rng_below(rng, count)];
}

/* Calls run one after the other within their caller: durations add up from the leaves, then the
 * starts follow from the root. */
static void plan_times(struct plan *p, struct rng *rng, uint64_t end_ns)
{
    const struct shop_step *steps = p->flow->steps;
    uint64_t cursor[TRAFFIC_STEPS];

    for (size_t i = 0; i < p->flow->count; i++) {
        double spread = 0.5 + rng_unit(rng) * 1.2;

        p->duration_ns[i] = (uint64_t)(steps[i].own_us * 1000.0 * spread);
    }
    if (p->kind == TRAFFIC_SLOW)
        p->duration_ns[p->victim] += 550 * NS_PER_MS + rng_below(rng, 1500) * NS_PER_MS;
    for (size_t i = p->flow->count; i-- > 1;)
        p->duration_ns[steps[i].parent] += p->duration_ns[i];
    p->start_ns[0] = end_ns - p->duration_ns[0];
    for (size_t i = 0; i < p->flow->count; i++) {
        uint64_t lead = (uint64_t)(steps[i].own_us * 300.0); /* before its first call */

        if (i)
            p->start_ns[i] = cursor[steps[i].parent];
        if (i)
            cursor[steps[i].parent] += p->duration_ns[i];
        cursor[i] = p->start_ns[i] + lead;
    }
}

static void plan_failures(struct plan *p)
{
    if (p->kind != TRAFFIC_ERROR)
        return;
    for (size_t i = p->victim;; i = (size_t)p->flow->steps[i].parent) {
        p->failed[i] = true;
        if (p->flow->steps[i].parent < 0)
            return;
    }
}

static void put_string(struct traffic *t, const char *key, const char *value)
{
    otlp_write_attr_str(t->out, ATTRS_SPAN, key, slice_str(value));
}

static void put_int(struct traffic *t, const char *key, int64_t value)
{
    otlp_write_attr_int(t->out, ATTRS_SPAN, key, value);
}

/* The route with its placeholders filled in. */
static void fill_path(struct traffic *t, char *to, size_t size, const char *route)
{
    const char *open = strchr(route, '{'), *shut = open ? strchr(open, '}') : NULL;

    if (!shut)
        snprintf(to, size, "%s", route);
    else
        snprintf(to, size, "%.*s%u%s", (int)(open - route), route,
                 (unsigned)rng_below(&t->rng, 90000) + 10000, shut + 1);
}

static void put_http(struct traffic *t, const struct shop_step *s, bool failed)
{
    char path[128], url[192];
    bool server = s->type == STEP_HTTP_SERVER;

    fill_path(t, path, sizeof(path), s->object);
    put_string(t, "http.request.method", s->verb);
    put_int(t, "http.response.status_code", failed ? 500 : strcmp(s->verb, "POST") ? 200 : 201);
    put_string(t, "network.protocol.version", "1.1");
    if (server) {
        put_string(t, "http.route", s->object);
        put_string(t, "url.path", path);
        put_string(t, "url.scheme", "https");
        put_string(t, "server.address", "shop.example.com");
        put_string(t, "user_agent.original",
                   "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140");
        return;
    }
    snprintf(url, sizeof(url), "https://api.example.com%s", path);
    put_string(t, "url.full", url);
    put_string(t, "server.address", "api.example.com");
    put_int(t, "server.port", 443);
}

static void put_rpc(struct traffic *t, const struct shop_step *s, bool failed)
{
    put_string(t, "rpc.system", "grpc");
    put_string(t, "rpc.service", s->object);
    put_string(t, "rpc.method", s->verb);
    put_int(t, "rpc.grpc.status_code", failed ? 13 : 0);
    put_string(t, "server.address", "shop.internal");
    put_int(t, "server.port", 50051);
}

static void put_sql(struct traffic *t, const struct shop_step *s)
{
    put_string(t, "db.system.name", "postgresql");
    put_string(t, "db.namespace", "shop");
    put_string(t, "db.operation.name", s->verb);
    put_string(t, "db.collection.name", s->object);
    put_string(t, "db.query.text", s->text);
    put_string(t, "server.address", "postgres.internal");
    put_int(t, "server.port", 5432);
}

static void put_cache(struct traffic *t, const struct shop_step *s)
{
    char key[64];

    fill_path(t, key, sizeof(key), s->object);
    put_string(t, "db.system.name", "redis");
    put_string(t, "db.operation.name", s->verb);
    put_string(t, "db.query.text", key);
    put_string(t, "server.address", "redis.internal");
    put_int(t, "server.port", 6379);
}

static void put_attributes(struct traffic *t, const struct shop_step *s, bool failed)
{
    switch ((enum shop_step_type)s->type) {
    case STEP_HTTP_SERVER:
    case STEP_HTTP_CLIENT:
        put_http(t, s, failed);
        break;
    case STEP_RPC_SERVER:
    case STEP_RPC_CLIENT:
        put_rpc(t, s, failed);
        break;
    case STEP_SQL:
        put_sql(t, s);
        break;
    case STEP_CACHE:
        put_cache(t, s);
        break;
    case STEP_PRODUCER:
        put_string(t, "messaging.system", "kafka");
        put_string(t, "messaging.destination.name", s->object);
        put_string(t, "messaging.operation.name", s->verb);
        break;
    case STEP_INTERNAL:
        put_int(t, "shop.candidates", (int64_t)rng_below(&t->rng, 400));
        break;
    }
    put_string(t, "thread.name", "worker-7");
    if (failed)
        put_string(t, "error.type", s->type == STEP_SQL ? "57014" : "500");
}

static int kind_of(const struct shop_step *s)
{
    switch ((enum shop_step_type)s->type) {
    case STEP_HTTP_SERVER:
    case STEP_RPC_SERVER:
        return KIND_SERVER;
    case STEP_PRODUCER:
        return KIND_PRODUCER;
    case STEP_INTERNAL:
        return KIND_INTERNAL;
    default:
        return KIND_CLIENT;
    }
}

static void name_of(const struct shop_step *s, char *name, size_t size)
{
    bool rpc = s->type == STEP_RPC_SERVER || s->type == STEP_RPC_CLIENT;

    if (rpc)
        snprintf(name, size, "%s/%s", s->object, s->verb);
    else if (s->type == STEP_INTERNAL || s->type == STEP_CACHE || s->type == STEP_HTTP_CLIENT)
        snprintf(name, size, "%s", s->verb); /* no keys and full URLs in names */
    else
        snprintf(name, size, "%s %s", s->verb, s->object);
}

static void write_step(struct traffic *t, const struct plan *p, size_t i, const uint8_t *trace_id)
{
    const struct shop_step *s = &p->flow->steps[i];
    uint64_t end_ns = p->start_ns[i] + p->duration_ns[i];
    bool victim = i == p->victim, failed = p->failed[i];
    const char *message = victim ? "canceling statement due to timeout" : "a call failed";
    size_t span = otlp_write_begin(t->out, SPANS_FIELD);
    char name[96];

    name_of(s, name, sizeof(name));
    otlp_write_span_fields(
        t->out, &(struct span_fields){
                    .trace_id = slice_make(trace_id, 16),
                    .span_id = slice_make(p->ids[i], 8),
                    .parent_id =
                        slice_make(s->parent < 0 ? NULL : p->ids[s->parent], s->parent < 0 ? 0 : 8),
                    .name = slice_str(name),
                    .kind = kind_of(s),
                    .start_ns = p->start_ns[i],
                    .end_ns = end_ns,
                    .status = failed ? 2 : 0, /* STATUS_CODE_ERROR */
                    .status_message = slice_str(failed ? message : ""),
                    .flags = GENERATED_FLAGS,
                });
    put_attributes(t, s, failed);
    if (failed)
        span_exception(t->out, end_ns, victim ? "TimeoutError" : "UpstreamError", message);
    otlp_write_end(t->out, span);
}

static bool takes_part(const struct shop_flow *flow, uint8_t service)
{
    for (size_t i = 0; i < flow->count; i++)
        if (flow->steps[i].service == service)
            return true;
    return false;
}

/* Writes the body of `service`, which takes part. */
static void write_service(struct traffic *t, const struct plan *p, uint8_t service,
                          struct traffic_trace *out)
{
    struct request_marks marks;

    t->out = &out->bodies[out->count];
    out->body_spans[out->count] = 0;
    buf_clear(t->out);
    marks = request_begin(t->out, &shop_services[service]);
    for (size_t i = 0; i < p->flow->count; i++) {
        if (p->flow->steps[i].service != service)
            continue;
        write_step(t, p, i, out->id);
        out->body_spans[out->count]++;
    }
    request_end(t->out, marks);
    out->spans += out->body_spans[out->count++];
}

static const struct shop_step health_step[] = {
    {-1, 0, STEP_HTTP_SERVER, "GET", "/healthz", NULL, 180}};
static const struct shop_flow health_flow = {health_step, 1, 0};

/* What kubelet asks any of the services: a route of its own, and its user agent. */
static void write_health_check(struct traffic *t, const struct plan *p, struct traffic_trace *out)
{
    struct request_marks marks;
    size_t span;

    t->out = &out->bodies[0];
    buf_clear(t->out);
    marks = request_begin(t->out, &shop_services[rng_below(&t->rng, shop_service_count)]);
    span = otlp_write_begin(t->out, SPANS_FIELD);
    otlp_write_span_fields(t->out, &(struct span_fields){
                                       .trace_id = slice_make(out->id, 16),
                                       .span_id = slice_make(p->ids[0], 8),
                                       .name = slice_str("GET /healthz"),
                                       .kind = KIND_SERVER,
                                       .start_ns = p->start_ns[0],
                                       .end_ns = p->start_ns[0] + p->duration_ns[0],
                                       .flags = GENERATED_FLAGS,
                                   });
    put_string(t, "http.request.method", "GET");
    put_string(t, "http.route", "/healthz");
    put_string(t, "url.path", "/healthz");
    put_int(t, "http.response.status_code", 200);
    put_string(t, "user_agent.original", "kube-probe/1.34");
    otlp_write_end(t->out, span);
    request_end(t->out, marks);
    out->body_spans[0] = out->count = out->spans = 1;
}

enum err traffic_next(struct traffic *t, uint64_t unix_ns, struct traffic_trace *trace)
{
    struct plan p = {.kind = pick_kind(t)};

    trace->kind = p.kind;
    trace->count = trace->spans = 0;
    random_id(&t->rng, trace->id, sizeof(trace->id));
    p.flow = p.kind == TRAFFIC_HEALTH ? &health_flow : pick_flow(&t->rng);
    p.victim = pick_leaf(&t->rng, p.flow);
    for (size_t i = 0; i < p.flow->count; i++)
        random_id(&t->rng, p.ids[i], 8);
    plan_times(&p, &t->rng, unix_ns);
    plan_failures(&p);
    if (p.kind == TRAFFIC_HEALTH)
        write_health_check(t, &p, trace);
    else
        for (uint8_t s = 0; s < shop_service_count; s++)
            if (takes_part(p.flow, s))
                write_service(t, &p, s, trace);
    for (size_t i = 0; i < trace->count; i++)
        if (!buf_ok(&trace->bodies[i]))
            return ERR_FULL;
    return ERR_OK;
}
