#include "export/http_client.h"

#include <stdio.h>
#include <stdlib.h>

/* A request that waits to be served (due_ns 0) or for its answer's time. */
struct fake_request {
    struct fake_request *next;
    uint64_t id;
    struct http_request request;
    char **strings; /* owned copies: method, url, headers */
    http_done_fn *done;
    void *arg;
    bool served;
    uint64_t due_ns;
    struct http_answer answer;
};

struct fake_client {
    struct http_client client;
    http_serve_fn *serve;
    void *arg;
    struct fake_request *requests; /* in order of sending */
    uint64_t last_id;
};

enum { BODY_MAX = 1 << 20, HEADERS_MAX = 64 << 10 };

static void copy_strings(struct fake_request *r, const struct http_request *from)
{
    size_t count = 0;

    while (from->headers && from->headers[count])
        count++;
    r->strings = calloc(count + 3, sizeof(*r->strings));
    if (!r->strings)
        err_no_memory("a request");
    for (size_t i = 0; i < count; i++)
        r->strings[i] = strdup(from->headers[i]);
    r->strings[count + 1] = strdup(from->method); /* after the list's end */
    r->strings[count + 2] = strdup(from->url);
    r->request = *from;
    r->request.headers = (const char *const *)r->strings;
    r->request.method = r->strings[count + 1];
    r->request.url = r->strings[count + 2];
}

static void request_free(struct fake_request *r)
{
    for (char **s = r->strings; *s; s++)
        free(*s);
    free((char *)r->request.method);
    free((char *)r->request.url);
    free(r->strings);
    buf_fini(&r->answer.body);
    buf_fini(&r->answer.headers);
    free(r);
}

static enum err fake_send(struct http_client *c, const struct http_request *request,
                          http_done_fn *done, void *arg, uint64_t *id)
{
    struct fake_client *f = (struct fake_client *)c;
    struct fake_request *r = calloc(1, sizeof(*r)), **at = &f->requests;

    if (!r)
        return ERR_FULL;
    r->id = *id = ++f->last_id;
    r->done = done;
    r->arg = arg;
    copy_strings(r, request);
    buf_init(&r->answer.body, BODY_MAX, NULL);
    buf_init(&r->answer.headers, HEADERS_MAX, NULL);
    while (*at)
        at = &(*at)->next;
    *at = r;
    return ERR_OK;
}

static struct fake_request *unlink_request(struct fake_client *f, struct fake_request **at)
{
    struct fake_request *r = *at;

    (void)f;
    *at = r->next;
    return r;
}

static void fake_cancel(struct http_client *c, uint64_t id)
{
    struct fake_client *f = (struct fake_client *)c;

    for (struct fake_request **at = &f->requests; *at; at = &(*at)->next)
        if ((*at)->id == id) {
            request_free(unlink_request(f, at));
            return;
        }
}

static void serve(struct fake_client *f, struct fake_request *r, uint64_t now_ns)
{
    uint64_t delay = f->serve(f->arg, &r->request, &r->answer);

    r->served = true;
    if (delay >= r->request.timeout_ns) {
        delay = r->request.timeout_ns;
        r->answer.err = ERR_IO;
        r->answer.status = 0;
        snprintf(r->answer.error, sizeof(r->answer.error), "timed out");
    }
    r->due_ns = now_ns + delay;
}

/* Takes one request out whose answer is due, or NULL. */
static struct fake_request *take_due(struct fake_client *f, uint64_t now_ns)
{
    for (struct fake_request **at = &f->requests; *at; at = &(*at)->next)
        if ((*at)->served && (*at)->due_ns <= now_ns)
            return unlink_request(f, at);
    return NULL;
}

static uint64_t fake_step(struct http_client *c, uint64_t now_ns)
{
    struct fake_client *f = (struct fake_client *)c;
    struct fake_request *r;
    uint64_t next = NEVER_NS;

    for (r = f->requests; r; r = r->next)
        if (!r->served)
            serve(f, r, now_ns);
    while ((r = take_due(f, now_ns))) {
        r->done(r->arg, &r->answer);
        request_free(r);
    }
    for (r = f->requests; r; r = r->next) {
        uint64_t due = r->served ? r->due_ns : now_ns;

        next = due < next ? due : next;
    }
    return next;
}

static void fake_free(struct http_client *c)
{
    struct fake_client *f = (struct fake_client *)c;

    while (f->requests)
        request_free(unlink_request(f, &f->requests));
    free(f);
}

struct http_client *http_client_fake(http_serve_fn *serve_fn, void *arg)
{
    struct fake_client *f = calloc(1, sizeof(*f));

    if (!f)
        err_no_memory("HTTP clients");
    *f = (struct fake_client){
        .client = {.send = fake_send, .cancel = fake_cancel, .step = fake_step, .free = fake_free},
        .serve = serve_fn,
        .arg = arg,
    };
    return &f->client;
}
