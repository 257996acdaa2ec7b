/* sigv4.h: signs a request with AWS Signature Version 4 ("Create a signed AWS API request", IAM
 * User Guide). Pure functions; any thread. Secrets are only read; nothing of them is kept.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

enum { SIGV4_HEADERS_MAX = 32, SIGV4_PARAMETERS_MAX = 64 };

struct sigv4_header {
    struct slice name; /* in any case */
    struct slice value;
};

/* All headers given are signed: leave out what is changed on the way (User-Agent, Connection,
 * Expect, Transfer-Encoding, X-Amzn-Trace-Id). Host must be among them. X-Amz-Date and
 * X-Amz-Security-Token come from the signer. */
struct sigv4_request {
    const char *method;
    struct slice path;  /* as sent, "/" at least */
    struct slice query; /* as sent, without "?" */
    const struct sigv4_header *headers;
    size_t headers_len;
    struct slice body;
};

struct sigv4_credentials {
    struct slice access_key;
    struct slice secret_key;
    struct slice session_token; /* empty: none */
};

struct sigv4_scope {
    const char *region;
    const char *service;
    bool literal_path; /* "." and "//" stay in the path (S3 and others) */
};

/* What is sent beside the request's own headers. */
struct sigv4_signature {
    char date[17];     /* X-Amz-Date */
    struct buf *value; /* Authorization; appended */
};

/* Signs as of `unix_s`. ERR_FULL: over SIGV4_HEADERS_MAX headers or SIGV4_PARAMETERS_MAX
 * parameters, or the buffer's bound. */
enum err sigv4_sign(const struct sigv4_request *request,
                    const struct sigv4_credentials *credentials, const struct sigv4_scope *scope,
                    uint64_t unix_s, struct sigv4_signature *signature) MUST_CHECK;

/* The two texts between, for tests and for finding out why a signature was refused. `canonical` and
 * `to_sign` are appended to; to_sign may be NULL. */
enum err sigv4_texts(const struct sigv4_request *request,
                     const struct sigv4_credentials *credentials, const struct sigv4_scope *scope,
                     uint64_t unix_s, struct buf *canonical, struct buf *to_sign) MUST_CHECK;
