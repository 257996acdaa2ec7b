#include "export/identities.h"

#include "aws/settings.h"

#include <stdlib.h>

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_for(const struct identity *i, const struct http_sigv4 *s)
{
    return i->credentials && same(i->role_arn, s->role_arn) &&
           same(i->external_id, s->external_id) && same(i->region, s->region);
}

/* False: no memory. */
static bool copy(const char *text, char **out)
{
    *out = text ? strdup(text) : NULL;
    return *out || !text;
}

static void identity_fini(struct identity *i)
{
    credentials_free(i->credentials);
    free(i->role_arn);
    free(i->external_id);
    free(i->region);
    *i = (struct identity){0};
}

static struct identity *identity_make(struct identities *ids, struct identity *i,
                                      const struct http_sigv4 *s)
{
    struct credentials_config config = ids->config;
    struct identity made = {0};

    if (!copy(s->role_arn, &made.role_arn) || !copy(s->external_id, &made.external_id) ||
        !copy(s->region, &made.region)) {
        identity_fini(&made);
        return NULL;
    }
    identity_fini(i);
    *i = made;
    if (ids->used <= (size_t)(i - ids->places))
        ids->used = (size_t)(i - ids->places) + 1;
    config.http = ids->source_http;
    config.role_arn = i->role_arn;
    config.external_id = i->external_id;
    config.region = i->region;
    i->credentials = credentials_new(&config);
    return i;
}

struct identity *identities_find(struct identities *ids, const struct http_sigv4 *sigv4)
{
    struct identity *unused = NULL;

    for (struct identity *i = ids->places; i < ids->places + IDENTITIES_MAX; i++) {
        if (is_for(i, sigv4))
            return i;
        if (i->users == 0 && (!unused || (unused->credentials && !i->credentials)))
            unused = i;
    }
    return unused ? identity_make(ids, unused, sigv4) : NULL;
}

uint64_t identities_step(struct identities *ids, uint64_t now_ns, uint64_t now_unix_ns)
{
    uint64_t due = NEVER_NS;

    for (struct identity *i = ids->places; i < ids->places + ids->used; i++)
        if (i->credentials)
            due = earlier_ns(due, credentials_step(i->credentials, now_ns, now_unix_ns));
    return due;
}

void identities_init(struct identities *ids, struct http_client *http,
                     const struct credentials_config *config)
{
    *ids = (struct identities){.config = *config};
    ids->source_http = aws_http_on(&ids->sources, http, &(struct aws_settings){.env = config->env});
}

void identities_fini(struct identities *ids)
{
    for (struct identity *i = ids->places; i < ids->places + IDENTITIES_MAX; i++)
        identity_fini(i);
    aws_http_cancel_all(&ids->sources);
}
