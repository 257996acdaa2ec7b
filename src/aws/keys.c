#include "aws/keys.h"

#include "aws/answer.h"

#include <stdio.h>

static bool fits(struct slice text, size_t room)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x21 || text.data[i] > 0x7E)
            return false;
    return text.len < room;
}

static void put(char *to, struct slice text)
{
    if (text.len)
        memcpy(to, text.data, text.len);
    to[text.len] = '\0';
}

bool keys_set(struct keys *k, struct slice access, struct slice secret, struct slice session,
              uint64_t expires_unix_s)
{
    if (!access.len || !secret.len || !fits(access, sizeof(k->access)) ||
        !fits(secret, sizeof(k->secret)) || !fits(session, sizeof(k->session)))
        return false;
    keys_forget(k);
    put(k->access, access);
    put(k->secret, secret);
    put(k->session, session);
    k->expires_unix_s = expires_unix_s;
    return true;
}

void keys_forget(struct keys *k)
{
    explicit_bzero(k, sizeof(*k));
}

struct sigv4_credentials keys_view(const struct keys *k)
{
    return (struct sigv4_credentials){
        .access_key = slice_str(k->access),
        .secret_key = slice_str(k->secret),
        .session_token = slice_str(k->session),
    };
}

/* The four texts of an answer, in space that is taken at once, so that no copy is left behind. */
struct texts {
    struct buf access, secret, session, expiration;
};

static bool space(struct buf *b, size_t bytes)
{
    buf_init(b, bytes, NULL);
    return buf_reserve(b, bytes) != NULL;
}

static bool texts_init(struct texts *t)
{
    bool ok = space(&t->access, KEYS_NAME_MAX);

    ok &= space(&t->secret, KEYS_NAME_MAX);
    ok &= space(&t->session, KEYS_TOKEN_MAX);
    return ok & space(&t->expiration, 64);
}

static void forget(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_fini(b);
}

/* Makes keys of the texts if `ok`; an expiration must be a time. */
static bool texts_end(struct texts *t, struct keys *k, bool ok)
{
    uint64_t expires = UINT64_MAX;

    if (ok && t->expiration.len)
        ok = answer_time(buf_slice(&t->expiration), &expires);
    ok = ok &&
         keys_set(k, buf_slice(&t->access), buf_slice(&t->secret), buf_slice(&t->session), expires);
    forget(&t->access);
    forget(&t->secret);
    forget(&t->session);
    forget(&t->expiration);
    return ok;
}

bool keys_from_json(struct keys *k, struct slice text, const char *token)
{
    struct texts t;
    bool ok = texts_init(&t) && answer_json(text, "AccessKeyId", &t.access) &&
              answer_json(text, "SecretAccessKey", &t.secret);

    if (ok) {
        answer_json(text, token, &t.session);
        answer_json(text, "Expiration", &t.expiration);
    }
    return texts_end(&t, k, ok && buf_ok(&t.session) && buf_ok(&t.expiration));
}

static bool element(struct slice text, const char *path, const char *name, struct buf *out)
{
    char full[160];

    snprintf(full, sizeof(full), "%s/Credentials/%s", path, name);
    return answer_xml(text, full, out);
}

bool keys_from_xml(struct keys *k, struct slice text, const char *path)
{
    struct texts t;
    bool ok = texts_init(&t) && element(text, path, "AccessKeyId", &t.access) &&
              element(text, path, "SecretAccessKey", &t.secret) &&
              element(text, path, "SessionToken", &t.session) &&
              element(text, path, "Expiration", &t.expiration);

    return texts_end(&t, k, ok);
}
