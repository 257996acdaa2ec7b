#include "base/fake_net.h"
#include "check.h"

/* An echo server on the fakes: what programs do with net and loop. */
struct echo {
    struct net *net;
    struct loop *loop;
    struct loop_watch *listener_watch, *watch;
    int listener, fd;
    uint8_t data[256];
    size_t len;
    unsigned recvs;
};

static void echo_end(struct echo *e)
{
    loop_watch_free(e->watch);
    e->watch = NULL;
    e->net->close(e->net, e->fd);
}

static void on_bytes(void *arg, unsigned ready)
{
    struct echo *e = arg;
    struct iovec iov = {e->data, e->len};
    size_t moved;

    if (ready & LOOP_WRITE) {
        CHECK(e->net->sendv(e->net, e->fd, &iov, 1, &moved) == ERR_OK);
        e->len -= moved;
        memmove(e->data, e->data + moved, e->len);
    }
    if (ready & LOOP_READ) {
        CHECK(e->net->recv(e->net, e->fd, e->data + e->len, sizeof(e->data) - e->len, &moved) ==
              ERR_OK);
        if (moved == 0) {
            echo_end(e);
            return;
        }
        e->recvs++;
        e->len += moved;
    }
    loop_watch_set(e->watch, e->len ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void on_connection(void *arg, unsigned ready)
{
    struct echo *e = arg;

    CHECK(ready == LOOP_READ);
    CHECK(e->net->accept(e->net, e->listener, &e->fd) == ERR_OK);
    e->watch = loop_watch_new(e->loop, e->fd, on_bytes, e);
    loop_watch_set(e->watch, LOOP_READ);
}

static void echo_start(struct echo *e, struct fake_net *f, const struct clock *clock, char *bound)
{
    *e = (struct echo){.net = fake_net_net(f), .loop = fake_loop_new(f, clock)};
    CHECK(e->net->listen(e->net, "127.0.0.1:0", &e->listener, bound, NULL) == ERR_OK);
    e->listener_watch = loop_watch_new(e->loop, e->listener, on_connection, e);
    loop_watch_set(e->listener_watch, LOOP_READ);
}

static void echo_stop(struct echo *e, struct fake_net *f)
{
    loop_watch_free(e->listener_watch);
    loop_free(e->loop);
    fake_net_free(f);
}

static void a_message_comes_back_in_small_pieces(void)
{
    struct fake_net *f = fake_net_new(3);
    struct fake_clock clock;
    struct echo e;
    char bound[64], back[32];
    size_t got = 0;
    int fd;

    fake_clock_init(&clock, 0, 0);
    echo_start(&e, f, &clock.clock, bound);
    CHECK(strcmp(bound, "127.0.0.1:1") == 0);
    CHECK(fake_net_connect(f, "127.0.0.1:2") == -1);
    fd = fake_net_connect(f, bound);
    CHECK(fake_net_send(f, fd, slice_str("hello world")) == 11);
    for (int i = 0; i < 30; i++) {
        loop_wait(e.loop, NEVER_NS);
        got += fake_net_recv(f, fd, back + got, sizeof(back) - got);
    }
    CHECK(got == 11 && memcmp(back, "hello world", 11) == 0 && e.recvs == 4);
    CHECK(!fake_net_is_closed(f, fd));
    fake_net_shutdown(f, fd);
    loop_wait(e.loop, NEVER_NS);
    CHECK(e.watch == NULL && fake_net_is_closed(f, fd));
    CHECK(fake_net_send(f, fd, slice_str("x")) == 0);
    fake_net_close(f, fd);
    echo_stop(&e, f);
}

static void a_full_queue_takes_what_fits_and_then_says_again(void)
{
    static uint8_t block[50000];
    struct fake_net *f = fake_net_new(0);
    struct net *n = fake_net_net(f);
    struct iovec iov[2] = {{block, 50000}, {block, 50000}};
    char bound[64];
    int listener, client, server;
    size_t moved;

    CHECK(n->listen(n, ":4317", &listener, bound, NULL) == ERR_OK && strcmp(bound, ":4317") == 0);
    CHECK(n->listen(n, ":4317", &server, bound, NULL) == ERR_IO);
    CHECK(n->accept(n, listener, &server) == ERR_AGAIN);
    client = fake_net_connect(f, ":4317");
    CHECK(n->accept(n, listener, &server) == ERR_OK);
    CHECK(n->sendv(n, server, iov, 2, &moved) == ERR_OK && moved == 65536);
    CHECK(n->sendv(n, server, iov, 2, &moved) == ERR_AGAIN && moved == 0);
    CHECK(fake_net_recv(f, client, block, 10) == 10);
    CHECK(n->sendv(n, server, iov, 2, &moved) == ERR_OK && moved == 10);
    CHECK(fake_net_send(f, client, slice_make(block, 50000)) == 50000);
    CHECK(fake_net_send(f, client, slice_make(block, 50000)) == 15536);
    fake_net_close(f, client);
    CHECK(n->sendv(n, server, iov, 1, &moved) == ERR_IO);
    CHECK(n->recv(n, server, block, 50000, &moved) == ERR_OK && moved == 50000);
    CHECK(n->recv(n, server, block, 50000, &moved) == ERR_OK && moved == 15536);
    CHECK(n->recv(n, server, block, 50000, &moved) == ERR_OK && moved == 0);
    fake_net_free(f);
}

static void a_server_that_closes_is_seen_after_its_last_byte(void)
{
    struct fake_net *f = fake_net_new(0);
    struct net *n = fake_net_net(f);
    struct iovec iov = {(char *)"bye", 3};
    char bound[64], text[8];
    int listener, client, server;
    size_t sent;

    CHECK(n->listen(n, "[::1]:0", &listener, bound, NULL) == ERR_OK);
    CHECK(strcmp(bound, "[::1]:1") == 0);
    client = fake_net_connect(f, bound);
    CHECK(n->accept(n, listener, &server) == ERR_OK);
    CHECK(n->sendv(n, server, &iov, 1, &sent) == ERR_OK);
    n->close(n, server);
    CHECK(!fake_net_is_closed(f, client));
    CHECK(fake_net_recv(f, client, text, sizeof(text)) == 3 && fake_net_is_closed(f, client));
    client = fake_net_connect(f, bound);
    n->close(n, listener); /* with one waiting */
    CHECK(fake_net_is_closed(f, client) && fake_net_connect(f, bound) == -1);
    fake_net_free(f);
}

struct crowd {
    struct loop_watch *watches[3];
    unsigned calls;
};

static void free_the_others(void *arg, unsigned ready)
{
    struct crowd *c = arg;

    (void)ready;
    c->calls++;
    for (int i = 0; i < 3; i++) {
        loop_watch_free(c->watches[i]);
        c->watches[i] = NULL;
    }
}

static void a_callback_may_free_every_watch(void)
{
    struct fake_net *f = fake_net_new(0);
    struct net *n = fake_net_net(f);
    struct fake_clock clock;
    struct loop *l = fake_loop_new(f, &clock.clock);
    struct crowd c = {.calls = 0};
    char bound[64];
    int listener, server;

    CHECK(n->listen(n, ":0", &listener, bound, NULL) == ERR_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(fake_net_connect(f, bound) >= 0 && n->accept(n, listener, &server) == ERR_OK);
        c.watches[i] = loop_watch_new(l, server, free_the_others, &c);
        loop_watch_set(c.watches[i], LOOP_WRITE);
    }
    loop_wait(l, 0);
    loop_wake(l);
    loop_wait(l, 0);
    CHECK(c.calls == 1 && loop_event_base(l) == NULL && loop_clock(l) == &clock.clock);
    loop_free(l);
    fake_net_free(f);
}

int main(void)
{
    RUN(a_message_comes_back_in_small_pieces);
    RUN(a_full_queue_takes_what_fits_and_then_says_again);
    RUN(a_server_that_closes_is_seen_after_its_last_byte);
    RUN(a_callback_may_free_every_watch);
    return DONE();
}
