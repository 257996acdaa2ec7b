/* restart.h: what of a configuration can't change while the collector runs.
 *
 * Descriptions are those of config_describe: sorted lines "KEY=VALUE", scripts as "~PATH".
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"

/* The keys that differ in two descriptions and whose change wants a restart, with commas. */
void restart_keys(const char *running, const char *wanted, struct buf *keys);
/* Both have the same lines that begin with `prefix`. */
bool restart_same(const char *a, const char *b, const char *prefix);
/* What was made at the start stays; its strings live as long as the collector. */
void restart_keep(struct config *c, const struct config *start);
