/* negotiate.c: which metrics format an Accept header asks for. */
#include "admin/conn.h"

#include <stdlib.h>
#include <strings.h>

static struct slice trim(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
        s.data++, s.len--;
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Cuts what is before `separator` off `rest`. */
static struct slice cut(struct slice *rest, char separator)
{
    const uint8_t *at = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->data) : rest->len;
    struct slice head = slice_make(rest->data, len);
    size_t skip = at ? len + 1 : len;

    *rest = slice_make(rest->data + skip, rest->len - skip);
    return trim(head);
}

static bool is_nocase(struct slice s, const char *text)
{
    return s.len == strlen(text) && strncasecmp((const char *)s.data, text, s.len) == 0;
}

/* "0.5" to 500 (RFC 9110, 12.4.2: at most three decimals); anything odd is 0. */
static int quality(struct slice text)
{
    char number[6] = {0};
    char *end;
    double q;

    if (text.len == 0 || text.len >= sizeof(number))
        return 0;
    memcpy(number, text.data, text.len);
    q = strtod(number, &end);
    return *end || !(q >= 0 && q <= 1) ? 0 : (int)(q * 1000 + 0.5);
}

/* The weight of one media range; *version_ok is false for an OpenMetrics version that is not ours.
 */
static int range_quality(struct slice parameters, bool *version_ok)
{
    int q = 1000;

    *version_ok = true;
    while (parameters.len) {
        struct slice value = cut(&parameters, ';');
        struct slice name = cut(&value, '=');

        value = trim(value);
        if (is_nocase(name, "q"))
            q = quality(value);
        else if (is_nocase(name, "version"))
            *version_ok = slice_is(value, "1.0.0") || slice_is(value, "0.0.1");
    }
    return q;
}

bool accept_prefers_openmetrics(struct slice accept)
{
    int openmetrics = 0, text = 0;

    while (accept.len) {
        struct slice range = cut(&accept, ',');
        struct slice type = cut(&range, ';');
        bool version_ok;
        int q = range_quality(range, &version_ok);

        if (is_nocase(type, "application/openmetrics-text") && version_ok && q > openmetrics)
            openmetrics = q;
        if ((is_nocase(type, "text/plain") || is_nocase(type, "text/*")) && q > text)
            text = q;
    }
    return openmetrics > 0 && openmetrics >= text;
}
