/* gzip_out.h: compresses whole bodies on their way out: at the fastest level, which costs half of
 * what libdeflate's takes for two hundredths more bytes (ISA-L). Belongs to one thread.
 */
#pragma once

#include "base/buf.h"

struct gzip_out;

/* NULL without memory. Owned by the caller. */
struct gzip_out *gzip_out_new(void);
void gzip_out_free(struct gzip_out *g); /* NULL is allowed */

/* Appends `body`, of less than 4 GiB, to `out` as one gzip member (RFC 1952). Without memory, or
 * where `out` may not be so long, `out` fails. */
void gzip_out_write(struct gzip_out *g, struct slice body, struct buf *out);
