/* log_line.h: how one event looks as a line; the part of log.c that has no state. */
#pragma once

#include "base/buf.h"
#include "base/log.h"

struct log_line {
    enum log_format format; /* not LOG_AUTO */
    bool colour;            /* LOG_PRETTY only */
    struct buf out;
};

/* Room for one line; ends with log_line_end. `unix_ns`: when. */
void log_line_begin(struct log_line *l, uint64_t unix_ns, enum log_level level,
                    const char *message);
/* Leaves the pair out if the line would get too long. Values over 4 KiB are cut. */
void log_line_pair(struct log_line *l, const char *key, const char *text);
/* Ends the line with a newline. The caller writes out.data and calls buf_fini(&out). */
void log_line_end(struct log_line *l);
