/* What policies cost: asks them about made traces and prints the CPU time and, where the system
 * lets it be counted, the instructions of each question.
 *
 *     build/bench/policies [--seconds S] [--jit on|off] [--budget on|off] [NAME...]
 *
 * The traces are those of `moontail load --bench`: 8 spans of 10 attributes, 5 % errors, 5 % slow;
 * POOL of them, which is more than the caches hold. bench/run --policies runs it.
 */
#include "base/clock.h"
#include "base/prefetch.h"
#include "cli/bench_pool.h"
#include "lua/state.h"
#include "policy/policy.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { POOL = 4000, SPANS = 8, FETCH_AHEAD = 2, BODY_MAX = 1 << 20, BLOCKS = POOL / BENCH_TRACES };

static const struct chain {
    const char *name, *policies;
} chains[] = {
    {"nothing", "policy { name = 'nothing', decide = function() end }"},
    {"probabilistic", "policy 'probabilistic' { sampling_percentage = 10 }"},
    {"latency", "policy 'latency' { threshold_ms = 500 }"},
    {"status_code", "policy 'status_code' { status_codes = { 'ERROR' } }"},
    {"drop_health_checks", "policy 'drop_health_checks'"},
    {"reference",
     "policy 'drop_health_checks', policy 'status_code' { status_codes = { 'ERROR' } }, "
     "policy 'latency' { threshold_ms = 500 }, policy 'probabilistic' { sampling_percentage = 10 "
     "}"},
    {"attribute",
     "policy { name = 'attribute', setup = function() return { m = match { attr = { "
     "['http.response.status_code'] = range(500) } } } end, decide = function(trace, _, my) "
     "if trace:find(my.m) then return keep 'failed' end end }"},
};
enum { CHAINS = sizeof(chains) / sizeof(chains[0]) };

struct options {
    double seconds;
    bool jit, budget;
};

struct sample {
    struct policy_trace trace;
    struct span_view views[SPANS];
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* ---- traces ---- */

/* The trace of that id, or a new one. */
static struct sample *sample_of(struct sample *samples, size_t *count, const uint8_t id[16])
{
    for (size_t i = *count; i-- > 0 && *count - i <= BENCH_TRACES * (BENCH_LAG * 4 + 2);)
        if (memcmp(samples[i].trace.id, id, 16) == 0)
            return &samples[i];
    if (*count == POOL)
        return NULL;
    memcpy(samples[*count].trace.id, id, 16);
    return &samples[(*count)++];
}

static void take_span(struct sample *s, struct slice body, const struct scan_span *span)
{
    struct policy_trace *t = &s->trace;

    if (t->count == SPANS)
        fail("traces", "one has more than 8 spans");
    scan_sum(&t->sums, span);
    s->views[t->count++] =
        span_view_at(body, span->offset, span->len, span->resource_offset, span->scope_offset);
}

static void take_body(struct sample *samples, size_t *count, struct slice body)
{
    struct scan_span spans[BENCH_SPANS];
    struct scan_result result;

    if (scan_traces(body, spans, BENCH_SPANS, &result) != ERR_OK)
        fail("traces", "a body can't be scanned");
    for (size_t i = 0; i < result.spans; i++) {
        struct sample *s = sample_of(samples, count, spans[i].trace_id);

        if (s)
            take_span(s, body, &spans[i]);
    }
}

static void finish(struct sample *s)
{
    struct policy_trace *t = &s->trace;

    if (t->count != SPANS)
        fail("traces", "one has fewer than 8 spans");
    t->trigger = "wait";
    t->complete = true;
    t->decided_unix_ns = UINT64_C(1700000010) * NS_PER_S;
    t->span = policy_span_in_array;
    t->span_arg = s->views;
    t->only_root = POLICY_ROOT_UNKNOWN;
    for (uint32_t i = 0; i < SPANS; i++) {
        struct span_fields f;

        view_span_fields(s->views[i].span, &f);
        if (view_id(f.parent_id) == 0)
            t->only_root = i;
    }
}

static struct sample *make_samples(void)
{
    struct sample *samples = calloc(POOL, sizeof(*samples));
    struct bench_pool *pool = bench_pool_new(1, UINT64_C(1700000000) * NS_PER_S, BENCH_SPANS);
    struct buf body;
    size_t count = 0;

    if (!samples || !pool)
        fail("traces", "no memory");
    bench_pool_limit(pool, BLOCKS * BENCH_TRACES);
    for (;;) {
        buf_init(&body, BODY_MAX, NULL); /* stays: the traces lie in it */
        if (!bench_pool_next(pool, &body))
            break;
        take_body(samples, &count, buf_slice(&body));
    }
    bench_pool_free(pool);
    for (size_t i = 0; i < count; i++)
        finish(&samples[i]);
    if (count != POOL)
        fail("traces", "there are fewer than were asked for");
    return samples;
}

/* ---- policies ---- */

static void load(lua_State *L, struct policy_shared *shared, const struct chain *chain,
                 struct policy_set **set)
{
    struct err_info info;
    struct buf errors;
    char text[2048];

    buf_init(&errors, 4096, NULL);
    snprintf(text, sizeof(text), "return { %s }, drop()", chain->policies);
    if (lua_env_new(L, &info) || policy_api_install(L, -1, shared, &info) ||
        lua_env_seal(L, -1, &info) || lua_load_script(L, slice_str(text), "bench", -1, &info) ||
        lua_run(L, 0, 2, &info))
        fail(chain->name, info.text);
    if (policy_set_new(L, -2, -1, shared, set, &errors)) {
        buf_byte(&errors, 0);
        fail(chain->name, (const char *)errors.data);
    }
    buf_fini(&errors);
}

static lua_State *new_state(const struct options *o)
{
    struct lua_options bounds = {.max_bytes = 32 << 20,
                                 .max_cpu_ns = o->budget ? 10 * NS_PER_MS : 0,
                                 .jit = o->jit ? LUA_JIT_ON : LUA_JIT_OFF};

    if (!o->budget)
        bounds.max_bytes = 0;
    return lua_state_new(&bounds);
}

/* ---- measuring ---- */

/* A counter of this thread's instructions in user space; -1 where there is none. */
static int open_counter(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof(attr),
                                   .config = PERF_COUNT_HW_INSTRUCTIONS,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};

    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static uint64_t read_counter(int counter)
{
    uint64_t value = 0;

    return counter >= 0 && read(counter, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

struct cost {
    double ns, instructions, kept; /* of a trace */
};

/* The table of traces has fetched what it knows of the next ones by the time they are decided
 * (trace/decide.c); where their spans lie is part of that. The spans themselves are not. */
static size_t ask_all(struct policy_set *set, const struct sample *samples)
{
    struct policy_verdict v;
    size_t kept = 0;

    for (size_t i = 0; i < POOL; i++) {
        if (i + FETCH_AHEAD < POOL)
            prefetch_run(&samples[i + FETCH_AHEAD], sizeof(*samples));
        policy_set_decide(set, &samples[i].trace, i + 1, &v);
        kept += v.keep;
    }
    return kept;
}

static struct cost measure(struct policy_set *set, const struct sample *samples, double seconds)
{
    int counter = open_counter();
    uint64_t asked = 0, kept = 0, start_ns, instructions, end_ns;

    for (int i = 0; i < 10; i++)
        ask_all(set, samples); /* until it is compiled */
    start_ns = clock_thread_cpu_ns();
    instructions = read_counter(counter);
    end_ns = start_ns + (uint64_t)(seconds * 1e9);
    do {
        kept += ask_all(set, samples);
        asked += POOL;
    } while (clock_thread_cpu_ns() < end_ns);
    instructions = read_counter(counter) - instructions;
    end_ns = clock_thread_cpu_ns();
    if (counter >= 0)
        close(counter);
    return (struct cost){(double)(end_ns - start_ns) / (double)asked,
                         (double)instructions / (double)asked, (double)kept / (double)asked};
}

static void run_chain(const struct chain *chain, const struct sample *samples,
                      const struct options *o)
{
    struct policy_shared shared;
    struct labels *labels = labels_new();
    struct policy_set *set;
    lua_State *L = new_state(o);
    struct cost cost;

    policy_shared_init(&shared, labels, 10);
    load(L, &shared, chain, &set);
    cost = measure(set, samples, o->seconds);
    printf("%s %.1f ns, %.0f instructions a span; %.1f %% kept\n", chain->name, cost.ns / SPANS,
           cost.instructions / SPANS, cost.kept * 100);
    policy_set_free(set);
    lua_state_close(L);
    policy_shared_fini(&shared);
    labels_free(labels);
}

/* ---- the command ---- */

static bool is_asked_for(const char *name, char **names)
{
    for (char **n = names; *n; n++)
        if (strcmp(*n, name) == 0)
            return true;
    return !*names;
}

int main(int argc, char **argv)
{
    struct options o = {.seconds = 1, .jit = true, .budget = true};
    const struct sample *samples = make_samples();

    for (argv++; argc > 2 && *argv && strncmp(*argv, "--", 2) == 0 && argv[1]; argv += 2) {
        if (strcmp(*argv, "--seconds") == 0)
            o.seconds = strtod(argv[1], NULL);
        else if (strcmp(*argv, "--jit") == 0)
            o.jit = strcmp(argv[1], "on") == 0;
        else if (strcmp(*argv, "--budget") == 0)
            o.budget = strcmp(argv[1], "on") == 0;
        else
            fail(*argv, "unknown option");
    }
    for (size_t i = 0; i < CHAINS; i++)
        if (is_asked_for(chains[i].name, argv))
            run_chain(&chains[i], samples, &o);
    return 0;
}
