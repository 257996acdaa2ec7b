/* net.h: stream sockets behind one narrow interface, so that scenarios run without a network.
 *
 * All descriptors are non-blocking and close-on-exec. Any thread; a descriptor belongs to one.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct net {
    /* Listens on "IP:PORT", "[IPv6]:PORT" or ":PORT" (all addresses, IPv4 and IPv6 by one dual
     * stack socket). Port 0 picks a free one. `bound` (capacity 64) gets the address with the
     * real port. ERR_IO with a sentence in info. */
    enum err (*listen)(struct net *n, const char *address, int *fd, char *bound,
                       struct err_info *info);
    /* The same, though `beside`, a listening socket of ours that is about to be closed, has the
     * port on another address. */
    enum err (*listen_beside)(struct net *n, const char *address, int beside, int *fd, char *bound,
                              struct err_info *info);
    /* ERR_AGAIN: none waiting. ERR_FULL: out of descriptors; stop accepting for a while. */
    enum err (*accept)(struct net *n, int listener, int *fd);
    /* *got = 0 with ERR_OK is the end of the stream. ERR_AGAIN, ERR_IO. */
    enum err (*recv)(struct net *n, int fd, void *buf, size_t len, size_t *got);
    /* May send less than all. ERR_AGAIN: nothing was sent. ERR_IO. */
    enum err (*sendv)(struct net *n, int fd, const struct iovec *iov, int count, size_t *sent);
    void (*shutdown_write)(struct net *n, int fd);
    void (*close)(struct net *n, int fd);
};

/* The system's sockets. */
struct net *net_system(void);

enum { NET_IP_BYTES = 46 };

/* What `listen` takes, in its parts: the IP as inet_ntop writes it ("::" for all addresses of both
 * kinds, "0.0.0.0" for all of IPv4), and the port. ERR_IO with a sentence in info. Asks nobody. */
enum err net_read_address(const char *address, char ip[NET_IP_BYTES], uint16_t *port,
                          struct err_info *info) MUST_CHECK;
/* Whether `url`, which has no user in it, can be connected to: SCHEME://HOST or SCHEME://HOST:PORT,
 * with a path or without, where HOST is not empty (IPv6 in brackets), PORT 1 to 65535. */
bool net_is_url(const char *url) MUST_CHECK;
