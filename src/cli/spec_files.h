/* spec_files.h: which specs `moontail test` runs. */
#pragma once

#include "base/disk.h"
#include "base/err.h"

#include <stddef.h>

struct spec_files {
    char folder[512]; /* where policies/, processors/ and exporters/ are looked for */
    char **paths;     /* sorted within each argument */
    size_t count;
};

/* Of each path: X.lua is a spec; of a folder all *_spec.lua below its spec/, or below itself where
 * it has none there. What lies in a spec/, or is one, is about the folder that holds it. No path:
 * the present folder. ERR_CONFIG, or what the disk says, with a sentence where there are none.
 * spec_files_fini frees them in any case. */
enum err spec_files_find(struct spec_files *f, struct disk *disk, const char *const *paths,
                         size_t count, struct err_info *info) MUST_CHECK;
void spec_files_fini(struct spec_files *f);
