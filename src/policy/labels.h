/* labels.h: the pairs of policy and reason that decisions are counted under.
 *
 * One table for the process, shared by all workers, so that a label is the same number everywhere
 * and survives a reload. At most 64 reasons a policy, then "other". Interning takes a lock; reading
 * does not.
 */
#pragma once

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

enum { LABEL_MAX = 4096, LABEL_REASONS_PER_POLICY = 64 };

struct labels;

/* Start-up only: ends without memory. */
struct labels *labels_new(void);
void labels_free(struct labels *l); /* NULL is allowed */

/* The number of (policy, reason); new ones are added (copied; a reason is cut after 64 bytes, both
 * end at a NUL, and what is not UTF-8 becomes U+FFFD). 0, which reads "other" "other", when the
 * table is full. Any thread. */
uint16_t labels_intern(struct labels *l, struct slice policy, struct slice reason);
/* Valid for any number that was returned; borrowed for life. */
const char *labels_policy(const struct labels *l, uint16_t label);
const char *labels_reason(const struct labels *l, uint16_t label);
/* Numbers below this are valid. */
size_t labels_count(const struct labels *l);
