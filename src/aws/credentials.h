/* credentials.h: whom requests are signed as: found when first asked for, then kept fresh.
 *
 * One struct credentials is one identity: what the chain of sources gives, or a role assumed with
 * it. It belongs to the export thread and never blocks: a source that needs HTTP starts a request
 * by the seam below, and credentials_get gives what came of it later. Secrets are never logged, and
 * overwritten before their memory is given back.
 *
 * Sources, the first that has something wins: the environment; web identity
 * (AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN); the shared profile, with its roles; the
 * container endpoints (relative, then full URI); the instance's metadata. Then config.role_arn is
 * assumed with what was found. What expires is fetched again 15 to 20 minutes before (of a life
 * under an hour, in its last third) and served until it really expires if that fails; an instance's
 * own longer. fetch.h is one such attempt, plan.h decides what it asks.
 */
#pragma once

#include "aws/sigv4.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct disk;

/* ---- the seam for sources that need HTTP ---- */

struct aws_http_request {
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; copied; NULL: none */
    struct slice body;          /* borrowed until the answer or the cancel */
    uint64_t timeout_ns;
    bool direct; /* past every proxy: addresses that only this machine reaches */
};

struct aws_http_answer {
    int status;        /* 0: there was no answer; see error */
    const char *error; /* a sentence; no secrets */
    struct slice body; /* at most 1 MiB */
    int64_t date_s;    /* its Date, in seconds since 1970; 0: it has none */
};

/* The answer is borrowed for the call. Comes from the thread's step, never from within send. */
typedef void aws_http_done_fn(void *arg, const struct aws_http_answer *answer);

struct aws_http {
    void *arg;
    /* Starts a request; *id (never 0) names it. ERR_FULL: not now. NULL: there is no HTTP. */
    enum err (*send)(void *arg, const struct aws_http_request *request, aws_http_done_fn *done,
                     void *done_arg, uint64_t *id);
    void (*cancel)(void *arg, uint64_t id); /* its done is not called */
};

/* ---- credentials ---- */

struct credentials;

struct credentials_config {
    /* A variable of the environment, or NULL. NULL: the process's. */
    const char *(*env)(const char *name);
    struct aws_http http;
    struct disk *disk;       /* for profiles and tokens; NULL: the system's */
    const char *region;      /* of the service that is called, for STS; copied; NULL: the default */
    const char *role_arn;    /* assumed with what the chain gives; copied; NULL: none */
    const char *external_id; /* for it; copied; NULL: none */
};

/* Asks nobody yet. Ends the program without memory. */
struct credentials *credentials_new(const struct credentials_config *config);
/* Cancels what is under way. NULL is allowed. */
void credentials_free(struct credentials *c);

/* What to sign with at this time (Unix, ns), borrowed until the next call of any function here;
 * NULL: none yet, none any more: see credentials_error. The first call has them looked for. */
const struct sigv4_credentials *credentials_get(struct credentials *c, uint64_t now_unix_ns);
/* Why there are none, or why they could not be renewed: a sentence for the log that names the
 * sources asked and no secret; "" if all is well. Valid as long as what credentials_get gives. */
const char *credentials_error(const struct credentials *c);
/* A server said that what credentials_get gave is expired or not valid: fetch it again soon,
 * however long it should last. May be called for each of many requests. */
void credentials_rejected(struct credentials *c);
/* The work that is possible now; returns when (now_ns) it wants to be called next. */
uint64_t credentials_step(struct credentials *c, uint64_t now_ns, uint64_t now_unix_ns);

/* The region of calls that name none: AWS_REGION, AWS_DEFAULT_REGION, the profile's, that of the
 * ECS task, that of the instance; the last two are asked for by steps from the first call on. NULL:
 * not known yet. Valid as long as what credentials_get gives. */
const char *credentials_region(struct credentials *c);
