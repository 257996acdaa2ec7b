/* Processors that redact whole bodies at the door, before anything of them is held. */
#include "policy/processor_parts.h"

enum { BODY_KEPT = 1 << 20 }; /* bytes of a buffer that stay from one body to the next */

bool processor_set_has_bodies(const struct processor_set *p)
{
    for (size_t i = 0; p && i < p->count; i++)
        if (p->processors[i].redacts_body)
            return true;
    return false;
}

/* *left becomes what `x` leaves of it, in the buffer that *left does not lie in. */
static bool redact_with(struct processor_set *p, struct processor *x, unsigned *next,
                        struct slice *left)
{
    struct buf *out = &p->bodies[*next];
    enum redact_outcome outcome;

    buf_clear(out);
    outcome = redact_body(x->redacts_body, OTLP_TRACES, *left, out);
    if (outcome == REDACT_CHANGED) {
        *left = buf_slice(out);
        *next ^= 1;
    }
    return outcome != REDACT_FAILED;
}

enum err processor_set_body(struct processor_set *p, struct slice body, struct slice *left)
{
    unsigned next = 0;

    *left = body;
    for (size_t i = 0; i < p->count; i++) {
        struct processor *x = &p->processors[i];

        if (x->redacts_body && !redact_with(p, x, &next, left)) {
            processor_count_failure(p, x, FAILURE_MEMORY);
            return ERR_FULL;
        }
    }
    return ERR_OK;
}

static void count_found(struct processor_set *p, bool counts)
{
    for (size_t i = 0; i < p->count; i++) {
        struct processor *x = &p->processors[i];

        if (x->redacts_body)
            processor_count_redacted(p, x, x->redacts_body, counts);
    }
}

void processor_set_body_count(struct processor_set *p)
{
    count_found(p, true);
}

void processor_set_give_back(struct processor_set *p)
{
    struct buf *bufs[] = {&p->bodies[0], &p->bodies[1], &p->metric, &p->resource};

    for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
        if (bufs[i]->cap > BODY_KEPT)
            buf_fini(bufs[i]);
}

void processor_set_body_end(struct processor_set *p)
{
    count_found(p, false);
    processor_set_give_back(p);
}
