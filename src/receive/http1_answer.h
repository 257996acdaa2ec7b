/* http1_answer.h: OTLP/HTTP's answers (RFC 9112, RFC 9110 for their fields). */
#pragma once

#include "receive/internal.h"

/* What the request and its connection ask of an answer. */
struct http1_form {
    bool json; /* not protobuf */
    bool is_1_0, keep_alive;
    bool without_body; /* to HEAD; its length is said all the same */
};

/* Appends head and body to what the connection sends. */
void http1_put_answer(struct connection *c, const struct reply *reply, struct http1_form form);
