#include "aws/sigv4.h"

#include "aws/canonical.h"
#include "base/encode.h"

#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { DIGEST_SIZE = 32, TEXT_MAX = 1 << 20 };

static struct slice hash(struct slice text, uint8_t digest[DIGEST_SIZE])
{
    (void)EVP_Digest(text.data ? text.data : (const uint8_t *)"", text.len, digest, NULL,
                     EVP_sha256(), NULL);
    return slice_make(digest, DIGEST_SIZE);
}

/* `out` may be the key. */
static void hmac(struct slice key, struct slice text, uint8_t out[DIGEST_SIZE])
{
    (void)HMAC(EVP_sha256(), key.data, (int)key.len, text.data, text.len, out, NULL);
}

static void format_date(uint64_t unix_s, char date[17])
{
    time_t seconds = (time_t)unix_s;
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(date, 17, "%Y%m%dT%H%M%SZ", &tm);
}

/* The given headers and those that the signer adds. */
static enum err all_headers(const struct sigv4_request *r, const struct sigv4_credentials *c,
                            const char *date, struct sigv4_header all[SIGV4_HEADERS_MAX],
                            size_t *len)
{
    if (r->headers_len > SIGV4_HEADERS_MAX - 2)
        return ERR_FULL;
    for (*len = 0; *len < r->headers_len; ++*len)
        all[*len] = r->headers[*len];
    all[(*len)++] = (struct sigv4_header){slice_str("x-amz-date"), slice_str(date)};
    if (c->session_token.len)
        all[(*len)++] = (struct sigv4_header){slice_str("x-amz-security-token"), c->session_token};
    return ERR_OK;
}

static enum err put_canonical(const struct sigv4_request *r, const struct sigv4_credentials *c,
                              const struct sigv4_scope *scope, const char *date, struct buf *out,
                              struct buf *names)
{
    struct sigv4_header all[SIGV4_HEADERS_MAX];
    uint8_t digest[DIGEST_SIZE];
    size_t len = 0;
    enum err e = all_headers(r, c, date, all, &len);

    buf_printf(out, "%s\n", r->method);
    canonical_path(out, r->path, scope->literal_path);
    buf_byte(out, '\n');
    if (!e)
        e = canonical_query(out, r->query);
    buf_byte(out, '\n');
    if (!e)
        e = canonical_headers(out, all, len, names);
    buf_byte(out, '\n');
    buf_append(out, names->data, names->len);
    buf_byte(out, '\n');
    encode_hex(out, hash(r->body, digest));
    return e ? e : buf_ok(out) && buf_ok(names) ? ERR_OK : ERR_FULL;
}

static void put_scope(struct buf *out, const char *date, const struct sigv4_scope *scope)
{
    buf_printf(out, "%.8s/%s/%s/aws4_request", date, scope->region, scope->service);
}

static void put_to_sign(struct buf *out, const char *date, const struct sigv4_scope *scope,
                        struct slice canonical)
{
    uint8_t digest[DIGEST_SIZE];

    buf_printf(out, "AWS4-HMAC-SHA256\n%s\n", date);
    put_scope(out, date, scope);
    buf_byte(out, '\n');
    encode_hex(out, hash(canonical, digest));
}

/* The day's key for region and service. False: the secret is longer than any is. */
static bool derive_key(struct slice secret, const char *date, const struct sigv4_scope *scope,
                       uint8_t key[DIGEST_SIZE])
{
    uint8_t start[4 + 256] = "AWS4";

    if (secret.len > sizeof(start) - 4)
        return false;
    if (secret.len)
        memcpy(start + 4, secret.data, secret.len);
    hmac(slice_make(start, 4 + secret.len), slice_make(date, 8), key);
    OPENSSL_cleanse(start, sizeof(start));
    hmac(slice_make(key, DIGEST_SIZE), slice_str(scope->region), key);
    hmac(slice_make(key, DIGEST_SIZE), slice_str(scope->service), key);
    hmac(slice_make(key, DIGEST_SIZE), slice_str("aws4_request"), key);
    return true;
}

static enum err put_authorization(struct buf *out, const struct sigv4_credentials *c,
                                  const char *date, const struct sigv4_scope *scope,
                                  struct slice names, struct slice to_sign)
{
    uint8_t key[DIGEST_SIZE];

    if (!derive_key(c->secret_key, date, scope, key))
        return ERR_FULL;
    hmac(slice_make(key, DIGEST_SIZE), to_sign, key);
    buf_str(out, "AWS4-HMAC-SHA256 Credential=");
    buf_append(out, c->access_key.data, c->access_key.len);
    buf_byte(out, '/');
    put_scope(out, date, scope);
    buf_str(out, ", SignedHeaders=");
    buf_append(out, names.data, names.len);
    buf_str(out, ", Signature=");
    encode_hex(out, slice_make(key, DIGEST_SIZE));
    return buf_ok(out) ? ERR_OK : ERR_FULL;
}

enum err sigv4_sign(const struct sigv4_request *request,
                    const struct sigv4_credentials *credentials, const struct sigv4_scope *scope,
                    uint64_t unix_s, struct sigv4_signature *signature)
{
    struct buf canonical, names, to_sign;
    enum err e;

    buf_init(&canonical, TEXT_MAX, NULL);
    buf_init(&names, TEXT_MAX, NULL);
    buf_init(&to_sign, TEXT_MAX, NULL);
    format_date(unix_s, signature->date);
    e = put_canonical(request, credentials, scope, signature->date, &canonical, &names);
    put_to_sign(&to_sign, signature->date, scope, buf_slice(&canonical));
    if (!e && !buf_ok(&to_sign))
        e = ERR_FULL;
    if (!e)
        e = put_authorization(signature->value, credentials, signature->date, scope,
                              buf_slice(&names), buf_slice(&to_sign));
    buf_fini(&canonical);
    buf_fini(&names);
    buf_fini(&to_sign);
    return e;
}

enum err sigv4_texts(const struct sigv4_request *request,
                     const struct sigv4_credentials *credentials, const struct sigv4_scope *scope,
                     uint64_t unix_s, struct buf *canonical, struct buf *to_sign)
{
    size_t start = canonical->len;
    struct buf names;
    char date[17];
    enum err e;

    buf_init(&names, TEXT_MAX, NULL);
    format_date(unix_s, date);
    e = put_canonical(request, credentials, scope, date, canonical, &names);
    if (!e && to_sign)
        put_to_sign(to_sign, date, scope,
                    slice_make(canonical->data + start, canonical->len - start));
    buf_fini(&names);
    return e ? e : to_sign && !buf_ok(to_sign) ? ERR_FULL : ERR_OK;
}
