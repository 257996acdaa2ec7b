/* certificates.h: keys and certificates made by the test, in a folder of its own. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define CERT_FN static __attribute__((unused))

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
};

/* Signed by `issuer`; NULL: by itself, as an authority. */
CERT_FN struct identity identity_new(const char *name, const struct identity *issuer, long serial)
{
    struct identity id = {EVP_EC_gen("P-256"), X509_new()};
    X509_NAME *subject = X509_get_subject_name(id.certificate);

    X509_set_version(id.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(id.certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(id.certificate), 24 * 3600);
    X509_set_pubkey(id.certificate, id.key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(id.certificate,
                         issuer ? X509_get_subject_name(issuer->certificate) : subject);
    if (!issuer) {
        X509_EXTENSION *ext =
            X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

        X509_add_ext(id.certificate, ext, -1);
        X509_EXTENSION_free(ext);
    }
    X509_sign(id.certificate, issuer ? issuer->key : id.key, EVP_sha256());
    return id;
}

CERT_FN void identity_free(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->certificate);
}

CERT_FN void write_certificate(const struct identity *id, const char *path)
{
    FILE *f = fopen(path, "w");

    PEM_write_X509(f, id->certificate);
    fclose(f);
}

CERT_FN void write_key(const struct identity *id, const char *path)
{
    FILE *f = fopen(path, "w");

    PEM_write_PrivateKey(f, id->key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}
