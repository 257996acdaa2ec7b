/* exchange.h: a few HTTP requests one after the other, with tries and pauses: what every source
 * that asks a server is made of. Belongs to the thread of its seam; never blocks.
 */
#pragma once

#include "aws/credentials.h"
#include "base/buf.h"

struct exchange;

enum exchange_next {
    EXCHANGE_SEND,  /* the next request */
    EXCHANGE_RETRY, /* the same again, a little later; x->error says why */
    EXCHANGE_DONE,
    EXCHANGE_FAILED, /* x->error says why */
};

struct exchange_kind {
    /* Fills x->method, url, headers, body. False: x->error says why it can't. */
    bool (*ask)(struct exchange *x);
    /* What an answer with a status means. Without one it is sent again. */
    enum exchange_next (*answer)(struct exchange *x, const struct aws_http_answer *answer);
    /* Called before the last try of a request, which may ask for something else. May be NULL. */
    void (*last_try)(struct exchange *x);
    unsigned tries; /* of each request */
    uint64_t timeout_ns, pause_ns;
};

enum { EXCHANGE_HEADERS_MAX = 8, EXCHANGE_BODY_MAX = 256 << 10, EXCHANGE_URL_MAX = 4096 };

enum exchange_state { EXCHANGE_IDLE, EXCHANGE_RUNNING, EXCHANGE_ENDED, EXCHANGE_BROKEN };

struct exchange {
    const struct exchange_kind *kind;
    struct aws_http http;
    void *self; /* the kind's own */
    enum exchange_state state;
    char error[400];
    const char *method;
    char url[EXCHANGE_URL_MAX];
    char *headers[EXCHANGE_HEADERS_MAX + 1];
    unsigned header_count;
    struct buf body;
    bool direct;
    uint64_t request; /* in flight; 0: none */
    bool is_waiting;  /* for the next try */
    uint64_t due_ns;  /* of it; 0: not known yet */
    unsigned tried;
};

/* Sends the first request. `self` is borrowed until exchange_fini. */
void exchange_begin(struct exchange *x, const struct exchange_kind *kind,
                    const struct aws_http *http, void *self);
/* Cancels what is in flight and overwrites what was sent. A zeroed one is allowed. */
void exchange_fini(struct exchange *x);
/* Tries again where it is time; returns when to call it next. */
uint64_t exchange_step(struct exchange *x, uint64_t now_ns);
/* "Name: value"; the value must not have a line break in it. False: no room. */
bool exchange_header(struct exchange *x, const char *name, struct slice value);
/* Where the request goes, as an error says it: without who is named before the host. Borrowed. */
const char *exchange_place(const struct exchange *x);
/* A byte of an answer as it may stand in a sentence: "?" for what is not printable. */
char exchange_shown(uint8_t byte);
/* Writes x->error: "WHAT: status 503 (text)"; what is not printable becomes "?". */
void exchange_say_status(struct exchange *x, const char *what,
                         const struct aws_http_answer *answer);
/* Says so, and whether it is worth another try: with 5xx and 429 it is. */
enum exchange_next exchange_refused(struct exchange *x, const char *what,
                                    const struct aws_http_answer *answer);
