/* Cells: exact over threads, bounded, carried over, and back from a file. */
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "check.h"
#include "policy/cells.h"
#include "policy/policy.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define START_NS (UINT64_C(1000) * NS_PER_S)
#define UNIX_NS  (UINT64_C(1700000000) * NS_PER_S)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { MANY_RUNS = 50 };
#else
enum { MANY_RUNS = 1000 };
#endif

static const struct slice no_key;

static struct cell_rule limit_rule(double per_second, double burst)
{
    uint64_t interval_ns = (uint64_t)((double)NS_PER_S / per_second);

    return (struct cell_rule){.kind = CELL_LIMIT,
                              .max_keys = 100,
                              .interval_ns = interval_ns,
                              .burst_ns = (uint64_t)(burst * (double)interval_ns)};
}

static struct cell_rule window_rule(enum cell_kind kind, uint64_t window_ns, uint32_t max_keys)
{
    return (struct cell_rule){.kind = kind, .max_keys = max_keys, .interval_ns = window_ns};
}

static struct cell_table *table(struct cells *c, const struct cell_rule *rule, uint64_t now_ns)
{
    return cells_table(c, "policy", "name", rule, now_ns);
}

/* ---- meaning ---- */

static void a_limit_gives_its_burst_then_its_rate(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule rule = limit_rule(100, 10);
    struct cell_table *t = table(c, &rule, START_NS);
    unsigned taken = 0;

    for (uint64_t ms = 0; ms < 10000; ms++)
        taken += cell_limit_take(t, no_key, 1, START_NS + ms * NS_PER_MS);
    CHECK(taken == 10 + 999); /* a burst, then one each 10 ms */
    CHECK(!cell_limit_take(t, no_key, 11, START_NS + 100 * NS_PER_S)); /* never that much */
    CHECK(cell_limit_take(t, no_key, 10, START_NS + 100 * NS_PER_S));
    CHECK(!cell_limit_take(t, no_key, 0.5, START_NS + 100 * NS_PER_S));
    CHECK(cell_limit_take(t, no_key, 0.5, START_NS + 100 * NS_PER_S + 5 * NS_PER_MS));
    cell_table_unref(t);
    cells_free(c);
}

static void keys_have_limits_of_their_own(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule rule = limit_rule(1, 1);
    struct cell_table *t = table(c, &rule, START_NS);

    CHECK(cell_limit_take(t, slice_str("a"), 1, START_NS));
    CHECK(cell_limit_take(t, slice_str("b"), 1, START_NS));
    CHECK(cell_limit_take(t, no_key, 1, START_NS));
    CHECK(cell_limit_take(t, slice_str(""), 1, START_NS));
    CHECK(!cell_limit_take(t, slice_str("a"), 1, START_NS));
    CHECK(cell_limit_take(t, slice_str("a"), 1, START_NS + NS_PER_S));
    cell_table_unref(t);
    cells_free(c);
}

static void what_was_seen_is_new_again_after_the_window(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule rule = window_rule(CELL_SEEN, 60 * NS_PER_S, 100);
    struct cell_table *t = table(c, &rule, START_NS);

    CHECK(!cell_seen_has(t, slice_str("a"), START_NS));
    CHECK(cell_seen_add(t, slice_str("a"), START_NS));
    CHECK(cell_seen_has(t, slice_str("a"), START_NS + 59 * NS_PER_S));
    CHECK(!cell_seen_add(t, slice_str("a"), START_NS + 59 * NS_PER_S));
    CHECK(!cell_seen_has(t, slice_str("a"), START_NS + 60 * NS_PER_S)); /* it was not renewed */
    CHECK(cell_seen_add(t, slice_str("a"), START_NS + 60 * NS_PER_S));
    CHECK(!cell_seen_has(t, slice_str("b"), START_NS));
    cell_table_unref(t);
    cells_free(c);
}

static bool near(double a, double b)
{
    return a - b < 1e-9 && b - a < 1e-9;
}

static void a_counter_forgets_what_left_its_window(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule rule = window_rule(CELL_COUNTER, 10 * NS_PER_S, 100);
    struct cell_table *t = table(c, &rule, START_NS);

    for (uint64_t s = 0; s < 20; s++)
        cell_counter_add(t, slice_str("a"), 5, START_NS + s * NS_PER_S);
    CHECK(near(cell_counter_per_second(t, slice_str("a"), START_NS + 20 * NS_PER_S - 1), 5));
    /* Half a second later half of the oldest second is out, and nothing came. */
    CHECK(near(cell_counter_per_second(t, slice_str("a"), START_NS + 20 * NS_PER_S + NS_PER_S / 2),
               4.75));
    CHECK(near(cell_counter_per_second(t, slice_str("a"), START_NS + 25 * NS_PER_S), 2.5));
    CHECK(near(cell_counter_per_second(t, slice_str("a"), START_NS + 40 * NS_PER_S), 0));
    CHECK(near(cell_counter_per_second(t, slice_str("b"), START_NS), 0));
    cell_counter_add(t, no_key, 30, START_NS);
    CHECK(near(cell_counter_per_second(t, no_key, START_NS), 3));
    cell_table_unref(t);
    cells_free(c);
}

/* ---- bounds ---- */

struct found {
    uint32_t keys;
    uint64_t overflows;
};

static void on_stats(void *arg, const struct cell_stats *s)
{
    *(struct found *)arg = (struct found){s->keys, s->overflows};
}

static void keys_beyond_the_maximum_share_a_cell(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule rule = window_rule(CELL_SEEN, 60 * NS_PER_S, 50);
    struct cell_table *t = table(c, &rule, START_NS);
    struct found found = {0};
    char key[16];
    unsigned new = 0;

    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key-%u", i);
        new += cell_seen_add(t, slice_str(key), START_NS);
    }
    CHECK(new == 51); /* 50 and the first of all others */
    cells_each(c, on_stats, &found);
    CHECK(found.keys == 50);
    CHECK(found.overflows == 950);
    CHECK(cell_seen_has(t, slice_str("key-999"), START_NS + NS_PER_S));
    CHECK(cell_seen_has(t, slice_str("never"), START_NS + NS_PER_S)); /* as all that share it */
    /* Once the keys are over there is room again. */
    CHECK(cell_seen_add(t, slice_str("key-999"), START_NS + 60 * NS_PER_S));
    CHECK(cell_seen_add(t, slice_str("key-998"), START_NS + 60 * NS_PER_S));
    cells_each(c, on_stats, &found);
    CHECK(found.keys == 2);
    cell_table_unref(t);
    cells_free(c);
}

static void without_memory_keys_share_a_cell(void)
{
    struct memory memory;
    struct cells *c;
    struct cell_rule rule = limit_rule(1, 1);
    struct cell_table *t;
    struct found found = {0};

    memory_init(&memory, 1 << 20, 1 << 10);
    memory_add(&memory, (1 << 20) - 64);
    c = cells_new(&memory);
    t = table(c, &rule, START_NS);
    CHECK(cell_limit_take(t, slice_str("a"), 1, START_NS));
    CHECK(!cell_limit_take(t, slice_str("b"), 1, START_NS));
    cells_each(c, on_stats, &found);
    CHECK(found.keys == 0 && found.overflows == 2);
    cell_table_unref(t);
    cells_free(c);
    CHECK(memory_used(&memory) == (1 << 20) - 64);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 4000 };

struct many {
    struct cell_table *limit, *seen, *counter;
    _Atomic unsigned taken, new;
};

static struct slice number_key(char text[16], unsigned number)
{
    return slice_make(text, (size_t)snprintf(text, 16, "%u", number));
}

/* Old keys give way, and are new again; a key that is new is always told so. Returns how many of
 * the last max_keys are there. */
static unsigned forgets_and_misses_nothing_new(uint32_t max_keys)
{
    enum { KEYS = 1000 };
    struct memory memory;
    struct cells *c;
    struct cell_rule rule = window_rule(CELL_SEEN, 3600 * NS_PER_S, max_keys);
    struct cell_table *t;
    unsigned lately = 0;
    size_t bytes;
    char text[16];

    memory_init(&memory, 16 << 20, 0);
    c = cells_new(&memory);
    rule.forgets = true;
    t = table(c, &rule, START_NS);
    for (unsigned i = 0; i < KEYS; i++)
        CHECK(cell_seen_add(t, number_key(text, i), START_NS + i * NS_PER_MS));
    bytes = memory_used(&memory);
    for (unsigned i = KEYS; i < 20 * KEYS; i++)
        CHECK(cell_seen_add(t, number_key(text, i), START_NS + i * NS_PER_MS));
    CHECK(memory_used(&memory) <= 2 * bytes);
    for (unsigned i = 20 * KEYS - max_keys; i < 20 * KEYS; i++)
        lately += cell_seen_has(t, number_key(text, i), START_NS + 20 * KEYS * NS_PER_MS);
    cell_table_unref(t);
    cells_free(c);
    CHECK(memory_used(&memory) == 0);
    return lately;
}

/* It is mostly old ones that go. How many are old is chance in one table: each stripe forgets its
 * own, and which keys meet there is as the table hashes. */
static void what_forgets_misses_nothing_new(void)
{
    enum { TABLES = 12 };
    static const uint32_t max_keys[] = {1, 10, 64};

    for (size_t i = 0; i < sizeof(max_keys) / sizeof(max_keys[0]); i++) {
        unsigned lately = 0;

        for (int n = 0; n < TABLES; n++)
            lately += forgets_and_misses_nothing_new(max_keys[i]);
        CHECK(lately > TABLES * max_keys[i] / 2);
    }
}

/* ---- shares ---- */

/* What came and what is made of what passed, while the rate goes from the cap's to fifty times it
 * and back. */
struct flood {
    double came, counted;
    unsigned most_in_a_second;
};

/* Appends a time; returns how many lie in the second before it. */
static unsigned in_a_second(uint64_t times[1024], unsigned *first, unsigned *end, uint64_t now_ns)
{
    times[(*end)++ % 1024] = now_ns;
    while (times[*first % 1024] + NS_PER_S <= now_ns)
        ++*first;
    return *end - *first;
}

static struct flood run_flood(struct cell_table *t, double cap, struct rng *rng)
{
    static const double times_cap[] = {1, 50, 1};
    uint64_t now_ns = START_NS, times[1024];
    unsigned first = 0, end = 0, within;
    struct flood f = {0};

    for (int phase = 0; phase < 3; phase++) {
        uint64_t until_ns = now_ns + 2 * NS_PER_S;

        while ((now_ns += (uint64_t)(-log(1 - rng_unit(rng)) / (cap * times_cap[phase]) * 1e9)) <
               until_ns) {
            uint64_t randomness = rng_next(rng) >> 8;
            double p = cell_limit_share(t, no_key, randomness, now_ns);

            f.came++;
            if (p == 0 || randomness < sampling_threshold(p))
                continue;
            f.counted += 1 / p;
            within = in_a_second(times, &first, &end, now_ns);
            if (within > f.most_in_a_second)
                f.most_in_a_second = within;
        }
        now_ns = until_ns;
    }
    return f;
}

static void shares_hold_the_cap_and_count_without_bias(double cap, double burst, int runs)
{
    struct rng rng;
    double sum = 0, squares = 0, mean, error;

    rng_seed(&rng, 7);
    for (int i = 0; i < runs; i++) {
        struct cells *c = cells_new(NULL);
        struct cell_rule rule = limit_rule(cap - burst + 1, burst);
        struct cell_table *t = table(c, &rule, START_NS);
        struct flood f = run_flood(t, cap, &rng);

        CHECK(f.most_in_a_second <= (unsigned)cap);
        CHECK(f.counted > 0);
        sum += f.counted / f.came;
        squares += f.counted / f.came * (f.counted / f.came);
        cell_table_unref(t);
        cells_free(c);
    }
    mean = sum / runs;
    error = sqrt((squares / runs - mean * mean) / runs);
    CHECK(fabs(mean - 1) <= 3 * error && error < 0.1);
}

static void a_share_never_passes_the_cap_in_any_second_through_a_flood(void)
{
    shares_hold_the_cap_and_count_without_bias(10, 7, MANY_RUNS);
    shares_hold_the_cap_and_count_without_bias(100, 20, MANY_RUNS);
}

static void *take_many(void *arg)
{
    struct many *m = arg;
    char key[16];

    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(key, sizeof(key), "%u", i % 97);
        m->taken += cell_limit_take(m->limit, no_key, 1, START_NS);
        m->taken += cell_limit_take(m->limit, slice_str("key"), 1, START_NS);
        m->new += cell_seen_add(m->seen, slice_str(key), START_NS);
        cell_counter_add(m->counter, slice_str(key), 1, START_NS);
        cell_counter_add(m->counter, no_key, 1, START_NS);
    }
    return NULL;
}

static void four_threads_take_exactly_what_there_is(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule limit = limit_rule(1000, 5000);
    struct cell_rule seen = window_rule(CELL_SEEN, NS_PER_S, 1000);
    struct cell_rule counter = window_rule(CELL_COUNTER, NS_PER_S, 1000);
    struct many m = {.limit = table(c, &limit, START_NS),
                     .seen = table(c, &seen, START_NS),
                     .counter = table(c, &counter, START_NS)};
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, take_many, &m) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(m.taken == 2 * 5000);
    CHECK(m.new == 97);
    CHECK(near(cell_counter_per_second(m.counter, no_key, START_NS), THREADS * ROUNDS));
    CHECK(near(cell_counter_per_second(m.counter, slice_str("96"), START_NS),
               THREADS * (ROUNDS / 97)));
    cell_table_unref(m.limit);
    cell_table_unref(m.seen);
    cell_table_unref(m.counter);
    cells_free(c);
}

/* A worker's now_ns is of the begin of its turn: before what another one has taken at since. */
static void a_thread_that_is_behind_takes_the_last_of_it_too(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule rule = limit_rule(1, 10);
    struct cell_table *t = table(c, &rule, START_NS);
    const struct slice keys[] = {no_key, slice_str("key")};

    for (int k = 0; k < 2; k++) {
        unsigned taken = cell_limit_take(t, keys[k], 1, START_NS + NS_PER_MS);

        while (cell_limit_take(t, keys[k], 1, START_NS))
            taken++;
        CHECK(taken == 10);
        CHECK(!cell_limit_take(t, keys[k], 1, START_NS + NS_PER_MS));
    }
    cell_table_unref(t);
    cells_free(c);
}

/* ---- carrying over ---- */

static unsigned take_all(struct cell_table *t, struct slice key, uint64_t now_ns)
{
    unsigned taken = 0;

    while (cell_limit_take(t, key, 1, now_ns))
        taken++;
    return taken;
}

static void the_same_rule_is_the_same_table(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule rule = limit_rule(1, 5);
    struct cell_table *a = table(c, &rule, START_NS), *b = table(c, &rule, START_NS), *other;

    CHECK(a == b);
    CHECK(cell_limit_take(a, no_key, 3, START_NS));
    cell_table_unref(a);
    cell_table_unref(b);
    a = table(c, &rule, START_NS); /* a reload in between */
    CHECK(take_all(a, no_key, START_NS) == 2);
    other = cells_table(c, "policy", "other", &rule, START_NS);
    CHECK(take_all(other, no_key, START_NS) == 5);
    cell_table_unref(a);
    cell_table_unref(other);
    cells_free(c);
}

static void a_changed_limit_keeps_its_level_and_is_clamped(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule rule = limit_rule(10, 100), faster = limit_rule(100, 90),
                     small = limit_rule(100, 5);
    struct cell_table *t = table(c, &rule, START_NS), *u;

    CHECK(cell_limit_take(t, no_key, 60, START_NS));
    CHECK(cell_limit_take(t, slice_str("key"), 20, START_NS));
    u = table(c, &faster, START_NS);
    CHECK(u != t);
    CHECK(take_all(u, slice_str("key"), START_NS) == 70);
    CHECK(take_all(u, no_key, START_NS) == 30);
    cell_table_unref(t);
    cell_table_unref(u);
    u = table(c, &small, START_NS);
    CHECK(take_all(u, no_key, START_NS) == 0);
    CHECK(take_all(u, no_key, START_NS + 50 * NS_PER_MS) == 5); /* it never owes more than it has */
    cell_table_unref(u);
    cells_free(c);
}

static void a_changed_window_keeps_what_is_inside_of_it(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_rule seen = window_rule(CELL_SEEN, 60 * NS_PER_S, 100);
    struct cell_rule less = window_rule(CELL_SEEN, 10 * NS_PER_S, 100);
    struct cell_rule counter = window_rule(CELL_COUNTER, 10 * NS_PER_S, 100);
    struct cell_rule wider = window_rule(CELL_COUNTER, 100 * NS_PER_S, 100);
    struct cell_table *t = table(c, &seen, START_NS), *u = table(c, &counter, START_NS);

    CHECK(cell_seen_add(t, slice_str("a"), START_NS));
    cell_counter_add(u, slice_str("a"), 50, START_NS);
    cell_table_unref(t);
    cell_table_unref(u);
    t = table(c, &less, START_NS + NS_PER_S);
    CHECK(cell_seen_has(t, slice_str("a"), START_NS + 10 * NS_PER_S));
    CHECK(!cell_seen_has(t, slice_str("a"), START_NS + 11 * NS_PER_S));
    u = table(c, &wider, START_NS + NS_PER_S);
    CHECK(near(cell_counter_per_second(u, slice_str("a"), START_NS + NS_PER_S), 0.5));
    cell_table_unref(t);
    cell_table_unref(u);
    cells_free(c);
}

static void a_copy_leaves_no_trace(void)
{
    struct cells *c = cells_new(NULL), *trial;
    struct cell_rule rule = limit_rule(1, 5);
    struct cell_table *live = table(c, &rule, START_NS), *copy;

    CHECK(cell_limit_take(live, slice_str("a"), 2, START_NS));
    trial = cells_copy(c, START_NS);
    copy = table(trial, &rule, START_NS);
    CHECK(take_all(copy, slice_str("a"), START_NS) == 3);
    CHECK(take_all(live, slice_str("a"), START_NS) == 3);
    cell_table_unref(copy);
    cells_free(trial);
    cell_table_unref(live);
    cells_free(c);
}

/* ---- files ---- */

struct stored {
    struct cells *cells;
    struct cell_table *limit, *seen, *counter;
};

static const struct cell_rule stored_counter = {
    .kind = CELL_COUNTER, .max_keys = 100, .interval_ns = 10 * NS_PER_S};

static void hold(struct stored *s, uint64_t now_ns)
{
    struct cell_rule limit = limit_rule(1, 5), seen = window_rule(CELL_SEEN, 60 * NS_PER_S, 100);

    s->limit = table(s->cells, &limit, now_ns);
    s->seen = table(s->cells, &seen, now_ns);
    s->counter = table(s->cells, &stored_counter, now_ns);
}

static void let_go(struct stored *s)
{
    cell_table_unref(s->limit);
    cell_table_unref(s->seen);
    cell_table_unref(s->counter);
    cells_free(s->cells);
}

static void write_some(struct buf *out)
{
    struct stored s = {.cells = cells_new(NULL)};

    hold(&s, START_NS);
    buf_init(out, 1 << 20, NULL);
    CHECK(!cells_changed(s.cells));
    CHECK(cell_limit_take(s.limit, no_key, 5, START_NS));
    CHECK(cell_limit_take(s.limit, slice_str("a"), 3, START_NS));
    CHECK(cell_seen_add(s.seen, slice_str("a"), START_NS));
    cell_counter_add(s.counter, slice_str("a"), 50, START_NS);
    CHECK(cells_changed(s.cells));
    cells_write(s.cells, START_NS, UNIX_NS, out);
    CHECK(!cells_changed(s.cells));
    let_go(&s);
}

static void levels_come_back_from_a_file_after_another_boot(void)
{
    struct stored s = {.cells = cells_new(NULL)};
    struct buf file;
    struct err_info info;
    uint64_t boot_ns = 100 * NS_PER_S; /* the clock began anew; two seconds have passed */

    write_some(&file);
    CHECK(cells_read(s.cells, buf_slice(&file), boot_ns, UNIX_NS + 2 * NS_PER_S, &info) == ERR_OK);
    hold(&s, boot_ns);
    CHECK(take_all(s.limit, no_key, boot_ns) == 2);
    CHECK(take_all(s.limit, slice_str("a"), boot_ns) == 4);
    CHECK(take_all(s.limit, slice_str("b"), boot_ns) == 5);
    CHECK(cell_seen_has(s.seen, slice_str("a"), boot_ns + 57 * NS_PER_S));
    CHECK(!cell_seen_has(s.seen, slice_str("a"), boot_ns + 58 * NS_PER_S));
    CHECK(near(cell_counter_per_second(s.counter, slice_str("a"), boot_ns), 5));
    CHECK(near(cell_counter_per_second(s.counter, slice_str("a"), boot_ns + 9 * NS_PER_S), 0));
    let_go(&s);
    buf_fini(&file);
}

static void a_clock_that_went_back_takes_nothing_away(void)
{
    struct stored s = {.cells = cells_new(NULL)};
    struct buf file;
    struct err_info info;

    write_some(&file);
    CHECK(cells_read(s.cells, buf_slice(&file), START_NS, UNIX_NS - NS_PER_S, &info) == ERR_OK);
    hold(&s, START_NS);
    CHECK(take_all(s.limit, no_key, START_NS) == 0);
    CHECK(take_all(s.limit, no_key, START_NS + 5 * NS_PER_S) == 5);
    let_go(&s);
    buf_fini(&file);
}

static void a_damaged_file_is_refused_whole(void)
{
    struct buf file;

    write_some(&file);
    for (size_t i = 0; i < file.len; i++) {
        struct stored s = {.cells = cells_new(NULL)};
        struct err_info info;

        file.data[i] ^= 0x10;
        CHECK(cells_read(s.cells, buf_slice(&file), START_NS, UNIX_NS, &info) == ERR_PARSE);
        file.data[i] ^= 0x10;
        CHECK(cells_read(s.cells, slice_make(file.data, i), START_NS, UNIX_NS, &info) == ERR_PARSE);
        hold(&s, START_NS);
        CHECK(cell_limit_take(s.limit, no_key, 5, START_NS));
        let_go(&s);
    }
    buf_fini(&file);
}

static void put_checksum(struct buf *file)
{
    uint32_t sum = crc32c(0, file->data, file->len - 4);

    for (int i = 0; i < 4; i++)
        file->data[file->len - 4 + (size_t)i] = (uint8_t)(sum >> (8 * i));
}

/* Whoever can write a checksum may write anything behind it. */
static void a_forged_file_is_refused_or_within_bounds(void)
{
    struct buf file;
    struct err_info info;

    write_some(&file);
    for (size_t i = 8; i < file.len - 4; i++)
        for (int bit = 0; bit < 8; bit += 7) {
            struct stored s = {.cells = cells_new(NULL)};

            file.data[i] ^= (uint8_t)(1 << bit);
            put_checksum(&file);
            if (cells_read(s.cells, buf_slice(&file), START_NS, UNIX_NS, &info) != ERR_OK)
                CHECK(cells_is_empty(s.cells));
            hold(&s, START_NS);
            CHECK(take_all(s.limit, slice_str("a"), START_NS) <= 5);
            CHECK(cell_counter_per_second(s.counter, slice_str("a"), START_NS) >= 0);
            let_go(&s);
            file.data[i] ^= (uint8_t)(1 << bit);
        }
    put_checksum(&file);
    for (size_t len = 36; len < file.len; len++) {
        struct stored s = {.cells = cells_new(NULL)};
        struct buf cut;

        buf_init(&cut, 1 << 20, NULL);
        buf_append(&cut, file.data, len);
        put_checksum(&cut);
        (void)!cells_read(s.cells, buf_slice(&cut), START_NS, UNIX_NS, &info);
        buf_fini(&cut);
        cells_free(s.cells);
    }
    buf_fini(&file);
}

static void what_nobody_declares_any_more_is_forgotten_when_it_is_over(void)
{
    struct cells *c = cells_new(NULL);
    struct buf file, again;
    struct found found = {.keys = 7};
    struct err_info info;

    write_some(&file);
    buf_init(&again, 1 << 20, NULL);
    CHECK(cells_read(c, buf_slice(&file), START_NS, UNIX_NS, &info) == ERR_OK);
    cells_write(c, START_NS, UNIX_NS, &again);
    CHECK(slice_equal(buf_slice(&file), buf_slice(&again))); /* nothing is lost meanwhile */
    buf_clear(&again);
    cells_forget(c, START_NS);
    cells_each(c, on_stats, &found);
    CHECK(found.keys != 7);
    found.keys = 7;
    cells_write(c, START_NS + 60 * NS_PER_S, UNIX_NS + 60 * NS_PER_S, &again);
    CHECK(again.len < 48);
    cells_forget(c, START_NS + 60 * NS_PER_S);
    cells_each(c, on_stats, &found);
    CHECK(found.keys == 7); /* there is none */
    buf_fini(&file);
    buf_fini(&again);
    cells_free(c);
}

int main(void)
{
    RUN(a_limit_gives_its_burst_then_its_rate);
    RUN(keys_have_limits_of_their_own);
    RUN(what_was_seen_is_new_again_after_the_window);
    RUN(a_counter_forgets_what_left_its_window);
    RUN(keys_beyond_the_maximum_share_a_cell);
    RUN(without_memory_keys_share_a_cell);
    RUN(what_forgets_misses_nothing_new);
    RUN(a_share_never_passes_the_cap_in_any_second_through_a_flood);
    RUN(four_threads_take_exactly_what_there_is);
    RUN(a_thread_that_is_behind_takes_the_last_of_it_too);
    RUN(the_same_rule_is_the_same_table);
    RUN(a_changed_limit_keeps_its_level_and_is_clamped);
    RUN(a_changed_window_keeps_what_is_inside_of_it);
    RUN(a_copy_leaves_no_trace);
    RUN(levels_come_back_from_a_file_after_another_boot);
    RUN(a_clock_that_went_back_takes_nothing_away);
    RUN(a_damaged_file_is_refused_whole);
    RUN(a_forged_file_is_refused_or_within_bounds);
    RUN(what_nobody_declares_any_more_is_forgotten_when_it_is_over);
    return DONE();
}
