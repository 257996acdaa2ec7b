/* log.h: one event a line on stderr, as logfmt, JSON or text for a terminal.
 *
 * Any thread; a line is one write. Never give it payload, header values or secrets.
 *     log_event(LOG_INFO, "listening", "receiver", "otlp/grpc", "address", bound);
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct clock;

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format {
    LOG_AUTO,
    LOG_PRETTY,
    LOG_LOGFMT,
    LOG_JSON
}; /* auto: pretty on a terminal, else logfmt */

/* Before other threads start, or live: both are atomics. */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* Writes ts, level, msg and the pairs of strings that follow (key, value, ..., NULL; added by
 * the macro). A NULL value leaves its pair out. Values are escaped as the format wants; over
 * 4 KiB they are cut. Of one message (level and text) at most 20 lines are written in 10 s; then
 * one line says how many were suppressed. So what varies belongs in a pair, not in the message. */
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));
#define log_event(level, ...)                                                                      \
    do {                                                                                           \
        if (log_enabled(level))                                                                    \
            log_write(level, __VA_ARGS__, (char *)0);                                              \
    } while (0)

/* Whether `fd` is a terminal that takes colours and moves of the cursor: not where TERM is "dumb".
 */
bool log_is_screen(int fd);

/* For tests and `run` under a live summary: lines go to fn instead of stderr. NULL: stderr. */
void log_redirect(void (*fn)(void *arg, const char *line, size_t len), void *arg);

/* Says at once what is suppressed so far: before the program ends. */
void log_flush(void);

/* For tests: takes time from `clock` (NULL: the system's) and forgets what was seen. */
void log_use_clock(const struct clock *clock);

/* A number as text for one log_event, from a small ring of thread-local buffers. */
const char *log_number(double value);
