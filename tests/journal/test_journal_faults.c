/* Calls of the disk that fail: one at a time, at random, and all of them for a while. What was
 * acknowledged stays, also if the process is killed then; and when the disk is well again the
 * journal goes on by itself.
 *
 *     journal_test_journal_faults [RUNS [SEED]]
 */
#include "journal/life.h"

enum { STEPS = 20 };

static unsigned runs = 40;
static uint64_t first_seed = 1;
static unsigned long calls_failed, refusals;

static struct ledger told, told_after;

/* References in the journal are those of the ledger. */
static void check_counts(struct life *l)
{
    const struct ledger *g = l->ledger;
    struct journal_stats stats;
    uint64_t items = 0;

    for (uint32_t i = 1; i <= g->frames; i++)
        for (uint32_t k = 0; k < g->frame[i].item_count; k++)
            items += g->frame[i].items[k].id != 0;
    for (unsigned i = 0; i < l->moving_count; i++)
        items += l->moving[i].count;
    journal_stats(l->journal, &stats);
    if (stats.live_items != items)
        complain("the journal counts %llu items, not %llu", (unsigned long long)stats.live_items,
                 (unsigned long long)items);
}

/* What a kill leaves now has all that was promised. */
static void check_kill(const struct life *from, uint64_t seed)
{
    struct fake_disk after;
    struct life l;

    fake_disk_crash(from->disk, CRASH_KILL, NULL, &after);
    memcpy(&told_after, from->ledger, sizeof(told_after));
    told_after.now_ns = from->clock.now;
    told_after.unix_ns = from->clock.unix_now;
    told_after.may_repeat = true;
    ledger_cut(&told_after, 0, true);
    if (life_begin(&l, &told_after, &after, from->ack, seed)) {
        after.full = false;
        if (!check_failures && !life_drain(&l))
            complain("what was recovered does not drain");
        life_drop(&l);
    }
    fake_disk_fini(&after);
}

/* Space is looked for now and then: at least every 2 s. */
static void wait_for_space(struct life *l)
{
    for (unsigned i = 0; i < 200 && journal_is_refusing(l->journal); i++) {
        fake_clock_advance(&l->clock, 10 * NS_PER_MS);
        life_journal_step(l);
    }
}

/* The disk is well again: answers come, and everything goes out. */
static void check_well(struct life *l)
{
    if (!life_drain(l))
        complain("it does not drain when the disk is well again");
    for (unsigned w = 0; w < l->writers; w++)
        if (journal_acked(l->writer[w]) != journal_ticket(l->writer[w]))
            complain("writer %u is not answered when the disk is well again", w);
    wait_for_space(l);
    if (journal_is_refusing(l->journal))
        complain("it refuses though the disk is well again");
}

static bool begin(struct life *l, struct fake_disk *disk, enum journal_ack ack, uint64_t seed)
{
    memset(&told, 0, sizeof(told));
    told.decision_cache = 100000;
    fake_disk_init(disk);
    return life_begin(l, &told, disk, ack, seed);
}

static void run(struct life *l, unsigned steps)
{
    for (unsigned i = 0; i < steps && !check_failures; i++) {
        life_step(l, i / 8 % 2 == 0);
        check_counts(l);
        refusals += journal_is_refusing(l->journal);
    }
}

static void fail_one(enum journal_ack ack, uint64_t seed, unsigned call, enum err as)
{
    struct fake_disk disk;
    struct life l;

    snprintf(ledger_run, sizeof(ledger_run), "seed %llu, call %u fails as %s",
             (unsigned long long)seed, call, err_name(as));
    if (begin(&l, &disk, ack, seed)) {
        run(&l, STEPS / 2);
        disk.fail_at = call;
        disk.fail_as = as;
        run(&l, STEPS / 2);
        calls_failed += disk.fail_at == 0;
        disk.fail_at = 0;
        check_kill(&l, seed);
        check_well(&l);
        life_drop(&l);
    }
    fake_disk_fini(&disk);
}

/* Calls that half a run makes. */
static unsigned count_calls(enum journal_ack ack, uint64_t seed)
{
    struct fake_disk disk;
    uint64_t calls = 0;
    struct life l;

    if (begin(&l, &disk, ack, seed)) {
        run(&l, STEPS / 2);
        calls = disk.calls;
        run(&l, STEPS / 2);
        calls = disk.calls - calls;
        life_drop(&l);
    }
    fake_disk_fini(&disk);
    return (unsigned)calls;
}

static void fail_each(enum journal_ack ack)
{
    for (uint64_t seed = first_seed; seed < first_seed + 1 + runs / 200 && !check_failures;
         seed++) {
        unsigned calls = count_calls(ack, seed);

        for (unsigned call = 1; call <= calls && !check_failures; call++) {
            fail_one(ack, seed, call, ERR_IO);
            fail_one(ack, seed, call, ERR_FULL);
        }
    }
}

static void each_call_may_fail_at_level_written(void)
{
    fail_each(ACK_WRITTEN);
}

static void each_call_may_fail_at_level_fsync(void)
{
    fail_each(ACK_FSYNC);
}

/* A disk that fails now and then, then always, then not any more. */
static void fail_at_random(uint64_t seed)
{
    static const double chances[] = {0.02, 0.3, 1};
    struct fake_disk disk;
    struct life l;
    struct rng rng;

    rng_seed(&rng, seed);
    snprintf(ledger_run, sizeof(ledger_run), "faults of seed %llu", (unsigned long long)seed);
    if (begin(&l, &disk, seed % 2 ? ACK_WRITTEN : ACK_FSYNC, seed)) {
        run(&l, STEPS / 2);
        disk.faults = (struct fake_faults){
            .rng = &rng,
            .chance = chances[seed % 3],
            .calls = seed % 5 == 0 ? 1U << FAKE_CALL_SYNC : (1U << FAKE_CALL_COUNT) - 1,
            .errors =
                seed % 7 < 3 ? FAKE_ENOSPC | FAKE_EDQUOT : FAKE_EIO | FAKE_EROFS | FAKE_EMFILE};
        run(&l, STEPS);
        disk.faults.chance = 0;
        check_kill(&l, seed);
        check_well(&l);
        check_kill(&l, seed + 1);
        life_drop(&l);
    }
    fake_disk_fini(&disk);
}

static void a_disk_may_fail_at_random(void)
{
    for (unsigned i = 0; i < runs && !check_failures; i++)
        fail_at_random(first_seed + i);
}

/* Of seeds that have found something: a region was marked free that the log of decisions already
 * relied on, because the segment had left an earlier one too. */
static void what_has_failed_once_does_not_again(void)
{
    fail_at_random(823);
}

/* Nothing new is acknowledged while it is full, and what is decided goes out. */
static void fill(uint64_t seed)
{
    struct fake_disk disk;
    struct life l;
    unsigned long before = refusals;

    snprintf(ledger_run, sizeof(ledger_run), "full, seed %llu", (unsigned long long)seed);
    if (begin(&l, &disk, seed % 2 ? ACK_WRITTEN : ACK_FSYNC, seed)) {
        disk.full = true;
        for (unsigned i = 0; i < 40 && refusals == before && !check_failures; i++)
            run(&l, STEPS);
        if (refusals == before)
            complain("it never refuses");
        check_kill(&l, seed);
        disk.full = false;
        check_well(&l);
        life_drop(&l);
    }
    fake_disk_fini(&disk);
}

static void a_full_disk_refuses_until_there_is_room(void)
{
    for (unsigned i = 0; i < runs / 10 && !check_failures; i++)
        fill(first_seed + i);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        runs = (unsigned)atoi(argv[1]);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    RUN(each_call_may_fail_at_level_written);
    RUN(each_call_may_fail_at_level_fsync);
    RUN(a_disk_may_fail_at_random);
    RUN(what_has_failed_once_does_not_again);
    RUN(a_full_disk_refuses_until_there_is_room);
    printf("%lu single calls failed\n", calls_failed);
    return DONE();
}
