/* descriptors.h: who may have how many of the file descriptors that the process may have.
 *
 * The kernel gives out the lowest that is free. So one that is as high as a bound tells that all
 * below it are taken, and nothing needs to be counted: connections end first, then files of the
 * journal, and what is left above is for what has to go on meanwhile, so that there is an end to
 * it: requests of exporters, a reload, the admin pages, commands.
 */
#pragma once

#include "config/config.h"

struct descriptors {
    int connections;     /* one that is as high as this is closed again */
    int files;           /* the journal makes no more of them from here on */
    uint64_t file_bytes; /* of a file of the journal, so that not too many are needed */
};

/* max: of the process; 0: there are always enough. ERR_IO with a sentence: so many workers could
 * not take connections. */
enum err descriptors_share(const struct config *config, unsigned workers, unsigned max,
                           struct descriptors *out, struct err_info *info) MUST_CHECK;
