/* fake_disk.h: files in memory for tests and simulations, with faults. One thread. */
#pragma once

#include "base/disk.h"

enum { FAKE_DISK_OPEN = 64 }; /* so many files may be open at once */

/* Files in memory; folders need not be made. A file that is unlinked or renamed over lives on
 * while it is open. One thread. `fail_at`: the n-th call from now (1 = the next) fails with
 * `fail_as` (ERR_IO or ERR_FULL) and does nothing; 0: none. */
struct fake_disk {
    struct disk disk;
    unsigned fail_at;
    enum err fail_as;
    struct fake_file *files;
    struct fake_file *open[FAKE_DISK_OPEN];
};

void fake_disk_init(struct fake_disk *f);
void fake_disk_fini(struct fake_disk *f);
