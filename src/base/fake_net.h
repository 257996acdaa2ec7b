/* fake_net.h: an in-memory network and loop for whole-program scenarios in one thread.
 *
 * Connections are pairs of bounded byte queues; nothing happens between calls, so a run is
 * repeatable. A descriptor used after its close aborts. Not thread-safe. Addresses are names:
 * "127.0.0.1:0" is given port 1, 2, ...
 */
#pragma once

#include "base/loop.h"
#include "base/net.h"
#include "base/slice.h"

struct fake_net;

/* `max_chunk`: the most that one recv or sendv of the server moves, to exercise partial transfers;
 * 0: no bound. */
struct fake_net *fake_net_new(size_t max_chunk);
void fake_net_free(struct fake_net *f);
struct net *fake_net_net(struct fake_net *f); /* the seam to give to the program */

/* A loop over descriptors of `f`. loop_wait on it calls the ready watches once and returns. */
struct loop *fake_loop_new(struct fake_net *f, const struct clock *clock);

/* The client's side. Connects to a listener by its bound address; -1 if nobody listens. */
int fake_net_connect(struct fake_net *f, const char *address);
/* Queues bytes for the server; returns how many fitted. */
size_t fake_net_send(struct fake_net *f, int fd, struct slice bytes);
/* Takes what the server has sent; 0: nothing now (see fake_net_is_closed). */
size_t fake_net_recv(struct fake_net *f, int fd, void *buf, size_t len);
/* The server closed its side, and everything that it sent has been taken. */
int fake_net_is_closed(struct fake_net *f, int fd);
void fake_net_shutdown(struct fake_net *f, int fd); /* sends no more, still receives */
void fake_net_close(struct fake_net *f, int fd);
