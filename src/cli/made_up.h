/* made_up.h: asks the scripts of a configuration about traces of the shop that demo shows, so that
 * what reads a field that there is not, or returns what is no verdict, is seen before it runs.
 */
#pragma once

#include "collector/setup.h"

/* Appends a line for each policy and processor that fails on one of them. It may be meant: what a
 * script relies on may be missing in these traces. */
void made_up_lint(const struct setup *setup, const struct setup_loaded *loaded, struct buf *hints);
