/* answer.h: single texts out of what AWS's endpoints answer. Pure functions; any thread.
 *
 * Both read the whole document first, strictly and with bounds, and only then look: what is not
 * well-formed gives nothing. There are no entities but XML's five and characters by number, no
 * document types, and names are compared as they stand.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum { ANSWER_DEPTH_MAX = 32, ANSWER_BYTES_MAX = 256 << 10 };

/* Moves *at behind `word` where it stands there. */
static inline bool answer_takes(const uint8_t **at, const uint8_t *end, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0)
        return false;
    *at += len;
    return true;
}

/* Appends the string, number or boolean at `path` ("LogOptions/awslogs-group": keys of objects,
 * from the root). False: malformed, not there or null, an object or a list, or `out` is full; then
 * `out` is as before. Of equal keys the first counts. */
bool answer_json(struct slice text, const char *path, struct buf *out);

/* Appends the text of the first element at `path` ("AssumeRoleResponse/AssumeRoleResult/..."),
 * without blanks around it. False as above, or the element has elements in it. */
bool answer_xml(struct slice text, const char *path, struct buf *out);

/* "2024-05-06T07:08:09Z", also with a fraction (cut) or an offset (+01:00). False: it is no time
 * between 1970 and 9999. */
bool answer_time(struct slice text, uint64_t *unix_s);
