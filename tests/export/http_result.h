/* http_result.h: what a client answered, and a fake one that counts what another client passes on.
 */
#pragma once

#include "export/http_client.h"

#include <stdio.h>

struct result {
    unsigned times;
    enum err err;
    int status;
    char error[256];
};

static void on_done(void *arg, struct http_answer *a)
{
    struct result *r = arg;

    r->times++;
    r->err = a->err;
    r->status = a->status;
    snprintf(r->error, sizeof(r->error), "%s", a->error);
}

static unsigned passed_on;

static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    (void)arg, (void)request;
    passed_on++;
    answer->status = 204;
    return 0;
}
