/* match_test.c: what one test of a matcher says of a value. */
#include "policy/match.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Of the character at `at`, as UTF-8 has it; of what is none, the bytes up to the next one. */
static size_t character_len(struct slice text, size_t at)
{
    size_t len = 1;

    while (at + len < text.len && (text.data[at + len] & 0xC0) == 0x80)
        len++;
    return len;
}

/* A run of any bytes is tried as short as possible first; only the last `*` needs remembering. */
bool match_glob(struct slice pattern, struct slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;

    while (t < text.len || p < pattern.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        if (p < pattern.len && t < text.len) {
            bool escaped = pattern.data[p] == '\\' && p + 1 < pattern.len;
            uint8_t want = pattern.data[p + escaped];
            bool any = want == '?' && !escaped;

            if (any || want == text.data[t]) {
                t += any ? character_len(text, t) : 1;
                p += 1 + escaped;
                continue;
            }
        }
        if (star == SIZE_MAX || star_text >= text.len)
            return false;
        p = star;
        t = ++star_text;
    }
    return true;
}

static bool is_number(const struct value *v)
{
    return v->type == VALUE_INT || v->type == VALUE_DOUBLE;
}

/* Exact: int64 beyond 2^53 is not rounded. <0, 0, >0; 2 where one is no number. */
static int compare_with(const struct value *v, double d)
{
    double whole;

    if (v->type == VALUE_DOUBLE)
        return v->number < d ? -1 : v->number > d ? 1 : v->number == d ? 0 : 2;
    if (isnan(d))
        return 2;
    if (d >= 0x1p63)
        return -1;
    if (d < -0x1p63)
        return 1;
    whole = floor(d);
    if (v->integer != (int64_t)whole)
        return v->integer < (int64_t)whole ? -1 : 1;
    return d > whole ? -1 : 0;
}

struct slice match_text(const struct value *v, char text[SCALAR_TEXT])
{
    int len = 0;

    if (v->type == VALUE_STRING)
        return v->bytes;
    if (v->type == VALUE_BOOL)
        return slice_str(v->boolean ? "true" : "false");
    if (v->type == VALUE_INT)
        len = snprintf(text, SCALAR_TEXT, "%" PRId64, v->integer);
    else if (v->type == VALUE_DOUBLE)
        len = (int)number_text(text, v->number);
    return slice_make(text, (size_t)len);
}

static bool test_regex_text(const struct match_test *t, const struct value *v)
{
    char text[SCALAR_TEXT];

    if (v->type != VALUE_STRING && v->type != VALUE_BOOL && !is_number(v))
        return false;
    return regex_find(t->regex, match_text(v, text));
}

static bool test_scalar(const struct match_test *t, const struct value *v)
{
    switch (t->kind) {
    case MATCH_TEXT:
        return v->type == VALUE_STRING && slice_equal(t->text, v->bytes);
    case MATCH_NUMBER:
        return is_number(v) && compare_with(v, t->number) == 0;
    case MATCH_BOOL:
        return v->type == VALUE_BOOL && v->boolean == t->boolean;
    case MATCH_GLOB:
        return v->type == VALUE_STRING && match_glob(t->text, v->bytes);
    case MATCH_REGEX:
        return v->type == VALUE_STRING && regex_find(t->regex, v->bytes);
    case MATCH_REGEX_TEXT:
        return test_regex_text(t, v);
    case MATCH_RANGE:
        if (!is_number(v) || (v->type == VALUE_DOUBLE && isnan(v->number)))
            return false;
        return compare_with(v, t->low) >= 0 && compare_with(v, t->high) <= 0;
    default:
        return t->kind == MATCH_ANY;
    }
}

/* Against an array one element suffices. */
bool match_test_value(const struct match_test *t, const struct value *v)
{
    struct value element;
    size_t at = 0;

    if (v->type == VALUE_ABSENT)
        return t->kind == MATCH_NONE;
    if (t->kind == MATCH_ANY || t->kind == MATCH_NONE)
        return t->kind == MATCH_ANY;
    if (v->type != VALUE_ARRAY)
        return test_scalar(t, v);
    while (!t->whole && view_array_next(v->bytes, &at, &element))
        if (element.type != VALUE_ABSENT && test_scalar(t, &element))
            return true;
    return false;
}
