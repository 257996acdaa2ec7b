#include "base/log_line.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <time.h>

enum { LINE_MAX_BYTES = 32768, VALUE_MAX_BYTES = 4096 };

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const level_colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[2m"};

/* One character, escaped so that it can neither end the string nor move a terminal's cursor. */
static void escape_char(struct buf *out, struct slice c)
{
    bool is_latin = c.len == 2 && c.data[0] == 0xc2; /* U+0080 to U+00BF */
    unsigned code = c.data[is_latin];

    if (code == '"' || code == '\\')
        buf_printf(out, "\\%c", (int)code);
    else if (code == '\n')
        buf_str(out, "\\n");
    else if (code == '\t')
        buf_str(out, "\\t");
    else if (code < 0x20 || code == 0x7f || (is_latin && code < 0xa0))
        buf_printf(out, "\\u%04x", code);
    else
        buf_append(out, c.data, c.len);
}

static void quoted(struct buf *out, const char *text)
{
    struct slice s = slice_str(text), rest = s;
    size_t len = s.len > VALUE_MAX_BYTES ? VALUE_MAX_BYTES : s.len;

    buf_byte(out, '"');
    while (s.len - rest.len < len)
        escape_char(out, utf8_next_valid(&rest));
    buf_str(out, s.len > len ? "...\"" : "\"");
}

static bool is_plain(const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || len > VALUE_MAX_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '"' || text[i] == '=' ||
            text[i] == '\\')
            return false;
    }
    return true;
}

static void value(struct log_line *l, const char *text)
{
    if (l->format != LOG_JSON && is_plain(text))
        buf_str(&l->out, text);
    else
        quoted(&l->out, text);
}

static void timestamp(struct buf *out, uint64_t unix_ns, bool with_date)
{
    time_t seconds = (time_t)(unix_ns / NS_PER_S);
    struct tm t;

    gmtime_r(&seconds, &t);
    if (with_date)
        buf_printf(out, "%04d-%02d-%02dT", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday);
    buf_printf(out, "%02d:%02d:%02d.%03u", t.tm_hour, t.tm_min, t.tm_sec,
               (unsigned)(unix_ns % NS_PER_S / NS_PER_MS));
}

static void begin_pretty(struct log_line *l, uint64_t unix_ns, enum log_level level,
                         const char *message)
{
    timestamp(&l->out, unix_ns, false);
    buf_byte(&l->out, ' ');
    if (l->colour)
        buf_str(&l->out, level_colours[level]);
    buf_printf(&l->out, "%-5s", level_names[level]);
    if (l->colour)
        buf_str(&l->out, "\033[0m");
    buf_byte(&l->out, ' ');
    for (struct slice rest = slice_str(message); rest.len > 0;)
        escape_char(&l->out, utf8_next_valid(&rest));
}

void log_line_begin(struct log_line *l, uint64_t unix_ns, enum log_level level, const char *message)
{
    buf_init(&l->out, LINE_MAX_BYTES, NULL);
    if (l->format == LOG_PRETTY) {
        begin_pretty(l, unix_ns, level, message);
        return;
    }
    buf_str(&l->out, l->format == LOG_JSON ? "{\"ts\":\"" : "ts=");
    timestamp(&l->out, unix_ns, true);
    buf_printf(&l->out, l->format == LOG_JSON ? "Z\",\"level\":\"%s\",\"msg\":" : "Z level=%s msg=",
               level_names[level]);
    value(l, message);
}

void log_line_pair(struct log_line *l, const char *key, const char *text)
{
    size_t before = l->out.len;

    if (!text)
        return;
    if (l->format == LOG_JSON) {
        buf_byte(&l->out, ',');
        quoted(&l->out, key);
        buf_byte(&l->out, ':');
    } else {
        buf_printf(&l->out, l->colour ? " \033[2m%s=\033[0m" : " %s=", key);
    }
    value(l, text);
    if (!buf_ok(&l->out) || l->out.len > LINE_MAX_BYTES - 2) { /* the end must still fit */
        l->out.failed = false;
        l->out.len = before;
    }
}

void log_line_end(struct log_line *l)
{
    buf_str(&l->out, l->format == LOG_JSON ? "}\n" : "\n");
}
