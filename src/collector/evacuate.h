/* evacuate.h: a worker copies what is left of thin segments together.
 *
 * The journal says that there are some (journal_thinned); the worker goes through its waiting
 * traces, a little in each turn, and gives the spans of such segments another place. Belongs to one
 * worker.
 */
#pragma once

#include "collector/worker.h"

struct evacuation;

/* ERR_CONFIG with a sentence. Owned by the caller. */
enum err evacuation_new(struct worker *w, struct evacuation **out,
                        struct err_info *info) MUST_CHECK;
void evacuation_free(struct evacuation *e);

/* Moves some spans, and gives back the references to originals whose copies are safe. Between
 * journal_read_begin and journal_read_end. True: something is left to do. */
bool evacuation_step(struct evacuation *e, uint64_t now_ns);
