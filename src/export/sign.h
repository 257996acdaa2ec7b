/* sign.h: a request as it is sent once it is signed. Pure functions of the request and the time. */
#pragma once

#include "aws/sigv4.h"
#include "export/http_client.h"

/* The URL as it is to be sent, owned by the caller: what is not ASCII of its path and query is
 * percent-encoded, which libcurl would do behind the signature's back. NULL: no memory. */
char *sign_url(const char *url);

/* The request's headers and those of the signature as of unix_s: "Name: value", NULL-terminated,
 * owned by the caller (sign_free). Headers of the request that the signature brings are left out.
 * ERR_FULL: too many parameters in the query, or no memory; nothing is left. */
enum err sign_headers(const struct http_request *request, const char *region,
                      const struct sigv4_credentials *credentials, uint64_t unix_s,
                      char ***headers) MUST_CHECK;
void sign_free(char **headers); /* NULL is allowed */
