#include "cli/bench_pool.h"

#include "base/clock.h"
#include "base/random.h"
#include "cli/request_writer.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SPANS_A_TRACE = 8,
    CYCLE_LEAST = 8, /* blocks that differ in more than their ids */
    CYCLE_MAX = 100, /* blocks */
    BODY_MAX = 1 << 20,
    PATCHES_A_SPAN = 3
};

/* Where an id stands in a body, and which. */
struct patch {
    uint32_t offset;
    uint16_t trace; /* of the cycle */
    uint8_t span;   /* TRACE_ID: the trace's id; else of that span */
};
enum { TRACE_ID = 255 };

struct body {
    struct buf bytes;
    struct patch *patches;
    size_t patch_count;
};

struct bench_pool {
    uint64_t seed, limit; /* rounds */
    uint64_t step;        /* requests given out, those left out at the ends included */
    unsigned spans;       /* of a request */
    unsigned rounds;      /* of a cycle: of whole blocks */
    unsigned lag;         /* rounds */
    struct body *bodies;  /* rounds * BENCH_SERVICES */
};

/* The service of each span of a trace. */
struct shape {
    uint8_t count;
    uint8_t services[SPANS_A_TRACE];
};

/* How often each shape comes in a block: so that each service has 80 spans. */
static const struct shape shapes[] = {
    {20, {0, 0, 1, 1, 2, 2, 3, 3}}, {2, {0, 0, 0, 1, 1, 1, 2, 2}}, {2, {1, 1, 1, 2, 2, 2, 3, 3}},
    {2, {2, 2, 2, 3, 3, 3, 0, 0}},  {2, {3, 3, 3, 0, 0, 0, 1, 1}}, {6, {0, 0, 0, 0, 1, 1, 1, 1}},
    {6, {2, 2, 2, 2, 3, 3, 3, 3}},
};

static const struct service_fields services[BENCH_SERVICES] = {
    {"frontend", "4.12.0", "shop", "frontend-6d9c7b5f4-x2lqp"},
    {"checkout", "3.4.0", "shop", "checkout-84b6d9f7c-qq8rt"},
    {"cart", "1.19.1", "shop", "cart-5c6d7f8b9-7xw4z"},
    {"catalog", "2.7.3", "shop", "catalog-7f8b9c6d5-p9k2m"},
};

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static const struct shape *shape_of(size_t trace)
{
    const struct shape *s = shapes;

    while (trace >= s->count)
        trace -= s++->count;
    return s;
}

/* The span that calls span `i`: the last of the service before, or its own service's first. */
static int parent_of(const struct shape *s, int i)
{
    int first = i;

    if (i == 0)
        return -1;
    while (first > 0 && s->services[first - 1] == s->services[i])
        first--;
    return first == i ? i - 1 : first;
}

static int kind_of(const struct shape *s, int i)
{
    if (i == 0 || s->services[i - 1] != s->services[i])
        return KIND_SERVER;
    return i % 3 == 1 ? KIND_CLIENT : KIND_INTERNAL;
}

static void put_attributes(struct buf *b, struct rng *rng, int kind)
{
    char text[96];

    otlp_write_attr_str(b, ATTRS_SPAN, "http.request.method", slice_str("GET"));
    otlp_write_attr_int(b, ATTRS_SPAN, "http.response.status_code", 200);
    otlp_write_attr_str(b, ATTRS_SPAN, "http.route", slice_str("/api/v2/orders/{id}"));
    snprintf(text, sizeof(text), "/api/v2/orders/%u", (unsigned)rng_below(rng, 1000000));
    otlp_write_attr_str(b, ATTRS_SPAN, "url.path", slice_str(text));
    otlp_write_attr_str(b, ATTRS_SPAN, "server.address",
                        slice_str("orders.shop.svc.cluster.local"));
    otlp_write_attr_int(b, ATTRS_SPAN, "server.port", 8080);
    snprintf(text, sizeof(text), "10.%u.%u.%u", (unsigned)rng_below(rng, 256),
             (unsigned)rng_below(rng, 256), (unsigned)rng_below(rng, 256));
    otlp_write_attr_str(b, ATTRS_SPAN, "client.address", slice_str(text));
    otlp_write_attr_str(b, ATTRS_SPAN, "network.protocol.version", slice_str("1.1"));
    if (kind == KIND_SERVER)
        otlp_write_attr_str(b, ATTRS_SPAN, "user_agent.original",
                            slice_str("shop-client/2.31 (linux; x86_64)"));
    else
        otlp_write_attr_str(b, ATTRS_SPAN, "db.system.name", slice_str("postgresql"));
    snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)rng_next(rng),
             (unsigned long long)rng_next(rng));
    otlp_write_attr_str(b, ATTRS_SPAN, "session.id", slice_str(text));
}

/* Ids of a template are marks that are looked for when the body is whole: bytes of 0xff around the
 * trace and the span. No attribute has such bytes, since they are not UTF-8. */
static void mark(uint8_t *id, size_t len, size_t trace, size_t span)
{
    memset(id, 0xff, len);
    id[2] = (uint8_t)trace;
    id[3] = (uint8_t)span;
    id[4] = (uint8_t)(trace >> 8);
}

static void put_span(struct buf *b, struct rng *rng, size_t trace, int i, uint64_t end_ns)
{
    const struct shape *shape = shape_of(trace % BENCH_TRACES);
    bool slow = trace % 20 == 7, failed = trace % 20 == 13 && i == SPANS_A_TRACE - 1;
    uint64_t whole_ns = (slow ? 800 : 80) * NS_PER_MS, inset_ns = whole_ns / 20 * (uint64_t)i;
    uint8_t trace_id[16], id[8], parent[8];
    int parent_index = parent_of(shape, i);
    size_t span = otlp_write_begin(b, SPANS_FIELD);

    mark(trace_id, sizeof(trace_id), trace, TRACE_ID);
    mark(id, sizeof(id), trace, (size_t)i);
    mark(parent, sizeof(parent), trace, (size_t)(parent_index < 0 ? 0 : parent_index));
    otlp_write_span_fields(b, &(struct span_fields){
                                  .trace_id = slice_make(trace_id, sizeof(trace_id)),
                                  .span_id = slice_make(id, sizeof(id)),
                                  .parent_id = slice_make(parent, parent_index < 0 ? 0 : 8),
                                  .name = slice_str("GET /api/v2/orders/{id}"),
                                  .kind = kind_of(shape, i),
                                  .start_ns = end_ns - whole_ns + inset_ns,
                                  .end_ns = end_ns - inset_ns,
                                  .status = failed ? 2 : 0,
                                  .status_message = slice_str(failed ? "upstream timed out" : ""),
                                  .flags = GENERATED_FLAGS,
                              });
    put_attributes(b, rng, kind_of(shape, i));
    if (failed)
        span_exception(b, end_ns - inset_ns, "TimeoutError", "upstream timed out");
    otlp_write_end(b, span);
}

/* Finds the marks. Their bytes stand only where an id does. */
static void find_patches(struct body *b, size_t max)
{
    const uint8_t *d = b->bytes.data;

    for (size_t i = 0; i + 8 <= b->bytes.len && b->patch_count < max;) {
        bool is_mark = d[i] == 0xff && d[i + 1] == 0xff && d[i + 5] == 0xff && d[i + 6] == 0xff &&
                       d[i + 7] == 0xff;

        if (is_mark)
            b->patches[b->patch_count++] =
                (struct patch){(uint32_t)i, (uint16_t)(d[i + 2] | d[i + 4] << 8), d[i + 3]};
        i += !is_mark ? 1 : d[i + 3] == TRACE_ID ? 16 : 8;
    }
}

/* A service's spans, one behind the other. */
struct stream {
    size_t service, trace;
    int span;
};

static void stream_next(struct stream *s)
{
    do {
        if (++s->span == SPANS_A_TRACE) {
            s->span = 0;
            s->trace++;
        }
    } while (shape_of(s->trace % BENCH_TRACES)->services[s->span] != s->service);
}

static bool body_make(struct body *b, unsigned spans, struct rng *rng, struct stream *from,
                      uint64_t end_ns)
{
    struct request_marks marks = request_begin(&b->bytes, &services[from->service]);

    b->patches = calloc(spans, PATCHES_A_SPAN * sizeof(*b->patches));
    if (!b->patches)
        return false;
    for (unsigned i = 0; i < spans; i++) {
        stream_next(from);
        put_span(&b->bytes, rng, from->trace, from->span, end_ns);
    }
    request_end(&b->bytes, marks);
    find_patches(b, (size_t)spans * PATCHES_A_SPAN);
    return buf_ok(&b->bytes);
}

/* Blocks until the last request of one is full. */
static unsigned cycle_blocks(unsigned spans)
{
    unsigned blocks = CYCLE_LEAST;

    while (blocks <= CYCLE_MAX && blocks * BENCH_SPANS % spans != 0)
        blocks++;
    return blocks;
}

bool bench_pool_allows(unsigned spans)
{
    return spans > 0 && spans <= BENCH_SPANS_MAX && cycle_blocks(spans) <= CYCLE_MAX;
}

static bool make_bodies(struct bench_pool *p, uint64_t unix_ns)
{
    struct rng rng;
    bool ok = true;

    rng_seed(&rng, 1); /* the same bytes in each run, but for the ids */
    for (size_t s = 0; s < BENCH_SERVICES; s++) {
        struct stream stream = {.service = s, .span = -1};

        for (size_t r = 0; r < p->rounds; r++) {
            struct body *b = &p->bodies[r * BENCH_SERVICES + s];

            buf_init(&b->bytes, BODY_MAX, NULL);
            ok = ok && body_make(b, p->spans, &rng, &stream, unix_ns);
        }
    }
    return ok;
}

struct bench_pool *bench_pool_new(uint64_t seed, uint64_t unix_ns, unsigned spans)
{
    struct bench_pool *p = bench_pool_allows(spans) ? calloc(1, sizeof(*p)) : NULL;

    if (!p)
        return NULL;
    *p = (struct bench_pool){
        .seed = seed,
        .limit = UINT64_MAX,
        .spans = spans,
        .rounds = cycle_blocks(spans) * BENCH_SPANS / spans,
        .lag = (BENCH_LAG * BENCH_SPANS + spans - 1) / spans,
    };
    p->bodies = calloc((size_t)p->rounds * BENCH_SERVICES, sizeof(*p->bodies));
    if (p->bodies && make_bodies(p, unix_ns))
        return p;
    bench_pool_free(p);
    return NULL;
}

void bench_pool_free(struct bench_pool *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->bodies && i < (size_t)p->rounds * BENCH_SERVICES; i++) {
        buf_fini(&p->bodies[i].bytes);
        free(p->bodies[i].patches);
    }
    free(p->bodies);
    free(p);
}

/* Traces of the rounds before this one, the last of them perhaps in part. */
static uint64_t traces_of(const struct bench_pool *p, uint64_t rounds)
{
    return (rounds * p->spans * BENCH_SERVICES + SPANS_A_TRACE - 1) / SPANS_A_TRACE;
}

void bench_pool_limit(struct bench_pool *p, uint64_t traces)
{
    uint64_t spans = (uint64_t)p->spans * BENCH_SERVICES;

    p->limit = (traces * SPANS_A_TRACE + spans - 1) / spans;
}

uint64_t bench_pool_traces(const struct bench_pool *p)
{
    uint64_t begun = (p->step + BENCH_SERVICES - 1) / BENCH_SERVICES;

    return traces_of(p, begun < p->limit ? begun : p->limit);
}

static void put_id(uint8_t *to, const struct patch *patch, uint64_t seed, uint64_t first_trace)
{
    uint64_t trace = mix(seed ^ mix(first_trace + patch->trace));
    uint64_t id = mix(trace + 1 + patch->span) | 1;

    memcpy(to, &id, 8);
    if (patch->span == TRACE_ID) {
        id = mix(trace);
        memcpy(to + 8, &id, 8);
    }
}

static void body_write(const struct bench_pool *p, uint64_t round, size_t service, struct buf *out)
{
    const struct body *b = &p->bodies[round % p->rounds * BENCH_SERVICES + service];
    uint64_t first_trace = traces_of(p, round / p->rounds * p->rounds);
    uint8_t *to = buf_reserve(out, b->bytes.len);

    if (!to)
        return;
    memcpy(to, b->bytes.data, b->bytes.len);
    for (size_t i = 0; i < b->patch_count; i++)
        put_id(to + b->patches[i].offset, &b->patches[i], p->seed, first_trace);
    out->len += b->bytes.len;
}

bool bench_pool_next(struct bench_pool *p, struct buf *out)
{
    for (;;) {
        uint64_t round = p->step / BENCH_SERVICES, service = p->step % BENCH_SERVICES;
        uint64_t lag = service * p->lag;

        if (p->limit != UINT64_MAX && round >= p->limit + (uint64_t)(BENCH_SERVICES - 1) * p->lag)
            return false;
        p->step++;
        if (round < lag || round - lag >= p->limit)
            continue;
        body_write(p, round - lag, service, out);
        return true;
    }
}
