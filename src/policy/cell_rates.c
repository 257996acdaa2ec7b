/* The averages and rates are those of dynsampler-go, so that goals mean what they mean there; but
 * keys take their turn by size, since only their hashes are known. */
#include "policy/cell_rates.h"

#include "base/clock.h"
#include "policy/cell_table.h"

#include <math.h>
#include <stdlib.h>

/* What the counts of a cell are. */
enum { COUNT, AVERAGE, RATE };
/* What those of the cell of no key are. */
enum { SUM, LAST_SUM, INTERVALS };

/* A key without traffic is forgotten by its average; with none at all nothing changes, for a day.
 */
#define KEEP_NS (24 * 3600 * NS_PER_S)

struct updating {
    struct cell_table *table;
    const struct rate_rule *rule;
    uint64_t now_ns;
    struct cell_counter **cells; /* of the keys that are left */
    size_t count;
};

/* ---- rates ---- */

static int by_size(const void *a, const void *b)
{
    const struct cell_counter *x = *(struct cell_counter *const *)a;
    const struct cell_counter *y = *(struct cell_counter *const *)b;

    if (x->counts[AVERAGE] != y->counts[AVERAGE])
        return x->counts[AVERAGE] > y->counts[AVERAGE] ? -1 : 1;
    return (x->cell.hash > y->cell.hash) - (x->cell.hash < y->cell.hash);
}

static double size_of(const struct cell_counter *c)
{
    return fmax(1, c->counts[AVERAGE]);
}

/* What the goal is for one interval. */
static double goal_count(const struct updating *u, double sum)
{
    double seconds = (double)u->table->rule.interval_ns / (double)NS_PER_S;

    return u->rule->by == RATE_MEAN ? sum / u->rule->goal : u->rule->goal * seconds;
}

static void rate_evenly(const struct updating *u)
{
    double each = fmax(1, goal_count(u, 0) / (double)u->count);

    for (size_t i = 0; i < u->count; i++)
        u->cells[i]->counts[RATE] = fmax(1, floor(size_of(u->cells[i]) / each));
}

/* A key's part grows with the logarithm of its size; what it does not need goes to those after it.
 */
static void rate_by_logarithm(const struct updating *u, double sum)
{
    double logs = 0, ratio, extra = 0;

    for (size_t i = 0; i < u->count; i++)
        logs += log10(size_of(u->cells[i]));
    ratio = logs > 0 ? goal_count(u, sum) / logs : 0;
    qsort(u->cells, u->count, sizeof(struct cell_counter *), by_size);
    for (size_t i = 0; i < u->count; i++) {
        double size = size_of(u->cells[i]), more = extra / (double)(u->count - i);
        double part = fmax(1, log10(size) * ratio) + more;

        extra -= more;
        if (size <= part) {
            u->cells[i]->counts[RATE] = 1;
            extra += part - size;
        } else {
            u->cells[i]->counts[RATE] = ceil(size / part);
        }
    }
}

/* ---- the end of an interval ---- */

static void average(struct updating *u, struct cell_counter *c)
{
    double w = u->rule->weight;

    c->counts[AVERAGE] = w * c->counts[COUNT] + (1 - w) * c->counts[AVERAGE];
    c->counts[COUNT] = c->counts[RATE] = 0;
    if (c->counts[AVERAGE] < u->rule->age_out || c->counts[AVERAGE] == 0) {
        c->counts[AVERAGE] = 0;
        c->cell.word = u->now_ns; /* over: it makes room */
        return;
    }
    c->cell.word = u->now_ns + KEEP_NS;
    u->cells[u->count++] = c;
}

static void average_all(struct updating *u)
{
    struct cell_table *t = u->table;

    average(u, &t->fixed[CELL_OTHER].counter);
    for (int i = 0; i < CELL_STRIPES; i++) {
        struct cell_stripe *s = &t->stripes[i];

        for (uint32_t k = 0; k < s->capacity; k++) {
            struct cell_counter *c = (struct cell_counter *)(void *)(s->cells + k * t->stride);

            if (c->cell.hash != 0)
                average(u, c);
        }
    }
}

static void lock_all(struct cell_table *t)
{
    for (int i = 0; i < CELL_STRIPES; i++)
        pthread_mutex_lock(&t->stripes[i].lock);
}

static void unlock_all(struct cell_table *t)
{
    for (int i = 0; i < CELL_STRIPES; i++)
        pthread_mutex_unlock(&t->stripes[i].lock);
}

static size_t used_cells(const struct cell_table *t)
{
    size_t count = 1; /* the shared one */

    for (int i = 0; i < CELL_STRIPES; i++)
        count += t->stripes[i].used;
    return count;
}

/* All stripes are locked. Without memory the rates stay. */
static double update_locked(struct updating *u)
{
    double sum = 0;

    u->cells = calloc(used_cells(u->table), sizeof(struct cell_counter *));
    if (!u->cells)
        return 0;
    average_all(u);
    for (size_t i = 0; i < u->count; i++)
        sum += size_of(u->cells[i]);
    if (u->rule->by == RATE_EVEN_PER_S)
        rate_evenly(u);
    else
        rate_by_logarithm(u, sum);
    free(u->cells);
    return sum;
}

static bool is_burst(const struct cell_counter *control, const struct rate_rule *rule)
{
    return rule->burst_multiple > 0 && control->counts[INTERVALS] >= rule->burst_delay &&
           control->counts[SUM] >= rule->burst_multiple * control->counts[LAST_SUM];
}

/* fixed_lock is held. */
static void update(struct cell_table *t, const struct rate_rule *rule, uint64_t now_ns)
{
    struct cell_counter *control = &t->fixed[CELL_SINGLE].counter;
    struct updating u = {.table = t, .rule = rule, .now_ns = now_ns};

    lock_all(t);
    control->counts[LAST_SUM] = update_locked(&u);
    unlock_all(t);
    control->counts[SUM] = 0;
    control->counts[INTERVALS]++;
    control->cell.word = now_ns + KEEP_NS;
}

/* Ends the interval if it is time. Gives the rate of a key that has none. */
static double tick(struct cell_table *t, const struct rate_rule *rule, double n, uint64_t now_ns)
{
    struct cell_counter *control = &t->fixed[CELL_SINGLE].counter;
    uint64_t *end_ns = &t->interval_end_ns;
    double rate;

    pthread_mutex_lock(&t->fixed_lock);
    if (*end_ns == 0)
        *end_ns = now_ns + t->rule.interval_ns;
    if (now_ns >= *end_ns || is_burst(control, rule)) {
        if (control->counts[SUM] > 0)
            update(t, rule, now_ns);
        *end_ns = now_ns + t->rule.interval_ns;
    }
    control->counts[SUM] += n;
    control->cell.word = now_ns + KEEP_NS;
    rate = control->counts[INTERVALS] > 0 ? 1 : rule->initial;
    pthread_mutex_unlock(&t->fixed_lock);
    return rate;
}

static double count_one(struct cell_counter *c, double n, uint64_t now_ns)
{
    c->counts[COUNT] += n;
    c->cell.word = now_ns + KEEP_NS;
    return c->counts[RATE];
}

double cell_rate(struct cell_table *t, struct slice key, double n, const struct rate_rule *rule,
                 uint64_t now_ns)
{
    double without = tick(t, rule, n, now_ns), rate;
    struct cell_stripe *s;
    struct cell *c = cell_table_lock(t, key, now_ns, &s);

    if (c) {
        rate = count_one((struct cell_counter *)(void *)c, n, now_ns);
        pthread_mutex_unlock(&s->lock);
    } else {
        pthread_mutex_lock(&t->fixed_lock);
        rate = count_one(&t->fixed[CELL_OTHER].counter, n, now_ns);
        pthread_mutex_unlock(&t->fixed_lock);
    }
    atomic_store_explicit(&t->changed, true, memory_order_relaxed);
    return rate >= 1 ? rate : without;
}

double cell_window_rate(struct cell_table *t, struct slice key, double n, double goal,
                        uint64_t now_ns)
{
    double keys;

    cell_counter_add(t, key, n, now_ns);
    cell_table_sweep(t, now_ns); /* so that only keys with traffic count */
    keys = (double)atomic_load_explicit(&t->keys, memory_order_relaxed);
    return fmax(1, floor(cell_counter_per_second(t, key, now_ns) * fmax(1, keys) / goal));
}
