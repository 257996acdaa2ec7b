#include "base/buf.h"
#include "base/fake_disk.h"
#include "check.h"
#include "config/config.h"
#include "lua/state.h"

#include <fcntl.h>
#include <stdlib.h>

#include <lauxlib.h>

/* A config.lua in a fake folder, loaded; what it said. */
struct loaded {
    struct fake_disk disk;
    struct config_source source;
    lua_State *L;
    struct config *config;
    struct config_recording *recording;
    struct buf report;
    enum err err;
};

static void put(struct fake_disk *disk, const char *path, const char *text)
{
    int fd;

    CHECK(!disk->disk.open(&disk->disk, path, O_CREAT | O_WRONLY, 0600, &fd, NULL));
    CHECK(!disk->disk.pwrite(&disk->disk, fd, text, strlen(text), 0, NULL));
    disk->disk.close(&disk->disk, fd);
}

static int make_verdict(lua_State *L)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "verdict");
    lua_setfield(L, -2, "__kind");
    lua_setmetatable(L, -2);
    return 1;
}

/* Stands for the policy room: this room is tested alone. */
static enum err add_drop(void *arg, lua_State *L, int env, struct err_info *info)
{
    (void)arg;
    (void)info;
    lua_pushcfunction(L, make_verdict);
    lua_setfield(L, env, "drop");
    return ERR_OK;
}

static void load_into(struct loaded *l, const char *text)
{
    l->L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});
    l->source =
        (struct config_source){.path = "config.lua", .disk = &l->disk.disk, .env = add_drop};
    if (!text)
        l->source.path = NULL;
    else
        put(&l->disk, "config.lua", text);
    buf_init(&l->report, 1 << 16, NULL);
    l->err = config_load(l->L, &l->source, &l->config, &l->recording, &l->report);
    buf_byte(&l->report, 0);
    CHECK(lua_gettop(l->L) == 0);
}

static void load(struct loaded *l, const char *text)
{
    *l = (struct loaded){.err = ERR_OK};
    fake_disk_init(&l->disk);
    load_into(l, text);
}

static void fini(struct loaded *l)
{
    if (!l->err) {
        config_free(l->config);
        config_recording_free(l->recording);
    }
    buf_fini(&l->report);
    lua_state_close(l->L);
    fake_disk_fini(&l->disk);
}

static bool report_is(const struct loaded *l, const char *expected)
{
    bool same = strcmp((const char *)l->report.data, expected) == 0;

    if (!same)
        printf("  got: %s\n", l->report.data);
    return same;
}

/* The whole text gives exactly these errors. */
static bool refuses(const char *text, const char *expected)
{
    struct loaded l;
    bool ok;

    load(&l, text);
    ok = l.err == ERR_CONFIG && report_is(&l, expected);
    fini(&l);
    return ok;
}

/* As refuses, of `keys` in a config that is good otherwise; they stand in line 2. */
static bool key_refused(const char *keys, const char *expected)
{
    char text[2048], full[4096];

    snprintf(text, sizeof(text), "return { exporters = { exporter \"nop\" },\n%s }", keys);
    snprintf(full, sizeof(full), "config.lua:2: %s\n", expected);
    return refuses(text, full);
}

static void the_shipped_file_gives_the_documented_defaults(void)
{
    struct loaded l;
    const struct config *c;

    unsetenv("STATE_DIRECTORY");
    load(&l, NULL);
    CHECK(!l.err && report_is(&l, ""));
    c = l.config;
    CHECK(strcmp(c->path, "(built in)") == 0 && strlen(c->hash) == 16);
    CHECK(c->workers == 0 && strcmp(c->jit, "auto") == 0);
    CHECK(c->shutdown_timeout_ns == UINT64_C(25000000000));
    CHECK(c->grpc.enabled && strcmp(c->grpc.listen, "127.0.0.1:4317") == 0);
    CHECK(c->grpc.max_body == 16 << 20 && c->grpc.max_streams == 128);
    CHECK(c->http.enabled && strcmp(c->http.listen, "127.0.0.1:4318") == 0);
    CHECK(c->http.idle_timeout_ns == UINT64_C(300000000000) && c->http.max_connection_age_ns == 0);
    CHECK(c->grpc.bearer == NULL && c->grpc.tls.cert_file == NULL);
    CHECK(strcmp(c->journal.path, "/var/lib/moontail") == 0 && c->journal.min_free == 0.1);
    CHECK(strcmp(c->journal.ack, "written") == 0);
    CHECK(c->memory.limit == 400 << 20 && c->memory.spike_limit == 100 << 20);
    CHECK(c->head_sampling_percentage == 100);
    CHECK(c->tail.enabled && c->tail.decision_wait_ns == UINT64_C(10000000000));
    CHECK(c->tail.decision_cache == 1000000 && c->tail.max_spans_per_trace == 10000);
    CHECK(c->tail.record && !c->tail.tracestate_always && c->tail.keep_traces_per_second == 10);
    CHECK(c->tail.budget_cpu_ns == 10000000 && c->tail.budget_memory == 32 << 20);
    CHECK(c->resource && c->resource[0].key == NULL);
    config_push(l.L, "tail_sampling.policies");
    CHECK(lua_objlen(l.L, -1) == 4);
    lua_rawgeti(l.L, -1, 3);
    lua_getfield(l.L, -1, "name");
    CHECK(strcmp(lua_tostring(l.L, -1), "latency") == 0);
    lua_getfield(l.L, -2, "options");
    lua_getfield(l.L, -1, "threshold_ms");
    CHECK(lua_tonumber(l.L, -1) == 500);
    lua_settop(l.L, 0);
    config_push(l.L, "exporters");
    CHECK(lua_objlen(l.L, -1) == 1);
    config_push(l.L, "tail_sampling.default");
    CHECK(lua_istable(l.L, -1));
    fini(&l);
}

static void values_and_short_forms_reach_the_snapshot(void)
{
    struct loaded l;
    const struct config *c;

    load(&l,
         "return { workers = 4, admin = ':9090',\n"
         "  receivers = { otlp = { grpc = ':14317', http = false } },\n"
         "  journal = { min_free = '5GiB' }, resource = { b = 2, a = 'x', c = true, d = 0.5 },\n"
         "  tail_sampling = { decision_wait = '1m30s', tracestate = 'always', record = false,\n"
         "    policies = { policy 'latency/slow' { threshold_ms = 1 } } },\n"
         "  exporters = { exporter 'nop' } }\n");
    CHECK(!l.err && report_is(&l, ""));
    c = l.config;
    CHECK(c->workers == 4 && strcmp(c->admin_listen, ":9090") == 0);
    CHECK(strcmp(c->grpc.listen, ":14317") == 0 && !c->http.enabled);
    CHECK(c->journal.min_free == 5.0 * (1 << 30));
    CHECK(c->tail.decision_wait_ns == UINT64_C(90000000000));
    CHECK(c->tail.tracestate_always && !c->tail.record);
    CHECK(strcmp(c->resource[0].key, "a") == 0 && c->resource[0].type == 's');
    CHECK(strcmp(c->resource[1].value, "2") == 0 && c->resource[1].type == 'i');
    CHECK(strcmp(c->resource[2].value, "true") == 0 && c->resource[2].type == 'b');
    CHECK(strcmp(c->resource[3].value, "0.5") == 0 && c->resource[3].type == 'n');
    CHECK(c->resource[4].key == NULL);
    fini(&l);
}

static void without_tail_sampling_everything_passes(void)
{
    struct loaded l;

    load(&l, "return { exporters = { exporter 'nop' } }");
    CHECK(!l.err && !l.config->tail.enabled);
    fini(&l);
}

static void every_type_says_what_it_allows(void)
{
    CHECK(key_refused("workers = -1", "workers is -1; allowed: a whole number, from 0 to 256"));
    CHECK(key_refused("workers = 1.5", "workers is 1.5; allowed: a whole number, from 0 to 256"));
    CHECK(key_refused("workers = 'four'",
                      "workers is 'four'; allowed: a whole number, from 0 to 256"));
    CHECK(
        key_refused("jit = 'atuo'",
                    "jit is 'atuo'; allowed: \"auto\", \"on\", \"off\" (did you mean \"auto\"?)"));
    CHECK(key_refused("shutdown_timeout = 'fast'",
                      "shutdown_timeout is 'fast'; allowed: a duration such as \"10s\", from 0s to "
                      "1h"));
    CHECK(key_refused("shutdown_timeout = '2h'",
                      "shutdown_timeout is '2h'; allowed: a duration such as \"10s\", from 0s to "
                      "1h"));
    CHECK(
        key_refused("shutdown_timeout = 10",
                    "shutdown_timeout is 10; allowed: a duration such as \"10s\", from 0s to 1h"));
    CHECK(key_refused("memory_limiter = { limit = '1KiB', spike_limit = '1MiB' }",
                      "memory_limiter.limit is '1KiB'; allowed: a size such as \"64MiB\", from "
                      "16MiB to 65536GiB"));
    CHECK(key_refused("journal = { min_free = '100%' }",
                      "journal.min_free is '100%'; allowed: a share such as \"10%\" (less than "
                      "100%) or a size such as \"1GiB\""));
    CHECK(key_refused("admin = 'localhost'",
                      "admin.listen is 'localhost'; allowed: an IP address and a port such as "
                      "\"127.0.0.1:4317\", or \":4317\" for all addresses"));
    CHECK(key_refused("admin = ':70000'",
                      "admin.listen is ':70000'; allowed: an IP address and a port such as "
                      "\"127.0.0.1:4317\", or \":4317\" for all addresses"));
    CHECK(key_refused("log = 'info'", "log is 'info'; allowed: a table"));
    CHECK(key_refused("receivers = { otlp = { grpc = true } }",
                      "receivers.otlp.grpc.listen is true; allowed: an IP address and a port such "
                      "as \"127.0.0.1:4317\", or \":4317\" for all addresses"));
    CHECK(key_refused("receivers = { otlp = { grpc = 'localhost:4317' } }",
                      "receivers.otlp.grpc.listen is 'localhost:4317'; allowed: an IP address and "
                      "a port such as \"127.0.0.1:4317\", or \":4317\" for all addresses (did you "
                      "mean \"127.0.0.1:4317\"?)"));
    CHECK(key_refused("admin = '1.2.3:13133'",
                      "admin.listen is '1.2.3:13133'; allowed: an IP address and a port such as "
                      "\"127.0.0.1:4317\", or \":4317\" for all addresses"));
    CHECK(key_refused("resource = { a = {} }",
                      "resource.a is {}; allowed: a name with a string, number or boolean"));
    CHECK(key_refused("tail_sampling = { record = 'yes', policies = { policy 'x' } }",
                      "tail_sampling.record is 'yes'; allowed: true or false"));
    CHECK(key_refused("tail_sampling = { default = 'drop', policies = { policy 'x' } }",
                      "tail_sampling.default is 'drop'; allowed: drop(), keep() or sample(p)"));
    CHECK(key_refused("tail_sampling = { policies = { 'latency' } }",
                      "tail_sampling.policies[1] is 'latency'; allowed: policy \"NAME\" { "
                      "... }"));
    CHECK(key_refused("receivers = { otlp = { http = { auth = { bearer = {} } } } }",
                      "receivers.otlp.http.auth.bearer is {}; allowed: a list of 1 to 64 strings"));
    CHECK(key_refused("receivers = { otlp = { http = { auth = { bearer = { 5 } } } } }",
                      "receivers.otlp.http.auth.bearer[1] is 5; allowed: a string"));
}

static void what_is_required_is_missed(void)
{
    CHECK(refuses("return {}", "config.lua:1: exporters is missing; allowed: a list of 1 to 64 "
                               "exporter \"NAME\" { ... }\n"));
    CHECK(refuses("return { exporters = {} }",
                  "config.lua:1: exporters is {}; allowed: a list of 1 to 64 exporter "
                  "\"NAME\" { ... }\n"));
    CHECK(key_refused("tail_sampling = {}",
                      "tail_sampling.policies is missing; allowed: a list of 1 to 1000 policy "
                      "\"NAME\" { ... }"));
    CHECK(key_refused("tail_sampling = { policies = {} }",
                      "tail_sampling.policies is {}; allowed: a list of 1 to 1000 policy "
                      "\"NAME\" { ... }"));
    CHECK(key_refused("receivers = { otlp = { grpc = { tls = { cert_file = 'a.pem' } } } }",
                      "receivers.otlp.grpc.tls.key_file is missing; allowed: a string"));
    CHECK(key_refused("receivers = { otlp = { grpc = false, http = false } }",
                      "receivers.otlp has neither grpc nor http; allowed: at least one of them"));
}

static void unknown_keys_are_named_with_the_nearest(void)
{
    CHECK(key_refused("tail_sampling = { decison_wait = '5s', policies = { policy 'x' } }",
                      "unknown key tail_sampling.decison_wait; did you mean decision_wait?"));
    CHECK(key_refused("log = { zzz = 1 }", "unknown key log.zzz; allowed: level, format"));
    CHECK(key_refused("log = { 'info' }", "unknown key log[1]; allowed: level, format"));
    CHECK(key_refused("receivers = { otlp = { http = { max_streams = 1 } } }",
                      "unknown key receivers.otlp.http.max_streams; allowed: listen, max_body, "
                      "max_inflated, max_headers, max_connections, max_connection_age, "
                      "idle_timeout, read_timeout, auth, tls"));
}

static void names_of_the_other_collector_get_hints(void)
{
    CHECK(key_refused("memory_limiter = { limit_mib = 512 }",
                      "unknown key memory_limiter.limit_mib; write limit = \"512MiB\""));
    CHECK(key_refused("memory_limiter = { spike_limit_mib = 64 }",
                      "unknown key memory_limiter.spike_limit_mib; write spike_limit = \"64MiB\""));
    CHECK(key_refused("memory_limiter = { limit_percentage = 80 }",
                      "unknown key memory_limiter.limit_percentage; a share of the machine's "
                      "memory is not known here; write limit = \"400MiB\""));
    CHECK(
        key_refused("tail_sampling = { expected_new_traces_per_sec = 9, policies = { policy 'x' } "
                    "}",
                    "unknown key tail_sampling.expected_new_traces_per_sec; not needed: the "
                    "table of traces grows by itself"));
    CHECK(key_refused("receivers = { otlp = { grpc = { endpoint = ':1' } } }",
                      "unknown key receivers.otlp.grpc.endpoint; write listen"));
    CHECK(key_refused("receivers = { otlp = { protocols = {} } }",
                      "unknown key receivers.otlp.protocols; write grpc and http directly in "
                      "receivers.otlp"));
    CHECK(key_refused("service = {}",
                      "unknown key service; there are no pipelines: receivers, tail_sampling and "
                      "exporters belong together"));
    CHECK(key_refused("processors = { batch = {} }",
                      "unknown key processors.batch; write batch in each exporter"));
}

static void check_interval_is_accepted_with_a_hint(void)
{
    struct loaded l;

    load(&l, "return { exporters = { exporter 'nop' },\n"
             "memory_limiter = { check_interval = '1s' } }");
    CHECK(!l.err);
    CHECK(report_is(&l, "config.lua:2: memory_limiter.check_interval: not needed: memory is "
                        "counted exactly, at every allocation\n"));
    fini(&l);
}

static void budgets_and_quarantine_are_read(void)
{
    struct loaded l;

    load(&l, "return { exporters = { exporter 'nop' }, tail_sampling = {\n"
             "  budget = { cpu = '5ms', memory = '64MiB' },\n"
             "  quarantine = { errors = 7, window = '30s' },\n"
             "  policies = { policy 'x' } } }");
    CHECK(!l.err && report_is(&l, ""));
    CHECK(l.config->tail.budget_cpu_ns == 5000000 && l.config->tail.budget_memory == 64 << 20);
    CHECK(l.config->tail.quarantine_errors == 7);
    CHECK(l.config->tail.quarantine_window_ns == UINT64_C(30000000000));
    fini(&l);
}

static void keys_that_disagree_are_refused(void)
{
    CHECK(key_refused("memory_limiter = { limit = '64MiB' }",
                      "memory_limiter.spike_limit is not below memory_limiter.limit; the soft "
                      "limit is limit - spike_limit"));
    CHECK(key_refused("tail_sampling = { policies = { policy 'latency', policy 'latency' {} } }",
                      "policy \"latency\" is there twice (line 2); call one of them policy "
                      "\"latency/NAME\""));
}

static void two_that_listen_at_one_place_are_refused(void)
{
    CHECK(key_refused("receivers = { otlp = { grpc = ':4317', http = '127.0.0.1:4317' } }",
                      "receivers.otlp.http.listen is '127.0.0.1:4317', where "
                      "receivers.otlp.grpc.listen (':4317') listens too; allowed: a port of its "
                      "own for each of them"));
    CHECK(key_refused("receivers = { otlp = { grpc = '0.0.0.0:4318' } }",
                      "receivers.otlp.grpc.listen is '0.0.0.0:4318', where "
                      "receivers.otlp.http.listen ('127.0.0.1:4318', its default) listens too; "
                      "allowed: a port of its own for each of them"));
    CHECK(key_refused("receivers = { otlp = { grpc = '[::1]:1', http = { listen = '[::]:2' } } }, "
                      "admin = '[0::1]:1'",
                      "admin.listen is '[0::1]:1', where receivers.otlp.grpc.listen "
                      "('[::1]:1') listens too; allowed: a port of its own for each of them"));
}

static void what_listens_apart_is_accepted(void)
{
    static const char *const good[] = {
        "receivers = { otlp = { grpc = ':0', http = ':0' } }, admin = ':0'",
        "receivers = { otlp = { grpc = '127.0.0.1:1', http = '127.0.0.2:1' } }, admin = '[::1]:1'",
        "receivers = { otlp = { grpc = ':4318', http = false } }",
    };
    char text[512];
    struct loaded l;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), "return { exporters = { exporter \"nop\" },\n%s }", good[i]);
        load(&l, text);
        CHECK(!l.err && report_is(&l, ""));
        fini(&l);
    }
}

static void a_name_of_an_inline_component_is_of_few_letters(void)
{
    CHECK(refuses("return {\n  exporters = { exporter 'nop' },\n"
                  "  tail_sampling = { policies = {\n    policy { name = 'x y/z\\n' } } } }",
                  "config.lua:4: the name of an inline policy is 'x y/z?'; allowed: a string of "
                  "letters, digits, _ . / and -\n"));
    CHECK(refuses("return { tail_sampling = { policies = { policy { decide = 1 } } } }",
                  "config.lua:1: an inline policy needs a name: policy { name = \"canary\", ... "
                  "}\n"));
}

static void all_errors_come_at_once_each_with_its_line(void)
{
    CHECK(
        refuses("local env_port = env 'NO_SUCH_VARIABLE'\n"
                "return {\n"
                "  workers = 'x', -- a comment\n"
                "  log = {\n"
                "    level = 'loud',\n"
                "  },\n"
                "  tail_sampling = {\n"
                "    policies = {\n"
                "      policy { name = 'a', decide = function(t) if t then return {} end end },\n"
                "      5,\n"
                "    },\n"
                "  },\n"
                "}\n",
                "config.lua:1: env NO_SUCH_VARIABLE is not set and has no default; write "
                "env(\"NO_SUCH_VARIABLE\", \"...\")\n"
                "config.lua:3: workers is 'x'; allowed: a whole number, from 0 to 256\n"
                "config.lua:5: log.level is 'loud'; allowed: \"error\", \"warn\", \"info\", "
                "\"debug\"\n"
                "config.lua:10: tail_sampling.policies[2] is 5; allowed: policy \"NAME\" { ... }\n"
                "config.lua:2: exporters is missing; allowed: a list of 1 to 64 exporter "
                "\"NAME\" { ... }\n"));
}

static void a_file_that_does_not_run_says_where(void)
{
    CHECK(refuses("return {\n  workers = \n}", "config.lua:3: unexpected symbol near '}'\n"));
    CHECK(refuses("\nexporter()", "config.lua:2: what exporter is this? allowed: exporter "
                                  "\"NAME\", exporter \"NAME\" { options }\n"));
    CHECK(refuses("local x = polcy 'a'",
                  "config.lua:1: there is no 'polcy' (did you mean 'policy'?)\n"));
    CHECK(
        refuses("workers = 4", "config.lua:1: 'workers' is not declared: write 'local workers'\n"));
    CHECK(refuses("local x = 1", "config.lua: returns nothing; allowed: return { ... }\n"));
    CHECK(refuses("return 7", "config.lua: returns 7; allowed: return { ... }\n"));
    CHECK(refuses("\033LJ\2", "config.lua:1: compiled Lua is not accepted: give the source\n"));
    CHECK(refuses("return { exporters = { exporter '../x' } }",
                  "config.lua:1: '../x' is not a name; allowed: exporter \"TYPE\" or exporter "
                  "\"TYPE/instance\" of letters, digits and _\n"));
    CHECK(refuses("return { exporters = { exporter 'otlp' 'x' } }",
                  "config.lua:1: exporter \"otlp\" takes one table of options\n"));
    CHECK(refuses("return { tail_sampling = { policies = { policy { decide = 1 } } } }",
                  "config.lua:1: an inline policy needs a name: policy { name = \"canary\", ... "
                  "}\n"));
}

static void an_env_that_is_not_set_is_said_once(void)
{
    CHECK(key_refused("workers = env 'NO_SUCH' + 1, admin = { listen = env 'NO_SUCH' .. ':1' },\n"
                      "receivers = { otlp = { http = { auth = { bearer = { env 'NO_SUCH' } } } } },"
                      "resource = { a = secret(env 'NO_SUCH') }",
                      "env NO_SUCH is not set and has no default; write env(\"NO_SUCH\", \"...\")\n"
                      "config.lua:2: env NO_SUCH is not set and has no default; write "
                      "env(\"NO_SUCH\", \"...\")\n"
                      "config.lua:3: env NO_SUCH is not set and has no default; write "
                      "env(\"NO_SUCH\", \"...\")\n"
                      "config.lua:3: env NO_SUCH is not set and has no default; write "
                      "env(\"NO_SUCH\", \"...\")"));
}

static void a_missing_file_is_said(void)
{
    struct loaded l = {.err = ERR_OK};

    fake_disk_init(&l.disk);
    l.L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});
    l.source = (struct config_source){.path = "nowhere/config.lua", .disk = &l.disk.disk};
    buf_init(&l.report, 1 << 16, NULL);
    l.err = config_load(l.L, &l.source, &l.config, &l.recording, &l.report);
    buf_byte(&l.report, 0);
    CHECK(l.err == ERR_CONFIG);
    CHECK(strstr((const char *)l.report.data, "cannot open nowhere/config.lua") != NULL);
    fini(&l);
}

static void env_has_the_type_of_its_default(void)
{
    struct loaded l;

    setenv("MOONTAIL_TEST_N", "12", 1);
    setenv("MOONTAIL_TEST_B", "false", 1);
    setenv("MOONTAIL_TEST_S", "12", 1);
    load(&l, "return { workers = env('MOONTAIL_TEST_N', 3), log = { level = env('NO_SUCH', 'warn') "
             "},\n  tail_sampling = { record = env('MOONTAIL_TEST_B', true), policies = { policy "
             "'x' } },\n  resource = { s = env 'MOONTAIL_TEST_S' }, exporters = { exporter 'nop' } "
             "}");
    CHECK(!l.err && report_is(&l, ""));
    CHECK(l.config->workers == 12 && !l.config->tail.record);
    CHECK(strcmp(l.config->log_level, "warn") == 0 && l.config->resource[0].type == 's');
    fini(&l);
    setenv("MOONTAIL_TEST_N", "many", 1);
    CHECK(key_refused("workers = env('MOONTAIL_TEST_N', 3)",
                      "env MOONTAIL_TEST_N is 'many'; allowed: a number, as its default 3"));
    CHECK(key_refused("workers = env('MOONTAIL_TEST_N', {})",
                      "the default of env MOONTAIL_TEST_N is {}; allowed: a string, number or "
                      "boolean"));
    CHECK(key_refused("workers = env(5)", "env takes the name of a variable"));
}

static void secrets_are_used_but_never_shown(void)
{
    struct loaded l;
    struct buf out;

    setenv("MOONTAIL_TEST_TOKEN", "hunter2", 1);
    load(&l, "local token = secret(env 'MOONTAIL_TEST_TOKEN')\n"
             "assert(tostring(token) == '****' and tostring('Bearer ' .. token) == '****')\n"
             "return { receivers = { otlp = { http = { auth = { bearer = { 'x' .. token, 'plain' } "
             "} } } },\n"
             "  exporters = { exporter 'otlp' { headers = { authorization = 'Bearer ' .. token, "
             "password = 'hunter2' } } } }");
    CHECK(!l.err && report_is(&l, ""));
    CHECK(l.err || strcmp(l.config->http.bearer[0], "xhunter2") == 0);
    CHECK(l.err || strcmp(l.config->http.bearer[1], "plain") == 0);
    CHECK(l.err || l.config->http.bearer[2] == NULL);
    buf_init(&out, 1 << 16, NULL);
    config_print(l.L, false, &out);
    buf_byte(&out, 0);
    CHECK(strstr((char *)out.data, "hunter2") == NULL && strstr((char *)out.data, "plain") == NULL);
    CHECK(strstr((char *)out.data, "bearer = { secret \"****\", secret \"****\" }") != NULL);
    buf_fini(&out);
    fini(&l);
    CHECK(key_refused("jit = secret 'hunter2'",
                      "jit is a secret, and this key is shown in logs; give it a plain string"));
    CHECK(key_refused("jit = secret(5)", "secret takes a string, not 5"));
    CHECK(key_refused(
        "resource = { token = secret 'hunter2' }",
        "resource.token is a secret; allowed: a name with a string, number or boolean"));
}

static void files_are_read_beside_the_config(void)
{
    struct loaded l = {.err = ERR_OK};

    fake_disk_init(&l.disk);
    put(&l.disk, "./name.txt", "blue\n");
    load_into(&l,
              "return { resource = { name = file 'name.txt' }, exporters = { exporter 'nop' } }");
    CHECK(!l.err && report_is(&l, ""));
    CHECK(l.err || strcmp(l.config->resource[0].value, "blue") == 0);
    fini(&l);
    CHECK(key_refused("resource = { name = file 'gone.txt' }",
                      "file 'gone.txt': cannot open ./gone.txt: No such file or directory"));
}

static void a_replay_sees_what_the_first_run_saw(void)
{
    struct loaded l = {.err = ERR_OK};
    lua_State *again = lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});
    struct err_info info;

    setenv("MOONTAIL_TEST_N", "5", 1);
    fake_disk_init(&l.disk);
    put(&l.disk, "./name.txt", "blue");
    load_into(&l, "return { workers = env('MOONTAIL_TEST_N', 1), resource = { name = file "
                  "'name.txt' }, exporters = { exporter 'nop' } }");
    CHECK(!l.err);
    setenv("MOONTAIL_TEST_N", "6", 1);
    put(&l.disk, "./name.txt", "grey");
    put(&l.disk, "config.lua", "return 1                                             ");
    CHECK(!config_replay(again, &l.source, l.recording, &info));
    config_push(again, "workers");
    CHECK(lua_tonumber(again, -1) == 5);
    config_push(again, "resource");
    lua_getfield(again, -1, "name");
    CHECK(strcmp(lua_tostring(again, -1), "blue") == 0);
    lua_state_close(again);
    fini(&l);
}

static void the_hash_follows_text_and_answers(void)
{
    static const char text[] = "return { workers = env('MOONTAIL_TEST_N', 1), exporters = { "
                               "exporter 'nop' } }";
    struct loaded a, b, c;

    setenv("MOONTAIL_TEST_N", "5", 1);
    load(&a, text);
    load(&b, text);
    setenv("MOONTAIL_TEST_N", "6", 1);
    load(&c, text);
    CHECK(!a.err && !b.err && !c.err);
    CHECK(strcmp(a.config->hash, b.config->hash) == 0);
    CHECK(strcmp(a.config->hash, c.config->hash) != 0);
    fini(&a);
    fini(&b);
    fini(&c);
}

static void env_is_asked_only_while_the_file_is_read(void)
{
    struct loaded l;

    load(&l, "return { tail_sampling = { policies = { policy { name = 'late', decide = function() "
             "local x = env 'HOME' end } } }, exporters = { exporter 'nop' } }");
    CHECK(!l.err);
    config_push(l.L, "tail_sampling.policies");
    lua_rawgeti(l.L, -1, 1);
    lua_getfield(l.L, -1, "spec");
    lua_getfield(l.L, -1, "decide");
    CHECK(lua_pcall(l.L, 0, 0, 0) != 0);
    CHECK(strcmp(lua_tostring(l.L, -1),
                 "config.lua:1: env can be asked only while config.lua is read") == 0);
    fini(&l);
}

static void check_control(const char *control, const char *folder, const char *path)
{
    char *found = config_control_path(control, folder);

    CHECK(found && strcmp(found, path) == 0);
    free(found);
}

static void the_control_socket_is_in_the_journals_folder_or_where_it_is_said(void)
{
    check_control("unix", "/var/lib/moontail", "/var/lib/moontail/control.sock");
    check_control("/run/moontail.sock", "/var/lib/moontail", "/run/moontail.sock");
    CHECK(!config_control_path("off", "/var/lib/moontail"));
}

int main(void)
{
    RUN(the_shipped_file_gives_the_documented_defaults);
    RUN(values_and_short_forms_reach_the_snapshot);
    RUN(without_tail_sampling_everything_passes);
    RUN(every_type_says_what_it_allows);
    RUN(what_is_required_is_missed);
    RUN(unknown_keys_are_named_with_the_nearest);
    RUN(names_of_the_other_collector_get_hints);
    RUN(check_interval_is_accepted_with_a_hint);
    RUN(budgets_and_quarantine_are_read);
    RUN(keys_that_disagree_are_refused);
    RUN(two_that_listen_at_one_place_are_refused);
    RUN(what_listens_apart_is_accepted);
    RUN(a_name_of_an_inline_component_is_of_few_letters);
    RUN(all_errors_come_at_once_each_with_its_line);
    RUN(a_file_that_does_not_run_says_where);
    RUN(an_env_that_is_not_set_is_said_once);
    RUN(a_missing_file_is_said);
    RUN(env_has_the_type_of_its_default);
    RUN(secrets_are_used_but_never_shown);
    RUN(files_are_read_beside_the_config);
    RUN(a_replay_sees_what_the_first_run_saw);
    RUN(the_hash_follows_text_and_answers);
    RUN(env_is_asked_only_while_the_file_is_read);
    RUN(the_control_socket_is_in_the_journals_folder_or_where_it_is_said);
    return DONE();
}
