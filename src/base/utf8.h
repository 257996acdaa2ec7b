/* utf8.h: is it text?
 *
 * Strict as protobuf is (and RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF.
 * Pure functions; any thread.
 */
#pragma once

#include "base/slice.h"

/* Where the first byte that is not ASCII lies: from `at` on, or `end`. */
const uint8_t *utf8_skip_ascii(const uint8_t *at, const uint8_t *end);

/* The length (1 to 4) of the character at `at`, or 0 if it is malformed or cut off. at < end. */
size_t utf8_char(const uint8_t *at, const uint8_t *end);

bool utf8_valid(struct slice text);

/* Cuts the first character off *rest, or U+FFFD for a byte that is no part of one: text that leaves
 * piece by piece is valid. rest->len > 0. Borrowed from *rest, or static. */
struct slice utf8_next_valid(struct slice *rest);
