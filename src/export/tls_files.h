/* tls_files.h: whether what a client's TLS options name can be used. */
#pragma once

#include "base/err.h"
#include "export/http_client.h"

/* Reads them once; the HTTP client reads them again at each connection. ERR_CONFIG with a sentence.
 */
enum err tls_files_check(const struct tls_client_options *tls, struct err_info *info) MUST_CHECK;
