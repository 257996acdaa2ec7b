/* The ECS task metadata endpoint, version 4 (ECS Developer Guide). */
#include "aws/answer.h"
#include "aws/region.h"

#include <stdio.h>

static const char variable[] = "ECS_CONTAINER_METADATA_URI_V4";

bool ecs_is_there(const struct aws_settings *s)
{
    return settings_env(s, variable) != NULL;
}

static bool ecs_ask(struct exchange *x)
{
    const struct ecs *e = x->self;
    const char *base = settings_env(e->settings, variable);

    x->method = "GET";
    if (base && container_may_ask(base) &&
        snprintf(x->url, sizeof(x->url), "%s%s", base, e->path) < (int)sizeof(x->url))
        return true;
    snprintf(x->error, sizeof(x->error), "%s is not an address of this machine", variable);
    return false;
}

static enum exchange_next ecs_answer(struct exchange *x, const struct aws_http_answer *answer)
{
    struct ecs *e = x->self;

    if (answer->status == 200)
        return e->got(x, e, answer->body);
    return exchange_refused(x, "the task's metadata endpoint", answer);
}

const struct exchange_kind ecs_kind = {
    .ask = ecs_ask,
    .answer = ecs_answer,
    .tries = 3,
    .timeout_ns = NS_PER_S,
    .pause_ns = NS_PER_S / 2,
};

bool ecs_text(struct slice body, const char *path, char *out, size_t size)
{
    struct buf text;
    bool ok;

    buf_init(&text, size, NULL);
    ok = answer_json(body, path, &text) && text.len && text.len < size &&
         !memchr(text.data, 0, text.len);
    if (ok)
        snprintf(out, size, "%.*s", (int)text.len, (const char *)text.data);
    buf_fini(&text);
    return ok;
}

bool ecs_arn_part(const char *arn, unsigned part, char *out, size_t size)
{
    size_t len;

    for (; part > 0; part--) {
        arn = strchr(arn, ':');
        if (!arn)
            return false;
        arn++;
    }
    len = strcspn(arn, ":");
    if (len == 0 || len >= size)
        return false;
    snprintf(out, size, "%.*s", (int)len, arn);
    return true;
}
