#include "base/units.h"
#include "check.h"

static uint64_t duration(const char *text)
{
    uint64_t ns = 12345;

    return units_duration(slice_str(text), &ns) == ERR_OK ? ns : UINT64_MAX;
}

static uint64_t size(const char *text)
{
    uint64_t bytes = 12345;

    return units_size(slice_str(text), &bytes) == ERR_OK ? bytes : UINT64_MAX;
}

static void durations_read_as_people_write_them(void)
{
    CHECK(duration("250ms") == 250000000);
    CHECK(duration("10s") == UINT64_C(10000000000));
    CHECK(duration("1m30s") == UINT64_C(90000000000));
    CHECK(duration("1h") == UINT64_C(3600000000000));
    CHECK(duration("2d") == UINT64_C(172800000000000));
    CHECK(duration("1.5s") == UINT64_C(1500000000));
    CHECK(duration("7us") == 7000 && duration("7ns") == 7 && duration("0s") == 0);
}

static void what_is_no_duration_is_refused(void)
{
    static const char *const wrong[] = {"",     "10",   "s",
                                        "fast", "10 s", "-1s",
                                        "1s ",  "1.s",  "1m30",
                                        "10S",  ".5s",  "99999999999999d",
                                        "1e3",  "1sm",  "18446744073709551616ns"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK(duration(wrong[i]) == UINT64_MAX);
}

static void sizes_know_both_kinds_of_units(void)
{
    CHECK(size("400MiB") == UINT64_C(400) << 20);
    CHECK(size("64KiB") == 65536 && size("1GiB") == 1 << 30);
    CHECK(size("500MB") == 500000000 && size("1024") == 1024 && size("1.5KiB") == 1536);
    CHECK(size("400MiBs") == UINT64_MAX && size("MiB") == UINT64_MAX);
    CHECK(size("-1") == UINT64_MAX && size("") == UINT64_MAX && size("1 2") == UINT64_MAX);
    CHECK(size("99999999999TiB") == UINT64_MAX);
}

static void a_typo_finds_the_name_that_was_meant(void)
{
    static const char *const names[] = {"decision_wait", "num_traces", "policies", "default"};

    CHECK(units_nearest(slice_str("decison_wait"), names, 4) == names[0]);
    CHECK(units_nearest(slice_str("polcies"), names, 4) == names[2]);
    CHECK(units_nearest(slice_str("defualt"), names, 4) == names[3]);
    CHECK(units_nearest(slice_str("exporters"), names, 4) == NULL);
    CHECK(units_nearest(slice_str(""), names, 4) == NULL);
    CHECK(units_nearest(slice_str("x"), names, 0) == NULL);
}

int main(void)
{
    RUN(durations_read_as_people_write_them);
    RUN(what_is_no_duration_is_refused);
    RUN(sizes_know_both_kinds_of_units);
    RUN(a_typo_finds_the_name_that_was_meant);
    return DONE();
}
