#include "export/aws_answer.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

enum { LOOKED_AT = 8192 }; /* of a body: an error is short */

static const struct {
    const char *code;
    enum aws_refusal means;
} codes[] = {
    {"RequestTimeTooSkewed", AWS_CLOCK},
    {"RequestExpired", AWS_CLOCK},
    {"RequestInTheFuture", AWS_CLOCK},
    {"InvalidSignatureException", AWS_SIGNATURE},
    {"SignatureDoesNotMatch", AWS_SIGNATURE},
    {"AuthFailure", AWS_SIGNATURE},
    {"ExpiredToken", AWS_EXPIRED},
    {"ExpiredTokenException", AWS_EXPIRED},
    {"UnrecognizedClientException", AWS_UNKNOWN},
    {"InvalidClientTokenId", AWS_UNKNOWN},
    {"InvalidAccessKeyId", AWS_UNKNOWN},
    {"InvalidToken", AWS_UNKNOWN},
    {"MissingAuthenticationToken", AWS_UNKNOWN},
    {"MissingAuthenticationTokenException", AWS_UNKNOWN},
    {"IncompleteSignature", AWS_UNKNOWN},
    {"IncompleteSignatureException", AWS_UNKNOWN},
    {"AccessDenied", AWS_DENIED},
    {"AccessDeniedException", AWS_DENIED},
    {"OptInRequired", AWS_DENIED},
};

/* A word out of `text`: "com.amazon.coral#Name:http://..." is Name. */
static void put_code(struct slice text, char code[64])
{
    const char *at = (const char *)text.data, *end = at + text.len, *hash;
    size_t len = 0;

    hash = text.len ? memchr(at, '#', text.len) : NULL;
    if (hash)
        at = hash + 1;
    while (at < end && len < 63 && (isalnum((unsigned char)*at) || *at == '_' || *at == '.'))
        code[len++] = *at++;
    code[len] = '\0';
}

/* What follows `key` and, in JSON, a colon and a quote; empty: it isn't there. */
static struct slice value_after(struct slice body, const char *key)
{
    const uint8_t *at = body.len ? memmem(body.data, body.len, key, strlen(key)) : NULL;
    const uint8_t *end = body.data + body.len;

    if (!at)
        return (struct slice){0};
    at += strlen(key);
    while (at < end && (isspace(*at) || *at == ':' || *at == '"'))
        at++;
    return slice_make(at, (size_t)(end - at));
}

/* Of JSON ("__type", "code") or XML (<Code>). */
static void find_code(const struct http_answer *a, char code[64])
{
    static const char *const keys[] = {"\"__type\"", "\"code\"", "\"Code\"", "<Code>"};
    struct slice body = slice_make(a->body.data, a->body.len < LOOKED_AT ? a->body.len : LOOKED_AT);

    put_code(http_answer_header(a, "x-amzn-errortype"), code);
    for (size_t i = 0; !code[0] && i < sizeof(keys) / sizeof(keys[0]); i++)
        put_code(value_after(body, keys[i]), code);
}

enum aws_refusal aws_answer_read(const struct http_answer *answer, char code[64])
{
    code[0] = '\0';
    if (answer->err != ERR_OK || answer->status < 400 || answer->status > 499)
        return AWS_NOT_OURS;
    find_code(answer, code);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(codes[i].code, code) == 0)
            return codes[i].means;
    return AWS_NOT_OURS;
}

bool aws_answer_date(const struct http_answer *answer, int64_t *unix_s)
{
    return http_date(http_answer_header(answer, "date"), unix_s);
}
