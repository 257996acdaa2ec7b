#include "base/number_text.h"
#include "base/random.h"
#include "check.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static bool reads(double number, const char *expected)
{
    char text[NUMBER_TEXT];
    size_t len = number_text(text, number);

    return len == strlen(expected) && memcmp(text, expected, len) == 0;
}

static bool plain(double number, const char *expected)
{
    char text[NUMBER_PLAIN];
    size_t len = number_plain(text, number);

    return len == strlen(expected) && memcmp(text, expected, len) == 0;
}

static void numbers_read_as_in_json(void)
{
    CHECK(reads(0, "0"));
    CHECK(reads(-0.0, "-0"));
    CHECK(reads(1, "1"));
    CHECK(reads(-1.5, "-1.5"));
    CHECK(reads(100, "100"));
    CHECK(reads(0.1, "0.1"));
    CHECK(reads(0.1 + 0.2, "0.30000000000000004"));
    CHECK(reads(123456789.125, "123456789.125"));
    CHECK(reads(0x1p53, "9007199254740992"));
}

static void an_exponent_is_where_json_has_one(void)
{
    CHECK(reads(1e-6, "0.000001"));
    CHECK(reads(1.25e-6, "0.00000125"));
    CHECK(reads(9.9e-7, "9.9e-7"));
    CHECK(reads(1e-7, "1e-7"));
    CHECK(reads(-1e-10, "-1e-10"));
    CHECK(reads(1e20, "100000000000000000000"));
    CHECK(reads(1e21, "1e+21"));
    CHECK(reads(-1.2345678901234567e300, "-1.2345678901234567e+300"));
    CHECK(reads(DBL_MAX, "1.7976931348623157e+308"));
    CHECK(reads(5e-324, "5e-324"));
}

static void what_is_no_number_has_a_name(void)
{
    CHECK(reads(NAN, "NaN"));
    CHECK(reads(INFINITY, "Infinity"));
    CHECK(reads(-INFINITY, "-Infinity"));
}

static void plain_numbers_have_no_exponent(void)
{
    char text[NUMBER_PLAIN];

    CHECK(plain(0, "0"));
    CHECK(plain(-2.5e-7, "-0.00000025"));
    CHECK(plain(1e21, "1000000000000000000000"));
    CHECK(number_plain(text, -DBL_MAX) == 310);
    CHECK(number_plain(text, -4.9406564584124654e-324) == 327);
    CHECK(number_plain(text, -2.2250738585072014e-308) == 327);
}

/* Any bits at all: they fit, and read back as they were. */
static void all_read_back_as_the_same(void)
{
    struct rng r;

    rng_seed(&r, 7);
    for (int i = 0; i < 20000; i++) {
        char text[NUMBER_TEXT + 1], longer[NUMBER_PLAIN + 1];
        uint64_t bits = rng_next(&r);
        double number;

        memcpy(&number, &bits, sizeof(number));
        if (!isfinite(number))
            continue;
        text[number_text(text, number)] = '\0';
        longer[number_plain(longer, number)] = '\0';
        CHECK(strtod(text, NULL) == number && strtod(longer, NULL) == number);
    }
}

int main(void)
{
    RUN(numbers_read_as_in_json);
    RUN(an_exponent_is_where_json_has_one);
    RUN(what_is_no_number_has_a_name);
    RUN(plain_numbers_have_no_exponent);
    RUN(all_read_back_as_the_same);
    return DONE();
}
