/* reload.h: takes a changed configuration while spans come in.
 *
 * Main asks; the builder, on a thread of its own, reads and checks everything aside, makes rules
 * for each worker and offers them; each worker exchanges its own between two decisions and gives
 * the past ones back, which the builder ends; then main hears what came of it. A version that
 * cannot be made changes nothing. Reading stands in nobody's way, so it may take its time.
 */
#pragma once

#include "base/buf.h"
#include "collector/trial.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

struct collector;
struct reload;

/* Why the configuration is read again. */
enum reload_cause { RELOAD_SIGNAL = 1, RELOAD_COMMAND = 2, RELOAD_FILE = 4 };

enum { RELOAD_REPORT_MAX = 1 << 20 }; /* bytes */

/* What came of it. */
struct reload_outcome {
    unsigned number; /* of the last request that it answers */
    unsigned causes; /* enum reload_cause, all of them */
    bool is_taken;
    const struct config *config; /* the one that runs now; borrowed until the next one is taken */
    struct buf report;           /* hints, or every error: a line each */
    struct buf restart;          /* keys whose change wants a restart: "exporters.otlp.endpoint" */
    struct trial_report trial;   /* what it does to recent traces; only if it is taken */
    struct listeners_change *listeners; /* taken: for main to take; NULL: it has */
    uint64_t ns;                        /* that it took */
};

/* Start-up only; the builder's loop is there. */
struct reload *reload_new(struct collector *c);
/* After the workers are freed. NULL is allowed. */
void reload_free(struct reload *r);

/* The builder's body. */
uint64_t reload_step(void *reload, uint64_t now_ns);

/* Main: asks for the configuration to be read again. Returns the request's number. */
unsigned reload_ask(struct reload *r, enum reload_cause cause);
/* Main: applies and logs what the builder has told since. */
void reload_hear(struct reload *r);
/* When the threads have ended: logs that a reload was given up, where main has not heard it. */
void reload_finish(const struct reload *r);
/* Main: the last outcome, borrowed until reload_hear; NULL: none yet. */
const struct reload_outcome *reload_last(const struct reload *r);
/* Main: when the running configuration was taken; 0: at the start. */
uint64_t reload_taken_unix_ns(const struct reload *r);
/* Main: the command of the control socket: "" asks and answers "asked N", " N" answers "working",
 * "taken HASH" and hints, or "refused" and every error. */
enum err reload_control(struct reload *r, struct slice arguments, struct buf *out) MUST_CHECK;

/* ---- reload_report.c ---- */

void reload_log_refused(const struct reload_outcome *o);
void reload_log_taken(const struct reload_outcome *o);
/* Appends the answer of reload_control. */
void reload_write_outcome(const struct reload_outcome *o, const struct collector *c,
                          struct buf *out);
