/* journals.h: makes journals for tests. */
#pragma once

#include "journal/journal.h"

#include <stdlib.h>

/* One that must open. */
static inline struct journal *journal_made(const struct journal_config *config)
{
    struct err_info info;
    struct journal *j;

    if (journal_new(config, &j, &info) != ERR_OK)
        abort();
    return j;
}
