#include "export/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { ADDED_MAX = 4, AUTHORIZATION_MAX = 4096 };

static struct slice until(struct slice text, const char *any_of)
{
    size_t len = 0;

    while (len < text.len && !strchr(any_of, text.data[len]))
        len++;
    return slice_make(text.data, len);
}

static struct slice after(struct slice text, size_t len)
{
    return slice_make(text.data + len, text.len - len);
}

static struct slice without_end(struct slice text, const char *end)
{
    size_t len = strlen(end);

    return text.len > len && memcmp(text.data + text.len - len, end, len) == 0
               ? slice_make(text.data, text.len - len)
               : text;
}

struct sign_place sign_place(const char *url)
{
    struct slice all = until(slice_str(url), "#"), rest;
    bool tls = strncasecmp(url, "https:", 6) == 0;
    size_t scheme = tls ? 8 : 7;
    struct sign_place p;

    if (all.len < scheme)
        scheme = all.len;
    p.host = until(after(all, scheme), "/?");
    p.origin = slice_make(all.data, scheme + p.host.len);
    rest = after(all, p.origin.len);
    p.path = until(rest, "?");
    p.query = rest.len > p.path.len ? after(rest, p.path.len + 1) : (struct slice){0};
    if (p.path.len == 0)
        p.path = slice_str("/");
    p.host = without_end(p.host, tls ? ":443" : ":80");
    return p;
}

struct slice sign_region(struct slice host)
{
    static const char *const ends[] = {".amazonaws.com", ".amazonaws.com.cn", ".api.aws"};
    struct slice name = until(host, ":");

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct slice left = without_end(name, ends[i]);
        size_t at = left.len;

        if (left.len == name.len)
            continue;
        while (at > 0 && left.data[at - 1] != '.')
            at--;
        left = after(left, at);
        if (left.len > 4 && left.data[left.len - 1] >= '1' && left.data[left.len - 1] <= '9' &&
            memchr(left.data, '-', left.len))
            return left; /* xy-place-1 */
    }
    return (struct slice){0};
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
    struct slice name = until(slice_str(line), ":"), value = slice_str(line + name.len);

    if (value.len)
        value = after(value, 1);
    while (value.len && (value.data[0] == ' ' || value.data[0] == '\t'))
        value = after(value, 1);
    return (struct sigv4_header){name, value};
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
    struct sign_place place = sign_place(r->url);
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
    struct slice host = sign_place(request->url).host;
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
