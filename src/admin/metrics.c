/* metrics.c: the text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats) and
 * OpenMetrics 1.0. They differ in how counters are named, in escapes of HELP, and in the end. */
#include "admin/admin.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* The length of the family's name: OpenMetrics leaves _total to the sample. */
static size_t stem_len(const char *name)
{
    size_t len = strlen(name);

    return len > 6 && strcmp(name + len - 6, "_total") == 0 ? len - 6 : len;
}

/* The length of the valid UTF-8 sequence at `at` (RFC 3629), or 0. `at` ends with a NUL. */
static size_t utf8_sequence(const unsigned char *at)
{
    size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;

    if (len == 1)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return len;
}

/* One byte that is not UTF-8 would cost the whole scrape, and reasons come from scripts. */
static void put_escaped(struct buf *out, const char *text, bool quotes)
{
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t len = utf8_sequence(at);

        if (len == 0)
            buf_str(out, "\xef\xbf\xbd"), len = 1;
        else if (*at == '\n')
            buf_str(out, "\\n");
        else if (*at == '\\')
            buf_str(out, "\\\\");
        else if (*at == '"' && quotes)
            buf_str(out, "\\\"");
        else
            buf_append(out, at, len);
        at += len;
    }
}

void metrics_family(struct metrics *m, const char *name, enum metric_type type, const char *help)
{
    bool strip = m->openmetrics && type == METRIC_COUNTER;
    int len = (int)(strip ? stem_len(name) : strlen(name));

    snprintf(m->family, sizeof(m->family), "%s", name);
    m->type = type;
    buf_printf(m->out, "# HELP %.*s ", len, name);
    put_escaped(m->out, help, m->openmetrics);
    buf_printf(m->out, "\n# TYPE %.*s %s\n", len, name,
               type == METRIC_COUNTER ? "counter" : "gauge");
}

static void put_value(struct buf *out, double value)
{
    if (isnan(value))
        buf_str(out, "NaN");
    else if (isinf(value))
        buf_str(out, value > 0 ? "+Inf" : "-Inf");
    else if (value == floor(value) && fabs(value) < 1e15)
        buf_printf(out, "%.0f", value);
    else
        buf_printf(out, "%.17g", value);
}

static void put_name(struct metrics *m)
{
    if (m->openmetrics && m->type == METRIC_COUNTER)
        buf_printf(m->out, "%.*s_total", (int)stem_len(m->family), m->family);
    else
        buf_str(m->out, m->family);
}

void metrics_sample(struct metrics *m, double value, ...)
{
    const char *name, *separator = "{";
    va_list labels;

    put_name(m);
    va_start(labels, value);
    while ((name = va_arg(labels, const char *)) != NULL) {
        const char *text = va_arg(labels, const char *);

        buf_printf(m->out, "%s%s=\"", separator, name);
        put_escaped(m->out, text ? text : "", true);
        buf_byte(m->out, '"');
        separator = ",";
    }
    va_end(labels);
    buf_str(m->out, *separator == ',' ? "} " : " ");
    put_value(m->out, value);
    buf_byte(m->out, '\n');
}

void metrics_end(struct metrics *m)
{
    if (m->openmetrics)
        buf_str(m->out, "# EOF\n");
}
