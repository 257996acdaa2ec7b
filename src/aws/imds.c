/* The instance metadata service, version 2, and 1 where an instance has only that (EC2 User Guide,
 * "Use the Instance Metadata Service"). */
#include "aws/answer.h"
#include "aws/sources.h"

#include <stdio.h>
#include <strings.h>

static const char keys_path[] = "/latest/meta-data/iam/security-credentials/";

bool imds_is_off(const struct aws_settings *s)
{
    return settings_is_true(s, "AWS_EC2_METADATA_DISABLED");
}

static void put_url(struct exchange *x, const struct imds *i, const char *path)
{
    const char *base = settings_env(i->settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *mode = settings_env(i->settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    size_t len;

    if (!base)
        base = mode && strcasecmp(mode, "ipv6") == 0 ? "http://[fd00:ec2::254]"
                                                     : "http://169.254.169.254";
    len = strlen(base);
    while (len && base[len - 1] == '/')
        len--;
    snprintf(x->url, sizeof(x->url), "%.*s%s", (int)len, base, path);
}

static bool imds_ask(struct exchange *x)
{
    struct imds *i = x->self;

    if (!i->has_token && !i->is_v1) {
        put_url(x, i, "/latest/api/token");
        x->method = "PUT";
        return exchange_header(x, "X-aws-ec2-metadata-token-ttl-seconds", slice_str("21600"));
    }
    put_url(x, i, i->path);
    x->method = "GET";
    return i->is_v1 || exchange_header(x, "X-aws-ec2-metadata-token", slice_str(i->token));
}

static bool is_printable(struct slice text)
{
    for (size_t k = 0; k < text.len; k++)
        if (text.data[k] < 0x21 || text.data[k] > 0x7E)
            return false;
    return text.len > 0;
}

/* Asks without a token from now on, where that is allowed. */
static void use_v1(struct exchange *x)
{
    struct imds *i = x->self;

    if (i->has_token || i->is_v1 || settings_is_true(i->settings, "AWS_EC2_METADATA_V1_DISABLED"))
        return;
    i->is_v1 = true;
    snprintf(i->no_token, sizeof(i->no_token), "%s", x->error);
}

static enum exchange_next on_token(struct exchange *x, struct imds *i,
                                   const struct aws_http_answer *answer)
{
    int status = answer->status;

    if (status == 200 && is_printable(answer->body) && answer->body.len < sizeof(i->token)) {
        memcpy(i->token, answer->body.data, answer->body.len);
        i->token[answer->body.len] = '\0';
        i->has_token = true;
        return EXCHANGE_SEND;
    }
    if (status == 200) { /* a token may be in it all the same */
        snprintf(x->error, sizeof(x->error),
                 "the metadata service gives no token, but something else");
        return EXCHANGE_FAILED;
    }
    exchange_say_status(x, "the metadata service gives no token", answer);
    if (status == 403 || status == 404 || status == 405) {
        use_v1(x);
        return i->is_v1 ? EXCHANGE_SEND : EXCHANGE_FAILED;
    }
    return status == 400 ? EXCHANGE_FAILED : EXCHANGE_RETRY;
}

static enum exchange_next imds_answer(struct exchange *x, const struct aws_http_answer *answer)
{
    struct imds *i = x->self;

    if (!i->has_token && !i->is_v1)
        return on_token(x, i, answer);
    if (answer->status == 401 && !i->is_v1 && !i->renewed) {
        i->has_token = false;
        i->renewed = true;
        return EXCHANGE_SEND;
    }
    if (answer->status == 200 || answer->status == 404)
        return i->got(x, i, answer->status, answer->body);
    if (answer->status == 401 && i->is_v1) { /* it wants a token: why there is none says more */
        snprintf(x->error, sizeof(x->error), "%s", i->no_token);
        return EXCHANGE_FAILED;
    }
    return exchange_refused(x, "the metadata service", answer);
}

/* A hop limit of 1 lets the token's answer end before it is in a container, and no other one. */
const struct exchange_kind imds_kind = {
    .ask = imds_ask,
    .answer = imds_answer,
    .last_try = use_v1,
    .tries = 3,
    .timeout_ns = NS_PER_S,
    .pause_ns = NS_PER_S / 2,
};

/* ---- keys ---- */

static enum exchange_next on_keys(struct exchange *x, struct imds *i, int status, struct slice body)
{
    struct buf code;
    bool failed;

    /* With another code there are no keys; some that play the service give none. */
    buf_init(&code, 256, NULL);
    failed = answer_json(body, "Code", &code) && !slice_is(buf_slice(&code), "Success");
    buf_fini(&code);
    if (status == 200 && !failed && keys_from_json(i->arg, body, "Token"))
        return EXCHANGE_DONE;
    snprintf(x->error, sizeof(x->error), "the metadata service has no credentials for %.200s",
             i->path + sizeof(keys_path) - 1);
    return EXCHANGE_FAILED;
}

/* The first line names the role. */
static enum exchange_next on_role(struct exchange *x, struct imds *i, int status, struct slice body)
{
    const uint8_t *end = body.len ? memchr(body.data, '\n', body.len) : NULL;
    struct slice role = slice_make(body.data, end ? (size_t)(end - body.data) : body.len);

    if (status != 200 || !is_printable(role) || role.len > 128) {
        snprintf(x->error, sizeof(x->error), "the instance has no role");
        return EXCHANGE_FAILED;
    }
    snprintf(i->path, sizeof(i->path), "%s%.*s", keys_path, (int)role.len, (const char *)role.data);
    i->got = on_keys;
    return EXCHANGE_SEND;
}

void imds_for_keys(struct imds *i, const struct aws_settings *settings, struct keys *keys)
{
    *i = (struct imds){.settings = settings, .got = on_role, .arg = keys};
    snprintf(i->path, sizeof(i->path), "%s", keys_path);
}
