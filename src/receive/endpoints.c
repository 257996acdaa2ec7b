/* Where signals are received (opentelemetry.io/docs/specs/otlp). */
#include "receive/internal.h"

#define SERVICE(package, name) "opentelemetry.proto.collector." package ".v1." name "Service"

static const char EXPORT[] = "/Export";

static const struct {
    const char *path, *service;
} endpoints[OTLP_SIGNALS] = {
    [OTLP_TRACES] = {"/v1/traces", SERVICE("trace", "Trace")},
    [OTLP_METRICS] = {"/v1/metrics", SERVICE("metrics", "Metrics")},
    [OTLP_LOGS] = {"/v1/logs", SERVICE("logs", "Logs")},
};

bool endpoint_of_path(struct slice path, enum otlp_signal *signal)
{
    for (int i = 0; i < OTLP_SIGNALS; i++) {
        if (slice_is(path, endpoints[i].path)) {
            *signal = (enum otlp_signal)i;
            return true;
        }
    }
    return false;
}

bool endpoint_of_service(struct slice service, enum otlp_signal *signal)
{
    for (int i = 0; i < OTLP_SIGNALS; i++) {
        if (slice_is(service, endpoints[i].service)) {
            *signal = (enum otlp_signal)i;
            return true;
        }
    }
    return false;
}

bool endpoint_of_method(struct slice path, enum otlp_signal *signal)
{
    size_t tail = sizeof EXPORT - 1;

    return path.len > tail + 1 && path.data[0] == '/' &&
           memcmp(path.data + path.len - tail, EXPORT, tail) == 0 &&
           endpoint_of_service(slice_make(path.data + 1, path.len - tail - 1), signal);
}
