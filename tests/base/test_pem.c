#include "base/pem.h"
#include "certificates.h"
#include "check.h"

#include <string.h>

#include <openssl/err.h>

struct scene {
    char folder[64], certificate[96], key[96];
    struct identity identity;
    SSL_CTX *ctx;
};

static void scene_init(struct scene *s)
{
    snprintf(s->folder, sizeof(s->folder), "/tmp/moontail-pem-XXXXXX");
    CHECK(mkdtemp(s->folder) != NULL);
    snprintf(s->certificate, sizeof(s->certificate), "%s/certificate.pem", s->folder);
    snprintf(s->key, sizeof(s->key), "%s/key.pem", s->folder);
    s->identity = identity_new("localhost", NULL, 1);
    write_certificate(&s->identity, s->certificate);
    write_key(&s->identity, s->key);
    s->ctx = SSL_CTX_new(TLS_server_method());
}

static void scene_fini(struct scene *s)
{
    SSL_CTX_free(s->ctx);
    identity_free(&s->identity);
    unlink(s->certificate);
    unlink(s->key);
    rmdir(s->folder);
}

static void write_locked_key(const struct scene *s)
{
    FILE *f = fopen(s->key, "w");

    PEM_write_PrivateKey(f, s->identity.key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6,
                         NULL, NULL);
    fclose(f);
}

static void a_certificate_and_its_key_are_taken(void)
{
    struct scene s;
    struct err_info info;

    scene_init(&s);
    CHECK(pem_identify(s.ctx, s.certificate, s.key, &info) == ERR_OK);
    CHECK(pem_trust(s.ctx, "tls.ca_file", s.certificate, &info) == ERR_OK);
    scene_fini(&s);
}

static void a_key_with_a_passphrase_is_refused_and_nobody_is_asked(void)
{
    struct scene s;
    struct err_info info;

    scene_init(&s);
    write_locked_key(&s);
    CHECK(pem_identify(s.ctx, s.certificate, s.key, &info) == ERR_CONFIG);
    CHECK(strstr(info.text, s.key) && strstr(info.text, "has a passphrase"));
    CHECK(ERR_peek_error() == 0);
    scene_fini(&s);
}

static void a_key_of_another_certificate_is_refused(void)
{
    struct scene s;
    struct err_info info;
    struct identity other = identity_new("other", NULL, 2);

    scene_init(&s);
    write_key(&other, s.key);
    CHECK(pem_identify(s.ctx, s.certificate, s.key, &info) == ERR_CONFIG);
    CHECK(strstr(info.text, s.key) && strstr(info.text, "does not fit"));
    identity_free(&other);
    scene_fini(&s);
}

static void what_is_no_pem_is_named_with_its_option(void)
{
    struct scene s;
    struct err_info info;

    scene_init(&s);
    CHECK(pem_trust(s.ctx, "tls.ca_file", s.folder, &info) == ERR_CONFIG);
    CHECK(strstr(info.text, "tls.ca_file") && strstr(info.text, s.folder));
    CHECK(pem_identify(s.ctx, s.key, s.key, &info) == ERR_CONFIG);
    CHECK(strstr(info.text, "tls.cert_file") && strstr(info.text, "no start line"));
    scene_fini(&s);
}

int main(void)
{
    RUN(a_certificate_and_its_key_are_taken);
    RUN(a_key_with_a_passphrase_is_refused_and_nobody_is_asked);
    RUN(a_key_of_another_certificate_is_refused);
    RUN(what_is_no_pem_is_named_with_its_option);
    return DONE();
}
