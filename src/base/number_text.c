#include "base/number_text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 17, LEAST_EXPONENT = -6, MOST_EXPONENT = 20 }; /* without one in the text */

/* d.ddd * 10^exponent */
struct decimal {
    char digits[DIGITS_MAX];
    size_t count; /* none that follow are but zeros */
    int exponent;
};

static struct decimal decimal_of(double number)
{
    struct decimal d = {.count = 0};
    char text[40], *e;

    /* fifteen tell all numbers apart that have no more, but the smallest */
    for (int digits = number < DBL_MIN ? 1 : DBL_DIG; digits <= DIGITS_MAX; digits++) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, number);
        if (strtod(text, NULL) == number)
            break;
    }
    e = strchr(text, 'e');
    for (const char *c = text; c < e; c++)
        if (*c >= '0' && *c <= '9')
            d.digits[d.count++] = *c;
    while (d.count > 1 && d.digits[d.count - 1] == '0')
        d.count--;
    d.exponent = (int)strtol(e + 1, NULL, 10);
    return d;
}

static size_t put_fraction(char *out, const struct decimal *d)
{
    size_t len = 0;

    out[len++] = '0';
    out[len++] = '.';
    for (int i = -1; i > d->exponent; i--)
        out[len++] = '0';
    memcpy(out + len, d->digits, d->count);
    return len + d->count;
}

/* Digits, with zeros behind them as far as `exponent` goes, and a point behind that. */
static size_t put_digits(char *out, const struct decimal *d, int exponent)
{
    size_t len = 0;

    for (int i = 0; i <= exponent || (size_t)i < d->count; i++) {
        if (i == exponent + 1)
            out[len++] = '.';
        out[len++] = (char)((size_t)i < d->count ? d->digits[i] : '0');
    }
    return len;
}

static size_t put_plain(char *out, const struct decimal *d)
{
    return d->exponent < 0 ? put_fraction(out, d) : put_digits(out, d, d->exponent);
}

static size_t put_name(char out[NUMBER_TEXT], double number)
{
    return (size_t)snprintf(out, NUMBER_TEXT,
                            isnan(number) ? "NaN"
                            : number > 0  ? "Infinity"
                                          : "-Infinity");
}

size_t number_text(char out[NUMBER_TEXT], double number)
{
    struct decimal d;
    size_t len = 0;

    if (!isfinite(number))
        return put_name(out, number);
    d = decimal_of(fabs(number));
    if (signbit(number))
        out[len++] = '-';
    if (d.exponent >= LEAST_EXPONENT && d.exponent <= MOST_EXPONENT)
        return len + put_plain(out + len, &d);
    len += put_digits(out + len, &d, 0);
    return len + (size_t)snprintf(out + len, NUMBER_TEXT - len, "e%+d", d.exponent);
}

size_t number_plain(char out[NUMBER_PLAIN], double number)
{
    struct decimal d = decimal_of(fabs(number));
    size_t len = 0;

    if (signbit(number))
        out[len++] = '-';
    return len + put_plain(out + len, &d);
}
