/* redacting.h: the processors of a configuration, for commands that show traces without running it:
 * what they show is what its redactions leave.
 */
#pragma once

#include "collector/trial_world.h"

struct redacting;

/* Reads the configuration and makes its processors. EXIT_CONFIG: its errors are said. Owned by the
 * caller. */
int redacting_new(const char *config, struct redacting **out);
void redacting_free(struct redacting *r); /* NULL is allowed */

/* Borrowed as long as `r`. */
const struct trial_processors *redacting_processors(const struct redacting *r);
