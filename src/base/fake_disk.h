/* fake_disk.h: files in memory for tests and simulations: with faults, and with crashes.
 *
 * Beside what a read sees, it keeps what is durable: content as of the file's last datasync, names
 * as of their folder's last sync_folder, and every change since, in order. So it can say what a
 * killed process leaves behind, and what a power cut may. One thread; no clock; aborts without
 * memory.
 *
 * A campaign over crash states:
 *
 *     fake_disk_record(&disk);
 *     ... the program runs on &disk.disk; fake_disk_operations(&disk) is noted with each promise
 * ... for (size_t n = 0; n <= fake_disk_operations(&disk); n++) { rng_seed(&rng, seed);
 *         fake_disk_state_at(&disk, n, CRASH_POWER, &rng, &after);
 *         ... recover on &after.disk; check what was promised at operation n or before ...
 *         fake_disk_fini(&after);
 *     }
 */
#pragma once

#include "base/disk.h"
#include "base/random.h"

#include <stdbool.h>

enum { FAKE_DISK_OPEN = 512 }; /* so many files may be open at once; more: EMFILE */

enum fake_call {
    FAKE_CALL_OPEN,
    FAKE_CALL_WRITE, /* pwrite and pwritev */
    FAKE_CALL_READ,
    FAKE_CALL_SIZE, /* size and is_at */
    FAKE_CALL_SYNC,
    FAKE_CALL_SYNC_FOLDER,
    FAKE_CALL_RENAME,
    FAKE_CALL_UNLINK,
    FAKE_CALL_MKDIR,
    FAKE_CALL_LIST,
    FAKE_CALL_LOCK,
    FAKE_CALL_SPACE,
    FAKE_CALL_COUNT
};

/* Errors that can be drawn, as a mask. One that a call can't give (EMFILE from a write) is not
 * drawn for it. */
enum { FAKE_ENOSPC = 1, FAKE_EDQUOT = 2, FAKE_EIO = 4, FAKE_EROFS = 8, FAKE_EMFILE = 16 };

/* Each call in the mask fails with this chance; a write that fails so may have been done in part.
 */
struct fake_faults {
    struct rng *rng; /* borrowed; NULL: none fails */
    double chance;   /* 0 to 1 */
    unsigned calls;  /* 1U << FAKE_CALL_..., or-ed */
    unsigned errors; /* FAKE_E..., or-ed */
};

/* Files in memory; folders need not be made. A file that is unlinked or renamed over lives on
 * while it is open. The fields above `files` may be set at any time.
 * A datasync that fails, for whatever reason, leaves what was written since the last good one
 * readable, but a later datasync does not make it durable: the kernel has dropped it. */
struct fake_disk {
    struct disk disk;
    unsigned fail_at; /* the n-th call from now (1: the next) fails and does nothing; 0: none */
    enum err fail_as; /* with ERR_IO or ERR_FULL */
    struct fake_faults faults;
    bool full;         /* what needs new space fails with ERR_FULL: growth, new names */
    uint64_t capacity; /* for all files' lengths together; growth beyond fails; 0: none */
    uint64_t calls;    /* how many calls were made, to know what fail_at can reach */

    struct fake_files *files;
    struct fake_record *record; /* NULL: not recording */
    struct fake_slot {
        struct fake_file *file; /* NULL: free */
        bool reads, writes;
    } open[FAKE_DISK_OPEN];
};

void fake_disk_init(struct fake_disk *f);
void fake_disk_fini(struct fake_disk *f);

enum crash {
    /* The process is killed: what was done stays done. */
    CRASH_KILL,
    /* The power fails: of what was not synced anything may be there. For each sector of 512
     * bytes the disk has any of the contents that it had since the sync, so that writes are lost,
     * reordered and torn; a file's length may have grown without its data. A change of a name may
     * be there or not, but not without an earlier one of the same name; what lies in a folder
     * that is lost is lost. */
    CRASH_POWER
};

/* Makes `to` (not initialised; the caller's, fake_disk_fini) the disk that a crash now leaves: no
 * descriptors and no locks, no faults, `full` and `capacity` as they are. rng NULL: of what was
 * not synced nothing is left. f stays as it is, so that the program that ran on it can be taken
 * apart without touching what it left behind. */
void fake_disk_crash(const struct fake_disk *f, enum crash crash, struct rng *rng,
                     struct fake_disk *to);

/* Begins a recording of every change, in memory. What there is now counts as durable. A recording
 * that was begun earlier is dropped. */
void fake_disk_record(struct fake_disk *f);

/* How many changes were recorded: writes, syncs, names made, renamed and removed. Calls that
 * changed nothing are not among them. Recording. */
size_t fake_disk_operations(const struct fake_disk *f);

/* Describes operation i < fake_disk_operations(f) for a message. */
void fake_disk_describe(const struct fake_disk *f, size_t i, char *text, size_t size);

/* The same, of a crash after the first n <= fake_disk_operations(f) operations. With an rng,
 * operation n may be under way: a kill may have cut that write at any byte. The same n, crash and
 * seed give the same disk. Going through n in ascending order costs the least. Recording. */
void fake_disk_state_at(struct fake_disk *f, size_t n, enum crash crash, struct rng *rng,
                        struct fake_disk *to);

enum fake_damage_kind {
    FAKE_DAMAGE_FLIP,  /* the byte at offset, xor `bits` */
    FAKE_DAMAGE_CUT,   /* nothing is left from offset on */
    FAKE_DAMAGE_ZERO,  /* len bytes from offset on are zeros */
    FAKE_DAMAGE_GARBLE /* each of len bytes from offset on is another */
};

struct fake_damage {
    enum fake_damage_kind kind;
    uint64_t offset, len;
    uint8_t bits; /* not 0 */
};

/* Damages a file beneath the program. false: there is no such file, or nothing changed by it. */
bool fake_disk_damage(struct fake_disk *f, const char *path, const struct fake_damage *damage);

/* Draws a damage that changes something and does it: one bit, a cut, a page or sector of zeros, or
 * a run of other bytes. *damage says which. false: no such file, or it is empty. */
bool fake_disk_corrupt(struct fake_disk *f, const char *path, struct rng *rng,
                       struct fake_damage *damage);
