#include "base/clock.h"
#include "base/log.h"
#include "check.h"

#include <stdlib.h>

static char seen[65536];
static size_t seen_len;
static struct fake_clock fake;

static void collect(void *arg, const char *line, size_t len)
{
    (void)arg;
    if (seen_len + len < sizeof(seen)) {
        memcpy(seen + seen_len, line, len);
        seen_len += len;
        seen[seen_len] = '\0';
    }
}

static void start(enum log_format format)
{
    fake_clock_init(&fake, NS_PER_S, UINT64_C(1700000000) * NS_PER_S + 5 * NS_PER_MS);
    log_use_clock(&fake.clock);
    log_redirect(collect, NULL);
    log_configure(LOG_INFO, format);
    seen_len = 0;
    seen[0] = '\0';
}

static int lines(void)
{
    int count = 0;

    for (size_t i = 0; i < seen_len; i++)
        count += seen[i] == '\n';
    return count;
}

static void logfmt_quotes_what_needs_it(void)
{
    start(LOG_LOGFMT);
    log_event(LOG_INFO, "listening", "address", "127.0.0.1:4317", "why", "a \"b\"=\nc", "left_out",
              NULL, "empty", "");
    CHECK(strcmp(seen, "ts=2023-11-14T22:13:20.005Z level=info msg=listening "
                       "address=127.0.0.1:4317 why=\"a \\\"b\\\"=\\nc\" empty=\"\"\n") == 0);
}

static void json_escapes_controls_and_bytes_that_are_no_text(void)
{
    start(LOG_JSON);
    log_event(LOG_WARN, "odd \x1b[31m", "v", "\xff\xc3\xa9\xe2\x82");
    CHECK(strcmp(seen, "{\"ts\":\"2023-11-14T22:13:20.005Z\",\"level\":\"warn\",\"msg\":"
                       "\"odd \\u001b[31m\",\"v\":\"\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\""
                       "}\n") == 0);
    log_event(LOG_WARN, "odd", "v", "\x7f\xc2\x85\xc2\x9b\xc2\xa0\t\xc3\x82");
    CHECK(strstr(seen, "\"v\":\"\\u007f\\u0085\\u009b\xc2\xa0\\t\xc3\x82\"}\n"));
}

static void pretty_has_no_colour_where_no_terminal_is(void)
{
    start(LOG_PRETTY);
    log_event(LOG_ERROR, "two words", "n", log_number(3));
    CHECK(strcmp(seen, "22:13:20.005 error two words n=3\n") == 0);
}

static void levels_below_the_configured_one_are_silent(void)
{
    start(LOG_LOGFMT);
    log_event(LOG_DEBUG, "quiet");
    CHECK(seen_len == 0 && !log_enabled(LOG_DEBUG));
    log_configure(LOG_DEBUG, LOG_LOGFMT);
    log_event(LOG_DEBUG, "loud");
    CHECK(lines() == 1);
}

static void a_message_repeated_too_often_is_suppressed_and_counted(void)
{
    start(LOG_LOGFMT);
    for (int i = 0; i < 50; i++)
        log_event(LOG_WARN, "again", "i", log_number(i));
    CHECK(lines() == 20);
    log_event(LOG_ERROR, "again"); /* another level is another message */
    log_event(LOG_WARN, "other");
    CHECK(lines() == 22);
    fake_clock_advance(&fake, 10 * NS_PER_S);
    log_event(LOG_INFO, "later");
    CHECK(lines() == 24 && strstr(seen, "level=warn msg=again suppressed=30\n") != NULL);
    log_event(LOG_WARN, "again");
    CHECK(lines() == 25);
}

static void a_flush_says_at_once_what_was_suppressed(void)
{
    start(LOG_LOGFMT);
    for (int i = 0; i < 25; i++)
        log_event(LOG_WARN, "again");
    log_flush();
    CHECK(lines() == 21 && strstr(seen, "suppressed=5\n") != NULL);
}

static void a_long_value_is_cut_and_the_line_still_ends(void)
{
    char *value = malloc(100001);

    memset(value, 'v', 100000);
    value[100000] = '\0';
    start(LOG_JSON);
    log_event(LOG_INFO, "long", "a", value, "b", value, "c", value, "d", value, "e", value, "f",
              value, "g", value, "h", value, "i", value);
    CHECK(seen_len < 33000 && lines() == 1);
    CHECK(seen_len > 4 && strcmp(seen + seen_len - 6, "...\"}\n") == 0);
    free(value);
}

static void numbers_are_written_as_short_as_they_are_exact(void)
{
    CHECK(strcmp(log_number(1234567), "1234567") == 0);
    CHECK(strcmp(log_number(0.1), "0.1") == 0);
    CHECK(strtod(log_number(1.0 / 3), NULL) == 1.0 / 3);
    CHECK(strcmp(log_number(-2), "-2") == 0);
}

int main(void)
{
    RUN(logfmt_quotes_what_needs_it);
    RUN(json_escapes_controls_and_bytes_that_are_no_text);
    RUN(pretty_has_no_colour_where_no_terminal_is);
    RUN(levels_below_the_configured_one_are_silent);
    RUN(a_message_repeated_too_often_is_suppressed_and_counted);
    RUN(a_flush_says_at_once_what_was_suppressed);
    RUN(a_long_value_is_cut_and_the_line_still_ends);
    RUN(numbers_are_written_as_short_as_they_are_exact);
    return DONE();
}
