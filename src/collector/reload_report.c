/* What is said of a reload: in the log, and to who asked for it. */
#include "base/log.h"
#include "collector/excerpt.h"
#include "collector/parts.h"

#include <inttypes.h>
#include <stdio.h>

static const char *causes_text(unsigned causes)
{
    if (causes & RELOAD_COMMAND)
        return "command";
    return causes & RELOAD_SIGNAL ? "SIGHUP" : "change of a file";
}

/* The first of its lines. */
static void first_line(const struct buf *report, char *text, size_t size)
{
    struct slice all = buf_slice(report);
    const uint8_t *end = all.len ? memchr(all.data, '\n', all.len) : NULL;
    size_t len = end ? (size_t)(end - all.data) : all.len;

    snprintf(text, size, "%.*s", (int)(len < size ? len : size - 1), (const char *)all.data);
}

static unsigned count_lines(const struct buf *report)
{
    unsigned n = 0;

    for (size_t i = 0; i < report->len; i++)
        n += report->data[i] == '\n';
    return n;
}

/* One event, so that who counts errors counts one. The source line and the caret are for people at
 * a terminal, who ask `moontail check` or `moontail reload`. */
void reload_log_refused(const struct reload_outcome *o)
{
    char line[1024], more[24];
    unsigned lines = count_lines(&o->report);

    first_line(&o->report, line, sizeof(line));
    snprintf(more, sizeof(more), "%u", lines > 0 ? lines - 1 : 0);
    log_event(LOG_ERROR, "the configuration was refused; what runs stays", "cause",
              causes_text(o->causes), "error", line, "more_errors", lines > 1 ? more : NULL);
}

/* A script that failed in the trial makes a warning of it: it was taken all the same. */
void reload_log_taken(const struct reload_outcome *o)
{
    const struct trial_report *trial = &o->trial;
    bool tried = trial->tried > 0, failed = trial->failed[0] != '\0';
    char ms[24], keys[1024], traces[24];

    snprintf(traces, sizeof(traces), "%u", trial->tried);
    snprintf(ms, sizeof(ms), "%" PRIu64, o->ns / NS_PER_MS);
    snprintf(keys, sizeof(keys), "%.*s", (int)o->restart.len,
             o->restart.len ? (const char *)o->restart.data : "");
    log_event(failed ? LOG_WARN : LOG_INFO, "reloaded", "cause", causes_text(o->causes), "config",
              o->config->path, "hash", o->config->hash, "ms", ms, "tried", traces, "keep",
              tried ? trial->keep : NULL, "change", tried ? trial->change : NULL, "not_tried",
              tried ? NULL : trial->because, "failed", failed ? trial->failed : NULL);
    setup_log_hints(buf_slice(&o->report));
    if (o->restart.len)
        log_event(LOG_WARN, "needs a restart; the rest of the change is applied", "keys", keys);
}

void reload_write_outcome(const struct reload_outcome *o, const struct collector *c,
                          struct buf *out)
{
    if (o->is_taken)
        buf_printf(out, "taken %s\n", c->config->hash);
    else
        buf_str(out, "refused\n");
    if (o->is_taken)
        buf_append(out, o->report.data, o->report.len);
    else
        excerpt_write(c->host.disk, buf_slice(&o->report), out);
    if (o->is_taken)
        trial_write(&o->trial, out);
    if (o->restart.len)
        buf_printf(out, "needs a restart: %.*s\n", (int)o->restart.len,
                   (const char *)o->restart.data);
}
