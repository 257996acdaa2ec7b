/* otlp_answer.h: what an answer to an OTLP export means: delivered, repeat, refused, hold.
 *
 * opentelemetry.io/docs/specs/otlp: "Failures" of OTLP/gRPC and OTLP/HTTP. Pure function.
 */
#pragma once

#include "export/exporter.h"

/* Fills `r`. unix_ns: for a Retry-After that is a date. Returns whether another endpoint may do
 * better (no connection, no answer, 5xx, UNAVAILABLE). */
bool otlp_answer_read(const struct http_answer *a, bool grpc, uint64_t unix_ns,
                      struct sent_result *r);
