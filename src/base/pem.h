/* pem.h: certificates and keys from PEM files. What fails is said with the option's name, the file
 * and the reason: ERR_CONFIG. The names of files are not kept.
 */
#pragma once

#include "base/err.h"

#include <openssl/ssl.h>

/* Whom the other side must be signed by. */
enum err pem_trust(SSL_CTX *ctx, const char *option, const char *file,
                   struct err_info *info) MUST_CHECK;

/* The certificate with its chain (tls.cert_file; NULL: none) and its key (tls.key_file; NULL:
 * beside the certificate). Keys with a passphrase are refused: nobody is asked for one. */
enum err pem_identify(SSL_CTX *ctx, const char *cert_file, const char *key_file,
                      struct err_info *info) MUST_CHECK;

/* The reason is the first one that OpenSSL has for this thread; it is forgotten. Returns
 * ERR_CONFIG. */
enum err pem_fail(struct err_info *info, const char *option, const char *file);
