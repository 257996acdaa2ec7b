#include "base/buf.h"
#include "base/fake_disk.h"
#include "check.h"
#include "config/config.h"
#include "lua/state.h"

#include <fcntl.h>
#include <stdlib.h>

#include <lauxlib.h>

enum { PAGE_MAX = 1 << 18 };

static lua_State *state(void)
{
    return lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});
}

/* The keys and defaults as the API's page lists them; nil ones are below. */
static const char documented[] =
    "local function env(_, default) return default end\n"
    "local function drop() return 'drop()' end\n"
    "local http = { listen = '127.0.0.1:4318', max_body = '16MiB', max_inflated = '64MiB',\n"
    "  max_headers = '16KiB', max_connections = 1024, idle_timeout = '5m', read_timeout = '10s' }\n"
    "return env, drop, {\n"
    "  workers = 0, jit = 'auto', shutdown_timeout = '25s',\n"
    "  log = { level = 'info', format = 'auto' },\n"
    "  receivers = { otlp = { http = http,\n"
    "    grpc = { listen = '127.0.0.1:4317', max_body = '16MiB', max_inflated = '64MiB',\n"
    "      max_headers = '16KiB', max_connections = 1024, max_streams = 128,\n"
    "      idle_timeout = '5m', read_timeout = '10s' } } },\n"
    "  admin = { listen = '127.0.0.1:13133', control = 'unix' },\n"
    "  journal = { path = env('STATE_DIRECTORY', '/var/lib/moontail'), ack = 'written',\n"
    "    max_size = '1GiB', min_free = '10%', history = 0, segment_size = '256MiB',\n"
    "    on_shutdown = 'decide' },\n"
    "  memory_limiter = { limit = '400MiB', spike_limit = '100MiB', compression = 'lz4' },\n"
    "  head_sampling = { sampling_percentage = 100 },\n"
    "  logs = { follow_traces = false },\n"
    "  sampling_audit = { enabled = true, max_operations = 1000, all_spans = false },\n"
    "  processors = { received = {}, kept = {} },\n"
    "  tail_sampling = { decision_wait = '10s', num_traces = 0, decision_cache = 1000000,\n"
    "    max_spans_per_trace = 10000, max_trace_bytes = '16MiB', default = drop(), record = true,\n"
    "    tracestate = 'auto', on_error = { keep_traces_per_second = 10 },\n"
    "    budget = { cpu = '10ms', memory = '32MiB' },\n"
    "    quarantine = { errors = 10, window = '60s' } },\n"
    "  resource = {}, resource_detection = {},\n"
    "}\n";

/* Both tables as sorted lines "path = value". */
static const char flatten[] =
    "local function flatten(t, path, out)\n"
    "  for key, value in pairs(t) do\n"
    "    local at = path .. '.' .. key\n"
    "    if type(value) == 'table' and next(value) then flatten(value, at, out)\n"
    "    elseif type(value) == 'table' then out[#out + 1] = at .. ' = {}'\n"
    "    else out[#out + 1] = at .. ' = ' .. tostring(value) end\n"
    "  end\n"
    "  return out\n"
    "end\n"
    "local env, drop, expected = loadstring(...)()\n"
    "local printed = loadstring(select(2, ...))\n"
    "setfenv(printed, { env = env, drop = drop })\n"
    "local a, b = flatten(expected, '', {}), flatten(printed(), '', {})\n"
    "table.sort(a)\n"
    "table.sort(b)\n"
    "return table.concat(a, '\\n'), table.concat(b, '\\n')\n";

static void the_defaults_are_the_documented_keys_and_load(void)
{
    static const char *const off[] = {
        "max_connection_age = nil",       "auth = nil",     "tls = nil",
        "decision_wait_after_root = nil", "policies = nil", "exporters = nil"};
    lua_State *L = state();
    struct buf text;

    buf_init(&text, 1 << 20, NULL);
    config_print(L, true, &text);
    buf_byte(&text, 0);
    CHECK(lua_gettop(L) == 0);
    CHECK(luaL_loadstring(L, flatten) == 0);
    lua_pushstring(L, documented);
    lua_pushstring(L, (const char *)text.data);
    CHECK(lua_pcall(L, 2, 2, 0) == 0);
    CHECK(lua_gettop(L) == 2 && strcmp(lua_tostring(L, -2), lua_tostring(L, -1)) == 0);
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        CHECK(strstr((const char *)text.data, off[i]) != NULL);
    buf_fini(&text);
    lua_state_close(L);
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

static enum err add_verdicts(void *arg, lua_State *L, int env, struct err_info *info)
{
    (void)arg;
    (void)info;
    lua_pushcfunction(L, make_verdict);
    lua_setfield(L, env, "drop");
    lua_pushcfunction(L, make_verdict);
    lua_setfield(L, env, "keep");
    return ERR_OK;
}

/* What print-config says of `text`; owned by the caller. */
static char *printed(const char *text)
{
    struct fake_disk disk;
    struct config_source source = {.path = "c.lua", .disk = &disk.disk, .env = add_verdicts};
    lua_State *L = state();
    struct config *config;
    struct config_recording *recording;
    struct buf out;
    char *copy;
    int fd;

    fake_disk_init(&disk);
    CHECK(!disk.disk.open(&disk.disk, "c.lua", O_CREAT | O_WRONLY, 0600, &fd, NULL));
    CHECK(!disk.disk.pwrite(&disk.disk, fd, text, strlen(text), 0, NULL));
    disk.disk.close(&disk.disk, fd);
    buf_init(&out, 1 << 20, NULL);
    if (!config_load(L, &source, &config, &recording, &out)) {
        config_print(L, false, &out);
        config_free(config);
        config_recording_free(recording);
    }
    buf_byte(&out, '\0');
    copy = strdup((const char *)out.data);
    buf_fini(&out);
    lua_state_close(L);
    fake_disk_fini(&disk);
    return copy;
}

static const char full[] =
    "local waits = { decision_wait = '7s' }\n"
    "return {\n"
    "  admin = ':9000', receivers = { otlp = { http = false } },\n"
    "  tail_sampling = { default = keep(), decision_wait = waits.decision_wait, policies = {\n"
    "    policy 'latency/a' { threshold_ms = 1.5, [\"end\"] = { 'x', 'quo\"te\\n' }, token = 'abc' "
    "},\n"
    "    policy { name = 'canary', decide = function(t) if t then return keep() end end },\n"
    "  } },\n"
    "  resource = { ['cloud.region'] = 'eu' },\n"
    "  exporters = { exporter 'otlp' { endpoint = 'http://a:4317', headers = { key = secret 'abc' "
    "} }, exporter 'nop' },\n"
    "}\n";

static void what_is_printed_loads_and_prints_the_same(void)
{
    char *once = printed(full), *twice = printed(once);

    CHECK(strncmp(once, "return {", 8) == 0);
    CHECK(strcmp(once, twice) == 0);
    CHECK(strstr(once, "http = false,") && strstr(once, "listen = \":9000\""));
    CHECK(strstr(once, "decision_wait = \"7s\"") && strstr(once, "default = keep(),"));
    CHECK(strstr(once, "decide = function(t) if t then return keep() end end") != NULL);
    CHECK(strstr(once, "[\"end\"] = { \"x\", \"quo\\\"te\\010\" }") != NULL);
    CHECK(strstr(once, "[\"cloud.region\"] = \"eu\"") && strstr(once, "exporter \"nop\""));
    CHECK(strstr(once, "headers = { key = secret \"****\" }") != NULL);
    CHECK(strstr(once, "abc") == NULL);
    free(once);
    free(twice);
}

static void pass_through_prints_no_policies(void)
{
    char *once = printed("return { exporters = { exporter 'nop' } }");

    CHECK(strstr(once, "tail_sampling = nil,") != NULL);
    free(once);
}

/* The committed page; what exporters take comes after. */
static void the_page_is_the_one_that_the_fields_make(void)
{
    lua_State *L = state();
    struct err_info info;
    struct buf text;
    char *data = NULL;
    size_t len = 0;

    CHECK(!disk_read_file(disk_system(), SOURCE_DIR "/docs/configuration.md", PAGE_MAX, &data, &len,
                          &info));
    buf_init(&text, PAGE_MAX, NULL);
    config_print_docs(L, &text);
    CHECK(text.len > 2000 && text.len < len && memcmp(text.data, data, text.len) == 0);
    free(data);
    buf_fini(&text);
    lua_state_close(L);
}

int main(void)
{
    RUN(the_defaults_are_the_documented_keys_and_load);
    RUN(what_is_printed_loads_and_prints_the_same);
    RUN(pass_through_prints_no_policies);
    RUN(the_page_is_the_one_that_the_fields_make);
    return DONE();
}
