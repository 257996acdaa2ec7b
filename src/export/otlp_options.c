#include "export/otlp_options.h"

#include "base/net.h"

enum { EXTERNAL_ID_MAX = 1224 };

#define OPTION(name, kind, member, text)                                                           \
    .path = (name), .type = (kind), .doc = (text), .offset = offsetof(struct otlp_options, member)

const struct schema_field otlp_fields[OTLP_FIELDS] = {
    {OPTION("endpoint", SCHEMA_STRING, endpoint,
            "where to send: http://HOST:PORT or https://HOST:PORT")},
    {OPTION("endpoints", SCHEMA_STRINGS, endpoints,
            "several, in the order of preference; the next one serves while one fails"),
     .min = 1, .max = OTLP_ENDPOINTS_MAX},
    {OPTION("mode", SCHEMA_STRING, mode, "how endpoints are used"), .fallback = "\"failover\"",
     .one_of = "failover"},
    {OPTION("protocol", SCHEMA_STRING, protocol, "of the request"), .fallback = "\"grpc\"",
     .one_of = "grpc|http/protobuf"},
    {OPTION("compression", SCHEMA_STRING, compression, "of the body"), .fallback = "\"gzip\"",
     .one_of = "gzip|none"},
    {OPTION("headers", SCHEMA_MAP, headers, "sent with each request"), .flags = SCHEMA_SECRET,
     .min = 0, .max = OTLP_HEADERS_MAX},
    {OPTION("tls.ca_file", SCHEMA_STRING, tls.ca_file, "trusted certificates; else the system's")},
    {OPTION("tls.cert_file", SCHEMA_STRING, tls.cert_file, "the client's certificate")},
    {OPTION("tls.key_file", SCHEMA_STRING, tls.key_file, "and its key, without a passphrase")},
    {OPTION("tls.insecure_skip_verify", SCHEMA_BOOLEAN, tls.insecure_skip_verify,
            "takes any certificate"),
     .fallback = "false"},
    {OPTION("sigv4", SCHEMA_SECTION, is_signed, "signs requests for AWS (Signature Version 4)"),
     .flags = SCHEMA_OPTIONAL},
    {OPTION("sigv4.service", SCHEMA_STRING, sigv4.service, "\"xray\", \"logs\", \"aps\" ..."),
     .flags = SCHEMA_REQUIRED},
    {OPTION("sigv4.region", SCHEMA_STRING, sigv4.region,
            "\"eu-west-1\"; default: as the endpoint's name, the environment or the machine says")},
    {OPTION("sigv4.role_arn", SCHEMA_STRING, sigv4.role_arn,
            "a role to assume with the credentials that are found")},
    {OPTION("sigv4.external_id", SCHEMA_STRING, sigv4.external_id,
            "what the trust policy of that role asks for as sts:ExternalId")},
};

static enum err check_endpoint(const char *url, struct err_info *info)
{
    bool is_http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;

    if (strchr(url, '@'))
        return err_fail(info, ERR_CONFIG,
                        "has an endpoint that is not http://HOST:PORT or https://HOST:PORT "
                        "(credentials belong in headers)");
    if (!is_http || strpbrk(url, " \r\n") || !net_is_url(url))
        return err_fail(info, ERR_CONFIG,
                        "has the endpoint '%s'; allowed: http://HOST:PORT or https://HOST:PORT",
                        url);
    return ERR_OK;
}

static enum err check_headers(const struct schema_pair *pairs, struct err_info *info)
{
    for (const struct schema_pair *h = pairs; h && h->key; h++)
        if (!h->key[0] || strpbrk(h->key, ":\r\n ") || strpbrk(h->value, "\r\n"))
            return err_fail(info, ERR_CONFIG, "has a header '%s' that can't be sent", h->key);
    return ERR_OK;
}

static bool is_word(const char *text)
{
    return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")];
}

/* STS API, AssumeRole. */
static bool is_external_id(const char *text)
{
    size_t len = strlen(text);

    return len >= 2 && len <= EXTERNAL_ID_MAX &&
           len == strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_+=,.@:/-");
}

static enum err check_sigv4(const struct otlp_options *o, struct err_info *info)
{
    const struct http_sigv4 *s = &o->sigv4;

    if (!o->is_signed)
        return ERR_OK;
    if (strcmp(o->protocol, "grpc") == 0)
        return err_fail(info, ERR_CONFIG,
                        "has sigv4 with protocol \"grpc\", which AWS does not take; allowed: "
                        "protocol = \"http/protobuf\"");
    if (!is_word(s->service))
        return err_fail(info, ERR_CONFIG, "has sigv4.service '%.64s'; allowed: a name as \"xray\"",
                        s->service);
    if (s->region && !is_word(s->region))
        return err_fail(info, ERR_CONFIG,
                        "has sigv4.region '%.64s'; allowed: a name as \"eu-west-1\"", s->region);
    if (s->role_arn && (strncmp(s->role_arn, "arn:", 4) != 0 || !strstr(s->role_arn, ":role/")))
        return err_fail(info, ERR_CONFIG,
                        "has sigv4.role_arn '%.200s'; allowed: arn:aws:iam::ACCOUNT:role/NAME",
                        s->role_arn);
    if (s->external_id && (!s->role_arn || !is_external_id(s->external_id)))
        return err_fail(info, ERR_CONFIG,
                        "has sigv4.external_id '%.200s'; allowed: beside role_arn, at least two "
                        "letters, digits and _+=,.@:/-",
                        s->external_id);
    return ERR_OK;
}

enum err otlp_check(const void *options, struct err_info *info)
{
    const struct otlp_options *o = options;
    enum err result;

    if (!o->endpoint == !o->endpoints)
        return err_fail(info, ERR_CONFIG,
                        "%s; allowed: endpoint = \"http://HOST:PORT\" or "
                        "endpoints = { ... }",
                        o->endpoint ? "has both endpoint and endpoints" : "has no endpoint");
    if (o->endpoint && (result = check_endpoint(o->endpoint, info)) != ERR_OK)
        return result;
    for (const char *const *e = o->endpoints; e && *e; e++)
        if ((result = check_endpoint(*e, info)) != ERR_OK)
            return result;
    if ((result = check_sigv4(o, info)) != ERR_OK)
        return result;
    return check_headers(o->headers, info);
}
