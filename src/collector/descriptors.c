#include "collector/descriptors.h"

#include "collector/setup.h"

#include <limits.h>
#include <string.h>

enum {
    OWN = 48,      /* taken before the first connection, a few of these included, */
    OF_WORKER = 4, /* and with each worker: its loop, and wakes */
    SHARE = 8,     /* of all: for the journal's files, and for what has to go on */
    GO_ON_MOST = 64,
    JOURNAL_OWN = 2 /* the lock and the positions of exporters */
};

/* OWN and OF_WORKER leave both shares. */
static unsigned least(unsigned workers)
{
    return (OWN + OF_WORKER * workers) * SHARE / (SHARE - 2) + 1;
}

static uint64_t count_files(const struct config *config, uint64_t file_bytes)
{
    return (config->journal.max_size + file_bytes - 1) / file_bytes;
}

/* As many files as `most` hold journal.max_size. */
static uint64_t choose_file_bytes(const struct config *config, unsigned most)
{
    uint64_t bytes = config->journal.segment_size;

    if (bytes < SETUP_SEGMENT_BYTES)
        bytes = SETUP_SEGMENT_BYTES;
    while (most > 0 && count_files(config, bytes) > most)
        bytes *= 2;
    return bytes;
}

enum err descriptors_share(const struct config *config, unsigned workers, unsigned max,
                           struct descriptors *out, struct err_info *info)
{
    unsigned share = max / SHARE, files;

    *out = (struct descriptors){INT_MAX, INT_MAX, choose_file_bytes(config, share)};
    if (max == 0)
        return ERR_OK;
    if (max < least(workers))
        return err_fail(info, ERR_IO,
                        "this process may have %u file descriptors, and %u workers need %u: raise "
                        "it (LimitNOFILE of systemd, --ulimit nofile of docker, ulimit -n)",
                        max, workers, least(workers));
    files = strcmp(config->journal.ack, "memory") == 0
                ? 0
                : JOURNAL_OWN + (unsigned)count_files(config, out->file_bytes);
    out->files = (int)(max - (share < GO_ON_MOST ? share : GO_ON_MOST));
    out->connections = out->files - (int)files;
    return ERR_OK;
}
