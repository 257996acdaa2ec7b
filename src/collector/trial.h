/* trial.h: what a changed configuration would have done to the last traces.
 *
 * The builder's, before a version is offered: decided traces that the journal still has whole are
 * asked about once more (recent.h, trial_world.h), within a second of CPU time, and the decisions
 * compared. It never stands in the way of the change: what cannot be tried is said, and taken.
 */
#pragma once

#include "base/buf.h"

struct collector;
struct setup_loaded;

struct trial_report {
    unsigned tried;
    char keep[48];     /* "18.9 % -> 24.1 %" */
    char change[320];  /* "+104 slow, -0": newly kept by the new reason, dropped by the old one */
    char failed[512];  /* scripts that failed, with file and line; "": none */
    char because[256]; /* of tried == 0: why */
};

/* `hints` gets a line for each attribute that is asked for and that they never have (seen.h). */
void trial_run(struct collector *c, const struct setup_loaded *loaded, struct buf *hints,
               struct trial_report *out);
/* Appends it as `moontail reload` prints it, a line or more. */
void trial_write(const struct trial_report *r, struct buf *out);
