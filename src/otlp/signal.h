/* signal.h: the signals of OTLP, which come in alike: a body is a run of resources, each with its
 * scopes, each with its items.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum otlp_signal {
    OTLP_TRACES,  /* TracesData; items: spans */
    OTLP_METRICS, /* MetricsData; items: data points */
    OTLP_LOGS,    /* LogsData; items: log records */
    OTLP_SIGNALS
};

/* "traces", "metrics", "logs": as in paths and in the configuration. Never NULL. */
const char *otlp_signal_name(enum otlp_signal signal);
/* What its items are called: "spans", "data points", "log records". */
const char *otlp_signal_items(enum otlp_signal signal);
/* Sets *signal and returns true if `name` is one of the names. */
bool otlp_signal_find(const char *name, size_t len, enum otlp_signal *signal);
