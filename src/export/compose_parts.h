/* compose_parts.h: what the files of the composer share: fields whose length is known afterwards,
 * the edits of the entry span and of the tracestate.
 */
#pragma once

#include "export/compose.h"
#include "otlp/wire.h"

#include <string.h>

/* A length-delimited field that is being written: its length is filled in by field_end. */
struct open_field {
    size_t start; /* of the content */
    size_t width; /* bytes kept free for the length */
};

/* `guess`: about how long the content will be; a right one saves moving it. */
struct open_field field_begin(struct buf *out, uint32_t number, size_t guess);
void field_end(struct buf *out, struct open_field field);

/* Where there is room for it. Returns the position behind it. */
static inline uint8_t *put_varint_at(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *put_slice_at(uint8_t *at, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

/* Copies [from, to) unless it is empty. */
void copy_run(struct buf *out, const uint8_t *from, const uint8_t *to);

/* Writes one Span field (number 2) with the edits of span and tracestate; `trace_state`: the field
 * that it gets if it came with none. */
void compose_edited_span(struct slice span, bool is_entry, struct slice trace_state,
                         const struct compose_edits *edits, struct buf *out);

/* Writes what `trace_state` becomes to `out` (W3C list; other members, other sub-keys of ot and rv
 * stay as they are). False: it stays as it is, nothing was written. True with nothing written: it
 * becomes empty. `edits->th` is not TH_LEAVE. */
bool tracestate_edit(struct slice trace_state, const struct compose_edits *edits, struct buf *out);

enum { TRACE_STATE_MAX = 22 }; /* bytes of a field with our th alone */

/* The trace_state field, in `space`, that a span gets which came with none; may be empty. */
struct slice tracestate_field(const struct compose_edits *edits, uint8_t space[TRACE_STATE_MAX]);
