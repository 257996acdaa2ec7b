#include "base/pem.h"

#include <stdbool.h>

#include <openssl/err.h>

enum err pem_fail(struct err_info *info, const char *option, const char *file)
{
    char reason[160] = "unknown reason";
    unsigned long code = ERR_peek_error(); /* the first is the cause */

    if (code)
        ERR_error_string_n(code, reason, sizeof(reason));
    ERR_clear_error();
    return err_fail(info, ERR_CONFIG, "%s \"%s\" can't be used: %s", option, file, reason);
}

enum err pem_trust(SSL_CTX *ctx, const char *option, const char *file, struct err_info *info)
{
    ERR_clear_error();
    return SSL_CTX_load_verify_locations(ctx, file, NULL) == 1 ? ERR_OK
                                                               : pem_fail(info, option, file);
}

/* Without a callback OpenSSL asks at the terminal, and waits. */
static int ask_nobody(char *out, int size, int is_writing, void *arg)
{
    bool *asked = arg;

    (void)out;
    (void)size;
    (void)is_writing;
    *asked = true;
    return -1;
}

static bool load(SSL_CTX *ctx, const char *cert_file, const char *key_file)
{
    return !key_file || (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) == 1 &&
                         (!cert_file || SSL_CTX_check_private_key(ctx) == 1));
}

enum err pem_identify(SSL_CTX *ctx, const char *cert_file, const char *key_file,
                      struct err_info *info)
{
    const char *key = key_file ? key_file : cert_file;
    bool asked = false, loaded;

    ERR_clear_error();
    if (cert_file && SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        return pem_fail(info, "tls.cert_file", cert_file);
    SSL_CTX_set_default_passwd_cb(ctx, ask_nobody);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &asked);
    loaded = load(ctx, cert_file, key);
    SSL_CTX_set_default_passwd_cb(ctx, NULL);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    if (loaded)
        return ERR_OK;
    if (!asked && ERR_GET_REASON(ERR_peek_error()) != X509_R_KEY_VALUES_MISMATCH)
        return pem_fail(info, "tls.key_file", key);
    ERR_clear_error();
    if (asked)
        return err_fail(info, ERR_CONFIG,
                        "tls.key_file \"%s\" has a passphrase; write one without it (openssl pkey "
                        "-in FILE -out FILE)",
                        key);
    return err_fail(info, ERR_CONFIG,
                    "tls.key_file \"%s\" does not fit the certificate in tls.cert_file \"%s\"", key,
                    cert_file);
}
