/* otlp_options.h: what exporter "otlp" takes. */
#pragma once

#include "export/exporter.h"

enum { OTLP_ENDPOINTS_MAX = 32, OTLP_HEADERS_MAX = 64, OTLP_FIELDS = 15 };

struct otlp_options {
    struct exporter_common common;
    const char *endpoint;
    const char *const *endpoints;
    const char *protocol, *compression, *mode;
    const struct schema_pair *headers;
    struct tls_client_options tls;
    bool is_signed;
    struct http_sigv4 sigv4; /* if is_signed */
};

extern const struct schema_field otlp_fields[OTLP_FIELDS];

/* What the fields alone can't say: as exporter_type.check. */
enum err otlp_check(const void *options, struct err_info *info) MUST_CHECK;
