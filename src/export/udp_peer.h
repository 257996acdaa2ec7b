/* udp_peer.h: a host and port that datagrams go to. Belongs to the export thread; names are looked
 * up on a thread of their own, so that nobody waits for DNS.
 */
#pragma once

#include "base/clock.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct udp_lookup;

struct udp_peer {
    char *host, *port;         /* NULL: an empty place */
    int fd;                    /* connected; -1: none yet */
    struct udp_lookup *lookup; /* under way; NULL: none */
    uint64_t fresh_until_ns;   /* then the name is looked up again */
    unsigned skip;             /* so many of its addresses are behind: nobody listened there */
    unsigned users;            /* the caller counts */
};

/* "HOST:PORT", "[IPV6]:PORT". False: it is neither, or no memory; nothing is left. */
bool udp_peer_init(struct udp_peer *p, const char *address);
void udp_peer_fini(struct udp_peer *p);

enum udp_sent {
    UDP_SENT,
    UDP_LATER,     /* the name is being looked up; ask again */
    UDP_TOO_LARGE, /* for any datagram */
    UDP_FAILED     /* it can succeed later */
};

/* Sends one datagram; `why` (of `size` bytes) gets a sentence if it fails. */
enum udp_sent udp_peer_send(struct udp_peer *p, struct slice datagram, uint64_t now_ns, char *why,
                            size_t size);
