/* tls.c: TLS sessions over memory BIOs, so that OpenSSL never sees a socket. */
#include "receive/internal.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

struct tls_session {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

static bool attach(struct tls_session *t)
{
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (!t->in || !t->out) {
        BIO_free(t->in);
        BIO_free(t->out);
        return false;
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_accept_state(t->ssl);
    return true;
}

struct tls_session *tls_session_new(struct receive_port *p)
{
    SSL_CTX *ctx = port_tls(p);
    struct tls_session *t = calloc(1, sizeof *t);

    if (t && ctx)
        t->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (t && t->ssl && attach(t))
        return t;
    tls_session_free(t);
    ERR_clear_error();
    return NULL;
}

void tls_session_free(struct tls_session *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

void tls_session_give(struct tls_session *t, struct slice bytes)
{
    BIO_write(t->in, bytes.data, (int)bytes.len);
}

bool tls_session_is_open(const struct tls_session *t)
{
    return SSL_is_init_finished(t->ssl);
}

enum err tls_session_read(struct tls_session *t, uint8_t *data, size_t len, size_t *got)
{
    int result;

    *got = 0;
    ERR_clear_error();
    result = SSL_read_ex(t->ssl, data, len, got);
    if (result == 1)
        return ERR_OK;
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_OK;
    default:
        ERR_clear_error();
        return ERR_IO;
    }
}

enum err tls_session_write(struct tls_session *t, struct slice bytes)
{
    while (bytes.len) {
        size_t sent = 0;

        ERR_clear_error();
        if (SSL_write_ex(t->ssl, bytes.data, bytes.len, &sent) != 1) {
            ERR_clear_error();
            return ERR_IO;
        }
        bytes = slice_make(bytes.data + sent, bytes.len - sent);
    }
    return ERR_OK;
}

void tls_session_shutdown(struct tls_session *t)
{
    ERR_clear_error();
    if (SSL_is_init_finished(t->ssl))
        SSL_shutdown(t->ssl);
    ERR_clear_error();
}

struct slice tls_session_unsent(const struct tls_session *t)
{
    char *data = NULL;
    long len = BIO_get_mem_data(t->out, &data);

    return slice_make(data, len > 0 ? (size_t)len : 0);
}

void tls_session_sent(struct tls_session *t, size_t len)
{
    uint8_t drop[4096];

    while (len) {
        int n = BIO_read(t->out, drop, (int)(len < sizeof drop ? len : sizeof drop));

        if (n <= 0)
            return;
        len -= (size_t)n;
    }
}
