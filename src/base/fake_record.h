/* fake_record.h: a recording of what was done to the fake disk, and the states that it passed.
 * Private to the fake disk. One thread; aborts without memory.
 */
#pragma once

#include "base/fake_files.h"

struct fake_record {
    struct fake_files base;   /* before the first operation */
    struct fake_ops ops;      /* all since */
    struct fake_files cursor; /* after the first `done` of them */
    size_t done;
};

/* Adds to the recording; NULL: there is none. */
void fake_record_add(struct fake_record *r, struct fake_op *op);

/* The files after the first n operations, borrowed until the next call. */
const struct fake_files *fake_record_at(struct fake_record *r, size_t n);

void fake_record_free(struct fake_record *r);
