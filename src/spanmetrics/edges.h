/* edges.h: an edge between two services, between edges.c, which finds them, and edge_key.c, which
 * finds their series. Private to the room. */
#pragma once

#include "spanmetrics/parts.h"

/* As the collector's connection_type. */
enum edge_type { EDGE_PLAIN, EDGE_MESSAGING, EDGE_DATABASE, EDGE_VIRTUAL, EDGE_TYPES };

/* The durations of its series. */
enum { EDGE_SERVER, EDGE_CLIENT };

struct edge {
    struct slice client_name, server_name;
    const struct side *client, *server; /* NULL: this side sends no spans */
    enum edge_type type;
    bool has_failed;
};

/* The number of its series; made if there is room. */
uint32_t edge_series(struct spanmetrics_recorder *r, const struct edge *e);
