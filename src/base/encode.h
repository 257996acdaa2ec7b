/* encode.h: hex and base64 (RFC 4648). Pure functions; any thread. */
#pragma once

#include "base/buf.h"

/* Append to `out`. */
void encode_hex(struct buf *out, struct slice bytes);
void encode_base64(struct buf *out, struct slice bytes); /* with padding */

/* Decode into `out`, which has room for text.len bytes; false if the text is malformed. Hex in
 * either case; base64 of the standard or the URL alphabet, padded or not. */
bool decode_hex(struct slice text, uint8_t *out, size_t *len);
bool decode_base64(struct slice text, uint8_t *out, size_t *len);
