/* Rates by key: exact over threads, and back from a file. Their values are in spec/state_spec.lua.
 */
#include "base/clock.h"
#include "check.h"
#include "policy/cell_rates.h"

#include <pthread.h>

#define START_NS    (UINT64_C(1000) * NS_PER_S)
#define UNIX_NS     (UINT64_C(1700000000) * NS_PER_S)
#define INTERVAL_NS (15 * NS_PER_S)

static const struct rate_rule mean = {
    .by = RATE_MEAN, .goal = 10, .weight = 0.5, .age_out = 0.5, .initial = 10};

static struct cell_table *rates(struct cells *c, uint64_t now_ns)
{
    struct cell_rule rule = {.kind = CELL_RATE, .max_keys = 100, .interval_ns = INTERVAL_NS};

    return cells_table(c, "policy", "rates", &rule, now_ns);
}

static double rate_of(struct cell_table *t, const char *key, double n, uint64_t now_ns)
{
    return cell_rate(t, slice_str(key), n, &mean, now_ns);
}

/* What comes of the small ones. */
static void send_small(struct cell_table *t, uint64_t now_ns)
{
    rate_of(t, "c", 100, now_ns);
    rate_of(t, "d", 10, now_ns);
    rate_of(t, "e", 1, now_ns);
}

/* One interval has passed, and a little came after it. */
static void write_rates(struct buf *file)
{
    struct cells *before = cells_new(NULL);
    struct cell_table *t = rates(before, START_NS);

    buf_init(file, 1 << 20, NULL);
    CHECK(rate_of(t, "a", 10000, START_NS) == 10);
    CHECK(rate_of(t, "b", 1000, START_NS) == 10);
    send_small(t, START_NS);
    CHECK(rate_of(t, "a", 7, START_NS + INTERVAL_NS) == 22);
    CHECK(cells_changed(before));
    cells_write(before, START_NS + INTERVAL_NS, UNIX_NS, file);
    cell_table_unref(t);
    cells_free(before);
}

static void rates_come_back_from_a_file_after_another_boot(void)
{
    struct cells *after = cells_new(NULL);
    uint64_t boot_ns = 100 * NS_PER_S;
    struct cell_table *t;
    struct err_info info;
    struct buf file;

    write_rates(&file);
    CHECK(cells_read(after, buf_slice(&file), boot_ns, UNIX_NS + NS_PER_S, &info) == ERR_OK);
    t = rates(after, boot_ns);
    CHECK(rate_of(t, "a", 9993, boot_ns) == 22); /* the 7 count, too */
    CHECK(rate_of(t, "b", 1000, boot_ns) == 3);
    CHECK(rate_of(t, "new", 0, boot_ns) == 1);
    send_small(t, boot_ns);
    CHECK(rate_of(t, "a", 0, boot_ns + INTERVAL_NS) == 23);
    cell_table_unref(t);
    cells_free(after);
    buf_fini(&file);
}

static void a_copy_changes_nothing_of_the_original(void)
{
    struct cells *c = cells_new(NULL), *copy;
    struct cell_table *t = rates(c, START_NS), *trial;

    rate_of(t, "a", 1000, START_NS);
    rate_of(t, "b", 10, START_NS);
    CHECK(rate_of(t, "b", 0, START_NS + INTERVAL_NS) == 1);
    copy = cells_copy(c, START_NS + INTERVAL_NS);
    trial = rates(copy, START_NS + INTERVAL_NS);
    CHECK(rate_of(trial, "b", 100000, START_NS + INTERVAL_NS) == 1);
    CHECK(rate_of(trial, "b", 0, START_NS + 2 * INTERVAL_NS) > 1);
    CHECK(rate_of(t, "a", 1000, START_NS + INTERVAL_NS) > 10);
    CHECK(rate_of(t, "b", 0, START_NS + 2 * INTERVAL_NS) == 1);
    cell_table_unref(trial);
    cell_table_unref(t);
    cells_free(copy);
    cells_free(c);
}

enum { THREADS = 4, ROUNDS = 3000 };

static void *count_many(void *table)
{
    char key[16];

    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(key, sizeof(key), "%u", i % 97);
        rate_of(table, key, 1, START_NS + i * (INTERVAL_NS / 1000));
    }
    return NULL;
}

static void four_threads_lose_no_key(void)
{
    struct cells *c = cells_new(NULL);
    struct cell_table *t = rates(c, START_NS);
    pthread_t threads[THREADS];
    uint64_t end_ns = START_NS + 10 * INTERVAL_NS;

    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, count_many, t) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 97; i++) {
        char key[16];
        double rate;

        snprintf(key, sizeof(key), "%d", i);
        rate = rate_of(t, key, 0, end_ns);
        CHECK(rate >= 8 && rate <= 13); /* all are of one size, and the goal is 10 */
    }
    cell_table_unref(t);
    cells_free(c);
}

int main(void)
{
    RUN(rates_come_back_from_a_file_after_another_boot);
    RUN(a_copy_changes_nothing_of_the_original);
    RUN(four_threads_lose_no_key);
    return DONE();
}
