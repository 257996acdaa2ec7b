#include "otlp/signal.h"

#include <string.h>

static const struct {
    const char *name, *items;
} signals[OTLP_SIGNALS] = {
    [OTLP_TRACES] = {"traces", "spans"},
    [OTLP_METRICS] = {"metrics", "data points"},
    [OTLP_LOGS] = {"logs", "log records"},
};

const char *otlp_signal_name(enum otlp_signal signal)
{
    return signals[signal].name;
}

const char *otlp_signal_items(enum otlp_signal signal)
{
    return signals[signal].items;
}

bool otlp_signal_find(const char *name, size_t len, enum otlp_signal *signal)
{
    for (size_t i = 0; i < OTLP_SIGNALS; i++) {
        if (strlen(signals[i].name) != len || memcmp(signals[i].name, name, len) != 0)
            continue;
        *signal = (enum otlp_signal)i;
        return true;
    }
    return false;
}
