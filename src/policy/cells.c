/* A world of cells: its tables by name, and what becomes of them when a rule changes. */
#include "policy/cells.h"

#include "base/clock.h"
#include "policy/cells_world.h"

#include <stdlib.h>
#include <string.h>

const char *cell_kind_name(enum cell_kind kind)
{
    static const char *const names[] = {"limit", "seen", "counter", "rate"};

    return kind < CELL_KIND_COUNT ? names[kind] : "limit";
}

static struct cells *world_new(struct memory *memory, struct hash_key key)
{
    struct cells *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->memory = memory;
    c->key = key;
    return c;
}

struct cells *cells_new(struct memory *memory)
{
    struct cells *c = world_new(memory, hash_key_random());

    if (!c)
        err_no_memory("the policies' state");
    return c;
}

void cells_free(struct cells *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        cell_table_unref(c->tables[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- carrying over ---- */

struct carry {
    struct cell_table *to;
    const struct cell_rule *from;
    uint64_t now_ns;
};

/* What is used up of a limit stays used up, as far as the new one goes. */
static uint64_t limit_level(const struct carry *c, uint64_t word)
{
    const struct cell_rule *rule = &c->to->rule;
    uint64_t left_ns = word - c->now_ns;
    double ns = (double)left_ns / (double)c->from->interval_ns * (double)rule->interval_ns;

    if (rule->interval_ns == c->from->interval_ns)
        return c->now_ns + earlier_ns(left_ns, rule->burst_ns);
    return c->now_ns + (ns < (double)rule->burst_ns ? (uint64_t)(ns + 0.5) : rule->burst_ns);
}

static uint64_t seen_level(const struct carry *c, uint64_t word)
{
    return earlier_ns(word, c->now_ns + c->to->rule.interval_ns);
}

/* Each slot goes to the one of its age. */
static void counter_levels(const struct carry *c, const struct cell_counter *from,
                           struct cell_counter *to)
{
    uint64_t from_ns = cell_slot_ns(c->from), to_ns = cell_slot_ns(&c->to->rule);

    memset(to->counts, 0, sizeof(to->counts));
    to->cell.word = c->now_ns / to_ns;
    for (uint64_t age = 0; age < COUNTER_SLOTS && age <= from->cell.word; age++) {
        uint64_t slot = from->cell.word - age, at_ns = slot * from_ns, new_slot = at_ns / to_ns;

        if (new_slot <= to->cell.word && to->cell.word - new_slot < COUNTER_SLOTS)
            to->counts[new_slot % COUNTER_SLOTS] += from->counts[slot % COUNTER_SLOTS];
    }
}

static void carry_cell(void *arg, const struct cell *cell)
{
    const struct carry *c = arg;
    union cell_space level = {.cell = *cell};

    if (c->from->kind == CELL_LIMIT)
        level.cell.word = limit_level(c, cell->word);
    else if (c->from->kind == CELL_SEEN)
        level.cell.word = seen_level(c, cell->word);
    else if (c->from->kind == CELL_RATE)
        memcpy(level.counter.counts, ((const struct cell_counter *)(const void *)cell)->counts,
               sizeof(level.counter.counts));
    else
        counter_levels(c, (const struct cell_counter *)(const void *)cell, &level.counter);
    cell_table_put(c->to, &level.cell);
}

/* A table with the levels of `from` under another rule. */
static struct cell_table *carried(const struct cells *c, struct cell_table *from,
                                  const struct cell_rule *rule, uint64_t now_ns)
{
    struct cell_table *t = cell_table_new(c->memory, from->key, from->component, from->name, rule);
    struct carry carry = {t, &from->rule, now_ns};

    if (!t)
        return NULL;
    cell_table_each(from, now_ns, carry_cell, &carry);
    atomic_store(&t->overflows, atomic_load(&from->overflows));
    atomic_store(&t->changed, true);
    return t;
}

/* ---- tables by name ---- */

static bool is_named(const struct cell_table *t, const char *component, const char *name,
                     enum cell_kind kind)
{
    return t->rule.kind == kind && strncmp(t->component, component, CELL_NAME_MAX) == 0 &&
           strncmp(t->name, name, CELL_NAME_MAX) == 0;
}

static bool same_rule(const struct cell_rule *a, const struct cell_rule *b)
{
    return a->max_keys == b->max_keys && a->interval_ns == b->interval_ns &&
           a->burst_ns == b->burst_ns && a->forgets == b->forgets;
}

/* The new one in its place; if there is no memory for it, none. */
static struct cell_table *replace(const struct cells *c, struct cell_table **place,
                                  const struct cell_rule *rule, uint64_t now_ns)
{
    struct cell_table *t = carried(c, *place, rule, now_ns);

    if (t) {
        cell_table_unref(*place);
        *place = t;
    }
    return t;
}

struct cell_table *cells_add_locked(struct cells *c, const char *component, const char *name,
                                    const struct cell_rule *rule)
{
    struct cell_table *t = c->count < CELL_TABLES_MAX
                               ? cell_table_new(c->memory, c->key, component, name, rule)
                               : NULL;

    if (t)
        c->tables[c->count++] = t;
    return t;
}

static struct cell_table *find_or_add(struct cells *c, const char *component, const char *name,
                                      const struct cell_rule *rule, uint64_t now_ns)
{
    for (size_t i = 0; i < c->count; i++) {
        struct cell_table *t = c->tables[i];

        if (is_named(t, component, name, rule->kind))
            return same_rule(&t->rule, rule) ? t : replace(c, &c->tables[i], rule, now_ns);
    }
    return cells_add_locked(c, component, name, rule);
}

struct cell_table *cells_table(struct cells *c, const char *component, const char *name,
                               const struct cell_rule *rule, uint64_t now_ns)
{
    struct cell_table *t;

    pthread_mutex_lock(&c->lock);
    t = find_or_add(c, component, name, rule, now_ns);
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&c->lock);
    return t;
}

struct cells *cells_copy(struct cells *c, uint64_t now_ns)
{
    struct cells *copy = world_new(c->memory, c->key);
    bool ok = copy != NULL;

    if (!ok)
        return NULL;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; ok && i < c->count; i++) {
        copy->tables[i] = carried(c, c->tables[i], &c->tables[i]->rule, now_ns);
        ok = copy->tables[i] != NULL;
        copy->count += ok;
    }
    pthread_mutex_unlock(&c->lock);
    if (ok)
        return copy;
    cells_free(copy);
    return NULL;
}

void cells_each(struct cells *c, void (*fn)(void *arg, const struct cell_stats *s), void *arg)
{
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->count; i++) {
        struct cell_table *t = c->tables[i];

        fn(arg, &(struct cell_stats){.component = t->component,
                                     .name = t->name,
                                     .kind = t->rule.kind,
                                     .keys = atomic_load(&t->keys),
                                     .overflows = atomic_load(&t->overflows)});
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- forgetting ---- */

static void on_alive(void *arg, const struct cell *cell)
{
    (void)cell;
    *(bool *)arg = true;
}

static bool is_over(struct cell_table *t, uint64_t now_ns)
{
    bool alive = false;

    cell_table_each(t, now_ns, on_alive, &alive);
    return !alive;
}

void cells_forget(struct cells *c, uint64_t now_ns)
{
    pthread_mutex_lock(&c->lock);
    for (size_t i = c->count; i-- > 0;) {
        struct cell_table *t = c->tables[i];

        if (atomic_load(&t->refs) > 1 || !is_over(t, now_ns))
            continue;
        cell_table_unref(t);
        c->tables[i] = c->tables[--c->count];
    }
    pthread_mutex_unlock(&c->lock);
}

bool cells_is_empty(struct cells *c)
{
    bool empty;

    pthread_mutex_lock(&c->lock);
    empty = c->count == 0;
    pthread_mutex_unlock(&c->lock);
    return empty;
}
