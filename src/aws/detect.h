/* detect.h: attributes of the machine that this program runs on, from the environment and from what
 * the platform says about itself. Belongs to the thread of its seam; never blocks.
 *
 * Detectors are asked in order, and of equal keys the first has it. One that fails gives a line in
 * `errors` and no attributes.
 */
#pragma once

#include "aws/region.h"

enum { DETECT_PAIRS_MAX = 64, DETECT_KEY_MAX = 128, DETECT_VALUE_MAX = 1024 };

#define DETECT_NAMES "env|k8s|eks|ecs|ec2"

struct detect_pair {
    char key[DETECT_KEY_MAX], value[DETECT_VALUE_MAX];
};

struct detect {
    const struct aws_settings *settings;
    struct aws_http http;
    const char *const *next; /* of the detectors' names; NULL-terminated */
    struct exchange exchange;
    struct ecs ecs;
    struct imds imds;
    struct detect_pair pairs[DETECT_PAIRS_MAX];
    size_t count;
    struct buf errors; /* "ecs: ..." lines */
    bool is_done;
};

/* `names` and `settings` are borrowed until detect_fini. */
void detect_begin(struct detect *d, const struct aws_settings *settings,
                  const struct aws_http *http, const char *const *names);
/* Returns when to call it next; NEVER_NS: it is done. */
uint64_t detect_step(struct detect *d, uint64_t now_ns);
/* What was asked and did not answer in time becomes an error each. */
void detect_give_up(struct detect *d);
void detect_fini(struct detect *d);
