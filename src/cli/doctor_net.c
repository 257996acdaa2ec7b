/* DNS and TCP, as an exporter would use them. */
#include "cli/doctor.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000, ADDRESSES_MAX = 8 };

struct place {
    char host[256], port[8];
    bool is_udp;
};

/* "scheme://[user@]host[:port][/...]". False: there is no host. */
static bool read_place(const char *url, struct place *p)
{
    const char *from = strstr(url, "://");
    bool https = strncmp(url, "https:", 6) == 0;
    size_t authority, len;
    const char *at, *colon;

    *p = (struct place){.is_udp = strncmp(url, "udp:", 4) == 0};
    from = from ? from + 3 : url;
    authority = strcspn(from, "/?#");
    at = memrchr(from, '@', authority);
    if (at) {
        authority -= (size_t)(at + 1 - from);
        from = at + 1;
    }
    len = *from == '[' ? strcspn(from, "]") : strcspn(from, ":/?#");
    colon = memchr(from + len, ':', authority > len ? authority - len : 0);
    snprintf(p->port, sizeof(p->port), "%s", https ? "443" : p->is_udp ? "2000" : "80");
    if (colon)
        snprintf(p->port, sizeof(p->port), "%.*s", (int)(from + authority - colon - 1), colon + 1);
    if (*from == '[') {
        from++;
        len--;
    }
    snprintf(p->host, sizeof(p->host), "%.*s", (int)len, from);
    return len > 0 && len < sizeof(p->host) && authority >= len;
}

/* Its end, or all of it, is in NO_PROXY. */
static bool is_direct(const char *host)
{
    const char *list = getenv("no_proxy");
    size_t host_len = strlen(host);

    if (!list)
        list = getenv("NO_PROXY");
    for (; list && *list; list += strspn(list, ", ")) {
        size_t len = strcspn(list, ", ");
        const char *name = *list == '.' && len > 1 ? list + 1 : list;
        size_t name_len = len - (size_t)(name - list);

        if (len == 1 && *list == '*')
            return true;
        if (name_len && name_len <= host_len &&
            strncasecmp(host + host_len - name_len, name, name_len) == 0 &&
            (name_len == host_len || host[host_len - name_len - 1] == '.'))
            return true;
        list += len;
    }
    return false;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* libcurl takes http_proxy in small letters only: a CGI program's caller could set the other. */
static const char *proxy_variable(bool https)
{
    const char *value = https ? variable("https_proxy") : variable("http_proxy");

    if (!value && https)
        value = variable("HTTPS_PROXY");
    if (!value)
        value = variable("all_proxy");
    return value ? value : variable("ALL_PROXY");
}

/* The proxy that a request goes by; NULL: none. */
static const char *proxy_of(const struct doctor_target *t, const struct place *p)
{
    if (p->is_udp || is_direct(p->host))
        return NULL;
    if (t->proxy[0])
        return t->proxy;
    return proxy_variable(strncmp(t->url, "https:", 6) == 0);
}

/* 0, or why not. */
static int connect_to(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof(error);

    if (fd < 0)
        return errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
        error = errno;
    if (error == EINPROGRESS) {
        if (poll(&waiting, 1, PATIENCE_MS) != 1)
            error = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
            error = errno;
    }
    close(fd);
    return error;
}

static int connect_to_any(const struct addrinfo *list, char text[64])
{
    int error = ENOENT;
    unsigned tried = 0;

    for (const struct addrinfo *a = list; a && tried < ADDRESSES_MAX; a = a->ai_next, tried++) {
        getnameinfo(a->ai_addr, a->ai_addrlen, text, 64, NULL, 0, NI_NUMERICHOST);
        error = connect_to(a);
        if (error == 0)
            return 0;
    }
    return error;
}

static void advise_name(const char *host)
{
    if (strstr(host, ".amazonaws."))
        doctor_advise("in a VPC without a way out it takes an interface endpoint with private DNS");
    else
        doctor_advise("is the name right, and does this machine's resolver know it?");
}

static void advise_connection(const char *host, int error)
{
    if (error == ECONNREFUSED)
        doctor_advise("nobody listens there: is the backend up, and is this its port?");
    else if (strstr(host, ".amazonaws."))
        doctor_advise("a route or a security group is missing: NAT, or a VPC endpoint that lets "
                      "port 443 in");
    else
        doctor_advise("a firewall, a route or a security group stands between");
}

bool doctor_check_target(struct doctor *d, const struct doctor_target *t)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    struct place own, p;
    const char *proxy;
    char address[64] = "?";
    int error;

    if (!t->url[0]) /* it follows from the region, which the machine is asked for */
        return true;
    if (!read_place(t->url, &own)) {
        doctor_say(d, FINDING_FAIL, "network", "%s: %s has no host", t->exporter, t->url);
        return false;
    }
    proxy = proxy_of(t, &own);
    p = own;
    if (proxy && !read_place(proxy, &p)) {
        doctor_say(d, FINDING_FAIL, "network", "%s: the proxy has no host", t->exporter);
        return false;
    }
    hints.ai_socktype = p.is_udp ? SOCK_DGRAM : SOCK_STREAM;
    error = getaddrinfo(p.host, p.port, &hints, &list);
    if (error) {
        doctor_say(d, FINDING_FAIL, "network", "%s: no address for %s: %s", t->exporter, p.host,
                   gai_strerror(error));
        advise_name(p.host);
        return false;
    }
    error = connect_to_any(list, address);
    freeaddrinfo(list);
    if (error) {
        doctor_say(d, FINDING_FAIL, "network", "%s: no connection to %s:%s (%s): %s", t->exporter,
                   p.host, p.port, address, strerror(error));
        advise_connection(p.host, error);
        return false;
    }
    doctor_say(d, FINDING_OK, "network", "%s: %s%s:%s (%s) %s", t->exporter,
               proxy ? "by the proxy " : "", p.host, p.port, address,
               p.is_udp ? "has an address" : "takes connections");
    return true;
}
