/* A start without memory: each allocation of opening a folder and of reading it back fails, alone
 * and with all behind it. The start ends with a sentence or works; the folder loses nothing. */
#include "journal/failing_memory.h"
#include "journal/life.h"
#include "journal/store.h"

enum { SEEDS = 1 };

static struct ledger told, told_after;
static unsigned failures;

/* ---- a disk in memory, whose own memory never fails ---- */

static struct disk well;

#define QUIET(name, parameters, ...)                                                               \
    static enum err quiet_##name parameters                                                        \
    {                                                                                              \
        bool was = failing.paused;                                                                 \
        enum err err;                                                                              \
                                                                                                   \
        failing.paused = true;                                                                     \
        err = well.name(__VA_ARGS__);                                                              \
        failing.paused = was;                                                                      \
        return err;                                                                                \
    }

QUIET(open,
      (struct disk * d, const char *path, int flags, mode_t mode, int *fd, struct err_info *info),
      d, path, flags, mode, fd, info)
QUIET(pwrite,
      (struct disk * d, int fd, const void *data, size_t len, uint64_t offset,
       struct err_info *info),
      d, fd, data, len, offset, info)
QUIET(pwritev,
      (struct disk * d, int fd, const struct slice *parts, unsigned count, uint64_t offset,
       struct err_info *info),
      d, fd, parts, count, offset, info)
QUIET(pread,
      (struct disk * d, int fd, void *data, size_t len, uint64_t offset, size_t *got,
       struct err_info *info),
      d, fd, data, len, offset, got, info)
QUIET(datasync, (struct disk * d, int fd, struct err_info *info), d, fd, info)
QUIET(unlink, (struct disk * d, const char *path, struct err_info *info), d, path, info)

static void quieten(struct fake_disk *disk)
{
    well = disk->disk;
    disk->disk.open = quiet_open;
    disk->disk.pwrite = quiet_pwrite;
    disk->disk.pwritev = quiet_pwritev;
    disk->disk.pread = quiet_pread;
    disk->disk.datasync = quiet_datasync;
    disk->disk.unlink = quiet_unlink;
}

/* ---- a folder with something of everything ---- */

static void fill(struct fake_disk *left, uint64_t seed)
{
    struct fake_disk disk;
    struct life l;

    memset(&told, 0, sizeof(told));
    snprintf(ledger_run, sizeof(ledger_run), "folder of seed %llu", (unsigned long long)seed);
    told.decision_cache = 100000;
    fake_disk_init(&disk);
    if (life_begin(&l, &told, &disk, ACK_WRITTEN, seed)) {
        for (unsigned i = 0; i < 60; i++)
            life_step(&l, i / 16 % 2 == 0);
        life_drop(&l);
    }
    ledger_cut(&told, 0, true);
    fake_disk_crash(&disk, CRASH_KILL, NULL, left);
    fake_disk_fini(&disk);
}

/* All that was promised is there. */
static void check_folder(struct fake_disk *disk, uint64_t seed)
{
    struct life l;

    memcpy(&told_after, &told, sizeof(told));
    if (!life_begin(&l, &told_after, disk, ACK_WRITTEN, seed))
        return;
    if (!check_failures && !life_drain(&l))
        complain("what was recovered does not drain");
    life_drop(&l);
}

static void check_sentence(const struct err_info *info)
{
    failures++;
    if (info->code != ERR_FULL || !strstr(info->text, "no memory"))
        complain("it fails with \"%s\"", info->text);
}

/* Fails and checks until no allocation is left that could fail. */
static void each_allocation(bool (*start)(struct fake_disk *disk, uint64_t seed), bool all)
{
    for (uint64_t seed = 1; seed <= SEEDS && !check_failures; seed++) {
        struct fake_disk left, disk;
        bool goes_on = true;

        fill(&left, seed);
        for (unsigned n = 1; goes_on && !check_failures; n++) {
            fake_disk_crash(&left, CRASH_KILL, NULL, &disk);
            quieten(&disk);
            snprintf(ledger_run, sizeof(ledger_run), "seed %llu, allocation %u%s",
                     (unsigned long long)seed, n, all ? " and all behind it" : "");
            fail_allocation(n, all);
            failing.paused = true;
            goes_on = start(&disk, seed);
            check_folder(&disk, seed);
            fake_disk_fini(&disk);
        }
        fake_disk_fini(&left);
    }
}

/* ---- opening ---- */

static bool open_store(struct fake_disk *disk, uint64_t seed)
{
    struct store_config config = {.disk = &disk->disk,
                                  .path = "/j",
                                  .region_bytes = LIFE_SEGMENT,
                                  .file_bytes = 4 * LIFE_SEGMENT,
                                  .max_bytes = 96 * LIFE_SEGMENT};
    struct err_info info = {0};
    struct store *s;
    enum err err;
    bool did_fail;

    (void)seed;
    failing.paused = false;
    err = store_open(&config, &s, &info);
    did_fail = failing.made >= failing.at;
    fail_allocation(0, false);
    if (err != ERR_OK)
        check_sentence(&info);
    store_close(s);
    return did_fail;
}

static void opening_a_folder_fails_with_a_sentence_and_changes_nothing(void)
{
    failures = 0;
    each_allocation(open_store, false);
    each_allocation(open_store, true);
    CHECK(failures > 4);
}

/* ---- reading back ---- */

static void forget_decision(void *arg, const struct decision_record *d)
{
    (void)arg;
    (void)d;
}

static uint32_t keep_frame(void *arg, const struct recovered_frame *f)
{
    (void)arg;
    return f->items;
}

static bool read_back(struct fake_disk *disk, uint64_t seed)
{
    struct recovery to = {.arg = NULL, .decision = forget_decision, .frame = keep_frame};
    struct err_info info = {0};
    struct life l;
    enum err err;
    bool did_fail;

    memcpy(&told_after, &told, sizeof(told));
    if (!life_start(&l, &told_after, disk, ACK_WRITTEN, seed))
        return false;
    failing.paused = false;
    err = journal_recover(l.journal, &to, l.clock.now, &l.found, &info);
    did_fail = failing.made >= failing.at;
    fail_allocation(0, false);
    if (err != ERR_OK)
        check_sentence(&info);
    life_drop(&l);
    return did_fail;
}

static void reading_back_fails_with_a_sentence_and_loses_nothing(void)
{
    failures = 0;
    each_allocation(read_back, false);
    each_allocation(read_back, true);
    CHECK(failures > 20);
}

int main(void)
{
    RUN(opening_a_folder_fails_with_a_sentence_and_changes_nothing);
    RUN(reading_back_fails_with_a_sentence_and_loses_nothing);
    return DONE();
}
