/* One table of cells. The cell of no key and the shared one are an atomic word each (counters: a
 * lock); keys lie in stripes with a lock each. */
#include "policy/cell_table.h"

#include "base/clock.h"
#include "policy/cell_rules.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16, LOOKS_FOR_OLD = 16 };
#define SWEEP_PAUSE_NS (NS_PER_S / 4)

/* ---- life ---- */

static void init_locks(struct cell_table *t)
{
    pthread_mutex_init(&t->fixed_lock, NULL);
    for (int i = 0; i < CELL_STRIPES; i++)
        pthread_mutex_init(&t->stripes[i].lock, NULL);
}

struct cell_table *cell_table_new(struct memory *memory, struct hash_key key, const char *component,
                                  const char *name, const struct cell_rule *rule)
{
    struct cell_table *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    *t = (struct cell_table){.memory = memory, .key = key, .rule = *rule};
    atomic_init(&t->refs, 1);
    t->component = strndup(component, CELL_NAME_MAX);
    t->name = strndup(name, CELL_NAME_MAX);
    t->stride = cell_has_counts(rule) ? sizeof(struct cell_counter) : sizeof(struct cell);
    init_locks(t);
    if (t->component && t->name)
        return t;
    cell_table_unref(t);
    return NULL;
}

void cell_table_unref(struct cell_table *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (int i = 0; i < CELL_STRIPES; i++) {
        counted_free(t->memory, t->stripes[i].cells);
        pthread_mutex_destroy(&t->stripes[i].lock);
    }
    pthread_mutex_destroy(&t->fixed_lock);
    free(t->component);
    free(t->name);
    free(t);
}

static void mark_changed(struct cell_table *t)
{
    if (!atomic_load_explicit(&t->changed, memory_order_relaxed))
        atomic_store_explicit(&t->changed, true, memory_order_relaxed);
}

/* ---- cells by key ---- */

static struct cell *cell_at(const struct cell_table *t, char *cells, uint32_t i)
{
    return (struct cell *)(void *)(cells + i * t->stride);
}

/* The place of `hash`, or the free one where it belongs; there always is a free one. */
static struct cell *place_of(const struct cell_table *t, char *cells, uint32_t capacity,
                             uint64_t hash)
{
    uint32_t mask = capacity - 1, i = (uint32_t)hash & mask;

    while (cell_at(t, cells, i)->hash != 0 && cell_at(t, cells, i)->hash != hash)
        i = (i + 1) & mask;
    return cell_at(t, cells, i);
}

/* Moves what `keeps` says into new room. False without memory: all is as before. */
static bool rebuild(struct cell_table *t, struct cell_stripe *s, uint32_t capacity, uint64_t now_ns)
{
    char *cells = counted_alloc(t->memory, capacity * t->stride);
    uint32_t used = 0;

    if (!cells)
        return false;
    memset(cells, 0, capacity * t->stride);
    for (uint32_t i = 0; i < s->capacity; i++) {
        const struct cell *c = cell_at(t, s->cells, i);

        if (c->hash == 0 || cell_is_over(&t->rule, c, now_ns))
            continue;
        memcpy(place_of(t, cells, capacity, c->hash), c, t->stride);
        used++;
    }
    atomic_fetch_sub_explicit(&t->keys, s->used - used, memory_order_relaxed);
    counted_free(t->memory, s->cells);
    s->cells = cells;
    s->capacity = capacity;
    s->used = used;
    return true;
}

/* What forgets has a part of the keys for each stripe, one at least, so that one can give way. */
static bool reserve_key(struct cell_table *t, const struct cell_stripe *s)
{
    uint32_t keys = atomic_load_explicit(&t->keys, memory_order_relaxed);

    do {
        if (t->rule.forgets ? s->used > t->rule.max_keys / CELL_STRIPES : keys >= t->rule.max_keys)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&t->keys, &keys, keys + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* Room for one more in the locked stripe. */
static bool has_room(struct cell_table *t, struct cell_stripe *s, uint64_t now_ns)
{
    if ((s->used + 1) * 4 <= s->capacity * 3)
        return true;
    return rebuild(t, s, s->capacity ? s->capacity * 2 : FIRST_CAPACITY, now_ns);
}

static uint64_t hash_of(const struct cell_table *t, struct slice key)
{
    uint64_t hash = hash_bytes(t->key, key.data, key.len);

    return hash > 1 ? hash : 2; /* 0 and 1 are the fixed cells in files */
}

static struct cell_stripe *stripe_of(struct cell_table *t, uint64_t hash)
{
    return &t->stripes[hash >> 60];
}

static struct cell *find(struct cell_table *t, struct cell_stripe *s, uint64_t hash)
{
    struct cell *c = s->capacity ? place_of(t, s->cells, s->capacity, hash) : NULL;

    return c && c->hash == hash ? c : NULL;
}

static struct cell *insert(struct cell_table *t, struct cell_stripe *s, uint64_t hash,
                           uint64_t now_ns)
{
    struct cell *c;

    if (!reserve_key(t, s))
        return NULL;
    if (!has_room(t, s, now_ns)) {
        atomic_fetch_sub_explicit(&t->keys, 1, memory_order_relaxed);
        return NULL;
    }
    c = place_of(t, s->cells, s->capacity, hash);
    c->hash = hash;
    s->used++;
    return c;
}

bool cell_table_sweep(struct cell_table *t, uint64_t now_ns)
{
    uint64_t due = atomic_load_explicit(&t->next_sweep_ns, memory_order_relaxed);

    if (now_ns < due ||
        !atomic_compare_exchange_strong_explicit(&t->next_sweep_ns, &due, now_ns + SWEEP_PAUSE_NS,
                                                 memory_order_relaxed, memory_order_relaxed))
        return false;
    for (int i = 0; i < CELL_STRIPES; i++) {
        struct cell_stripe *s = &t->stripes[i];

        pthread_mutex_lock(&s->lock);
        if (s->used)
            (void)!rebuild(t, s, s->capacity, now_ns);
        pthread_mutex_unlock(&s->lock);
    }
    return true;
}

/* Takes the cell out: what stands behind it moves up, so that all are found. */
static void take_out(struct cell_table *t, struct cell_stripe *s, uint32_t hole)
{
    uint32_t mask = s->capacity - 1, next = (hole + 1) & mask;

    for (; cell_at(t, s->cells, next)->hash != 0; next = (next + 1) & mask) {
        uint32_t home = (uint32_t)cell_at(t, s->cells, next)->hash & mask;

        if (((next - home) & mask) >= ((next - hole) & mask)) {
            memcpy(cell_at(t, s->cells, hole), cell_at(t, s->cells, next), t->stride);
            hole = next;
        }
    }
    memset(cell_at(t, s->cells, hole), 0, t->stride);
    s->used--;
    atomic_fetch_sub_explicit(&t->keys, 1, memory_order_relaxed);
}

/* Of a few cells of the locked stripe the one that is over first gives way. False: there is none.
 */
static bool forget_old(struct cell_table *t, struct cell_stripe *s, uint64_t hash)
{
    uint32_t oldest = UINT32_MAX, looks = 0;

    for (uint32_t i = 0; i < s->capacity && looks < LOOKS_FOR_OLD; i++) {
        uint32_t at = ((uint32_t)(hash >> 32) + i) & (s->capacity - 1);
        const struct cell *c = cell_at(t, s->cells, at);

        if (c->hash == 0)
            continue;
        looks++;
        if (oldest == UINT32_MAX || c->word < cell_at(t, s->cells, oldest)->word)
            oldest = at;
    }
    if (oldest == UINT32_MAX)
        return false;
    take_out(t, s, oldest);
    return true;
}

static struct cell *find_or_insert(struct cell_table *t, struct cell_stripe *s, uint64_t hash,
                                   uint64_t now_ns)
{
    struct cell *c = find(t, s, hash);

    if (!c)
        c = insert(t, s, hash, now_ns);
    if (!c && t->rule.forgets && forget_old(t, s, hash))
        c = insert(t, s, hash, now_ns);
    return c;
}

struct cell *cell_table_lock(struct cell_table *t, struct slice key, uint64_t now_ns,
                             struct cell_stripe **s)
{
    uint64_t hash = hash_of(t, key);
    struct cell *c;

    *s = stripe_of(t, hash);
    do {
        pthread_mutex_lock(&(*s)->lock);
        c = find_or_insert(t, *s, hash, now_ns);
        if (c)
            return c;
        pthread_mutex_unlock(&(*s)->lock);
    } while (cell_table_sweep(t, now_ns));
    atomic_fetch_add_explicit(&t->overflows, 1, memory_order_relaxed);
    return NULL;
}

/* ---- operations ---- */

/* A thread that is behind another would find less than is left: the time is that of the latest.
 * Called once the level is known. */
static uint64_t latest_ns(struct cell_table *t, uint64_t now_ns)
{
    uint64_t latest = atomic_load_explicit(&t->latest_ns, memory_order_relaxed);

    while (latest < now_ns &&
           !atomic_compare_exchange_weak_explicit(&t->latest_ns, &latest, now_ns,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    return latest > now_ns ? latest : now_ns;
}

static bool fixed_add_or_take(struct cell_table *t, enum cell_fixed fixed, struct cell_taking *what,
                              uint64_t now_ns)
{
    uint64_t word = atomic_load_explicit(&t->words[fixed], memory_order_acquire), next;

    do {
        next = word;
        if (!cell_add_or_take(&t->rule, &next, what, latest_ns(t, now_ns)))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&t->words[fixed], &word, next,
                                                    memory_order_acq_rel, memory_order_acquire));
    mark_changed(t);
    return true;
}

static bool keyed_add_or_take(struct cell_table *t, struct slice key, struct cell_taking *what,
                              uint64_t now_ns)
{
    struct cell_stripe *s;
    struct cell *c;
    bool done;

    if (!key.data)
        return fixed_add_or_take(t, CELL_SINGLE, what, now_ns);
    c = cell_table_lock(t, key, now_ns, &s);
    if (!c)
        return fixed_add_or_take(t, CELL_OTHER, what, now_ns);
    done = cell_add_or_take(&t->rule, &c->word, what, latest_ns(t, now_ns));
    pthread_mutex_unlock(&s->lock);
    if (done)
        mark_changed(t);
    return done;
}

bool cell_limit_take(struct cell_table *t, struct slice key, double cost, uint64_t now_ns)
{
    return keyed_add_or_take(t, key, &(struct cell_taking){.cost = cost}, now_ns);
}

bool cell_limit_take_leaving(struct cell_table *t, struct slice key, double cost, double left,
                             uint64_t now_ns)
{
    return keyed_add_or_take(t, key, &(struct cell_taking){.cost = cost, .left = left}, now_ns);
}

double cell_limit_share(struct cell_table *t, struct slice key, uint64_t randomness,
                        uint64_t now_ns)
{
    struct cell_taking what = {.draws = true, .randomness = randomness};

    (void)keyed_add_or_take(t, key, &what, now_ns);
    return what.share;
}

bool cell_seen_add(struct cell_table *t, struct slice key, uint64_t now_ns)
{
    return keyed_add_or_take(t, key, &(struct cell_taking){0}, now_ns);
}

/* Copies the key's cell, or the one that it would share. False: it has none. */
static bool read_cell(struct cell_table *t, struct slice key, struct cell *copy)
{
    uint64_t hash = hash_of(t, key);
    struct cell_stripe *s = stripe_of(t, hash);
    const struct cell *c;

    pthread_mutex_lock(&s->lock);
    c = find(t, s, hash);
    if (c)
        memcpy(copy, c, t->stride);
    pthread_mutex_unlock(&s->lock);
    return c != NULL;
}

static bool is_full(const struct cell_table *t)
{
    return atomic_load_explicit(&t->keys, memory_order_relaxed) >= t->rule.max_keys;
}

bool cell_seen_has(struct cell_table *t, struct slice key, uint64_t now_ns)
{
    struct cell copy;

    if (key.data && read_cell(t, key, &copy))
        return copy.word > now_ns;
    if (key.data && !is_full(t))
        return false;
    return atomic_load_explicit(&t->words[key.data ? CELL_OTHER : CELL_SINGLE],
                                memory_order_relaxed) > now_ns;
}

void cell_counter_add(struct cell_table *t, struct slice key, double n, uint64_t now_ns)
{
    struct cell_stripe *s;
    struct cell *c = key.data ? cell_table_lock(t, key, now_ns, &s) : NULL;

    if (c) {
        cell_count(&t->rule, (struct cell_counter *)(void *)c, n, now_ns);
        pthread_mutex_unlock(&s->lock);
    } else {
        pthread_mutex_lock(&t->fixed_lock);
        cell_count(&t->rule, &t->fixed[key.data ? CELL_OTHER : CELL_SINGLE].counter, n, now_ns);
        pthread_mutex_unlock(&t->fixed_lock);
    }
    mark_changed(t);
}

double cell_counter_per_second(struct cell_table *t, struct slice key, uint64_t now_ns)
{
    union cell_space copy = {.counter = {.counts = {0}}};

    if (!key.data || !read_cell(t, key, &copy.cell)) {
        if (key.data && !is_full(t))
            return 0;
        pthread_mutex_lock(&t->fixed_lock);
        copy = t->fixed[key.data ? CELL_OTHER : CELL_SINGLE];
        pthread_mutex_unlock(&t->fixed_lock);
    }
    return cell_per_second(&t->rule, &copy.counter, now_ns);
}

/* ---- all of them ---- */

static void copy_fixed(struct cell_table *t, int i, union cell_space *copy)
{
    pthread_mutex_lock(&t->fixed_lock);
    *copy = t->fixed[i];
    pthread_mutex_unlock(&t->fixed_lock);
    if (!cell_has_counts(&t->rule))
        copy->cell.word = atomic_load_explicit(&t->words[i], memory_order_relaxed);
    copy->cell.hash = (uint64_t)i;
}

void cell_table_each(struct cell_table *t, uint64_t now_ns,
                     void (*fn)(void *arg, const struct cell *cell), void *arg)
{
    union cell_space copy;

    for (int i = 0; i < CELL_FIXED_COUNT; i++) {
        copy_fixed(t, i, &copy);
        if (!cell_is_over(&t->rule, &copy.cell, now_ns))
            fn(arg, &copy.cell);
    }
    for (int i = 0; i < CELL_STRIPES; i++) {
        struct cell_stripe *s = &t->stripes[i];

        pthread_mutex_lock(&s->lock);
        for (uint32_t k = 0; k < s->capacity; k++) {
            const struct cell *c = cell_at(t, s->cells, k);

            if (c->hash != 0 && !cell_is_over(&t->rule, c, now_ns))
                fn(arg, c);
        }
        pthread_mutex_unlock(&s->lock);
    }
}

void cell_table_put(struct cell_table *t, const struct cell *cell)
{
    struct cell_stripe *s = stripe_of(t, cell->hash);
    struct cell *c;

    if (cell->hash < CELL_FIXED_COUNT) {
        memcpy(&t->fixed[cell->hash], cell, t->stride);
        t->fixed[cell->hash].cell.hash = 0;
        atomic_store_explicit(&t->words[cell->hash], cell->word, memory_order_relaxed);
        return;
    }
    c = find(t, s, cell->hash);
    if (!c)
        c = insert(t, s, cell->hash, 0);
    if (c)
        memcpy(c, cell, t->stride);
}
