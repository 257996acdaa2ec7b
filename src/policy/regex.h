/* regex.h: regular expressions (RE2 syntax, linear time) behind a C interface. Any thread. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct regex;

/* ERR_CONFIG with RE2's sentence in info. Owned by the caller (regex_free). */
enum err regex_new(struct slice pattern, struct regex **out, struct err_info *info) MUST_CHECK;
void regex_free(struct regex *r); /* NULL is allowed */
/* Whether it matches anywhere in `text`. */
bool regex_find(const struct regex *r, struct slice text);
/* The first match at `at` or behind it: [*from, *to). */
bool regex_search(const struct regex *r, struct slice text, size_t at, size_t *from, size_t *to);

#ifdef __cplusplus
}
#endif
