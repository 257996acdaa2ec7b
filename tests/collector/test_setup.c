#include "base/fake_disk.h"
#include "check.h"
#include "collector/setup.h"
#include "lua/state.h"

#include <fcntl.h>
#include <stdlib.h>

extern struct exporter_type exporter_nop; /* linked in, so that it registers itself */
extern struct exporter_type exporter_lua;
static struct exporter_type *const types[] __attribute__((used)) = {&exporter_nop, &exporter_lua};

/* A folder with config.lua, and what loading it gave. */
struct fixture {
    struct fake_disk disk;
    struct labels *labels;
    struct policy_shared shared;
    struct memory memory;
    struct setup setup;
    struct setup_loaded loaded;
    struct buf report;
};

static void put(struct fake_disk *disk, const char *path, const char *text)
{
    int fd;

    CHECK(!disk->disk.open(&disk->disk, path, O_CREAT | O_WRONLY, 0600, &fd, NULL));
    CHECK(!disk->disk.pwrite(&disk->disk, fd, text, strlen(text), 0, NULL));
    disk->disk.close(&disk->disk, fd);
}

static struct fixture *fixture_new(const char *config)
{
    struct fixture *f = calloc(1, sizeof(*f));

    fake_disk_init(&f->disk);
    put(&f->disk, "m/config.lua", config);
    memory_init(&f->memory, 1 << 30, 1 << 20);
    f->labels = labels_new();
    policy_shared_init(&f->shared, f->labels, 10);
    f->setup = (struct setup){
        .path = "m/config.lua", .disk = &f->disk.disk, .memory = &f->memory, .shared = &f->shared};
    buf_init(&f->report, 1 << 16, NULL);
    return f;
}

/* Loads; the report ends with a NUL. */
static enum err fixture_load(struct fixture *f)
{
    enum err e = setup_load(&f->setup, &f->loaded, &f->report);

    buf_byte(&f->report, 0);
    return e;
}

static bool report_is(const struct fixture *f, const char *expected)
{
    bool same = strcmp((const char *)f->report.data, expected) == 0;

    if (!same)
        printf("  got: %s\n", (const char *)f->report.data);
    return same;
}

static void fixture_free(struct fixture *f)
{
    setup_fini(&f->loaded);
    CHECK(memory_used(&f->memory) == 0);
    policy_shared_fini(&f->shared);
    labels_free(f->labels);
    buf_fini(&f->report);
    fake_disk_fini(&f->disk);
    free(f);
}

static const char good[] =
    "return { tail_sampling = { policies = { policy 'blue', policy 'latency' { threshold_ms = 1 "
    "},\n"
    "  policy { name = 'inline', decide = function(trace) return keep() end } } },\n"
    "  exporters = { exporter 'nop' } }";

static void a_file_dropped_beside_the_config_is_a_policy(void)
{
    struct fixture *f = fixture_new(good);

    put(&f->disk, "m/policies/blue.lua",
        "return policy { doc = 'blue', decide = function(trace) if trace.complete then return "
        "keep() end end }");
    CHECK(!fixture_load(f) && report_is(f, ""));
    CHECK(f->loaded.policies == 3 && f->loaded.exporters == 1);
    fixture_free(f);
}

static void errors_of_policies_are_reported_with_their_lines(void)
{
    struct fixture *f = fixture_new("return {\n  tail_sampling = { policies = {\n"
                                    "    policy 'nowhere',\n"
                                    "    policy 'latency' { threshold = 1,\n"
                                    "      threshold_ms = -1 },\n"
                                    "  } },\n  exporters = { exporter 'nop' } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(strstr((const char *)f->report.data,
                 "m/config.lua:3: there is no policy \"nowhere\"; looked for "
                 "m/policies/nowhere.lua, m/policies.nowhere.lua and the built-in ones: "));
    CHECK(strstr((const char *)f->report.data,
                 "\nm/config.lua:4: policy \"latency\": unknown key threshold; did you mean "
                 "threshold_ms?\n"
                 "m/config.lua:5: policy \"latency\": threshold_ms is -1; allowed: a number, at "
                 "least 0\n"));
    CHECK(f->loaded.L == NULL && f->loaded.config == NULL);
    fixture_free(f);
}

static void errors_of_policies_and_exporters_come_together(void)
{
    struct fixture *f = fixture_new("return {\n"
                                    "  memory_limiter = { check_interval = '1s' },\n"
                                    "  tail_sampling = { policies = { policy 'latency' { } } },\n"
                                    "  exporters = { exporter 'debug' { verbosity = 'loud' } } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(report_is(f, "m/config.lua:3: policy \"latency\": threshold_ms is missing; allowed: a "
                       "number, at least 0\n"
                       "m/config.lua:4: exporter \"debug\": verbosity is 'loud'; allowed: "
                       "\"basic\", \"normal\", \"detailed\"\n"));
    fixture_free(f);
}

static void two_of_one_name_are_one_error_each(void)
{
    struct fixture *f = fixture_new("return {\n"
                                    "  tail_sampling = { policies = {\n"
                                    "    policy 'latency' { threshold_ms = 5 },\n"
                                    "    policy 'latency' { threshold_ms = 6 } } },\n"
                                    "  exporters = {\n"
                                    "    exporter 'nop',\n"
                                    "    exporter 'nop' } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(report_is(f, "m/config.lua:4: policy \"latency\" is there twice (line 3); call one of "
                       "them policy \"latency/NAME\"\n"
                       "m/config.lua:7: exporter \"nop\" is there twice (line 6); call one of them "
                       "exporter \"nop/NAME\"\n"));
    fixture_free(f);
}

static void a_journal_too_small_for_its_workers_is_refused_with_its_line(void)
{
    struct fixture *f = fixture_new("return {\n"
                                    "  workers = 8,\n"
                                    "  journal = {\n"
                                    "    max_size = '16MiB' },\n"
                                    "  exporters = { exporter 'nop' } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(report_is(f, "m/config.lua:4: journal.max_size is 16MiB; the segments that 8 workers and "
                       "the outbox have open need 64MiB: write journal = { max_size = \"64MiB\" }, "
                       "or fewer workers\n"));
    fixture_free(f);
}

static void a_journal_without_files_is_not_too_small(void)
{
    struct fixture *f =
        fixture_new("return { workers = 8, journal = { max_size = '16MiB', ack = 'memory' },\n"
                    "  exporters = { exporter 'nop' } }");

    CHECK(!fixture_load(f) && report_is(f, ""));
    fixture_free(f);
}

static void memory_too_small_for_its_workers_is_refused_with_its_line(void)
{
    struct fixture *f = fixture_new("return {\n"
                                    "  workers = 48,\n"
                                    "  memory_limiter = {\n"
                                    "    limit = '400MiB' },\n"
                                    "  exporters = { exporter 'nop' } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(report_is(f, "m/config.lua:4: memory_limiter.limit less spike_limit is 300MiB; the "
                       "empty segments of 48 workers alone take 288MiB, and may take three "
                       "quarters: write workers = 37 or fewer, or a larger limit\n"));
    fixture_free(f);
}

static void more_decisions_than_memory_can_find_are_refused_with_their_line(void)
{
    struct fixture *f = fixture_new("return {\n"
                                    "  tail_sampling = { policies = { policy 'always_sample' },\n"
                                    "    decision_cache = 50000000 },\n"
                                    "  exporters = { exporter 'nop' } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(report_is(f, "m/config.lua:3: tail_sampling.decision_cache is 50000000; the index of so "
                       "many takes 256MiB at the start, and may take 150MiB, half of "
                       "memory_limiter.limit less spike_limit: write fewer, or a larger limit\n"));
    fixture_free(f);
    f = fixture_new("return { tail_sampling = { policies = { policy 'always_sample' },\n"
                    "    decision_cache = 30000000 }, exporters = { exporter 'nop' } }");
    CHECK(!fixture_load(f) && report_is(f, ""));
    fixture_free(f);
}

static void as_many_workers_as_memory_has_room_for(void)
{
    struct config c = {.journal.ack = "written", .memory = {.limit = UINT64_C(400) << 20}};

    c.memory.spike_limit = UINT64_C(100) << 20;
    CHECK(setup_workers(&c, 4) == 4);
    CHECK(setup_workers(&c, 64) == 25); /* 6 MiB each, in half of 300 */
    c.journal.ack = "memory";
    CHECK(setup_workers(&c, 64) == 50);
    c.memory.limit = UINT64_C(101) << 20;
    CHECK(setup_workers(&c, 64) == 1);
    c.workers = 64;
    CHECK(setup_workers(&c, 4) == 64);
}

static void a_wrong_default_comes_together_with_errors_of_policies(void)
{
    struct fixture *f = fixture_new("return {\n"
                                    "  tail_sampling = { policies = { policy 'latency' { } },\n"
                                    "    default = at_least(0.5) },\n"
                                    "  exporters = { exporter 'nop' } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(report_is(f, "m/config.lua:3: tail_sampling.default is at_least(0.5); allowed: drop(), "
                       "keep() or sample(p)\n"
                       "m/config.lua:2: policy \"latency\": threshold_ms is missing; allowed: a "
                       "number, at least 0\n"));
    fixture_free(f);
}

static void options_of_processor_resource_are_checked(void)
{
    struct fixture *f = fixture_new("return { processors = { kept = {\n"
                                    "  processor 'resource' { insert = 'x', delete = { 1 } },\n"
                                    "  processor 'resource/b' { upser = { a = 1 } } } },\n"
                                    "  exporters = { exporter 'nop' } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(report_is(
        f, "m/config.lua:2: processor \"resource\": insert is 'x'; allowed: a table of names "
           "with strings, numbers or booleans\n"
           "m/config.lua:2: processor \"resource\": delete[1] is 1; allowed: a string\n"
           "m/config.lua:3: processor \"resource/b\": unknown key upser; did you mean "
           "upsert?\n"));
    fixture_free(f);
}

static void resource_attributes_are_text(void)
{
    struct fixture *f = fixture_new("return { processors = { kept = {\n"
                                    "  processor 'resource' { insert = { a = '\\255' } } } },\n"
                                    "  resource = { ['\\254'] = 1, b = 'caf\xc3\xa9' },\n"
                                    "  exporters = { exporter 'nop' } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(report_is(f, "processor \"resource\": the attribute 'a' or its value is not UTF-8\n"
                       "resource: the attribute '\xfe' or its value is not UTF-8\n"));
    fixture_free(f);
}

static void bounds_of_span_metrics_are_ascending_durations(void)
{
    static const struct {
        const char *bounds, *report;
    } cases[] = {
        {"'2ms', '1s'", ""},
        {"'2ms', 'x'",
         "span_metrics.histogram.explicit.buckets has 'x'; allowed: durations such as "
         "\"250ms\"\n"},
        {"'2ms', '2ms'", "span_metrics.histogram.explicit.buckets has '2ms' behind '2ms'; allowed: "
                         "ascending bounds\n"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char config[256];
        struct fixture *f;

        snprintf(config, sizeof(config),
                 "return { exporters = { exporter 'nop' }, span_metrics = { histogram = { explicit "
                 "= { buckets = { %s } } } } }",
                 cases[i].bounds);
        f = fixture_new(config);
        CHECK(fixture_load(f) == (*cases[i].report ? ERR_CONFIG : ERR_OK));
        CHECK(report_is(f, cases[i].report));
        fixture_free(f);
    }
}

static void span_metrics_of_spans_that_are_refused_are_a_hint(void)
{
    static const struct {
        const char *exporter, *counting, *hint;
    } cases[] = {
        {"signals = { 'metrics' }", "span_metrics = {}", "span_metrics"},
        {"signals = { 'metrics' }", "service_graph = {}", "service_graph"},
        {"signals = { 'metrics' }", "resource = {}", NULL},
        {"signals = { 'traces', 'metrics' }", "span_metrics = {}", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char config[256], hint[256] = "";
        struct fixture *f;

        snprintf(config, sizeof(config),
                 "return { exporters = { exporter 'otlp' { endpoint = 'http://a:4317', %s } },\n"
                 "%s }",
                 cases[i].exporter, cases[i].counting);
        if (cases[i].hint)
            snprintf(
                hint, sizeof(hint),
                "m/config.lua:2: %s counts nothing: spans are refused, since no exporter takes "
                "them; exporter \"nop\" would\n",
                cases[i].hint);
        f = fixture_new(config);
        CHECK(fixture_load(f) == ERR_OK);
        CHECK(report_is(f, hint));
        fixture_free(f);
    }
}

static void errors_of_keys_hide_none_of_what_they_name(void)
{
    struct fixture *f =
        fixture_new("return {\n"
                    "  workers = 'many', resource = { a = env 'NOT_SET' },\n"
                    "  tail_sampling = { polices = 1, policies = { policy 'latency' { } } },\n"
                    "  processors = { kept = { processor 'shuffle' { a = 1 } } },\n"
                    "  exporters = { exporter 'debug' { verbosity = 'loud' } } }");
    static const char *const parts[] = {
        "m/config.lua:2: env NOT_SET",
        "m/config.lua:2: workers is",
        "m/config.lua:3: unknown key tail_sampling.polices",
        "m/config.lua:3: policy \"latency\": threshold_ms is missing",
        "m/config.lua:4: there is no processor \"shuffle\"",
        "m/config.lua:5: exporter \"debug\": verbosity is 'loud'"};
    size_t lines = 0;

    CHECK(fixture_load(f) == ERR_CONFIG);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        CHECK(strstr((const char *)f->report.data, parts[i]));
    for (size_t i = 0; i < f->report.len; i++)
        lines += f->report.data[i] == '\n';
    CHECK(lines == 6);
    CHECK(f->loaded.L == NULL && f->loaded.config == NULL);
    fixture_free(f);
}

static void what_env_did_not_answer_is_said_once(void)
{
    struct fixture *f = fixture_new(
        "return { tail_sampling = { policies = {\n"
        "  policy 'probabilistic' { sampling_percentage = env 'P' }, policy 'latensy' } },\n"
        "  exporters = { exporter 'debug' { verbosity = env 'V' } } }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(strncmp((const char *)f->report.data,
                  "m/config.lua:2: env P is not set and has no default; write env(\"P\", \"...\")\n"
                  "m/config.lua:3: env V is not set and has no default; write env(\"V\", \"...\")\n"
                  "m/config.lua:2: there is no policy \"latensy\" (did you mean \"latency\"?); ",
                  222) == 0);
    CHECK(!strstr((const char *)f->report.data, "nil value"));
    CHECK(!strstr((const char *)f->report.data, "verbosity"));
    fixture_free(f);
}

static void no_error_is_cut_however_many_there_are(void)
{
    struct buf text;
    struct fixture *f;
    const char *last;

    buf_init(&text, 1 << 16, NULL);
    buf_str(&text, "return { tail_sampling = { policies = {\n");
    for (int i = 0; i < 100; i++)
        buf_printf(&text, "policy 'latency/p%d' { threshold = %d },\n", i, i);
    buf_str(&text, "} }, exporters = {\n");
    for (int i = 0; i < 60; i++)
        buf_printf(&text, "exporter 'debug/e%d' { verbosity = 'loud' },\n", i);
    buf_str(&text, "} }");
    buf_byte(&text, 0);
    f = fixture_new((const char *)text.data);
    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(strstr((const char *)f->report.data, "config.lua:101: policy \"latency/p99\": unknown"));
    last = strstr((const char *)f->report.data, "config.lua:162: exporter \"debug/e59\": ");
    CHECK(last && strcmp(strchr(last, 'v'), "verbosity is 'loud'; allowed: \"basic\", \"normal\", "
                                            "\"detailed\"\n") == 0);
    fixture_free(f);
    buf_fini(&text);
}

static void a_file_dropped_beside_the_config_is_an_exporter(void)
{
    struct fixture *f = fixture_new("return { exporters = { exporter 'mine' { n = 2 }, exporter { "
                                    "name = 'inline', doc = 'x', encode = function(b) return nil "
                                    "end } } }");

    put(&f->disk, "m/exporters/mine.lua",
        "return exporter { doc = 'mine', options = { n = option.integer { default = 1 } },\n"
        "  encode = function(batch, opt) log.info('x') return nil end }");
    CHECK(!fixture_load(f) && report_is(f, ""));
    CHECK(f->loaded.exporters == 2);
    fixture_free(f);
}

static void every_state_gets_the_same_policies(void)
{
    struct fixture *f = fixture_new(good);
    struct policy_set *policies;
    struct err_info info;
    lua_State *L;

    put(&f->disk, "m/policies/blue.lua",
        "return policy { doc = 'blue', decide = function(trace) if trace.complete then return "
        "keep() end end }");
    CHECK(!fixture_load(f));
    put(&f->disk, "m/config.lua", "return 0 -- changed since                      ");
    CHECK(!setup_state(&f->setup, &f->loaded, &L, &info));
    CHECK(!setup_policies(L, f->loaded.config, &f->shared, &policies, &info));
    CHECK(policy_set_count(policies) == 3);
    CHECK(strcmp(policy_set_name(policies, 2), "inline") == 0);
    policy_set_free(policies);
    lua_state_close(L);
    fixture_free(f);
}

static void without_tail_sampling_there_are_no_policies(void)
{
    struct fixture *f = fixture_new("return { jit = 'off', exporters = { exporter 'nop' } }");
    struct policy_set *policies;
    struct err_info info;

    CHECK(!fixture_load(f) && f->loaded.policies == 0);
    CHECK(!setup_policies(f->loaded.L, f->loaded.config, &f->shared, &policies, &info));
    CHECK(policies == NULL);
    CHECK(!lua_state_jit(f->loaded.L));
    fixture_free(f);
}

static void a_broken_config_leaves_nothing(void)
{
    struct fixture *f = fixture_new("return { workers = }");

    CHECK(fixture_load(f) == ERR_CONFIG);
    CHECK(report_is(f, "m/config.lua:1: unexpected symbol near '}'\n"));
    CHECK(f->loaded.L == NULL);
    fixture_free(f);
}

static void reasons_that_are_no_literals_are_hints(void)
{
    struct fixture *f = fixture_new(
        "return { tail_sampling = { policies = { policy 'names', policy 'names/b',\n"
        "  policy { name = 'inline', decide = function(t) return drop(t.id) end } } },\n"
        "  exporters = { exporter 'nop' } }\n");

    put(&f->disk, "m/policies/names.lua",
        "return policy { decide = function(trace)\n"
        "  return keep(trace.entry.name)\nend }\n");
    CHECK(fixture_load(f) == ERR_OK);
    CHECK(report_is(f, "m/config.lua:2: the reason of drop(...) is no literal: each different one "
                       "is a label of metrics, at most 64 a policy\n"
                       "m/policies/names.lua:2: the reason of keep(...) is no literal: each "
                       "different one is a label of metrics, at most 64 a policy\n"));
    fixture_free(f);
}

int main(void)
{
    RUN(a_file_dropped_beside_the_config_is_a_policy);
    RUN(errors_of_policies_are_reported_with_their_lines);
    RUN(errors_of_policies_and_exporters_come_together);
    RUN(two_of_one_name_are_one_error_each);
    RUN(a_journal_too_small_for_its_workers_is_refused_with_its_line);
    RUN(a_journal_without_files_is_not_too_small);
    RUN(memory_too_small_for_its_workers_is_refused_with_its_line);
    RUN(more_decisions_than_memory_can_find_are_refused_with_their_line);
    RUN(as_many_workers_as_memory_has_room_for);
    RUN(a_wrong_default_comes_together_with_errors_of_policies);
    RUN(options_of_processor_resource_are_checked);
    RUN(resource_attributes_are_text);
    RUN(bounds_of_span_metrics_are_ascending_durations);
    RUN(span_metrics_of_spans_that_are_refused_are_a_hint);
    RUN(errors_of_keys_hide_none_of_what_they_name);
    RUN(what_env_did_not_answer_is_said_once);
    RUN(no_error_is_cut_however_many_there_are);
    RUN(a_file_dropped_beside_the_config_is_an_exporter);
    RUN(every_state_gets_the_same_policies);
    RUN(without_tail_sampling_there_are_no_policies);
    RUN(a_broken_config_leaves_nothing);
    RUN(reasons_that_are_no_literals_are_hints);
    return DONE();
}
