#include "check.h"
#include "policy/match.h"

static bool globs(const char *pattern, const char *text)
{
    return match_glob(slice_str(pattern), slice_str(text));
}

static void a_glob_is_the_whole_value(void)
{
    CHECK(globs("", ""));
    CHECK(!globs("", "a"));
    CHECK(globs("*", ""));
    CHECK(globs("**", "abc"));
    CHECK(globs("a*", "abc"));
    CHECK(globs("*c", "abc"));
    CHECK(globs("a*b*c", "aXbXbXc"));
    CHECK(!globs("a*b*c", "aXcXb"));
    CHECK(!globs("a", "ab"));
    CHECK(!globs("ab", "a"));
    CHECK(!globs("a?", "a"));
    CHECK(globs("\\?\\*\\\\", "?*\\"));
    CHECK(!globs("\\?", "a"));
    CHECK(globs("a\\", "a\\"));
}

static void a_question_mark_is_one_character(void)
{
    CHECK(globs("caf?", "caf\xc3\xa9") && !globs("caf??", "caf\xc3\xa9"));
    CHECK(globs("?", "\xf0\x9f\x98\x80") && globs("*?", "\xe6\x97\xa5"));
    CHECK(!globs("*??", "\xe6\x97\xa5") && globs("*??x*", "a\xe6\x97\xa5x"));
    CHECK(globs("\xc3\xa9?", "\xc3\xa9\xc3\xa9") && !globs("?", "\xc3\xa9\xc3\xa9"));
    CHECK(globs("a?b", "a\xff"
                       "b") &&
          globs("?", "\x80") && !globs("?", ""));
}

static void a_hard_glob_ends_soon(void)
{
    char text[20001], pattern[] = "*a*a*a*a*a*a*a*a*a*a*b";

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    CHECK(!globs(pattern, text));
}

static bool finds(const char *pattern, const char *text)
{
    struct regex *r;
    struct err_info info;
    bool found;

    if (regex_new(slice_str(pattern), &r, &info))
        return false;
    found = regex_find(r, slice_str(text));
    regex_free(r);
    return found;
}

static void a_regex_is_unanchored_and_says_what_is_wrong(void)
{
    struct regex *r;
    struct err_info info;

    CHECK(finds("b+", "abbc"));
    CHECK(!finds("^b", "abbc"));
    CHECK(finds("^a.*c$", "abbc"));
    CHECK(finds("", ""));
    CHECK(regex_new(slice_str("(a"), &r, &info) == ERR_CONFIG && r == NULL);
    CHECK(strstr(info.text, "missing )") != NULL);
    CHECK(regex_new(slice_str("(a)\\1"), &r, &info) == ERR_CONFIG);
    regex_free(NULL);
}

static bool in_range(int64_t integer, double low, double high)
{
    const struct match_test t = {.kind = MATCH_RANGE, .low = low, .high = high};
    const struct value v = {.type = VALUE_INT, .integer = integer};

    return match_test_value(&t, &v);
}

static bool equals(int64_t integer, double number)
{
    const struct match_test t = {.kind = MATCH_NUMBER, .number = number};
    const struct value v = {.type = VALUE_INT, .integer = integer};

    return match_test_value(&t, &v);
}

static void integers_are_compared_exactly(void)
{
    const double infinity = 1e308 * 10;

    CHECK(equals(INT64_MIN, -0x1p63));
    CHECK(!equals(INT64_MAX, 0x1p63));
    CHECK(!equals((INT64_C(1) << 53) + 1, 0x1p53));
    CHECK(equals(INT64_C(1) << 53, 0x1p53));
    CHECK(!equals(0, infinity - infinity));
    CHECK(in_range(INT64_MAX, 0, infinity));
    CHECK(in_range(INT64_MIN, -infinity, 0));
    CHECK(!in_range(INT64_MAX, 0, 0x1.fffffffffffffp62));
    CHECK(in_range(2, 1.5, 2.5));
    CHECK(!in_range(1, 1.5, 2.5));
    CHECK(!in_range(-2, -1.5, 0));
    CHECK(in_range(-1, -1.5, 0));
}

int main(void)
{
    RUN(a_glob_is_the_whole_value);
    RUN(a_question_mark_is_one_character);
    RUN(a_hard_glob_ends_soon);
    RUN(a_regex_is_unanchored_and_says_what_is_wrong);
    RUN(integers_are_compared_exactly);
    return DONE();
}
