/* Credentials are found, kept fresh, kept to their real end, and never logged. */
#include "base/log.h"
#include "fake_aws.h"

/* ---- what is logged ---- */

static char logged[64 << 10];
static size_t logged_len;

static void on_line(void *arg, const char *line, size_t len)
{
    (void)arg;
    if (logged_len + len < sizeof(logged)) {
        memcpy(logged + logged_len, line, len);
        logged_len += len;
        logged[logged_len] = '\0';
    }
}

static unsigned lines_with(const char *text)
{
    unsigned count = 0;

    for (const char *at = logged; (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* ---- an STS that hands out keys for an hour ---- */

enum { WELL, DOWN, SAME_KEYS, OLD_KEYS };

static void put_expiration(struct buf *body, uint64_t unix_s)
{
    uint64_t of_day = unix_s - FAKE_START_S;

    CHECK(of_day < 86400);
    buf_printf(body, "2020-01-01T%02u:%02u:%02uZ", (unsigned)(of_day / 3600),
               (unsigned)(of_day / 60 % 60), (unsigned)(of_day % 60));
}

static int serve_sts(struct fake_aws *f, const char *text, struct buf *body)
{
    (void)text;
    if (f->mode == DOWN) {
        buf_str(body, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you"
                      "</Message></Error></ErrorResponse>");
        return 403;
    }
    buf_printf(body,
               "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
               "<AccessKeyId>ASIA%u</AccessKeyId><SecretAccessKey>TopSecretKey%u</SecretAccessKey>"
               "<SessionToken>HiddenSession%u</SessionToken><Expiration>",
               f->mode == SAME_KEYS ? 1 : f->served, f->served,
               f->mode == SAME_KEYS ? 1 : f->served);
    put_expiration(body, f->mode == OLD_KEYS ? FAKE_START_S : f->unix_ns / NS_PER_S + 3600);
    buf_str(body, "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
                  "</AssumeRoleWithWebIdentityResponse>");
    return 200;
}

static struct fake_aws *irsa(void)
{
    struct fake_aws *f = fake_aws_new(serve_sts);

    fake_set("AWS_REGION", "eu-west-1");
    fake_set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x");
    fake_set("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
    fake_file(f, "/token", "HiddenIdentity\n");
    logged_len = 0;
    logged[0] = '\0';
    log_configure(LOG_DEBUG, LOG_LOGFMT);
    log_use_clock(NULL);
    log_redirect(on_line, NULL);
    return f;
}

static bool has_key(struct fake_aws *f, struct credentials *c, const char *access)
{
    const struct sigv4_credentials *found = fake_get(f, c);

    return found && slice_is(found->access_key, access);
}

/* ---- the environment ---- */

static void those_of_the_environment_are_there_at_once(void)
{
    struct fake_aws *f = fake_aws_new(serve_sts);
    struct credentials *c = fake_credentials(f, NULL);
    const struct sigv4_credentials *found;

    fake_set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    fake_set("AWS_SECRET_ACCESS_KEY", "secret");
    fake_set("AWS_SESSION_TOKEN", "token");
    found = fake_get(f, c);
    CHECK(found && slice_is(found->access_key, "AKIDEXAMPLE"));
    CHECK(found && slice_is(found->secret_key, "secret"));
    CHECK(found && slice_is(found->session_token, "token"));
    CHECK(credentials_error(c)[0] == '\0');
    credentials_rejected(c);
    CHECK(fake_get(f, c) != NULL);
    fake_run(f, c, 3600);
    CHECK(fake_get(f, c) != NULL && f->served == 0);
    credentials_free(c);
    fake_aws_free(f);
}

static void half_a_pair_of_keys_is_a_mistake_not_a_reason_to_look_elsewhere(void)
{
    struct fake_aws *f = irsa();
    struct credentials *c = fake_credentials(f, NULL);

    fake_set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    fake_set("AWS_SECRET_ACCESS_KEY", "");
    CHECK(fake_get(f, c) == NULL);
    CHECK(strstr(credentials_error(c), "AWS_SECRET_ACCESS_KEY") != NULL);
    CHECK(strstr(credentials_error(c), "AKIDEXAMPLE") == NULL);
    fake_set("AWS_SECRET_ACCESS_KEY", "secret");
    fake_run(f, c, 10);
    CHECK(fake_get(f, c) != NULL && f->served == 0);
    credentials_free(c);
    fake_aws_free(f);
}

/* ---- life ---- */

static void nobody_is_asked_before_somebody_signs(void)
{
    struct fake_aws *f = irsa();
    struct credentials *c = fake_credentials(f, NULL);

    fake_run(f, c, 7200);
    CHECK(f->served == 0);
    CHECK(fake_get(f, c) == NULL);
    fake_run(f, c, 1);
    CHECK(f->served == 1 && has_key(f, c, "ASIA1"));
    credentials_free(c);
    fake_aws_free(f);
}

static void they_are_renewed_before_they_expire(void)
{
    struct fake_aws *f = irsa();
    struct credentials *c = fake_credentials(f, NULL);

    CHECK(fake_get(f, c) == NULL);
    fake_run(f, c, 2390);
    CHECK(f->served == 1 && has_key(f, c, "ASIA1"));
    fake_run(f, c, 330); /* 15 to 20 minutes before the hour is over */
    CHECK(f->served == 2 && has_key(f, c, "ASIA2"));
    CHECK(lines_with("AWS credentials found") == 1);
    credentials_free(c);
    fake_aws_free(f);
}

static void they_are_kept_to_their_real_end_while_renewing_fails(void)
{
    struct fake_aws *f = irsa();
    struct credentials *c = fake_credentials(f, NULL);

    CHECK(fake_get(f, c) == NULL);
    fake_run(f, c, 60);
    f->mode = DOWN;
    fake_run(f, c, 3530);
    CHECK(has_key(f, c, "ASIA1"));
    CHECK(strstr(credentials_error(c), "AccessDenied not you") != NULL);
    fake_run(f, c, 15);
    CHECK(fake_get(f, c) == NULL);
    CHECK(f->served > 15 && f->served < 60); /* each half a minute to a minute */
    CHECK(lines_with("could not be renewed") == 1);
    f->mode = WELL;
    fake_run(f, c, 61);
    CHECK(fake_get(f, c) != NULL && credentials_error(c)[0] == '\0');
    CHECK(lines_with("AWS credentials found") == 2);
    credentials_free(c);
    fake_aws_free(f);
}

static void what_is_refused_is_asked_for_again_soon_but_not_on_and_on(void)
{
    struct fake_aws *f = irsa();
    struct credentials *c = fake_credentials(f, NULL);

    CHECK(fake_get(f, c) == NULL);
    fake_run(f, c, 10);
    CHECK(f->served == 1);
    for (int i = 0; i < 100; i++)
        credentials_rejected(c);
    fake_run(f, c, 1);
    CHECK(f->served == 2 && has_key(f, c, "ASIA2"));

    f->mode = SAME_KEYS; /* and they are no good */
    for (int i = 0; i < 600; i++) {
        credentials_rejected(c);
        fake_run(f, c, 1);
    }
    CHECK(f->served > 10 && f->served < 40);
    CHECK(lines_with("msg=") == 1);
    credentials_free(c);
    fake_aws_free(f);
}

static void what_comes_expired_is_not_used(void)
{
    struct fake_aws *f = irsa();
    struct credentials *c = fake_credentials(f, NULL);

    f->mode = OLD_KEYS;
    CHECK(fake_get(f, c) == NULL);
    fake_run(f, c, 10);
    CHECK(fake_get(f, c) == NULL);
    CHECK(strstr(credentials_error(c), "clock") != NULL);
    credentials_free(c);
    fake_aws_free(f);
}

static void what_is_under_way_is_cancelled_with_its_owner(void)
{
    struct fake_aws *f = irsa();
    struct credentials *c = fake_credentials(f, NULL);

    CHECK(fake_get(f, c) == NULL);
    credentials_free(c);
    CHECK(f->cancelled == 1 && f->served == 0);
    fake_aws_free(f);
}

static void no_secret_is_ever_logged_or_said(void)
{
    struct fake_aws *f = irsa();
    struct credentials *c = fake_credentials(f, "arn:aws:iam::123456789012:role/other");

    for (int i = 0; i < 8; i++) {
        f->mode = i % 4;
        CHECK(fake_get(f, c) == NULL || i > 0);
        fake_run(f, c, 2000);
        credentials_rejected(c);
        CHECK(strstr(credentials_error(c), "Secret") == NULL);
        CHECK(strstr(credentials_error(c), "Hidden") == NULL);
    }
    CHECK(f->served > 10);
    CHECK(lines_with("level=") > 0);
    CHECK(lines_with("TopSecret") == 0 && lines_with("Hidden") == 0);
    credentials_free(c);
    fake_aws_free(f);
}

/* ---- regions ---- */

static int serve_placement(struct fake_aws *f, const char *text, struct buf *body)
{
    if (f->mode == DOWN)
        return 0;
    if (begins(text, "PUT http://169.254.169.254/latest/api/token\n"))
        buf_str(body, "T0KEN");
    else if (begins(text, "GET http://169.254.169.254/latest/meta-data/placement/region\n"))
        buf_str(body, "ap-south-1\n");
    else if (begins(text, "GET http://169.254.170.2/v4/abc/task\n"))
        buf_str(body, "{\"Cluster\":\"c\",\"TaskARN\":\"arn:aws:ecs:us-west-2:123456789012:task/c/"
                      "1\"}");
    else
        return 404;
    return 200;
}

static void a_region_comes_from_the_environment(void)
{
    struct fake_aws *f = fake_aws_new(serve_placement);
    struct credentials *c = fake_credentials(f, NULL);

    fake_set("AWS_REGION", "eu-west-1");
    CHECK(strcmp(credentials_region(c), "eu-west-1") == 0);
    fake_run(f, c, 10);
    CHECK(f->served == 0);
    credentials_free(c);
    fake_aws_free(f);
}

static void a_region_comes_from_the_instance(void)
{
    struct fake_aws *f = fake_aws_new(serve_placement);
    struct credentials *c = fake_credentials(f, NULL);

    f->mode = DOWN;
    CHECK(credentials_region(c) == NULL);
    fake_run(f, c, 30);
    CHECK(credentials_region(c) == NULL);
    f->mode = WELL;
    fake_run(f, c, 61);
    CHECK(credentials_region(c) && strcmp(credentials_region(c), "ap-south-1") == 0);
    credentials_free(c);
    fake_aws_free(f);
}

static void a_region_comes_from_the_task(void)
{
    struct fake_aws *f = fake_aws_new(serve_placement);
    struct credentials *c = fake_credentials(f, NULL);

    fake_set("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/abc");
    CHECK(credentials_region(c) == NULL);
    fake_run(f, c, 1);
    CHECK(credentials_region(c) && strcmp(credentials_region(c), "us-west-2") == 0);
    credentials_free(c);
    fake_aws_free(f);
}

int main(void)
{
    RUN(those_of_the_environment_are_there_at_once);
    RUN(half_a_pair_of_keys_is_a_mistake_not_a_reason_to_look_elsewhere);
    RUN(nobody_is_asked_before_somebody_signs);
    RUN(they_are_renewed_before_they_expire);
    RUN(they_are_kept_to_their_real_end_while_renewing_fails);
    RUN(what_is_refused_is_asked_for_again_soon_but_not_on_and_on);
    RUN(what_comes_expired_is_not_used);
    RUN(what_is_under_way_is_cancelled_with_its_owner);
    RUN(no_secret_is_ever_logged_or_said);
    RUN(a_region_comes_from_the_environment);
    RUN(a_region_comes_from_the_instance);
    RUN(a_region_comes_from_the_task);
    return DONE();
}
