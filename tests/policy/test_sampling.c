#include "check.h"
#include "policy/reader.h"
#include "traces.h"

static bool is_th(double p, const char *want)
{
    char text[15];

    sampling_threshold_text(sampling_threshold(p), text);
    if (strcmp(text, want) != 0)
        printf("  p %.17g gives %s, not %s\n", p, text, want);
    return strcmp(text, want) == 0;
}

static void thresholds_have_four_digits_after_the_leading_ones(void)
{
    CHECK(is_th(1.0 / 2, "8"));
    CHECK(is_th(1.0 / 3, "aaab"));
    CHECK(is_th(1.0 / 4, "c"));
    CHECK(is_th(1.0 / 5, "cccd"));
    CHECK(is_th(1.0 / 8, "e"));
    CHECK(is_th(1.0 / 10, "e666"));
    CHECK(is_th(1.0 / 16, "f"));
    CHECK(is_th(1.0 / 100, "fd70a"));
    CHECK(is_th(1e-3, "ffbe77"));
    CHECK(is_th(1e-4, "fff9724"));
    CHECK(is_th(1e-5, "ffff583a"));
    CHECK(is_th(1e-6, "ffffef39"));
    CHECK(is_th(0.999, "004189"));
    CHECK(is_th(1, "0"));
}

static void probabilities_are_those_of_the_rounded_threshold(void)
{
    CHECK(sampling_probability(sampling_threshold(0.25)) == 0.25);
    CHECK(sampling_probability(sampling_threshold(0.1)) == 0.100006103515625);
    CHECK(sampling_probability(UINT64_C(0xfd70a400000000)) == 0.009999990463256836);
    CHECK(sampling_probability(THRESHOLD_NEVER) == 0);
    CHECK(sampling_probability(0) == 1);
}

static void nothing_is_never_and_all_is_always(void)
{
    CHECK(sampling_threshold(0) == THRESHOLD_NEVER);
    CHECK(sampling_threshold(-1) == THRESHOLD_NEVER);
    CHECK(sampling_threshold(0.0 / 0.0) == THRESHOLD_NEVER);
    CHECK(sampling_threshold(0x1p-56) == UINT64_C(0xffffffffffffff));
    CHECK(sampling_threshold(1) == 0);
    CHECK(sampling_threshold(2) == 0);
}

static void what_is_kept_at_a_share_is_kept_at_every_larger_one(void)
{
    uint64_t last = THRESHOLD_NEVER;

    for (int i = 1; i <= 100000; i++) {
        uint64_t t = sampling_threshold(i / 100000.0);

        if (t > last) {
            CHECK(t <= last);
            return;
        }
        last = t;
    }
}

static void rv_is_exactly_fourteen_lower_case_digits(void)
{
    uint64_t rv = 1;

    CHECK(sampling_rv(slice_str("ot=rv:6e6d1a75832a2f"), &rv) && rv == UINT64_C(0x6e6d1a75832a2f));
    CHECK(sampling_rv(slice_str("vendor=1, ot=th:8;rv:ffffffffffffff ,x=y"), &rv));
    CHECK(rv == UINT64_C(0xffffffffffffff));
    CHECK(!sampling_rv(slice_str("ot=rv:6e6d1a75832a2"), &rv));
    CHECK(!sampling_rv(slice_str("ot=rv:6e6d1a75832a2f0"), &rv));
    CHECK(!sampling_rv(slice_str("ot=rv:6E6d1a75832a2f"), &rv));
    CHECK(!sampling_rv(slice_str("ot=rv:"), &rv));
    CHECK(!sampling_rv(slice_str("vot=rv:6e6d1a75832a2f"), &rv));
    CHECK(!sampling_rv(slice_str("x=rv:6e6d1a75832a2f"), &rv));
    CHECK(!sampling_rv(slice_str(""), &rv));
}

static void th_is_padded_on_the_right(void)
{
    uint64_t th = 1;

    CHECK(sampling_th(slice_str("ot=th:8"), &th) && th == UINT64_C(1) << 55);
    CHECK(sampling_th(slice_str("ot=th:0"), &th) && th == 0);
    CHECK(sampling_th(slice_str("ot=rv:6e6d1a75832a2f;th:e666"), &th));
    CHECK(th == UINT64_C(0xe6660000000000));
    CHECK(!sampling_th(slice_str("ot=th:"), &th));
    CHECK(!sampling_th(slice_str("ot=th:E"), &th));
    CHECK(!sampling_th(slice_str("ot=th:123456789abcdef"), &th));
}

static uint64_t randomness(const struct test_span *spans, uint32_t count)
{
    struct test_trace t;
    uint64_t r;

    trace_init(&t, test_id, spans, count);
    r = sampling_randomness(&t.trace);
    trace_fini(&t);
    return r;
}

#define ID_RANDOMNESS UINT64_C(0x0a0b0c0d0e0f10)

static void randomness_is_the_roots_rv_or_the_end_of_the_id(void)
{
    const struct test_span plain[] = {{.id = 1, .end_ms = 1}};
    const struct test_span root[] = {
        {.id = 2, .parent_id = 1, .trace_state = "ot=rv:00000000000002"},
        {.id = 1, .trace_state = "ot=rv:00000000000001"},
    };
    const struct test_span root_without[] = {
        {.id = 2, .parent_id = 1, .trace_state = "ot=rv:00000000000002"},
        {.id = 1, .trace_state = "other=1"},
    };

    CHECK(randomness(plain, 1) == ID_RANDOMNESS);
    CHECK(randomness(root, 2) == 1);
    CHECK(randomness(root_without, 2) == ID_RANDOMNESS);
}

static void without_a_root_the_smallest_span_id_with_an_rv_counts(void)
{
    const struct test_span spans[] = {
        {.id = 9, .parent_id = 1, .trace_state = "ot=rv:00000000000009"},
        {.id = 2, .parent_id = 1, .trace_state = "ot=rv:bad"},
        {.id = 4, .parent_id = 1, .trace_state = "ot=th:8;rv:00000000000004"},
        {.id = 5, .parent_id = 1, .trace_state = "ot=rv:00000000000005"},
    };

    CHECK(randomness(spans, 4) == 4);
    CHECK(randomness(spans, 2) == 9);
}

static void the_earliest_of_several_roots_counts(void)
{
    const struct test_span spans[] = {
        {.id = 1, .start_ms = 5, .end_ms = 9, .trace_state = "ot=rv:00000000000005"},
        {.id = 2, .start_ms = 3, .end_ms = 9, .trace_state = "ot=rv:00000000000003"},
    };

    CHECK(randomness(spans, 2) == 3);
}

static struct value adjusted_count(const char *trace_state, uint64_t threshold)
{
    struct test_span span = {.id = 1, .trace_state = trace_state};
    struct policy_verdict verdict = {.keep = true, .probability = -1, .threshold = threshold};
    struct test_trace t;
    struct reader r;
    struct value count;

    trace_init(&t, test_id, &span, 1);
    t.trace.decision = &verdict;
    reader_init(&r);
    reader_begin(&r, &t.trace);
    count = reader_ready(&r) ? reader_field(&r, 0, FIELD_ADJUSTED_COUNT) : (struct value){0};
    reader_fini(&r);
    trace_fini(&t);
    return count;
}

static void an_exporter_is_told_what_a_span_stands_for(void)
{
    CHECK(adjusted_count("ot=th:c", UINT64_C(0xc0000000000000)).number == 4);
    CHECK(adjusted_count("ot=th:c", 0).number == 4); /* sampled before it came here */
    CHECK(adjusted_count("a=b", 0).number == 1);
    CHECK(adjusted_count("ot=rv:6e6d1a75832a2f", THRESHOLD_NONE).type == VALUE_ABSENT);
    CHECK(adjusted_count("", THRESHOLD_NONE).type == VALUE_ABSENT);
}

static struct slice member(const char *trace_state, const char *key)
{
    struct slice value = slice_make(NULL, 0);

    return sampling_member(slice_str(trace_state), slice_str(key), &value) ? value
                                                                           : slice_str("(none)");
}

static void a_member_of_the_tracestate_is_found_by_its_key(void)
{
    CHECK(slice_is(member("a=1,b=2", "b"), "2"));
    CHECK(slice_is(member("a=1, b=x=y ,b=3", "b"), "x=y"));
    CHECK(slice_is(member("b=", "b"), ""));
    CHECK(slice_is(member("b", "b"), ""));
    CHECK(slice_is(member("ab=1,ba=2", "b"), "(none)"));
    CHECK(slice_is(member("", "b"), "(none)"));
    CHECK(slice_is(member(",,,", "b"), "(none)"));
}

int main(void)
{
    RUN(thresholds_have_four_digits_after_the_leading_ones);
    RUN(probabilities_are_those_of_the_rounded_threshold);
    RUN(nothing_is_never_and_all_is_always);
    RUN(what_is_kept_at_a_share_is_kept_at_every_larger_one);
    RUN(rv_is_exactly_fourteen_lower_case_digits);
    RUN(th_is_padded_on_the_right);
    RUN(randomness_is_the_roots_rv_or_the_end_of_the_id);
    RUN(without_a_root_the_smallest_span_id_with_an_rv_counts);
    RUN(the_earliest_of_several_roots_counts);
    RUN(an_exporter_is_told_what_a_span_stands_for);
    RUN(a_member_of_the_tracestate_is_found_by_its_key);
    return DONE();
}
