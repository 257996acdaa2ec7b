/* The configuration is read again while spans come in. */
#include "reloading.h"

#include <time.h>

static const char keep_all[] =
    CONFIG("decision_wait = '1s', policies = { policy 'always_sample' }", OTLP("a", "1", ""));
static const char drop_all[] =
    CONFIG("decision_wait = '1s', policies = { policy { name = 'never',\n"
           " decide = function(trace) return drop('no') end } }",
           OTLP("a", "1", ""));
static const char broken[] =
    CONFIG("decision_wait = '1s',\n policies = { policy 'always_sampel' }", OTLP("a", "1", ""));

static void a_new_version_decides_what_is_decided_after_it(void)
{
    struct backend b;
    struct sim s;
    char first[17];
    int fd;

    sim_with_backend(&s, &b, keep_all);
    snprintf(first, sizeof(first), "%s", collector_config(s.collector)->hash);
    fd = sim_connect(&s);
    post_trace(&s, fd, 1);
    sim_run(&s, 1100 * NS_PER_MS); /* decided */
    post_trace(&s, fd, 2);
    sim_write(&s, drop_all);
    CHECK(reload(&s));
    post_trace(&s, fd, 3);
    CHECK(strcmp(collector_config(s.collector)->hash, first) != 0);
    sim_run(&s, 1500 * NS_PER_MS);
    CHECK(sim_kept(&s, "always_sample", NULL) == 1);
    CHECK(sim_dropped(&s, "never", "no") == 2); /* also the one that came before */
    post_trace(&s, fd, 1);                      /* late: as its trace was */
    sim_run(&s, 1500 * NS_PER_MS);
    CHECK(sim_kept(&s, "always_sample", NULL) == 2);
    CHECK(backend_read(&b, 1) == 2);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_version_that_is_wrong_changes_nothing_and_says_where(void)
{
    struct backend b;
    struct sim s;
    struct buf page;
    char first[17];
    int fd;

    sim_with_backend(&s, &b, keep_all);
    snprintf(first, sizeof(first), "%s", collector_config(s.collector)->hash);
    fd = sim_connect(&s);
    sim_write(&s, broken);
    CHECK(!reload(&s));
    CHECK(report_has(&s, "config.lua:3: "));
    CHECK(strcmp(collector_config(s.collector)->hash, first) == 0);
    buf_init(&page, 1 << 20, NULL);
    CHECK(collector_write_ready(s.collector, true, &page) == 200);
    CHECK(memmem(page.data, page.len, "config refused: ", 16) != NULL);
    buf_clear(&page);
    collector_write_metrics(s.collector, false, &page);
    CHECK(memmem(page.data, page.len, "\nmoontail_config_last_reload_successful 0\n", 42));
    post_trace(&s, fd, 1);
    sim_run(&s, 1500 * NS_PER_MS);
    CHECK(sim_kept(&s, "always_sample", NULL) == 1);

    sim_write(&s, drop_all); /* mended */
    CHECK(reload(&s));
    buf_clear(&page);
    collector_write_metrics(s.collector, false, &page);
    CHECK(memmem(page.data, page.len, "\nmoontail_config_last_reload_successful 1\n", 42));
    buf_fini(&page);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_syntax_error_and_a_file_that_is_gone_are_refused(void)
{
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, keep_all);
    sim_write(&s, "return {");
    CHECK(!reload(&s));
    CHECK(report_has(&s, "config.lua:1: "));
    CHECK(remove(s.path) == 0);
    CHECK(!reload(&s));
    CHECK(report_has(&s, "config.lua: "));
    sim_write(&s, keep_all);
    CHECK(reload(&s));
    sim_fini(&s);
    backend_fini(&b);
}

static void write_policy(struct sim *s, const char *text)
{
    char path[192];
    FILE *file;

    snprintf(path, sizeof(path), "%s/policies.mine.lua", s->folder);
    file = fopen(path, "we");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
}

static void a_script_that_changed_is_another_version(void)
{
    struct backend b;
    struct sim s;
    char first[17];
    int fd;

    sim_with_backend(&s, &b, keep_all);
    write_policy(&s, "return policy { decide = function(trace) return keep('one') end }");
    sim_write(&s, CONFIG("decision_wait = '1s', policies = { policy 'mine' }", OTLP("a", "1", "")));
    CHECK(reload(&s));
    snprintf(first, sizeof(first), "%s", collector_config(s.collector)->hash);
    fd = sim_connect(&s);
    post_trace(&s, fd, 1);
    sim_run(&s, 1500 * NS_PER_MS);
    write_policy(&s, "return policy { decide = function(trace) return keep('two') end }");
    CHECK(reload(&s));
    CHECK(strcmp(collector_config(s.collector)->hash, first) != 0);
    post_trace(&s, fd, 2);
    sim_run(&s, 1500 * NS_PER_MS);
    CHECK(sim_kept(&s, "mine", "one") == 1);
    CHECK(sim_kept(&s, "mine", "two") == 1);
    write_policy(&s, "return policy { decide = function(trace) return keep('one') end }");
    CHECK(reload(&s));
    CHECK(strcmp(collector_config(s.collector)->hash, first) == 0);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void limits_follow_and_what_wants_a_restart_is_named(void)
{
    struct backend b;
    struct sim s;
    const struct reload_outcome *last;
    int fd;

    sim_with_backend(&s, &b, keep_all);
    fd = sim_connect(&s);
    sim_write(&s,
              "return { workers = 2, memory_limiter = { limit = '64MiB', spike_limit = '16MiB' },\n"
              "receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"
              "tail_sampling = { decision_wait = '5s', policies = { policy 'always_sample' } },\n"
              "exporters = { exporter 'otlp/a' { endpoint = 'http://h:2', compression = 'none',\n"
              "protocol = 'http/protobuf', batch = { timeout = '10ms' } } } }");
    CHECK(reload(&s));
    last = collector_last_reload(s.collector);
    CHECK(last->restart.len == strlen("workers") &&
          memcmp(last->restart.data, "workers", last->restart.len) == 0);
    CHECK(s.memory.limit == 64 << 20 && s.memory.soft_limit == 48 << 20);
    post_trace(&s, fd, 1);
    sim_run(&s, 4500 * NS_PER_MS);
    CHECK(sim_ledger(&s)->pending == 1);
    sim_run(&s, NS_PER_S);
    CHECK(sim_kept(&s, "always_sample", NULL) == 1);
    CHECK(backend_read(&b, 2) == 1);
    sim_write(&s, keep_all);
    CHECK(reload(&s));
    CHECK(collector_last_reload(s.collector)->restart.len == 0);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* Another endpoint or another limit may be what makes room. */
static void where_memory_is_full_another_configuration_is_taken(void)
{
    struct backend b;
    struct sim s;
    size_t all;
    int fd;

    sim_with_backend(&s, &b, keep_all);
    fd = sim_connect(&s);
    all = (size_t)atomic_load(&s.memory.limit);
    memory_add(&s.memory, all);
    sim_write(&s,
              CONFIG("decision_wait = '1s', policies = { policy 'latency' { threshold_ms = 500 } }",
                     OTLP("b", "2", "") ", exporter 'debug'"));
    CHECK(reload(&s));
    memory_release(&s.memory, all);
    post_trace(&s, fd, 1);
    sim_run(&s, 1500 * NS_PER_MS);
    CHECK(sim_dropped(&s, "default", "default") == 1);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void tail_sampling_comes_and_goes(void)
{
    static const char none[] = "return { receivers = { otlp = { grpc = false, http = "
                               "'127.0.0.1:0' } }, exporters = { " OTLP("a", "1", "") " } }";
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, none);
    fd = sim_connect(&s);
    post_trace(&s, fd, 1);
    sim_write(&s, drop_all);
    CHECK(reload(&s));
    sim_run(&s, 1500 * NS_PER_MS);
    CHECK(sim_dropped(&s, "never", "no") == 1);
    sim_write(&s, none);
    CHECK(reload(&s));
    post_trace(&s, fd, 2);
    sim_run(&s, 1500 * NS_PER_MS);
    CHECK(sim_kept(&s, "none", NULL) == 1);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static const struct task *task_called(struct sim *s, const char *name)
{
    unsigned count;
    const struct task *tasks = collector_tasks(s->collector, &count);

    for (unsigned i = 0; i < count; i++)
        if (strcmp(tasks[i].name, name) == 0)
            return &tasks[i];
    abort();
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        abort();
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void an_exchange_holds_a_worker_up_for_less_than_a_millisecond(void)
{
    struct backend b;
    struct sim s;
    const struct task *builder, *worker;
    uint64_t longest = 0;

    sim_with_backend(&s, &b, keep_all);
    builder = task_called(&s, "builder");
    worker = task_called(&s, "worker-0");
    for (int i = 0; i < 20; i++) {
        const struct rules *before = collector_worker(s.collector, 0)->rules;
        uint64_t began;

        collector_reload(s.collector, RELOAD_SIGNAL);
        builder->step(builder->arg, s.clock.now);
        CHECK(collector_worker(s.collector, 0)->rules == before);
        began = cpu_ns();
        worker->step(worker->arg, s.clock.now);
        began = cpu_ns() - began;
        longest = began > longest ? began : longest;
        CHECK(collector_worker(s.collector, 0)->rules != before);
        sim_run(&s, NS_PER_MS);
    }
    printf("    longest step: %.1f us\n", (double)longest / 1000);
    CHECK(longest < NS_PER_MS);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_hundred_reloads_a_third_of_them_broken_lose_nothing(void)
{
    const char *const versions[] = {keep_all, broken, drop_all};
    struct backend b;
    struct sim s;
    uint64_t memory = 0;
    int fd;

    backend_init(&b);
    sim_init(&s, &(struct sim_options){
                     .config = keep_all, .cpus = 2, .serve = backend_serve, .serve_arg = &b});
    fd = sim_connect(&s);
    for (unsigned i = 0; i < 100; i++) {
        post_trace(&s, fd, 2 * i + 1);
        sim_write(&s, versions[i % 3]);
        CHECK(reload(&s) == (i % 3 != 1));
        post_trace(&s, fd, 2 * i + 2);
        sim_run(&s, 200 * NS_PER_MS);
        balanced(&s);
        if (i == 50)
            memory = memory_used(&s.memory);
    }
    sim_run(&s, 3 * NS_PER_S);
    CHECK(memory_used(&s.memory) < memory + (6 << 20)); /* a segment, and what a state keeps */
    CHECK(sim_kept(&s, "always_sample", NULL) + sim_dropped(&s, "never", "no") == 200);
    CHECK(sim_dropped(&s, "never", "no") > 0);
    CHECK(backend_read(&b, 1) == sim_kept(&s, "always_sample", NULL));
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void a_collector_may_end_in_the_middle_of_a_reload(void)
{
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, keep_all);
    sim_write(&s, drop_all);
    collector_reload(s.collector, RELOAD_SIGNAL);
    sim_kill(&s); /* asked */
    sim_start(&s);
    collector_reload(s.collector, RELOAD_SIGNAL);
    sim_stop(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static bool resource_says(struct span_view view, const char *key, const char *text)
{
    struct value v;

    return view_resource_attr(view.resource, slice_str(key), &v) && v.type == VALUE_STRING &&
           slice_is(v.bytes, text);
}

/* The environment is this process's: its detector needs no network. */
static void what_is_detected_at_a_start_and_at_a_reload_is_set_where_spans_lack_it(void)
{
    static const char config[] = "local c = (function() " CONFIG(
        "policies = { policy 'always_sample' }",
        OTLP("all", "1", "")) " end)()\n"
                              "c.resource = { cluster = 'mine' }\n"
                              "c.resource_detection = { 'env', 'ecs' }\n"
                              "return c";
    struct backend b;
    struct sim s;
    int fd;

    unsetenv("ECS_CONTAINER_METADATA_URI_V4");
    setenv("OTEL_RESOURCE_ATTRIBUTES", "zone=a,cluster=other,service.name=none", 1);
    sim_with_backend(&s, &b, config);
    fd = sim_connect(&s);
    post_trace(&s, fd, 1);
    sim_run(&s, 12 * NS_PER_S);
    setenv("OTEL_RESOURCE_ATTRIBUTES", "zone=b", 1);
    CHECK(reload(&s));
    CHECK(collector_last_reload(s.collector)->restart.len == 0);
    post_trace(&s, fd, 2);
    sim_run(&s, 12 * NS_PER_S);
    CHECK(backend_read(&b, 1) == 2);
    CHECK(resource_says(backend_span(&b, 1, 1, 1), "zone", "a"));
    CHECK(resource_says(backend_span(&b, 1, 1, 1), "cluster", "mine"));
    CHECK(!resource_says(backend_span(&b, 1, 1, 1), "service.name", "none"));
    CHECK(resource_says(backend_span(&b, 1, 2, 1), "zone", "b"));
    unsetenv("OTEL_RESOURCE_ATTRIBUTES");
    sim_fini(&s);
    backend_fini(&b);
}

int main(void)
{
    RUN(a_new_version_decides_what_is_decided_after_it);
    RUN(a_version_that_is_wrong_changes_nothing_and_says_where);
    RUN(a_syntax_error_and_a_file_that_is_gone_are_refused);
    RUN(a_script_that_changed_is_another_version);
    RUN(limits_follow_and_what_wants_a_restart_is_named);
    RUN(where_memory_is_full_another_configuration_is_taken);
    RUN(tail_sampling_comes_and_goes);
    RUN(an_exchange_holds_a_worker_up_for_less_than_a_millisecond);
    RUN(a_hundred_reloads_a_third_of_them_broken_lose_nothing);
    RUN(a_collector_may_end_in_the_middle_of_a_reload);
    RUN(what_is_detected_at_a_start_and_at_a_reload_is_set_where_spans_lack_it);
    return DONE();
}
