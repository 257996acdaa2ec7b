/* Names as prometheus/otlptranslator makes them. */
#include "check.h"
#include "prometheus/name.h"

#include <stdbool.h>

static bool metric_is(const char *name, const char *unit, enum name_kind kind, const char *prefix,
                      bool suffixes, const char *wanted)
{
    struct buf out;
    bool good;

    buf_init(&out, 4096, NULL);
    good = name_metric(&out, slice_str(name), slice_str(unit), kind, prefix, suffixes);
    if (wanted && !(good && slice_is(buf_slice(&out), wanted)))
        printf("  %s [%s] is %.*s\n", name, unit, (int)out.len, (const char *)out.data);
    good = wanted ? good && slice_is(buf_slice(&out), wanted) : !good && out.len == 0;
    buf_fini(&out);
    return good;
}

static bool label_is(const char *key, const char *wanted)
{
    struct buf out;
    bool good;

    buf_init(&out, 4096, NULL);
    good = name_label(&out, slice_str(key));
    good = wanted ? good && slice_is(buf_slice(&out), wanted) : !good && out.len == 0;
    buf_fini(&out);
    return good;
}

static void units_are_appended_in_words_unless_the_name_has_them(void)
{
    CHECK(metric_is("http.server.duration", "s", NAME_OTHER, "", true,
                    "http_server_duration_seconds"));
    CHECK(
        metric_is("system.memory.usage", "By", NAME_OTHER, "", true, "system_memory_usage_bytes"));
    CHECK(metric_is("memory_bytes_used", "By", NAME_OTHER, "", true, "memory_bytes_used"));
    CHECK(metric_is("speed", "m/s", NAME_GAUGE, "", true, "speed_meters_per_second"));
    CHECK(metric_is("rate", "1/s", NAME_GAUGE, "", true, "rate_per_second"));
    CHECK(metric_is("io", "By/m", NAME_OTHER, "", true, "io_bytes_per_minute"));
    CHECK(metric_is("usage", "{requests}", NAME_OTHER, "", true, "usage"));
    CHECK(metric_is("usage", "{requests}/s", NAME_OTHER, "", true, "usage_per_second"));
    CHECK(metric_is("fans", "rotations per min", NAME_OTHER, "", true, "fans_rotations_per_min"));
    CHECK(metric_is("load", "%", NAME_GAUGE, "", true, "load_percent"));
}

static bool unit_is(const char *unit, const char *expected)
{
    struct buf out;
    bool same;

    buf_init(&out, 1024, NULL);
    name_unit(&out, slice_str(unit));
    same = slice_is(buf_slice(&out), expected);
    buf_fini(&out);
    return same;
}

static void units_have_words_of_their_own(void)
{
    CHECK(unit_is("By", "bytes") && unit_is("By/s", "bytes_per_second") &&
          unit_is("/s", "per_second"));
    CHECK(unit_is("1", "") && unit_is("", "") && unit_is("{req}", "") && unit_is("{a}/{b}", ""));
    CHECK(unit_is("{a}/mo", "per_month") && unit_is("$", "") && unit_is("foo bar?", "foo_bar"));
}

static void counters_end_in_total_and_gauges_of_one_in_ratio(void)
{
    CHECK(metric_is("http.requests", "1", NAME_COUNTER, "", true, "http_requests_total"));
    CHECK(metric_is("total.requests", "", NAME_COUNTER, "", true, "requests_total"));
    CHECK(metric_is("io", "By", NAME_COUNTER, "", true, "io_bytes_total"));
    CHECK(metric_is("cpu.use", "1", NAME_GAUGE, "", true, "cpu_use_ratio"));
    CHECK(metric_is("cpu.use", "1", NAME_OTHER, "", true, "cpu_use"));
}

static void names_are_made_of_what_prometheus_takes(void)
{
    CHECK(metric_is("a..b--c", "", NAME_OTHER, "", true, "a_b_c"));
    CHECK(metric_is("__a__b__", "", NAME_OTHER, "", true, "a_b"));
    CHECK(metric_is("a:b", "", NAME_OTHER, "", true, "a:b"));
    CHECK(metric_is("2xx", "", NAME_OTHER, "", true, "_2xx"));
    CHECK(metric_is("2xx", "", NAME_OTHER, "shop", true, "shop_2xx"));
    CHECK(metric_is("gr\xc3\xb6\xc3\x9f"
                    "e",
                    "", NAME_OTHER, "", true, "gr_e"));
    CHECK(metric_is("...", "s", NAME_OTHER, "", true, NULL));
    CHECK(metric_is("", "", NAME_OTHER, "", true, NULL));
}

static void without_suffixes_a_name_is_only_cleaned(void)
{
    CHECK(metric_is("http.requests", "s", NAME_COUNTER, "", false, "http_requests"));
    CHECK(metric_is("a__b", "s", NAME_COUNTER, "", false, "a__b"));
    CHECK(metric_is("a", "s", NAME_COUNTER, "shop", false, "shop_a"));
}

static void labels_have_one_underscore_for_each_other_character(void)
{
    CHECK(label_is("http.method", "http_method"));
    CHECK(label_is("a..b", "a__b"));
    CHECK(label_is("1st", "key_1st"));
    CHECK(label_is("_x", "key_x"));
    CHECK(label_is("__x", "__x"));
    CHECK(label_is("gr\xc3\xb6\xc3\x9f"
                   "e",
                   "gr__e"));
    CHECK(label_is(".", NULL) && label_is("", NULL) && label_is("___", NULL));
}

int main(void)
{
    RUN(units_are_appended_in_words_unless_the_name_has_them);
    RUN(units_have_words_of_their_own);
    RUN(counters_end_in_total_and_gauges_of_one_in_ratio);
    RUN(names_are_made_of_what_prometheus_takes);
    RUN(without_suffixes_a_name_is_only_cleaned);
    RUN(labels_have_one_underscore_for_each_other_character);
    return DONE();
}
