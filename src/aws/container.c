/* Credentials of an ECS task, and of a pod by EKS Pod Identity. */
#include "aws/answer.h"
#include "aws/sources.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

static const char relative_name[] = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
static const char full_name[] = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

bool container_is_there(const struct aws_settings *s)
{
    return settings_env(s, relative_name) || settings_env(s, full_name);
}

/* The host of an http URL, without brackets; false: there is none, or it has a user. */
static bool read_host(const char *rest, char *host, size_t size)
{
    size_t authority = strcspn(rest, "/?#"), len;

    if (memchr(rest, '@', authority) || memchr(rest, '\\', authority))
        return false;
    if (*rest == '[') {
        rest++;
        len = strcspn(rest, "]");
        if (len + 1 >= authority)
            return false;
    } else {
        len = strcspn(rest, ":/?#");
    }
    if (len == 0 || len >= size)
        return false;
    memcpy(host, rest, len);
    host[len] = '\0';
    return true;
}

static bool is_local(const char *host)
{
    static const uint8_t pod_identity[16] = {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0,
                                             0,    0,    0,    0,    0, 0, 0, 0x23};
    struct in6_addr six;
    struct in_addr four;

    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &four) == 1) {
        uint32_t address = ntohl(four.s_addr);

        return address >> 24 == 127 || address == 0xA9FEAA02 || address == 0xA9FEAA17;
    }
    if (inet_pton(AF_INET6, host, &six) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&six) || memcmp(&six, pod_identity, 16) == 0;
}

bool container_may_ask(const char *url)
{
    char host[256];

    for (const char *c = url; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7F)
            return false;
    if (strncasecmp(url, "https://", 8) == 0)
        return read_host(url + 8, host, sizeof(host));
    return strncasecmp(url, "http://", 7) == 0 && read_host(url + 7, host, sizeof(host)) &&
           is_local(host);
}

static bool put_url(struct exchange *x, const struct container *c)
{
    const char *relative = settings_env(c->settings, relative_name);
    const char *full = settings_env(c->settings, full_name);
    int len;

    if (relative && *relative != '/') {
        snprintf(x->error, sizeof(x->error), "%s does not begin with /", relative_name);
        return false;
    }
    len = snprintf(x->url, sizeof(x->url), "%s%s", relative ? "http://169.254.170.2" : "",
                   relative ? relative
                   : full   ? full
                            : "");
    if (len >= (int)sizeof(x->url) || !container_may_ask(x->url)) {
        snprintf(x->error, sizeof(x->error),
                 "%s: plain http is only asked on this machine's own addresses (loopback, "
                 "169.254.170.2, 169.254.170.23, fd00:ec2::23)",
                 relative ? relative_name : full_name);
        return false;
    }
    x->direct = strncasecmp(x->url, "http://", 7) == 0;
    return true;
}

/* The file first: EKS renews it while we run. */
static bool put_authorization(struct exchange *x, const struct container *c)
{
    const char *path = settings_env(c->settings, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *given = settings_env(c->settings, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct err_info info = {0};
    struct buf token;
    bool ok = true;

    buf_init(&token, 64 << 10, NULL);
    if (path) {
        ok = settings_read(c->settings, path, &token, &info) == ERR_OK;
        if (!ok)
            snprintf(x->error, sizeof(x->error), "%.390s", info.text);
    } else if (given) {
        ok = strpbrk(given, "\r\n") == NULL;
        if (!ok)
            snprintf(x->error, sizeof(x->error),
                     "AWS_CONTAINER_AUTHORIZATION_TOKEN has a line break in it");
        buf_str(&token, given);
    }
    if (ok && token.len)
        ok = exchange_header(x, "Authorization", buf_slice(&token));
    if (token.data)
        explicit_bzero(token.data, token.cap);
    buf_fini(&token);
    return ok;
}

static bool container_ask(struct exchange *x)
{
    x->method = "GET";
    return put_url(x, x->self) && exchange_header(x, "Accept", slice_str("application/json")) &&
           put_authorization(x, x->self);
}

static enum exchange_next container_answer(struct exchange *x, const struct aws_http_answer *answer)
{
    struct container *c = x->self;

    if (answer->status == 200) {
        if (keys_from_json(&c->keys, answer->body, "Token"))
            return EXCHANGE_DONE;
        snprintf(x->error, sizeof(x->error),
                 "the container's endpoint answered with something else than credentials");
        return EXCHANGE_FAILED;
    }
    return exchange_refused(x, "the container's endpoint for credentials", answer);
}

const struct exchange_kind container_kind = {
    .ask = container_ask,
    .answer = container_answer,
    .tries = 3,
    .timeout_ns = 2 * NS_PER_S,
    .pause_ns = NS_PER_S,
};
