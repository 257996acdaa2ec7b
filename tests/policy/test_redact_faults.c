/* What can't be redacted must not leave: every allocation fails once, budgets are overrun, bytes
 * can't be read; the planted secrets are never in what is left. */
#include "../journal/failing_memory.h"
#include "check.h"
#include "policy/processor.h"
#include "policy/redact.h"
#include "scripts.h"
#include "traces.h"

#include <sys/wait.h>

#define PLANTED "hunter2"

static const struct test_span planted = {.id = 1,
                                         .name = "login password=" PLANTED,
                                         .kind = 3,
                                         .end_ms = 100,
                                         .service = "shop",
                                         .attrs = {{"token", PLANTED, NULL},
                                                   {"db.statement", "SELECT '" PLANTED "'", NULL},
                                                   {"x", "see secret: " PLANTED, NULL}},
                                         .inner = true};

static bool has(struct slice where, const char *what)
{
    return where.len > 0 && memmem(where.data, where.len, what, strlen(what));
}

/* A buffer that has no room to grow well may get just enough: then it goes on. */
static enum redact_outcome redact_without(struct slice span, unsigned n, bool all, bool *failed)
{
    struct redact *r = redact_new();
    enum redact_outcome outcome;
    struct buf out;

    buf_init(&out, 1 << 20, NULL);
    fail_allocation(n, all);
    outcome = redact_span(r, span, &out);
    *failed = failing.made >= n;
    fail_allocation(0, false);
    CHECK(outcome == REDACT_FAILED ||
          (outcome == REDACT_CHANGED && !has(buf_slice(&out), PLANTED)));
    buf_fini(&out);
    redact_free(r);
    return outcome;
}

static void no_allocation_that_fails_lets_a_secret_through(void)
{
    struct test_trace t;
    bool failed = true;
    unsigned n;

    trace_init(&t, test_id, &planted, 1);
    CHECK(has(t.views[0].span, PLANTED));
    for (n = 1; failed && n < 100; n++) {
        (void)redact_without(t.views[0].span, n, false, &failed);
        CHECK((redact_without(t.views[0].span, n, true, &failed) == REDACT_FAILED) == failed);
    }
    CHECK(n > 4);
    trace_fini(&t);
}

static struct processor_set *load_on(struct test_state *s, const char *on, const char *text)
{
    struct processor_set *set = NULL;
    struct err_info info;
    struct buf errors;

    state_init(s, true, 10);
    buf_init(&errors, 4096, NULL);
    if (state_run(s, text, 1, &info)) {
        printf("%s\n", info.text);
        abort();
    }
    CHECK(!processor_set_new(s->L, on, -1, &s->shared, &set, &errors));
    lua_settop(s->L, 0);
    buf_fini(&errors);
    return set;
}

static struct processor_set *load(struct test_state *s, const char *text)
{
    return load_on(s, "kept", text);
}

/* The slices of a resource and a scope that stay go on to the spans in them: those are not sent. */
static bool leaks(const struct processed *left)
{
    for (uint32_t i = 0; i < left->count; i++)
        if (has(left->views[i].span, PLANTED))
            return true;
    return false;
}

/* How a span left, as a process ends. Lua ends it by itself where malloc has nothing for it. */
enum { LEFT_LEAKING = 10, LEFT_STRIPPED, LEFT_REDACTED, LEFT_NOT, LEFT_ALL_TRIED };

static int process_without(struct processor_set *set, const struct test_trace *t, unsigned n)
{
    struct processed left;
    bool ran;

    fail_allocation(n, true);
    ran = processor_set_run(set, &t->trace, 0, 1, &left);
    failing.paused = true;
    if (!ran || left.count == 0)
        return LEFT_NOT;
    if (leaks(&left))
        return LEFT_LEAKING;
    if (failing.made < n)
        return LEFT_ALL_TRIED;
    return has(left.views[0].span, "token") ? LEFT_REDACTED : LEFT_STRIPPED;
}

static int left_without(struct processor_set *set, const struct test_trace *t, unsigned n)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        _exit(process_without(set, t, n));
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void a_processor_without_memory_lets_no_secret_through(void)
{
    unsigned counts[LEFT_ALL_TRIED + 1] = {0};
    struct test_state s;
    struct processor_set *set = load(&s, "return { processor 'redact' {} }");
    struct test_trace t;

    trace_init(&t, test_id, &planted, 1);
    for (unsigned n = 1; counts[LEFT_ALL_TRIED] == 0 && n < 200; n++) {
        int left = left_without(set, &t, n);

        if (left <= LEFT_ALL_TRIED)
            counts[left]++;
    }
    CHECK(counts[LEFT_LEAKING] == 0 && counts[LEFT_ALL_TRIED] == 1);
    CHECK(counts[LEFT_NOT] + counts[LEFT_STRIPPED] > 1);
    trace_fini(&t);
    processor_set_free(set);
    state_fini(&s);
}

static uint64_t memory_errors(const struct policy_shared *shared, const char *processor)
{
    const char *name, *kind;
    uint64_t count;
    size_t at = 0;

    while (processor_errors_next(shared, &at, &name, &kind, &count))
        if (strcmp(name, processor) == 0 && strcmp(kind, "memory") == 0)
            return count;
    return 0;
}

/* At the door the body is refused then: nothing of it is left to be stored. */
static void a_body_without_memory_is_refused_and_counted(void)
{
    struct test_state s;
    struct processor_set *set =
        load_on(&s, "received", "return { processor 'redact' {}, processor 'redact/b' {} }");
    struct test_trace t;
    uint64_t refused = 0;
    bool failed = true;

    trace_init(&t, test_id, &planted, 1);
    CHECK(processor_set_has_bodies(set) && has(buf_slice(&t.body), PLANTED));
    for (unsigned n = 1; failed && n < 100; n++) {
        struct slice left;
        enum err err;

        fail_allocation(n, true);
        err = processor_set_body(set, buf_slice(&t.body), &left);
        failed = failing.made >= n;
        fail_allocation(0, false);
        refused += err == ERR_FULL;
        CHECK(err == ERR_FULL || !has(left, PLANTED));
        CHECK((err == ERR_FULL) == failed);
        processor_set_body_end(set);
    }
    CHECK(refused > 2 && !failed);
    CHECK(memory_errors(&s.shared, "redact") + memory_errors(&s.shared, "redact/b") == refused);
    trace_fini(&t);
    processor_set_free(set);
    state_fini(&s);
}

/* The calls of a script that fails: nothing of the span, its resource and scope is left. */
static void a_call_that_fails_leaves_no_text(void)
{
    static const char *const bodies[] = {"error 'no'", "while true do end",
                                         "span:redact(my) error 'no'"};
    struct span_fields f;
    struct test_trace t;

    trace_init(&t, test_id, &planted, 1);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct processor_set *set;
        struct processed left;
        struct test_state s;
        char text[512];

        snprintf(text, sizeof(text),
                 "return { processor { name = 'mine', on = 'kept', on_error = 'strip',\n"
                 "  setup = function() return redaction {} end,\n"
                 "  span = function(span, opt, my) %s end } }",
                 bodies[i]);
        set = load(&s, text);
        lua_state_configure(s.L, &(struct lua_options){.max_bytes = 32 << 20,
                                                       .max_cpu_ns = 2000000,
                                                       .jit = LUA_JIT_AUTO});
        CHECK(processor_set_run(set, &t.trace, 0, 1, &left));
        CHECK(left.count == 1 && !leaks(&left));
        CHECK(!has(left.views[0].resource, PLANTED) && !has(left.views[0].scope, PLANTED));
        view_span_fields(left.views[0].span, &f);
        CHECK(slice_is(f.name, REDACT_MASK) && view_id(f.span_id) == 1);
        CHECK(has(left.views[0].resource, "shop"));
        processor_set_end(set);
        processor_set_free(set);
        state_fini(&s);
    }
    trace_fini(&t);
}

/* A span that ends within a field is not copied as far as it goes. */
static void bytes_that_can_not_be_read_fail(void)
{
    struct redact *r = redact_new();
    struct test_trace t;
    struct slice span;
    struct buf out;

    trace_init(&t, test_id, &planted, 1);
    buf_init(&out, 1 << 20, NULL);
    span = t.views[0].span;
    span.len--;
    CHECK(redact_span(r, span, &out) == REDACT_FAILED);
    buf_fini(&out);
    trace_fini(&t);
    redact_free(r);
}

static void what_is_shown_to_people_has_no_secrets(void)
{
    struct test_state s;
    struct processor_set *set = load(&s, "return { processor 'redact' {} }");

    CHECK(slice_is(policy_redacted(policy_state_of(s.L), slice_str("user ada@example.org")),
                   "user ****"));
    CHECK(slice_is(policy_redacted(policy_state_of(s.L), slice_str("slow")), "slow"));
    processor_set_free(set);
    state_fini(&s);
}

int main(void)
{
    RUN(no_allocation_that_fails_lets_a_secret_through);
    RUN(a_processor_without_memory_lets_no_secret_through);
    RUN(a_body_without_memory_is_refused_and_counted);
    RUN(a_call_that_fails_leaves_no_text);
    RUN(bytes_that_can_not_be_read_fail);
    RUN(what_is_shown_to_people_has_no_secrets);
    return DONE();
}
