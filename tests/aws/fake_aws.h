/* fake_aws.h: an environment, files and an HTTP seam that only the test moves. */
#pragma once

#include "aws/credentials.h"
#include "aws/settings.h"
#include "base/fake_disk.h"
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAKE_VARIABLES = 32, FAKE_REQUESTS = 16, FAKE_LOG = 64 << 10 };

/* ---- the environment ---- */

static struct {
    const char *name, *value;
} fake_variables[FAKE_VARIABLES];

static inline const char *fake_env(const char *name)
{
    for (int i = 0; i < FAKE_VARIABLES && fake_variables[i].name; i++)
        if (strcmp(fake_variables[i].name, name) == 0)
            return fake_variables[i].value;
    return NULL;
}

/* NULL takes it away. Texts are borrowed. */
static inline void fake_set(const char *name, const char *value)
{
    int i = 0;

    while (i < FAKE_VARIABLES - 1 && fake_variables[i].name &&
           strcmp(fake_variables[i].name, name) != 0)
        i++;
    fake_variables[i].name = name;
    fake_variables[i].value = value;
}

/* ---- HTTP ---- */

struct fake_request {
    uint64_t id;        /* 0: free */
    char text[1 << 15]; /* "METHOD URL\nheaders\n\nbody" */
    aws_http_done_fn *done;
    void *done_arg;
};

struct fake_aws;
/* Answers one request; `text` is as in struct fake_request. Returns the status, 0 for no answer. */
typedef int fake_serve_fn(struct fake_aws *f, const char *text, struct buf *body);

struct fake_aws {
    struct fake_request requests[FAKE_REQUESTS];
    uint64_t last_id;
    fake_serve_fn *serve;
    unsigned served, cancelled;
    int mode;       /* the test's own */
    int64_t date_s; /* of its answers; 0: none */
    char last[1 << 15];
    uint64_t last_timeout_ns;
    bool last_direct;
    uint64_t now_ns, unix_ns;
    struct fake_disk files;
    struct disk *disk; /* on them */
};

static inline enum err fake_send(void *arg, const struct aws_http_request *r,
                                 aws_http_done_fn *done, void *done_arg, uint64_t *id)
{
    struct fake_aws *f = arg;
    struct fake_request *to = f->requests;
    size_t len;

    while (to < f->requests + FAKE_REQUESTS && to->id)
        to++;
    if (to == f->requests + FAKE_REQUESTS)
        return ERR_FULL;
    len = (size_t)snprintf(to->text, sizeof(to->text), "%s %s\n", r->method, r->url);
    for (const char *const *h = r->headers; h && *h; h++)
        len += (size_t)snprintf(to->text + len, sizeof(to->text) - len, "%s\n", *h);
    snprintf(to->text + len, sizeof(to->text) - len, "\n%.*s", (int)r->body.len,
             (const char *)r->body.data);
    to->id = *id = ++f->last_id;
    to->done = done;
    to->done_arg = done_arg;
    f->last_timeout_ns = r->timeout_ns;
    f->last_direct = r->direct;
    return ERR_OK;
}

static inline void fake_cancel(void *arg, uint64_t id)
{
    struct fake_aws *f = arg;

    for (int i = 0; i < FAKE_REQUESTS; i++)
        if (f->requests[i].id == id) {
            f->requests[i].id = 0;
            f->cancelled++;
        }
}

/* Answers what is open. False: nothing is. */
static inline bool fake_answer_all(struct fake_aws *f)
{
    bool any = false;

    for (int i = 0; i < FAKE_REQUESTS; i++) {
        struct fake_request *r = &f->requests[i];
        struct aws_http_answer answer = {.error = "", .date_s = f->date_s};
        struct buf body;

        if (!r->id)
            continue;
        buf_init(&body, 1 << 20, NULL);
        snprintf(f->last, sizeof(f->last), "%s", r->text);
        r->id = 0;
        f->served++;
        answer.status = f->serve(f, f->last, &body);
        if (!answer.status)
            answer.error = "timed out";
        answer.body = buf_slice(&body);
        r->done(r->done_arg, &answer);
        buf_fini(&body);
        any = true;
    }
    return any;
}

static inline struct aws_http fake_http(struct fake_aws *f)
{
    return (struct aws_http){f, fake_send, fake_cancel};
}

/* 2020-01-01T00:00:00Z */
#define FAKE_START_S UINT64_C(1577836800)

/* Starts anew: no variable, no file. */
static inline struct fake_aws *fake_aws_new(fake_serve_fn *serve)
{
    struct fake_aws *f = calloc(1, sizeof(*f));

    memset(fake_variables, 0, sizeof(fake_variables));
    f->serve = serve;
    f->now_ns = NS_PER_S;
    f->unix_ns = FAKE_START_S * NS_PER_S;
    fake_disk_init(&f->files);
    f->disk = &f->files.disk;
    fake_set("HOME", "/home");
    return f;
}

static inline void fake_aws_free(struct fake_aws *f)
{
    fake_disk_fini(&f->files);
    free(f);
}

static inline void fake_file(struct fake_aws *f, const char *path, const char *text)
{
    struct disk *d = f->disk;
    int fd = -1;

    CHECK(d->unlink(d, path, NULL) == ERR_OK);
    CHECK(d->open(d, path, O_RDWR | O_CREAT, 0600, &fd, NULL) == ERR_OK);
    CHECK(d->pwrite(d, fd, text, strlen(text), 0, NULL) == ERR_OK);
    d->close(d, fd);
}

static inline struct credentials *fake_credentials(struct fake_aws *f, const char *role_arn)
{
    return credentials_new(&(struct credentials_config){
        .env = fake_env, .http = fake_http(f), .disk = f->disk, .role_arn = role_arn});
}

/* Lets `seconds` pass. */
static inline void fake_run(struct fake_aws *f, struct credentials *c, uint64_t seconds)
{
    uint64_t end_ns = f->now_ns + seconds * NS_PER_S;

    for (int turns = 0; turns < 100000; turns++) {
        uint64_t due = credentials_step(c, f->now_ns, f->unix_ns);

        if (fake_answer_all(f) || due <= f->now_ns)
            continue;
        if (f->now_ns == end_ns)
            return;
        due = earlier_ns(due, end_ns);
        f->unix_ns += due - f->now_ns;
        f->now_ns = due;
    }
    CHECK(!"it does not come to rest");
}

static inline const struct sigv4_credentials *fake_get(struct fake_aws *f, struct credentials *c)
{
    return credentials_get(c, f->unix_ns);
}

static inline bool fake_has(const struct fake_aws *f, const char *text)
{
    return strstr(f->last, text) != NULL;
}

static inline bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}
