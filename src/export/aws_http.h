/* aws_http.h: the seam of the sources of AWS credentials, on an HTTP client. Belongs to the
 * client's thread.
 */
#pragma once

#include "aws/credentials.h"
#include "export/http_client.h"

struct aws_settings;
struct aws_http_request_under_way;

struct aws_http_adapter {
    struct http_client *http;
    struct aws_http_request_under_way *requests;
    struct tls_client_options tls; /* AWS_CA_BUNDLE, for all that goes to AWS */
    bool has_sent;                 /* set with each request; who steps the client clears it */
};

/* What it gives uses `a` and `http`, both borrowed; `settings` are asked at once. All its requests
 * have ended or been cancelled before they go away. */
struct aws_http aws_http_on(struct aws_http_adapter *a, struct http_client *http,
                            const struct aws_settings *settings);
void aws_http_cancel_all(struct aws_http_adapter *a);
