#include "admin/admin.h"
#include "check.h"

#include <math.h>

static struct buf out;

static bool out_is(const char *text)
{
    bool same = slice_is(buf_slice(&out), text);

    if (!same)
        printf("  got: %.*s\n", (int)out.len, (const char *)out.data);
    buf_fini(&out);
    return same;
}

static struct metrics writer(bool openmetrics)
{
    buf_init(&out, 1 << 16, NULL);
    return (struct metrics){.out = &out, .openmetrics = openmetrics};
}

static void a_counter_is_written_as_the_text_format_wants(void)
{
    struct metrics m = writer(false);

    metrics_family(&m, "moontail_kept_spans_total", METRIC_COUNTER, "Spans that were kept.");
    metrics_sample(&m, 12, "policy", "latency", "reason", "slow", (char *)0);
    metrics_end(&m);
    CHECK(out_is("# HELP moontail_kept_spans_total Spans that were kept.\n"
                 "# TYPE moontail_kept_spans_total counter\n"
                 "moontail_kept_spans_total{policy=\"latency\",reason=\"slow\"} 12\n"));
}

static void a_name_may_be_gone_when_samples_come(void)
{
    struct metrics m = writer(false);
    char name[16] = "a_total";

    metrics_family(&m, name, METRIC_COUNTER, "A.");
    memset(name, 'x', sizeof(name) - 1);
    metrics_sample(&m, 1, (char *)0);
    metrics_end(&m);
    CHECK(out_is("# HELP a_total A.\n# TYPE a_total counter\na_total 1\n"));
}

static void openmetrics_names_the_family_without_total_and_ends_with_eof(void)
{
    struct metrics m = writer(true);

    metrics_family(&m, "a_total", METRIC_COUNTER, "A.");
    metrics_sample(&m, 1, (char *)0);
    metrics_family(&m, "b", METRIC_COUNTER, "An alias without the suffix.");
    metrics_sample(&m, 2, (char *)0);
    metrics_family(&m, "c_total", METRIC_GAUGE, "Not a counter.");
    metrics_sample(&m, 3, (char *)0);
    metrics_end(&m);
    CHECK(out_is("# HELP a A.\n# TYPE a counter\na_total 1\n"
                 "# HELP b An alias without the suffix.\n# TYPE b counter\nb_total 2\n"
                 "# HELP c_total Not a counter.\n# TYPE c_total gauge\nc_total 3\n"
                 "# EOF\n"));
}

static void labels_from_scripts_cannot_break_the_format(void)
{
    struct metrics m = writer(false);

    metrics_family(&m, "x", METRIC_GAUGE, "Back\\slash\nand line.");
    metrics_sample(&m, 0, "reason", "a\"b\\c\nd", (char *)0);
    metrics_sample(&m, 0, "reason", "\xc3\xa9\xff\xed\xa0\x80\xc3", (char *)0);
    metrics_sample(&m, 0, "reason", (const char *)NULL, (char *)0);
    CHECK(
        out_is("# HELP x Back\\\\slash\\nand line.\n# TYPE x gauge\n"
               "x{reason=\"a\\\"b\\\\c\\nd\"} 0\n"
               "x{reason=\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}"
               " 0\n"
               "x{reason=\"\"} 0\n"));
}

static void values_are_exact_and_special_ones_have_their_names(void)
{
    struct metrics m = writer(false);

    metrics_family(&m, "v", METRIC_GAUGE, "V.");
    metrics_sample(&m, 123456789012345, (char *)0);
    metrics_sample(&m, 0.1, (char *)0);
    metrics_sample(&m, -3, (char *)0);
    metrics_sample(&m, (double)INFINITY, (char *)0);
    metrics_sample(&m, -(double)INFINITY, (char *)0);
    metrics_sample(&m, (double)NAN, (char *)0);
    CHECK(out_is("# HELP v V.\n# TYPE v gauge\nv 123456789012345\nv 0.10000000000000001\nv -3\n"
                 "v +Inf\nv -Inf\nv NaN\n"));
}

int main(void)
{
    RUN(a_counter_is_written_as_the_text_format_wants);
    RUN(a_name_may_be_gone_when_samples_come);
    RUN(openmetrics_names_the_family_without_total_and_ends_with_eof);
    RUN(labels_from_scripts_cannot_break_the_format);
    RUN(values_are_exact_and_special_ones_have_their_names);
    return DONE();
}
