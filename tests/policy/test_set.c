#include "base/log.h"
#include "check.h"
#include "scripts.h"
#include "traces.h"

#include <stdlib.h>

static const struct test_span healthy[] = {
    {.id = 1, .kind = 2, .end_ms = 100, .service = "shop"},
    {.id = 2, .parent_id = 1, .kind = 3, .start_ms = 10, .end_ms = 60, .service = "shop"},
};

/* The chain `text` on a healthy trace whose R is that of test_id: 0x0a0b..., so about 4 % up. */
static bool decides(const char *text, const char *want)
{
    struct test_state s;
    struct test_trace t;
    struct policy_verdict v;
    const char *got;
    bool same;

    state_init(&s, true, 10);
    state_must_load(&s, text);
    trace_init(&t, test_id, healthy, 2);
    got = state_decide(&s, &t.trace, 1, &v);
    same = strcmp(got, want) == 0;
    if (!same)
        printf("  %s: %s, not %s\n", text, got, want);
    trace_fini(&t);
    state_fini(&s);
    return same;
}

#define INLINE(name, body) "policy { name = '" name "', decide = function(trace) " body " end }"
#define CHAIN(policies)    "return { " policies " }, drop()"

static void the_first_keep_or_drop_is_final(void)
{
    CHECK(decides(CHAIN(INLINE("a", "return keep('x')") "," INLINE("b", "return drop('y')")),
                  "keep a/x"));
    CHECK(decides(CHAIN(INLINE("a", "return drop('y')") "," INLINE("b", "return keep('x')")),
                  "drop a/y"));
    CHECK(decides(CHAIN(INLINE("a", "") "," INLINE("b", "return keep()")), "keep b/b"));
    CHECK(decides(CHAIN(INLINE("a", "return sample(0)") "," INLINE("b", "return keep()")),
                  "keep b/b"));
    CHECK(decides(CHAIN(INLINE("a", "return sample(1)") "," INLINE("b", "return drop()")),
                  "drop b/b"));
}

static void each_can_be_asked_behind_a_final_verdict(void)
{
    struct test_state s;
    struct test_trace t;
    const struct policy_vote *votes;

    state_init(&s, true, 10);
    state_must_load(&s, CHAIN(INLINE("a", "return keep()") "," INLINE(
                            "b", "return drop()") "," INLINE("c", "return trace.nothing")));
    trace_init(&t, test_id, healthy, 2);
    policy_set_ask_each(s.set, &t.trace, 1);
    votes = policy_set_votes(s.set);
    CHECK(votes[0].opinion == OPINION_KEEP && votes[1].opinion == OPINION_DROP);
    CHECK(votes[2].opinion == OPINION_FAILED);
    trace_fini(&t);
    state_fini(&s);
}

static void the_first_sample_counts_and_at_least_raises_it(void)
{
    CHECK(decides(CHAIN(INLINE("a", "return sample(0, 'x')") "," INLINE("b", "return sample(1)")),
                  "drop a/x"));
    CHECK(decides(CHAIN(INLINE("a", "return sample(0)") "," INLINE("b", "return at_least(1, 'y')")),
                  "keep b/y"));
    CHECK(decides(CHAIN(INLINE("a", "return at_least(1, 'y')") "," INLINE("b", "return sample(0)")),
                  "keep a/y"));
    CHECK(
        decides(CHAIN(INLINE("a", "return sample(1, 'x')") "," INLINE("b", "return at_least(0.5)")),
                "keep a/x"));
    CHECK(
        decides(CHAIN(INLINE("a", "return at_least(0, 'x')") "," INLINE("b", "return at_least(1)")),
                "keep b/b"));
    CHECK(decides(CHAIN(INLINE("a", "return at_least(0, 'x')")), "drop a/x"));
}

static void without_a_vote_the_default_decides(void)
{
    CHECK(decides("return { " INLINE("a", "") " }, drop()", "drop default/default"));
    CHECK(decides("return { " INLINE("a", "") " }, keep()", "keep default/default"));
    CHECK(decides("return { " INLINE("a", "") " }, keep('rest')", "keep default/rest"));
    CHECK(decides("return { " INLINE("a", "") " }, sample(0)", "drop default/default"));
    CHECK(decides("return { " INLINE("a", "") " }, sample(1)", "keep default/default"));
    CHECK(decides("return { " INLINE("a", "") " }, nil", "drop default/default"));
}

static void a_draw_says_its_threshold(void)
{
    struct test_state s;
    struct test_trace t;
    struct policy_verdict v;

    state_init(&s, true, 10);
    trace_init(&t, test_id, healthy, 2);
    state_must_load(&s, CHAIN(INLINE("a", "return sample(0.97)")));
    policy_set_decide(s.set, &t.trace, 1, &v);
    CHECK(v.keep && v.probability == 0.97 && v.threshold == sampling_threshold(0.97));
    state_must_load(&s, CHAIN(INLINE("a", "return sample(0.95)")));
    policy_set_decide(s.set, &t.trace, 1, &v);
    CHECK(!v.keep && v.probability == 0.95 && !v.policy_error);
    state_must_load(&s, CHAIN(INLINE("a", "return keep()")));
    policy_set_decide(s.set, &t.trace, 1, &v);
    CHECK(v.keep && v.probability < 0 && v.threshold == 0);
    CHECK(v.entry < t.trace.count);
    t.trace.count = 0;
    policy_set_decide(s.set, &t.trace, 1, &v);
    CHECK(v.keep && v.entry == UINT32_MAX);
    trace_fini(&t);
    state_fini(&s);
}

/* The votes of a chain on a healthy trace, as "keep a/x, sample(0.5) b/b, none". */
static const char *votes_of(const char *text)
{
    static const char *const names[] = {"not asked", "none",     "keep",  "drop",
                                        "sample",    "at_least", "failed"};
    static char out[256];
    struct test_state s;
    struct test_trace t;
    struct policy_verdict v;
    size_t len = 0;

    state_init(&s, true, 10);
    state_must_load(&s, text);
    trace_init(&t, test_id, healthy, 2);
    policy_set_decide(s.set, &t.trace, 1, &v);
    for (size_t i = 0; i < policy_set_count(s.set); i++) {
        const struct policy_vote *vote = &policy_set_votes(s.set)[i];

        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s", i ? ", " : "",
                                names[vote->opinion]);
        if (vote->opinion == OPINION_SAMPLE || vote->opinion == OPINION_AT_LEAST)
            len += (size_t)snprintf(out + len, sizeof(out) - len, "(%g)", vote->probability);
        if (vote->opinion > OPINION_NONE)
            len += (size_t)snprintf(out + len, sizeof(out) - len, " %s/%s",
                                    labels_policy(s.shared.labels, vote->label),
                                    labels_reason(s.shared.labels, vote->label));
    }
    trace_fini(&t);
    state_fini(&s);
    return out;
}

static bool votes_are(const char *text, const char *want)
{
    const char *got = votes_of(text);

    if (strcmp(got, want) != 0)
        printf("  %s: %s\n", text, got);
    return strcmp(got, want) == 0;
}

static void every_policy_that_was_asked_has_its_vote(void)
{
    CHECK(votes_are(
        CHAIN(INLINE("a", "") "," INLINE("b", "return keep('x')") "," INLINE("c", "return drop()")),
        "none, keep b/x, not asked"));
    CHECK(votes_are(CHAIN(INLINE("a", "return sample(0.5)") "," INLINE(
                        "b", "return sample(0.25, 'y')") "," INLINE("c", "return at_least(0.75)")),
                    "sample(0.5) a/a, sample(0.25) b/y, at_least(0.75) c/c"));
    CHECK(votes_are(CHAIN(INLINE("a", "error('x')") "," INLINE("b", "return 1") "," INLINE(
                        "c", "return drop('z')")),
                    "failed a/error, failed b/bad_verdict, drop c/z"));
}

static void a_failed_policy_has_no_opinion(void)
{
    CHECK(decides(CHAIN(INLINE("a", "error('x')") "," INLINE("b", "return drop()")), "drop b/b"));
    CHECK(decides(CHAIN(INLINE("a", "error('x')") "," INLINE("b", "return keep()")), "keep b/b"));
    CHECK(decides(CHAIN(INLINE("a", "error('x')")), "keep a/policy_error"));
    CHECK(decides(CHAIN(INLINE("a", "error({})")), "keep a/policy_error"));
    CHECK(decides(CHAIN(INLINE("a", "return 1")), "keep a/policy_error"));
    CHECK(decides(CHAIN(INLINE("a", "return true")), "keep a/policy_error"));
    CHECK(decides(CHAIN(INLINE("a", "return match")), "keep a/policy_error"));
    CHECK(decides(CHAIN(INLINE("a", "return sample(0)") "," INLINE("b", "error('x')") "," INLINE(
                      "c", "error('x')")),
                  "keep b/policy_error"));
}

static uint64_t errors_of(const struct test_state *s, const char *policy, const char *kind)
{
    const char *p, *k;
    uint64_t n;
    size_t at = 0;

    while (policy_errors_next(&s->shared, &at, &p, &k, &n))
        if (strcmp(p, policy) == 0 && strcmp(k, kind) == 0)
            return n;
    return UINT64_MAX;
}

static void failures_are_counted_by_policy_and_kind(void)
{
    struct test_state s;
    struct test_trace t;
    struct policy_verdict v;

    state_init(&s, true, 10);
    trace_init(&t, test_id, healthy, 2);
    state_must_load(&s, CHAIN(INLINE("raises", "return trace.nothing") "," INLINE(
                            "wrong", "return 'keep'") "," INLINE("right", "return keep()")));
    for (int i = 0; i < 3; i++)
        policy_set_decide(s.set, &t.trace, 1, &v);
    CHECK(errors_of(&s, "raises", "error") == 3);
    CHECK(errors_of(&s, "raises", "bad_verdict") == 0);
    CHECK(errors_of(&s, "wrong", "bad_verdict") == 3);
    CHECK(errors_of(&s, "right", "error") == 0);
    CHECK(errors_of(&s, "right", "memory") == 0);
    trace_fini(&t);
    state_fini(&s);
}

#define SECOND UINT64_C(1000000000)

/* Fails while its count is at most `bad`; without policy_error keeps the default is drop. */
static void state_init_failing(struct test_state *s, int bad)
{
    char text[256];

    state_init(s, true, 0);
    s->shared.quarantine_errors = 3;
    s->shared.quarantine_window_ns = 60 * SECOND;
    snprintf(text, sizeof(text),
             "local n = 0 return { policy { name = 'a', decide = function() n = n + 1 "
             "if n <= %d then error('x') end return keep('fine') end } }, drop()",
             bad);
    state_must_load(s, text);
}

static bool is_out(const struct test_state *s)
{
    const char *policy;
    size_t at = 0;
    bool out = false;

    CHECK(policy_quarantine_next(&s->shared, &at, &policy, &out) && strcmp(policy, "a") == 0);
    CHECK(!policy_quarantine_next(&s->shared, &at, &policy, &(bool){false}));
    return out;
}

static void a_policy_that_fails_too_often_is_not_asked_until_a_reload(void)
{
    struct test_state s;
    struct test_trace t;
    struct policy_verdict v;

    state_init_failing(&s, 3);
    trace_init(&t, test_id, healthy, 2);
    for (unsigned i = 1; i <= 10; i++) {
        CHECK(is_out(&s) == (i > 3));
        CHECK(strcmp(state_decide(&s, &t.trace, i * SECOND, &v), "drop default/default") == 0);
    }
    CHECK(policy_set_votes(s.set)->opinion == OPINION_FAILED);
    CHECK(strcmp(labels_reason(s.labels, policy_set_votes(s.set)->label), "quarantine") == 0);
    CHECK(errors_of(&s, "a", "error") == 3 && errors_of(&s, "a", "quarantine") == 7);
    policy_quarantine_lift(&s.shared);
    CHECK(!is_out(&s));
    CHECK(strcmp(state_decide(&s, &t.trace, 11 * SECOND, &v), "keep a/fine") == 0);
    trace_fini(&t);
    state_fini(&s);
}

static void failures_that_are_far_apart_put_nobody_out(void)
{
    struct test_state s;
    struct test_trace t;
    struct policy_verdict v;

    state_init_failing(&s, 20);
    trace_init(&t, test_id, healthy, 2);
    for (unsigned i = 1; i <= 20; i++)
        state_decide(&s, &t.trace, i * 31 * SECOND, &v);
    CHECK(!is_out(&s) && errors_of(&s, "a", "error") == 20);
    CHECK(strcmp(state_decide(&s, &t.trace, 1000 * SECOND, &v), "keep a/fine") == 0);
    trace_fini(&t);
    state_fini(&s);
}

/* An endless loop that catches its own end, then says keep. */
static void an_overrun_voids_the_verdict(void)
{
    struct test_state s;
    struct test_trace t;
    struct policy_verdict v;

    state_init(&s, true, 0);
    lua_state_bound_cpu(s.L, 2000000);
    state_must_load(&s,
                    CHAIN(INLINE("a", "pcall(function() while true do end end) return keep()")));
    trace_init(&t, test_id, healthy, 2);
    CHECK(strcmp(state_decide(&s, &t.trace, 1, &v), "drop default/default") == 0);
    CHECK(errors_of(&s, "a", "budget") == 1);
    trace_fini(&t);
    state_fini(&s);
}

/* Kept of 5,000 traces a second for two seconds by a chain that always fails. */
static unsigned kept_by_failures(const char *chain, double bound)
{
    struct test_state s;
    struct test_trace t;
    struct policy_verdict v;
    unsigned kept = 0;

    state_init(&s, true, bound);
    trace_init(&t, test_id, healthy, 2);
    state_must_load(&s, chain);
    for (unsigned i = 0; i < 10000; i++) {
        policy_set_decide(s.set, &t.trace, UINT64_C(5000000000) + i * UINT64_C(200000), &v);
        kept += v.keep;
    }
    trace_fini(&t);
    state_fini(&s);
    return kept;
}

static void keeps_by_failed_policies_are_bounded(void)
{
    unsigned kept = kept_by_failures(CHAIN(INLINE("a", "error('x')")), 10);

    CHECK(kept >= 20 && kept <= 30); /* a full bucket and two seconds */
    CHECK(kept_by_failures(CHAIN(INLINE("a", "error('x')")), 0) == 0);
    CHECK(kept_by_failures(CHAIN(INLINE("a", "error('x')")), 0.5) <= 2);
    CHECK(kept_by_failures("return { " INLINE("a", "error('x')") " }, keep()", 0) == 10000);
}

static void every_reason_is_a_label_up_to_sixty_four(void)
{
    struct test_state s;
    struct test_trace t;
    struct policy_verdict v;
    const char *text = NULL;

    state_init(&s, true, 10);
    trace_init(&t, test_id, healthy, 2);
    state_must_load(&s, "local n = 0\n"
                        "return { policy { name = 'a', decide = function() n = n + 1 return "
                        "keep('r' .. n) end } }");
    for (int i = 0; i < 70; i++)
        text = state_decide(&s, &t.trace, 1, &v);
    CHECK(strcmp(text, "keep a/other") == 0);
    CHECK(labels_count(s.labels) <= 70);
    trace_fini(&t);
    state_fini(&s);
}

static bool refuses(const char *text, const char *want)
{
    struct test_state s;
    struct err_info info = {.text = ""};
    enum err e;
    bool said;

    state_init(&s, true, 10);
    e = state_load(&s, text, &info);
    said = e && strstr(info.text, want);
    if (!said)
        printf("  %s: '%s', not '%s'\n", text, info.text, want);
    state_fini(&s);
    return said;
}

static void what_is_wrong_is_said_when_it_loads(void)
{
    CHECK(refuses("return {}", "tail_sampling.policies is empty"));
    CHECK(refuses("return { policy 'latensy' { threshold_ms = 1 } }", "latency"));
    CHECK(refuses("return { policy 'latency' {} }", "threshold_ms is missing"));
    CHECK(refuses("return { policy 'latency' { treshold_ms = 1 } }", "did you mean threshold_ms?"));
    CHECK(
        refuses("return { policy 'latency' { threshold_ms = 'fast' } }", "threshold_ms is 'fast'"));
    CHECK(refuses("return { policy 'always_sample', policy 'always_sample' }",
                  "two policies are called 'always_sample'"));
    CHECK(refuses("return { policy { name = 'a', decied = function() end } }",
                  "unknown policy field 'decied' (did you mean 'decide'?)"));
    CHECK(refuses("return { policy 'always_sample' }, at_least(1)", "tail_sampling.default"));
    CHECK(refuses("return { policy { name = 'a', decide = function() end } }, 1",
                  "tail_sampling.default"));
    CHECK(refuses("return { policy 'probabilistic' { sampling_percentage = 101 } }",
                  "sampling_percentage is 101"));
    CHECK(refuses("return { policy { name = 'a' } }", "a policy needs decide = function"));
    CHECK(refuses("return { policy { name = 'a', says = keep, decide = drop } }",
                  "decide or says, not both"));
    CHECK(refuses("return { policy { name = 'a', says = function() return 1 end } }",
                  "says returned a number; allowed: a verdict"));
    CHECK(refuses("return { policy { name = 'a', says = keep, when = function() return 'x' end } }",
                  "when returned a string; allowed: a match{}"));
    CHECK(refuses("return { policy { name = 'a', says = keep, when = function() return match { "
                  "decision = { reason = 'x' } } end } }",
                  "without decision fields"));
    CHECK(refuses("return { policy 'latency' { threshold_ms = 2, upper_threshold_ms = 1 } }",
                  "upper_threshold_ms is less than threshold_ms"));
}

static void instances_have_their_own_options_and_names(void)
{
    CHECK(decides(CHAIN("policy 'latency' { threshold_ms = 500 }, policy 'latency/quick' { "
                        "threshold_ms = 100 }"),
                  "keep latency/quick/slow"));
    CHECK(decides(CHAIN("policy 'latency' { threshold_ms = 100, name = 'slowness' }"),
                  "keep slowness/slow"));
    CHECK(decides(CHAIN("policy 'latency' { threshold_ms = 100, when = match { service = 'other' "
                        "} }"),
                  "drop default/default"));
    CHECK(decides(CHAIN("policy 'latency' { threshold_ms = 100, when = match { service = 'shop', "
                        "kind = 'client' } }"),
                  "keep latency/slow"));
}

#define WHEN(match)     "when = function() return " match " end, "
#define ONE(name, rest) "policy { name = '" name "', " rest " }"

/* The healthy trace: 2 spans of 100 ms together, no errors. */
static void a_policy_is_asked_where_its_guard_holds(void)
{
    static const struct {
        const char *match;
        bool holds;
    } guards[] = {
        {"nil", true},
        {"match {}", true},
        {"match { trace = { duration_ms = 100 } }", true},
        {"match { trace = { duration_ms = range(100.001) } }", false},
        {"match { trace = { error_count = range(1) } }", false},
        {"match { trace = { span_count = 2, complete = false, trigger = 'wait' } }", true},
        {"match { kind = 'client' }", true},
        {"match { kind = 'producer' }", false},
        {"match { trace = { span_count = 2 }, kind = 'client' }", true},
        {"match { trace = { span_count = 3 }, kind = 'client' }", false},
        {"match { trace = { span_count = 2 }, kind = 'producer' }", false},
    };
    char text[768];

    for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++) {
        const char *match = guards[i].match;

        snprintf(
            text, sizeof(text),
            "return { " ONE("a", WHEN("%s") "decide = function() error('asked') end") ", " ONE(
                "b",
                WHEN(
                    "%s") "says = function() return sample(0.5, 'x') end") ", "
                                                                           "policy 'not' { "
                                                                           "not_sub_policy = "
                                                                           "{ " ONE(
                                                                               "c",
                                                                               WHEN(
                                                                                   "%s") "says = "
                                                                                         "function("
                                                                                         ") return "
                                                                                         "keep() "
                                                                                         "end") " }"
                                                                                                " }"
                                                                                                " }"
                                                                                                ", "
                                                                                                "dr"
                                                                                                "op"
                                                                                                "("
                                                                                                ")",
            match, match, match);
        CHECK(votes_are(text, guards[i].holds ? "failed a/error, sample(0.5) b/x, none"
                                              : "none, none, keep not/not"));
    }
}

static void a_verdict_said_ahead_is_as_one_that_is_returned(void)
{
    CHECK(decides(CHAIN(ONE("a", "says = function() return keep('x') end")), "keep a/x"));
    CHECK(decides(CHAIN(ONE("a", "says = function() return drop() end")), "drop a/a"));
    CHECK(votes_are(CHAIN(ONE("a", "says = function() return sample(0.5) end") "," ONE(
                        "b", "setup = function() return { p = 0.75 } end, says = function(_, my) "
                             "return at_least(my.p) end")),
                    "sample(0.5) a/a, at_least(0.75) b/b"));
}

static void the_default_chain_decides(void)
{
    CHECK(decides("return { policy 'drop_health_checks', policy 'status_code', policy 'latency' { "
                  "threshold_ms = 500 }, policy 'probabilistic' { sampling_percentage = 10 } }",
                  "drop probabilistic/sampled"));
    CHECK(decides("return { policy 'drop_health_checks', policy 'status_code', policy 'latency' { "
                  "threshold_ms = 500 }, policy 'probabilistic' { sampling_percentage = 97 } }",
                  "keep probabilistic/sampled"));
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_LOGFMT);
    RUN(the_first_keep_or_drop_is_final);
    RUN(each_can_be_asked_behind_a_final_verdict);
    RUN(the_first_sample_counts_and_at_least_raises_it);
    RUN(without_a_vote_the_default_decides);
    RUN(a_draw_says_its_threshold);
    RUN(every_policy_that_was_asked_has_its_vote);
    RUN(a_failed_policy_has_no_opinion);
    RUN(failures_are_counted_by_policy_and_kind);
    RUN(a_policy_that_fails_too_often_is_not_asked_until_a_reload);
    RUN(failures_that_are_far_apart_put_nobody_out);
    RUN(an_overrun_voids_the_verdict);
    RUN(keeps_by_failed_policies_are_bounded);
    RUN(every_reason_is_a_label_up_to_sixty_four);
    RUN(what_is_wrong_is_said_when_it_loads);
    RUN(instances_have_their_own_options_and_names);
    RUN(a_policy_is_asked_where_its_guard_holds);
    RUN(a_verdict_said_ahead_is_as_one_that_is_returned);
    RUN(the_default_chain_decides);
    return DONE();
}
