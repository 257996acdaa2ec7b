/* place.h: where a URL leads, as signatures have it. Pure functions; any thread. */
#pragma once

#include "base/slice.h"

/* Where a URL leads; slices of it. */
struct aws_place {
    struct slice origin; /* https://host:port */
    struct slice host;   /* as the Host header has it: without the scheme's usual port */
    struct slice path;   /* "/" at least */
    struct slice query;  /* without "?" */
};

/* `url` is http://... or https://... */
struct aws_place aws_place_of(const char *url);

/* The region that a host of AWS has in its name ("eu-west-1"); empty: none. */
struct slice aws_place_region(struct slice host);
