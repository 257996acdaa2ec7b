/* http_client.h: one request, one answer: the seam behind which libcurl sends.
 *
 * Belongs to the export thread. Answers come from its step, never from within send.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/slice.h"

struct tls_client_options {
    const char *ca_file, *cert_file, *key_file; /* NULL: the system's; none */
    bool insecure_skip_verify;
};

/* Whom and what a request is signed for, by Signature Version 4. */
struct http_sigv4 {
    const char *service;     /* "xray" */
    const char *region;      /* NULL: that of the host's name, else the default one */
    const char *role_arn;    /* assumed for it; NULL: none */
    const char *external_id; /* that the role's trust policy asks for; NULL: none */
};

struct http_request {
    const char *method; /* "POST" */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; copied */
    struct slice body;          /* borrowed until the answer or cancel */
    uint64_t timeout_ns;
    bool http2_prior_knowledge;           /* gRPC without TLS */
    const struct tls_client_options *tls; /* borrowed, as the body is; NULL: the defaults */
    const struct http_sigv4 *sigv4; /* borrowed, as the body is; NULL: it is sent as it is. Only
                                     * http_client_signing signs. */
    const char *proxy; /* http://HOST:PORT, but for hosts in NO_PROXY; copied. NULL: as HTTPS_PROXY,
                        * http_proxy and NO_PROXY say; "": none */
};

struct http_answer {
    enum err err;      /* ERR_OK: there is a status; ERR_IO: no answer (see error) */
    bool unsigned_yet; /* with ERR_IO: it was not sent, as nobody may sign it now: see error */
    char error[256];   /* also of an answer: the code by which AWS refused it */
    int status;
    struct buf body;    /* bounded at 1 MiB; of a status from 400 on it may be cut off */
    struct buf headers; /* "name: value\n" lines, names lower-case; trailers follow the headers */
};

/* The value of a header or trailer (the last one of that name), or an empty slice. */
struct slice http_answer_header(const struct http_answer *a, const char *name);
/* A run of digits and nothing else, of 11 at most. */
bool http_number(struct slice value, uint64_t *number);
/* A date as headers have it (RFC 9110, 5.6.7). False: it is none, or before 1970. */
bool http_date(struct slice value, int64_t *unix_s);
/* How long Retry-After asks to wait (RFC 9110, 10.2.3: seconds, or a date). False: it says nothing,
 * or no time at all, as a date does that has passed: then it is the backoff that says it. */
bool http_answer_retry_after(const struct http_answer *a, uint64_t unix_ns, uint64_t *after_ns);

/* `answer` is borrowed for the call; its bufs may be taken. */
typedef void http_done_fn(void *arg, struct http_answer *answer);

struct http_client {
    /* Starts a request; *id names it. ERR_FULL: too many at once. */
    enum err (*send)(struct http_client *c, const struct http_request *request, http_done_fn *done,
                     void *arg, uint64_t *id);
    void (*cancel)(struct http_client *c, uint64_t id); /* its done is not called */
    uint64_t (*step)(struct http_client *c, uint64_t now_ns);
    void (*free)(struct http_client *c);
};

/* libcurl's multi interface on `loop`. */
struct http_client *http_client_curl(struct loop *loop);

/* Sends requests to udp://HOST:PORT itself, and hands all others to `inner`, which it takes. The
 * body is one datagram; the answer is 200 once it has left, 413 if it is larger than any datagram,
 * 400 if the URL is no such address. ERR_IO: the name was not found, or nobody listens there, as
 * far as the sender's machine hears of it. */
struct http_client *http_client_udp(struct http_client *inner);

/* Writes the bodies of requests to "stdout:" to `fd`, which is not owned, one whole body behind the
 * other, and hands all other requests to `inner`, which it takes. The answer is 200 once all of it
 * is written. ERR_IO: nobody read it within the request's timeout, or it can't be written. What was
 * begun then, or cancelled, ends with a new line before the next body. */
struct http_client *http_client_stdout(struct http_client *inner, int fd);

/* For scenarios: calls `serve` for each request at the next step; it fills the answer and returns
 * after how many ns it is given (virtual time). */
typedef uint64_t http_serve_fn(void *arg, const struct http_request *request,
                               struct http_answer *answer);
struct http_client *http_client_fake(http_serve_fn *serve, void *arg);

struct credentials_config;

/* Signs requests that have `sigv4` when they are sent, so that each repeat is signed anew, and
 * hands all of them to `inner`, which it does not own.
 *
 * One for which there are no credentials yet waits for them as long as its timeout, then ends with
 * unsigned_yet. A refusal for the time of the signature corrects the clock, for that endpoint, and
 * is tried again at once; one for expired credentials waits for others. A 400 that says that the
 * signer is not known or may not is answered as 403. `credentials` (all but http, region and
 * role_arn) is how they are found. */
struct http_client *http_client_signing(struct http_client *inner, const struct clock *clock,
                                        const struct credentials_config *credentials);
