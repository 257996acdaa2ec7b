/* value_text.h: the text of an attribute's value. Pure; any thread. */
#pragma once

#include "base/buf.h"
#include "otlp/view.h"

/* Appends the exact text: strings as they are, integers in full, bytes as base64, lists and maps as
 * JSON, doubles in the shortest form that reads back as the same. Nothing of VALUE_ABSENT. */
void value_text(struct buf *out, const struct value *v);
