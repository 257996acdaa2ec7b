/* gzip_out.h: compresses request bodies for `load`, as fast as can be: the receiver is measured.
 * Belongs to one thread. */
#pragma once

#include "base/buf.h"

struct gzip_out;

/* NULL without memory. Owned by the caller. */
struct gzip_out *gzip_out_new(void);
void gzip_out_free(struct gzip_out *g); /* NULL is allowed */

/* Appends `body` to `out` as one gzip member. Without memory `out` fails. */
void gzip_out_write(struct gzip_out *g, struct slice body, struct buf *out);
