/* remembered.h: at level memory, where nothing of a decided trace stays readable: copies of a few
 * of a worker's traces, for the trial of a change.
 *
 * The worker adds one each 20 ms at most; the builder copies them out. Whoever comes while the
 * other is at it: the worker goes on without, the builder waits.
 */
#pragma once

#include "collector/recent.h"
#include "export/compose.h"

struct remembered;

/* Of the last `max_traces` that were added, as far as `max_bytes` go; their spans are counted in
 * `memory`. Start-up only: aborts without memory. */
struct remembered *remembered_new(struct memory *memory, size_t max_traces, size_t max_bytes);
void remembered_free(struct remembered *r); /* NULL is allowed */

/* The worker's: the next trace is to be added. NULL: never. */
bool remembered_is_due(const struct remembered *r, uint64_t now_ns);
/* The worker's: copies the spans of a trace that was decided so. `facts` has no body; its label is
 * the process's. Not while memory is high. */
void remembered_add(struct remembered *r, const struct recent_trace *facts,
                    const struct compose_span *spans, uint64_t now_ns);

/* The worker's, often: forgets all while memory is high. NULL is allowed. */
void remembered_relieve(struct remembered *r);

/* The builder's: copies all to `out`, which has room for them, while they come to less than
 * max_bytes with what *bytes has already. `names` has what their labels mean. */
void remembered_copy(struct remembered *r, const struct labels *names, struct recent *out,
                     size_t max_bytes, size_t *bytes);
