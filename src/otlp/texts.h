/* texts.h: in which fields of OTLP's messages there is text that somebody chose: names, messages,
 * values of attributes. One table for all that walk it, to cut it or to mask it. Pure; any thread.
 */
#pragma once

#include "otlp/view.h"
#include "otlp/wire.h"

/* What a length-delimited field is, and what a message. */
enum part {
    PART_OTHER, /* without such a text */
    PART_STRING,
    PART_NAME, /* of a span or an event: a string that must be there */
    PART_PAIR,
    PART_ANY,
    PART_BODY, /* of a log record: an AnyValue */
    PART_ARRAY,
    PART_LIST,
    PART_SPAN,
    PART_EVENT,
    PART_LINK,
    PART_STATUS,
    PART_RESOURCES, /* ResourceSpans, or those of another signal; without its scopes */
    PART_RESOURCE,
    PART_SCOPES, /* the same; without what it holds */
    PART_SCOPE,
    PART_LOG,
    PART_NUMBER_POINT,
    PART_HISTOGRAM_POINT,
    PART_EXPONENTIAL_POINT,
    PART_EXEMPLAR,
    PART_COUNT
};

enum { PART_FIELDS = 16 }; /* field numbers of parts are below */

/* By what a message is, then by field number: enum part. Keys of pairs are no parts. */
extern const uint8_t part_fields[PART_COUNT][PART_FIELDS];

static inline enum part part_of_field(enum part of, const struct wire_field *f)
{
    if (f->type != WIRE_LEN || f->number >= PART_FIELDS)
        return PART_OTHER;
    return (enum part)part_fields[of][f->number];
}

/* What a span, a log record or a data point is. */
enum part part_of_owner(enum attr_owner owner);
