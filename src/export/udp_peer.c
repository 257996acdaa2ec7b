#include "export/udp_peer.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATAGRAM_MAX = 65507, FRESH_S = 60, FAILED_S = 1, ADDRESSES_MAX = 4 };

/* Shared with the thread that looks up; whoever is last frees it. */
struct udp_lookup {
    char *host, *port;
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    socklen_t lens[ADDRESSES_MAX];
    unsigned count;
    int error; /* of getaddrinfo; 0: there is an address */
    _Atomic bool done;
    _Atomic int references;
};

/* ---- names ---- */

static void lookup_unref(struct udp_lookup *l)
{
    if (!l || atomic_fetch_sub_explicit(&l->references, 1, memory_order_acq_rel) > 1)
        return;
    free(l->host);
    free(l->port);
    free(l);
}

static void resolve(struct udp_lookup *l, int flags)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;

    l->error = getaddrinfo(l->host, l->port, &hints, &found);
    if (l->error)
        return;
    for (struct addrinfo *a = found; a && l->count < ADDRESSES_MAX; a = a->ai_next) {
        l->lens[l->count] = a->ai_addrlen;
        memcpy(&l->addresses[l->count++], a->ai_addr, a->ai_addrlen);
    }
    freeaddrinfo(found);
}

static void *lookup_run(void *arg)
{
    struct udp_lookup *l = arg;

    resolve(l, 0);
    atomic_store_explicit(&l->done, true, memory_order_release);
    lookup_unref(l);
    return NULL;
}

/* Leaves the lookup to a thread; if there is none it has failed. */
static void lookup_go(struct udp_lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    int error;

    atomic_store_explicit(&l->references, 2, memory_order_relaxed);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&thread, &attr, lookup_run, l);
    pthread_attr_destroy(&attr);
    if (!error)
        return;
    atomic_store_explicit(&l->references, 1, memory_order_relaxed);
    l->error = EAI_MEMORY;
    atomic_store_explicit(&l->done, true, memory_order_relaxed);
}

/* An address is known at once, a name later. NULL: no memory. */
static struct udp_lookup *lookup_new(const struct udp_peer *p)
{
    struct udp_lookup *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    atomic_init(&l->references, 1);
    atomic_init(&l->done, false);
    l->host = strdup(p->host);
    l->port = strdup(p->port);
    if (!l->host || !l->port) {
        lookup_unref(l);
        return NULL;
    }
    resolve(l, AI_NUMERICHOST);
    if (l->error == EAI_NONAME)
        lookup_go(l);
    else
        atomic_store_explicit(&l->done, true, memory_order_relaxed);
    return l;
}

/* ---- the socket ---- */

static int connected_to(const struct sockaddr_storage *address, socklen_t len)
{
    int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, len) != 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* The first address that can be, behind `skip` others. */
static int connected(const struct udp_lookup *l, unsigned skip)
{
    int fd = -1;

    for (unsigned i = 0; i < l->count && fd < 0; i++) {
        unsigned at = (skip + i) % l->count;

        fd = connected_to(&l->addresses[at], l->lens[at]);
    }
    return fd;
}

static void disconnect(struct udp_peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

/* Takes what a lookup that is done has found; what was found before stays if it found nothing. */
static void take(struct udp_peer *p, uint64_t now_ns, char *why, size_t size)
{
    struct udp_lookup *l = p->lookup;
    int fd = l->error ? -1 : connected(l, p->skip);

    if (l->error)
        snprintf(why, size, "%s: %s", p->host, gai_strerror(l->error));
    else if (fd < 0)
        snprintf(why, size, "%s:%s: %s", p->host, p->port, strerror(errno));
    p->fresh_until_ns = now_ns + (fd < 0 ? FAILED_S : FRESH_S) * NS_PER_S;
    if (fd >= 0) {
        disconnect(p);
        p->fd = fd;
    }
    lookup_unref(l);
    p->lookup = NULL;
}

/* What the other end's machine has said of what was sent before; on this machine it does at once.
 */
static int pending_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static enum udp_sent put(struct udp_peer *p, struct slice datagram, char *why, size_t size)
{
    ssize_t n = send(p->fd, datagram.data, datagram.len, MSG_NOSIGNAL);
    int error = n < 0 ? errno : pending_error(p->fd);

    if (error == 0)
        return UDP_SENT;
    snprintf(why, size, "%s:%s: %s", p->host, p->port, strerror(error));
    if (error == EMSGSIZE)
        return UDP_TOO_LARGE;
    if (error == EAGAIN || error == ENOBUFS)
        return UDP_FAILED;
    disconnect(p); /* "localhost" may be two: then the other one */
    p->skip++;
    p->fresh_until_ns = 0;
    return UDP_FAILED;
}

/* ---- a peer ---- */

bool udp_peer_init(struct udp_peer *p, const char *address)
{
    const char *colon = strrchr(address, ':'), *end = colon;
    char *after;
    unsigned long port = colon ? strtoul(colon + 1, &after, 10) : 0;

    *p = (struct udp_peer){.fd = -1};
    if (!colon || colon == address || port == 0 || port > 65535 || *after)
        return false;
    if (*address == '[' && colon[-1] == ']') {
        address++;
        end--;
    }
    p->host = strndup(address, (size_t)(end - address));
    p->port = strdup(colon + 1);
    if (p->host && p->port)
        return true;
    udp_peer_fini(p);
    return false;
}

void udp_peer_fini(struct udp_peer *p)
{
    if (p->host)
        disconnect(p);
    lookup_unref(p->lookup);
    free(p->host);
    free(p->port);
    *p = (struct udp_peer){.fd = -1};
}

enum udp_sent udp_peer_send(struct udp_peer *p, struct slice datagram, uint64_t now_ns, char *why,
                            size_t size)
{
    snprintf(why, size, "%s: it was not found a moment ago", p->host);
    if (datagram.len > DATAGRAM_MAX)
        return UDP_TOO_LARGE;
    if (!p->lookup && now_ns >= p->fresh_until_ns)
        p->lookup = lookup_new(p);
    if (p->lookup && atomic_load_explicit(&p->lookup->done, memory_order_acquire))
        take(p, now_ns, why, size);
    if (p->fd >= 0)
        return put(p, datagram, why, size);
    return p->lookup ? UDP_LATER : UDP_FAILED;
}
