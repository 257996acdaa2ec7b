#include "collector/trial_tally.h"

#include <stdlib.h>

enum { PARTS_SHOWN = 3 }; /* on each side */

static void count_part(struct tally_side *side, const char *policy_name, const char *reason_name)
{
    struct tally_part *p = side->parts, named = {.count = 0};

    trial_copy_line(named.policy, sizeof(named.policy), policy_name, strlen(policy_name));
    trial_copy_line(named.reason, sizeof(named.reason), reason_name, strlen(reason_name));
    side->total++;
    while (p < side->parts + side->part_count &&
           (strcmp(p->policy, named.policy) != 0 || strcmp(p->reason, named.reason) != 0))
        p++;
    if (p == side->parts + TALLY_PARTS)
        return;
    if (p == side->parts + side->part_count) {
        side->part_count++;
        *p = named;
    }
    p->count++;
}

void trial_tally_add(struct trial_tally *t, const struct recent *recent,
                     const struct recent_trace *trace, const struct trial_verdict *now)
{
    t->tried++;
    t->kept_before += trace->kept;
    t->kept_now += now->keep;
    if (now->keep && !trace->kept)
        count_part(&t->gained, now->policy, now->reason);
    else if (trace->kept && !now->keep)
        count_part(&t->lost, labels_policy(recent->labels, trace->label),
                   labels_reason(recent->labels, trace->label));
}

static double percent(unsigned n, unsigned of)
{
    return 100.0 * n / of;
}

void trial_tally_write_keep(const struct trial_tally *t, struct buf *out)
{
    buf_printf(out, "%.1f %% -> %.1f %%", percent(t->kept_before, t->tried),
               percent(t->kept_now, t->tried));
}

/* ---- the change ---- */

static int by_count(const void *a, const void *b)
{
    const struct tally_part *x = a, *y = b;
    int reasons = strcmp(x->reason, y->reason);

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return reasons ? reasons : strcmp(x->policy, y->policy);
}

/* Another policy of that side has the same reason. */
static bool is_shared(const struct tally_side *side, const struct tally_part *p)
{
    for (size_t i = 0; i < side->part_count; i++)
        if (&side->parts[i] != p && strcmp(side->parts[i].reason, p->reason) == 0)
            return true;
    return false;
}

/* "+104 slow, +3 error (mine), +7 others" */
static void write_side(struct tally_side *side, char sign, struct buf *out)
{
    unsigned left = side->total;

    if (side->total == 0)
        buf_printf(out, "%c0", sign);
    else if (side->part_count > 1)
        qsort(side->parts, side->part_count, sizeof(side->parts[0]), by_count);
    for (size_t i = 0; i < side->part_count && i < PARTS_SHOWN; i++) {
        const struct tally_part *p = &side->parts[i];

        buf_printf(out, "%s%c%u %.40s", i ? ", " : "", sign, p->count, p->reason);
        if (is_shared(side, p))
            buf_printf(out, " (%.40s)", p->policy);
        left -= p->count;
    }
    if (left)
        buf_printf(out, ", %c%u others", sign, left);
}

void trial_tally_write_change(struct trial_tally *t, struct buf *out)
{
    write_side(&t->gained, '+', out);
    buf_str(out, ", ");
    write_side(&t->lost, '-', out);
}

void trial_write_failures(const struct trial_world *w, struct buf *out)
{
    size_t count;
    const struct trial_failure *f = trial_world_failures(w, &count);

    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s %s, %u time%s: %s", i ? "; " : "", f[i].kind, f[i].name, f[i].times,
                   f[i].times == 1 ? "" : "s", f[i].text);
}
