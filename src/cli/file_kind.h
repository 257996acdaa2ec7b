/* file_kind.h: what a file in Lua is, found by running it. */
#pragma once

#include "base/slice.h"
#include "policy/policy.h"

enum file_kind {
    FILE_CONFIG, /* or one that can't run: what is wrong is said where it is loaded */
    FILE_POLICY,
    FILE_PROCESSOR,
    FILE_EXPORTER,
};

/* `text` is what the file at `path` has. shared: for the script API; borrowed. */
enum file_kind file_kind_of(struct slice text, const char *path, struct policy_shared *shared);
