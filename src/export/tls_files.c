#include "export/tls_files.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static enum err fail(struct err_info *info, const char *key, const char *file)
{
    char reason[160] = "unknown reason";
    unsigned long code = ERR_peek_error(); /* the first is the cause */

    if (code)
        ERR_error_string_n(code, reason, sizeof(reason));
    ERR_clear_error();
    return err_fail(info, ERR_CONFIG, "%s \"%s\" can't be used: %s", key, file, reason);
}

static enum err load(SSL_CTX *ctx, const struct tls_client_options *tls, struct err_info *info)
{
    const char *key = tls->key_file ? tls->key_file : tls->cert_file;

    ERR_clear_error();
    if (tls->ca_file && SSL_CTX_load_verify_locations(ctx, tls->ca_file, NULL) != 1)
        return fail(info, "tls.ca_file", tls->ca_file);
    if (tls->cert_file && SSL_CTX_use_certificate_chain_file(ctx, tls->cert_file) != 1)
        return fail(info, "tls.cert_file", tls->cert_file);
    if (key && (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
                (tls->cert_file && SSL_CTX_check_private_key(ctx) != 1)))
        return fail(info, "tls.key_file", key);
    return ERR_OK;
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
