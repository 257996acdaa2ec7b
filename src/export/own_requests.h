/* own_requests.h: the requests that a client answers itself, in the order in which they came, where
 * it hands all others to another client. The room's own; one thread.
 */
#pragma once

#include "export/http_client.h"

/* A bit of the ids that a client gives; ids of the clients within have others. */
#define OWN_STDOUT (UINT64_C(1) << 61)
#define OWN_UDP    (UINT64_C(1) << 62)
#define OWN_SIGNED (UINT64_C(1) << 63)

struct own_request {
    struct own_request *next;
    uint64_t id;
    struct slice body;             /* borrowed until it is answered */
    uint64_t timeout_ns, until_ns; /* until_ns 0: not tried yet */
    void *peer;                    /* the client's */
    http_done_fn *done;
    void *arg;
};

struct own_requests {
    uint64_t bit; /* OWN_... */
    struct own_request *first;
    size_t waiting;
    uint64_t last_id;
};

static inline bool own_requests_has_id(const struct own_requests *l, uint64_t id)
{
    return (id & l->bit) != 0;
}

/* At the end. NULL: there are too many, or there is no memory. */
struct own_request *own_requests_add(struct own_requests *l, const struct http_request *request,
                                     http_done_fn *done, void *arg, uint64_t *id);
/* NULL: it has been answered. */
struct own_request *own_requests_find(const struct own_requests *l, uint64_t id);
/* Without an answer. */
void own_requests_forget(struct own_requests *l, struct own_request *r);
/* Answers it with `status`, 0: it failed; `why`, NULL: nothing to say. `r` is gone. */
void own_requests_answer(struct own_requests *l, struct own_request *r, int status,
                         const char *why);
/* The time of one that is tried now runs from its first try on. True: it is over. */
bool own_request_is_over(struct own_request *r, uint64_t now_ns);
/* When to try again what waits, at the latest at `due`. */
uint64_t own_requests_due(const struct own_requests *l, uint64_t due, uint64_t now_ns);
/* All without an answer. */
void own_requests_fini(struct own_requests *l);
