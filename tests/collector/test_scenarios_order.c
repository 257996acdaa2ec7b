/* Scenarios: the same bytes and policies give the same decisions, whatever the order of arrival,
 * the split over requests, the workers, the hash seed, and with or without the JIT. */
#include "scenario.h"

enum { TRACES = 300, SPANS_MAX = 8, REASON_MAX = 40 };

/* The last policy but one looks at what depends most on order: which span is first, which is the
 * entry, sums over all of them. */
static const char pipeline[] =
    "local c = (function() return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },"
    "  tail_sampling = { decision_wait = '20s', policies = {"
    "    policy 'status_code' { status_codes = { 'ERROR' } },"
    "    policy 'latency' { threshold_ms = 900 },"
    "    policy { name = 'order', decide = function(trace)"
    "      local text, sum, n = '', 0, 0"
    "      for i, span in trace:spans() do"
    "        if n < 2 then text = text .. span.name end"
    "        sum, n = sum + i * span.duration_ms, n + 1"
    "      end"
    "      if sum % 7 == 0 then return keep(text .. '_' .. trace.entry.name .. n) end"
    "      if trace:fraction('salt') < 0.1 then return keep('fraction') end"
    "    end },"
    "    policy 'probabilistic' { sampling_percentage = 20 } } },"
    "  exporters = { exporter 'otlp' { endpoint = 'http://h:1', protocol = 'http/protobuf',"
    "    compression = 'none' } } } end)()\n";

struct variant {
    const char *more; /* Lua that changes `c` */
    uint64_t seed;    /* of the collector */
    uint64_t shuffle; /* 0: in order */
    unsigned parts;   /* requests that a trace is split over */
};

/* What became of each trace. */
struct outcome {
    struct {
        uint8_t spans;
        uint64_t entry; /* id of the span that has the record */
        char policy[REASON_MAX], reason[REASON_MAX];
        char trace_state[SPANS_MAX + 1][REASON_MAX]; /* by span id */
    } traces[TRACES];
};

static const char *const names[] = {"a", "b", "c", "d"};
static const char *const states[] = {NULL, "ot=rv:f3333333333333", "ot=rv:10000000000000",
                                     "ot=th:8;rv:e8000000000000"};

/* Span `number` of a trace: some traces have no root, some two; starts are often equal. */
static struct test_span make_span(uint64_t trace, unsigned number)
{
    uint64_t dice = mix(trace * 100 + number), kind = mix(trace) % 10;
    bool is_root = kind > 1 ? number == 0 : kind == 1 && number < 2;

    return (struct test_span){
        .trace_high = trace + 1,
        .trace_low = mix(trace),
        .id = (number * 5 + trace) % SPANS_MAX + 1,
        .parent = is_root ? 0 : (number / 2 * 5 + trace) % SPANS_MAX + 1 + (kind == 0 ? 100 : 0),
        .name = names[dice % 4],
        .start_ms = now_ms + (dice >> 8) % 3,
        .duration_ms = 1 + (dice >> 16) % 50 + ((dice >> 24) % 300 == 0 ? 1000 : 0),
        .error = (dice >> 32) % 60 == 0,
        .trace_state = states[(dice >> 40) % 16 < 4 ? (dice >> 40) % 4 : 0],
    };
}

static size_t make_spans(struct test_span *spans)
{
    size_t n = 0;

    for (uint64_t trace = 0; trace < TRACES; trace++)
        for (unsigned i = 0; i < 1 + mix(trace + 7) % SPANS_MAX; i++)
            spans[n++] = make_span(trace, i);
    return n;
}

static void shuffle(struct test_span *spans, size_t n, uint64_t seed)
{
    for (size_t i = n - 1; seed && i > 0; i--) {
        size_t k = mix(seed + i) % (i + 1);
        struct test_span swapped = spans[i];

        spans[i] = spans[k];
        spans[k] = swapped;
    }
}

/* Sends span i of the list in request i % parts of its run. */
static void send(struct sim *s, const struct test_span *spans, size_t n, unsigned parts)
{
    enum { RUN_LENGTH = 200 };
    int fds[3];

    for (int i = 0; i < 3; i++)
        fds[i] = sim_connect(s);
    for (size_t from = 0; from < n; from += RUN_LENGTH)
        for (unsigned part = 0; part < parts; part++) {
            struct test_span request[RUN_LENGTH];
            size_t count = 0;

            for (size_t i = from; i < n && i < from + RUN_LENGTH; i++)
                if (i % parts == part)
                    request[count++] = spans[i];
            post(s, fds[part % 3], request, count);
        }
}

static void copy_text(char *to, struct slice text)
{
    CHECK(text.len < REASON_MAX);
    if (text.len > 0 && text.len < REASON_MAX)
        memcpy(to, text.data, text.len);
}

static void read_outcome(struct backend *b, struct outcome *out)
{
    memset(out, 0, sizeof(*out));
    backend_read(b, 1);
    for (size_t i = 0; i < b->count; i++) {
        struct span_view view = backend_view(b, 1, i);
        uint64_t trace = view_id(slice_make(b->spans[i].trace_id, 8)) - 1;
        struct span_fields f;
        struct value v;

        view_span_fields(view.span, &f);
        out->traces[trace].spans++;
        copy_text(out->traces[trace].trace_state[b->spans[i].span_id], f.trace_state);
        if (!view_attr(view.span, ATTRS_SPAN, slice_str("sampling.policy"), &v))
            continue;
        CHECK(out->traces[trace].entry == 0);
        out->traces[trace].entry = b->spans[i].span_id;
        copy_text(out->traces[trace].policy, v.bytes);
        if (view_attr(view.span, ATTRS_SPAN, slice_str("sampling.reason"), &v))
            copy_text(out->traces[trace].reason, v.bytes);
    }
}

static void run_variant(const struct variant *v, struct outcome *out)
{
    static struct test_span spans[TRACES * SPANS_MAX];
    char config[2048];
    struct backend b;
    struct sim s;
    size_t n = make_spans(spans);

    shuffle(spans, n, v->shuffle);
    snprintf(config, sizeof(config), "%s %s return c", pipeline, v->more);
    backend_init(&b);
    sim_init(&s, &(struct sim_options){
                     .config = config, .seed = v->seed, .serve = backend_serve, .serve_arg = &b});
    send(&s, spans, n, v->parts);
    CHECK(sim_ledger(&s)->pending == n);
    sim_run(&s, 22 * NS_PER_S);
    CHECK(sim_ledger(&s)->new_traces == TRACES);
    balanced(&s);
    read_outcome(&b, out);
    sim_fini(&s);
    backend_fini(&b);
}

static bool is_same(const struct outcome *a, const struct outcome *b)
{
    size_t different = 0;

    for (size_t i = 0; i < TRACES; i++)
        if (memcmp(&a->traces[i], &b->traces[i], sizeof(a->traces[i])) != 0 && different++ < 3)
            printf("  trace %zu: %u spans, %s (%s) at %u; or %u, %s (%s) at %u\n", i,
                   a->traces[i].spans, a->traces[i].policy, a->traces[i].reason,
                   (unsigned)a->traces[i].entry, b->traces[i].spans, b->traces[i].policy,
                   b->traces[i].reason, (unsigned)b->traces[i].entry);
    return different == 0;
}

/* How many traces a policy has kept. */
static size_t kept_by(const struct outcome *o, const char *policy)
{
    size_t n = 0;

    for (size_t i = 0; i < TRACES; i++)
        n += strcmp(o->traces[i].policy, policy) == 0;
    return n;
}

static void decisions_do_not_depend_on_how_the_spans_came(void)
{
    static const struct variant variants[] = {
        {"", 1, 0, 1},
        {"", 1, 11, 1},
        {"", 1, 12, 2},
        {"", 1, 0, 3},
        {"", 1, 13, 5},
        {"", 77, 14, 1},
        {"c.jit = 'off'", 1, 0, 1},
        {"c.jit = 'off'", 99, 15, 4},
        {"c.workers = 3", 1, 0, 2},
        {"c.workers = 4", 5, 16, 5},
    };
    static struct outcome first, other;

    run_variant(&variants[0], &first);
    CHECK(kept_by(&first, "status_code") > 5 && kept_by(&first, "latency") > 2);
    CHECK(kept_by(&first, "order") > 20 && kept_by(&first, "probabilistic") > 20);
    CHECK(kept_by(&first, "") > 50); /* dropped */
    for (size_t i = 1; i < sizeof(variants) / sizeof(variants[0]); i++) {
        run_variant(&variants[i], &other);
        if (!is_same(&first, &other)) {
            printf("  variant %zu\n", i);
            CHECK(!"the outcome is the same");
        }
    }
}

int main(void)
{
    RUN(decisions_do_not_depend_on_how_the_spans_came);
    return DONE();
}
