/* fetch.h: one attempt to get credentials: a plan carried out. Belongs to the thread of its seam.
 */
#pragma once

#include "aws/plan.h"

struct fetch;

struct fetch_config {
    const struct aws_settings *settings; /* borrowed */
    struct aws_http http;
    const char *region, *role_arn, *external_id; /* as in credentials_config; borrowed */
    uint64_t now_unix_ns;
};

/* Plans and begins; it may have ended when this returns. NULL without memory. */
struct fetch *fetch_new(const struct fetch_config *config);
/* Cancels what is under way and overwrites all it knew. NULL is allowed. */
void fetch_free(struct fetch *f);
uint64_t fetch_step(struct fetch *f, uint64_t now_ns, uint64_t now_unix_ns);
/* EXCHANGE_RUNNING, ENDED (see fetch_keys) or BROKEN (see fetch_error). */
enum exchange_state fetch_state(const struct fetch *f);
const struct keys *fetch_keys(const struct fetch *f);
const char *fetch_error(const struct fetch *f);
/* Of the source, for a log: "web identity". With " + role" where one is assumed on top. */
const char *fetch_name(const struct fetch *f);
/* The keys are the instance's own: it may serve them longer than they say. */
bool fetch_is_instance(const struct fetch *f);
