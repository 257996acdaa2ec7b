/* metrics.c: the text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats) and
 * OpenMetrics 1.0. They differ in how counters are named, in escapes of HELP, and in the end. */
#include "admin/admin.h"
#include "base/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* The length of the family's name: OpenMetrics leaves _total to the sample. */
static size_t stem_len(const char *name)
{
    size_t len = strlen(name);

    return len > 6 && strcmp(name + len - 6, "_total") == 0 ? len - 6 : len;
}

/* One byte that is not UTF-8 would cost the whole scrape, and reasons come from scripts. */
static void put_escaped(struct buf *out, const char *text, bool quotes)
{
    for (struct slice rest = slice_str(text); rest.len > 0;) {
        struct slice c = utf8_next_valid(&rest);

        if (c.data[0] == '\n')
            buf_str(out, "\\n");
        else if (c.data[0] == '\\')
            buf_str(out, "\\\\");
        else if (c.data[0] == '"' && quotes)
            buf_str(out, "\\\"");
        else
            buf_append(out, c.data, c.len);
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
