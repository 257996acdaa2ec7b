/* What a kill or a power cut leaves of a running journal, at any operation of the disk: everything
 * that was promised is found again, nothing that never was, and the journal goes on from there.
 *
 *     journal_test_crash_states [STATES [SEED]]
 *
 * looks at so many states of each kind, of runs from this seed on.
 */
#include "journal/life.h"

enum { STATES_OF_RUN = 40, FIRST_SEED = 1 };

static unsigned states_of_kind = 80;
static uint64_t first_seed = FIRST_SEED;
static unsigned long states_seen, operations_seen, moves_seen;

static struct ledger told, told_at, told_later; /* large */

static void run(struct life *l, unsigned steps)
{
    for (unsigned i = 0; i < steps && !check_failures; i++)
        life_step(l, i / 16 % 2 == 0);
}

/* At level written a power cut may take what it likes. */
static bool keeps(enum journal_ack ack, enum crash crash)
{
    return crash == CRASH_KILL || ack == ACK_FSYNC;
}

/* The journal that was recovered is brought to its end, and the next one finds nothing to do. */
static void end_well(struct ledger *ledger, struct fake_disk *disk, enum journal_ack ack,
                     uint64_t seed)
{
    struct life l;

    if (!life_begin(&l, ledger, disk, ack, seed))
        return;
    if (!life_drain(&l))
        complain("what was recovered does not drain");
    journal_finish(l.journal, l.clock.now);
    life_drop(&l);
    ledger_cut(ledger, now_op(&l), true);
    if (check_failures || !life_begin(&l, ledger, disk, ack, seed + 1))
        return;
    for (uint32_t i = 1; i <= ledger->frames; i++)
        for (uint32_t k = 0; k < ledger->frame[i].item_count; k++)
            if (ledger->frame[i].items[k].id)
                complain("item %u of frame %u is there after an orderly end", k, i);
    life_drop(&l);
}

/* Recovers, goes on, ends again somewhere, and recovers that. */
static void check_state(struct life *from, size_t n, enum crash crash, uint64_t seed)
{
    struct fake_disk after, later;
    struct life l;
    struct rng rng;
    size_t end;

    rng_seed(&rng, seed);
    snprintf(ledger_run, sizeof(ledger_run), "after %zu operations (%s), seed %llu", n,
             crash == CRASH_KILL ? "kill" : "power", (unsigned long long)seed);
    memcpy(&told_at, &told, sizeof(told));
    told_at.now_ns = from->clock.now;
    told_at.unix_ns = from->clock.unix_now;
    ledger_cut(&told_at, n, keeps(from->ack, crash));
    fake_disk_state_at(from->disk, n, crash, &rng, &after);
    fake_disk_record(&after);
    if (!life_begin(&l, &told_at, &after, from->ack, seed)) {
        fake_disk_fini(&after);
        return;
    }
    run(&l, (unsigned)rng_below(&rng, 12));
    end = rng_below(&rng, now_op(&l) + 1);
    crash = rng_below(&rng, 2) ? CRASH_KILL : crash;
    snprintf(ledger_run + strlen(ledger_run), sizeof(ledger_run) - strlen(ledger_run),
             ", then %zu (%s)", end, crash == CRASH_KILL ? "kill" : "power");
    fake_disk_state_at(&after, end, crash, &rng, &later);
    life_drop(&l);
    memcpy(&told_later, &told_at, sizeof(told_at));
    ledger_cut(&told_later, end, keeps(from->ack, crash));
    if (!check_failures)
        end_well(&told_later, &later, from->ack, seed);
    fake_disk_fini(&later);
    fake_disk_fini(&after);
    states_seen += 2;
}

static void run_states(enum journal_ack ack, enum crash crash, uint64_t seed, unsigned states)
{
    struct fake_disk disk;
    struct life l;
    size_t operations;

    memset(&told, 0, sizeof(told));
    snprintf(ledger_run, sizeof(ledger_run), "run of seed %llu", (unsigned long long)seed);
    told.decision_cache = seed % 3 ? 100000 : 60;
    fake_disk_init(&disk);
    fake_disk_record(&disk);
    if (life_begin(&l, &told, &disk, ack, seed)) {
        run(&l, 60 + seed % 60);
        operations = now_op(&l);
        operations_seen += operations;
        moves_seen += l.moves;
        for (unsigned i = 0; i < states && !check_failures; i++)
            check_state(&l, operations * (i + 1) / states - rng_below(&l.rng, operations / states),
                        crash, seed * 1000 + i);
        life_drop(&l);
    }
    if (check_failures)
        printf("  replay: journal_test_crash_states %u %llu\n", states_of_kind,
               (unsigned long long)first_seed);
    fake_disk_fini(&disk);
}

static void run_campaign(enum journal_ack ack, enum crash crash)
{
    unsigned done = 0;

    for (uint64_t seed = first_seed; done < states_of_kind && !check_failures; seed++) {
        run_states(ack, crash, seed, STATES_OF_RUN);
        done += STATES_OF_RUN;
    }
}

static void a_kill_takes_nothing_of_what_was_written(void)
{
    run_campaign(ACK_WRITTEN, CRASH_KILL);
}

static void a_kill_takes_nothing_of_what_was_synced(void)
{
    run_campaign(ACK_FSYNC, CRASH_KILL);
}

static void a_power_cut_takes_nothing_of_what_was_synced(void)
{
    run_campaign(ACK_FSYNC, CRASH_POWER);
}

static void a_power_cut_may_take_what_was_written_but_invents_nothing(void)
{
    run_campaign(ACK_WRITTEN, CRASH_POWER);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        states_of_kind = (unsigned)atoi(argv[1]);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    RUN(a_kill_takes_nothing_of_what_was_written);
    RUN(a_kill_takes_nothing_of_what_was_synced);
    RUN(a_power_cut_takes_nothing_of_what_was_synced);
    RUN(a_power_cut_may_take_what_was_written_but_invents_nothing);
    printf("%lu states of %lu operations, %lu moves\n", states_seen, operations_seen, moves_seen);
    return DONE();
}
