/* sender_link.h: one connection of a sender; private to sender*.c. */
#pragma once

#include "base/clock.h"
#include "cli/sender.h"

enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_WAITING, SLOT_SENT };

struct slot {
    enum slot_state state;
    struct buf body;
    uint64_t items;
    uint64_t due_ns;     /* WAITING: not before */
    uint64_t started_ns; /* SENT */
    unsigned attempt;
    struct link *link; /* SENT */
};

/* What came back for a slot. */
struct answer {
    bool ok, retry; /* neither: given up */
    uint64_t retry_after_ns;
    uint64_t rejected;
    char error[96];
};

struct link;
struct link_protocol {
    /* After the connection stands. False: without memory. */
    bool (*open)(struct link *l);
    void (*close)(struct link *l);
    /* False: takes no further request, and ends by itself. */
    bool (*usable)(const struct link *l);
    /* Queues the slot's request. False: broken. */
    bool (*request)(struct link *l, struct slot *slot);
    /* Takes received bytes. False: broken. */
    bool (*input)(struct link *l, struct slice bytes);
    /* Fills l->out with more, if it can. False: broken. */
    bool (*output)(struct link *l);
};

extern const struct link_protocol link_http, link_grpc;

struct link {
    struct sender *sender;
    int fd; /* -1: none */
    bool connected;
    uint64_t connect_at_ns; /* fd -1: not before */
    unsigned busy;          /* slots SENT here */
    struct buf out;
    size_t out_sent;
    struct slice tail; /* sent after `out`: the body, in place */
    void *protocol;    /* its state */
};

struct sender {
    struct sender_options options;
    const struct link_protocol *protocol;
    struct link *links;
    struct slot *slots;
    size_t slot_count, open;
    struct slot *filling;
    size_t next_link;
    uint64_t now_ns;
    struct sender_stats stats;
    char host_header[300];
    void *address; /* struct addrinfo list */
};

/* The slot is settled, or will be repeated. */
void sender_answer(struct sender *s, struct slot *slot, const struct answer *answer);
/* rejected_spans of an ExportTraceServiceResponse. */
uint64_t response_rejected(struct slice body);
