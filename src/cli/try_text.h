/* try_text.h: what policies say of traces, as a person reads it. */
#pragma once

#include "collector/trial_tally.h"

struct try_text {
    struct buf changed, same; /* traces whose decision is another one than it was, and the others */
    unsigned changed_count, same_count, show; /* at most `show` are in each */
    struct try_label {
        char policy[64], reason[64];
        bool keep;
        unsigned count;
    } labels[64]; /* of the new decisions */
    unsigned label_count, label_others;
};

void try_text_init(struct try_text *t, unsigned show);
void try_text_fini(struct try_text *t);
void try_text_add(struct try_text *t, const struct trial_world *w, const struct recent *recent,
                  const struct recent_trace *trace, const struct trial_verdict *v);
/* Appends the traces, those first that changed, and what they come to. `where` is what they were
 * read from. */
void try_text_write(struct try_text *t, const struct trial_world *w, struct trial_tally *tally,
                    const struct recent *recent, const char *where, struct buf *out);
