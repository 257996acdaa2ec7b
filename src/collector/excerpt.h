/* excerpt.h: shows the line of a script that an error is about, with a caret under the word.
 *
 * Start, check and reload, for people: not on the path of a span.
 */
#pragma once

#include "base/buf.h"
#include "base/disk.h"

/* Appends `report`, and behind each of its lines "PATH:LINE: SENTENCE" that line of the file, where
 * it can be read:
 *
 *     config.lua:3: unknown key tail_sampling.decison_wait; did you mean decision_wait?
 *       3 |   decison_wait = "5s",
 *         |   ^~~~~~~~~~~~
 *
 * A line with a secret in it, or a URL with an @, is not shown. */
void excerpt_write(struct disk *disk, struct slice report, struct buf *out);
