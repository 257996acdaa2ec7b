/* item_walk.h: one processor over one body of metrics or logs. Internal to policy.
 *
 * processor_items.c makes processors, asks them and runs one behind the other; item_walk.c goes
 * through a body and writes what is left.
 */
#pragma once

#include "policy/processor_parts.h"

struct item_walk {
    struct processor_set *p;
    struct processor *x;
    const struct processor_items *about;
    enum otlp_signal signal;
    const struct item_sink *sink;
    struct buf *out;
    uint64_t now_ns;
    struct slice resource, scope; /* those around */
    bool changed;
};

/* What becomes of an item. */
enum fate { FATE_SAME, FATE_CHANGED, FATE_DROPPED };

/* Asks `function` (LUA_NOREF: nothing is done) about an item: a resource (view->resource), a
 * metric, a data point of `metric`, a log record. *view becomes what is left, until the next edit;
 * *label says why it is dropped. */
enum fate item_ask(struct item_walk *w, int function, enum attr_owner item, struct slice metric,
                   struct span_view *view, uint16_t *label);

/* Writes what the processor leaves of `body` to w->out; w->changed says whether it is the same. */
void item_walk_body(struct item_walk *w, struct slice body);
