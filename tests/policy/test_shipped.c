/* Every policy and processor that the program carries, as the example in its file has it: the same
 * traces give the same whether it is compiled or not, and it is compiled. */
#include "base/log.h"
#include "check.h"
#include "lua/embed.h"
#include "policy/processor.h"
#include "random_traces.h"
#include "scripts.h"

#include <glob.h>

enum { CONFIG_MAX = 4096 };

#ifdef __SANITIZE_THREAD__
static unsigned trace_count = 300;
#else
static unsigned trace_count = 1500; /* the campaign says 10000 */
#endif

struct sample {
    struct test_trace trace;
    struct test_span spans[MOST_SPANS];
};
static struct sample *samples;

static void make_samples(void)
{
    samples = calloc(trace_count, sizeof(*samples));
    random_state = 88172645463325252;
    for (unsigned n = 0; n < trace_count; n++) {
        uint32_t count = 1 + random_below(MOST_SPANS);
        uint8_t id[16];

        for (int i = 0; i < 16; i++)
            id[i] = (uint8_t)(random_below(255) + 1);
        for (uint32_t i = 0; i < count; i++)
            make_span(&samples[n].spans[i], i, count);
        trace_init(&samples[n].trace, id, samples[n].spans, count);
    }
}

static void free_samples(void)
{
    for (unsigned n = 0; n < trace_count; n++)
        trace_fini(&samples[n].trace);
    free(samples);
}

/* ---- the example ---- */

/* The first block of code in the comment that the file begins with: lines behind "--     ". */
static void example_of(const struct embedded_file *file, char *text, size_t size)
{
    static const char mark[] = "--     ";
    const char *at = file->text, *end;
    size_t len = 0;
    bool inside = false;

    for (; at < file->end && at[0] == '-'; at = end + 1) {
        bool is_code = strncmp(at, mark, sizeof(mark) - 1) == 0;

        end = strchr(at, '\n');
        if (!end || (inside && !is_code))
            break;
        inside |= is_code;
        if (is_code)
            len += (size_t)snprintf(text + len, size - len, "%.*s\n",
                                    (int)(end - at - (ptrdiff_t)sizeof(mark) + 1),
                                    at + sizeof(mark) - 1);
    }
    text[len] = '\0';
}

/* ---- what the compiler does ---- */

/* Counts the pieces of code that begin in the script, or in the function through which C calls it,
 * and names what can't be compiled at all. A function that is tried before its caller may fail: it
 * is compiled in the caller then. */
static const char watcher[] =
    "local vmdef, file = dofile(...), select(2, ...)\n"
    "local util, starts, told = require 'jit.util', {}, { compiled = 0, failed = '', other = '' "
    "}\n"
    "local function source(func) return util.funcinfo(func).source end\n"
    "local function reason(code, info)\n"
    "  local text = vmdef.traceerr[code]\n"
    "  if type(info) == 'function' then info = util.funcinfo(info).loc end\n"
    "  return text and text:format(info) or tostring(code)\n"
    "end\n"
    "local function on_trace(what, trace, func, pc, code, info)\n"
    "  if what == 'start' then\n"
    "    local from = source(func)\n"
    "    starts[trace] = from == '=policy' or from:find(file, 1, true)\n"
    "  elseif what == 'stop' then\n"
    "    if starts[trace] then told.compiled = told.compiled + 1 end\n"
    "  elseif what == 'abort' then\n"
    "    local why = reason(code, info)\n"
    "    if why:find '^NYI' and not why:find 'return to lower frame' and not why:find 'C function' "
    "then\n"
    "      told.failed = told.failed .. util.funcinfo(func, pc).loc .. ': ' .. why .. '\\n'\n"
    "    elseif not told.other:find(why, 1, true) then\n"
    "      told.other = told.other .. why .. '; '\n"
    "    end\n"
    "  end\n"
    "end\n"
    "jit.attach(on_trace, 'trace')\n"
    "return told\n";

static char vmdef_path[256];

static void find_vmdef(void)
{
    glob_t found = {0};

    CHECK(glob("/usr/share/luajit-2.1*/jit/vmdef.lua", 0, NULL, &found) == 0);
    if (found.gl_pathc > 0)
        snprintf(vmdef_path, sizeof(vmdef_path), "%s", found.gl_pathv[0]);
    globfree(&found);
}

/* From here on what runs is compiled and watched, as in the collector: what runs once is not. */
static void compile(lua_State *L, const char *file)
{
    lua_state_configure(L, &(struct lua_options){.jit = LUA_JIT_ON});
    if (luaL_loadbuffer(L, watcher, sizeof(watcher) - 1, "=watcher"))
        abort();
    lua_pushstring(L, vmdef_path);
    lua_pushstring(L, strchr(file, '/') + 1); /* "policies/latency.lua" */
    if (lua_pcall(L, 2, 1, 0)) {
        printf("  %s\n", lua_tostring(L, -1));
        abort();
    }
    lua_setglobal(L, "told");
}

/* Under the thread sanitizer there is not always memory near enough for machine code. */
#ifdef __SANITIZE_THREAD__
enum { HAS_NEAR_MEMORY = false };
#else
enum { HAS_NEAR_MEMORY = true };
#endif

static void check_compiled(lua_State *L, const char *name, int least)
{
    const char *failed;
    bool ok;

    lua_getglobal(L, "told");
    lua_getfield(L, -1, "compiled");
    lua_getfield(L, -2, "failed");
    lua_getfield(L, -3, "other");
    failed = lua_tostring(L, -2);
    ok = (lua_tointeger(L, -3) >= least || !HAS_NEAR_MEMORY) && !failed[0];
    if (!ok)
        printf("  %s: %d pieces compiled; %s%s\n", name, (int)lua_tointeger(L, -3), failed,
               lua_tostring(L, -1));
    CHECK(ok);
    lua_pop(L, 4);
}

/* ---- policies ---- */

static const char prelude[] = "local function env(_, default) return default end\n";

static void load(struct test_state *s, bool jit, const char *name, const char *example)
{
    char text[CONFIG_MAX];

    state_init(s, false, 10);
    snprintf(text, sizeof(text), "%sreturn {\n%s}, drop()", prelude, example);
    state_must_load(s, text);
    if (jit)
        compile(s->L, name);
}

/* Whether there is anything to compile: what has its verdict ahead is never called. */
static bool is_called(const char *name)
{
    const struct embedded_file *file = embedded_find(name);

    return !memmem(file->text, (size_t)(file->end - file->text), "\n  says = ", 10);
}

static void decide_alike(const char *name, const char *example)
{
    struct test_state jit, plain;
    unsigned differences = 0;

    load(&jit, true, name, example);
    load(&plain, false, name, example);
    CHECK(lua_state_jit(jit.L) && !lua_state_jit(plain.L));
    for (unsigned n = 0; n < trace_count; n++) {
        const struct policy_trace *t = &samples[n].trace.trace;
        uint64_t now_ns = (n + 1) * UINT64_C(20000000);
        struct policy_verdict a, b;
        char text[512];

        snprintf(text, sizeof(text), "%s", state_decide(&jit, t, now_ns, &a));
        if (strcmp(text, state_decide(&plain, t, now_ns, &b)) == 0 && a.threshold == b.threshold &&
            !a.policy_error)
            continue;
        if (differences++ == 0)
            printf("  %s, trace %u: %s | %s\n", name, n, text, state_decide(&plain, t, now_ns, &b));
    }
    CHECK(differences == 0);
    check_compiled(jit.L, name, is_called(name));
    state_fini(&jit);
    state_fini(&plain);
}

/* Calls `fn` for every file in `folder` with its example. */
static unsigned each_file(const char *folder, void (*fn)(const char *name, const char *example))
{
    char example[CONFIG_MAX / 2];
    unsigned count = 0;

    for (size_t i = 0; i < embedded_file_count; i++) {
        const char *name = embedded_files[i].name;

        if (strncmp(name, folder, strlen(folder)) != 0 || strchr(name + strlen(folder), '/'))
            continue;
        example_of(&embedded_files[i], example, sizeof(example));
        if (!example[0])
            printf("  %s has no example in its comment\n", name);
        CHECK(example[0]);
        fn(name, example);
        count++;
    }
    return count;
}

static void every_policy_decides_alike_and_is_compiled(void)
{
    CHECK(each_file("lua/policies/", decide_alike) >= 5);
}

/* ---- processors ---- */

static struct processor_set *load_processors(struct test_state *s, bool jit, const char *name,
                                             const char *example, const char **on)
{
    struct processor_set *set = NULL;
    struct err_info info;
    struct buf errors;
    char text[CONFIG_MAX];

    state_init(s, false, 10);
    snprintf(text, sizeof(text), "%sreturn {\n%s}", prelude, example);
    buf_init(&errors, 65536, NULL);
    if (state_run(s, text, 1, &info)) {
        printf("  %s\n", info.text);
        abort();
    }
    *on = "kept";
    if (processor_set_new(s->L, *on, -1, &s->shared, &set, &errors)) {
        buf_clear(&errors);
        *on = "received";
        CHECK(!processor_set_new(s->L, *on, -1, &s->shared, &set, &errors));
    }
    lua_settop(s->L, 0);
    buf_fini(&errors);
    if (jit)
        compile(s->L, name);
    return set;
}

/* The bytes of all that is left, one behind the other. */
static void process(struct processor_set *set, const char *on, const struct test_trace *t,
                    struct buf *out)
{
    struct processed left;
    uint16_t label;

    if (strcmp(on, "received") == 0) {
        for (uint32_t i = 0; i < t->trace.count; i++) {
            struct span_view view = t->views[i];

            buf_byte(out, processor_set_drops(set, t->trace.id, &view, 1, &label));
        }
        return;
    }
    CHECK(processor_set_run(set, &t->trace, UINT32_MAX, 1, &left));
    for (uint32_t i = 0; i < left.count; i++) {
        buf_append(out, left.views[i].span.data, left.views[i].span.len);
        buf_append(out, left.views[i].resource.data, left.views[i].resource.len);
    }
    processor_set_end(set);
}

static void process_alike(const char *name, const char *example)
{
    struct processor_set *jit_set, *plain_set;
    struct test_state jit, plain;
    unsigned differences = 0;
    struct buf a, b;
    const char *on;

    jit_set = load_processors(&jit, true, name, example, &on);
    plain_set = load_processors(&plain, false, name, example, &on);
    buf_init(&a, 1 << 20, NULL);
    buf_init(&b, 1 << 20, NULL);
    for (unsigned n = 0; n < trace_count; n++) {
        buf_clear(&a);
        buf_clear(&b);
        process(jit_set, on, &samples[n].trace, &a);
        process(plain_set, on, &samples[n].trace, &b);
        differences += !slice_equal(buf_slice(&a), buf_slice(&b));
    }
    if (differences > 0)
        printf("  %s: %u traces differ\n", name, differences);
    CHECK(differences == 0);
    check_compiled(jit.L, name, 0);
    buf_fini(&a);
    buf_fini(&b);
    processor_set_free(jit_set);
    processor_set_free(plain_set);
    state_fini(&jit);
    state_fini(&plain);
}

static void every_processor_does_alike_and_has_nothing_that_cannot_be_compiled(void)
{
    CHECK(each_file("lua/processors/", process_alike) >= 4);
}

int main(int argc, char **argv)
{
    log_configure(LOG_ERROR, LOG_LOGFMT);
    if (argc > 1)
        trace_count = (unsigned)strtoul(argv[1], NULL, 10);
    make_samples();
    RUN(find_vmdef);
    RUN(every_policy_decides_alike_and_is_compiled);
    RUN(every_processor_does_alike_and_has_nothing_that_cannot_be_compiled);
    free_samples();
    return DONE();
}
