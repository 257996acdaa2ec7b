/* canonical.h: the parts of a request in the one form that both sides of Signature Version 4 hash.
 */
#pragma once

#include "aws/sigv4.h"

/* Percent-encodes all but RFC 3986's unreserved characters and, where asked for, "/". */
void canonical_encode(struct buf *out, struct slice text, bool keep_slash);
/* Without "." and ".." segments and repeated slashes unless `literal`; encoded once more. */
void canonical_path(struct buf *out, struct slice path, bool literal);
/* Parameters encoded and sorted; ERR_FULL over SIGV4_PARAMETERS_MAX. */
enum err canonical_query(struct buf *out, struct slice query) MUST_CHECK;
/* "name:value\n" lines in the order of names; equal names are one line with commas, in the given
 * order. Then "name;name" in `names`. ERR_FULL over SIGV4_HEADERS_MAX. */
enum err canonical_headers(struct buf *out, const struct sigv4_header *headers, size_t len,
                           struct buf *names) MUST_CHECK;
