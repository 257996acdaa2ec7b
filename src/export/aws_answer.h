/* aws_answer.h: why AWS refused a signed request. Pure functions of an answer. */
#pragma once

#include "export/http_client.h"

enum aws_refusal {
    AWS_NOT_OURS,  /* no refusal, or not for the signature */
    AWS_CLOCK,     /* the time of the signature */
    AWS_SIGNATURE, /* the signature, which may be for its time */
    AWS_EXPIRED,   /* the credentials are over */
    AWS_UNKNOWN,   /* the credentials are not known */
    AWS_DENIED,    /* they are, and may not */
};

/* `code` gets the error's name, as short as AWS's own, or "". */
enum aws_refusal aws_answer_read(const struct http_answer *answer, char code[64]);

/* The answer's Date, as Unix time in seconds; false: it has none. */
bool aws_answer_date(const struct http_answer *answer, int64_t *unix_s);
