/* Signed requests, before a judge that signs again what it gets. */
#include "aws/credentials.h"
#include "aws/place.h"
#include "export/exporter.h"
#include "export/sign.h"
#include "rig.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

extern struct exporter_type exporter_otlp, exporter_lua; /* linked in: they register themselves */
static const struct exporter_type *const linked[]
    __attribute__((used)) = {&exporter_otlp, &exporter_lua};

/* ---- the environment ---- */

static const char *key_id, *secret, *token, *container, *endpoint;

static const char *env(const char *name)
{
    return strcmp(name, "AWS_CONTAINER_CREDENTIALS_FULL_URI") == 0 ? container
           : strcmp(name, "AWS_ACCESS_KEY_ID") == 0                ? key_id
           : strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0            ? secret
           : strcmp(name, "AWS_SESSION_TOKEN") == 0                ? token
           : strcmp(name, "AWS_ENDPOINT_URL_XRAY") == 0            ? endpoint
           : strcmp(name, "AWS_EC2_METADATA_DISABLED") == 0        ? "true"
                                                                   : NULL;
}

/* ---- the judge ---- */

struct judge {
    struct rig *rig;
    const char *secret;
    const char *refusal; /* AWS's code for all requests; NULL: it judges */
    const char *expired; /* this token is over; NULL: none is */
    const char *renewed; /* the one that there is once it was refused; NULL: no other */
    int status;          /* of a refusal */
    int64_t ahead_s;     /* its clock */
    unsigned requests, taken, refused;
    unsigned asked;     /* for credentials */
    char assumed[512];  /* what STS was asked for last */
    unsigned failing;   /* so many of these are answered 500 */
    uint64_t asking_ns; /* until they are given */
    char seen[4096];    /* of the last request: its headers */
    char url[64];
    char proxy[64];
    bool is_unverified;
};

static struct slice header(const struct http_request *q, const char *name)
{
    size_t len = strlen(name);

    for (const char *const *h = q->headers; h && *h; h++)
        if (strncasecmp(*h, name, len) == 0 && (*h)[len] == ':')
            return slice_str(*h + len + 2);
    return (struct slice){0};
}

static bool names(struct slice signed_headers, const char *name, size_t len)
{
    const char *at = (const char *)signed_headers.data;

    for (size_t i = 0; i + len <= signed_headers.len; i++)
        if (strncasecmp(at + i, name, len) == 0 && (i == 0 || at[i - 1] == ';') &&
            (i + len == signed_headers.len || at[i + len] == ';'))
            return true;
    return false;
}

/* The Authorization that the request should have, by its own date, of the headers it says. */
static void expected(const struct judge *j, const struct http_request *q, uint64_t unix_s,
                     struct buf *value)
{
    struct aws_place place = aws_place_of(q->url);
    struct slice authorization = header(q, "authorization"), list;
    const char *at =
        authorization.len ? strstr((const char *)authorization.data, "SignedHeaders=") : NULL;
    struct sigv4_header headers[16];
    const struct sigv4_credentials credentials = {slice_str("AKIDEXAMPLE"), slice_str(j->secret),
                                                  header(q, "x-amz-security-token")};
    const struct sigv4_scope scope = {"eu-west-1", "xray", false};
    struct sigv4_signature signature = {.value = value};
    size_t len = 0;

    CHECK(at);
    if (!at)
        return;
    list = slice_make(at + 14, strcspn(at + 14, ","));
    for (const char *const *h = q->headers; *h; h++) {
        size_t name = strcspn(*h, ":");

        if (names(list, *h, name) && strncasecmp(*h, "x-amz-", 6) != 0)
            headers[len++] = (struct sigv4_header){slice_make(*h, name), slice_str(*h + name + 2)};
    }
    CHECK(names(list, "host", 4) && names(list, "x-amz-date", 10));
    CHECK(sigv4_sign(
              &(struct sigv4_request){q->method, place.path, place.query, headers, len, q->body},
              &credentials, &scope, unix_s, &signature) == ERR_OK);
}

static uint64_t date_of(const struct http_request *q)
{
    struct tm tm = {0};

    CHECK(strptime((const char *)header(q, "x-amz-date").data, "%Y%m%dT%H%M%SZ", &tm));
    return (uint64_t)timegm(&tm);
}

/* NULL: the request is good. */
static const char *judge_request(const struct judge *j, const struct http_request *q)
{
    int64_t now_s = (int64_t)(j->rig->clock.unix_now / NS_PER_S) + j->ahead_s;
    int64_t date_s = (int64_t)date_of(q);
    struct buf value;
    bool good;

    if (j->refusal)
        return j->refusal;
    if (j->expired && slice_is(header(q, "x-amz-security-token"), j->expired))
        return "ExpiredTokenException";
    if (date_s > now_s + 300 || date_s < now_s - 300)
        return "InvalidSignatureException"; /* as X-Ray calls it */
    buf_init(&value, 4096, NULL);
    expected(j, q, (uint64_t)date_s, &value);
    good = slice_equal(buf_slice(&value), header(q, "authorization"));
    buf_fini(&value);
    return good ? NULL : "SignatureDoesNotMatch";
}

/* What a container's endpoint for credentials answers. */
static uint64_t give_credentials(struct judge *j, const struct http_request *q,
                                 struct http_answer *a)
{
    CHECK(!header(q, "authorization").len && q->proxy && !q->proxy[0]);
    a->status = j->asked++ < j->failing ? 500 : 200;
    buf_str(&a->body, "{\"AccessKeyId\":\"AKIDEXAMPLE\",\"SecretAccessKey\":\"right\","
                      "\"Token\":\"t\",\"Expiration\":\"2037-01-01T00:00:00Z\"}");
    return j->asking_ns;
}

static uint64_t assume_role(struct judge *j, const struct http_request *q, struct http_answer *a)
{
    snprintf(j->assumed, sizeof(j->assumed), "%.*s", (int)q->body.len, q->body.data);
    j->asked++;
    a->status = 200;
    buf_str(&a->body, "<AssumeRoleResponse><AssumeRoleResult><Credentials>"
                      "<AccessKeyId>AKIDEXAMPLE</AccessKeyId>"
                      "<SecretAccessKey>right</SecretAccessKey><SessionToken>t</SessionToken>"
                      "<Expiration>2037-01-01T00:00:00Z</Expiration>"
                      "</Credentials></AssumeRoleResult></AssumeRoleResponse>");
    return NS_PER_MS;
}

static uint64_t serve(void *arg, const struct http_request *q, struct http_answer *a)
{
    struct judge *j = arg;
    time_t now = (time_t)(j->rig->clock.unix_now / NS_PER_S) + (time_t)j->ahead_s;
    const char *refusal;
    char date[64];
    size_t len = 0;

    if (container && strcmp(q->url, container) == 0)
        return give_credentials(j, q, a);
    if (strstr(q->url, "//sts."))
        return assume_role(j, q, a);
    refusal = judge_request(j, q);

    for (const char *const *h = q->headers; *h; h++)
        len += (size_t)snprintf(j->seen + len, sizeof(j->seen) - len, "%s\n", *h);
    snprintf(j->url, sizeof(j->url), "%s", q->url);
    snprintf(j->proxy, sizeof(j->proxy), "%s", q->proxy ? q->proxy : "as the environment says");
    j->is_unverified = q->tls && q->tls->insecure_skip_verify;
    strftime(date, sizeof(date), "date: %a, %d %b %Y %H:%M:%S GMT\n", gmtime(&now));
    buf_str(&a->headers, date);
    j->requests++;
    j->taken += !refusal;
    j->refused += refusal != NULL;
    if (refusal && j->renewed)
        token = j->renewed;
    a->status = refusal ? j->status : 200;
    if (refusal)
        buf_printf(&a->body, "{\"__type\":\"com.amazon.coral.service#%s\",\"message\":\"no\"}",
                   refusal);
    return NS_PER_MS;
}

#define OTLP                                                                                       \
    "return { exporter 'otlp' { protocol = 'http/protobuf', endpoint = "                           \
    "'http://127.0.0.1:9/a%20b', "                                                                 \
    "sigv4 = { service = 'xray', region = 'eu-west-1' } } }"

static bool start(struct rig *r, struct judge *j, const char *config)
{
    *j = (struct judge){.rig = r, .secret = "right", .status = 403};
    key_id = "AKIDEXAMPLE";
    secret = "right";
    token = container = endpoint = NULL;
    rig_env = env;
    return rig_open(r, config, http_client_fake(serve, j));
}

/* ---- tests ---- */

static void a_request_is_signed_as_it_is_sent(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j, OTLP));
    token = "session";
    rig_keep(&r, 3, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(j.taken == 1 && j.refused == 0 && rig_stats(&r, 0).delivered == 3);
    CHECK(strstr(j.seen, "Host: 127.0.0.1:9\n") && strstr(j.seen, "content-encoding: gzip\n"));
    CHECK(strstr(j.seen, "X-Amz-Security-Token: session\n"));
    CHECK(strstr(j.seen, "/eu-west-1/xray/aws4_request"));
    CHECK(!j.is_unverified && strcmp(j.proxy, "as the environment says") == 0);
    rig_close(&r);
}

static void what_a_script_asks_for_is_signed(void)
{
    struct rig r;
    struct judge j;

    CHECK(
        start(&r, &j,
              "return { exporter { name = 'mine', doc = 'x', encode = function(b) return { "
              "url = 'http://h/TraceSegments?b=1&a=%20', body = ('x'):rep(500), compress = 'zstd', "
              "headers = { ['X-Amzn-Xray-Timestamp'] = 1, authorization = 'no', empty = '' }, "
              "sigv4 = { service = 'xray', region = 'eu-west-1' }, "
              "no_verify_ssl = true, proxy_address = 'http://p:3128' } end } }"));
    rig_keep(&r, 3, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(j.taken == 1 && j.refused == 0 && rig_stats(&r, 0).delivered == 3);
    CHECK(strstr(j.seen, "x-amzn-xray-timestamp") && !strstr(j.seen, "authorization: no"));
    CHECK(j.is_unverified && strcmp(j.proxy, "http://p:3128") == 0);
    rig_close(&r);
}

/* libcurl encodes such bytes when it sends them, which the signature would not know. */
static void a_path_beyond_ascii_is_signed_as_it_is_sent(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j,
                "return { exporter { name = 'mine', doc = 'x', encode = function(b) return { "
                "url = 'http://h/\\195\\169%20/b?c=\\xe2\\x82\\xac#d', "
                "sigv4 = { service = 'xray', region = 'eu-west-1' } } end } }"));
    rig_keep(&r, 3, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(j.taken == 1 && strcmp(j.url, "http://h/%C3%A9%20/b?c=%E2%82%AC#d") == 0);
    rig_close(&r);
}

static void a_url_may_leave_the_region_open(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j,
                "return { exporter { name = 'mine', doc = 'x', encode = function(b) return { "
                "url = 'http://xray.{region}.local/TraceSegments', "
                "sigv4 = { service = 'xray', region = 'eu-west-1' } } end } }"));
    rig_keep(&r, 3, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(j.taken == 1 && j.refused == 0 && strstr(j.seen, "Host: xray.eu-west-1.local\n"));
    rig_close(&r);
}

static bool goes_to(const char *region, const char *host)
{
    char config[512];
    struct rig r;
    struct judge j;
    bool ok;

    snprintf(config, sizeof(config),
             "return { exporter { name = 'mine', doc = 'x', encode = function(b) return { "
             "url = 'https://xray.{region}.amazonaws.com/TraceSegments', "
             "sigv4 = { service = 'xray', region = '%s' } } end } }",
             region);
    CHECK(start(&r, &j, config));
    endpoint = strstr(host, "127.0.0.1") ? "https://127.0.0.1:8/" : NULL;
    rig_keep(&r, 3, 10);
    rig_run(&r, 2 * NS_PER_S);
    ok = j.requests > 0 && strstr(j.seen, host) && strstr(j.seen, region);
    rig_close(&r);
    return ok;
}

static void an_open_host_is_that_of_the_partition_or_of_the_environment(void)
{
    CHECK(goes_to("eu-west-1", "Host: xray.eu-west-1.amazonaws.com\n"));
    CHECK(goes_to("cn-north-1", "Host: xray.cn-north-1.amazonaws.com.cn\n"));
    CHECK(goes_to("us-iso-east-1", "Host: xray.us-iso-east-1.c2s.ic.gov\n"));
    CHECK(goes_to("eu-west-1", "Host: 127.0.0.1:8\n"));
}

static void a_repeat_is_signed_anew(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j, OTLP));
    j.refusal = "ThrottlingException";
    j.status = 429;
    rig_keep(&r, 1, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(j.refused > 0);
    fake_clock_advance(&r.clock, 3600 * NS_PER_S); /* a signature of then is over */
    j.refusal = NULL;
    rig_run(&r, 60 * NS_PER_S);
    CHECK(j.taken == 1 && rig_stats(&r, 0).delivered == 1);
    rig_close(&r);
}

static void a_wrong_clock_is_corrected_at_once_and_for_good(void)
{
    static const int64_t wrong_by_s[] = {-86400, -301, 301, 90000};

    for (size_t i = 0; i < sizeof(wrong_by_s) / sizeof(wrong_by_s[0]); i++) {
        struct rig r;
        struct judge j;

        CHECK(start(&r, &j, OTLP));
        j.ahead_s = wrong_by_s[i];
        rig_keep(&r, 1, 10);
        rig_run(&r, 2 * NS_PER_S);
        CHECK(j.refused == 1 && j.taken == 1 && rig_stats(&r, 0).failures == 0);
        rig_keep(&r, 1, 10);
        rig_run(&r, 2 * NS_PER_S);
        CHECK(j.refused == 1 && j.taken == 2);
        j.ahead_s = 0; /* somebody mends a clock */
        rig_keep(&r, 1, 10);
        rig_run(&r, 2 * NS_PER_S);
        CHECK(j.refused == 2 && j.taken == 3 && rig_stats(&r, 0).delivered == 3);
        rig_close(&r);
    }
}

static void a_clock_is_not_corrected_without_end(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j, OTLP));
    j.refusal = "RequestTimeTooSkewed";
    j.ahead_s = 5000;
    rig_keep(&r, 1, 10);
    rig_run(&r, 10 * NS_PER_S);
    CHECK(j.requests == 2 && rig_stats(&r, 0).circuit_open);
    rig_close(&r);
}

static void without_credentials_requests_wait_and_nothing_is_lost(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j, OTLP));
    key_id = NULL;
    rig_keep(&r, 3, 10);
    rig_run(&r, 5 * NS_PER_S);
    CHECK(j.requests == 0 && rig_stats(&r, 0).in_flight == 1);
    rig_run(&r, 3600 * NS_PER_S);
    CHECK(j.requests == 0 && rig_stats(&r, 0).queued == 3 && rig_stats(&r, 0).circuit_open);
    CHECK(strstr(rig_stats(&r, 0).last_error, "no AWS credentials"));
    CHECK(strstr(rig_stats(&r, 0).last_error, "AWS_ACCESS_KEY_ID"));
    key_id = "AKIDEXAMPLE";
    rig_run(&r, 60 * NS_PER_S);
    CHECK(j.taken == 1 && rig_stats(&r, 0).delivered == 3 && rig_stats(&r, 0).redelivered == 0);
    rig_close(&r);
}

static void credentials_that_come_in_time_are_taken_without_a_failure(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j, OTLP));
    key_id = NULL;
    rig_keep(&r, 3, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(rig_stats(&r, 0).in_flight == 1);
    key_id = "AKIDEXAMPLE";
    rig_run(&r, 8 * NS_PER_S);
    CHECK(j.taken == 1 && rig_stats(&r, 0).delivered == 3 && rig_stats(&r, 0).failures == 0);
    rig_close(&r);
}

static void expired_credentials_are_replaced_before_it_is_tried_again(void)
{
    static const int status[] = {400, 403};

    for (int i = 0; i < 2; i++) {
        struct rig r;
        struct judge j;

        CHECK(start(&r, &j, OTLP));
        j.status = status[i];
        j.expired = token = "old";
        j.renewed = "new";
        rig_keep(&r, 3, 10);
        rig_run(&r, 3 * NS_PER_S);
        CHECK(j.refused == 1 && j.taken == 1 && rig_stats(&r, 0).delivered == 3);
        CHECK(rig_stats(&r, 0).failures == 0);
        rig_close(&r);
    }
}

static void credentials_that_stay_expired_lose_nothing(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j, OTLP));
    j.status = 400;
    j.expired = token = "old";
    rig_keep(&r, 3, 10);
    rig_run(&r, 300 * NS_PER_S);
    CHECK(j.refused > 1 && j.refused < 12 && rig_stats(&r, 0).queued == 3);
    CHECK(strstr(rig_stats(&r, 0).last_error, "expired"));
    token = "new";
    rig_run(&r, 180 * NS_PER_S);
    CHECK(rig_stats(&r, 0).delivered == 3);
    rig_close(&r);
}

static void a_wrong_key_holds_the_queue_until_it_is_right(void)
{
    static const int status[] = {400, 403};

    for (int i = 0; i < 2; i++) {
        struct rig r;
        struct judge j;

        CHECK(start(&r, &j, OTLP));
        j.status = status[i];
        secret = "wrong";
        rig_keep(&r, 3, 10);
        rig_run(&r, 1800 * NS_PER_S);
        CHECK(j.refused > 10 && j.refused < 70 && rig_stats(&r, 0).queued == 3);
        CHECK(strstr(rig_stats(&r, 0).last_error, "AWS says SignatureDoesNotMatch"));
        secret = "right";
        rig_run(&r, 180 * NS_PER_S);
        CHECK(rig_stats(&r, 0).delivered == 3 && j.taken == 1);
        rig_close(&r);
    }
}

static void credentials_come_by_the_same_client_and_past_proxies(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j, OTLP));
    key_id = secret = NULL;
    container = "http://127.0.0.1:8/creds";
    j.asking_ns = 200 * NS_PER_MS;
    rig_keep(&r, 3, 10);
    rig_run(&r, 3 * NS_PER_S);
    CHECK(j.asked == 1 && j.taken == 1 && rig_stats(&r, 0).delivered == 3);
    CHECK(strstr(j.seen, "X-Amz-Security-Token: t\n"));
    rig_close(&r);
}

/* Each pair of a role and an external id is somebody else. */
static void a_role_is_assumed_by_its_external_id(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(
        &r, &j,
        "local function as(id) return { url = 'http://h/', sigv4 = { service = 'xray', region "
        "= 'eu-west-1', role_arn = 'arn:aws:iam::1:role/r', external_id = id } } end\n"
        "return { exporter { name = 'mine', doc = 'x', encode = function(b) "
        "return { as 'one', as 'two/parts', as 'one' } end } }"));
    rig_keep(&r, 3, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(j.asked == 2 && j.taken == 3 && rig_stats(&r, 0).delivered == 3);
    CHECK(strstr(j.assumed, "ExternalId=two%2Fparts"));
    CHECK(strstr(j.assumed, "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"));
    rig_close(&r);
}

static void on_nothing(void *arg, struct http_answer *answer)
{
    (void)arg, (void)answer;
}

static void credentials_are_asked_for_again_when_it_is_time(void)
{
    static struct rig r;
    struct judge j = {.rig = &r, .secret = "right", .failing = 3};
    const struct http_sigv4 sigv4 = {.service = "xray", .region = "eu-west-1"};
    const struct http_request request = {
        .method = "POST", .url = "http://h/", .timeout_ns = 60 * NS_PER_S, .sigv4 = &sigv4};
    struct http_client *inner = http_client_fake(serve, &j), *c;
    uint64_t id, due;

    fake_clock_init(&r.clock, RIG_START, RIG_UNIX);
    fake_disk_init(&r.disk);
    c = http_client_signing(inner, &r.clock.clock,
                            &(struct credentials_config){.env = env, .disk = &r.disk.disk});
    key_id = secret = NULL;
    container = "http://127.0.0.1:8/creds";
    CHECK(c->send(c, &request, on_nothing, NULL, &id) == ERR_OK);
    for (int i = 0; i < 100 && !j.taken; i++) {
        due = c->step(c, r.clock.now);
        if (due > r.clock.now && due != NEVER_NS)
            fake_clock_advance(&r.clock, due - r.clock.now);
    }
    CHECK(j.asked == 4 && j.taken == 1);
    CHECK(r.clock.now < RIG_START + 30 * NS_PER_S); /* it did not wait for something else */
    c->free(c);
    inner->free(inner);
    fake_disk_fini(&r.disk);
}

static void it_can_end_while_credentials_are_asked_for(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j, OTLP));
    key_id = secret = NULL;
    container = "http://127.0.0.1:8/creds";
    j.asking_ns = NS_PER_S - 1;
    rig_keep(&r, 3, 10);
    rig_run(&r, 1010 * NS_PER_MS);
    CHECK(j.asked == 1 && j.requests == 0);
    rig_close(&r);
}

static void a_request_that_waits_can_be_given_up(void)
{
    struct rig r;
    struct judge j;

    CHECK(start(&r, &j, OTLP));
    key_id = NULL;
    rig_keep(&r, 3, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(rig_stats(&r, 0).in_flight == 1);
    rig_close(&r); /* cancels it */
}

static void urls_are_taken_apart(void)
{
    static const struct {
        const char *url, *origin, *host, *path, *query, *region;
    } rows[] = {
        {"https://xray.eu-west-1.amazonaws.com:443/TraceSegments",
         "https://xray.eu-west-1.amazonaws.com:443", "xray.eu-west-1.amazonaws.com",
         "/TraceSegments", "", "eu-west-1"},
        {"https://xray.cn-north-1.amazonaws.com.cn", "https://xray.cn-north-1.amazonaws.com.cn",
         "xray.cn-north-1.amazonaws.com.cn", "/", "", "cn-north-1"},
        {"https://xray.us-gov-west-1.api.aws?a=b#c", "https://xray.us-gov-west-1.api.aws",
         "xray.us-gov-west-1.api.aws", "/", "a=b", "us-gov-west-1"},
        {"http://127.0.0.1:80/x?y?z", "http://127.0.0.1:80", "127.0.0.1", "/x", "y?z", ""},
        {"http://[::1]:8080/", "http://[::1]:8080", "[::1]:8080", "/", "", ""},
        {"https://sts.amazonaws.com/", "https://sts.amazonaws.com", "sts.amazonaws.com", "/", "",
         ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct aws_place p = aws_place_of(rows[i].url);

        CHECK(slice_is(p.origin, rows[i].origin) && slice_is(p.host, rows[i].host));
        CHECK(slice_is(p.path, rows[i].path) && slice_is(p.query, rows[i].query));
        CHECK(slice_is(aws_place_region(p.host), rows[i].region));
    }
}

static void wrong_options_are_refused_with_what_is_allowed(void)
{
    static const struct {
        const char *options, *says;
    } rows[] = {
        {"sigv4 = { service = 'xray' }", "protocol = \"http/protobuf\""},
        {"protocol = 'http/protobuf', sigv4 = {}", "sigv4.service"},
        {"protocol = 'http/protobuf', sigv4 = { service = 'X Ray' }", "has sigv4.service 'X Ray'"},
        {"protocol = 'http/protobuf', sigv4 = { service = 'xray', region = 'Ireland' }",
         "\"eu-west-1\""},
        {"protocol = 'http/protobuf', sigv4 = { service = 'xray', role_arn = 'admin' }",
         "arn:aws:iam::ACCOUNT:role/NAME"},
        {"protocol = 'http/protobuf', sigv4 = { service = 'xray', regoin = 'x' }", "region"},
        {"protocol = 'http/protobuf', sigv4 = { service = 'xray', external_id = 'abc' }",
         "beside role_arn"},
        {"protocol = 'http/protobuf', sigv4 = { service = 'xray', role_arn = "
         "'arn:aws:iam::1:role/r', external_id = 'a b' }",
         "external_id 'a b'"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig r;
        char config[512];

        snprintf(config, sizeof(config), "return { exporter 'otlp' { endpoint = 'http://a', %s } }",
                 rows[i].options);
        rig_base(&r);
        CHECK(!rig_go(&r, config, NULL));
        if (!strstr(r.info.text, rows[i].says))
            printf("  %s\n", r.info.text);
        CHECK(strstr(r.info.text, rows[i].says));
        rig_close(&r);
    }
}

static void a_script_is_told_what_is_wrong_with_its_request(void)
{
    static const struct {
        const char *request, *says;
    } rows[] = {
        {"url = 'http://a/', sigv4 = 'xray'", "service = \"xray\""},
        {"url = 'http://a/', sigv4 = {}", "sigv4.service"},
        {"url = 'http://a/', sigv4 = { service = 'xray', zone = 'x' }", "allowed: service, region"},
        {"url = 'http://a/', sigv4 = { service = 'xray', role_arn = 'x' }", "sigv4.role_arn"},
        {"url = 'http://a/', sigv4 = { service = 'xray', external_id = 'abc' }", "for role_arn"},
        {"url = 'http://a/', no_verify_ssl = 1", "true or false"},
        {"url = 'http://a/', proxy_address = 'a:1'", "http://HOST:PORT"},
        {"url = 'udp://a'", "udp://HOST:PORT"},
        {"url = 'udp://a:1', sigv4 = { service = 'xray' }", "no headers"},
        {"url = 'ftp://a:1'", "udp://HOST:PORT or stdout:"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig r;
        struct judge j;
        char config[512];

        snprintf(config, sizeof(config),
                 "return { exporter { name = 'mine', doc = 'x', encode = function(b) return { %s } "
                 "end } }",
                 rows[i].request);
        CHECK(start(&r, &j, config));
        rig_keep(&r, 1, 10);
        rig_run(&r, 2 * NS_PER_S);
        CHECK(rig_stats(&r, 0).lost_permanent == 1 && j.requests == 0);
        if (!strstr(rig_stats(&r, 0).last_error, rows[i].says))
            printf("  %s\n", rig_stats(&r, 0).last_error);
        CHECK(strstr(rig_stats(&r, 0).last_error, rows[i].says));
        rig_close(&r);
    }
}

int main(void)
{
    RUN(a_request_is_signed_as_it_is_sent);
    RUN(what_a_script_asks_for_is_signed);
    RUN(a_path_beyond_ascii_is_signed_as_it_is_sent);
    RUN(a_url_may_leave_the_region_open);
    RUN(an_open_host_is_that_of_the_partition_or_of_the_environment);
    RUN(a_repeat_is_signed_anew);
    RUN(a_wrong_clock_is_corrected_at_once_and_for_good);
    RUN(a_clock_is_not_corrected_without_end);
    RUN(without_credentials_requests_wait_and_nothing_is_lost);
    RUN(credentials_that_come_in_time_are_taken_without_a_failure);
    RUN(expired_credentials_are_replaced_before_it_is_tried_again);
    RUN(credentials_that_stay_expired_lose_nothing);
    RUN(a_wrong_key_holds_the_queue_until_it_is_right);
    RUN(credentials_come_by_the_same_client_and_past_proxies);
    RUN(a_role_is_assumed_by_its_external_id);
    RUN(credentials_are_asked_for_again_when_it_is_time);
    RUN(it_can_end_while_credentials_are_asked_for);
    RUN(a_request_that_waits_can_be_given_up);
    RUN(urls_are_taken_apart);
    RUN(wrong_options_are_refused_with_what_is_allowed);
    RUN(a_script_is_told_what_is_wrong_with_its_request);
    return DONE();
}
