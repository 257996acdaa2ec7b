#include "otlp/texts.h"

#include "otlp/splice.h"

const uint8_t part_fields[PART_COUNT][PART_FIELDS] = {
    [PART_PAIR] = {[2] = PART_ANY},
    [PART_ANY] = {[1] = PART_STRING, [5] = PART_ARRAY, [6] = PART_LIST},
    [PART_ARRAY] = {[1] = PART_ANY},
    [PART_LIST] = {[1] = PART_PAIR},
    [PART_SPAN] = {[SPLICE_SPAN_NAME] = PART_NAME,
                   [ATTRS_SPAN] = PART_PAIR,
                   [SPLICE_SPAN_EVENTS] = PART_EVENT,
                   [SPLICE_SPAN_LINKS] = PART_LINK,
                   [SPLICE_SPAN_STATUS] = PART_STATUS},
    [PART_EVENT] = {[2] = PART_NAME, [ATTRS_EVENT] = PART_PAIR},
    [PART_LINK] = {[ATTRS_LINK] = PART_PAIR},
    [PART_STATUS] = {[2] = PART_STRING},
    [PART_RESOURCES] = {[1] = PART_RESOURCE},
    [PART_RESOURCE] = {[ATTRS_RESOURCE] = PART_PAIR},
    [PART_SCOPES] = {[1] = PART_SCOPE},
    [PART_SCOPE] = {[ATTRS_SCOPE] = PART_PAIR},
    [PART_LOG] = {[SPLICE_LOG_SEVERITY_TEXT] = PART_STRING,
                  [SPLICE_LOG_BODY] = PART_BODY,
                  [ATTRS_LOG] = PART_PAIR},
    [PART_NUMBER_POINT] = {[5] = PART_EXEMPLAR, [ATTRS_POINT] = PART_PAIR},
    [PART_HISTOGRAM_POINT] = {[8] = PART_EXEMPLAR, [ATTRS_HISTOGRAM_POINT] = PART_PAIR},
    [PART_EXPONENTIAL_POINT] = {[ATTRS_EXPONENTIAL_POINT] = PART_PAIR, [11] = PART_EXEMPLAR},
    [PART_EXEMPLAR] = {[ATTRS_EXEMPLAR] = PART_PAIR},
};

enum part part_of_owner(enum attr_owner owner)
{
    switch (owner) {
    case OWNER_LOG:
        return PART_LOG;
    case OWNER_POINT:
        return PART_NUMBER_POINT;
    case OWNER_HISTOGRAM_POINT:
        return PART_HISTOGRAM_POINT;
    case OWNER_EXPONENTIAL_POINT:
        return PART_EXPONENTIAL_POINT;
    default:
        return PART_SPAN;
    }
}
