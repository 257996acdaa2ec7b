/* shape.h: the shape of a trace as a text: which values some fields have on its spans. Internal to
 * policy.
 */
#pragma once

#include "policy/match.h"

/* Whose values count. */
enum shape_spans { SHAPE_ALL, SHAPE_ENTRY, SHAPE_ROOT };

/* Of each field, a term of `fields` (a negated one is of the root alone), the different values in
 * order, joined by "•"; the fields joined by ",". At most SHAPE_VALUES values and SHAPE_BYTES
 * bytes, what is more is cut off. Without such a span all fields are empty. Borrowed from `r` until
 * the next call. ERR_FULL without memory. */
enum { SHAPE_VALUES = 100, SHAPE_BYTES = 2048 };
enum err shape_of(struct reader *r, const struct match *fields, enum shape_spans spans,
                  struct slice *text) MUST_CHECK;
