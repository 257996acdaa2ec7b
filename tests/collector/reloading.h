/* reloading.h: what scenarios with reloads share. */
#pragma once

#include "scenario.h"

static inline void post_trace(struct sim *s, int fd, uint64_t trace)
{
    struct test_span span = {.trace_high = trace,
                             .trace_low = mix(trace),
                             .id = 1,
                             .start_ms = now_ms,
                             .duration_ms = 5};

    post(s, fd, &span, 1);
}

/* Asks and lets it come to its end; whether the configuration was taken. */
static inline bool reload(struct sim *s)
{
    unsigned number = collector_reload(s->collector, RELOAD_COMMAND);
    const struct reload_outcome *last;

    sim_run(s, 2 * NS_PER_MS);
    last = collector_last_reload(s->collector);
    if (!last || last->number != number) { /* the position of a new exporter is being written */
        sim_run(s, 150 * NS_PER_MS);
        last = collector_last_reload(s->collector);
    }
    CHECK(last && last->number == number);
    return last && last->is_taken;
}

static inline bool report_has(struct sim *s, const char *text)
{
    const struct reload_outcome *last = collector_last_reload(s->collector);

    return last->report.len > 0 &&
           memmem(last->report.data, last->report.len, text, strlen(text)) != NULL;
}
