#include "export/identities.h"

#include <stdlib.h>

/* ---- HTTP for the sources of credentials ---- */

struct source_request {
    struct source_request *next;
    struct identities *ids;
    uint64_t id;
    aws_http_done_fn *done;
    void *arg;
};

static void forget(struct source_request *r)
{
    struct source_request **at = &r->ids->requests;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    free(r);
}

static void on_answer(void *arg, struct http_answer *answer)
{
    struct source_request r = *(struct source_request *)arg;
    const struct aws_http_answer a = {.status = answer->err == ERR_OK ? answer->status : 0,
                                      .error = answer->error,
                                      .body = buf_slice(&answer->body)};

    forget(arg);
    r.done(r.arg, &a);
}

static enum err source_send(void *arg, const struct aws_http_request *from, aws_http_done_fn *done,
                            void *done_arg, uint64_t *id)
{
    struct identities *ids = arg;
    struct source_request *r = malloc(sizeof(*r));
    const struct http_request request = {.method = from->method,
                                         .url = from->url,
                                         .headers = from->headers,
                                         .body = from->body,
                                         .timeout_ns = from->timeout_ns,
                                         .proxy = from->direct ? "" : NULL};
    enum err e;

    if (!r)
        return ERR_FULL;
    *r = (struct source_request){ids->requests, ids, 0, done, done_arg};
    ids->requests = r;
    e = ids->http->send(ids->http, &request, on_answer, r, &r->id);
    if (e)
        forget(r);
    else
        *id = r->id;
    return e;
}

static void source_cancel(void *arg, uint64_t id)
{
    struct identities *ids = arg;
    struct source_request *r = ids->requests;

    while (r && r->id != id)
        r = r->next;
    if (!r)
        return;
    ids->http->cancel(ids->http, id);
    forget(r);
}

/* ---- identities ---- */

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void identity_fini(struct identity *i)
{
    credentials_free(i->credentials);
    free(i->role_arn);
    free(i->region);
    *i = (struct identity){0};
}

static struct identity *identity_make(struct identities *ids, struct identity *i,
                                      const struct http_sigv4 *s)
{
    struct credentials_config config = ids->config;

    identity_fini(i);
    i->role_arn = s->role_arn ? strdup(s->role_arn) : NULL;
    i->region = s->region ? strdup(s->region) : NULL;
    if ((s->role_arn && !i->role_arn) || (s->region && !i->region)) {
        identity_fini(i);
        return NULL;
    }
    config.http = (struct aws_http){ids, source_send, source_cancel};
    config.role_arn = i->role_arn;
    config.region = i->region;
    i->credentials = credentials_new(&config);
    return i;
}

struct identity *identities_find(struct identities *ids, const struct http_sigv4 *sigv4)
{
    struct identity *unused = NULL;

    for (struct identity *i = ids->places; i < ids->places + IDENTITIES_MAX; i++) {
        if (i->credentials && same(i->role_arn, sigv4->role_arn) && same(i->region, sigv4->region))
            return i;
        if (i->users == 0 && (!unused || (unused->credentials && !i->credentials)))
            unused = i;
    }
    return unused ? identity_make(ids, unused, sigv4) : NULL;
}

uint64_t identities_step(struct identities *ids, uint64_t now_ns, uint64_t now_unix_ns)
{
    uint64_t due = NEVER_NS;

    for (struct identity *i = ids->places; i < ids->places + IDENTITIES_MAX; i++)
        if (i->credentials)
            due = earlier_ns(due, credentials_step(i->credentials, now_ns, now_unix_ns));
    return due;
}

void identities_init(struct identities *ids, struct http_client *http,
                     const struct credentials_config *config)
{
    *ids = (struct identities){.http = http, .config = *config};
}

void identities_fini(struct identities *ids)
{
    for (struct identity *i = ids->places; i < ids->places + IDENTITIES_MAX; i++)
        identity_fini(i);
    while (ids->requests)
        source_cancel(ids, ids->requests->id);
}
