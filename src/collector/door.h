/* door.h: what is dropped before anything is held: head_sampling, and processors on = "received".
 *
 * Data path: receive -> scan -> redact -> [door] -> journal, table. A part of the worker. What is
 * dropped is counted as filtered; where some of a body's spans stay, its bytes are written as they
 * came (or as they were redacted), and nobody refers to the others.
 */
#pragma once

#include "collector/worker.h"

void door_init(struct worker *w);
void door_fini(struct worker *w);

/* Room for a body of `size` bytes that came: what is redacted may get longer. */
size_t door_room(const struct worker *w, size_t size);
/* Takes what is dropped out of the first `count` of w->spans, which lie in `body`, and returns how
 * many are left, in their order. The tally is of this body alone. */
size_t door_filter(struct worker *w, struct slice body, size_t count, uint64_t now_ns);
/* Counts the tally: the body was taken. */
void door_count(struct worker *w);
/* The tally of a body of metrics or logs: begins one, adds what is dropped (struct item_sink), and
 * counts it, as the body was taken. door_items: how many there are. */
void door_begin_items(struct worker *w);
void door_drop_items(void *worker, uint16_t label, size_t items);
size_t door_items(const struct worker *w);
void door_count_items(struct worker *w, enum otlp_signal signal);
/* head_sampling: whether R, as the tail draws it, reaches the threshold: the trace's rv, which all
 * of its spans carry, else its id. */
bool door_is_head_sampled(const struct scan_span *s, struct slice body, uint64_t threshold);
