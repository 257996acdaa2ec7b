/* Who signs, and whether it is taken: with the very client that exporters send by. */
#include "aws/answer.h"
#include "aws/credentials.h"
#include "aws/place.h"
#include "aws/settings.h"
#include "cli/doctor.h"
#include "export/aws_answer.h"
#include "export/aws_http.h"
#include "export/sign.h"
#include "otlp/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

static const uint64_t patience_ns = 15 * NS_PER_S;
static const char form[] = "content-type: application/x-www-form-urlencoded";
static const char who[] = "Action=GetCallerIdentity&Version=2011-06-15";

/* The client, and what came of its one request. */
struct asking {
    struct loop *loop;
    struct http_client *curl, *signing;
    bool is_done;
    enum err err;
    int status;
    char error[256];
    struct buf body;
    bool has_date;
    int64_t date_s, received_s;
};

static void on_answer(void *arg, struct http_answer *answer)
{
    struct asking *a = arg;

    a->is_done = true;
    a->err = answer->err;
    a->status = answer->status;
    snprintf(a->error, sizeof(a->error), "%s", answer->error);
    if (!answer->err) {
        a->has_date = aws_answer_date(answer, &a->date_s);
        a->received_s = (int64_t)(clock_unix_ns(clock_system()) / NS_PER_S);
        buf_append(&a->body, answer->body.data, answer->body.len);
    }
}

static void asking_init(struct asking *a)
{
    const struct credentials_config config = {0};

    *a = (struct asking){.loop = loop_new(clock_system())};
    a->curl = http_client_curl(a->loop);
    a->signing = http_client_signing(a->curl, clock_system(), &config);
    buf_init(&a->body, 1 << 20, NULL);
}

static void asking_fini(struct asking *a)
{
    a->signing->free(a->signing);
    a->curl->free(a->curl);
    loop_free(a->loop);
    buf_fini(&a->body);
}

/* NULL: nothing is. */
static const char *given(const char *text)
{
    return text[0] ? text : NULL;
}

/* Whether credentials and a region are there; the first call has them looked for. */
static bool is_ready(struct credentials *c, char region[SETTINGS_REGION_MAX])
{
    const char *of_machine = region[0] ? NULL : credentials_region(c);

    if (of_machine)
        snprintf(region, SETTINGS_REGION_MAX, "%s", of_machine);
    return credentials_get(c, clock_unix_ns(clock_system())) && region[0];
}

/* Looks for credentials once, through all their sources, and for a region where there is none yet.
 * False: there are none; a->error says why. */
static bool find_credentials(struct asking *a, const struct doctor_target *t,
                             char region[SETTINGS_REGION_MAX])
{
    struct aws_http_adapter adapter;
    const struct aws_settings settings = {0};
    const struct credentials_config config = {.http = aws_http_on(&adapter, a->curl, &settings),
                                              .region = region[0] ? region : NULL,
                                              .role_arn = given(t->role_arn),
                                              .external_id = given(t->external_id)};
    struct credentials *c = credentials_new(&config);
    uint64_t until_ns = clock_now_ns(clock_system()) + patience_ns, now_ns = 0;
    bool ready = is_ready(c, region), found;

    while (!ready && now_ns < until_ns && !credentials_error(c)[0]) {
        uint64_t due;

        now_ns = clock_now_ns(clock_system());
        due = credentials_step(c, now_ns, clock_unix_ns(clock_system()));
        due = earlier_ns(due, a->curl->step(a->curl, now_ns)); /* with what was asked just now */
        ready = is_ready(c, region);
        if (!ready && !credentials_error(c)[0])
            loop_wait(a->loop, earlier_ns(due, until_ns));
    }
    found = credentials_get(c, clock_unix_ns(clock_system())) != NULL;
    snprintf(a->error, sizeof(a->error), "%s",
             credentials_error(c)[0] ? credentials_error(c) : "nobody answered in time");
    credentials_free(c);
    return found;
}

/* Sends, and waits for the answer. */
static void ask(struct asking *a, const struct http_request *request)
{
    uint64_t id, until_ns = clock_now_ns(clock_system()) + patience_ns + NS_PER_S, now_ns;

    a->is_done = false;
    buf_clear(&a->body);
    if (a->signing->send(a->signing, request, on_answer, a, &id)) {
        a->err = ERR_IO;
        snprintf(a->error, sizeof(a->error), "the request can't be made");
        return;
    }
    while (!a->is_done) {
        uint64_t due;

        now_ns = clock_now_ns(clock_system());
        due = earlier_ns(a->signing->step(a->signing, now_ns), until_ns);
        if (a->is_done || now_ns >= until_ns)
            break;
        loop_wait(a->loop, due);
    }
    if (a->is_done)
        return;
    a->signing->cancel(a->signing, id);
    a->err = ERR_IO;
    snprintf(a->error, sizeof(a->error), "no answer in time");
}

/* ---- the questions ---- */

/* As the signer finds it, but for what only the machine knows: then "". */
static void find_region(const struct doctor_target *t, char region[SETTINGS_REGION_MAX])
{
    const struct aws_settings settings = {0};
    struct slice of_host =
        t->url[0] ? aws_place_region(aws_place_of(t->url).host) : (struct slice){0};

    region[0] = '\0';
    if (t->region[0])
        snprintf(region, SETTINGS_REGION_MAX, "%s", t->region);
    else if (of_host.len && of_host.len < SETTINGS_REGION_MAX)
        snprintf(region, SETTINGS_REGION_MAX, "%.*s", (int)of_host.len, (const char *)of_host.data);
    else if (!settings_region(&settings, region))
        region[0] = '\0';
}

static bool ask_identity(struct asking *a, const struct doctor_target *t, const char *region)
{
    const struct aws_settings settings = {0};
    char sts_region[SETTINGS_REGION_MAX];
    struct http_sigv4 sigv4 = {.service = "sts",
                               .role_arn = given(t->role_arn),
                               .external_id = given(t->external_id),
                               .region = sts_region};
    struct http_request request = {.method = "POST",
                                   .headers = (const char *const[]){form, NULL},
                                   .body = slice_str(who),
                                   .timeout_ns = patience_ns,
                                   .sigv4 = &sigv4,
                                   .proxy = t->proxy[0] ? t->proxy : NULL};
    struct buf url;

    snprintf(sts_region, sizeof(sts_region), "%s", region);
    buf_init(&url, 1024, NULL);
    settings_sts(&settings, sts_region, &url);
    buf_str(&url, "/");
    buf_byte(&url, 0);
    request.url = (const char *)url.data;
    ask(a, &request);
    buf_fini(&url);
    return a->err == ERR_OK && a->status == 200;
}

/* What a service is asked that changes nothing there. */
struct question {
    const char *path, *type, *target; /* target: a header; NULL: none */
    struct buf body;
};

/* Nothing is sent, and CloudWatch wants one event at least: that is its answer to who may write. */
static void ask_nothing_of_logs(struct question *q, const char *group)
{
    q->path = "/";
    q->type = "content-type: application/x-amz-json-1.1";
    q->target = "x-amz-target: Logs_20140328.PutLogEvents";
    buf_str(&q->body, "{\"logGroupName\":");
    json_put_string(&q->body, slice_str(group));
    buf_str(&q->body, ",\"logStreamName\":\"moontail-doctor\",\"logEvents\":[]}");
}

static void make_question(struct question *q, const struct doctor_target *t)
{
    *q = (struct question){.path = "", .type = "content-type: application/json"};
    buf_init(&q->body, 4096, NULL);
    if (strcmp(t->service, "xray") == 0) {
        q->path = "/TraceSegments";
        buf_str(&q->body, "{\"TraceSegmentDocuments\":[]}");
    } else if (t->log_group[0]) {
        ask_nothing_of_logs(q, t->log_group);
    }
}

static void ask_service(struct asking *a, const struct doctor_target *t, const char *region)
{
    struct question q;
    struct http_sigv4 sigv4 = {.service = t->service,
                               .region = region[0] ? region : NULL,
                               .role_arn = given(t->role_arn),
                               .external_id = given(t->external_id)};
    struct tls_client_options tls = {.insecure_skip_verify = t->no_verify};
    struct http_request request = {.method = "POST",
                                   .timeout_ns = patience_ns,
                                   .tls = &tls,
                                   .sigv4 = &sigv4,
                                   .proxy = t->proxy[0] ? t->proxy : NULL};
    char url[600];
    size_t len = strlen(t->url);

    make_question(&q, t);
    while (len && t->url[len - 1] == '/')
        len--;
    snprintf(url, sizeof(url), "%.*s%s", (int)len, t->url, q.path);
    request.url = url;
    request.headers = (const char *const[]){q.type, q.target, NULL};
    request.body = buf_slice(&q.body);
    ask(a, &request);
    buf_fini(&q.body);
}

/* ---- what they say ---- */

static void say_identity(struct doctor *d, const struct doctor_target *t, struct asking *a)
{
    struct buf arn;

    buf_init(&arn, 1024, NULL);
    if (answer_xml(buf_slice(&a->body), "GetCallerIdentityResponse/GetCallerIdentityResult/Arn",
                   &arn))
        doctor_say(d, FINDING_OK, "aws", "%s: signs as %.*s", t->exporter, (int)arn.len,
                   (const char *)arn.data);
    else
        doctor_say(d, FINDING_WARN, "aws", "%s: STS did not say who signs", t->exporter);
    buf_fini(&arn);
}

static void say_no_identity(struct doctor *d, const struct doctor_target *t, const struct asking *a)
{
    if (a->err == ERR_OK) {
        doctor_say(d, FINDING_FAIL, "aws", "%s: STS says status %d %s", t->exporter, a->status,
                   a->error);
        doctor_advise("the keys are wrong, or of another partition than the region");
    } else { /* the service itself may be reached all the same */
        doctor_say(d, FINDING_WARN, "aws", "%s: STS can't be asked who signs: %s", t->exporter,
                   a->error);
        doctor_advise("with VPC endpoints: one for sts, too, where roles are assumed");
    }
}

static void say_service(struct doctor *d, const struct doctor_target *t, const struct asking *a)
{
    if (a->err) {
        doctor_say(d, FINDING_FAIL, "aws", "%s: %s: %s", t->exporter, t->url, a->error);
    } else if (a->status == 401 || a->status == 403) {
        doctor_say(d, FINDING_FAIL, "aws", "%s: %s refuses the signed call: %s", t->exporter,
                   t->service, a->error[0] ? a->error : "status 403");
        doctor_advise("the role needs the policy in deploy/iam, the VPC endpoint's policy must let "
                      "it");
    } else if (a->status >= 500) {
        doctor_say(d, FINDING_WARN, "aws", "%s: %s is ill: status %d", t->exporter, t->service,
                   a->status);
    } else {
        doctor_say(d, FINDING_OK, "aws", "%s: %s takes a signed call (status %d)", t->exporter,
                   t->service, a->status);
    }
}

static void say_skew(struct doctor *d, const struct asking *a)
{
    long long skew = (long long)(a->date_s - a->received_s);
    long long size = skew < 0 ? -skew : skew;

    if (!a->has_date || size <= 5)
        return;
    doctor_say(d, size > 300 ? FINDING_FAIL : FINDING_WARN, "clock",
               "this machine is %lld s %s its backend", size, skew < 0 ? "ahead of" : "behind");
    doctor_advise("signatures are corrected for it, the times of spans are not: run chrony");
}

static void check_calls(struct doctor *d, const struct doctor_target *t, struct asking *a,
                        const char *region)
{
    if (ask_identity(a, t, region))
        say_identity(d, t, a);
    else
        say_no_identity(d, t, a);
    if (t->url[0]) {
        ask_service(a, t, region);
        say_service(d, t, a);
    }
    say_skew(d, a);
}

/* Where the service is, once the machine has said the region. False: it can't be reached. */
static bool complete(struct doctor *d, struct doctor_target *t, const char *region)
{
    const struct aws_settings settings = {0};
    struct buf url;

    if (t->url[0] || !region[0])
        return true;
    buf_init(&url, sizeof(t->url), NULL);
    settings_endpoint(&settings, t->service, t->service, region, &url);
    snprintf(t->url, sizeof(t->url), "%.*s", (int)url.len, (const char *)url.data);
    buf_fini(&url);
    return doctor_check_target(d, t);
}

void doctor_check_aws(struct doctor *d, const struct doctor_target *given)
{
    struct doctor_target t = *given;
    struct asking a;
    char region[SETTINGS_REGION_MAX];

    find_region(&t, region);
    asking_init(&a);
    if (!find_credentials(&a, &t, region)) {
        doctor_say(d, FINDING_FAIL, "aws", "%s: no AWS credentials: %s", t.exporter, a.error);
        doctor_advise("docs/aws.md says where they are looked for, and in which order");
    } else {
        if (!region[0]) {
            doctor_say(d, FINDING_FAIL, "aws", "%s: no region", t.exporter);
            doctor_advise("set the exporter's region, or AWS_REGION");
        }
        if (complete(d, &t, region))
            check_calls(d, &t, &a, region);
    }
    asking_fini(&a);
}

void doctor_check_clock(struct doctor *d)
{
    struct timex state = {0};
    int result = adjtimex(&state);

    if (result >= 0 && result != TIME_ERROR && !(state.status & STA_UNSYNC)) {
        doctor_say(d, FINDING_OK, "clock", "synchronised, within %.1f ms",
                   (double)state.maxerror / 1000);
        return;
    }
    doctor_say(d, FINDING_WARN, "clock", "the kernel does not know whether it is right");
    doctor_advise("run chrony or systemd-timesyncd on the machine");
}
