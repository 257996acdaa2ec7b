#include "spanmetrics/audit_counts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The policy with the fewest goes when there is one with more. */
static void add_drop(struct audit_counts *c, uint16_t label, uint64_t traces)
{
    struct audit_drop *least = &c->drops[0];

    for (int i = 0; i < AUDIT_DROPS; i++) {
        struct audit_drop *d = &c->drops[i];

        if (d->traces == 0 || d->label == label) {
            d->label = label;
            d->traces += traces;
            return;
        }
        if (d->traces < least->traces)
            least = d;
    }
    if (traces > least->traces)
        *least = (struct audit_drop){label, traces};
}

void counts_add_fate(struct audit_counts *c, const struct audit_fate *fate)
{
    double p = fate->probability, stands_for = p > 0 && p < 1 ? 1 / p : 1;

    c->decided++;
    c->kept += fate->kept;
    c->unknown += fate->kept && p < 0;
    if (stands_for > 1)
        c->expected_variance += stands_for - 1;
    if (p == 0 || fate->goes_nowhere) {
        c->dropped++;
        c->explained += stands_for;
        add_drop(c, fate->label, 1);
    } else if (fate->kept) {
        c->counted += stands_for;
    } else {
        return;
    }
    c->seen_variance += stands_for * (stands_for - 1);
}

void counts_add(struct audit_counts *to, const struct audit_counts *from)
{
    to->decided += from->decided;
    to->kept += from->kept;
    to->unknown += from->unknown;
    to->dropped += from->dropped;
    to->counted += from->counted;
    to->explained += from->explained;
    to->expected_variance += from->expected_variance;
    to->seen_variance += from->seen_variance;
    for (int i = 0; i < AUDIT_DROPS; i++)
        if (from->drops[i].traces)
            add_drop(to, from->drops[i].label, from->drops[i].traces);
}

static int most_first(const void *a, const void *b)
{
    const struct audit_drop *x = a, *y = b;

    return (x->traces < y->traces) - (x->traces > y->traces);
}

/* One trace is the least that a difference can be. */
static double standard_error(const struct audit_counts *c)
{
    return sqrt(fmax(1, fmax(c->expected_variance, c->seen_variance)));
}

void counts_describe(const struct audit_counts *c, struct audit_operation *out)
{
    double off = c->counted - (double)c->decided;

    *out = (struct audit_operation){
        .decided = c->decided,
        .kept = c->kept,
        .unknown = c->unknown,
        .counted = c->counted,
        .standard_errors = off / standard_error(c),
        .unexplained = (off + c->explained) / standard_error(c),
        .dropped = c->dropped,
    };
    memcpy(out->drops, c->drops, sizeof(out->drops));
    qsort(out->drops, AUDIT_DROPS, sizeof(*out->drops), most_first);
    while (out->drop_count < AUDIT_DROPS && out->drops[out->drop_count].traces > 0)
        out->drop_count++;
}
