#include "certificates.h"
#include "check.h"
#include "grpc_client.h"
#include "http_client.h"
#include "receive/receive.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

/* One authority, a server of its making, two clients of which one is a stranger's. */
struct scene {
    struct fixture f;
    struct identity ca, server, client, other_ca, stranger;
    char dir[64], cert[96], key[96], client_ca[96];
};

static void scene_init(struct scene *s, enum receive_protocol protocol, size_t max_chunk)
{
    memset(s, 0, sizeof *s);
    fixture_init(&s->f, protocol, max_chunk);
    s->ca = identity_new("authority", NULL, 1);
    s->server = identity_new("server", &s->ca, 2);
    s->client = identity_new("client", &s->ca, 3);
    s->other_ca = identity_new("other", NULL, 4);
    s->stranger = identity_new("stranger", &s->other_ca, 5);
    snprintf(s->dir, sizeof s->dir, "/tmp/moontail-tls-XXXXXX");
    if (!mkdtemp(s->dir))
        abort();
    snprintf(s->cert, sizeof s->cert, "%s/cert.pem", s->dir);
    snprintf(s->key, sizeof s->key, "%s/key.pem", s->dir);
    snprintf(s->client_ca, sizeof s->client_ca, "%s/ca.pem", s->dir);
    write_certificate(&s->server, s->cert);
    write_key(&s->server, s->key);
    write_certificate(&s->ca, s->client_ca);
    s->f.listener.tls = (struct receive_tls){.cert_file = s->cert, .key_file = s->key};
}

static void scene_fini(struct scene *s)
{
    fixture_fini(&s->f);
    CHECK(memory_used(&s->f.memory) == 0);
    identity_free(&s->ca);
    identity_free(&s->server);
    identity_free(&s->client);
    identity_free(&s->other_ca);
    identity_free(&s->stranger);
    unlink(s->cert);
    unlink(s->key);
    unlink(s->client_ca);
    rmdir(s->dir);
}

struct client {
    struct fixture *f;
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
};

/* `protocols` in the form of ALPN; "": none. */
static void client_open(struct client *c, struct scene *s, const char *protocols,
                        const struct identity *id)
{
    c->f = &s->f;
    c->fd = fixture_connect(&s->f);
    c->ctx = SSL_CTX_new(TLS_client_method());
    X509_STORE_add_cert(SSL_CTX_get_cert_store(c->ctx), s->ca.certificate);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    if (id) {
        SSL_CTX_use_certificate(c->ctx, id->certificate);
        SSL_CTX_use_PrivateKey(c->ctx, id->key);
    }
    c->ssl = SSL_new(c->ctx);
    if (protocols[0])
        SSL_set_alpn_protos(c->ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
}

static void client_close(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    fake_net_close(c->f->net, c->fd);
    fixture_run(c->f);
    ERR_clear_error();
}

/* Moves ciphertext both ways. */
static void client_pump(struct client *c)
{
    static char bytes[65536];
    char *out;
    long len = BIO_get_mem_data(c->out, &out);
    size_t got;

    if (len > 0) {
        fixture_send(c->f, c->fd, out, (size_t)len);
        (void)BIO_reset(c->out);
    }
    got = fixture_recv(c->f, c->fd, bytes, sizeof bytes);
    if (got)
        BIO_write(c->in, bytes, (int)got);
}

static bool client_handshake(struct client *c)
{
    for (int i = 0; i < 2000; i++) {
        int result, error;

        ERR_clear_error();
        result = SSL_do_handshake(c->ssl);
        error = SSL_get_error(c->ssl, result);
        client_pump(c);
        if (result == 1)
            break;
        if (error != SSL_ERROR_WANT_READ)
            return false;
    }
    return SSL_is_init_finished(c->ssl);
}

static size_t client_exchange(struct client *c, struct slice bytes, char *answer, size_t capacity)
{
    size_t len = 0, got = 0;

    if (bytes.len)
        SSL_write(c->ssl, bytes.data, (int)bytes.len);
    for (int i = 0; i < 2000; i++) {
        client_pump(c);
        ERR_clear_error();
        if (SSL_read_ex(c->ssl, answer + len, capacity - 1 - len, &got) == 1)
            len += got;
        else if (len)
            break;
    }
    answer[len] = 0;
    return len;
}

static bool post_works(struct client *c, unsigned spans)
{
    struct buf body, request;
    char answer[4096];
    bool ok;

    buf_init(&body, 8 << 20, NULL);
    buf_init(&request, 8 << 20, NULL);
    put_traces(&body, spans, 0);
    put_post(&request, "/v1/traces", PROTOBUF, buf_slice(&body));
    c->f->body_len = 0;
    client_exchange(c, buf_slice(&request), answer, sizeof answer);
    ok = strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) == 0 &&
         slice_equal(slice_make(c->f->body, c->f->body_len), buf_slice(&body));
    buf_fini(&body);
    buf_fini(&request);
    return ok;
}

static bool negotiated(const struct client *c, const char *protocol)
{
    const unsigned char *data;
    unsigned len;

    SSL_get0_alpn_selected(c->ssl, &data, &len);
    return slice_is(slice_make(data, len), protocol);
}

static void requests_pass_through_tls_in_pieces_of_any_size(void)
{
    static const size_t chunks[] = {0, 1, 777};

    for (size_t i = 0; i < 3; i++) {
        struct scene s;
        struct client c;

        scene_init(&s, RECEIVE_HTTP, chunks[i]);
        fixture_start(&s.f);
        client_open(&c, &s, "\x08http/1.1", NULL);
        CHECK(client_handshake(&c) && negotiated(&c, "http/1.1"));
        CHECK(post_works(&c, 1) && post_works(&c, chunks[i] == 1 ? 2 : 500));
        client_close(&c);
        CHECK(fixture_stats(&s.f).connections == 0);
        scene_fini(&s);
    }
}

static void a_large_body_passes_through_tls(void)
{
    struct scene s;
    struct client c;

    scene_init(&s, RECEIVE_HTTP, 0);
    fixture_start(&s.f);
    client_open(&c, &s, "", NULL); /* without ALPN the listener's protocol is meant */
    CHECK(client_handshake(&c) && post_works(&c, 9000));
    client_close(&c);
    scene_fini(&s);
}

static void grpc_is_negotiated_as_h2_and_nothing_else(void)
{
    struct scene s;
    struct client c;
    char answer[4096];
    uint8_t hello[64];
    size_t len;

    scene_init(&s, RECEIVE_GRPC, 0);
    fixture_start(&s.f);
    client_open(&c, &s, "\x08http/1.1\x02h2", NULL);
    CHECK(client_handshake(&c) && negotiated(&c, "h2"));
    memcpy(hello, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    len = 24 + put_frame(hello + 24, NGHTTP2_SETTINGS, 0, 0, "", 0);
    CHECK(client_exchange(&c, slice_make(hello, len), answer, sizeof answer) > 9);
    CHECK(answer[3] == NGHTTP2_SETTINGS);
    client_close(&c);
    client_open(&c, &s, "\x08http/1.1", NULL);
    CHECK(!client_handshake(&c));
    client_close(&c);
    scene_fini(&s);
}

static void versions_before_1_2_are_refused(void)
{
    static const int versions[] = {TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
    struct scene s;

    scene_init(&s, RECEIVE_HTTP, 0);
    fixture_start(&s.f);
    for (int i = 0; i < 3; i++) {
        struct client c;

        client_open(&c, &s, "\x08http/1.1", NULL);
        SSL_set_security_level(c.ssl, 0);
        SSL_set_min_proto_version(c.ssl, versions[i]);
        SSL_set_max_proto_version(c.ssl, versions[i]);
        CHECK(client_handshake(&c) == (i > 0));
        if (i > 0)
            CHECK(post_works(&c, 3));
        client_close(&c);
    }
    scene_fini(&s);
}

static void a_listener_of_1_3_refuses_1_2(void)
{
    struct scene s;
    struct client c;

    scene_init(&s, RECEIVE_HTTP, 0);
    s.f.listener.tls.min_version = "1.3";
    fixture_start(&s.f);
    client_open(&c, &s, "\x08http/1.1", NULL);
    SSL_set_max_proto_version(c.ssl, TLS1_2_VERSION);
    CHECK(!client_handshake(&c));
    client_close(&c);
    scene_fini(&s);
}

static bool client_gets_in(struct scene *s, const struct identity *id)
{
    struct client c;
    bool ok;

    client_open(&c, s, "\x08http/1.1", id);
    ok = client_handshake(&c) && post_works(&c, 1);
    client_close(&c);
    return ok;
}

static void with_a_client_ca_only_its_clients_get_in(void)
{
    struct scene s;

    scene_init(&s, RECEIVE_HTTP, 0);
    s.f.listener.tls.client_ca_file = s.client_ca;
    fixture_start(&s.f);
    CHECK(!client_gets_in(&s, NULL));
    CHECK(!client_gets_in(&s, &s.stranger));
    CHECK(client_gets_in(&s, &s.client));
    CHECK(s.f.accepted == 1 && fixture_stats(&s.f).refused[REFUSED_MALFORMED] == 2);
    scene_fini(&s);
}

static long serial_of_server(const struct client *c)
{
    X509 *certificate = SSL_get1_peer_certificate(c->ssl);
    long serial = certificate ? ASN1_INTEGER_get(X509_get0_serialNumber(certificate)) : 0;

    X509_free(certificate);
    return serial;
}

static void a_reload_serves_the_new_certificate_and_keeps_old_connections(void)
{
    struct scene s;
    struct client old, new;
    struct identity next;
    struct err_info info;

    scene_init(&s, RECEIVE_HTTP, 0);
    fixture_start(&s.f);
    next = identity_new("server", &s.ca, 77);
    client_open(&old, &s, "\x08http/1.1", NULL);
    CHECK(client_handshake(&old) && serial_of_server(&old) == 2);
    write_certificate(&next, s.cert);
    CHECK(receive_port_renew(s.f.port, &info) == ERR_CONFIG); /* the key does not fit yet */
    CHECK(strstr(info.text, s.key) && strstr(info.text, s.cert));
    client_open(&new, &s, "\x08http/1.1", NULL);
    CHECK(client_handshake(&new) && serial_of_server(&new) == 2);
    client_close(&new);
    write_key(&next, s.key);
    CHECK(receive_port_renew(s.f.port, &info) == ERR_OK);
    receive_port_renewed(s.f.port, true);
    client_open(&new, &s, "\x08http/1.1", NULL);
    CHECK(client_handshake(&new) && serial_of_server(&new) == 77);
    CHECK(post_works(&new, 2) && post_works(&old, 2));
    client_close(&new);
    client_close(&old);
    identity_free(&next);
    scene_fini(&s);
}

static void a_missing_file_stops_the_start_with_its_name(void)
{
    struct scene s;
    struct err_info info;

    scene_init(&s, RECEIVE_HTTP, 0);
    s.f.listener.tls.cert_file = "/nonexistent/cert.pem";
    CHECK(fixture_try_start(&s.f, &info) == ERR_CONFIG);
    CHECK(strstr(info.text, "/nonexistent/cert.pem") && strstr(info.text, "No such file"));
    scene_fini(&s);
}

static void a_handshake_that_stalls_and_one_that_is_none_are_ended(void)
{
    struct scene s;
    struct client c;
    int plain;

    scene_init(&s, RECEIVE_HTTP, 0);
    fixture_start(&s.f);
    client_open(&c, &s, "\x08http/1.1", NULL);
    SSL_do_handshake(c.ssl);
    fixture_send(&s.f, c.fd, "\x16\x03\x01", 3);
    plain = fixture_connect(&s.f);
    fixture_send(&s.f, plain, "POST /v1/traces HTTP/1.1\r\n", 26);
    fixture_advance(&s.f, NS_PER_S / 2);
    CHECK(fixture_stats(&s.f).connections == 1);
    CHECK(fixture_stats(&s.f).refused[REFUSED_MALFORMED] == 1);
    fixture_advance(&s.f, 9 * NS_PER_S);
    CHECK(fixture_stats(&s.f).connections == 1);
    fixture_advance(&s.f, NS_PER_S);
    CHECK(fixture_stats(&s.f).connections == 0);
    client_close(&c);
    scene_fini(&s);
}

int main(void)
{
    RUN(requests_pass_through_tls_in_pieces_of_any_size);
    RUN(a_large_body_passes_through_tls);
    RUN(grpc_is_negotiated_as_h2_and_nothing_else);
    RUN(versions_before_1_2_are_refused);
    RUN(a_listener_of_1_3_refuses_1_2);
    RUN(with_a_client_ca_only_its_clients_get_in);
    RUN(a_reload_serves_the_new_certificate_and_keeps_old_connections);
    RUN(a_missing_file_stops_the_start_with_its_name);
    RUN(a_handshake_that_stalls_and_one_that_is_none_are_ended);
    return DONE();
}
