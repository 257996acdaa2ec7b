/* Each source speaks its protocol, in the order of the SDKs. */
#include "aws/sigv4.h"
#include "aws/sources.h"
#include "fake_aws.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Keys as the endpoints for containers and instances give them. */
static void put_keys(struct buf *body, const char *access)
{
    buf_printf(body,
               "{\"Code\":\"Success\",\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"S\",\"Token\":"
               "\"T\",\"Expiration\":\"2020-01-01T06:00:00Z\"}",
               access);
}

static bool finds(struct fake_aws *f, const char *role_arn, const char *access)
{
    struct credentials *c = fake_credentials(f, role_arn);
    const struct sigv4_credentials *found;
    bool ok;

    credentials_get(c, f->unix_ns);
    fake_run(f, c, 30);
    found = fake_get(f, c);
    ok = access ? found && slice_is(found->access_key, access) : !found;
    if (!ok)
        printf("  %s\n", credentials_error(c));
    credentials_free(c);
    return ok;
}

/* It finds nothing, and says why. */
static bool says(struct fake_aws *f, const char *role_arn, const char *why)
{
    struct credentials *c = fake_credentials(f, role_arn);
    bool ok;

    credentials_get(c, f->unix_ns);
    fake_run(f, c, 30);
    ok = fake_get(f, c) == NULL && strstr(credentials_error(c), why) != NULL &&
         !strstr(credentials_error(c), "SecretAccessKey") &&
         credentials_error(c)[strlen(credentials_error(c)) - 1] != ' ';
    if (!ok)
        printf("  not '%s': %s\n", why, credentials_error(c));
    credentials_free(c);
    return ok;
}

/* ---- STS ---- */

static void put_sts(struct buf *body, const char *action, const char *access)
{
    buf_printf(body,
               "<%sResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><%sResult>"
               "<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>S</SecretAccessKey>"
               "<SessionToken>T</SessionToken><Expiration>2020-01-01T06:00:00Z</Expiration>"
               "</Credentials></%sResult></%sResponse>",
               action, action, access, action, action);
}

static int sts_error(struct buf *body, int status, const char *code)
{
    buf_printf(body,
               "<ErrorResponse><Error><Code>%s</Code><Message>m</Message></Error>"
               "</ErrorResponse>",
               code);
    return status;
}

enum {
    STS_WELL,
    STS_STALE,
    STS_BUSY,
    STS_NO_REGION,
    STS_DENIED,
    STS_HTML,
    STS_CLOCK,
    STS_ECHO,
    STS_BARE
};

static int serve_sts(struct fake_aws *f, const char *text, struct buf *body)
{
    bool web = strstr(text, "Action=AssumeRoleWithWebIdentity&") != NULL;

    CHECK(begins(text, "POST https://sts."));
    CHECK(strstr(text, "\nContent-Type: application/x-www-form-urlencoded") != NULL);
    CHECK(strstr(text, "&RoleSessionName=") && strstr(text, "Version=2011-06-15&"));
    CHECK(web == (strstr(text, "\nAuthorization: AWS4-HMAC-SHA256 Credential=") == NULL));
    if (f->mode == STS_STALE && !strstr(text, "WebIdentityToken=new"))
        return sts_error(body, 400, "ExpiredTokenException");
    if (f->mode == STS_BUSY && f->served < 3)
        return sts_error(body, 400, "IDPCommunicationError");
    if (f->mode == STS_NO_REGION && !strstr(text, "sts.us-east-1.amazonaws.com"))
        return sts_error(body, 403, "RegionDisabledException");
    if (f->mode == STS_CLOCK && !web && !strstr(text, "\nX-Amz-Date: 20200101T02"))
        return sts_error(body, 403, "SignatureDoesNotMatch");
    if (f->mode == STS_ECHO) {
        buf_str(body, "<ErrorResponse><Error><Code>InvalidToken</Code><Message>abc+/= or hidden"
                      "</Message></Error></ErrorResponse>");
        return 403;
    }
    if (f->mode == STS_BARE)
        return 403;
    if (f->mode == STS_DENIED)
        return sts_error(body, 403, "AccessDenied");
    if (f->mode == STS_HTML)
        buf_str(body, "<html><body>Welcome to our proxy<br></body></html>");
    else
        put_sts(body, web ? "AssumeRoleWithWebIdentity" : "AssumeRole", web ? "WEB" : "ROLE");
    return 200;
}

static struct fake_aws *irsa(int mode)
{
    struct fake_aws *f = fake_aws_new(serve_sts);

    f->mode = mode;
    fake_set("AWS_REGION", "eu-west-1");
    fake_set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x");
    fake_set("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
    fake_file(f, "/token", "abc+/=\n");
    return f;
}

static void a_web_identity_is_exchanged_unsigned_at_the_regions_sts(void)
{
    struct fake_aws *f = irsa(STS_WELL);

    CHECK(finds(f, NULL, "WEB"));
    CHECK(f->served == 1 && begins(f->last, "POST https://sts.eu-west-1.amazonaws.com/\n"));
    CHECK(fake_has(f, "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fx&"));
    CHECK(fake_has(f, "&RoleSessionName=moontail-1577836800&"));
    CHECK(fake_has(f, "&WebIdentityToken=abc%2B%2F%3D") && !f->last_direct);
    fake_set("AWS_ROLE_SESSION_NAME", "my.pod@x");
    CHECK(finds(f, NULL, "WEB") && fake_has(f, "&RoleSessionName=my.pod%40x&"));
    fake_set("AWS_ROLE_SESSION_NAME", "not a name");
    CHECK(finds(f, NULL, "WEB") && fake_has(f, "&RoleSessionName=moontail-"));
    fake_aws_free(f);
}

static void a_stale_identity_token_is_read_again_once(void)
{
    struct fake_aws *f = irsa(STS_STALE);

    CHECK(says(f, NULL, "ExpiredTokenException"));
    fake_file(f, "/token", "new");
    CHECK(finds(f, NULL, "WEB"));
    fake_file(f, "/token", "two\nlines");
    CHECK(says(f, NULL, "/token"));
    fake_set("AWS_WEB_IDENTITY_TOKEN_FILE", "/absent");
    CHECK(says(f, NULL, "/absent"));
    fake_aws_free(f);
}

static int serve_nothing(struct fake_aws *f, const char *text, struct buf *body)
{
    (void)f;
    (void)text;
    (void)body;
    return 0;
}

static void an_error_does_not_say_the_password_of_a_url(void)
{
    struct fake_aws *f = irsa(STS_WELL);
    struct credentials *c;

    f->serve = serve_nothing;
    fake_set("AWS_ENDPOINT_URL_STS", "https://me:hunter2@sts.example.com");
    c = fake_credentials(f, NULL);
    credentials_get(c, f->unix_ns);
    fake_run(f, c, 30);
    CHECK(strstr(credentials_error(c), "sts.example.com/: ") != NULL);
    CHECK(strstr(credentials_error(c), "hunter2") == NULL);
    credentials_free(c);
    fake_aws_free(f);
}

static void an_error_does_not_say_what_sts_was_sent(void)
{
    struct fake_aws *f = irsa(STS_ECHO);

    for (int keys = 0; keys < 2; keys++) {
        struct credentials *c = fake_credentials(f, "arn:r");

        credentials_get(c, f->unix_ns);
        fake_run(f, c, 30);
        CHECK(strstr(credentials_error(c), "status 403 InvalidToken") != NULL);
        CHECK(!strstr(credentials_error(c), keys ? "hidden" : "abc"));
        credentials_free(c);
        fake_set("AWS_ACCESS_KEY_ID", "A");
        fake_set("AWS_SECRET_ACCESS_KEY", "S");
        fake_set("AWS_SESSION_TOKEN", "hidden");
    }
    fake_aws_free(f);
}

static void a_busy_sts_is_asked_again(void)
{
    struct fake_aws *f = irsa(STS_BUSY);

    CHECK(finds(f, NULL, "WEB") && f->served == 3);
    fake_aws_free(f);
}

static void a_role_is_assumed_with_what_was_found(void)
{
    struct fake_aws *f = irsa(STS_WELL);

    CHECK(finds(f, "arn:aws:iam::1:role/other", "ROLE") && f->served == 2);
    CHECK(fake_has(f, "Credential=WEB/20200101/eu-west-1/sts/aws4_request"));
    CHECK(fake_has(f, "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token"));
    CHECK(fake_has(f, "\nX-Amz-Date: 20200101T000000Z\n"));
    CHECK(fake_has(f, "\nX-Amz-Security-Token: T\n"));
    f->mode = STS_HTML;
    CHECK(says(f, NULL, "something else than credentials"));
    fake_aws_free(f);
}

/* The signature that the last request should have. */
static bool is_signed_for(const struct fake_aws *f, uint64_t at_s, const char *host,
                          const char *path)
{
    const char *body = strstr(f->last, "\n\n");
    struct sigv4_header headers[] = {
        {slice_str("host"), slice_str(host)},
        {slice_str("content-type"), slice_str("application/x-www-form-urlencoded; charset=utf-8")},
    };
    struct sigv4_request request = {"POST", slice_str(path), {0}, headers, 2, {0}};
    const struct sigv4_credentials web = {slice_str("WEB"), slice_str("S"), slice_str("T")};
    const struct sigv4_scope scope = {"eu-west-1", "sts", false};
    struct buf value;
    struct sigv4_signature signature = {.value = &value};
    bool is;

    buf_init(&value, 4096, NULL);
    request.body = slice_str(body ? body + 2 : "");
    is = sigv4_sign(&request, &web, &scope, at_s, &signature) == ERR_OK;
    buf_byte(&value, 0);
    is = is && fake_has(f, (const char *)value.data);
    buf_fini(&value);
    return is;
}

static void a_role_is_signed_for_where_sts_is(void)
{
    struct fake_aws *f = irsa(STS_WELL);
    uint64_t at_s = f->unix_ns / NS_PER_S;

    CHECK(finds(f, "arn:aws:iam::1:role/other", "ROLE"));
    CHECK(is_signed_for(f, at_s, "sts.eu-west-1.amazonaws.com", "/"));
    fake_set("AWS_ENDPOINT_URL_STS", "https://sts.proxy:443/of/aws");
    at_s = f->unix_ns / NS_PER_S;
    CHECK(finds(f, "arn:aws:iam::1:role/other", "ROLE"));
    CHECK(begins(f->last, "POST https://sts.proxy:443/of/aws/\n"));
    CHECK(is_signed_for(f, at_s, "sts.proxy", "/of/aws/"));
    fake_aws_free(f);
}

static void a_wrong_clock_of_this_machine_keeps_no_role_away(void)
{
    struct fake_aws *f = irsa(STS_CLOCK);

    CHECK(says(f, "arn:aws:iam::1:role/other", "SignatureDoesNotMatch")); /* who knows what time */
    f->date_s = (int64_t)FAKE_START_S + 7200;
    f->served = 0;
    CHECK(finds(f, "arn:aws:iam::1:role/other", "ROLE") && f->served == 3);
    f->mode = STS_WELL; /* the keys end at six: long ago, as the machine has it */
    f->date_s = (int64_t)FAKE_START_S + 5 * 3600;
    f->unix_ns += 7 * 3600 * NS_PER_S;
    CHECK(finds(f, "arn:aws:iam::1:role/other", "ROLE"));
    f->date_s = 0;
    CHECK(says(f, NULL, "is this machine's clock right?"));
    fake_aws_free(f);
}

/* Nothing else would wake the thread for a request that an answer led to. */
static void what_a_step_asks_wants_another_step_at_once(void)
{
    struct fake_aws *f = irsa(STS_WELL);
    struct credentials *c = fake_credentials(f, "arn:aws:iam::9:role/other");

    credentials_get(c, f->unix_ns);
    CHECK(fake_answer_all(f));
    CHECK(credentials_step(c, f->now_ns, f->unix_ns) <= f->now_ns);
    CHECK(fake_answer_all(f) && fake_has(f, "Action=AssumeRole&"));
    CHECK(credentials_step(c, f->now_ns, f->unix_ns) > f->now_ns && fake_get(f, c) != NULL);
    credentials_free(c);
    fake_aws_free(f);
}

static void a_region_without_sts_falls_back_to_its_partitions_first(void)
{
    struct fake_aws *f = irsa(STS_NO_REGION);

    fake_set("AWS_REGION", "af-south-1");
    CHECK(finds(f, "arn:aws:iam::1:role/other", "ROLE") && f->served == 4);
    CHECK(fake_has(f, "/us-east-1/sts/aws4_request"));
    f->mode = STS_DENIED;
    CHECK(says(f, NULL, "status 403 AccessDenied m"));
    f->mode = STS_BARE;
    CHECK(says(f, NULL, "status 403"));
    fake_aws_free(f);
}

/* ---- profiles ---- */

static void a_profiles_roles_are_assumed_one_after_the_other(void)
{
    struct fake_aws *f = fake_aws_new(serve_sts);

    fake_file(f, "/home/.aws/config",
              "[default]\nregion=eu-west-1\n"
              "[profile a]\nrole_arn=arn:a\nsource_profile=b\nexternal_id=x y\n"
              "duration_seconds=900\nrole_session_name=ann\n"
              "[profile b]\nrole_arn=arn:b\nsource_profile=c\n"
              "[profile self]\nrole_arn=arn:s\nsource_profile=self\n"
              "[profile round]\nrole_arn=arn:r\nsource_profile=round2\n"
              "[profile round2]\nrole_arn=arn:r\nsource_profile=round\n"
              "[profile lost]\nrole_arn=arn:l\nsource_profile=gone\n"
              "[profile alone]\nrole_arn=arn:l\n"
              "[profile env]\nrole_arn=arn:e\ncredential_source=Environment\n"
              "[profile odd]\nrole_arn=arn:o\ncredential_source=Moon\n"
              "[profile sso]\nsso_session=s\n"
              "[profile web]\nweb_identity_token_file=/token\nrole_arn=arn:w\n"
              "aws_access_key_id=W\naws_secret_access_key=S\n");
    fake_file(f, "/home/.aws/credentials",
              "[c]\naws_access_key_id=C\naws_secret_access_key=S\n"
              "[self]\naws_access_key_id=SELF\naws_secret_access_key=S\n");
    fake_file(f, "/token", "t");
    fake_set("AWS_PROFILE", "c");
    CHECK(finds(f, NULL, "C") && f->served == 0);
    fake_set("AWS_PROFILE", "a");
    CHECK(finds(f, NULL, "ROLE") && f->served == 2);
    CHECK(fake_has(f, "&RoleArn=arn%3Aa&RoleSessionName=ann&ExternalId=x%20y&DurationSeconds=900"));
    CHECK(fake_has(f, "Credential=ROLE/"));
    fake_set("AWS_PROFILE", "self");
    CHECK(finds(f, NULL, "ROLE") && fake_has(f, "Credential=SELF/"));
    fake_set("AWS_PROFILE", "web");
    CHECK(finds(f, NULL, "WEB"));
    fake_set("AWS_PROFILE", "round");
    CHECK(says(f, NULL, "circle"));
    fake_set("AWS_PROFILE", "lost");
    CHECK(says(f, NULL, "profile gone has no credentials"));
    fake_set("AWS_PROFILE", "alone");
    CHECK(says(f, NULL, "no source_profile"));
    fake_set("AWS_PROFILE", "odd");
    CHECK(says(f, NULL, "credential_source"));
    fake_set("AWS_PROFILE", "sso");
    CHECK(says(f, NULL, "SSO"));
    fake_set("AWS_PROFILE", "absent");
    CHECK(says(f, NULL, "is not in the shared files"));
    fake_aws_free(f);
}

static void the_environments_keys_come_before_all_others(void)
{
    struct fake_aws *f = irsa(STS_WELL);

    fake_file(f, "/home/.aws/config", "[default]\nrole_arn=arn:e\ncredential_source=Environment\n");
    fake_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/x");
    CHECK(finds(f, NULL, "WEB"));
    fake_set("AWS_ACCESS_KEY_ID", "ENV");
    fake_set("AWS_SECRET_ACCESS_KEY", "S");
    CHECK(finds(f, NULL, "ENV") && f->served == 1);
    fake_aws_free(f);
}

/* Steps a process until it has ended: real time passes, `virtual` does not matter to it. */
static enum exchange_state ended(struct process *p, const char *command)
{
    process_begin(p, command);
    while (p->state == EXCHANGE_RUNNING)
        process_step(p, 1);
    return p->state;
}

static void a_process_prints_credentials(void)
{
    static const struct {
        const char *command, *why;
    } bad[] = {
        {"echo '{\"Version\":2,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"S\"}'", "version 1"},
        {"echo '{\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"S\"}'", "version 1"},
        {"echo Hidden >&2; echo Hidden; exit 3", "failed with status 3"},
        {"kill -9 $$", "was ended by signal 9"},
        {"exec head -c 70000 /dev/zero", "64 KiB"},
        {"/no/such/program", "failed with status 127"},
    };
    static struct process p;

    CHECK(ended(&p, "echo '{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"S\","
                    "\"SessionToken\":\"T\",\"Expiration\":\"2020-01-01T06:00:00Z\"}'") ==
          EXCHANGE_ENDED);
    CHECK(strcmp(p.keys.access, "P") == 0 && p.keys.expires_unix_s == FAKE_START_S + 6 * 3600);
    process_fini(&p);
    CHECK(p.keys.secret[0] == '\0');
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(ended(&p, bad[i].command) == EXCHANGE_BROKEN);
        CHECK(strstr(p.error, bad[i].why) && !strstr(p.error, "Hidden"));
        CHECK(!strstr(p.error, "credential_process")); /* who shows it has said that */
        process_fini(&p);
    }
}

static void a_process_that_hangs_is_ended_after_a_minute(void)
{
    static struct process p;
    pid_t group;

    process_begin(&p, "sleep 600 & sleep 600");
    group = p.pid;
    CHECK(process_step(&p, 5) > 5 && p.state == EXCHANGE_RUNNING);
    process_step(&p, 5 + 60 * NS_PER_S);
    CHECK(p.state == EXCHANGE_BROKEN && strstr(p.error, "minute") && p.pid == 0);
    CHECK(group > 0);
    process_fini(&p);
    process_begin(&p, "sleep 600");
    process_fini(&p);
    CHECK(p.pid == 0 && p.state == EXCHANGE_IDLE);
}

/* Libraries open some that others would inherit. */
static void a_process_has_no_file_of_ours(void)
{
    static struct process p;

    CHECK(dup2(STDOUT_FILENO, 57) == 57);
    CHECK(ended(&p, "test -e /proc/self/fd/57 && exit 4; echo '{\"Version\":1,"
                    "\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"S\"}'") == EXCHANGE_ENDED);
    process_fini(&p);
    close(57);
}

/* As the first process of a container, which gets the children of those that ended. */
static void a_process_leaves_no_child_behind_when_it_is_killed(void)
{
    static struct process p;
    pid_t group;

    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    process_begin(&p, "(sleep 600 & sleep 600) & echo; sleep 600");
    group = p.pid;
    while (p.output.len == 0)
        process_step(&p, 1);
    process_fini(&p);
    CHECK(waitpid(-group, NULL, WNOHANG) < 0 && errno == ECHILD);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
}

static void a_profiles_process_is_run(void)
{
    struct fake_aws *f = fake_aws_new(serve_sts);
    struct credentials *c = fake_credentials(f, NULL);

    fake_file(f, "/home/.aws/config",
              "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"P\","
              "\"SecretAccessKey\":\"S\"}'\n");
    while (!fake_get(f, c) && !credentials_error(c)[0])
        credentials_step(c, f->now_ns, f->unix_ns);
    CHECK(fake_get(f, c) && slice_is(fake_get(f, c)->access_key, "P"));
    credentials_free(c);
    fake_aws_free(f);
}

/* ---- containers ---- */

enum { POD_WELL, POD_BUSY, POD_NO, POD_ODD, POD_ECHO, POD_OTHER };

static int serve_container(struct fake_aws *f, const char *text, struct buf *body)
{
    if (f->mode == POD_BUSY && f->served % 3)
        return f->served % 2 ? 0 : 500;
    if (f->mode == POD_NO) {
        buf_str(body, "{\"code\":\"AccessDenied\",\"message\":\"no association\"}");
        return 403;
    }
    if (f->mode == POD_ECHO) {
        buf_str(body, "hidden is nobody here");
        return 404;
    }
    if (f->mode == POD_OTHER) {
        buf_str(body, "{\"accessKeyId\":\"A\",\"secretAccessKey\":\"hidden\"}");
        return 404;
    }
    put_keys(body, strstr(text, "\nAuthorization: fresh\n") ? "FRESH" : "POD");
    return f->mode == POD_ODD ? 403 : 200;
}

static void a_pods_token_is_read_from_its_file_each_time(void)
{
    struct fake_aws *f = fake_aws_new(serve_container);

    fake_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://[fd00:ec2::23]/v1/credentials");
    fake_set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token");
    fake_set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this");
    fake_file(f, "/token", "old\n");
    CHECK(finds(f, NULL, "POD") && f->last_direct && f->last_timeout_ns == 2 * NS_PER_S);
    CHECK(begins(f->last, "GET http://[fd00:ec2::23]/v1/credentials\n"));
    CHECK(fake_has(f, "\nAuthorization: old\n"));
    fake_file(f, "/token", "fresh");
    CHECK(finds(f, NULL, "FRESH"));
    fake_file(f, "/token", "bad\r\nX-Evil: 1");
    CHECK(says(f, NULL, "/token"));
    fake_aws_free(f);
}

static void no_error_says_what_was_sent_or_keys(void)
{
    struct fake_aws *f = fake_aws_new(serve_container);
    struct credentials *c = fake_credentials(f, NULL);

    fake_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/abc");
    fake_set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hidden");
    for (f->mode = POD_ECHO; f->mode <= POD_OTHER; f->mode++) {
        credentials_get(c, f->unix_ns);
        fake_run(f, c, 30);
        CHECK(!fake_get(f, c) && strstr(credentials_error(c), "status 404"));
        CHECK(!strstr(credentials_error(c), "hidden"));
    }
    credentials_free(c);
    fake_aws_free(f);
}

static void a_task_asks_the_agent(void)
{
    struct fake_aws *f = fake_aws_new(serve_container);

    fake_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/abc");
    CHECK(finds(f, NULL, "POD"));
    CHECK(begins(f->last, "GET http://169.254.170.2/v2/credentials/abc\n"));
    CHECK(!fake_has(f, "Authorization"));
    fake_set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "fresh");
    CHECK(finds(f, NULL, "FRESH"));
    f->mode = POD_BUSY;
    f->served = 0;
    CHECK(finds(f, NULL, "FRESH") && f->served == 3);
    f->mode = POD_NO;
    CHECK(says(f, NULL, "no association"));
    f->mode = POD_ODD;
    CHECK(says(f, NULL, "status 403"));
    f->served = 0;
    fake_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.com/");
    CHECK(says(f, NULL, "does not begin with /") && f->served == 0);
    fake_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", NULL);
    fake_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/");
    CHECK(says(f, NULL, "own addresses") && f->served == 0);
    fake_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/");
    fake_set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "x\r\nX-Evil: 1");
    CHECK(says(f, NULL, "line break") && f->served == 0);
    fake_aws_free(f);
}

static void a_mistake_makes_nobody_else_of_us(void)
{
    static const struct {
        const char *name, *value, *why;
    } mistakes[] = {
        {"AWS_WEB_IDENTITY_TOKEN_FILE", "/token", "AWS_ROLE_ARN"},
        {"AWS_PROFILE", "half", "profile half has no aws_secret_access_key"},
        {"AWS_PROFILE", "other", "profile other has no aws_access_key_id"},
        {"AWS_PROFILE", "broken", "profile broken has keys with a blank"},
        {"AWS_PROFILE", "off", "AWS_EC2_METADATA_DISABLED"},
        {"AWS_SECRET_ACCESS_KEY", "hidden\n", "a blank or a line break"},
    };
    struct fake_aws *f = fake_aws_new(serve_container);

    fake_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/");
    fake_set("AWS_EC2_METADATA_DISABLED", "true");
    fake_file(f, "/home/.aws/credentials",
              "[half]\naws_access_key_id = A\n[other]\naws_secret_access_key = S\n"
              "[broken]\naws_access_key_id = A\naws_secret_access_key = S S\n"
              "[off]\nrole_arn = arn:r\ncredential_source = Ec2InstanceMetadata\n"
              "[task]\nrole_arn = arn:r\ncredential_source = EcsContainer\n");
    CHECK(finds(f, NULL, "POD"));
    f->served = 0;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        fake_set("AWS_ACCESS_KEY_ID", i == 5 ? "A" : NULL);
        fake_set(mistakes[i].name, mistakes[i].value);
        CHECK(says(f, NULL, mistakes[i].why) && f->served == 0);
        fake_set(mistakes[i].name, NULL);
    }
    fake_set("AWS_ACCESS_KEY_ID", NULL);
    fake_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", NULL);
    fake_set("AWS_PROFILE", "task");
    CHECK(says(f, NULL, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    fake_aws_free(f);
}

/* ---- the instance ---- */

enum {
    IMDS_V2,
    IMDS_ONLY_V1,
    IMDS_OLD_TOKEN,
    IMDS_NO_ROLE,
    IMDS_HOP,
    IMDS_HOP_V1,
    IMDS_HOP_V2,
    IMDS_EXPIRED,
    IMDS_BAD,
    IMDS_CODE,
    IMDS_LINE
};

static int serve_instance(struct fake_aws *f, const char *text, struct buf *body)
{
    static const char role_path[] = "GET http://169.254.169.254/latest/meta-data/iam/"
                                    "security-credentials/";
    bool has_token = strstr(text, "\nX-aws-ec2-metadata-token: T2\n") != NULL;

    if (f->mode == IMDS_HOP)
        return 0;
    if (begins(text, "PUT http://169.254.169.254/latest/api/token\n")) {
        CHECK(strstr(text, "\nX-aws-ec2-metadata-token-ttl-seconds: 21600\n") != NULL);
        if (f->mode == IMDS_BAD)
            return 400;
        buf_str(body, f->mode == IMDS_OLD_TOKEN && f->served == 1 ? "T1" : "T2");
        if (f->mode == IMDS_LINE)
            buf_str(body, "hidden\n");
        if (f->mode == IMDS_HOP_V1 || f->mode == IMDS_HOP_V2)
            return 0;
        return f->mode == IMDS_ONLY_V1 ? 405 : 200;
    }
    if (f->mode == IMDS_ONLY_V1 || f->mode == IMDS_HOP_V1 ? has_token : !has_token)
        return 401;
    if (!begins(text, role_path) || f->mode == IMDS_NO_ROLE)
        return 404;
    text += strlen(role_path);
    if (*text == '\n') {
        buf_str(body, "my-role");
    } else if (begins(text, "my-role\n")) {
        if (f->mode == IMDS_CODE)
            buf_str(body, "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"AccessKeyId\":\"A\","
                          "\"SecretAccessKey\":\"S\"}");
        if (f->mode == IMDS_CODE)
            return 200;
        if (f->mode == IMDS_EXPIRED)
            f->unix_ns = (FAKE_START_S + 7 * 3600) * NS_PER_S;
        put_keys(body, "EC2");
    } else {
        return 404;
    }
    return 200;
}

static struct fake_aws *instance(int mode)
{
    struct fake_aws *f = fake_aws_new(serve_instance);

    f->mode = mode;
    return f;
}

static void the_instance_is_asked_with_a_token(void)
{
    struct fake_aws *f = instance(IMDS_V2);

    CHECK(finds(f, NULL, "EC2") && f->served == 3);
    CHECK(f->last_timeout_ns == NS_PER_S && f->last_direct);
    f->served = 0;
    f->mode = IMDS_OLD_TOKEN;
    CHECK(finds(f, NULL, "EC2") && f->served == 5);
    fake_set("AWS_EC2_METADATA_DISABLED", "True");
    f->served = 0;
    CHECK(says(f, NULL, "AWS_EC2_METADATA_DISABLED") && f->served == 0);
    fake_aws_free(f);
}

static void what_is_almost_a_token_is_not_said(void)
{
    struct fake_aws *f = instance(IMDS_LINE);
    struct credentials *c = fake_credentials(f, NULL);

    credentials_get(c, f->unix_ns);
    fake_run(f, c, 30);
    CHECK(strstr(credentials_error(c), "gives no token") != NULL);
    CHECK(!strstr(credentials_error(c), "hidden"));
    credentials_free(c);
    fake_aws_free(f);
}

static void an_instance_without_version_2_is_asked_without(void)
{
    struct fake_aws *f = instance(IMDS_ONLY_V1);

    CHECK(finds(f, NULL, "EC2") && f->served == 3);
    fake_set("AWS_EC2_METADATA_V1_DISABLED", "true");
    CHECK(says(f, NULL, "no token"));
    f->mode = IMDS_BAD;
    fake_set("AWS_EC2_METADATA_V1_DISABLED", NULL);
    CHECK(says(f, NULL, "status 400"));
    fake_aws_free(f);
}

static void a_hop_too_far_is_said(void)
{
    struct fake_aws *f = instance(IMDS_HOP);

    fake_set("AWS_EC2_METADATA_V1_DISABLED", "true");
    CHECK(says(f, NULL, "timed out"));
    CHECK(begins(f->last, "PUT "));
    fake_set("AWS_EC2_METADATA_V1_DISABLED", NULL);
    f->mode = IMDS_NO_ROLE;
    CHECK(says(f, NULL, "the instance has no role"));
    f->mode = IMDS_CODE;
    CHECK(says(f, NULL, "no credentials for my-role"));
    fake_aws_free(f);
}

/* As the SDKs: only the token's answer ends at the hop limit. */
static void a_hop_too_far_for_tokens_is_not_too_far_without(void)
{
    struct fake_aws *f = instance(IMDS_HOP_V1);

    CHECK(finds(f, NULL, "EC2") && f->served == 4);
    fake_set("AWS_EC2_METADATA_V1_DISABLED", "true");
    CHECK(says(f, NULL, "timed out"));
    fake_set("AWS_EC2_METADATA_V1_DISABLED", NULL);
    f->mode = IMDS_HOP_V2;
    CHECK(says(f, NULL, "timed out")); /* not that version 1 is refused */
    fake_aws_free(f);
}

static void the_instances_keys_are_served_while_its_service_is_behind(void)
{
    struct fake_aws *f = instance(IMDS_EXPIRED);
    struct credentials *c = fake_credentials(f, NULL);
    unsigned before;

    credentials_get(c, f->unix_ns);
    fake_run(f, c, 10);
    CHECK(fake_get(f, c) != NULL);
    before = f->served;
    fake_run(f, c, 280);
    CHECK(f->served == before);
    fake_run(f, c, 330);
    CHECK(f->served == before + 3 && fake_get(f, c) != NULL);
    credentials_free(c);
    fake_aws_free(f);
}

static void the_metadata_service_may_be_elsewhere(void)
{
    struct fake_aws *f = instance(IMDS_HOP);

    fake_set("AWS_EC2_METADATA_V1_DISABLED", "true");
    fake_set("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
    CHECK(finds(f, NULL, NULL) && begins(f->last, "PUT http://[fd00:ec2::254]/latest/api/token"));
    fake_set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:5/");
    CHECK(finds(f, NULL, NULL) && begins(f->last, "PUT http://127.0.0.1:5/latest/api/token"));
    fake_aws_free(f);
}

int main(void)
{
    RUN(a_web_identity_is_exchanged_unsigned_at_the_regions_sts);
    RUN(a_stale_identity_token_is_read_again_once);
    RUN(an_error_does_not_say_the_password_of_a_url);
    RUN(an_error_does_not_say_what_sts_was_sent);
    RUN(a_busy_sts_is_asked_again);
    RUN(a_role_is_assumed_with_what_was_found);
    RUN(a_role_is_signed_for_where_sts_is);
    RUN(a_wrong_clock_of_this_machine_keeps_no_role_away);
    RUN(what_a_step_asks_wants_another_step_at_once);
    RUN(a_region_without_sts_falls_back_to_its_partitions_first);
    RUN(a_profiles_roles_are_assumed_one_after_the_other);
    RUN(the_environments_keys_come_before_all_others);
    RUN(a_process_prints_credentials);
    RUN(a_process_that_hangs_is_ended_after_a_minute);
    RUN(a_process_has_no_file_of_ours);
    RUN(a_process_leaves_no_child_behind_when_it_is_killed);
    RUN(a_profiles_process_is_run);
    RUN(a_pods_token_is_read_from_its_file_each_time);
    RUN(no_error_says_what_was_sent_or_keys);
    RUN(a_task_asks_the_agent);
    RUN(a_mistake_makes_nobody_else_of_us);
    RUN(the_instance_is_asked_with_a_token);
    RUN(what_is_almost_a_token_is_not_said);
    RUN(an_instance_without_version_2_is_asked_without);
    RUN(a_hop_too_far_is_said);
    RUN(a_hop_too_far_for_tokens_is_not_too_far_without);
    RUN(the_instances_keys_are_served_while_its_service_is_behind);
    RUN(the_metadata_service_may_be_elsewhere);
    return DONE();
}
