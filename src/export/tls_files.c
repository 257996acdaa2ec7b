#include "export/tls_files.h"

#include "base/pem.h"

static enum err load(SSL_CTX *ctx, const struct tls_client_options *tls, struct err_info *info)
{
    enum err err = tls->ca_file ? pem_trust(ctx, "tls.ca_file", tls->ca_file, info) : ERR_OK;

    return err ? err : pem_identify(ctx, tls->cert_file, tls->key_file, info);
}

enum err tls_files_check(const struct tls_client_options *tls, struct err_info *info)
{
    SSL_CTX *ctx;
    enum err err;

    if (!tls->ca_file && !tls->cert_file && !tls->key_file)
        return ERR_OK;
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return err_fail(info, ERR_IO, "no memory for a TLS context");
    err = load(ctx, tls, info);
    SSL_CTX_free(ctx);
    return err;
}
