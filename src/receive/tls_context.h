/* tls_context.h: a listener's certificates, keys and rules as OpenSSL wants them. */
#pragma once

#include "receive/receive.h"

#include <openssl/ssl.h>

/* Owned by the caller (SSL_CTX_free). NULL with a sentence that names the file in info. TLS 1.2 or
 * newer; ALPN: "h2" for gRPC, "http/1.1" for HTTP, a client that offers others only is refused. */
SSL_CTX *tls_context_new(const struct receive_listener *l, struct err_info *info);
