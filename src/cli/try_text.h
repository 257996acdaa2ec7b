/* try_text.h: what policies say of traces, as a person reads it. */
#pragma once

#include "collector/trial_tally.h"

/* Traces in the order in which they are shown: those that it decides otherwise, those that a policy
 * alone has an opinion of, the others. */
enum { TRY_CHANGED, TRY_OPINION, TRY_OTHER, TRY_PARTS };

struct try_text {
    bool is_policy; /* one alone */
    unsigned show;  /* at most so many traces */
    struct try_part {
        struct buf text;
        unsigned count; /* more than `show` are not in the text */
    } parts[TRY_PARTS];
    struct try_label {
        char policy[64], reason[64];
        bool keep;
        unsigned count;
    } labels[64]; /* of the new decisions */
    unsigned label_count, label_others;
};

void try_text_init(struct try_text *t, unsigned show, bool is_policy);
void try_text_fini(struct try_text *t);
/* v->policy NULL: no opinion. */
void try_text_add(struct try_text *t, const struct trial_world *w, const struct recent *recent,
                  const struct recent_trace *trace, const struct trial_verdict *v);
/* Appends the traces, those first that changed, and what they come to. `where` is what they were
 * read from. */
void try_text_write(struct try_text *t, const struct trial_world *w, struct trial_tally *tally,
                    const struct recent *recent, const char *where, struct buf *out);
