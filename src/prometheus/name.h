/* name.h: names of metrics and labels as Prometheus has them. Private to the room.
 *
 * The rules of prometheus/otlptranslator with names of [a-zA-Z0-9_:] alone. */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum name_kind { NAME_COUNTER, NAME_GAUGE, NAME_OTHER };

/* Appends the name of a metric; false if nothing is left of it (then nothing is appended). Appends
 * what an input gives of tokens: at most NAME_TOKENS of them count. */
bool name_metric(struct buf *out, struct slice name, struct slice unit, enum name_kind kind,
                 const char *prefix, bool add_suffixes);

/* Appends a unit in words, as names have it: "bytes_per_second" of "By/s"; nothing of "1" and of
 * what is in {braces}. */
void name_unit(struct buf *out, struct slice unit);

/* Appends the name of a label; false if it would be empty or of underscores alone. */
bool name_label(struct buf *out, struct slice key);
/* The same for what stands behind a prefix: it may begin as it likes. False if it is empty. */
bool name_clean(struct buf *out, struct slice key);
