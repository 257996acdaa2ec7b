/* What /readyz and the control socket say. */
#include "collector/bias.h"
#include "collector/parts.h"
#include "collector/rescue.h"

#include <stdio.h>
#include <string.h>

enum { BIAS_MAX = 20 };
enum { ORDINARY_REQUEST = 256 << 10 }; /* bytes that one needs, decoded, with its spans' entries */

static const char *not_ready_because(struct collector *c)
{
    if (collector_phase(c) == PHASE_RECOVERING)
        return "recovering";
    if (collector_phase(c) != PHASE_RUNNING)
        return "shutting down";
    if (journal_is_refusing(collector_journal(c)))
        return "refusing: the disk of journal.path is full or fails";
    if (collector_is_refusing(c))
        return "refusing: an exporter's queue is full";
    if (!memory_has_intake_room(collector_memory(c), ORDINARY_REQUEST))
        return "refusing: memory_limiter.limit is reached";
    return NULL;
}

/* What was last asked of it and is not so. */
static void write_reload(const struct reload_outcome *last, struct buf *out)
{
    size_t len = 0;

    if (last && last->restart.len)
        buf_printf(out, "config needs a restart: %.*s\n", (int)last->restart.len,
                   (const char *)last->restart.data);
    while (last && !last->is_taken && len < last->report.len) {
        const uint8_t *line = last->report.data + len;
        const uint8_t *end = memchr(line, '\n', last->report.len - len);
        size_t n = end ? (size_t)(end - line) : last->report.len - len;

        buf_printf(out, "config refused: %.*s\n", (int)n, (const char *)line);
        len += n + 1;
    }
}

static void write_parts(struct collector *c, struct buf *out)
{
    uint64_t age_ns;
    const struct ledger *l = collector_ledger(c, collector_now_ns(c), &age_ns);
    const struct config *config = collector_config(c);

    buf_printf(out, "config %s hash %s\n", config->path, config->hash);
    write_reload(collector_last_reload(c), out);
    buf_printf(out, "memory %llu of %llu bytes%s\n", (unsigned long long)l->memory_used,
               (unsigned long long)config->memory.limit,
               memory_is_high(collector_memory(c)) ? ", deciding early" : "");
    if (l->journal.file_max_bytes)
        buf_printf(out, "journal %llu bytes live in files of %llu, at most %llu%s\n",
                   (unsigned long long)l->journal.live_file_bytes,
                   (unsigned long long)l->journal.file_bytes,
                   (unsigned long long)l->journal.file_max_bytes,
                   journal_pressure(c->journal) >= PRESSURE_EARLY    ? ", deciding early"
                   : journal_pressure(c->journal) >= PRESSURE_OUTBOX ? ", nearly full"
                                                                     : "");
    for (size_t i = 0; i < l->exporter_count; i++)
        if (!l->exporters[i].stats.removed)
            buf_printf(out, "exporter %s %s%s%s\n", l->exporters[i].name,
                       l->exporters[i].stats.circuit_open ? "down" : "ok",
                       l->exporters[i].stats.circuit_open ? ": " : "",
                       l->exporters[i].stats.circuit_open ? l->exporters[i].stats.last_error : "");
}

/* Those that nobody asks until a reload. */
static void write_quarantined(const struct collector *c, struct buf *out)
{
    const struct policy_shared *shared = collector_policy_shared(c);
    const char *policy;
    size_t at = 0;
    bool quarantined;

    while (policy_quarantine_next(shared, &at, &policy, &quarantined))
        if (quarantined)
            buf_printf(out, "policy %s in quarantine: it failed too often\n", policy);
}

int collector_write_ready(void *collector, bool verbose, struct buf *out)
{
    struct collector *c = collector;
    const char *because = not_ready_because(c);

    if (because)
        buf_printf(out, "not ready: %s\n", because);
    else
        buf_str(out, "ready\n");
    if (verbose && collector_phase(c) != PHASE_RECOVERING) {
        write_parts(c, out);
        write_quarantined(c, out);
    }
    return because ? 503 : 200;
}

/* Whether a command is that one, alone or with a space and `rest` behind it. */
static bool is_command(struct slice command, const char *name, struct slice *rest)
{
    size_t len = strlen(name);

    if (command.len < len || memcmp(command.data, name, len) != 0 ||
        (command.len > len && command.data[len] != ' '))
        return false;
    len += command.len > len;
    *rest = slice_make(command.data + len, command.len - len);
    return true;
}

enum err collector_control(void *collector, struct slice command, struct buf *out)
{
    const struct collector *c = collector;
    struct slice rest;

    if (collector_phase(collector) == PHASE_RECOVERING) {
        buf_str(out, "recovering: try again\n");
        return ERR_AGAIN;
    }
    if (slice_is(command, "summary")) {
        collector_write_summary(collector, out);
        return ERR_OK;
    }
    if (is_command(command, "bias", &rest)) {
        snapshot_gather(collector); /* or as of the last time that they were gathered */
        bias_write_lines(collector, rest, "", BIAS_MAX, out);
        return ERR_OK;
    }
    if (is_command(command, "rescue", &rest))
        return collector_rescue(collector, rest, out);
    if (is_command(command, "reload", &rest))
        return reload_control(c->reload, rest, out);
    buf_printf(out, "unknown command; known: summary, bias, rescue, reload\n");
    return ERR_PARSE;
}
