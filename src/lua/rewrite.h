/* rewrite.h: makes the loops, calls and jumps of a script count down, so that none runs for ever.
 *
 * Compiled loops can't be interrupted from outside, so the source is changed when it is loaded:
 * after `do`, `repeat` and each list of parameters, and before `goto`, stands
 *     __mtn=__mtn-1 if __mtn<0 then __mtn=__mtt() end
 * on the line that was there, so that lines of errors stay those of the file. __mtt is C's: it
 * looks at the clock (heap.h) and gives the next count. A pure function of the text.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Appends the rewritten `text`, which compiles as it is, to `out`: a chunk that takes __mtt and
 * returns the script's function. ERR_SCRIPT ("name:line: message") where the script uses a name
 * that begins with __mt; ERR_FULL where `out` is too small. */
enum err lua_rewrite(struct slice text, const char *name, struct buf *out,
                     struct err_info *info) MUST_CHECK;
