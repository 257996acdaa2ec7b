/* libcurl's multi interface: sockets are watched by the thread's loop, its one timer by step. */
#include "base/log.h"
#include "export/http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <curl/curl.h>

enum {
    TRANSFERS_MAX = 256,
    ANSWER_MAX = 1 << 20,
    HEADERS_MAX = 64 << 10,
    IDLE_HANDLES = 16,
    CONNECTIONS_MAX = 64,
};

struct client;

struct transfer {
    struct transfer *next;
    struct client *client;
    uint64_t id;
    CURL *easy;
    struct curl_slist *headers;
    http_done_fn *done;
    void *arg;
    struct http_answer answer;
    bool has_headers; /* the answer's, all of them */
    char error[CURL_ERROR_SIZE];
};

struct client {
    struct http_client base;
    bool h2c_once; /* libcurl can't use an HTTP/2 connection without TLS twice */
    CURLM *multi;
    struct loop *loop;
    uint64_t timer_ns; /* when libcurl wants to be called; NEVER_NS: it does not */
    struct transfer *transfers;
    size_t active;
    uint64_t last_id;
    CURL *idle[IDLE_HANDLES]; /* handles to use again */
    size_t idle_count;
};

/* One socket of libcurl's. */
struct socket_watch {
    struct client *client;
    curl_socket_t fd;
    struct loop_watch *watch;
};

static void on_socket_ready(void *arg, unsigned ready)
{
    struct socket_watch *s = arg;
    int mask =
            (ready & LOOP_READ ? CURL_CSELECT_IN : 0) | (ready & LOOP_WRITE ? CURL_CSELECT_OUT : 0),
        running;

    curl_multi_socket_action(s->client->multi, s->fd, mask, &running); /* may free s */
}

static void socket_forget(struct client *c, struct socket_watch *s)
{
    if (!s)
        return;
    curl_multi_assign(c->multi, s->fd, NULL);
    loop_watch_free(s->watch);
    free(s);
}

static struct socket_watch *socket_new(struct client *c, curl_socket_t fd)
{
    struct socket_watch *s = malloc(sizeof(*s));

    if (!s)
        return NULL;
    *s = (struct socket_watch){.client = c, .fd = fd};
    s->watch = loop_watch_new(c->loop, fd, on_socket_ready, s);
    if (!s->watch || curl_multi_assign(c->multi, fd, s) != CURLM_OK) {
        loop_watch_free(s->watch);
        free(s);
        return NULL;
    }
    return s;
}

/* CURLMOPT_SOCKETFUNCTION */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
    struct client *c = arg;
    struct socket_watch *s = assigned;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        socket_forget(c, s);
        return 0;
    }
    if (!s && !(s = socket_new(c, fd)))
        return -1;
    loop_watch_set(s->watch, (what & CURL_POLL_IN ? LOOP_READ : 0u) |
                                 (what & CURL_POLL_OUT ? LOOP_WRITE : 0u));
    return 0;
}

/* CURLMOPT_TIMERFUNCTION */
static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct client *c = arg;

    (void)multi;
    c->timer_ns = timeout_ms < 0
                      ? NEVER_NS
                      : clock_now_ns(loop_clock(c->loop)) + (uint64_t)timeout_ms * NS_PER_MS;
    return 0;
}

/* CURLOPT_WRITEFUNCTION; what is over the bound is read and thrown away. */
static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct buf *body = &((struct transfer *)arg)->answer.body;
    size_t len = size * count, room = body->max - body->len;

    buf_append(body, data, len < room ? len : room);
    return len;
}

/* CURLOPT_HEADERFUNCTION: one line, also of trailers; a status line begins a new answer. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    struct buf *headers = &t->answer.headers;
    size_t len = size * count, line = len;
    const char *colon;
    uint8_t *at;

    while (line && (data[line - 1] == '\r' || data[line - 1] == '\n'))
        line--;
    if (line >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        buf_clear(headers);
        t->has_headers = false;
    }
    t->has_headers |= line == 0;
    colon = memchr(data, ':', line);
    if (!colon || line + 1 > headers->max - headers->len || !(at = buf_reserve(headers, line + 1)))
        return len;
    for (size_t i = 0; i < line; i++)
        at[i] = (uint8_t)(data + i < colon && data[i] >= 'A' && data[i] <= 'Z' ? data[i] + 32
                                                                               : data[i]);
    at[line] = '\n';
    headers->len += line + 1;
    return len;
}

/* SSL_CERT_FILE stands for the system's certificates, as in all programs of OpenSSL and Go. */
static void set_tls(CURL *easy, const struct tls_client_options *tls)
{
    const char *trusted = tls && tls->ca_file ? tls->ca_file : getenv("SSL_CERT_FILE");

    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (trusted && *trusted)
        curl_easy_setopt(easy, CURLOPT_CAINFO, trusted);
    if (!tls)
        return;
    if (tls->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* else the system's folder counts as well */
    if (tls->cert_file)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert_file);
    if (tls->key_file)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_file);
    curl_easy_setopt(easy, CURLOPT_KEYPASSWD, ""); /* else OpenSSL asks at the terminal */
    if (tls->insecure_skip_verify) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static bool set_headers(struct transfer *t, const struct http_request *r)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");

    for (const char *const *h = r->headers; list && h && *h; h++) {
        struct curl_slist *longer = curl_slist_append(list, *h);

        if (!longer) {
            curl_slist_free_all(list);
            return false;
        }
        list = longer;
    }
    t->headers = list;
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, list);
    return list != NULL;
}

static void set_method(CURL *easy, const struct http_request *r)
{
    if (r->body.len || strcmp(r->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body.len ? (const char *)r->body.data : "");
    }
    if (strcmp(r->method, "POST") != 0)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
    if (strcmp(r->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
}

/* libcurl 7.88 adds a second HTTP/2 layer when it uses such a connection again (fixed in 8.0), and
 * every request fails: there each one gets a connection of its own. */
static bool has_h2c_bug(void)
{
    unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;

    return version >= 0x075800 && version < 0x080000;
}

/* Which HTTP is spoken, and who may share a connection: without TLS nobody waits for one that might
 * speak HTTP/2, and HTTP/1.1 never joins one that does (to the same port, by another exporter). */
static void set_http2(const struct client *c, CURL *easy, const struct http_request *r)
{
    bool prior = r->http2_prior_knowledge, tls = strncmp(r->url, "https:", 6) == 0;
    long once = prior && c->h2c_once;
    long version = prior ? (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                   : tls ? (long)CURL_HTTP_VERSION_2TLS
                         : (long)CURL_HTTP_VERSION_1_1;

    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, (prior || tls) && !once ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, once);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, once);
    /* without a tunnel libcurl speaks HTTP/1.1 to a proxy, and gRPC does not arrive */
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, (long)prior);
}

static void set_options(struct transfer *t, const struct http_request *r)
{
    CURL *easy = t->easy;
    long timeout_ms = (long)((r->timeout_ns + NS_PER_MS - 1) / NS_PER_MS);

    curl_easy_setopt(easy, CURLOPT_URL, r->url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "moontail/" MOONTAIL_VERSION);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms > 0 ? timeout_ms : 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set_http2(t->client, easy, r);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    set_method(easy, r);
    set_tls(easy, r->tls);
    if (r->proxy) /* NO_PROXY counts all the same */
        curl_easy_setopt(easy, CURLOPT_PROXY, r->proxy);
}

static CURL *take_handle(struct client *c)
{
    return c->idle_count ? c->idle[--c->idle_count] : curl_easy_init();
}

static void give_handle(struct client *c, CURL *easy)
{
    if (c->idle_count == IDLE_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    c->idle[c->idle_count++] = easy;
}

/* Takes the transfer out of libcurl and the list, and frees it. */
static void transfer_end(struct transfer *t)
{
    struct client *c = t->client;
    struct transfer **at = &c->transfers;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    c->active--;
    buf_fini(&t->answer.body);
    buf_fini(&t->answer.headers);
    curl_slist_free_all(t->headers);
    free(t);
}

static enum err curl_send(struct http_client *base, const struct http_request *r,
                          http_done_fn *done, void *arg, uint64_t *id)
{
    struct client *c = (struct client *)base;
    struct transfer *t;

    if (c->active >= TRANSFERS_MAX || !(t = calloc(1, sizeof(*t))))
        return ERR_FULL;
    *t = (struct transfer){.next = c->transfers, .client = c, .done = done, .arg = arg};
    c->transfers = t;
    c->active++;
    buf_init(&t->answer.body, ANSWER_MAX, NULL);
    buf_init(&t->answer.headers, HEADERS_MAX, NULL);
    t->easy = take_handle(c);
    if (t->easy && set_headers(t, r)) {
        set_options(t, r);
        if (curl_multi_add_handle(c->multi, t->easy) == CURLM_OK) {
            t->id = *id = ++c->last_id;
            return ERR_OK;
        }
    }
    if (t->easy)
        give_handle(c, t->easy);
    transfer_end(t);
    return ERR_FULL;
}

static void abandon(struct transfer *t)
{
    curl_multi_remove_handle(t->client->multi, t->easy);
    give_handle(t->client, t->easy);
    transfer_end(t);
}

static void curl_cancel(struct http_client *base, uint64_t id)
{
    struct transfer *t = ((struct client *)base)->transfers;

    while (t && t->id != id)
        t = t->next;
    if (t)
        abandon(t);
}

/* A refusal is one without its body, too; of success the body may say that it was none. */
static bool is_answered(const struct transfer *t, CURLcode code, long status)
{
    return code == CURLE_OK || (t->has_headers && status >= 400);
}

static void finish(struct transfer *t, CURLcode code)
{
    struct client *c = t->client;
    long status = 0;
    bool answered;

    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    answered = is_answered(t, code, status);
    curl_multi_remove_handle(c->multi, t->easy);
    give_handle(c, t->easy);
    t->id = 0; /* can't be cancelled from its own answer */
    t->answer.err = answered ? ERR_OK : ERR_IO;
    t->answer.status = answered ? (int)status : 0;
    if (!answered)
        snprintf(t->answer.error, sizeof(t->answer.error), "%s",
                 t->error[0] ? t->error : curl_easy_strerror(code));
    t->done(t->arg, &t->answer);
    transfer_end(t);
}

static uint64_t curl_step(struct http_client *base, uint64_t now_ns)
{
    struct client *c = (struct client *)base;
    struct transfer *t;
    CURLMsg *message;
    int running, left;

    if (now_ns >= c->timer_ns) {
        c->timer_ns = NEVER_NS;
        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    while ((message = curl_multi_info_read(c->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        finish(t, message->data.result);
    }
    return c->timer_ns;
}

static void curl_free_client(struct http_client *base)
{
    struct client *c = (struct client *)base;

    for (struct transfer *t = c->transfers, *next; t; t = next) {
        next = t->next;
        abandon(t);
    }
    while (c->idle_count)
        curl_easy_cleanup(c->idle[--c->idle_count]);
    curl_multi_cleanup(c->multi);
    free(c);
}

struct http_client *http_client_curl(struct loop *loop)
{
    struct client *c = calloc(1, sizeof(*c));

    if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c->multi = curl_multi_init()))
        err_no_memory("HTTP clients");
    c->base = (struct http_client){
        .send = curl_send, .cancel = curl_cancel, .step = curl_step, .free = curl_free_client};
    c->h2c_once = has_h2c_bug();
    c->loop = loop;
    c->timer_ns = NEVER_NS;
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    return &c->base;
}
