#include "base/net.h"
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void wait_for(int fd, short events)
{
    CHECK(poll(&(struct pollfd){.fd = fd, .events = events}, 1, 10000) == 1);
}

static int connect_v4(const char *bound)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_port = htons((uint16_t)strtol(strrchr(bound, ':') + 1, NULL, 10));
    CHECK(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    return fd;
}

static void port_zero_picks_a_port_that_accepts(void)
{
    struct net *n = net_system();
    struct err_info info;
    char bound[64], text[8];
    int listener, client, server, nodelay = 0;
    socklen_t len = sizeof(nodelay);
    size_t moved;
    struct iovec iov[2] = {{(char *)"ab", 2}, {(char *)"cd", 2}};

    CHECK(n->listen(n, "127.0.0.1:0", &listener, bound, &info) == ERR_OK);
    CHECK(strncmp(bound, "127.0.0.1:", 10) == 0 && strcmp(bound, "127.0.0.1:0") != 0);
    CHECK(n->accept(n, listener, &server) == ERR_AGAIN);
    client = connect_v4(bound);
    wait_for(listener, POLLIN);
    CHECK(n->accept(n, listener, &server) == ERR_OK);
    CHECK(getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len) == 0 && nodelay);
    CHECK(n->recv(n, server, text, sizeof(text), &moved) == ERR_AGAIN && moved == 0);
    CHECK(n->sendv(n, server, iov, 2, &moved) == ERR_OK && moved == 4);
    CHECK(recv(client, text, sizeof(text), 0) == 4 && memcmp(text, "abcd", 4) == 0);
    n->shutdown_write(n, server);
    CHECK(recv(client, text, sizeof(text), 0) == 0);
    CHECK(send(client, "xyz", 3, 0) == 3);
    wait_for(server, POLLIN);
    CHECK(n->recv(n, server, text, sizeof(text), &moved) == ERR_OK && moved == 3);
    close(client);
    wait_for(server, POLLIN);
    CHECK(n->recv(n, server, text, sizeof(text), &moved) == ERR_OK && moved == 0);
    n->close(n, server);
    n->close(n, listener);
}

static void an_address_without_ip_takes_ipv4_too(void)
{
    struct net *n = net_system();
    char bound[64];
    int listener, server, client;

    CHECK(n->listen(n, ":0", &listener, bound, NULL) == ERR_OK);
    CHECK(strncmp(bound, "[::]:", 5) == 0 || strncmp(bound, "0.0.0.0:", 8) == 0);
    client = connect_v4(bound);
    wait_for(listener, POLLIN);
    CHECK(n->accept(n, listener, &server) == ERR_OK);
    n->close(n, server);
    n->close(n, listener);
    close(client);
}

static void a_wrong_address_is_refused_with_a_sentence(void)
{
    static const char *const wrong[] = {"",
                                        "4317",
                                        "localhost:4317",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:x",
                                        "::1:4317",
                                        "[::1:4317",
                                        "[127.0.0.1]:1",
                                        "127.0.0.1:65536",
                                        "[]:1",
                                        ":-1",
                                        "127.0.0.1:99999999999999999999"};
    struct net *n = net_system();

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct err_info info = {.code = ERR_OK};
        char bound[64];
        int fd;

        CHECK(n->listen(n, wrong[i], &fd, bound, &info) == ERR_IO);
        CHECK(info.code == ERR_IO && strstr(info.text, wrong[i]) != NULL);
    }
}

static void an_address_is_read_without_listening(void)
{
    static const struct {
        const char *address, *ip;
        uint16_t port;
    } good[] = {{"127.0.0.1:4317", "127.0.0.1", 4317},
                {":0", "::", 0},
                {"[0:0::1]:65535", "::1", 65535},
                {"0.0.0.0:1", "0.0.0.0", 1}};
    struct err_info info;
    char ip[NET_IP_BYTES];
    uint16_t port;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK(net_read_address(good[i].address, ip, &port, &info) == ERR_OK);
        CHECK(strcmp(ip, good[i].ip) == 0 && port == good[i].port);
    }
    CHECK(net_read_address("localhost:4317", ip, &port, &info) == ERR_IO);
    CHECK(strstr(info.text, "does not begin with an IP address"));
}

static void a_port_in_use_is_named(void)
{
    struct net *n = net_system();
    struct err_info info;
    char bound[64], second[64];
    int fd, other;

    CHECK(n->listen(n, "127.0.0.1:0", &fd, bound, &info) == ERR_OK);
    CHECK(n->listen(n, bound, &other, second, &info) == ERR_IO);
    CHECK(strstr(info.text, bound) != NULL && strstr(info.text, "in use") != NULL);
    n->close(n, fd);
}

static void sending_to_a_peer_that_is_gone_fails_without_a_signal(void)
{
    struct net *n = net_system();
    struct iovec iov = {(char *)"x", 1};
    size_t sent;
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    close(fds[1]);
    CHECK(n->sendv(n, fds[0], &iov, 1, &sent) == ERR_IO && sent == 0);
    close(fds[0]);
}

static void a_url_has_a_host_and_a_port_if_it_has_a_colon(void)
{
    static const char *const good[] = {"http://a",
                                       "http://a:1",
                                       "https://a.b-c_d:65535/v1?x=:#y",
                                       "udp://127.0.0.1:2000",
                                       "http://[::1]",
                                       "http://[::1]:4317/",
                                       "http://a/b:c"};
    static const char *const bad[] = {"",
                                      "a",
                                      "a:1",
                                      "://a",
                                      "http://",
                                      "http:///b",
                                      "http://:4317",
                                      "http://?a",
                                      "http://a:",
                                      "http://a:0",
                                      "http://a:65536",
                                      "http://a:-1",
                                      "http://a:x",
                                      "http://a:1:2",
                                      "http://a:000001",
                                      "http://[::1",
                                      "http://[]",
                                      "http://[]:1",
                                      "http://[::1]1",
                                      "http://[/]:1"};

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        CHECK(net_is_url(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK(!net_is_url(bad[i]));
}

int main(void)
{
    RUN(port_zero_picks_a_port_that_accepts);
    RUN(an_address_without_ip_takes_ipv4_too);
    RUN(a_wrong_address_is_refused_with_a_sentence);
    RUN(an_address_is_read_without_listening);
    RUN(a_url_has_a_host_and_a_port_if_it_has_a_colon);
    RUN(a_port_in_use_is_named);
    RUN(sending_to_a_peer_that_is_gone_fails_without_a_signal);
    return DONE();
}
