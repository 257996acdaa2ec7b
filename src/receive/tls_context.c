#include "receive/tls_context.h"

#include "base/pem.h"

#include <string.h>

static const unsigned char session_context[] = "moontail";

/* A protocol that both sides speak, else the alert no_application_protocol (RFC 7301). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned int in_len, void *arg)
{
    static const unsigned char h2[] = "\x02h2", http1[] = "\x08http/1.1\x08http/1.0";
    const struct receive_listener *l = arg;
    bool is_grpc = l->protocol == RECEIVE_GRPC;
    unsigned char *chosen = NULL;
    int result = SSL_select_next_proto(&chosen, out_len, is_grpc ? h2 : http1,
                                       is_grpc ? sizeof h2 - 1 : sizeof http1 - 1, in, in_len);

    (void)ssl;
    if (result != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum err set_version(SSL_CTX *ctx, const struct receive_tls *tls, struct err_info *info)
{
    int version = TLS1_2_VERSION;

    if (tls->min_version && strcmp(tls->min_version, "1.3") == 0)
        version = TLS1_3_VERSION;
    else if (tls->min_version && strcmp(tls->min_version, "1.2") != 0)
        return err_fail(info, ERR_CONFIG, "tls.min_version is \"%s\"; allowed are 1.2 and 1.3",
                        tls->min_version);
    SSL_CTX_set_min_proto_version(ctx, version);
    return ERR_OK;
}

static enum err require_clients(SSL_CTX *ctx, const struct receive_tls *tls, struct err_info *info)
{
    const char *file = tls->client_ca_file;
    STACK_OF(X509_NAME) * names;
    enum err err;

    if (!file)
        return ERR_OK;
    err = pem_trust(ctx, "tls.client_ca_file", file, info);
    if (err)
        return err;
    names = SSL_load_client_CA_file(file);
    if (!names)
        return pem_fail(info, "tls.client_ca_file", file);
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return ERR_OK;
}

static enum err configure(SSL_CTX *ctx, const struct receive_listener *l, struct err_info *info)
{
    enum err err;

    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20"); /* of TLS 1.2 */
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, (void *)(uintptr_t)l);
    err = set_version(ctx, &l->tls, info);
    if (!err)
        err = pem_identify(ctx, l->tls.cert_file, l->tls.key_file, info);
    if (!err)
        err = require_clients(ctx, &l->tls, info);
    return err;
}

SSL_CTX *tls_context_new(const struct receive_listener *l, struct err_info *info)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (!ctx) {
        err_fail(info, ERR_IO, "no memory for a TLS context");
        return NULL;
    }
    if (configure(ctx, l, info)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}
