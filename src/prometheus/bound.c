/* Numbers as values of labels: le and quantile. */
#include "prometheus/points.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Digits and the exponent of the first one, of what `%.*e` wrote. */
static size_t digits_of(const char *text, char digits[24], int *exponent)
{
    const char *e = strchr(text, 'e');
    size_t n = 0;

    for (const char *c = text; c < e; c++)
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    *exponent = (int)strtol(e + 1, NULL, 10);
    return n;
}

static size_t put_digits(char *out, const char *digits, size_t n, int exponent)
{
    size_t len = 0;

    if (exponent < 0) {
        out[len++] = '0';
        out[len++] = '.';
        for (int i = -1; i > exponent; i--)
            out[len++] = '0';
        memcpy(out + len, digits, n);
        return len + n;
    }
    for (int i = 0; i <= exponent || (size_t)i < n; i++) {
        if (i == exponent + 1)
            out[len++] = '.';
        out[len++] = (char)((size_t)i < n ? digits[i] : '0');
    }
    return len;
}

size_t bound_put(char out[BOUND_TEXT], double bound)
{
    char text[40], digits[24];
    size_t len = 0, n;
    int exponent;

    if (!isfinite(bound)) {
        const char *name = isnan(bound) ? "NaN" : bound > 0 ? "+Inf" : "-Inf";

        len = strlen(name);
        memcpy(out, name, len);
        return len;
    }
    for (int precision = 14; precision <= 16; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, fabs(bound));
        if (strtod(text, NULL) == fabs(bound))
            break;
    }
    if (signbit(bound))
        out[len++] = '-';
    n = digits_of(text, digits, &exponent);
    return len + put_digits(out + len, digits, n, exponent);
}
