/* Signs what is to be signed, when it is sent, and hands everything to another client. */
#include "aws/place.h"
#include "aws/settings.h"
#include "base/hash.h"
#include "export/aws_answer.h"
#include "export/identities.h"
#include "export/own_requests.h"
#include "export/sign.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PLACES_MAX = 32,
    CLOCK_TOLERANCE_S = 240, /* AWS takes signatures of up to 5 minutes before or after */
};

struct signing;

/* How far the clock of an endpoint is from ours. */
struct place {
    uint64_t origin; /* hashed; 0: none */
    int64_t offset_s;
};

struct signed_request {
    struct signed_request *next;
    struct signing *client;
    uint64_t id;
    uint64_t inner;              /* 0: it waits for credentials */
    struct http_request request; /* its texts are copies */
    char **texts;                /* headers, NULL, method, url, proxy */
    struct tls_client_options tls;
    http_done_fn *done;
    void *arg;
    struct identity *identity;
    uint64_t origin;   /* hashed */
    uint64_t until_ns; /* while it waits */
    uint64_t used;     /* the credentials that it is signed with, hashed */
    uint64_t expired;  /* those that are over: it waits for others; 0: none */
    int64_t offset_s;  /* of the signature */
    bool corrected;    /* the clock was, for this request */
};

struct signing {
    struct http_client base;
    struct http_client *inner;
    const struct clock *clock;
    struct identities identities;
    struct hash_key key;
    struct place places[PLACES_MAX];
    size_t next_place;
    struct signed_request *requests; /* in order of sending */
    uint64_t last_id;
};

/* ---- what is known of clocks and credentials ---- */

static uint64_t hash_credentials(const struct signing *c, const struct sigv4_credentials *found)
{
    return (hash_bytes(c->key, found->access_key.data, found->access_key.len) ^
            hash_bytes(c->key, found->session_token.data, found->session_token.len)) |
           1;
}

static int64_t offset_of(const struct signing *c, uint64_t origin)
{
    for (size_t i = 0; i < PLACES_MAX; i++)
        if (c->places[i].origin == origin)
            return c->places[i].offset_s;
    return 0;
}

static void set_offset(struct signing *c, uint64_t origin, int64_t offset_s)
{
    for (size_t i = 0; i < PLACES_MAX; i++)
        if (c->places[i].origin == origin) {
            c->places[i].offset_s = offset_s;
            return;
        }
    c->places[c->next_place++ % PLACES_MAX] = (struct place){origin, offset_s};
}

static int64_t unix_now_s(const struct signing *c)
{
    return (int64_t)(clock_unix_ns(c->clock) / NS_PER_S);
}

/* ---- one request ---- */

static void texts_free(char **texts)
{
    char **at = texts;

    while (at && *at)
        free(*at++);
    for (int i = 1; at && i <= 3; i++)
        free(at[i]);
    free(texts);
}

/* Makes the request's texts its own. False: no memory. */
static bool copy_texts(struct signed_request *r, const struct http_request *from)
{
    size_t count = 0;
    char **texts;

    while (from->headers && from->headers[count])
        count++;
    r->texts = texts = calloc(count + 4, sizeof(*texts));
    if (!texts)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!(texts[i] = strdup(from->headers[i])))
            return false;
    r->request.headers = (const char *const *)texts;
    r->request.method = texts[count + 1] = strdup(from->method);
    r->request.url = texts[count + 2] = strdup(from->url);
    r->request.proxy = texts[count + 3] = from->proxy ? strdup(from->proxy) : NULL;
    return r->request.method && r->request.url && (r->request.proxy || !from->proxy);
}

/* Takes it out of the list and frees it. */
static void forget(struct signing *c, struct signed_request *r)
{
    struct signed_request **at = &c->requests;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    if (r->identity)
        r->identity->users--;
    texts_free(r->texts);
    free(r);
}

static void finish(struct signing *c, struct signed_request *r, struct http_answer *answer)
{
    http_done_fn *done = r->done;
    void *arg = r->arg;

    forget(c, r);
    done(arg, answer);
}

/* Ends it without an answer of the other end. */
static void finish_unsent(struct signing *c, struct signed_request *r, bool unsigned_yet,
                          const char *why)
{
    struct http_answer a = {.err = ERR_IO, .unsigned_yet = unsigned_yet};

    snprintf(a.error, sizeof(a.error), "%s", why);
    buf_init(&a.body, 1, NULL);
    buf_init(&a.headers, 1, NULL);
    finish(c, r, &a);
    buf_fini(&a.body);
    buf_fini(&a.headers);
}

/* The region to sign for: as configured, as the host says, or the default one. False: not known. */
static bool find_region(const struct signed_request *r, char region[64])
{
    struct slice of_host = aws_place_region(aws_place_of(r->request.url).host);
    const char *other = r->request.sigv4->region;

    if (!other && of_host.len)
        snprintf(region, 64, "%.*s", (int)of_host.len, (const char *)of_host.data);
    else if (other || (other = credentials_region(r->identity->credentials)))
        snprintf(region, 64, "%s", other);
    else
        return false;
    return true;
}

/* What the request may be signed with now; NULL: it waits. */
static const struct sigv4_credentials *usable(const struct signed_request *r, char region[64])
{
    const struct sigv4_credentials *found;

    if (!find_region(r, region))
        return NULL;
    found = credentials_get(r->identity->credentials, clock_unix_ns(r->client->clock));
    return found && hash_credentials(r->client, found) != r->expired ? found : NULL;
}

/* Why a request waits, for the log. */
static void put_reason(const struct signed_request *r, char *text, size_t size)
{
    const char *why = credentials_error(r->identity->credentials);
    char region[64];

    if (!find_region(r, region))
        snprintf(text, size, "no AWS region: set sigv4.region or AWS_REGION");
    else if (r->expired)
        snprintf(text, size, "the AWS credentials have expired%s%s", *why ? ": " : "", why);
    else
        snprintf(text, size, "no AWS credentials%s%s", *why ? ": " : "", why);
}

static void on_answer(void *arg, struct http_answer *answer);

/* The service's host in the region, or what the environment has for it, and the rest of the URL. */
static char *url_of_service(const struct signed_request *r, struct slice prefix, const char *region,
                            const char *rest)
{
    const struct aws_settings settings = {.env = r->client->identities.config.env};
    char name[64], *text = NULL;
    struct buf base;

    snprintf(name, sizeof(name), "%.*s", (int)prefix.len, (const char *)prefix.data);
    buf_init(&base, 2048, NULL);
    settings_endpoint(&settings, r->request.sigv4->service, name, region, &base);
    if (buf_ok(&base) &&
        asprintf(&text, "%.*s%s", (int)base.len, (const char *)base.data, rest) < 0)
        text = NULL;
    buf_fini(&base);
    return text;
}

/* A copy of the URL with the region where it leaves that open. As
 * "https://xray.{region}.amazonaws.com" it leaves all of the host open. NULL: no memory. */
static char *url_in(const struct signed_request *r, const char *region)
{
    static const char scheme[] = "https://", open_place[] = "{region}", aws[] = ".amazonaws.com";
    const char *url = r->request.url, *at = strstr(url, open_place), *rest;
    char *text;

    if (!at)
        return strdup(url);
    rest = at + sizeof(open_place) - 1;
    if (strncmp(url, scheme, sizeof(scheme) - 1) == 0 && at > url + sizeof(scheme) &&
        at[-1] == '.' && strncmp(rest, aws, sizeof(aws) - 1) == 0) {
        url += sizeof(scheme) - 1;
        return url_of_service(r, slice_make(url, (size_t)(at - url) - 1), region,
                              rest + sizeof(aws) - 1);
    }
    if (asprintf(&text, "%.*s%s%s", (int)(at - url), url, region, rest) < 0)
        return NULL;
    return text;
}

/* Signs and sends. ERR_AGAIN: there is nothing to sign with. */
static enum err start(struct signed_request *r)
{
    struct signing *c = r->client;
    char region[64];
    const struct sigv4_credentials *found = usable(r, region);
    struct http_request signed_one = r->request;
    int64_t unix_s = unix_now_s(c);
    char **headers, *in_region, *url;
    enum err e;

    if (!found)
        return ERR_AGAIN;
    r->used = hash_credentials(c, found);
    r->offset_s = offset_of(c, r->origin);
    unix_s += r->offset_s;
    in_region = url_in(r, region);
    signed_one.url = url = in_region ? sign_url(in_region) : NULL;
    free(in_region);
    if (!url)
        return ERR_FULL;
    e = sign_headers(&signed_one, region, found, unix_s > 0 ? (uint64_t)unix_s : 0, &headers);
    if (!e) {
        signed_one.headers = (const char *const *)headers;
        e = c->inner->send(c->inner, &signed_one, on_answer, r, &r->inner);
        sign_free(headers);
        if (e)
            r->inner = 0;
    }
    free(url);
    return e;
}

/* ---- answers ---- */

/* The time was refused: takes the endpoint's if it is another one. True: it is worth a try. */
static bool correct_clock(struct signed_request *r, const struct http_answer *answer,
                          int64_t tolerance_s)
{
    int64_t date, offset_s, change_s;

    if (r->corrected || !aws_answer_date(answer, &date))
        return false;
    offset_s = date - unix_now_s(r->client);
    change_s = offset_s - r->offset_s;
    if (change_s < tolerance_s && change_s > -tolerance_s)
        return false;
    r->corrected = true;
    set_offset(r->client, r->origin, offset_s);
    return true;
}

/* Whether the request goes on after this refusal; else its answer is the last. */
static bool goes_on(struct signed_request *r, struct http_answer *answer)
{
    char code[64];
    enum aws_refusal refusal = aws_answer_read(answer, code);
    struct credentials *credentials = r->identity->credentials;

    if (refusal == AWS_NOT_OURS)
        return false;
    if ((refusal == AWS_CLOCK && correct_clock(r, answer, 1)) ||
        (refusal == AWS_SIGNATURE && correct_clock(r, answer, CLOCK_TOLERANCE_S)))
        return true;
    if (refusal != AWS_DENIED && refusal != AWS_CLOCK)
        credentials_rejected(credentials);
    if (refusal == AWS_EXPIRED && !r->expired) {
        r->expired = r->used;
        return true;
    }
    answer->status = 403;
    snprintf(answer->error, sizeof(answer->error), "AWS says %s", code);
    return false;
}

static void on_answer(void *arg, struct http_answer *answer)
{
    struct signed_request *r = arg;
    struct signing *c = r->client;

    r->inner = 0;
    if (!goes_on(r, answer)) {
        finish(c, r, answer);
        return;
    }
    switch (start(r)) {
    case ERR_OK:
    case ERR_AGAIN: /* waits */
        return;
    default:
        finish_unsent(c, r, false, "too many requests at once");
    }
}

/* ---- the client ---- */

/* STS is asked in the region that the request goes to. */
static struct identity *find_identity(struct signing *c, const struct http_request *request)
{
    struct slice region = aws_place_region(aws_place_of(request->url).host);
    struct http_sigv4 sigv4 = *request->sigv4;
    char text[64];

    snprintf(text, sizeof(text), "%.*s", (int)region.len, (const char *)region.data);
    if (!sigv4.region && text[0])
        sigv4.region = text;
    return identities_find(&c->identities, &sigv4);
}

/* An exporter's own authority comes before that of the environment. */
static void trust(struct signed_request *r, const struct tls_client_options *asked)
{
    if (asked)
        r->tls = *asked;
    if (!r->tls.ca_file)
        r->tls.ca_file = r->client->identities.sources.tls.ca_file;
    r->request.tls = &r->tls;
}

static struct signed_request *request_new(struct signing *c, const struct http_request *from,
                                          http_done_fn *done, void *arg)
{
    struct signed_request *r = calloc(1, sizeof(*r)), **at = &c->requests;
    struct slice origin = aws_place_of(from->url).origin;

    if (!r)
        return NULL;
    *r = (struct signed_request){.client = c, .request = *from, .done = done, .arg = arg};
    trust(r, from->tls);
    r->origin = hash_bytes(c->key, origin.data, origin.len) | 1;
    r->until_ns = clock_now_ns(c->clock) + from->timeout_ns;
    r->id = OWN_SIGNED | ++c->last_id;
    while (*at)
        at = &(*at)->next;
    *at = r;
    r->identity = find_identity(c, from);
    if (r->identity)
        r->identity->users++;
    if (r->identity && copy_texts(r, from))
        return r;
    forget(c, r);
    return NULL;
}

static enum err signing_send(struct http_client *base, const struct http_request *request,
                             http_done_fn *done, void *arg, uint64_t *id)
{
    struct signing *c = (struct signing *)base;
    struct signed_request *r;
    enum err e;

    if (!request->sigv4)
        return c->inner->send(c->inner, request, done, arg, id);
    r = request_new(c, request, done, arg);
    if (!r)
        return ERR_FULL;
    *id = r->id;
    e = start(r);
    if (e == ERR_OK || e == ERR_AGAIN)
        return ERR_OK;
    forget(c, r);
    return ERR_FULL;
}

static void signing_cancel(struct http_client *base, uint64_t id)
{
    struct signing *c = (struct signing *)base;
    struct signed_request *r = c->requests;

    if (!(id & OWN_SIGNED)) {
        c->inner->cancel(c->inner, id);
        return;
    }
    while (r && r->id != id)
        r = r->next;
    if (!r)
        return;
    if (r->inner)
        c->inner->cancel(c->inner, r->inner);
    forget(c, r);
}

/* Goes on with the first waiting request that can: it is sent, or has waited too long. */
static bool go_on(struct signing *c, uint64_t now_ns)
{
    for (struct signed_request *r = c->requests; r; r = r->next) {
        char why[256];
        enum err e;

        if (r->inner)
            continue;
        e = start(r);
        if (e == ERR_AGAIN && now_ns < r->until_ns)
            continue;
        put_reason(r, why, sizeof(why));
        if (e == ERR_AGAIN)
            finish_unsent(c, r, true, why);
        else if (e)
            finish_unsent(c, r, false, "too many requests at once");
        return true;
    }
    return false;
}

static uint64_t signing_step(struct http_client *base, uint64_t now_ns)
{
    struct signing *c = (struct signing *)base;
    uint64_t due;
    bool moved = false;

    c->identities.sources.has_sent = false;
    due = c->inner->step(c->inner, now_ns);
    due = earlier_ns(due, identities_step(&c->identities, now_ns, clock_unix_ns(c->clock)));
    while (go_on(c, now_ns))
        moved = true;
    if (moved || c->identities.sources.has_sent)
        due = now_ns; /* what was sent has work for the inner client at once */
    for (struct signed_request *r = c->requests; r; r = r->next)
        if (!r->inner)
            due = earlier_ns(due, r->until_ns);
    return due;
}

static void signing_free(struct http_client *base)
{
    struct signing *c = (struct signing *)base;

    for (struct signed_request *r = c->requests, *next; r; r = next) {
        next = r->next;
        if (r->inner)
            c->inner->cancel(c->inner, r->inner);
        texts_free(r->texts);
        free(r);
    }
    identities_fini(&c->identities);
    free(c);
}

struct http_client *http_client_signing(struct http_client *inner, const struct clock *clock,
                                        const struct credentials_config *credentials)
{
    struct signing *c = calloc(1, sizeof(*c));

    if (!c)
        err_no_memory("signed requests");
    c->base = (struct http_client){
        .send = signing_send, .cancel = signing_cancel, .step = signing_step, .free = signing_free};
    c->inner = inner;
    c->clock = clock;
    identities_init(&c->identities, inner, credentials);
    c->key = hash_key_random();
    return &c->base;
}
