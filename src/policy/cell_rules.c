/* What the word and the counts of a cell mean under its rule. */
#include "policy/cell_rules.h"

#include "base/clock.h"
#include "policy/policy.h"

#include <math.h>
#include <string.h>

enum { SHARE_HALVINGS = 14, SHARE_STEPS = 8 };
#define SHARE_CALM 0.2 /* of the limit may be taken before traces are thinned out */

bool cell_has_counts(const struct cell_rule *rule)
{
    return rule->kind == CELL_COUNTER || rule->kind == CELL_RATE;
}

uint64_t cell_slot_ns(const struct cell_rule *rule)
{
    uint64_t ns = rule->interval_ns / COUNTER_PARTS;

    return ns ? ns : 1;
}

bool cell_is_over(const struct cell_rule *rule, const struct cell *c, uint64_t now_ns)
{
    if (rule->kind != CELL_COUNTER)
        return c->word <= now_ns;
    return now_ns / cell_slot_ns(rule) >= c->word + COUNTER_SLOTS;
}

/* GCRA: `full` is when the limit will be full again. */
static bool take(const struct cell_rule *rule, uint64_t *full, const struct cell_taking *what,
                 uint64_t now_ns)
{
    double cost_ns = what->cost * (double)rule->interval_ns;
    double left_ns = what->left * (double)rule->interval_ns;
    uint64_t from = *full > now_ns ? *full : now_ns, next;

    if (cost_ns + left_ns > (double)rule->burst_ns)
        return false;
    next = from + (uint64_t)(cost_ns + 0.5);
    if (next - now_ns > rule->burst_ns - (uint64_t)left_ns)
        return false;
    *full = next;
    return true;
}

/* level, last: when the limit is full again, now and if all but one is taken. In steps, so that a
 * policy has few different verdicts. */
static double share_at(double level, double last)
{
    double over = (level - SHARE_CALM * last) / (last - SHARE_CALM * last);

    return over <= 0 ? 1 : exp2(-floor(SHARE_HALVINGS * SHARE_STEPS * over) / SHARE_STEPS);
}

static bool take_share(const struct cell_rule *rule, uint64_t *full, struct cell_taking *what,
                       uint64_t now_ns)
{
    uint64_t level = *full > now_ns ? *full - now_ns : 0;

    what->share = 0;
    if (level + rule->interval_ns > rule->burst_ns)
        return false;
    what->share = share_at((double)level, (double)(rule->burst_ns - rule->interval_ns));
    if (what->randomness < sampling_threshold(what->share))
        return false;
    *full = now_ns + level + rule->interval_ns;
    return true;
}

static bool add_once(const struct cell_rule *rule, uint64_t *until, uint64_t now_ns)
{
    if (*until > now_ns)
        return false;
    *until = now_ns + rule->interval_ns;
    return true;
}

bool cell_add_or_take(const struct cell_rule *rule, uint64_t *word, struct cell_taking *what,
                      uint64_t now_ns)
{
    if (rule->kind != CELL_LIMIT)
        return add_once(rule, word, now_ns);
    return what->draws ? take_share(rule, word, what, now_ns) : take(rule, word, what, now_ns);
}

void cell_count(const struct cell_rule *rule, struct cell_counter *c, double n, uint64_t now_ns)
{
    uint64_t slot = now_ns / cell_slot_ns(rule);

    if (slot >= c->cell.word + COUNTER_SLOTS) {
        memset(c->counts, 0, sizeof(c->counts));
        c->cell.word = slot;
    }
    while (c->cell.word < slot)
        c->counts[++c->cell.word % COUNTER_SLOTS] = 0;
    if (c->cell.word - slot < COUNTER_SLOTS) /* not from a thread that is far behind */
        c->counts[slot % COUNTER_SLOTS] += n;
}

/* The oldest slot counts for the part of it that is still in the window. */
double cell_per_second(const struct cell_rule *rule, const struct cell_counter *c, uint64_t now_ns)
{
    uint64_t slot_ns = cell_slot_ns(rule), now = now_ns / slot_ns;
    double inside = 1 - (double)(now_ns % slot_ns) / (double)slot_ns, sum = 0;

    for (uint64_t age = 0; age < COUNTER_SLOTS && age <= now; age++) {
        uint64_t slot = now - age;

        if (slot <= c->cell.word && c->cell.word - slot < COUNTER_SLOTS)
            sum += c->counts[slot % COUNTER_SLOTS] * (age == COUNTER_PARTS ? inside : 1);
    }
    return sum / ((double)rule->interval_ns / (double)NS_PER_S);
}
