/* items.h: reads the fields of log records where they lie, as view.h does those of spans and
 * metric_view.h those of metrics; and what items are called.
 *
 * Data path: body -> [items] -> processors. Any thread.
 */
#pragma once

#include "otlp/metric_view.h"

/* The fields of a LogRecord. Ids are slices into it. */
struct log_fields {
    uint64_t time_ns, observed_ns;
    int32_t severity; /* SeverityNumber, unknown numbers as sent */
    uint32_t flags;
    struct slice severity_text, trace_id, span_id, event_name;
    struct value body;
};
void items_log(struct slice record, struct log_fields *fields);

/* "trace", "debug", "info", "warn", "error", "fatal"; NULL: none of them. */
const char *items_severity_name(int32_t severity);
/* The lowest number of a name; 0: it is none. */
int32_t items_severity(struct slice name);

/* "gauge", "sum", "histogram", "exponential_histogram", "summary"; NULL: none. */
const char *items_metric_type(enum metric_type type);
/* Who has the attributes of its points. */
enum attr_owner items_point_owner(enum metric_type type);
