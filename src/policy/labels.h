/* labels.h: the pairs of policy and reason that decisions are counted under.
 *
 * One table for the process, shared by all workers, so that a label is the same number everywhere
 * and survives a reload. At most 64 reasons a policy, then "other". Interning takes a lock; reading
 * does not.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { LABEL_MAX = 4096, LABEL_REASONS_PER_POLICY = 64 };

struct labels;

/* Start-up only: aborts without memory. */
struct labels *labels_new(void);
void labels_free(struct labels *l);

/* The number of (policy, reason); new ones are added (copied). Any thread. */
uint16_t labels_intern(struct labels *l, const char *policy, const char *reason);
/* Valid for any number that was returned; borrowed for life. */
const char *labels_policy(const struct labels *l, uint16_t label);
const char *labels_reason(const struct labels *l, uint16_t label);
/* Numbers below this are valid. */
size_t labels_count(const struct labels *l);
