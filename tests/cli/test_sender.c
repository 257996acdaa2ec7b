#include "base/clock.h"
#include "check.h"
#include "cli/sender.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

/* A port that takes connections and never answers. */
static int listen_somewhere(char port[8])
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&to, len) == 0 && listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&to, &len) == 0);
    snprintf(port, 8, "%d", ntohs(to.sin_port));
    return fd;
}

static void what_nobody_answered_is_given_up_and_counted(void)
{
    char port[8];
    int fd = listen_somewhere(port);
    struct sender_options o = {.host = "127.0.0.1",
                               .port = port,
                               .connections = 1,
                               .in_flight = 1,
                               .attempts = 3,
                               .max_body = 1024};
    struct sender *s;
    struct err_info info;
    enum err e = sender_new(&o, &s, &info);
    uint64_t now = clock_now_ns(clock_system());

    CHECK(!e);
    if (e)
        return;
    for (unsigned i = 1; i <= 2; i++) { /* the second waits for the connection */
        struct buf *body = sender_slot(s);

        if (!body)
            break;
        buf_str(body, "x");
        sender_submit(s, i);
        sender_step(s, now, 0);
    }
    CHECK(sender_open(s) > 0 && sender_stats(s)->failed == 0);
    {
        size_t open = sender_open(s);

        sender_give_up(s);
        CHECK(sender_open(s) == 0 && sender_stats(s)->failed == open);
        CHECK(sender_stats(s)->failed_items == (open == 2 ? 3 : 1) && sender_stats(s)->sent == 0);
    }
    sender_free(s);
    close(fd);
}

int main(void)
{
    RUN(what_nobody_answered_is_given_up_and_counted);
    return DONE();
}
