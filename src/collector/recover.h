/* recover.h: what the journal's files hold goes back to where it was.
 *
 * Once, on the main thread, before any other thread runs and before anything listens: remembered
 * decisions go to their owners' tables, then each span of the live frames to its owner, whatever
 * the number of workers was. Spans of dropped traces, and those of kept ones that are in the
 * outbox, are over; those that came late to a kept trace follow it now. What waits is due no sooner
 * than 5 s (decision_wait, where that is less) after the start, because senders repeat what they
 * could not deliver meanwhile.
 */
#pragma once

#include "collector/worker.h"

/* An exporter that is none any more: what was queued for it when the process before ended. */
struct recovered_gone {
    char *name;
    uint64_t items[OTLP_SIGNALS];
};

struct recovered {
    struct journal_recovered found;
    struct recovered_gone gone[EXPORTER_MAX];
    size_t gone_count;
    uint64_t spans, traces; /* that wait again, or follow their trace's decision now */
    uint64_t ns;            /* it took */
};

/* `pump` (may be NULL) is called now and then: for who asks whether it is ready.
 * ERR_IO: the disk fails. */
enum err recover(struct worker_shared *shared, void (*pump)(void *arg), void *arg,
                 struct recovered *out, struct err_info *info) MUST_CHECK;
void recovered_fini(struct recovered *r);
/* What was queued for an exporter of that name and is lost, because it was none at the start. */
uint64_t recovered_lost(const struct recovered *r, const char *exporter, enum otlp_signal signal);
