/* shared.c: what the workers share: how many connections each listener has, bearer tokens, and
 * TLS contexts.
 */
#include "receive/internal.h"
#include "receive/tls_context.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

struct shared_listener {
    _Atomic unsigned connections;
    unsigned max_connections;
    uint8_t (*tokens)[TOKEN_HASH_SIZE]; /* SHA-256, so that comparing takes one time for all */
    size_t token_count;
    const struct receive_listener *config;
    SSL_CTX *tls; /* NULL: plain text; behind the lock */
};

struct receive_shared {
    struct shared_listener *listeners;
    size_t count;
    pthread_mutex_t lock; /* of the TLS contexts */
};

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static void hash_tokens(struct shared_listener *s, const char *const *bearer)
{
    if (!bearer)
        return;
    while (bearer[s->token_count])
        s->token_count++;
    s->tokens = need(calloc(s->token_count + 1, TOKEN_HASH_SIZE));
    for (size_t i = 0; i < s->token_count; i++)
        SHA256((const uint8_t *)bearer[i], strlen(bearer[i]), s->tokens[i]);
}

static void free_contexts(SSL_CTX **contexts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        SSL_CTX_free(contexts[i]);
    free(contexts);
}

static enum err load_contexts(const struct receive_shared *s, SSL_CTX **contexts,
                              struct err_info *info)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct receive_listener *l = s->listeners[i].config;

        if (!l->tls.cert_file)
            continue;
        contexts[i] = tls_context_new(l, info);
        if (!contexts[i])
            return ERR_CONFIG;
    }
    return ERR_OK;
}

enum err receive_shared_reload(struct receive_shared *s, struct err_info *info)
{
    SSL_CTX **contexts = need(calloc(s->count + 1, sizeof(SSL_CTX *)));
    enum err err = load_contexts(s, contexts, info);

    if (!err) {
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < s->count; i++) {
            SSL_CTX *old = s->listeners[i].tls;

            s->listeners[i].tls = contexts[i];
            contexts[i] = old; /* connections have references of their own */
        }
        pthread_mutex_unlock(&s->lock);
    }
    free_contexts(contexts, s->count);
    return err;
}

bool shared_has_tls(const struct receive_shared *s, size_t listener)
{
    return s->listeners[listener].config->tls.cert_file != NULL;
}

SSL_CTX *shared_tls(struct receive_shared *s, size_t listener)
{
    SSL_CTX *ctx;

    pthread_mutex_lock(&s->lock);
    ctx = s->listeners[listener].tls;
    if (ctx)
        SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&s->lock);
    return ctx;
}

enum err receive_shared_new(const struct receive_listener *listeners, size_t count,
                            struct receive_shared **out, struct err_info *info)
{
    struct receive_shared *s = need(calloc(1, sizeof *s));

    enum err err;

    s->listeners = need(calloc(count + 1, sizeof *s->listeners));
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        s->listeners[i].config = &listeners[i];
        s->listeners[i].max_connections = listeners[i].max_connections;
        hash_tokens(&s->listeners[i], listeners[i].bearer);
    }
    pthread_mutex_init(&s->lock, NULL);
    err = receive_shared_reload(s, info);
    if (err) {
        receive_shared_free(s);
        s = NULL;
    }
    *out = s;
    return err;
}

void receive_shared_free(struct receive_shared *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        free(s->listeners[i].tokens);
        SSL_CTX_free(s->listeners[i].tls);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->listeners);
    free(s);
}

bool shared_connection_add(struct receive_shared *s, size_t listener)
{
    struct shared_listener *l = &s->listeners[listener];

    if (atomic_fetch_add(&l->connections, 1) < l->max_connections)
        return true;
    atomic_fetch_sub(&l->connections, 1);
    return false;
}

void shared_connection_remove(struct receive_shared *s, size_t listener)
{
    atomic_fetch_sub(&s->listeners[listener].connections, 1);
}

/* RFC 6750 section 2.1; the scheme's name is case-insensitive. */
static bool bearer_token(struct slice value, struct slice *token)
{
    static const char scheme[] = "Bearer ";
    const size_t len = sizeof scheme - 1;

    if (value.len <= len || strncasecmp((const char *)value.data, scheme, len) != 0)
        return false;
    *token = slice_make(value.data + len, value.len - len);
    return true;
}

bool shared_authorized(const struct receive_shared *s, size_t listener, struct slice value)
{
    const struct shared_listener *l = &s->listeners[listener];
    uint8_t hash[TOKEN_HASH_SIZE];
    struct slice token;
    bool found = false;

    if (!l->tokens)
        return true;
    if (!bearer_token(value, &token))
        return false;
    SHA256(token.data, token.len, hash);
    for (size_t i = 0; i < l->token_count; i++)
        found |= CRYPTO_memcmp(hash, l->tokens[i], sizeof hash) == 0;
    return found;
}
