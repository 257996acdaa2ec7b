/* port.c: what the workers share of a listener: its options, how many connections it has, bearer
 * tokens, and the TLS context.
 */
#include "receive/internal.h"
#include "receive/tls_context.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

struct receive_port {
    _Atomic unsigned references, connections;
    _Atomic bool is_closed;
    struct receive_listener options;    /* strings are copies; bearer is not looked at */
    uint8_t (*tokens)[TOKEN_HASH_SIZE]; /* SHA-256, so that comparing takes one time for all */
    size_t token_count;
    pthread_mutex_t lock; /* of tls */
    SSL_CTX *tls;         /* NULL: plain text */
    SSL_CTX *renewed;     /* of receive_port_renew; NULL: none */
};

static void *need(void *p)
{
    if (!p)
        err_no_memory("a listener");
    return p;
}

static void hash_tokens(struct receive_port *p, const char *const *bearer)
{
    if (!bearer)
        return;
    while (bearer[p->token_count])
        p->token_count++;
    p->tokens = need(calloc(p->token_count + 1, TOKEN_HASH_SIZE));
    for (size_t i = 0; i < p->token_count; i++)
        SHA256((const uint8_t *)bearer[i], strlen(bearer[i]), p->tokens[i]);
}

static const char *copy(const char *text)
{
    return text ? need(strdup(text)) : NULL;
}

static void copy_options(struct receive_port *p, const struct receive_listener *l)
{
    p->options = *l;
    p->options.bearer = NULL;
    p->options.tls = (struct receive_tls){copy(l->tls.cert_file), copy(l->tls.key_file),
                                          copy(l->tls.client_ca_file), copy(l->tls.min_version)};
}

enum err receive_port_new(const struct receive_listener *listener, struct receive_port **out,
                          struct err_info *info)
{
    struct receive_port *p = need(calloc(1, sizeof *p));
    enum err err;

    atomic_init(&p->references, 1);
    pthread_mutex_init(&p->lock, NULL);
    copy_options(p, listener);
    hash_tokens(p, listener->bearer);
    err = receive_port_renew(p, info);
    if (err) {
        receive_port_unref(p);
        return err;
    }
    receive_port_renewed(p, true);
    *out = p;
    return ERR_OK;
}

struct receive_port *receive_port_ref(struct receive_port *p)
{
    atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
    return p;
}

void receive_port_unref(struct receive_port *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(p->tls);
    SSL_CTX_free(p->renewed);
    pthread_mutex_destroy(&p->lock);
    free(p->tokens);
    free((char *)p->options.tls.cert_file);
    free((char *)p->options.tls.key_file);
    free((char *)p->options.tls.client_ca_file);
    free((char *)p->options.tls.min_version);
    free(p);
}

enum err receive_port_renew(struct receive_port *p, struct err_info *info)
{
    if (!p->options.tls.cert_file)
        return ERR_OK;
    SSL_CTX_free(p->renewed);
    p->renewed = tls_context_new(&p->options, info);
    return p->renewed ? ERR_OK : ERR_CONFIG;
}

void receive_port_renewed(struct receive_port *p, bool is_taken)
{
    SSL_CTX *past = p->renewed;

    if (past && is_taken) {
        pthread_mutex_lock(&p->lock);
        past = p->tls;
        p->tls = p->renewed;
        pthread_mutex_unlock(&p->lock);
    }
    SSL_CTX_free(past); /* connections have references of their own */
    p->renewed = NULL;
}

void receive_port_close(struct receive_port *p)
{
    atomic_store_explicit(&p->is_closed, true, memory_order_release);
}

bool port_is_closed(const struct receive_port *p)
{
    return atomic_load_explicit(&p->is_closed, memory_order_acquire);
}

const struct receive_listener *port_options(const struct receive_port *p)
{
    return &p->options;
}

SSL_CTX *port_tls(struct receive_port *p)
{
    SSL_CTX *ctx;

    pthread_mutex_lock(&p->lock);
    ctx = p->tls;
    if (ctx)
        SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&p->lock);
    return ctx;
}

bool port_enter(struct receive_port *p)
{
    if (atomic_fetch_add(&p->connections, 1) < p->options.max_connections)
        return true;
    atomic_fetch_sub(&p->connections, 1);
    return false;
}

void port_leave(struct receive_port *p)
{
    atomic_fetch_sub(&p->connections, 1);
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

bool port_authorizes(const struct receive_port *p, struct slice value)
{
    uint8_t hash[TOKEN_HASH_SIZE];
    struct slice token;
    bool found = false;

    if (!p->tokens)
        return true;
    if (!bearer_token(value, &token))
        return false;
    SHA256(token.data, token.len, hash);
    for (size_t i = 0; i < p->token_count; i++)
        found |= CRYPTO_memcmp(hash, p->tokens[i], sizeof hash) == 0;
    return found;
}
