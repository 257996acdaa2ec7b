/* threads.h: runs a collector's tasks, each on a thread of its own, until it has stopped. */
#pragma once

#include "collector/collector.h"

/* Runs until the collector's phase is stopped; the calling thread is the main task. Calls
 * `tick` (may be NULL) on the main thread after each of its steps; it returns when it wants to be
 * called again. */
void threads_run(struct collector *c, uint64_t (*tick)(void *arg, uint64_t now_ns), void *arg);
