#include "aws/region.h"

#include <stdio.h>

static bool take(struct region_search *r, struct slice text)
{
    while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    if (!settings_is_region(text))
        return false;
    snprintf(r->region, sizeof(r->region), "%.*s", (int)text.len, (const char *)text.data);
    return true;
}

static enum exchange_next on_task(struct exchange *x, struct ecs *e, struct slice body)
{
    struct region_search *r = e->arg;
    char arn[SOURCE_ARN_MAX], region[SETTINGS_REGION_MAX];

    if (ecs_text(body, "TaskARN", arn, sizeof(arn)) &&
        ecs_arn_part(arn, 3, region, sizeof(region)) && take(r, slice_str(region)))
        return EXCHANGE_DONE;
    snprintf(x->error, sizeof(x->error), "the task's metadata has no region");
    return EXCHANGE_FAILED;
}

static enum exchange_next on_placement(struct exchange *x, struct imds *i, int status,
                                       struct slice body)
{
    if (status == 200 && take(i->arg, body))
        return EXCHANGE_DONE;
    snprintf(x->error, sizeof(x->error), "the instance's metadata has no region");
    return EXCHANGE_FAILED;
}

static void ask_instance(struct region_search *r)
{
    r->at_instance = true;
    if (imds_is_off(r->settings)) {
        if (!r->error[0])
            snprintf(r->error, sizeof(r->error),
                     "no region in the environment or the profile, and AWS_EC2_METADATA_DISABLED "
                     "is true");
        r->state = EXCHANGE_BROKEN;
        return;
    }
    r->imds = (struct imds){.settings = r->settings, .got = on_placement, .arg = r};
    snprintf(r->imds.path, sizeof(r->imds.path), "/latest/meta-data/placement/region");
    exchange_fini(&r->exchange);
    exchange_begin(&r->exchange, &imds_kind, &r->http, &r->imds);
}

static void go_on(struct region_search *r)
{
    if (r->state == EXCHANGE_RUNNING && r->exchange.state == EXCHANGE_BROKEN) {
        snprintf(r->error, sizeof(r->error), "%s", r->exchange.error);
        if (r->at_instance)
            r->state = EXCHANGE_BROKEN;
        else
            ask_instance(r);
    }
    if (r->state == EXCHANGE_RUNNING && r->exchange.state == EXCHANGE_ENDED)
        r->state = EXCHANGE_ENDED;
}

void region_search_begin(struct region_search *r, const struct aws_settings *settings,
                         const struct aws_http *http)
{
    *r = (struct region_search){.settings = settings, .http = *http, .state = EXCHANGE_RUNNING};
    if (ecs_is_there(settings)) {
        r->ecs = (struct ecs){.settings = settings, .path = "/task", .got = on_task, .arg = r};
        exchange_begin(&r->exchange, &ecs_kind, http, &r->ecs);
    } else {
        ask_instance(r);
    }
    go_on(r);
}

uint64_t region_search_step(struct region_search *r, uint64_t now_ns)
{
    uint64_t due;

    if (r->state != EXCHANGE_RUNNING)
        return NEVER_NS;
    due = exchange_step(&r->exchange, now_ns);
    if (r->exchange.state == EXCHANGE_RUNNING)
        return due;
    go_on(r); /* it has ended, or the instance is asked */
    return now_ns;
}

void region_search_fini(struct region_search *r)
{
    exchange_fini(&r->exchange);
    r->state = EXCHANGE_IDLE;
}
