/* units.h: durations and sizes as people write them, and the nearest known name for a typo. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

/* "250ms", "10s", "1m30s", "1h"; units ns us ms s m h d. ERR_PARSE otherwise. */
enum err units_duration(struct slice text, uint64_t *ns) MUST_CHECK;
/* "400MiB", "64KiB", "1GiB", "500MB", "1024" (bytes). ERR_PARSE otherwise. */
enum err units_size(struct slice text, uint64_t *bytes) MUST_CHECK;

/* The one of `names` (count) nearest to `given` by edit distance, or NULL if none is near. */
const char *units_nearest(struct slice given, const char *const *names, size_t count);
