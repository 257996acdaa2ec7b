#include "export/sign.h"

#include "aws/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { ADDED_MAX = 4, AUTHORIZATION_MAX = 4096 };

char *sign_url(const char *url)
{
    size_t host = aws_place_of(url).origin.len, len = strlen(url);
    char *text = malloc(3 * len + 1), *at = text;

    for (size_t i = 0; text && i <= len; i++)
        if (i < host || (unsigned char)url[i] < 128)
            *at++ = url[i];
        else
            at += snprintf(at, 4, "%%%02X", (unsigned char)url[i]);
    return text;
}

static bool is_one_of(struct slice name, const char *const *list)
{
    for (; *list; list++)
        if (strlen(*list) == name.len && strncasecmp(*list, (const char *)name.data, name.len) == 0)
            return true;
    return false;
}

/* What the signature brings itself. */
static bool is_ours(struct slice name)
{
    static const char *const ours[] = {"authorization", "x-amz-date", "x-amz-security-token", NULL};

    return is_one_of(name, ours);
}

/* What may change on the way, or isn't sent as it stands here. */
static bool is_unsigned(const struct sigv4_header *h)
{
    static const char *const list[] = {
        "user-agent",     "connection", "expect",          "transfer-encoding",
        "content-length", "te",         "x-amzn-trace-id", NULL};

    return h->value.len == 0 || is_one_of(h->name, list);
}

static struct sigv4_header split(const char *line)
{
    size_t len = strcspn(line, ":");
    const char *value = line + len + (line[len] == ':');

    return (struct sigv4_header){slice_make(line, len), slice_str(value + strspn(value, " \t"))};
}

/* Appends "name: value" to the list, whose length is *len. False: no memory. */
static bool add(char **headers, size_t *len, const char *name, struct slice value)
{
    if (asprintf(&headers[*len], "%s: %.*s", name, (int)value.len, (const char *)value.data) < 0) {
        headers[*len] = NULL;
        return false;
    }
    ++*len;
    return true;
}

/* The request's own headers that are sent too, and Host. */
static bool copy_headers(const struct http_request *r, struct slice host, char **headers,
                         size_t *len)
{
    bool has_host = false;

    for (const char *const *h = r->headers; h && *h; h++) {
        struct sigv4_header header = split(*h);

        if (is_ours(header.name))
            continue;
        has_host |= header.name.len == 4 && strncasecmp(*h, "host", 4) == 0;
        if (!(headers[*len] = strdup(*h)))
            return false;
        ++*len;
    }
    return has_host || add(headers, len, "Host", host);
}

/* Signs what `headers` holds, and appends what the signature adds to it. */
static enum err add_signature(const struct http_request *r, const char *region,
                              const struct sigv4_credentials *credentials, uint64_t unix_s,
                              char **headers, size_t len)
{
    struct sigv4_header list[SIGV4_HEADERS_MAX];
    struct aws_place place = aws_place_of(r->url);
    struct sigv4_request request = {
        .method = r->method,
        .path = place.path,
        .query = place.query,
        .headers = list,
        .body = r->body,
    };
    const struct sigv4_scope scope = {region, r->sigv4->service,
                                      strcmp(r->sigv4->service, "s3") == 0};
    struct buf value;
    struct sigv4_signature signature = {.value = &value};
    enum err e;

    for (size_t i = len; i-- > 0 && request.headers_len < SIGV4_HEADERS_MAX - 2;) {
        list[request.headers_len] = split(headers[i]); /* from the end: Host is there */
        request.headers_len += !is_unsigned(&list[request.headers_len]);
    }
    buf_init(&value, AUTHORIZATION_MAX, NULL);
    e = sigv4_sign(&request, credentials, &scope, unix_s, &signature);
    if (!e && !(add(headers, &len, "X-Amz-Date", slice_str(signature.date)) &&
                (credentials->session_token.len == 0 ||
                 add(headers, &len, "X-Amz-Security-Token", credentials->session_token)) &&
                add(headers, &len, "Authorization", buf_slice(&value))))
        e = ERR_FULL;
    buf_fini(&value);
    return e;
}

enum err sign_headers(const struct http_request *request, const char *region,
                      const struct sigv4_credentials *credentials, uint64_t unix_s, char ***headers)
{
    struct slice host = aws_place_of(request->url).host;
    size_t count = 0, len = 0;
    enum err e = ERR_FULL;

    while (request->headers && request->headers[count])
        count++;
    *headers = calloc(count + ADDED_MAX + 1, sizeof(**headers));
    if (!*headers)
        return ERR_FULL;
    if (copy_headers(request, host, *headers, &len))
        e = add_signature(request, region, credentials, unix_s, *headers, len);
    if (e) {
        sign_free(*headers);
        *headers = NULL;
    }
    return e;
}

void sign_free(char **headers)
{
    for (char **h = headers; h && *h; h++) {
        explicit_bzero(*h, strlen(*h)); /* a token may be in it */
        free(*h);
    }
    free(headers);
}
