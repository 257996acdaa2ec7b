/* fake_crash.h: what a power cut makes of the fake disk's files. Private to the fake disk. */
#pragma once

#include "base/fake_files.h"
#include "base/random.h"

/* Draws what of the unsynced changes the disk had got; that is what there is now, and durable.
 * rng NULL: none. No file is open. */
void fake_files_cut_power(struct fake_files *f, struct rng *rng);
