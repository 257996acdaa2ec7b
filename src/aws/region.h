/* region.h: the region of the machine, where neither options, environment nor profile have one:
 * the ECS task's, else the instance's. Belongs to the thread of its seam.
 */
#pragma once

#include "aws/sources.h"

/* ---- ecs.c: the task metadata endpoint, version 4 ---- */

struct ecs {
    const struct aws_settings *settings;
    char path[32]; /* "", "/task" */
    /* As imds.got; status 200 only. */
    enum exchange_next (*got)(struct exchange *x, struct ecs *e, struct slice body);
    void *arg;
};

extern const struct exchange_kind ecs_kind;
bool ecs_is_there(const struct aws_settings *s);
/* The text at `path` of a metadata answer into `out`; false: not there or too long. */
bool ecs_text(struct slice body, const char *path, char *out, size_t size);
/* One part, counted from 0, of "arn:aws:ecs:REGION:ACCOUNT:..."; false: there is none. */
bool ecs_arn_part(const char *arn, unsigned part, char *out, size_t size);

/* ---- region.c ---- */

struct region_search {
    const struct aws_settings *settings;
    struct aws_http http;
    struct exchange exchange;
    struct ecs ecs;
    struct imds imds;
    bool at_instance;
    enum exchange_state state;
    char region[SETTINGS_REGION_MAX];
    char error[400];
};

void region_search_begin(struct region_search *r, const struct aws_settings *settings,
                         const struct aws_http *http);
uint64_t region_search_step(struct region_search *r, uint64_t now_ns);
/* A zeroed one is allowed. */
void region_search_fini(struct region_search *r);
