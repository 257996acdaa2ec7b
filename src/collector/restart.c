#include "collector/restart.h"

#include <string.h>

static bool is_fixed(const char *line)
{
    static const char *const prefixes[] = {"workers=",
                                           "admin.control=",
                                           "journal.",
                                           "memory_limiter.compression=",
                                           "tail_sampling.decision_cache=",
                                           "span_metrics",
                                           "service_graph",
                                           "sampling_audit"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(line, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static size_t line_len(const char *line)
{
    return strcspn(line, "\n");
}

static size_t key_len(const char *line)
{
    return strcspn(line, "=\n");
}

static const char *next_line(const char *line)
{
    line += line_len(line);
    return *line ? line + 1 : line;
}

/* Of sorted lines; an end comes last. */
static int compare_keys(const char *a, const char *b)
{
    size_t len_a = key_len(a) + 1, len_b = key_len(b) + 1;

    if (!*a || !*b)
        return !*a - !*b;
    return strncmp(a, b, len_a < len_b ? len_a : len_b);
}

static void add_fixed(struct buf *keys, const char *line)
{
    if (!is_fixed(line))
        return;
    if (keys->len)
        buf_str(keys, ", ");
    buf_append(keys, line, key_len(line));
}

void restart_keys(const char *running, const char *wanted, struct buf *keys)
{
    while (*running || *wanted) {
        int order = compare_keys(running, wanted);
        size_t len = line_len(running);

        if (order != 0 || len != line_len(wanted) || memcmp(running, wanted, len) != 0)
            add_fixed(keys, order <= 0 ? running : wanted);
        if (order <= 0)
            running = next_line(running);
        if (order >= 0)
            wanted = next_line(wanted);
    }
}

static const char *next_with(const char *line, const char *prefix)
{
    while (*line && strncmp(line, prefix, strlen(prefix)) != 0)
        line = next_line(line);
    return line;
}

bool restart_same(const char *a, const char *b, const char *prefix)
{
    for (;; a = next_line(a), b = next_line(b)) {
        a = next_with(a, prefix);
        b = next_with(b, prefix);
        if (!*a || !*b)
            return *a == *b;
        if (line_len(a) != line_len(b) || memcmp(a, b, line_len(a)) != 0)
            return false;
    }
}

void restart_keep(struct config *c, const struct config *start)
{
    c->workers = start->workers;
    c->admin_control = start->admin_control;
    c->journal = start->journal;
    c->memory.compression = start->memory.compression;
    c->tail.decision_cache = start->tail.decision_cache;
    c->span_metrics = start->span_metrics;
    c->service_graph = start->service_graph;
    c->audit = start->audit;
}
