#include "base/units.h"

#include <stdbool.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000}, /* the micro sign, as Go prints it */
    {"ms", 1000000},
    {"s", UINT64_C(1000000000)},
    {"m", UINT64_C(60000000000)},
    {"h", UINT64_C(3600000000000)},
    {"d", UINT64_C(86400000000000)},
    {NULL, 0},
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"kB", 1000},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", UINT64_C(1000000000)},
    {"TB", UINT64_C(1000000000000)},
    {NULL, 0},
};

/* A decimal number, kept exact: whole + part / scale. */
struct number {
    uint64_t whole, part, scale;
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void skip(struct slice *s, size_t bytes)
{
    s->data += bytes;
    s->len -= bytes;
}

static bool take_number(struct slice *s, struct number *n)
{
    *n = (struct number){0, 0, 1};
    if (s->len == 0 || !is_digit(s->data[0]))
        return false;
    for (; s->len && is_digit(s->data[0]); skip(s, 1)) {
        if (__builtin_mul_overflow(n->whole, 10, &n->whole) ||
            __builtin_add_overflow(n->whole, s->data[0] - '0', &n->whole))
            return false;
    }
    if (s->len == 0 || s->data[0] != '.')
        return true;
    skip(s, 1);
    if (s->len == 0 || !is_digit(s->data[0]))
        return false;
    for (; s->len && is_digit(s->data[0]); skip(s, 1)) {
        if (n->scale >= 1000000) /* six places are plenty, and part * factor stays in range */
            return false;
        n->part = n->part * 10 + (s->data[0] - '0');
        n->scale *= 10;
    }
    return true;
}

/* Takes the letters that follow, which must be a unit as a whole. */
static const struct unit *take_unit(struct slice *s, const struct unit *units)
{
    size_t len = 0;

    while (len < s->len && !is_digit(s->data[len]))
        len++;
    for (; units->name; units++) {
        if (slice_is(slice_make(s->data, len), units->name)) {
            skip(s, len);
            return units;
        }
    }
    return NULL;
}

static bool add_scaled(uint64_t *sum, const struct number *n, uint64_t factor)
{
    unsigned __int128 part = (unsigned __int128)n->part * factor / n->scale;
    uint64_t whole;

    return !__builtin_mul_overflow(n->whole, factor, &whole) &&
           !__builtin_add_overflow(whole, (uint64_t)part, &whole) &&
           !__builtin_add_overflow(*sum, whole, sum);
}

enum err units_duration(struct slice text, uint64_t *ns)
{
    uint64_t sum = 0;

    if (slice_is(text, "0")) {
        *ns = 0;
        return ERR_OK;
    }
    do {
        struct number n;
        const struct unit *unit;

        if (!take_number(&text, &n))
            return ERR_PARSE;
        unit = take_unit(&text, duration_units);
        if (!unit || !add_scaled(&sum, &n, unit->factor))
            return ERR_PARSE;
    } while (text.len);
    *ns = sum;
    return ERR_OK;
}

enum err units_size(struct slice text, uint64_t *bytes)
{
    uint64_t sum = 0;
    struct number n;
    const struct unit *unit;

    if (!take_number(&text, &n))
        return ERR_PARSE;
    while (text.len && text.data[0] == ' ')
        skip(&text, 1);
    unit = take_unit(&text, size_units);
    if (!unit || text.len || !add_scaled(&sum, &n, unit->factor))
        return ERR_PARSE;
    *bytes = sum;
    return ERR_OK;
}

enum { NAME_MAX_LEN = 63 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Edit distance where swapping two neighbours is one edit, as a typing hand does. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][NAME_MAX_LEN + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b.len; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *spare = before;

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = a.data[i - 1] == b.data[j - 1];

            row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + !same);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                a.data[i - 2] == b.data[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        before = last;
        last = row;
        row = spare;
    }
    return last[b.len];
}

const char *units_nearest(struct slice given, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = given.len < 3 ? 1 : given.len / 3 + 1; /* further away it is another word */

    if (given.len == 0 || given.len > NAME_MAX_LEN)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_str(names[i]);
        size_t d = name.len > NAME_MAX_LEN ? SIZE_MAX : distance(given, name);

        if (d < least || (d == least && !nearest && d < name.len)) {
            least = d;
            nearest = names[i];
        }
    }
    return nearest;
}
