/* span_metrics.h: span_metrics and service_graph of config.lua: made at the start, gathered and
 * sent from time to time.
 *
 * Main gathers what the workers have counted, for a page or to send it; what is to be sent it
 * writes as OTLP and hands to worker 0, which gives it to the outbox as if it had come in (pass.h).
 */
#pragma once

#include "base/err.h"
#include "config/config.h"

#include <stdbool.h>

struct collector;
struct worker;

/* ERR_CONFIG with a sentence: the bounds of buckets are no ascending durations, or two labels have
 * one name. */
enum err span_metrics_check(const struct config *config, struct err_info *info) MUST_CHECK;

/* Those of c->metrics_sources that the configuration asks for. ERR_CONFIG as above. */
enum err span_metrics_init(struct collector *c, struct err_info *info) MUST_CHECK;
void span_metrics_fini(struct collector *c);

/* Main: sends them when it is time. Returns when to look again. */
uint64_t span_metrics_step(struct collector *c, uint64_t now_ns);
/* Main, before the end: sends all now, if worker 0 is done with the last ones. False: it is not. */
bool span_metrics_flush(struct collector *c);

/* Worker 0 takes what main has handed over. True: there was no room, try again. */
bool span_metrics_hand_on(struct worker *w);
/* Something is left to hand on by this worker. */
bool span_metrics_waits(const struct worker *w);
