/* AssumeRole and AssumeRoleWithWebIdentity (AWS STS API Reference, 2011-06-15). */
#include "aws/answer.h"
#include "aws/canonical.h"
#include "aws/place.h"
#include "aws/sources.h"

#include <stdio.h>
#include <stdlib.h>

enum { CLOCK_TOLERANCE_S = 240 }; /* STS takes signatures of up to 5 minutes before or after */

void sts_form(struct buf *out, const char *name, struct slice value)
{
    buf_printf(out, "&%s=", name);
    canonical_encode(out, value, false);
}

static bool is_web(const struct sts *s)
{
    return s->token_file[0] != '\0';
}

/* [\w+=,.@-]{2,64} */
static bool is_session_name(const char *name)
{
    size_t len = strlen(name);

    return len >= 2 && len <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-") ==
               len;
}

static void put_session(const struct sts *s, struct buf *out)
{
    const char *name =
        s->role.session[0] ? s->role.session : settings_env(s->settings, "AWS_ROLE_SESSION_NAME");
    char made[64];

    if (!name || !is_session_name(name)) {
        snprintf(made, sizeof(made), "moontail-%llu", (unsigned long long)s->now_unix_s);
        name = made;
    }
    sts_form(out, "RoleSessionName", slice_str(name));
}

static bool put_token(struct exchange *x, const struct sts *s)
{
    struct err_info info = {0};
    struct buf token;
    enum err err;

    buf_init(&token, 64 << 10, NULL);
    err = settings_read(s->settings, s->token_file, &token, &info);
    if (err)
        snprintf(x->error, sizeof(x->error), "%.390s", info.text);
    else
        sts_form(&x->body, "WebIdentityToken", buf_slice(&token));
    if (token.data)
        explicit_bzero(token.data, token.cap);
    buf_fini(&token);
    return err == ERR_OK;
}

static bool put_body(struct exchange *x, const struct sts *s)
{
    char seconds[16];

    /* The largest token fits at once, so that none is left behind by growing. */
    if (!buf_reserve(&x->body, EXCHANGE_BODY_MAX))
        return false;
    buf_printf(&x->body, "Action=%s&Version=2011-06-15",
               is_web(s) ? "AssumeRoleWithWebIdentity" : "AssumeRole");
    sts_form(&x->body, "RoleArn", slice_str(s->role.arn));
    put_session(s, &x->body);
    if (s->role.external[0] && !is_web(s))
        sts_form(&x->body, "ExternalId", slice_str(s->role.external));
    if (s->role.duration_s) {
        snprintf(seconds, sizeof(seconds), "%u", s->role.duration_s);
        sts_form(&x->body, "DurationSeconds", slice_str(seconds));
    }
    return !is_web(s) || put_token(x, s);
}

static const char form_type[] = "application/x-www-form-urlencoded; charset=utf-8";

static bool sign(struct exchange *x, const struct sts *s, const char *region)
{
    struct aws_place place = aws_place_of(x->url);
    struct sigv4_header headers[] = {
        {slice_str("host"), place.host},
        {slice_str("content-type"), slice_str(form_type)},
    };
    struct sigv4_request request = {.method = "POST",
                                    .path = place.path,
                                    .query = place.query,
                                    .headers = headers,
                                    .headers_len = 2,
                                    .body = buf_slice(&x->body)};
    struct sigv4_credentials credentials = keys_view(s->base);
    struct sigv4_scope scope = {.region = region, .service = "sts"};
    struct buf value;
    struct sigv4_signature signature = {.value = &value};
    bool ok;

    buf_init(&value, 8192, NULL);
    ok = sigv4_sign(&request, &credentials, &scope, s->now_unix_s + (uint64_t)s->offset_s,
                    &signature) == ERR_OK &&
         exchange_header(x, "X-Amz-Date", slice_str(signature.date)) &&
         exchange_header(x, "Authorization", buf_slice(&value)) &&
         (!credentials.session_token.len ||
          exchange_header(x, "X-Amz-Security-Token", credentials.session_token));
    buf_fini(&value);
    if (!ok)
        snprintf(x->error, sizeof(x->error), "the request to STS can't be signed");
    return ok;
}

static bool sts_ask(struct exchange *x)
{
    struct sts *s = x->self;
    char region[SETTINGS_REGION_MAX];
    struct buf url;

    snprintf(region, sizeof(region), "%s", s->region);
    if (s->moved)
        snprintf(region, sizeof(region), "%s", settings_primary_region(s->region));
    buf_init(&url, EXCHANGE_URL_MAX - 2, NULL);
    settings_sts(s->settings, region, &url);
    snprintf(x->url, sizeof(x->url), "%.*s/", (int)url.len, (const char *)url.data);
    buf_fini(&url);
    x->method = "POST";
    x->direct = false;
    if (!put_body(x, s) || !exchange_header(x, "Content-Type", slice_str(form_type)) ||
        !exchange_header(x, "Accept", slice_str("application/xml")))
        return false;
    return is_web(s) || sign(x, s, region);
}

/* ---- answers ---- */

/* There is a token in it that was sent for keys: some that play STS say what they refuse. */
static bool echoes(const struct exchange *x, struct slice text)
{
    static const char name[] = "&WebIdentityToken="; /* the last of the form */
    const struct sts *s = x->self;
    struct slice sent = slice_str(s->base->session), form = buf_slice(&x->body);
    const uint8_t *at = memmem(form.data, form.len, name, sizeof(name) - 1);
    struct buf encoded;
    bool found;

    buf_init(&encoded, 256 << 10, NULL);
    if (is_web(s) && at) {
        at += sizeof(name) - 1;
        sent = slice_make(at, (size_t)(form.data + form.len - at));
        canonical_encode(&encoded, text, false);
        text = buf_slice(&encoded);
    }
    found = sent.len && text.len && memmem(text.data, text.len, sent.data, sent.len);
    buf_fini(&encoded);
    return found;
}

/* Reads a text for a sentence: without control characters, cut. */
static void read_text(const struct exchange *x, struct slice body, const char *path, char *out,
                      size_t size)
{
    struct buf text;
    size_t len = 0;

    buf_init(&text, 64 << 10, NULL);
    if (answer_xml(body, path, &text) && !echoes(x, buf_slice(&text)))
        for (; len < text.len && len + 1 < size; len++)
            out[len] = exchange_shown(text.data[len]);
    out[len] = '\0';
    buf_fini(&text);
}

static bool is_one_of(const char *code, const char *const *codes)
{
    while (*codes && strcmp(code, *codes) != 0)
        codes++;
    return *codes != NULL;
}

/* Signed for a time that is not that of STS: goes by the time of STS, once. */
static bool corrects_clock(struct sts *s, const struct aws_http_answer *answer, const char *code)
{
    static const char *const codes[] = {"SignatureDoesNotMatch", "RequestExpired",
                                        "RequestTimeTooSkewed", NULL};
    int64_t offset_s = answer->date_s - (int64_t)s->now_unix_s;

    if (is_web(s) || s->offset_s || !answer->date_s || !is_one_of(code, codes) ||
        llabs(offset_s) < CLOCK_TOLERANCE_S)
        return false;
    s->offset_s = offset_s;
    return true;
}

static enum exchange_next sts_refused(struct exchange *x, struct sts *s,
                                      const struct aws_http_answer *answer)
{
    static const char *const later[] = {"IDPCommunicationError",
                                        "Throttling",
                                        "ThrottlingException",
                                        "RequestLimitExceeded",
                                        "ServiceUnavailable",
                                        "InternalFailure",
                                        NULL};
    static const char *const stale[] = {"ExpiredTokenException", "InvalidIdentityToken", NULL};
    char code[64], message[200];

    read_text(x, answer->body, "ErrorResponse/Error/Code", code, sizeof(code));
    read_text(x, answer->body, "ErrorResponse/Error/Message", message, sizeof(message));
    snprintf(x->error, sizeof(x->error), "%.120s: status %d%s%s%s%s", exchange_place(x),
             answer->status, code[0] ? " " : "", code, message[0] ? " " : "", message);
    if (answer->status >= 500 || answer->status == 429 || is_one_of(code, later))
        return EXCHANGE_RETRY;
    if (is_web(s) && !s->read_again && is_one_of(code, stale)) {
        s->read_again = true;
        return EXCHANGE_SEND;
    }
    if (corrects_clock(s, answer, code))
        return EXCHANGE_SEND;
    if (!s->moved && s->region[0] && strcmp(code, "RegionDisabledException") == 0) {
        s->moved = true;
        return EXCHANGE_SEND;
    }
    return EXCHANGE_FAILED;
}

/* When the keys end, as our own clock will have it. */
static void count_by_our_clock(struct sts *s, int64_t date_s)
{
    if (date_s)
        s->keys.expires_unix_s += s->now_unix_s - (uint64_t)date_s;
}

static enum exchange_next sts_answer(struct exchange *x, const struct aws_http_answer *answer)
{
    struct sts *s = x->self;

    if (answer->status != 200)
        return sts_refused(x, s, answer);
    if (keys_from_xml(&s->keys, answer->body,
                      is_web(s) ? "AssumeRoleWithWebIdentityResponse/"
                                  "AssumeRoleWithWebIdentityResult"
                                : "AssumeRoleResponse/AssumeRoleResult")) {
        count_by_our_clock(s, answer->date_s);
        return EXCHANGE_DONE;
    }
    snprintf(x->error, sizeof(x->error), "%.200s answered with something else than credentials",
             exchange_place(x));
    return EXCHANGE_FAILED;
}

const struct exchange_kind sts_kind = {
    .ask = sts_ask,
    .answer = sts_answer,
    .tries = 3,
    .timeout_ns = 10 * NS_PER_S,
    .pause_ns = NS_PER_S,
};
