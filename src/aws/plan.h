/* plan.h: what the environment and the profiles say about where credentials come from: a source,
 * and the roles that are assumed with it one after the other. Made anew for each attempt, so that
 * changed files count.
 */
#pragma once

#include "aws/sources.h"

enum plan_base {
    PLAN_NONE, /* see error */
    PLAN_STATIC,
    PLAN_WEB_IDENTITY,
    PLAN_PROCESS,
    PLAN_CONTAINER,
    PLAN_IMDS,
};

enum { PLAN_ROLES_MAX = 6 };

struct plan {
    enum plan_base base;
    const char *name;                   /* of the source, for a log */
    struct keys keys;                   /* PLAN_STATIC */
    struct sts_role web;                /* PLAN_WEB_IDENTITY */
    char token_file[SETTINGS_TEXT_MAX]; /* the same */
    char command[SETTINGS_TEXT_MAX];    /* PLAN_PROCESS */
    struct sts_role roles[PLAN_ROLES_MAX];
    unsigned role_count;
    char error[300];
};

void plan_make(struct plan *p, const struct aws_settings *settings);
/* One more role, last. False: there are too many, or it does not fit. */
bool plan_add_role(struct plan *p, const char *arn, const char *external_id);
void plan_forget(struct plan *p);
