/* trial_tally.h: what policies did to traces that had been decided before, summed up. */
#pragma once

#include "collector/trial_world.h"

enum { TALLY_PARTS = 256 }; /* reasons that are told apart, on each side */

/* Traces that changed sides for one reason. */
struct tally_part {
    char policy[64], reason[64];
    unsigned count;
};

struct tally_side {
    struct tally_part parts[TALLY_PARTS];
    size_t part_count;
    unsigned total;
};

/* Large: not for the stack. Zero at first. */
struct trial_tally {
    unsigned tried, kept_before, kept_now;
    struct tally_side gained; /* newly kept, by what keeps them */
    struct tally_side lost;   /* newly dropped, by what had kept them */
};

void trial_tally_add(struct trial_tally *t, const struct recent *recent,
                     const struct recent_trace *trace, const struct trial_verdict *now);
/* Appends "18.9 % -> 24.1 %"; tried > 0. */
void trial_tally_write_keep(const struct trial_tally *t, struct buf *out);
/* Appends "+104 slow, +2 others, -0", the most important ones first. */
void trial_tally_write_change(struct trial_tally *t, struct buf *out);
/* Appends "policy mine, 12 times: policies/mine.lua:3: ...; ..."; nothing where none failed. */
void trial_write_failures(const struct trial_world *w, struct buf *out);
