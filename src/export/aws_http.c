#include "export/aws_http.h"

#include "aws/settings.h"
#include "export/aws_answer.h"

#include <stdlib.h>

struct aws_http_request_under_way {
    struct aws_http_request_under_way *next;
    struct aws_http_adapter *adapter;
    uint64_t id;
    aws_http_done_fn *done;
    void *arg;
};

static void forget(struct aws_http_request_under_way *r)
{
    struct aws_http_request_under_way **at = &r->adapter->requests;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    free(r);
}

static void on_answer(void *arg, struct http_answer *answer)
{
    struct aws_http_request_under_way *r = arg;
    aws_http_done_fn *done = r->done;
    void *done_arg = r->arg;
    struct aws_http_answer a = {.status = answer->err == ERR_OK ? answer->status : 0,
                                .error = answer->error,
                                .body = buf_slice(&answer->body)};

    if (!a.status || !aws_answer_date(answer, &a.date_s))
        a.date_s = 0;
    forget(r);
    done(done_arg, &a);
    if (answer->body.data)
        explicit_bzero(answer->body.data, answer->body.cap); /* there may be keys in it */
}

static enum err start(void *arg, const struct aws_http_request *from, aws_http_done_fn *done,
                      void *done_arg, uint64_t *id)
{
    struct aws_http_adapter *a = arg;
    struct aws_http_request_under_way *r = malloc(sizeof(*r));
    const struct http_request request = {.method = from->method,
                                         .url = from->url,
                                         .headers = from->headers,
                                         .body = from->body,
                                         .timeout_ns = from->timeout_ns,
                                         .tls = &a->tls,
                                         .proxy = from->direct ? "" : NULL};
    enum err e;

    if (!r)
        return ERR_FULL;
    *r = (struct aws_http_request_under_way){a->requests, a, 0, done, done_arg};
    a->requests = r;
    e = a->http->send(a->http, &request, on_answer, r, &r->id);
    if (e)
        forget(r);
    else
        *id = r->id;
    a->has_sent |= e == ERR_OK;
    return e;
}

static void stop(void *arg, uint64_t id)
{
    struct aws_http_adapter *a = arg;
    struct aws_http_request_under_way *r = a->requests;

    while (r && r->id != id)
        r = r->next;
    if (!r)
        return;
    a->http->cancel(a->http, id);
    forget(r);
}

void aws_http_cancel_all(struct aws_http_adapter *a)
{
    while (a->requests) {
        struct aws_http_request_under_way *r = a->requests;

        a->requests = r->next;
        a->http->cancel(a->http, r->id);
        free(r);
    }
}

struct aws_http aws_http_on(struct aws_http_adapter *a, struct http_client *http,
                            const struct aws_settings *settings)
{
    *a = (struct aws_http_adapter){.http = http,
                                   .tls.ca_file = settings_env(settings, "AWS_CA_BUNDLE")};
    return (struct aws_http){a, start, stop};
}
