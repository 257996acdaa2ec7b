#include "aws/fetch.h"

#include <stdio.h>
#include <stdlib.h>

/* Where an attempt is: at its source, or at the role of that number. */
struct fetch {
    struct fetch_config config;
    struct plan plan;
    enum exchange_state state;
    bool at_roles;
    unsigned role; /* the next one to be assumed, or the one under way */
    struct exchange exchange;
    struct sts sts;
    struct imds imds;
    struct container container;
    struct process process;
    struct keys keys; /* those of the last step that ended */
    char name[48], error[512];
};

static void broken(struct fetch *f, const char *why)
{
    snprintf(f->error, sizeof(f->error), "%s: %s", f->name, why);
    f->state = EXCHANGE_BROKEN;
}

/* The region for STS: that of the service, else what is set for all. */
static void choose_region(struct fetch *f, char region[SETTINGS_REGION_MAX])
{
    region[0] = '\0';
    if (f->config.region)
        snprintf(region, SETTINGS_REGION_MAX, "%s", f->config.region);
    else if (!settings_region(f->config.settings, region))
        region[0] = '\0';
}

static void ask_sts(struct fetch *f, const struct sts_role *role, const char *token_file)
{
    f->sts = (struct sts){
        .settings = f->config.settings,
        .role = *role,
        .base = &f->keys,
        .now_unix_s = f->config.now_unix_ns / NS_PER_S,
    };
    snprintf(f->sts.token_file, sizeof(f->sts.token_file), "%s", token_file);
    choose_region(f, f->sts.region);
    exchange_begin(&f->exchange, &sts_kind, &f->config.http, &f->sts);
}

static void begin_source(struct fetch *f)
{
    switch (f->plan.base) {
    case PLAN_NONE:
        broken(f, f->plan.error);
        break;
    case PLAN_STATIC:
        f->keys = f->plan.keys;
        break;
    case PLAN_WEB_IDENTITY:
        ask_sts(f, &f->plan.web, f->plan.token_file);
        break;
    case PLAN_PROCESS:
        process_begin(&f->process, f->plan.command);
        break;
    case PLAN_CONTAINER:
        f->container.settings = f->config.settings;
        exchange_begin(&f->exchange, &container_kind, &f->config.http, &f->container);
        break;
    case PLAN_IMDS:
        imds_for_keys(&f->imds, f->config.settings, &f->keys);
        exchange_begin(&f->exchange, &imds_kind, &f->config.http, &f->imds);
        break;
    }
}

/* What is under way now, and how it stands. */
static enum exchange_state present(const struct fetch *f)
{
    if (f->at_roles)
        return f->exchange.state;
    if (f->plan.base == PLAN_STATIC)
        return EXCHANGE_ENDED;
    return f->plan.base == PLAN_PROCESS ? f->process.state : f->exchange.state;
}

/* Takes the keys of what has ended. */
static void take_keys(struct fetch *f)
{
    if (f->at_roles || f->plan.base == PLAN_WEB_IDENTITY)
        f->keys = f->sts.keys;
    else if (f->plan.base == PLAN_PROCESS)
        f->keys = f->process.keys;
    else if (f->plan.base == PLAN_CONTAINER)
        f->keys = f->container.keys;
    keys_forget(&f->sts.keys);
    keys_forget(&f->process.keys);
    keys_forget(&f->container.keys);
}

/* Goes on as far as nothing has to be waited for. */
static void go_on(struct fetch *f)
{
    while (f->state == EXCHANGE_RUNNING && present(f) == EXCHANGE_ENDED) {
        take_keys(f);
        exchange_fini(&f->exchange);
        f->role += f->at_roles;
        f->at_roles = true;
        if (f->role == f->plan.role_count)
            f->state = EXCHANGE_ENDED;
        else
            ask_sts(f, &f->plan.roles[f->role], "");
    }
    if (f->state == EXCHANGE_RUNNING && present(f) == EXCHANGE_BROKEN)
        broken(f,
               !f->at_roles && f->plan.base == PLAN_PROCESS ? f->process.error : f->exchange.error);
}

struct fetch *fetch_new(const struct fetch_config *config)
{
    struct fetch *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->config = *config;
    f->state = EXCHANGE_RUNNING;
    plan_make(&f->plan, config->settings);
    if (f->plan.base != PLAN_NONE && config->role_arn &&
        !plan_add_role(&f->plan, config->role_arn, config->external_id)) {
        f->plan.base = PLAN_NONE;
        snprintf(f->plan.error, sizeof(f->plan.error), "role_arn or external_id is too long");
    }
    snprintf(f->name, sizeof(f->name), "%s%s", f->plan.name, f->plan.role_count ? " + role" : "");
    begin_source(f);
    go_on(f);
    return f;
}

void fetch_free(struct fetch *f)
{
    if (!f)
        return;
    exchange_fini(&f->exchange);
    process_fini(&f->process);
    plan_forget(&f->plan);
    explicit_bzero(f, sizeof(*f));
    free(f);
}

uint64_t fetch_step(struct fetch *f, uint64_t now_ns, uint64_t now_unix_ns)
{
    uint64_t due;

    f->config.now_unix_ns = now_unix_ns;
    f->sts.now_unix_s = now_unix_ns / NS_PER_S;
    if (f->state != EXCHANGE_RUNNING)
        return NEVER_NS;
    due = earlier_ns(exchange_step(&f->exchange, now_ns), process_step(&f->process, now_ns));
    if (present(f) == EXCHANGE_RUNNING)
        return due;
    go_on(f); /* it has ended, or a role is asked for, which wants to be looked after */
    return now_ns;
}

enum exchange_state fetch_state(const struct fetch *f)
{
    return f->state;
}

const struct keys *fetch_keys(const struct fetch *f)
{
    return &f->keys;
}

const char *fetch_error(const struct fetch *f)
{
    return f->error;
}

const char *fetch_name(const struct fetch *f)
{
    return f->name;
}

bool fetch_is_instance(const struct fetch *f)
{
    return f->plan.base == PLAN_IMDS && f->plan.role_count == 0;
}
