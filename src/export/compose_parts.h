/* compose_parts.h: what the files of the composer share: fields whose length is known afterwards,
 * the edits of the entry span and of the tracestate.
 */
#pragma once

#include "export/compose.h"
#include "otlp/wire.h"

/* A length-delimited field that is being written: its length is filled in by field_end. */
struct open_field {
    size_t start; /* of the content */
    size_t width; /* bytes kept free for the length */
};

/* `guess`: about how long the content will be; a right one saves moving it. */
struct open_field field_begin(struct buf *out, uint32_t number, size_t guess);
void field_end(struct buf *out, struct open_field field);

/* Copies [from, to) unless it is empty. */
void copy_run(struct buf *out, const uint8_t *from, const uint8_t *to);

/* Writes one Span field (number 2) with the edits of span and tracestate. */
void compose_edited_span(struct slice span, bool is_entry, const struct compose_edits *edits,
                         struct buf *out);

/* Appends one attribute (a KeyValue) as field `number`. */
void compose_put_attr(struct buf *out, uint32_t number, struct slice key,
                      const struct value *value);

/* Writes what `trace_state` becomes to `out` (W3C list; other members, other sub-keys of ot and rv
 * stay as they are). False: it stays as it is, nothing was written. True with nothing written: it
 * becomes empty. `edits->th` is not TH_LEAVE. */
bool tracestate_edit(struct slice trace_state, const struct compose_edits *edits, struct buf *out);

/* The lower-case hex of a threshold without trailing zeros, "0" for 0; returns its length. */
size_t tracestate_threshold_text(uint64_t threshold, char text[15]);
