#include "export/own_requests.h"

#include <stdio.h>
#include <stdlib.h>

enum { WAITING_MAX = 256, ASK_AGAIN_MS = 10 };

struct own_request *own_requests_add(struct own_requests *l, const struct http_request *request,
                                     http_done_fn *done, void *arg, uint64_t *id)
{
    struct own_request *r = l->waiting < WAITING_MAX ? malloc(sizeof(*r)) : NULL;
    struct own_request **at = &l->first;

    if (!r)
        return NULL;
    *r = (struct own_request){.id = *id = l->bit | ++l->last_id,
                              .body = request->body,
                              .timeout_ns = request->timeout_ns,
                              .done = done,
                              .arg = arg};
    while (*at)
        at = &(*at)->next;
    *at = r;
    l->waiting++;
    return r;
}

struct own_request *own_requests_find(const struct own_requests *l, uint64_t id)
{
    struct own_request *r = l->first;

    while (r && r->id != id)
        r = r->next;
    return r;
}

void own_requests_forget(struct own_requests *l, struct own_request *r)
{
    struct own_request **at = &l->first;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    l->waiting--;
    free(r);
}

void own_requests_answer(struct own_requests *l, struct own_request *r, int status, const char *why)
{
    struct http_answer a = {.err = status ? ERR_OK : ERR_IO, .status = status};
    http_done_fn *done = r->done;
    void *arg = r->arg;

    snprintf(a.error, sizeof(a.error), "%s", why ? why : "");
    buf_init(&a.body, 1, NULL);
    buf_init(&a.headers, 1, NULL);
    own_requests_forget(l, r);
    done(arg, &a);
    buf_fini(&a.body);
    buf_fini(&a.headers);
}

bool own_request_is_over(struct own_request *r, uint64_t now_ns)
{
    if (!r->until_ns)
        r->until_ns = now_ns + r->timeout_ns;
    return now_ns >= r->until_ns;
}

uint64_t own_requests_due(const struct own_requests *l, uint64_t due, uint64_t now_ns)
{
    return l->first ? earlier_ns(due, now_ns + ASK_AGAIN_MS * NS_PER_MS) : due;
}

void own_requests_fini(struct own_requests *l)
{
    while (l->first)
        own_requests_forget(l, l->first);
}
