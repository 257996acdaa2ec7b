/* detection.h: asks where this program runs (aws/detect.h), as `resource_detection` wants it.
 *
 * On the thread that reads the configuration, before anything is made of it: at the start, and by
 * the builder at each reload. It may wait, but never long, and nothing fails for it.
 */
#pragma once

#include "collector/collector.h"

#include <stdatomic.h>

/* Sets what was detected in `config`. Takes at most 5 seconds; `stop` ends it early (may be NULL).
 * A detector that fails is a line of the log. */
void detection_run(const struct collector_host *host, struct config *config,
                   const atomic_bool *stop);
